/*
 * nodes_member: one machine of a cluster, its daemon and what ends it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sim/nodes_state.h"

enum { STEP_US_MAX = 300, RECOVERY_OPS = 12 };

bool nodes_member_awake(const struct nodes_member *m)
{
    return m->node && m->all->sim->now_us >= m->paused_until;
}

struct nodes_member *nodes_leader(struct nodes *all)
{
    struct nodes_member *best = NULL;
    uint64_t term = 0;
    for (uint32_t i = 1; i <= all->number_last; i++) {
        struct nodes_member *m = &all->member[i];
        if (!nodes_member_awake(m) || node_dead(m->node))
            continue;
        struct raft_view v = node_view(m->node).raft;
        if (v.role == RAFT_LEADER && v.term >= term) {
            best = m;
            term = v.term;
        }
    }
    return best;
}

/* --- what it sees, and says --- */

static void peers_send(struct peers *p, uint32_t to, struct str bytes)
{
    struct nodes_member *m = CONTAINER_OF(p, struct nodes_member, peers);
    m->all->sim->stats.messages++;
    if (to < NODES_MAX)
        net_send_bytes(&m->all->net, m->number, to, bytes);
}

static void applied(struct node_watch *w, const struct apply_result *r)
{
    struct nodes_member *m = CONTAINER_OF(w, struct nodes_member, watch);
    nodes_state_is(m->all, m, r->index, cluster_hash(node_cluster(m->node)));
    m->all->sim->stats.entries++;
}

static void check_start(void *ctx, const struct vmm_start *start)
{
    struct nodes_member *m = ctx;
    const char *uid = start->vm->meta->uid;
    struct object *o = cluster_find(node_cluster(m->node), OBJECT_VM, uid);
    const Pb__VmStatus *st = o ? object_vm(o)->status : NULL;
    if (!st || st->incarnation != start->incarnation || st->epoch != start->epoch ||
        st->phase != PB__VM_PHASE__VM_STARTING || st->node != node_number(m->node))
        sim_fail(m->all->sim,
                 "vm %s: incarnation %" PRIu64
                 " is started on node %u, which the state knows not of",
                 uid, start->incarnation, m->number);
    if (!sim_blob_has(&m->blob, start->image->digest))
        sim_fail(m->all->sim, "vm %s: its image's files are gone", uid);
}

/* --- life --- */

struct nodes_member *nodes_member_new(struct nodes *all, bool witness)
{
    require(all->number_last + 1 < NODES_MAX);
    struct nodes_member *m = &all->member[++all->number_last];
    *m = (struct nodes_member){
        .all = all,
        .number = all->number_last,
        .witness = witness,
        .life = 1,
        .booted = true,
        .peers = {peers_send},
    };
    sim_disk_init(&m->disk, all->sim);
    sim_vmm_init(&m->vmm, all->sim);
    sim_blob_init(&m->blob, all->sim);
    m->vmm.check_start = check_start;
    m->vmm.ctx = m;
    return m;
}

static void stop(struct nodes_member *m)
{
    struct sim *s = m->all->sim;
    sim_vmm_daemon_down(&m->vmm);
    sim_blob_daemon_down(&m->blob);
    m->life++;
    if (m->node) {
        struct node_view v = node_view(m->node);
        s->stats.truncations += v.raft.truncations;
        s->stats.snapshots += v.snapshots;
        s->stats.bad_refused += v.mails_refused;
        s->stats.joined += v.commands_joined;
        node_watch_cut(&m->watch);
        node_free(m->node);
    }
    journal_inline_close(m->journal);
    m->node = NULL;
    m->journal = NULL;
    m->step_at = m->paused_until = m->restores = 0;
    m->disk_at_work = false;
}

static void start_again(void *ctx, uint64_t life)
{
    struct nodes_member *m = ctx;
    if (life == m->life && !m->node)
        nodes_member_start(m);
}

static void start_later(struct nodes_member *m)
{
    uint64_t us =
        sim_between(&m->all->sim->crashes, 1000, UINT64_C(1000) * m->all->faults.restart_ms + 1000);
    sim_after(m->all->sim, us, start_again, m, m->life);
}

void nodes_member_crash(struct nodes_member *m, bool power)
{
    struct sim *s = m->all->sim;
    sim_trace(s, "node %u %s", m->number, power ? "loses its power" : "is killed");
    stop(m);
    if (power) {
        s->stats.power_cuts++;
        sim_disk_power_cut(&m->disk);
        sim_vmm_power_cut(&m->vmm);
        m->booted = true;
    } else {
        s->stats.kills++;
        sim_disk_thaw(&m->disk);
    }
    start_later(m);
}

