#include "base/rng.h"

uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
    require(bound > 0);
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)rng_next(r) * bound >> 64);
}

uint64_t rng_range(struct rng *r, uint64_t min, uint64_t max)
{
    require(min <= max);
    if (max - min == UINT64_MAX)
        return rng_next(r);
    return min + rng_below(r, max - min + 1);
}

bool rng_chance(struct rng *r, uint32_t per_mille)
{
    return rng_below(r, 1000) < per_mille;
}

struct rng rng_fork(struct rng *r)
{
    return (struct rng){rng_next(r)};
}
