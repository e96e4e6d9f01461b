/*
 * nodes_trouble: what goes wrong in a cluster from time to time.
 */
#include <string.h>

#include "port/peers.h"
#include "sim/nodes_state.h"

enum { BAD_BYTES_MAX = 200 };

/* The next time, uniform in (0, 2 * mean]. */
static void again_after(struct nodes *all, uint32_t every_ms, sim_fn *fn)
{
    if (every_ms)
        sim_after(all->sim, rng_below(&all->sim->crashes, UINT64_C(2000) * every_ms) + 1, fn, all,
                  0);
}

static struct nodes_member *anybody(struct nodes *all)
{
    struct nodes_member *leader = nodes_leader(all);
    if (leader && rng_chance(&all->sim->crashes, 300))
        return leader;
    return &all->member[rng_range(&all->sim->crashes, 1, all->number_last)];
}

static void crash(void *ctx, uint64_t arg)
{
    struct nodes *all = ctx;
    (void)arg;
    if (all->calm)
        return;
    struct nodes_member *m = anybody(all);
    bool power = rng_chance(&all->sim->crashes, 500);
    if (m->node)
        nodes_member_crash(m, power);
    again_after(all, all->faults.crash_every_ms, crash);
}

static void crash_all(void *ctx, uint64_t arg)
{
    struct nodes *all = ctx;
    (void)arg;
    if (all->calm)
        return;
    for (uint32_t i = 1; i <= all->number_last; i++)
        if (all->member[i].node)
            nodes_member_crash(&all->member[i], true);
    again_after(all, all->faults.crash_all_every_ms, crash_all);
}

static void pause_one(void *ctx, uint64_t arg)
{
    struct nodes *all = ctx;
    struct sim *s = all->sim;
    (void)arg;
    if (all->calm)
        return;
    struct nodes_member *m = anybody(all);
    if (m->node) {
        m->paused_until =
            s->now_us + sim_between(&s->crashes, 10000, UINT64_C(1000) * all->faults.pause_ms);
        s->stats.pauses++;
        sim_trace(s, "node %u is paused", m->number);
    }
    again_after(all, all->faults.pause_every_ms, pause_one);
}

static void heal(void *ctx, uint64_t arg)
{
    struct nodes *all = ctx;
    (void)arg;
    sim_trace(all->sim, "the network is whole");
    net_heal(&all->net);
}

static void split(void *ctx, uint64_t arg)
{
    struct nodes *all = ctx;
    struct rng *r = &all->sim->crashes;
    (void)arg;
    if (all->calm)
        return;
    uint64_t everybody = ((UINT64_C(1) << all->number_last) - 1) << 1;
    uint64_t a = rng_next(r) & everybody;
    if (rng_chance(r, 500))
        a = UINT64_C(1) << anybody(all)->number;
    uint64_t b = everybody & ~a;
    bool both = rng_chance(r, 600);
    sim_trace(all->sim, "cut %" PRIx64 " %s %" PRIx64, a, both ? "from" : "to", b);
    all->sim->stats.splits++;
    net_split(&all->net, a, b, both);
    sim_after(all->sim, sim_between(r, 1000, UINT64_C(1000) * all->faults.split_ms), heal, all, 0);
    again_after(all, all->faults.split_every_ms, split);
}

static void hand_over(void *ctx, uint64_t arg)
{
    struct nodes *all = ctx;
    struct nodes_member *m = nodes_leader(all);
    (void)arg;
    if (all->calm)
        return;
    if (m) {
        uint32_t to = (uint32_t)rng_range(&all->sim->crashes, 1, all->number_last);
        enum status s = node_hand_over(m->node, to, NULL);
        sim_trace(all->sim, "node %u hands over to %u: %s", m->number, to, status_code(s));
        all->sim->stats.transfers += s == ST_OK;
        nodes_member_arm(m);
    }
    again_after(all, all->faults.transfer_every_ms, hand_over);
}

static void space_comes_back(void *ctx, uint64_t arg)
{
    (void)arg;
    ((struct nodes_member *)ctx)->disk.full = false;
}

static void space_is_gone(void *ctx, uint64_t arg)
{
    struct nodes *all = ctx;
    (void)arg;
    if (all->calm)
        return;
    struct nodes_member *m = anybody(all);
    m->disk.full = true;
    sim_after(all->sim, sim_between(&all->sim->crashes, 1000, 1500000), space_comes_back, m, 0);
    again_after(all, all->faults.no_space_every_ms, space_is_gone);
}

static void vm_dies(void *ctx, uint64_t arg)
{
    struct nodes *all = ctx;
    (void)arg;
    if (all->calm)
        return;
    sim_vmm_some_dies(&anybody(all)->vmm);
    again_after(all, all->sim->faults.vm_death_every_ms, vm_dies);
}

/* --- members come and go --- */

static void add_one(struct nodes *all, struct raft_members *wanted)
{
    bool witness = rng_chance(&all->sim->crashes, 200);
    struct nodes_member *m = nodes_member_new(all, witness);
    IGNORE(raft_members_put(wanted, m->number, RAFT_JOINS | (witness ? RAFT_WITNESS : 0)));
    nodes_member_start(m);
}

