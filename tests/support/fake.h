/*
 * fake: a node on ports that do what a test says, in this process.
 *
 * The log persists at once. VMs start, stop and are removed at once, unless they are held. Streams of
 * a VM are the test's to answer. Nothing happens on its own: fake_run() lets the node and its ports
 * work until all is quiet.
 */
#pragma once

#include "base/rng.h"
#include "node/node.h"

enum { FAKE_VMS_MAX = 64, FAKE_TOKENS_MAX = 4096, FAKE_STREAMS_MAX = 64 };

struct fake_vm {
    char uid[VMM_UID_MAX];
    uint64_t epoch, incarnation, generation;
    bool there, runs;
    unsigned due; /* events not yet told: a set of 1 << enum vmm_event_type */
    Pb__ExitCause cause;
};

/* What a test sees of an open stream, and does with it. */
struct vmm_stream {
    bool open;
    enum vmm_stream_kind kind;
    char text[200]; /* argv joined by blanks, or path */
    uint64_t size, tail;
    bool follow, tty;
    const struct vmm_stream_events *events;
    struct buf input; /* what was written */
    size_t input_max; /* write takes no more than that in all: raise it, then events->writable */
    bool input_ended;
    size_t granted;
    uint16_t rows, cols;
};

struct fake {
    struct clock clock;
    uint64_t now_ms, wall_ns; /* moved by the test, unless `real` */
    bool real;
    struct entropy entropy;
    struct rng rng;
    struct log log;
    uint64_t token[FAKE_TOKENS_MAX]; /* appended, not yet told */
    size_t token_count;
    uint64_t snapshot; /* index of one not yet told */
    bool log_held;     /* nothing becomes durable */
    struct vmm vmm;
    bool look_due, vms_held; /* vms_held: orders to VMs are not carried out yet */
    struct fake_vm vm[FAKE_VMS_MAX];
    struct vmm_stream stream[FAKE_STREAMS_MAX];
    size_t stream_count;
    enum status open_status; /* of the next streams */
    struct vmm_stats stats;
    struct blob blob;
    char image[VMM_UID_MAX]; /* being made, not yet told */
    bool images_held, image_fails, image_gone;
    struct node *node;
};

/* A node "n1" of a new cluster "c", started and ready. */
void fake_start(struct fake *f);
void fake_stop(struct fake *f);
void fake_run(struct fake *f);
/* Let the node of that number say hello, as "n<number>" that other nodes reach at these addresses (the
 * second may be NULL), and run until that is so. 1: the fake's own node; others there are in the state alone. */
void fake_hello(struct fake *f, uint32_t number, const char *address, const char *second);
/* One round; whether anything happened. */
bool fake_turn(struct fake *f);
