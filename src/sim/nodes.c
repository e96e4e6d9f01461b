#include "sim/nodes.h"

#include <stdlib.h>

#include "core/limits.h"
#include "sim/nodes_state.h"
#include "sim/settled.h"

enum { LOOK_US = 200000 };

void nodes_defaults(struct nodes_options *o)
{
    *o = (struct nodes_options){.fault_ms = 25000, .commands_min = 200, .calm_ms = 120000};
}

/* --- the beginning --- */

static void choose(struct nodes *all)
{
    struct sim *s = all->sim;
    struct rng r = rng_fork(&s->world);
    all->rng = rng_fork(&s->disk);
    struct group_faults *f = &all->faults;
    group_faults_choose(f, GROUP_DISK, &r);
    s->faults.write_error = f->write_error;
    s->faults.sync_error = f->sync_error;
    s->faults.read_error = f->read_error;
    s->faults.crash_at_op_every = f->crash_at_op_every;
    f->voters = (uint32_t)rng_range(&r, 1, 5);
    f->members_max = NODES_MAX;
    f->bad_every_ms = rng_chance(&r, 500) ? (uint32_t)rng_range(&r, 20, 300) : 0;
    f->think_ms = (uint32_t)rng_range(&r, 100, 400);
    s->faults.deadline_ms = (uint32_t)rng_range(&r, 200, 3000);
    /* A command that is forgotten is carried out anew, and a list has its value elsewhere then. */
    struct limits all_kept;
    limits_default(&all_kept);
    s->faults.limits.done = all_kept.done;
    s->faults.limits.objects[OBJECT_PROJECT] = all_kept.objects[OBJECT_PROJECT];
    s->faults.limits.objects[OBJECT_NODE] = all_kept.objects[OBJECT_NODE];
    s->faults.limits.state_bytes = all_kept.state_bytes;
}

static void begin(struct nodes *all)
{
    uint32_t voters = all->faults.voters;
    bool witness = voters >= 3 && rng_chance(&all->rng, 300);
    for (uint32_t i = 1; i <= voters; i++)
        IGNORE(raft_members_put(&all->first, i,
                                RAFT_VOTES | (witness && i == voters ? RAFT_WITNESS : 0)));
    for (uint32_t i = 1; i <= voters; i++)
        nodes_member_start(nodes_member_new(all, witness && i == voters));
    nodes_clients_start(all);
    nodes_trouble_start(all);
}

static void run_until(struct nodes *all, uint64_t until_us)
{
    while (!all->sim->failed && sim_next(all->sim, until_us))
        for (uint32_t i = 1; i <= all->number_last; i++)
            nodes_member_arm(&all->member[i]); /* the event may have been something to a node */
}

static void phase_of_faults(struct nodes *all)
{
    struct sim *s = all->sim;
    uint64_t until_us = s->now_us + all->options.fault_ms * 1000;
    uint64_t most_us = until_us + 4 * all->options.fault_ms * 1000;
    while (!s->failed && (s->now_us < until_us ||
                          (s->stats.commands < all->options.commands_min && s->now_us < most_us)))
        run_until(all, MAX(until_us, s->now_us + 100000));
}

/* --- the end --- */

static void calm(struct nodes *all)
{
    struct sim *s = all->sim;
    sim_trace(s, "calm");
    all->calm = true;
    all->asking = false;
    group_faults_stop(&all->faults);
    faults_stop(&s->faults);
    all->net.faults = all->faults.net;
    net_heal(&all->net);
    for (uint32_t i = 1; i <= all->number_last; i++) {
        struct nodes_member *m = &all->member[i];
        m->disk.full = false;
        m->disk.crash_at_op = UINT64_MAX;
        m->paused_until = 0;
        /* Half of them begin anew: what a long life gets wrong is not mended by a start, and the other way round. */
        if (m->node && rng_chance(&s->crashes, 500))
            nodes_member_crash(m, false);
    }
}

