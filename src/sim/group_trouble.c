/*
 * group_trouble: what goes wrong in a group from time to time.
 */
#include <stddef.h>
#include <string.h>

#include "sim/disk.h"
#include "sim/group_state.h"

enum { SPACE_GONE_US_MAX = 1500000, CLOCK_MS_MAX = 3000 };

struct member *trouble_victim(struct group *g, struct rng *r)
{
    struct member *leader = group_leader(g);
    if (leader && rng_chance(r, 300))
        return leader;
    return &g->member[rng_range(r, 1, g->number_last)];
}

static struct member *anybody(struct group *g)
{
    return trouble_victim(g, &g->sim->crashes);
}

static void restart(void *ctx, uint64_t life)
{
    struct member *m = ctx;
    if (life != m->life || m->up || m->away)
        return;
    lost_damage(m);
    member_start(m);
}

void trouble_start_later(struct member *m)
{
    struct group *g = m->group;
    sim_after(g->sim,
              sim_between(&g->sim->crashes, 1000, UINT64_C(1000) * g->faults.restart_ms + 1000),
              restart, m, m->life);
}

void trouble_crash(struct member *m)
{
    if (!m->up)
        return;
    member_stop(m);
    trouble_start_later(m);
}

static void crash(struct group *g)
{
    trouble_crash(anybody(g));
}

static void crash_all(struct group *g)
{
    for (uint32_t i = 1; i <= g->number_last; i++)
        trouble_crash(&g->member[i]);
}

/* A write failed: the node stops, and somebody starts it again. */
static void disk_dies(struct group *g)
{
    g->sim->stats.disk_errors++;
    trouble_crash(anybody(g));
}

static void space_comes_back(void *ctx, uint64_t arg)
{
    (void)arg;
    ((struct member *)ctx)->log->disk->full = false;
}

static void space_is_gone(struct group *g)
{
    struct member *m = anybody(g);
    m->log->disk->full = true;
    sim_after(g->sim, sim_between(&g->sim->crashes, 1000, SPACE_GONE_US_MAX), space_comes_back, m,
              0);
}

static void go_on(void *ctx, uint64_t life)
{
    struct member *m = ctx;
    if (life == m->life && m->up)
        member_run(m);
}

static void pause_one(struct group *g)
{
    struct member *m = anybody(g);
    if (m->up) {
        uint64_t us = sim_between(&g->sim->crashes, 10000, UINT64_C(1000) * g->faults.pause_ms);
        sim_trace(g->sim, "member %u is paused", m->number);
        g->sim->stats.pauses++;
        m->paused_until = g->sim->now_us + us;
        sim_after(g->sim, us, go_on, m, m->life);
    }
}

static void clock_goes_on(void *ctx, uint64_t life)
{
    struct member *m = ctx;
    if (life != m->life || !m->up || m->clock_rate)
        return;
    member_clock(m, m->clock_usual);
    member_run(m);
}

/* It stands for a while, or leaps ahead; it never goes back. */
static void clock_goes_wrong(struct group *g)
{
    struct rng *r = &g->sim->extra;
    struct member *m = trouble_victim(g, r);
    uint64_t ms = rng_range(r, 1, CLOCK_MS_MAX);
    if (!m->up || m->clock_rate == 0)
        return;
    if (rng_chance(r, 400)) {
        sim_trace(g->sim, "the clock of member %u leaps", m->number);
        g->sim->stats.clock_leaps++;
        m->clock_base_ms += ms;
        member_run(m);
        return;
    }
    sim_trace(g->sim, "the clock of member %u stands", m->number);
    g->sim->stats.clock_stops++;
    member_clock(m, 0);
    sim_after(g->sim, 1000 * ms, clock_goes_on, m, m->life);
}

/* Somebody else wants it too, and it is one at a time. */
static void transfer_again(struct group *g, struct member *m)
{
    struct fault why;
    uint32_t to = (uint32_t)rng_range(&g->sim->extra, 1, g->number_last);
    enum status s = raft_transfer(m->raft, to, &why);
    if (s != ST_CONFLICT)
        sim_fail(g->sim, "member %u hands over to two: %s", m->number, status_code(s));
    g->sim->stats.transfer_conflicts++;
}

