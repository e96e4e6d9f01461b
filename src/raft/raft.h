/*
 * raft: consensus as a step function (Ongaro, "Consensus: Bridging Theory and Practice", 2014).
 *
 * Pure: no clock, no I/O, no randomness. The driver feeds ticks, proposals and completions; after
 * each it takes `raft_ready` until that is false, and does what it says:
 *
 *   1. hand hard state and entries to the log, in that order; when they are durable, call
 *      raft_persisted with the token of that ready,
 *   2. apply committed entries, in order, then call raft_applied.
 *
 * An entry is committed when it is durable on a quorum and its term is the leader's own, or when one
 * after it is committed. Entries are applied up to min(commit, persisted).
 *
 * A member is a small number, never used again. So far there is one voter, itself: elections and
 * commits take the same steps as among many, with a quorum of one; messages between members are not
 * built yet.
 */
#pragma once

#include "base/str.h"

enum raft_entry_type { RAFT_ENTRY_NOOP, RAFT_ENTRY_COMMAND };
enum raft_role { RAFT_FOLLOWER, RAFT_CANDIDATE, RAFT_LEADER };

/* Bytes shared by log, journal and state machine: counted, never changed. */
struct raft_data {
    uint32_t refs;
    uint32_t len;
    char bytes[];
};
struct raft_data *raft_data_new(const void *bytes, size_t len); /* one reference, the caller's */
struct raft_data *raft_data_ref(struct raft_data *d);
void raft_data_unref(struct raft_data *d); /* NULL is fine */

struct raft_entry {
    uint64_t index; /* from 1 */
    uint64_t term;  /* from 1 */
    enum raft_entry_type type;
    struct raft_data *data; /* NULL for a no-op */
};

struct raft_hard {
    uint64_t term;
    uint32_t vote; /* 0: nobody */
};

struct raft_config {
    uint32_t self;                /* > 0 */
    size_t uncommitted_bytes_max; /* raft_propose refuses beyond */
    uint32_t batch_entries_max;   /* of one raft_ready, each for append and apply; > 0 */
    size_t batch_bytes_max;       /* likewise; one entry is given even if it is larger */
};
void raft_config_default(struct raft_config *c, uint32_t self);

struct raft;

/*
 * Start from what the log held, as a follower. snapshot_index/term are 0 without a snapshot. Entries
 * have no gap, begin at snapshot_index + 1 or before, and are kept (their data is referenced). All
 * of it is taken to be durable.
 *
 * Returns  ST_CORRUPT  gaps, terms that go back, or a term above that of the hard state.
 */
MUST_USE enum status raft_new(const struct raft_config *c, const struct raft_hard *hard,
                              uint64_t snapshot_index, uint64_t snapshot_term,
                              const struct raft_entry *entries, size_t count, struct raft **ret,
                              struct fault *why);
void raft_free(struct raft *r); /* NULL is fine */

/* Some time has passed. Who knows no leader campaigns; a sole voter, who has nobody to wait for, does
 * so at its first tick. */
void raft_tick(struct raft *r);
/* Ticks change nothing now: the driver need not wake up for them. */
bool raft_idle(const struct raft *r);

/* Append a command of the driver's; data's reference is taken, even on failure.
 * ST_NOT_LEADER; ST_LIMIT when too much is uncommitted (try again later). */
MUST_USE enum status raft_propose(struct raft *r, struct raft_data *data, uint64_t *ret_index,
                                  uint64_t *ret_term, struct fault *why);

/* A linearizable read may be served once applied >= the returned index (ReadIndex).
 * ST_NOT_LEADER; ST_UNAVAILABLE until an entry of the own term is committed. */
MUST_USE enum status raft_read(const struct raft *r, uint64_t *ret_index, struct fault *why);

/* What is to be done now. Entries are borrowed until the next call on r. Each is given once. */
struct raft_ready {
    uint64_t token; /* of what is to be made durable; 0: nothing is */
    bool hard_changed;
    struct raft_hard hard;
    const struct raft_entry *append; /* to the log; append[0].index may cut it back */
    size_t append_count;
    const struct raft_entry *apply; /* committed and durable */
    size_t apply_count;
};
bool raft_ready(struct raft *r, struct raft_ready *out); /* false: nothing to do */

/* What was given with this token, and with those before it, is durable. Entries that the log does not
 * hold any more, by index and term, do not count. */
void raft_persisted(struct raft *r, uint64_t token);
void raft_applied(struct raft *r, uint64_t index);
/* A snapshot at `index` exists: entries below first_kept are dropped.
 * index <= applied; first_kept <= index + 1. */
void raft_compact(struct raft *r, uint64_t index, uint64_t first_kept);

/* The first of the entries up to `index` that are kept and of which, together, there are no more than
 * count_max and no more data than bytes_max; index + 1 when there are none. index <= applied. */
uint64_t raft_trail_first(const struct raft *r, uint64_t index, uint64_t count_max,
                          uint64_t bytes_max);

struct raft_view {
    enum raft_role role;
    uint32_t leader; /* 0: unknown */
    uint64_t term, first, last, persisted, commit, applied;
    size_t uncommitted_bytes;
};
struct raft_view raft_view(const struct raft *r);
