#include "sim/group.h"

#include <stdlib.h>
#include <string.h>

#include "sim/disk.h"
#include "sim/group_state.h"

enum {
    CALM_US_MAX = 20000000, /* until all must have caught up */
    LOOK_US = 5000,
};

static const char *const profile_names[GROUP_PROFILE_COUNT] = {
    [GROUP_QUICK] = "quick",     [GROUP_SWARM] = "swarm",         [GROUP_MEMBERSHIP] = "membership",
    [GROUP_WITNESS] = "witness", [GROUP_BYZANTINE] = "byzantine", [GROUP_SCALE] = "scale",
    [GROUP_DISK] = "disk",
};

bool group_profile_find(const char *name, enum group_profile *ret)
{
    for (size_t i = 0; i < GROUP_PROFILE_COUNT; i++)
        if (strcmp(name, profile_names[i]) == 0) {
            *ret = (enum group_profile)i;
            return true;
        }
    return false;
}

const char *group_profile_name(enum group_profile p)
{
    return profile_names[p];
}

/* --- the beginning --- */

static uint32_t members_of(const struct group *g)
{
    return g->options.profile == GROUP_SCALE ? g->faults.members_max : g->faults.voters;
}

/* What simulated disks and journals go by. */
static void tell_disks(struct group *g)
{
    struct faults *d = &g->sim->faults;
    d->write_error = g->faults.write_error;
    d->sync_error = g->faults.sync_error;
    d->read_error = g->faults.read_error;
    d->crash_at_op_every = g->faults.crash_at_op_every;
    d->crash_in_recovery = g->faults.crash_in_recovery;
}

static void choose(struct group *g, struct rng *r, struct group_report *ret)
{
    const struct group_options *o = &g->options;
    struct group_faults *f = &g->faults;
    group_faults_choose(f, o->profile, r);
    group_faults_choose_more(f, o->profile, &g->sim->extra);
    if (o->profile == GROUP_DISK)
        f->crash_in_recovery = g->sim->faults.crash_in_recovery;
    group_faults_off(f, o->without);
    if (o->profile == GROUP_DISK)
        tell_disks(g);
    if (o->clients)
        f->clients = o->clients;
    if (o->members && o->profile == GROUP_SCALE)
        f->members_max = o->members;
    if (o->members)
        f->voters = o->profile == GROUP_SCALE ? MIN(f->voters, o->members) : o->members;
    f->witnesses = MIN(f->witnesses, f->voters - 1);
    *ret = (struct group_report){
        .on = group_faults_on(f), .members = members_of(g), .clients = f->clients};
}

static uint32_t first_flags(const struct group_faults *f, uint32_t number)
{
    if (number > f->voters)
        return 0;
    return number > f->voters - f->witnesses ? RAFT_VOTES | RAFT_WITNESS : RAFT_VOTES;
}

static void begin(struct group *g)
{
    uint32_t all = members_of(g);
    for (uint32_t i = 1; i <= all; i++)
        raft_members_put(&g->first, i, first_flags(&g->faults, i));
    g->ledger.members = g->ledger.counted = g->first;
    for (uint32_t i = 1; i <= all; i++) {
        struct member *m = member_new(g);
        m->witness = raft_members_find(&g->first, i)->flags & RAFT_WITNESS;
        member_start(m);
    }
    group_clients_start(g);
    trouble_start(g);
}

static void run_until(struct group *g, uint64_t until_us)
{
    group_watch(g); /* what was done between events */
    while (!g->sim->failed && sim_next(g->sim, until_us))
        group_watch(g);
}

static void phase_of_faults(struct group *g)
{
    struct sim *s = g->sim;
    uint64_t until_us = s->now_us + g->options.fault_ms * 1000;
    uint64_t most_us = until_us + (GROUP_FAULT_TIMES - 1) * g->options.fault_ms * 1000;
    while (!s->failed && (s->now_us < until_us ||
                          (s->stats.commands < g->options.commands_min && s->now_us < most_us)))
        run_until(g, MAX(until_us, s->now_us + 100000));
}

/* --- the end --- */