void nodes_member_done(struct nodes_member *m)
{
    stop(m);
    sim_blob_done(&m->blob);
    sim_vmm_done(&m->vmm);
    sim_disk_done(&m->disk);
}

/* The disk froze in the middle of an operation: so it ends there. */
static void crash_at_disk(struct nodes_member *m)
{
    m->all->sim->stats.at_disk++;
    nodes_member_crash(m, !rng_chance(&m->all->sim->crashes, m->all->sim->faults.keep_cache));
}

/* --- a daemon that runs --- */

static void step(void *ctx, uint64_t life);
static void disk_work(void *ctx, uint64_t life);

static void arm_disk(struct nodes_member *m)
{
    struct sim *s = m->all->sim;
    const struct group_faults *f = &m->all->faults;
    if (m->disk_at_work || !journal_inline_waiting(m->journal))
        return;
    uint64_t us = sim_between(&s->disk, f->disk_us / 2, f->disk_us);
    if (rng_chance(&s->disk, f->slow_disk)) {
        s->stats.slow_syncs++;
        us += sim_between(&s->disk, 1000, UINT64_C(1000) * f->slow_disk_ms + 1000);
    }
    m->disk_at_work = true;
    sim_after(s, us, disk_work, m, m->life);
}

void nodes_member_arm(struct nodes_member *m)
{
    struct sim *s = m->all->sim;
    if (!m->node)
        return;
    arm_disk(m);
    uint64_t deadline_ms = node_deadline_ms(m->node);
    if (deadline_ms == UINT64_MAX)
        return;
    uint64_t at = MAX(deadline_ms * 1000, s->now_us + sim_between(&s->world, 1, STEP_US_MAX));
    at = MAX(at, m->paused_until);
    if (m->step_at && m->step_at <= at)
        return;
    m->step_at = at;
    sim_after(s, at - s->now_us, step, m, m->life);
}

/* What stopped a node by itself: its log, and nothing else. */
static void see_if_dead(struct nodes_member *m)
{
    struct sim *s = m->all->sim;
    if (!m->node || !node_dead(m->node))
        return;
    const struct fault *why = node_dead(m->node);
    if (why->status == ST_CORRUPT || why->status == ST_PRECONDITION)
        sim_fail(s, "node %u stopped: %s", m->number, why->text);
    sim_trace(s, "node %u is dead: %s", m->number, why->text);
    stop(m);
    sim_disk_thaw(&m->disk);
    start_later(m);
}

static void note_boot(struct nodes_member *m)
{
    struct node_view v = node_view(m->node);
    if (v.reconciled && v.news == 0)
        m->booted = false;
}

static void step(void *ctx, uint64_t life)
{
    struct nodes_member *m = ctx;
    struct sim *s = m->all->sim;
    if (life != m->life || m->step_at == 0 || s->now_us < m->step_at)
        return;
    m->step_at = 0;
    if (!nodes_member_awake(m)) {
        nodes_member_arm(m);
        return;
    }
    node_step(m->node);
    if (m->disk.frozen) {
        crash_at_disk(m);
        return;
    }
    nodes_look(m);
    note_boot(m);
    see_if_dead(m);
    nodes_member_arm(m);
}

static void disk_work(void *ctx, uint64_t life)
{
    struct nodes_member *m = ctx;
    struct sim *s = m->all->sim;
    if (life != m->life)
        return;
    if (!nodes_member_awake(m)) { /* it hears of it later */
        sim_after(s, m->paused_until - s->now_us, disk_work, m, life);
        return;
    }
    m->disk_at_work = false;
    size_t most = SIZE_MAX;
    if (m->all->faults.batch_max)
        most = 1 + (size_t)rng_below(&s->disk, m->all->faults.batch_max);
    IGNORE(journal_inline_run(m->journal, most));
    if (m->disk.frozen) {
        crash_at_disk(m);
        return;
    }
    nodes_look(m);
    nodes_member_arm(m);
}

void nodes_deliver(void *ctx, uint32_t from, uint32_t to, struct str bytes)
{
    struct nodes *all = ctx;
    struct nodes_member *m = &all->member[to];
    if (!m->number || !nodes_member_awake(m))
        return;
    node_receive(m->node, from, bytes);
    nodes_look(m);
    nodes_member_arm(m);
}

/* --- starts --- */

