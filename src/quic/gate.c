#include "quic/gate.h"

#include <string.h>

#include "base/hash.h"
#include "base/units.h"

void gate_init(struct gate *g, const uint8_t key[16])
{
    require(g->half_open_max > 0 && g->retry_above > 0 && g->per_source_s > 0);
    memcpy(g->key, key, sizeof g->key);
    g->answers = 0;
    memset(g->source, 0, sizeof g->source);
}

/* A bucket of per_s, refilled at per_s: kept as the time at which it is full again. */
static bool bucket_take(uint64_t *full_at, uint32_t per_s, uint64_t now_ns)
{
    uint64_t each = UNITS_NS_PER_S / per_s, at = MAX(*full_at, now_ns);
    if (at - now_ns > UNITS_NS_PER_S - each)
        return false;
    *full_at = at + each;
    return true;
}

enum gate_says gate_ask(struct gate *g, const struct quic_addr *from, uint32_t half_open,
                        bool validated, uint64_t now_ns)
{
    if (half_open >= g->half_open_max)
        return GATE_DROP;
    if (half_open >= g->retry_above && !validated)
        return GATE_RETRY;
    size_t prefix = from->ip.family == 4 ? 4 : 8;
    uint64_t *b = &g->source[hash_sip(g->key, from->ip.byte, prefix) % GATE_BUCKETS];
    if (bucket_take(b, g->per_source_s, now_ns))
        return GATE_TAKE;
    return validated ? GATE_DROP : GATE_RETRY;
}

bool gate_answer(struct gate *g, uint64_t now_ns)
{
    return bucket_take(&g->answers, GATE_ANSWERS_PER_S, now_ns);
}
