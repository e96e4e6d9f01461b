/*
 * log_work: what is asked of a log at random, and what it must hold after a crash.
 *
 * Each request stands for steps, of which a crash leaves some first ones: all that were
 * acknowledged, and perhaps more.
 */
#pragma once

#include "support/loaded.h"

enum { STEPS_MAX = 600, CHUNK_BYTES_MAX = 700 };

/* The log as entries start + 1 ... last; those up to `snapshot` are also in the snapshot. */
struct model {
    struct log_hard hard;
    uint64_t start; /* nothing before it can be had any more: a peer's snapshot replaced it */
    uint64_t last;
    struct item item[ENTRIES_MAX]; /* [index] */
    uint64_t snapshot, snapshot_term, snapshot_hash;
};

/* One record's worth of change. */
struct step {
    enum { STEP_HARD, STEP_ENTRY, STEP_SNAPSHOT } kind;
    struct log_hard hard;
    uint64_t index;
    struct item item;
    uint64_t hash; /* SNAPSHOT */
};

void model_step(struct model *m, const struct step *s);

struct log_work {
    struct rng rng;
    struct log *log;  /* requests go there */
    struct model now; /* with all that was asked */
    struct step step[STEPS_MAX];
    size_t step_count;
    size_t acked; /* steps that are surely durable */
    size_t steps_of_token[STEPS_MAX], token_count;
    size_t snapshot_steps; /* after the snapshot that is under way */
    /* Told of each step before the request that it belongs to is made; may be NULL. */
    void (*asked)(void *ctx, const struct step *s);
    void *ctx;
};

/* Nothing was asked since the log was as w->now says. */
void log_work_settle(struct log_work *w);

/* Entries with the hard state or without, appended or put in the place of others. */
void log_work_append(struct log_work *w);
/* All chunks of one, our own or a peer's: its index, or 0 when there can be none now. It must be
 * reported before the next one is asked for. */
uint64_t log_work_snapshot(struct log_work *w);

/* The log told so. */
void log_work_appended(struct log_work *w, uint64_t token);
void log_work_snapshotted(struct log_work *w, uint64_t index);

/* After which step does the log stand? Not before step `from`, the log having been as `start` says
 * before the first one; *ret as it stands. `older`: an older snapshot, or none, with a log that
 * covers what is between is as good. */
bool log_work_find(const struct log_work *w, size_t from, const struct model *start,
                   const struct loaded *l, bool older, struct model *ret);
/* Does it hold what the model says? */
bool model_held(const struct model *m, const struct loaded *l, bool older);