static void configure(struct nodes_member *m, struct node_config *c)
{
    static const struct raft_members nobody;
    struct nodes *all = m->all;
    struct sim *s = all->sim;
    node_config_default(c);
    c->limits = s->faults.limits;
    c->seed = rng_next(&all->rng);
    c->snapshot_entries = all->faults.snapshot_entries;
    c->snapshot_log_max = rng_range(&all->rng, 1 << 10, 32 << 10);
    c->trailing_entries = all->faults.trailing_entries;
    c->start_timeout_ms = 4000;
    c->backoff_min_ms = 100;
    c->backoff_max_ms = 3000;
    c->backoff_reset_ms = 10000;
    c->host_booted = m->booted;
    c->member = m->number;
    c->members = raft_members_find(&all->first, m->number) ? &all->first : &nobody;
    c->witness = m->witness;
    c->election_ms = all->faults.election_ms;
    c->heartbeat_ms = all->faults.heartbeat_ms;
}

static void make(struct nodes_member *m)
{
    struct sim *s = m->all->sim;
    struct node_config c;
    Pb__NodeFacts facts = PB__NODE_FACTS__INIT;
    char key[65], name[20];
    (void)snprintf(key, sizeof key, "%064x", m->number);
    (void)snprintf(name, sizeof name, "node-%u", m->number);
    configure(m, &c);
    facts.key = key;
    facts.has_cpus = facts.has_mem_mib = facts.has_feature_level_max = 1;
    facts.cpus = 64;
    facts.mem_mib = 1 << 20;
    facts.feature_level_max = CLUSTER_LEVEL_MAX;
    c.name = name;
    c.facts = &facts;
    struct node_ports ports = {
        .clock = &s->clock,
        .entropy = &s->entropy,
        .vmm = &m->vmm.port,
        .blob = &m->blob.port,
        .peers = &m->peers,
    };
    m->node = node_new(&c, &ports);
    m->watch = (struct node_watch){.applied = applied};
    node_watch_add(m->node, &m->watch);
}

static void arm_disk_crash(struct nodes_member *m, bool recovery)
{
    struct sim *s = m->all->sim;
    if (recovery && rng_chance(&s->crashes, s->faults.crash_in_recovery))
        sim_disk_crash_after(&m->disk, 1 + rng_below(&s->crashes, RECOVERY_OPS));
    else if (s->faults.crash_at_op_every)
        sim_disk_crash_after(&m->disk,
                             1 + rng_below(&s->crashes, 2u * s->faults.crash_at_op_every));
}

static enum status open_and_start(struct nodes_member *m, struct fault *why)
{
    struct sim *s = m->all->sim;
    struct journal_config jc = {.segment_size = s->faults.segment_bytes};
    s->entropy.fill(&s->entropy, jc.new_id, sizeof jc.new_id);
    struct log_load load = node_loader(m->node);
    m->disk.recovering = true;
    enum status st = journal_inline_open(&m->disk.port, &jc, &load, &m->journal, NULL, why);
    m->disk.recovering = false;
    return st == ST_OK ? node_start(m->node, journal_inline_log(m->journal), why) : st;
}

static void start_failed(struct nodes_member *m, enum status status, const struct fault *why)
{
    struct sim *s = m->all->sim;
    if (status == ST_CORRUPT || status == ST_INTERNAL || status == ST_UNSUPPORTED ||
        status == ST_PRECONDITION)
        sim_fail(s, "node %u does not start: %s", m->number, why->text);
    s->stats.refused_starts++;
    sim_trace(s, "node %u does not start: %s", m->number, why->text);
    stop(m);
    sim_disk_thaw(&m->disk);
    start_later(m);
}

void nodes_member_start(struct nodes_member *m)
{
    struct sim *s = m->all->sim;
    struct fault why;
    m->life++;
    s->stats.starts++;
    sim_vmm_daemon_up(&m->vmm, m->life);
    sim_blob_daemon_up(&m->blob, m->life);
    make(m);
    arm_disk_crash(m, true);
    enum status st = open_and_start(m, &why);
    if (m->disk.frozen) {
        s->stats.in_recovery++;
        crash_at_disk(m);
        return;
    }
    if (st != ST_OK) {
        start_failed(m, st, &why);
        return;
    }
    arm_disk_crash(m, false);
    struct node_view v = node_view(m->node);
    s->stats.restored += v.snapshot_index > 0;
    sim_trace(s, "node %u starts%s: term %" PRIu64 ", log to %" PRIu64, m->number,
              m->booted ? " after boot" : "", v.raft.term, v.raft.last);
    nodes_look(m);
    nodes_member_arm(m);
}
