/*
 * group_links: what goes wrong between members: cuts, links that flap or are slow, streams that break.
 */
#include "sim/group_state.h"

enum {
    FLAPS_MAX = 20,
    FLAP_US_MAX = 100000, /* half of one */
    SLOW_US_MAX = 400000, /* what a message takes longer */
    SLOW_FOR_US_MAX = 4000000,
};

static void heal(void *ctx, uint64_t arg)
{
    struct group *g = ctx;
    (void)arg;
    sim_trace(g->sim, "the network is whole");
    net_heal(&g->net);
}

static bool leads_alone(struct group *g, uint64_t a)
{
    struct member *leader = group_leader(g);
    return leader && a == UINT64_C(1) << leader->number;
}

/* One way or both; halves, one alone, or halves with a bridge. */
void links_split(struct group *g)
{
    struct rng *r = &g->sim->crashes;
    uint64_t all = ((UINT64_C(1) << g->number_last) - 1) << 1;
    uint64_t a = rng_next(r) & all;
    if (rng_chance(r, 400))
        a = UINT64_C(1) << trouble_victim(g, r)->number;
    uint64_t b = all & ~a;
    if (rng_chance(r, 200))
        b &= ~(UINT64_C(1) << rng_range(r, 1, g->number_last));
    bool both = rng_chance(r, 600);
    sim_trace(g->sim, "cut %" PRIx64 " %s %" PRIx64, a, both ? "from" : "to", b);
    g->sim->stats.splits++;
    g->sim->stats.one_way += !both;
    g->sim->stats.bridges += (a | b) != all;
    g->sim->stats.isolated += leads_alone(g, a);
    net_split(&g->net, a, b, both);
    sim_after(g->sim, sim_between(r, 1000, UINT64_C(1000) * g->faults.split_ms), heal, g, 0);
}

/* --- a link that comes and goes --- */

struct flap {
    struct group *g;
    uint64_t a, b;
    bool both;
    uint32_t left; /* changes to come; even: it is cut by the next */
};

static void flap_step(void *payload, uint64_t arg)
{
    struct flap f = *(struct flap *)payload;
    struct group *g = f.g;
    (void)arg;
    if (g->calm || f.left == 0)
        return;
    if (f.left % 2 == 0) {
        g->sim->stats.flaps++;
        net_split(&g->net, f.a, f.b, f.both);
    } else {
        net_heal(&g->net);
    }
    struct flap *next = NEW(struct flap);
    f.left--;
    *next = f;
    sim_after_owned(g->sim, sim_between(&g->sim->extra, 1000, FLAP_US_MAX), flap_step, next);
}

void links_flap(struct group *g)
{
    struct rng *r = &g->sim->extra;
    uint64_t all = ((UINT64_C(1) << g->number_last) - 1) << 1;
    struct flap *f = NEW(struct flap);
    *f = (struct flap){.g = g, .a = UINT64_C(1) << trouble_victim(g, r)->number};
    f->b = all & ~f->a;
    if (rng_chance(r, 500))
        f->b = UINT64_C(1) << rng_range(r, 1, g->number_last);
    f->both = rng_chance(r, 600);
    f->left = 2 * (uint32_t)rng_range(r, 1, FLAPS_MAX);
    sim_trace(g->sim, "links of %" PRIx64 " to %" PRIx64 " flap", f->a, f->b);
    sim_after_owned(g->sim, 1, flap_step, f);
}

/* --- a link that is slow --- */

static void fast_again(void *ctx, uint64_t link)
{
    struct group *g = ctx;
    g->net.slow_us[link / NET_MEMBERS_MAX][link % NET_MEMBERS_MAX] = 0;
}

/* One way. */
void links_slow(struct group *g)
{
    struct rng *r = &g->sim->extra;
    uint32_t from = trouble_victim(g, r)->number, to = trouble_victim(g, r)->number;
    g->net.slow_us[from][to] = (uint32_t)rng_range(r, 1000, SLOW_US_MAX);
    sim_trace(g->sim, "the link from %u to %u is slow", from, to);
    g->sim->stats.slow_links++;
    sim_after(g->sim, sim_between(r, 10000, SLOW_FOR_US_MAX), fast_again, g,
              (uint64_t)from * NET_MEMBERS_MAX + to);
}

/* --- a stream that breaks --- */

void links_reset(struct group *g)
{
    uint32_t a = trouble_victim(g, &g->sim->extra)->number;
    uint32_t b = trouble_victim(g, &g->sim->extra)->number;
    sim_trace(g->sim, "the stream between %u and %u breaks", a, b);
    g->sim->stats.resets++;
    net_reset(&g->net, a, b);
}
