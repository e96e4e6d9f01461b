/*
 * node_bench: a node on ports that are played by hand. The log holds what it gets in memory; it is
 * durable when the test says so.
 */
#pragma once

#include "node/node.h"
#include "support/answer.h"

enum { BENCH_LOG_MAX = 4000, BENCH_VMS_MAX = 16 };

struct bench {
    struct clock clock;
    struct entropy entropy;
    struct log log;
    struct vmm vmm;
    struct blob blob;
    struct node_mark mark;
    uint64_t now_ms, wall_ns, draws;

    struct log_hard hard;
    struct log_entry entry[BENCH_LOG_MAX]; /* by index; data is ours */
    uint64_t last, token, snapshot_index, snapshot_term, first_kept;
    struct buf snapshot;
    bool snapshot_whole, log_full, chunks_full; /* it takes nothing, no chunks */
    size_t chunk_max;
    uint64_t snapshot_entries, snapshot_log_max; /* of the next start */

    char asked[BENCH_VMS_MAX][64]; /* "start NAME", "down NAME", ... of the monitor port */
    size_t asked_count;
    uint64_t incarnation[BENCH_VMS_MAX]; /* of the starts, in their order */
    char started[BENCH_VMS_MAX][OBJECT_UID_MAX];
    size_t started_count;
    bool looked, look_slowly;

    bool blob_slow; /* jobs end when the test says so */
    unsigned cancels, removals, sweeps;
    size_t kept; /* images, at the last removal or sweep */

    struct node *n;
};

void bench_start(struct bench *b); /* with an empty log; it is in its cluster then */
void bench_finish(struct bench *b);
/* Play what the log holds to a node that starts in place of the other. */
MUST_USE enum status bench_start_again(struct bench *b, struct fault *why);

void bench_sync(struct bench *b);   /* all that was appended is on the platter */
void bench_settle(struct bench *b); /* until nothing is left to be done now */

/* That job of the image store is done. Every image has the same content. */
void bench_blob_ready(struct bench *b, const char *uid);
/* The same with another kernel, and what is said of its release; either may be NULL. */
void bench_blob_made(struct bench *b, const char *uid, Pb__Blob *kernel, char *kernel_release);

void bench_propose(struct bench *b, const Pb__Command *cmd); /* it is applied */

/* number + BENCH_SAME_NAME is another tenant that wants the same name. */
enum { BENCH_SAME_NAME = 100000 };
MUST_USE enum status bench_put_tenant(struct bench *b, unsigned number, struct answer *a);
/* id: of the command, which is the same if it is asked again; 0: none. */
MUST_USE enum status bench_put_tenant_as(struct bench *b, uint8_t id, unsigned number,
                                         struct answer *a);
