#include "http/guard.h"

#include <string.h>

#include "base/hash.h"

enum { AHEAD_MAX_MS = GUARD_BURST * GUARD_STEP_MS, IPV6_PREFIX = 8 };

void guard_init(struct guard *g, const uint8_t seed[16])
{
    memset(g, 0, sizeof *g);
    memcpy(g->seed, seed, sizeof g->seed);
}

struct ip guard_party(const struct ip *from)
{
    struct ip party;
    memset(&party, 0, sizeof party);
    party.family = from->family;
    memcpy(party.byte, from->byte, from->family == 4 ? 4 : IPV6_PREFIX);
    return party;
}

static bool same(const struct ip *a, const struct ip *b)
{
    return a->family == b->family && memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

static size_t set_of(const struct guard *g, const struct ip *party)
{
    return hash_sip(g->seed, party, sizeof *party) % GUARD_SETS;
}

uint64_t guard_wait_ms(const struct guard *g, const struct ip *from, uint64_t now_ms)
{
    struct ip party = guard_party(from);
    const struct guard_slot *set = g->slot[set_of(g, &party)];
    for (size_t i = 0; i < GUARD_WAYS; i++)
        if (same(&set[i].from, &party) && set[i].even_ms > now_ms + AHEAD_MAX_MS - GUARD_STEP_MS)
            return set[i].even_ms - now_ms - (AHEAD_MAX_MS - GUARD_STEP_MS);
    return 0;
}

void guard_failed(struct guard *g, const struct ip *from, uint64_t now_ms)
{
    struct ip party = guard_party(from);
    struct guard_slot *set = g->slot[set_of(g, &party)], *s = &set[0];
    for (size_t i = 0; i < GUARD_WAYS; i++) {
        if (same(&set[i].from, &party)) {
            s = &set[i];
            break;
        }
        if (set[i].even_ms < s->even_ms)
            s = &set[i];
    }
    if (!same(&s->from, &party))
        *s = (struct guard_slot){.from = party};
    s->even_ms = MAX(s->even_ms, now_ms) + GUARD_STEP_MS;
}
