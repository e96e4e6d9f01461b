#include "rpc/usage.h"

#include <stdlib.h>
#include <string.h>

#include "base/units.h"

enum {
    BUSY_WAIT_MS = 50, /* nobody knows when a call ends: a guess */
    FULL_WAIT_MS = 1000,
    DEBT_MAX_S = 30, /* below USAGE_FORGET_MS, so that whoever is forgotten owes nothing */
};
_Static_assert(DEBT_MAX_S * 1000 < USAGE_FORGET_MS, "");

void usage_init(struct usage *p, size_t method_count, uint32_t max)
{
    require(max > 0);
    map_init(&p->by_key);
    list_init(&p->idle);
    p->method_count = method_count;
    p->max = max;
}

static struct str key_of(const uint8_t key[KEY_PUBLIC_SIZE])
{
    return (struct str){(const char *)key, KEY_PUBLIC_SIZE};
}

void usage_done(struct usage *p)
{
    MAP_EACH(&p->by_key, key, v)
        free(v);
    map_done(&p->by_key);
}

static void forget(struct usage *p, struct usage_peer *v)
{
    require(v->calls == 0);
    list_cut(&v->idle);
    IGNORE(map_take(&p->by_key, key_of(v->key))); /* it is v */
    free(v);
}

static struct usage_peer *get_or_make(struct usage *p, const uint8_t key[KEY_PUBLIC_SIZE],
                                      uint64_t now_ms)
{
    struct usage_peer *v = map_find(&p->by_key, key_of(key));
    if (v)
        return v;
    if (p->by_key.count >= p->max) {
        if (list_empty(&p->idle))
            return NULL;
        forget(p, CONTAINER_OF(p->idle.next, struct usage_peer, idle));
    }
    v = mem_new(sizeof *v + p->method_count * sizeof v->use[0]);
    memcpy(v->key, key, KEY_PUBLIC_SIZE);
    v->idle_ms = now_ms;
    list_push(&p->idle, &v->idle);
    IGNORE(map_put(&p->by_key, key_of(key), v)); /* there was none */
    return v;
}

/* What n of a rate cost, as time in which they are earned. n and rate are below 2^32: no overflow. */
static uint64_t cost_ns(uint32_t rate, uint32_t n)
{
    return rate == 0 ? 0 : n * UNITS_NS_PER_S / rate;
}

/* How long to wait until the bucket, which holds a second's worth, has as much; 0: it has. */
static uint64_t wait_ns(uint64_t full_ns, uint64_t cost, uint64_t now_ns)
{
    uint64_t owed = full_ns > now_ns ? full_ns - now_ns : 0;
    uint64_t after = owed + MIN(cost, UNITS_NS_PER_S);
    return after > UNITS_NS_PER_S ? after - UNITS_NS_PER_S : 0;
}

static void charge(uint64_t *full_ns, uint64_t cost, uint64_t now_ns)
{
    uint64_t full = MAX(*full_ns, now_ns) + cost;
    *full_ns = MIN(full, now_ns + DEBT_MAX_S * UNITS_NS_PER_S);
}

enum status usage_enter(struct usage *p, const uint8_t key[KEY_PUBLIC_SIZE],
                        const struct rpc_method *m, size_t index, uint32_t bytes, uint64_t now_ms,
                        struct usage_peer **ret, uint32_t *ret_wait_ms, struct fault *why)
{
    require(index < p->method_count);
    struct usage_peer *v = get_or_make(p, key, now_ms);
    if (!v) {
        *ret_wait_ms = FULL_WAIT_MS;
        return fault_set(why, ST_LIMIT, "%zu peers have calls here already", p->by_key.count);
    }
    struct usage_method *u = &v->use[index];
    uint64_t now_ns = now_ms * UNITS_NS_PER_MS;
    uint64_t calls = cost_ns(m->per_s, 1), size = cost_ns(m->bytes_per_s, bytes);
    uint64_t wait = MAX(wait_ns(u->calls_ns, calls, now_ns), wait_ns(u->bytes_ns, size, now_ns));
    if (u->calls >= m->concurrent_max) {
        *ret_wait_ms = BUSY_WAIT_MS;
        return fault_set(why, ST_LIMIT, "%" PRIu32 " calls of %s are under way already", u->calls,
                         m->name);
    }
    if (wait > 0) {
        *ret_wait_ms = (uint32_t)(wait / UNITS_NS_PER_MS) + 1;
        return fault_set(why, ST_LIMIT, "calls of %s come too fast", m->name);
    }
    charge(&u->calls_ns, calls, now_ns);
    charge(&u->bytes_ns, size, now_ns);
    u->calls++;
    v->calls++;
    list_cut(&v->idle);
    *ret = v;
    return ST_OK;
}

void usage_leave(struct usage *p, struct usage_peer *v, size_t index, uint64_t now_ms)
{
    require(v->use[index].calls > 0 && v->calls > 0);
    v->use[index].calls--;
    if (--v->calls > 0)
        return;
    v->idle_ms = now_ms;
    list_push(&p->idle, &v->idle);
}

void usage_charge(struct usage_peer *v, const struct rpc_method *m, size_t index, size_t bytes,
                  uint64_t now_ms)
{
    charge(&v->use[index].bytes_ns, cost_ns(m->bytes_per_s, (uint32_t)MIN(bytes, UINT32_MAX)),
           now_ms * UNITS_NS_PER_MS);
}

void usage_step(struct usage *p, uint64_t now_ms)
{
    while (usage_deadline_ms(p) <= now_ms)
        forget(p, CONTAINER_OF(p->idle.next, struct usage_peer, idle));
}

uint64_t usage_deadline_ms(const struct usage *p)
{
    if (list_empty(&p->idle))
        return UINT64_MAX;
    return CONTAINER_OF(p->idle.next, struct usage_peer, idle)->idle_ms + USAGE_FORGET_MS;
}
