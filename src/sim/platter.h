/*
 * platter: the simulated log of a member: what is durable, and a queue of what is on its way there.
 *
 * Requests become durable in their order. A crash keeps any prefix of the queue: of the request that it
 * cuts, the hard state and some of the entries.
 */
#pragma once

#include "base/list.h"
#include "base/rng.h"
#include "raft/raft.h"
#include "sim/lists.h"

struct platter_snapshot {
    uint64_t index, term; /* 0: none */
    struct raft_members members;
    struct lists *state; /* NULL: a witness's */
};

struct platter {
    /* Durable. */
    struct raft_hard hard;
    struct raft_entry *entry; /* of first and so on, with references */
    uint64_t first;
    size_t count, room;
    struct platter_snapshot snapshot;

    struct list queue;
    size_t queued;
    uint64_t given; /* last entry of the log as it will be */
};

/* What became durable; any may be NULL or 0. */
struct platter_done {
    uint64_t token;          /* of the last append */
    uint64_t snapshot_index; /* of a snapshot */
};

void platter_init(struct platter *p);
void platter_done(struct platter *p);

uint64_t platter_last(const struct platter *p);
/* Of a durable entry, or of the snapshot's; 0: it is not there. */
uint64_t platter_term(const struct platter *p, uint64_t index);

/* What a ready gives; entries are referenced. */
void platter_append(struct platter *p, const struct raft_ready *rd);
/* state is taken. If the log does not hold (index, term) it is replaced. */
void platter_save(struct platter *p, uint64_t index, uint64_t term, const struct raft_members *m,
                  struct lists *state);
void platter_compact(struct platter *p, uint64_t first_kept);

/* Make at most so many requests durable. */
struct platter_done platter_run(struct platter *p, size_t most);
void platter_crash(struct platter *p, struct rng *r);

/* One more durable entry, the next one; referenced. */
void platter_put(struct platter *p, const struct raft_entry *e);
/* Is `found` what a crash may leave: the hard state, snapshot and log after some bit of what waits? It may lack
 * what its snapshot covers. older: an older snapshot will do, or none, with all entries after it; of those that p does
 * not hold nothing is said. */
bool platter_may_become(const struct platter *p, const struct platter *found, bool older);
/* Be `found`, which is taken. What waits is dropped. */
void platter_become(struct platter *p, struct platter *found);
