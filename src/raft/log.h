/*
 * raft/log: the entries that are kept in memory, one array without gaps.
 */
#pragma once

#include "raft/raft.h"

struct raft_log {
    struct raft_entry *room; /* room[head] is the entry `first` */
    size_t head, count, size;
    uint64_t first;     /* first kept; last + 1 when nothing is */
    uint64_t base_term; /* of the entry before `first`, 0 for none */
};

void raft_log_init(struct raft_log *l, uint64_t first, uint64_t base_term);
void raft_log_done(struct raft_log *l);

/* These are asked several times for each entry: as calls they are half of the core's time. */

static inline uint64_t raft_log_last(const struct raft_log *l)
{
    return l->first + l->count - 1;
}

/* 0 when the log does not know the entry (any more). */
static inline uint64_t raft_log_term(const struct raft_log *l, uint64_t index)
{
    if (index + 1 == l->first)
        return l->base_term;
    if (index < l->first || index > raft_log_last(l))
        return 0;
    return l->room[l->head + (size_t)(index - l->first)].term;
}

static inline uint64_t raft_log_last_term(const struct raft_log *l)
{
    return raft_log_term(l, raft_log_last(l));
}

/* Kept entries from `index` on, which is kept; borrowed until the log changes. */
static inline const struct raft_entry *raft_log_at(const struct raft_log *l, uint64_t index)
{
    require(index >= l->first && index <= raft_log_last(l));
    return &l->room[l->head + (size_t)(index - l->first)];
}

/* Bytes of data. */
static inline size_t raft_entry_len(const struct raft_entry *e)
{
    return e->data ? e->data->len : 0;
}

/* e.index is last + 1; the reference to e.data is taken. */
void raft_log_push(struct raft_log *l, struct raft_entry e);
/* Drop entries after `last`, which is at least first - 1. */
void raft_log_cut(struct raft_log *l, uint64_t last);
/* Drop entries below first_kept <= last + 1. */
void raft_log_compact(struct raft_log *l, uint64_t first_kept);
