/*
 * group_trouble: what goes wrong in a group from time to time.
 */
#include <stddef.h>
#include <string.h>

#include "sim/disk.h"
#include "sim/group_state.h"

enum { SPACE_GONE_US_MAX = 1500000 };

static struct member *anybody(struct group *g)
{
    struct member *leader = group_leader(g);
    if (leader && rng_chance(&g->sim->crashes, 300))
        return leader;
    return &g->member[rng_range(&g->sim->crashes, 1, g->number_last)];
}

static void restart(void *ctx, uint64_t life)
{
    struct member *m = ctx;
    if (life == m->life && !m->up)
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

static void heal(void *ctx, uint64_t arg)
{
    struct group *g = ctx;
    (void)arg;
    sim_trace(g->sim, "the network is whole");
    net_heal(&g->net);
}

/* One way or both; halves, one alone, or halves with a bridge. */
static void split(struct group *g)
{
    struct rng *r = &g->sim->crashes;
    uint64_t all = ((UINT64_C(1) << g->number_last) - 1) << 1;
    uint64_t a = rng_next(r) & all;
    if (rng_chance(r, 400))
        a = UINT64_C(1) << anybody(g)->number;
    uint64_t b = all & ~a;
    if (rng_chance(r, 200))
        b &= ~(UINT64_C(1) << rng_range(r, 1, g->number_last));
    bool both = rng_chance(r, 600);
    sim_trace(g->sim, "cut %" PRIx64 " %s %" PRIx64, a, both ? "from" : "to", b);
    g->sim->stats.splits++;
    net_split(&g->net, a, b, both);
    sim_after(g->sim, sim_between(r, 1000, UINT64_C(1000) * g->faults.split_ms), heal, g, 0);
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
        enum status s = raft_change(m->raft, &wanted, &index, &why);
        sim_trace(g->sim, "member %u changes the members: %s", m->number, status_code(s));
        member_run(m);
    }
}

/* --- what a sound member never says --- */

static void break_message(struct group *g, struct member *m, struct raft_message *b,
                          struct raft_entry *e)
{
    struct rng *r = &g->sim->crashes;
    struct raft_view v = raft_view(m->raft);
    *b = (struct raft_message){.type = RAFT_APPEND, .to = m->number, .term = v.term + 1};
    b->from = m->number == 1 ? 2 : 1;
    *e = (struct raft_entry){1, 1, RAFT_ENTRY_NOOP, NULL};
    switch (rng_below(r, 12)) {
    case 0: b->type = (enum raft_message_type)(RAFT_MESSAGE_TYPE_COUNT + rng_below(r, 9)); break;
    case 1: b->from = m->number; break;
    case 2: b->from = 0; break;
    case 3: b->to = m->number + 1; break;
    case 4: b->term = 0; break;
    case 5: b->index = UINT64_MAX - rng_below(r, 3), b->log_term = 1; break;
    case 6: b->log_term = b->term + 1, b->index = 1; break;
    case 7: b->entries = e, b->count = 1, e->index = 2; break;
    case 8: b->entries = e, b->count = 1, e->term = b->term + 1; break;
    case 9: b->entries = e, b->count = 1, e->type = RAFT_ENTRY_COMMAND; break;
    case 10: b->type = RAFT_VOTE, b->entries = e, b->count = 1; break;
    default: /* committed long ago, and other */
        b->index = v.commit, b->log_term = raft_term_at(m->raft, v.commit);
        if (v.commit && b->log_term && v.commit > v.first)
            b->log_term += 1, b->term += 1;
        else
            b->term = 0;
    }
}

static void say_what_cannot_be(struct group *g)
{
    struct member *m = anybody(g);
    struct raft_message b;
    struct raft_entry e;
    struct fault why;
    if (member_awake(m) && !m->installing) {
        struct raft_view before = raft_view(m->raft);
        break_message(g, m, &b, &e);
        g->sim->stats.bad++;
        if (raft_step(m->raft, &b, &why) == ST_OK)
            sim_fail(g->sim, "member %u takes a message that cannot be", m->number);
        struct raft_view after = raft_view(m->raft);
        if (after.term != before.term || after.commit != before.commit ||
            after.last != before.last || after.role != before.role || after.leader != before.leader)
            sim_fail(g->sim, "member %u is changed by a message that it refused", m->number);
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
    {offsetof(struct group_faults, split_every_ms), split},
    {offsetof(struct group_faults, transfer_every_ms), transfer},
    {offsetof(struct group_faults, change_every_ms), change},
    {offsetof(struct group_faults, bad_every_ms), say_what_cannot_be},
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