/* Is there a leader, and has everybody whom it leads what it has? */
static bool caught_up(struct group *g)
{
    struct member *leader = group_leader(g);
    if (!leader)
        return false;
    struct raft_view v = raft_view(leader->raft);
    const struct raft_members *all = raft_members(leader->raft);
    if (v.commit != v.last || all->joint || v.members_index > v.commit)
        return false;
    for (uint32_t i = 0; i < all->count; i++) {
        struct member *m = &g->member[all->member[i].number];
        if (!member_awake(m) || raft_view(m->raft).applied < v.commit)
            return false;
    }
    return true;
}

/* Wait until it is so; how long it took. */
static uint64_t wait_for(struct group *g, bool (*is)(struct group *g), const char *what)
{
    uint64_t began = g->sim->now_us;
    while (!g->sim->failed && !is(g)) {
        if (g->sim->now_us - began > CALM_US_MAX)
            sim_fail(g->sim, "Liveness: %u s after all was well: %s", CALM_US_MAX / 1000000, what);
        run_until(g, g->sim->now_us + LOOK_US);
    }
    return g->sim->now_us - began;
}

static bool leads(struct group *g)
{
    struct member *m = group_leader(g);
    return m && raft_view(m->raft).commit >= g->ledger.commit &&
           raft_term_at(m->raft, raft_view(m->raft).commit) == raft_view(m->raft).term;
}

static bool clients_idle(struct group *g)
{
    for (uint32_t i = 0; i < g->faults.clients; i++)
        if (g->client[i].busy)
            return false;
    return true;
}

/* Can the others elect one of them without it? */
static bool can_do_without(const struct member *m)
{
    const struct raft_members *all = raft_members(m->raft);
    uint32_t voters = 0, leaders = 0;
    for (uint32_t i = 0; i < all->count; i++) {
        voters += (all->member[i].flags & RAFT_VOTES) != 0;
        leaders += raft_members_leads(all, all->member[i].number);
    }
    return voters >= 3 && leaders >= 2;
}

static void calm(struct group *g)
{
    sim_trace(g->sim, "calm");
    g->calm = true;
    group_faults_stop(&g->faults);
    faults_stop(&g->sim->faults);
    g->net.faults = g->faults.net;
    net_heal(&g->net);
    memset(g->net.slow_us, 0, sizeof g->net.slow_us);
    for (uint32_t i = 1; i <= g->number_last; i++) {
        struct member *m = &g->member[i];
        m->paused_until = 0;
        if (m->log->disk) {
            sim_disk_thaw(m->log->disk);
            m->log->disk->full = false;
            if (m->log->disk->lies)
                sim_disk_honest(m->log->disk);
        }
        member_clock(m, 1000);
        if (m->up)
            member_run(m);
        else if (!m->away)
            member_start(m);
    }
}

enum { BURST = 64, BURSTS = 10, MESSAGES_MAX = 3 /* for an entry */ };

/* How many messages does an entry take when 64 are on their way at a time? */
static void burst(struct group *g)
{
    struct member *m = group_leader(g);
    uint64_t before = g->sim->stats.messages, index = 0, term;
    for (unsigned i = 0; m && i < BURSTS && !g->sim->failed; i++) {
        for (unsigned n = 0; n < BURST && m->up; n++) {
            /* As if a client had repeated what it was answered long ago. */
            AUTO(buf_done) struct buf b;
            buf_init(&b, 64);
            list_command_pack(&(struct list_command){0}, 0, &b);
            if (raft_propose(m->raft, raft_data_new(b.ptr, b.len), &index, &term, NULL) != ST_OK)
                return;
        }
        member_run(m);
        while (!g->sim->failed && g->ledger.commit < index)
            run_until(g, g->sim->now_us + 100);
    }
    g->sim->stats.burst_entries += BURST * BURSTS;
    g->sim->stats.burst_messages += g->sim->stats.messages - before;
    if (g->sim->stats.messages - before > MESSAGES_MAX * BURST * BURSTS)
        sim_fail(g->sim, "Livelock: %" PRIu64 " messages for %d entries",
                 g->sim->stats.messages - before, BURST * BURSTS);
}

