/*
 * entries: a queue of log entries, each with a reference to its data.
 *
 * Its room is bounded by what is in it, however many pass through while it is never empty.
 */
#pragma once

#include "raft/raft.h"

/* {0} is an empty one. In it are e[head] .. e[count - 1]. */
struct node_entries {
    struct raft_entry *e;
    size_t head, count, room;
};

void node_entries_done(struct node_entries *x);

void node_entries_push(struct node_entries *x, const struct raft_entry *e); /* takes a reference */
/* The first one, whose reference is the caller's then. There must be one. */
struct raft_entry node_entries_take(struct node_entries *x);
size_t node_entries_count(const struct node_entries *x);
void node_entries_reset(struct node_entries *x); /* drop all */
