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

uint64_t raft_log_last(const struct raft_log *l);
uint64_t raft_log_last_term(const struct raft_log *l);
/* 0 when the log does not know the entry (any more). */
uint64_t raft_log_term(const struct raft_log *l, uint64_t index);
/* Kept entries from `index` on, which is kept; borrowed until the log changes. */
const struct raft_entry *raft_log_at(const struct raft_log *l, uint64_t index);

/* e.index is last + 1; the reference to e.data is taken. */
void raft_log_push(struct raft_log *l, struct raft_entry e);
/* Drop entries below first_kept <= last + 1. */
void raft_log_compact(struct raft_log *l, uint64_t first_kept);

size_t raft_entry_len(const struct raft_entry *e); /* bytes of data */
