#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/units.h"

enum { LINE_MAX_BYTES = 600 };
#define WALL_START_NS (UINT64_C(1700000000) * UNITS_NS_PER_S)

struct event {
    struct heap_item due;
    sim_fn *fn;
    void *ctx;
    uint64_t arg;
    bool owned; /* ctx is freed with it */
};

static void event_free(struct event *e)
{
    if (e->owned)
        free(e->ctx);
    free(e);
}

static uint64_t now_ms(struct clock *c)
{
    return sim_now_ms(CONTAINER_OF(c, struct sim, clock));
}

static uint64_t wall_ns(struct clock *c)
{
    struct sim *s = CONTAINER_OF(c, struct sim, clock);
    int64_t offset_ns = s->wall_offset_ms * (int64_t)UNITS_NS_PER_MS;
    return WALL_START_NS + s->now_us * 1000 + (uint64_t)offset_ns;
}

static void fill(struct entropy *e, void *out, size_t len)
{
    struct sim *s = CONTAINER_OF(e, struct sim, entropy);
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)rng_next(&s->secrets);
}

void sim_init(struct sim *s, uint64_t seed, bool print)
{
    struct rng root = {seed};
    *s = (struct sim){.seed = seed, .print = print, .hash = HASH_FNV_START};
    s->clock = (struct clock){now_ms, now_ms, wall_ns};
    s->entropy = (struct entropy){fill};
    s->now_us = 1000000; /* so that no time is 0 */
    heap_init(&s->queue);
    s->world = rng_fork(&root);
    s->disk = rng_fork(&root);
    s->guests = rng_fork(&root);
    s->client = rng_fork(&root);
    s->secrets = rng_fork(&root);
    s->crashes = rng_fork(&root);
    struct rng choices = rng_fork(&root);
    faults_choose(&s->faults, &choices);
    s->extra = rng_fork(&root);
}

void sim_done(struct sim *s)
{
    for (struct heap_item *it; (it = heap_first(&s->queue));) {
        heap_cut(&s->queue, it);
        event_free(CONTAINER_OF(it, struct event, due));
    }
    heap_done(&s->queue);
}

uint64_t sim_now_ms(const struct sim *s)
{
    return s->now_us / 1000;
}

static void put(struct sim *s, uint64_t delay_us, struct event what)
{
    struct event *e = NEW(struct event);
    *e = what;
    heap_put(&s->queue, &e->due, s->now_us + delay_us);
}

void sim_after(struct sim *s, uint64_t delay_us, sim_fn *fn, void *ctx, uint64_t arg)
{
    put(s, delay_us, (struct event){.fn = fn, .ctx = ctx, .arg = arg});
}

void sim_after_owned(struct sim *s, uint64_t delay_us, sim_fn *fn, void *payload)
{
    put(s, delay_us, (struct event){.fn = fn, .ctx = payload, .owned = true});
}

bool sim_next(struct sim *s, uint64_t until_us)
{
    struct heap_item *it = heap_first(&s->queue);
    if (!it || it->key > until_us) {
        s->now_us = MAX(s->now_us, until_us);
        return false;
    }
    struct event *e = CONTAINER_OF(it, struct event, due);
    heap_cut(&s->queue, it);
    s->now_us = it->key;
    s->events++;
    e->fn(e->ctx, e->arg);
    event_free(e);
    return true;
}

void sim_trace(struct sim *s, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    int n = snprintf(line, sizeof line, "%10" PRIu64 " ", s->now_us);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
    va_end(ap);
    struct str text = str_from(line);
    s->hash = hash_fnv(s->hash, text.ptr, text.len);
    if (s->print)
        (void)puts(line);
}

void sim_fail(struct sim *s, const char *fmt, ...)
{
    if (s->failed)
        return;
    s->failed = true;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(s->why, sizeof s->why, fmt, ap);
    va_end(ap);
    sim_trace(s, "FAILED %s", s->why);
}

uint64_t sim_between(struct rng *r, uint64_t min, uint64_t max)
{
    return rng_range(r, min, max);
}
