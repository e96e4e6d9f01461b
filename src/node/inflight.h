/*
 * inflight: commands that were proposed under an id of their caller's and are not applied yet, so
 * that a retry waits for the one that is on its way.
 *
 * Without it, callers who give up sooner than a slow disk answers fill the log with copies, each of
 * which makes the next one slower: nobody is answered any more, though all was applied long ago.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "core/command_key.h"

struct inflight_command {
    struct list item;
    uint64_t index, term;
    struct command_key key;
};

struct inflight {
    struct list all; /* in the order of indexes */
    struct map by_id;
    size_t count;
};

void inflight_init(struct inflight *x);
void inflight_done(struct inflight *x);

/* index is above that of any before, and nothing with this id is under way. */
void inflight_add(struct inflight *x, const struct command_key *key, uint64_t index, uint64_t term);
const struct inflight_command *inflight_find(const struct inflight *x,
                                             const uint8_t id[COMMAND_ID_SIZE]); /* or NULL */
/* The last one; NULL when there is none. */
const struct inflight_command *inflight_last(const struct inflight *x);
void inflight_drop_last(struct inflight *x); /* its entry is cut from the log */
/* What became of entries up to index is known: they are under way no more. */
void inflight_passed(struct inflight *x, uint64_t index);
