/*
 * rounds: one after another, a process on the same directory is killed at a random point, and the
 * power is cut behind it or not.
 */
#pragma once

#include "base/rng.h"
#include "crash/power.h"
#include "crash/victim.h"

struct rounds {
    struct rng rng;
    char dir[128], log[128];
    const char *lie;     /* WATCH_LIE, or NULL */
    struct power *power; /* NULL: nothing is watched, and only processes are killed */
    struct fault wrong;  /* what failed */

    uint64_t kills, early_kills, cuts, directories;
    struct power_view before; /* of directories that were left */
};

/* CRASH_SEED and CRASH_ROUNDS of the environment go before these. */
uint64_t rounds_seed(uint64_t seed);
uint64_t rounds_count(uint64_t count);

/* In a directory of scratch_dir() that is named for `name`. watched: the power may be cut. */
void rounds_init(struct rounds *r, const char *scratch, const char *name, uint64_t seed,
                 bool watched);
void rounds_done(struct rounds *r);

/* From now on in a new, empty directory. */
void rounds_renew(struct rounds *r);

/*
 * Start `argv`, hand its messages to `take` until some number of them came and a moment passed, and
 * kill it; hand on the others that it had told; then see to the power.
 *
 * take     false: it is wrong, and r->wrong says how.
 * want     SIZE_MAX draws that number: often a few, sometimes many, sometimes none.
 *
 * Returns  false when something was wrong; r->wrong says what.
 */
MUST_USE bool rounds_next(struct rounds *r, const char *const *argv, uint64_t want,
                          bool (*take)(void *ctx, uint32_t kind, struct str message), void *ctx);

/* Of all directories. */
struct power_view rounds_power(const struct rounds *r);

/* What happened, as a comment of TAP. */
void rounds_print(const struct rounds *r);