static void transfer(struct group *g)
{
    struct member *m = group_leader(g);
    struct fault why;
    if (m && !m->installing) {
        uint32_t to = (uint32_t)rng_range(&g->sim->crashes, 1, g->number_last);
        enum status s = raft_transfer(m->raft, to, &why);
        sim_trace(g->sim, "member %u hands over to %u: %s", m->number, to, status_code(s));
        g->sim->stats.transfers += s == ST_OK;
        if (s == ST_OK)
            transfer_again(g, m);
        member_run(m);
    }
}

/* --- members come and go --- */

static void add_one(struct group *g, struct raft_members *w)
{
    if (g->number_last + 1 >= g->faults.members_max || w->count > 8)
        return;
    struct member *m = member_new(g);
    bool witness = rng_chance(&g->sim->crashes, 150);
    uint32_t flags =
        (witness ? RAFT_WITNESS : 0) | (rng_chance(&g->sim->crashes, 700) ? RAFT_JOINS : 0);
    raft_members_put(w, m->number, flags);
    m->witness = witness;
    member_start(m);
}

static void alter_one(struct group *g, struct raft_members *w)
{
    uint32_t at = (uint32_t)rng_below(&g->sim->crashes, w->count);
    uint32_t number = w->member[at].number, flags = w->member[at].flags;
    switch (rng_below(&g->sim->crashes, 3)) {
    case 0: raft_members_cut(w, number); break;
    case 1: raft_members_put(w, number, flags & RAFT_WITNESS); break; /* a learner */
    default: raft_members_put(w, number, (flags & RAFT_WITNESS) | RAFT_VOTES); break;
    }
}

static void change(struct group *g)
{
    struct member *m = group_leader(g);
    struct fault why;
    uint64_t index;
    if (m && !m->installing && !raft_members(m->raft)->joint) {
        struct raft_members wanted = *raft_members(m->raft);
        for (uint64_t i = rng_range(&g->sim->crashes, 1, 3); i > 0 && wanted.count; i--) {
            if (wanted.count < 3 || rng_chance(&g->sim->crashes, 400))
                add_one(g, &wanted);
            else
                alter_one(g, &wanted);
        }
        enum status s = lost_any(g) && !lost_bearable(g, &wanted, 0)
                            ? ST_UNAVAILABLE
                            : raft_change(m->raft, &wanted, &index, &why);
        sim_trace(g->sim, "member %u changes the members: %s", m->number, status_code(s));
        member_run(m);
    }
}

/* --- from time to time --- */

static const struct trouble {
    size_t every_ms; /* where in struct group_faults the mean time between two is */
    void (*strike)(struct group *g);
} troubles[] = {
    {offsetof(struct group_faults, crash_every_ms), crash},
    {offsetof(struct group_faults, crash_all_every_ms), crash_all},
    {offsetof(struct group_faults, disk_dies_every_ms), disk_dies},
    {offsetof(struct group_faults, no_space_every_ms), space_is_gone},
    {offsetof(struct group_faults, pause_every_ms), pause_one},
    {offsetof(struct group_faults, split_every_ms), links_split},
    {offsetof(struct group_faults, transfer_every_ms), transfer},
    {offsetof(struct group_faults, change_every_ms), change},
    {offsetof(struct group_faults, bad_every_ms), bad_strike},
    {offsetof(struct group_faults, flap_every_ms), links_flap},
    {offsetof(struct group_faults, slow_link_every_ms), links_slow},
    {offsetof(struct group_faults, reset_every_ms), links_reset},
    {offsetof(struct group_faults, clock_every_ms), clock_goes_wrong},
    {offsetof(struct group_faults, lose_every_ms), lost_disk},
    {offsetof(struct group_faults, lie_every_ms), lost_lie},
};

static void strike(void *ctx, uint64_t index);

/* After a time that is uniform in (0, 2 * mean]. */
static void strike_later(struct group *g, uint64_t index)
{
    uint32_t every_ms;
    memcpy(&every_ms, (const char *)&g->faults + troubles[index].every_ms, sizeof every_ms);
    if (every_ms)
        sim_after(g->sim, rng_below(&g->sim->crashes, UINT64_C(2000) * every_ms) + 1, strike, g,
                  index);
}

static void strike(void *ctx, uint64_t index)
{
    struct group *g = ctx;
    if (g->calm)
        return;
    troubles[index].strike(g);
    strike_later(g, index);
}

void trouble_start(struct group *g)
{
    for (uint64_t i = 0; i < ARRAY_COUNT(troubles); i++)
        strike_later(g, i);
}
