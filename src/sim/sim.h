/*
 * sim: virtual time, what happens in it, and the record of what happened.
 *
 * One thread. Everything that a run does follows from its seed: events are done in the order of
 * their time and, at equal times, of their making; every choice is drawn from one of its random
 * streams. Each event leaves a line in the trace, of which a hash is kept: two runs of a seed must
 * have the same hash, whatever compiled them.
 *
 * The first thing that must never be ends the run: sim_fail().
 */
#pragma once

#include "base/heap.h"
#include "base/rng.h"
#include "base/str.h"
#include "port/clock.h"
#include "port/entropy.h"
#include "sim/faults.h"
#include "sim/stats.h"

enum { SIM_WHY_MAX = 1000 };

struct sim {
    struct clock clock;     /* as the node sees it */
    struct entropy entropy; /* likewise */
    uint64_t seed;
    uint64_t now_us;
    struct heap queue;

    /* A stream for each concern, so that a change in one leaves the choices of the others. */
    struct rng world;   /* delays */
    struct rng disk;    /* faults of the disk */
    struct rng guests;  /* what VMs do */
    struct rng client;  /* what users do */
    struct rng secrets; /* entropy */
    struct rng crashes;
    struct rng
        extra; /* faults of groups that came after the others: a run without them stays as it was */

    struct faults faults;
    struct stats stats;

    int64_t wall_offset_ms; /* of the wall clock, jumps */

    bool print;
    uint64_t hash, events;
    bool failed;
    char why[SIM_WHY_MAX];
};

void sim_init(struct sim *s, uint64_t seed, bool print);
void sim_done(struct sim *s);

uint64_t sim_now_ms(const struct sim *s);

/* Call fn(ctx, arg) after so many microseconds. */
typedef void sim_fn(void *ctx, uint64_t arg);
void sim_after(struct sim *s, uint64_t delay_us, sim_fn *fn, void *ctx, uint64_t arg);

/* The same, for a payload that is ours from now on and freed after the call. */
void sim_after_owned(struct sim *s, uint64_t delay_us, sim_fn *fn, void *payload);

/* Do the next event, unless it comes after until_us: then time stands there. */
bool sim_next(struct sim *s, uint64_t until_us);

void sim_trace(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
void sim_fail(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Random, from a stream: microseconds in [min, max]. */
uint64_t sim_between(struct rng *r, uint64_t min, uint64_t max);