/* Whoever was put out comes back, or what is its own would be nobody's. */
static void bring_back(struct nodes *all)
{
    struct nodes_member *leader = nodes_leader(all);
    if (!leader || node_members(leader->node)->joint)
        return;
    struct raft_members wanted = *node_members(leader->node);
    uint64_t index;
    for (uint32_t i = 1; i <= all->number_last; i++) {
        uint32_t kind = all->member[i].witness ? RAFT_WITNESS : 0;
        if (!raft_members_find(&wanted, i))
            IGNORE(raft_members_put(&wanted, i, RAFT_JOINS | kind));
    }
    if (!raft_members_eq(&wanted, node_members(leader->node)))
        IGNORE(node_change_members(leader->node, &wanted, &index, NULL));
}

static enum status check_member(struct nodes *all, struct nodes_member *m, uint64_t commit,
                                struct fault *why)
{
    if (!m->node || node_dead(m->node))
        return fault_set(why, ST_FAILED, "node %u does not run", m->number);
    if (!raft_members_find(node_members(nodes_leader(all)->node), m->number))
        return fault_set(why, ST_FAILED, "node %u is no member", m->number);
    uint64_t applied = node_view(m->node).raft.applied;
    if (applied < commit)
        return fault_set(why, ST_FAILED, "node %u is at entry %" PRIu64 " of %" PRIu64, m->number,
                         applied, commit);
    if (m->witness)
        return ST_OK;
    enum status s = settled(m->node, &m->vmm, &m->blob, why);
    return s == ST_OK ? s : fault_wrap(why, s, "node %u", m->number);
}

static enum status check_all(struct nodes *all, struct fault *why)
{
    struct nodes_member *leader = nodes_leader(all);
    if (!leader)
        return fault_set(why, ST_FAILED, "nobody leads");
    struct raft_view v = node_view(leader->node).raft;
    const struct raft_members *members = node_members(leader->node);
    if (v.commit != v.last || members->joint || v.members_index > v.commit)
        return fault_set(why, ST_FAILED, "the leader has something to commit");
    if (v.commit < all->answered || v.commit < all->applied)
        return fault_set(why, ST_FAILED,
                         "entry %" PRIu64 " was answered, and the leader is at %" PRIu64,
                         all->answered, v.commit);
    if (!nodes_clients_idle(all))
        return fault_set(why, ST_FAILED, "clients still ask");
    for (uint32_t i = 1; i <= all->number_last; i++) {
        enum status s = check_member(all, &all->member[i], v.commit, why);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

static void phase_of_calm(struct nodes *all)
{
    struct sim *s = all->sim;
    struct fault why = {.text = "nothing was looked at"};
    calm(all);
    uint64_t began_us = s->now_us;
    while (!s->failed && s->now_us < began_us + all->options.calm_ms * 1000) {
        bring_back(all);
        run_until(all, s->now_us + LOOK_US);
        if (!s->failed && check_all(all, &why) == ST_OK) {
            stats_take(&s->stats.heal_ms, (s->now_us - began_us) / 1000);
            nodes_clients_check(all, nodes_leader(all)->node);
            return;
        }
    }
    sim_fail(s, "Liveness: not calm after %" PRIu64 " s: %s", all->options.calm_ms / 1000,
             why.text);
}

void nodes_run(struct sim *s, const struct nodes_options *o)
{
    struct nodes *all = NEW(struct nodes);
    all->sim = s;
    all->options = *o;
    choose(all);
    net_init(&all->net, s, NULL, all);
    all->net.deliver_bytes = nodes_deliver;
    all->net.faults = all->faults.net;
    begin(all);
    phase_of_faults(all);
    if (!s->failed)
        phase_of_calm(all);
    s->stats.virtual_s = s->now_us / 1000000;
    s->stats.events = s->events;
    s->hash ^= all->hash_room > all->applied ? all->hash[all->applied] : 0;
    all->asking = false;
    for (uint32_t i = 1; i <= all->number_last; i++)
        nodes_member_done(&all->member[i]);
    nodes_clients_done(all);
    net_done(&all->net);
    free(all->hash);
    free(all->leader);
    free(all);
}
