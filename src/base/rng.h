/*
 * rng: reproducible numbers from a seed (SplitMix64, Steele, Lea, Flood 2014). Not for secrets.
 */
#pragma once

#include "base/defs.h"

struct rng {
    uint64_t s;
};

uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound);             /* [0, bound); bound > 0 */
uint64_t rng_range(struct rng *r, uint64_t min, uint64_t max); /* [min, max] */
bool rng_chance(struct rng *r, uint32_t per_mille);
struct rng rng_fork(struct rng *r); /* a stream of its own */