/* Out, to learn only, or to vote. */
static void alter_one(struct nodes *all, struct raft_members *wanted)
{
    struct rng *r = &all->sim->crashes;
    uint32_t number = (uint32_t)rng_range(r, 1, all->number_last);
    uint32_t kind = all->member[number].witness ? RAFT_WITNESS : 0;
    switch (rng_below(r, 4)) {
    case 0: raft_members_cut(wanted, number); break;
    case 1: IGNORE(raft_members_put(wanted, number, kind)); break;
    default: IGNORE(raft_members_put(wanted, number, kind | RAFT_VOTES)); break;
    }
}

static void change(void *ctx, uint64_t arg)
{
    struct nodes *all = ctx;
    struct nodes_member *m = nodes_leader(all);
    uint64_t index;
    (void)arg;
    if (all->calm)
        return;
    if (m && !node_members(m->node)->joint) {
        struct raft_members wanted = *node_members(m->node);
        if (all->number_last + 1 < all->faults.members_max && rng_chance(&all->sim->crashes, 300))
            add_one(all, &wanted);
        else
            alter_one(all, &wanted);
        enum status s = node_change_members(m->node, &wanted, &index, NULL);
        sim_trace(all->sim, "node %u changes the members: %s", m->number, status_code(s));
        all->sim->stats.changes += s == ST_OK;
        nodes_member_arm(m);
    }
    again_after(all, all->faults.change_every_ms, change);
}

/* --- what a sound member never says --- */

static uint64_t odd_number(struct rng *r)
{
    uint64_t n = rng_next(r);
    return n >> rng_below(r, 64);
}

/* Of a kind that is no more than noise: whose lie would be believed is not among them. */
static void write_bad(struct rng *r, struct buf *out)
{
    static const enum mail_kind kinds[] = {MAIL_ASK, MAIL_CHUNK, MAIL_FORWARD, MAIL_FORWARDED};
    uint8_t noise[BAD_BYTES_MAX];
    size_t len = 1 + (size_t)rng_below(r, sizeof noise);
    for (size_t i = 0; i < len; i++)
        noise[i] = (uint8_t)rng_next(r);
    struct mail m = {.kind = kinds[rng_below(r, ARRAY_COUNT(kinds))]};
    uint64_t n[5];
    for (size_t i = 0; i < ARRAY_COUNT(n); i++)
        n[i] = MAX(odd_number(r), UINT64_C(1));
    struct str bytes = {(const char *)noise, len};
    if (m.kind == MAIL_ASK)
        m.ask = (struct mail_ask){n[0], n[1]};
    else if (m.kind == MAIL_CHUNK)
        m.chunk = (struct mail_chunk){n[0], n[1], n[2], n[3], n[4] & 1, bytes};
    else if (m.kind == MAIL_FORWARD)
        m.forward = (struct mail_forward){n[0], n[1], n[2], n[3], bytes};
    else
        m.forwarded = (struct mail_forwarded){n[0], n[1], n[2], n[3], n[4], ST_DENIED, STR("no")};
    mail_encode(&m, out);
    if (rng_chance(r, 500)) /* or no mail at all */
        for (size_t i = 0; i < out->len; i++)
            out->ptr[i] = (char)rng_next(r);
    if (out->ptr[1] == MAIL_RAFT || out->ptr[1] == MAIL_HASH)
        out->ptr[0] = 0;
}

static void say_what_cannot_be(void *ctx, uint64_t arg)
{
    struct nodes *all = ctx;
    (void)arg;
    if (all->calm)
        return;
    struct nodes_member *m = anybody(all);
    if (nodes_member_awake(m) && !node_dead(m->node)) {
        AUTO(buf_done) struct buf b;
        buf_init(&b, PEERS_MESSAGE_MAX);
        write_bad(&all->sim->crashes, &b);
        uint32_t from = (uint32_t)rng_range(&all->sim->crashes, 0, all->number_last);
        struct node_view before = node_view(m->node);
        node_receive(m->node, from, buf_view(&b));
        struct node_view after = node_view(m->node);
        all->sim->stats.bad++;
        if (node_dead(m->node) || before.raft.term != after.raft.term ||
            before.raft.last != after.raft.last || before.raft.commit != after.raft.commit ||
            before.applied_hash != after.applied_hash || before.raft.role != after.raft.role)
            sim_fail(all->sim, "node %u is changed by what no sound member says", m->number);
        nodes_member_arm(m);
    }
    again_after(all, all->faults.bad_every_ms, say_what_cannot_be);
}

void nodes_trouble_start(struct nodes *all)
{
    const struct group_faults *f = &all->faults;
    again_after(all, f->crash_every_ms, crash);
    again_after(all, f->crash_all_every_ms, crash_all);
    again_after(all, f->pause_every_ms, pause_one);
    again_after(all, f->split_every_ms, split);
    again_after(all, f->transfer_every_ms, hand_over);
    again_after(all, f->no_space_every_ms, space_is_gone);
    again_after(all, f->change_every_ms, change);
    again_after(all, f->bad_every_ms, say_what_cannot_be);
    again_after(all, all->sim->faults.vm_death_every_ms, vm_dies);
}
