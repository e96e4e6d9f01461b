/*
 * shape: what a log holds, in numbers: hard state, first and last entry, and the terms between.
 *
 * Pure. The same rules are kept when records are written, where breaking one is our error, and when
 * they are read back, where it is damage.
 */
#pragma once

#include "port/log.h"

#define SHAPE_INDEX_MAX (UINT64_MAX - 1) /* so that there is always a next one */

/* Entries from `first` up to the next run, or the last entry, have this term. */
struct shape_run {
    uint64_t first;
    uint64_t term;
};

struct shape {
    struct log_hard hard;
    uint64_t base_index; /* entries after it, up to last_index, are there */
    uint64_t base_term;  /* 0: unknown */
    uint64_t last_index; /* >= base_index */
    struct shape_run *runs;
    size_t run_count, run_room;
};

void shape_init(struct shape *s);
void shape_done(struct shape *s);

/* The term of entry `index`; 0 when it is not there. */
uint64_t shape_term(const struct shape *s, uint64_t index);

/* Each takes one step and returns NULL, or says what is wrong with it and changes nothing. */
const char *shape_hard(struct shape *s, const struct log_hard *hard);
const char *shape_entry(struct shape *s, uint64_t index, uint64_t term);

/* All entries go; the log goes on after (index, term). */
const char *shape_restart(struct shape *s, uint64_t index, uint64_t term);

/* Entries below first_kept are of no interest any more; first_kept <= last_index + 1. */
void shape_forget(struct shape *s, uint64_t first_kept);
