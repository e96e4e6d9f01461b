/*
 * log: the durable log of a node: hard state, entries, snapshots. Its adapter is journal/.
 *
 * Requests are queued and return at once; what became of them is told by `done`, on the thread that
 * runs the node, in the order of the requests. Any failed write or sync is final: `failed` is
 * called once, nothing is done after it, and the node must stop.
 */
#pragma once

#include "base/str.h"

struct log_entry {
    uint64_t index; /* from 1, without gaps within a batch */
    uint64_t term;
    uint32_t type; /* the raft's; kept, not read */
    struct str data;
};

/* term and vote as Raft needs them to survive; vote 0 is nobody. Neither the term goes back, nor is
 * a vote taken back within its term. */
struct log_hard {
    uint64_t term;
    uint32_t vote;
};

struct log_events {
    /* All of append request `token` is on the platter. Once for each request. */
    void (*appended)(void *ctx, uint64_t token);
    /* Snapshot of `index` is complete and durable, and older ones are gone. */
    void (*snapshotted)(void *ctx, uint64_t index);
    /* Final: no other event comes after it, and requests are taken but not carried out. */
    void (*failed)(void *ctx, const struct fault *why);
    void *ctx;
};

struct log {
    const struct log_events *events; /* set by the node before the first request */

    /*
     * Append. `hard` may be NULL (unchanged); count may be 0. If entries[0].index is not past the
     * last entry, the log is first cut back to entries[0].index - 1; past it there is no gap. Data is
     * copied, at most LOG_ENTRY_MAX bytes of each.
     * ST_LIMIT when the queue is full (LOG_QUEUE_MAX bytes, LOG_REQUEST_COST and LOG_ENTRY_COST
     * included): nothing was taken, and `appended` will not be called for this token.
     */
    enum status (*append)(struct log *l, const struct log_hard *hard,
                          const struct log_entry *entries, size_t count, uint64_t token);

    /*
     * A snapshot comes in chunks of at most LOG_CHUNK_MAX bytes, each at the offset where the one
     * before ended; `last` ends it. One at a time: offset 0 begins one, and drops an unfinished one,
     * even of the same entry. Never older than the newest.
     *
     * If the log does not hold (index, term), because the snapshot came from a peer, it replaces the
     * log: all entries are dropped, and the next one appended is index + 1.
     * ST_LIMIT when the queue is full, or holds LOG_CHUNKS_MAX bytes of chunks (LOG_REQUEST_COST of each
     * included), so that entries wait for little: the chunk was not taken.
     */
    enum status (*snapshot)(struct log *l, uint64_t index, uint64_t term, uint64_t offset,
                            struct str chunk, bool last);

    /* Entries below first_kept may be dropped; only ever called when a complete snapshot covers
     * them: first_kept <= its index + 1. */
    void (*compact)(struct log *l, uint64_t first_kept);
};

enum {
    LOG_CHUNK_MAX = 1 << 20,
    LOG_ENTRY_MAX = 4 << 20,
    LOG_QUEUE_MAX = 64 << 20,
    LOG_REQUEST_COST = 128, /* what a request counts for, beside its data */
    LOG_ENTRY_COST = 64,    /* likewise each entry */
    LOG_CHUNKS_MAX = LOG_CHUNK_MAX + LOG_REQUEST_COST, /* of LOG_QUEUE_MAX; one always fits */
};

/* What a log holds when it is opened, told by the adapter before the node runs. */
struct log_load {
    void (*hard)(void *ctx, const struct log_hard *hard); /* first, if there is any */
    /* The newest valid snapshot, if there is any: a call with an empty chunk, then chunk by chunk;
     * the last call says `last`, with or without bytes. */
    enum status (*snapshot)(void *ctx, uint64_t index, uint64_t term, struct str chunk, bool last,
                            struct fault *why);
    enum status (*entry)(void *ctx, const struct log_entry *e,
                         struct fault *why); /* in order, those after the snapshot, without gaps */
    void *ctx;
};