/* Of those who could lead one alone is left: with the witnesses it is a majority. */
static void leave_one(struct group *g)
{
    uint32_t full = g->faults.voters - g->faults.witnesses;
    uint32_t left = (uint32_t)rng_range(&g->rng, 1, full);
    for (uint32_t i = 1; i <= full; i++) {
        struct member *m = &g->member[i];
        if (i == left)
            continue;
        if (m->up)
            member_stop(m);
        m->away = true;
    }
}

static void all_come_back(struct group *g)
{
    for (uint32_t i = 1; i <= g->number_last && !g->sim->failed; i++) {
        struct member *m = &g->member[i];
        if (m->away && !m->up)
            member_start(m);
        m->away = false;
    }
}

/* Has something that was sent or written before then, while things went wrong, yet to arrive or to become durable? */
static bool is_left(const struct group *g, uint64_t before_us)
{
    for (uint32_t i = 1; i <= g->number_last; i++) {
        const struct member *m = &g->member[i];
        if (m->up && m->disk_at_work && m->disk_from_us < before_us)
            return true;
    }
    return net_left(&g->net, before_us);
}

/* How long the group is without who leads it. */
static void replace_leader(struct group *g, struct member *leader, uint64_t calm_us)
{
    struct stats *st = &g->sim->stats;
    /* Heartbeats of the dead that come up to 2 s late keep others from an election. */
    bool left = is_left(g, calm_us);
    member_stop(leader);
    uint64_t us = wait_for(g, leads, "nobody leads in its place");
    if (!g->faults.alike) /* that it takes longer then is what timeouts differ for */
        stats_take(left ? &st->election_left_ms : &st->election_ms, us / 1000);
    if (!g->sim->failed)
        member_start(leader);
}

static void phase_of_calm(struct group *g)
{
    struct sim *s = g->sim;
    if (g->faults.witnesses)
        leave_one(g);
    calm(g);
    uint64_t calm_us = s->now_us;
    if (g->faults.witnesses) {
        IGNORE(wait_for(g, leads, "nobody leads with the witnesses alone"));
        all_come_back(g);
    }
    uint64_t us = wait_for(g, leads, "nobody leads");
    us += wait_for(g, caught_up, "somebody lags behind");
    if (!g->replacing) /* an operator takes his time */
        stats_take(&s->stats.heal_ms, us / 1000);
    struct member *leader = s->failed ? NULL : group_leader(g);
    if (leader && can_do_without(leader))
        replace_leader(g, leader, calm_us);
    g->asking = false;
    IGNORE(wait_for(g, clients_idle, "clients still ask"));
    IGNORE(wait_for(g, caught_up, "somebody lags behind at the end"));
    if (!s->failed)
        group_clients_check(g, group_leader(g)->state);
    if (!s->failed && g->faults.batch_entries > BURST && g->faults.batch_bytes > BURST * BURST &&
        g->faults.window_bytes > BURST * BURST)
        burst(g);
}

void group_run(struct sim *s, const struct group_options *o, struct group_report *ret)
{
    require(o->members < NET_MEMBERS_MAX && o->clients <= LISTS_CLIENTS_MAX);
    struct group *g = NEW(struct group);
    g->sim = s;
    g->options = *o;
    list_init(&g->parcels);
    struct rng choices = rng_fork(&s->world);
    g->rng = rng_fork(&s->disk);
    choose(g, &choices, ret);
    net_init(&g->net, s, member_deliver, g);
    g->net.faults = g->faults.net;
    g->net.watch = o->timeline ? group_watch_message : NULL;
    ledger_init(&g->ledger, s);
    uint64_t began_us = s->now_us;
    begin(g);
    phase_of_faults(g);
    ret->fault_ms = (s->now_us - began_us + 999) / 1000;
    if (!s->failed)
        phase_of_calm(g);
    s->stats.virtual_s = s->now_us / 1000000;
    s->stats.events = s->events;
    s->hash ^= g->ledger.commit;
    g->asking = false;
    for (uint32_t i = 1; i <= g->number_last; i++)
        member_done(&g->member[i]);
    group_parcels_done(g);
    ledger_done(&g->ledger);
    history_done(&g->history);
    net_done(&g->net);
    free(g);
}
