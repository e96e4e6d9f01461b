/*
 * group_member: a member of a group: the core, and around it what a node does for it.
 */
#include <stdlib.h>

#include "sim/group_state.h"
#include "sim/journal_log.h"
#include "sim/platter_log.h"

enum { SNAPSHOT_FAILS = 200 }; /* per mille of transfers, while things go wrong */

/* --- clocks --- */

static uint64_t local_ms(const struct member *m)
{
    uint64_t us = m->group->sim->now_us - m->clock_base_us;
    return m->clock_base_ms + us * m->clock_rate / 1000000;
}

/* In microseconds of everybody's. */
static uint64_t until_ms(const struct member *m, uint64_t at_ms)
{
    uint64_t now = local_ms(m);
    return at_ms <= now ? 0 : (at_ms - now) * 1000000 / m->clock_rate + 1;
}

void member_clock(struct member *m, uint32_t rate)
{
    m->clock_base_ms = local_ms(m);
    m->clock_base_us = m->group->sim->now_us;
    m->clock_rate = rate;
}

bool member_awake(const struct member *m)
{
    return m->up && m->group->sim->now_us >= m->paused_until;
}

/* --- life --- */

struct member *member_new(struct group *g)
{
    require(g->number_last + 1 < NET_MEMBERS_MAX);
    struct member *m = &g->member[++g->number_last];
    *m = (struct member){.group = g, .number = g->number_last, .clock_rate = 1000};
    m->log = g->options.profile == GROUP_DISK ? journal_log_new(g->sim) : platter_log_new();
    list_init(&m->waits);
    return m;
}

static void configure(struct member *m, struct raft_config *c)
{
    struct group *g = m->group;
    raft_config_default(c, m->number);
    c->seed = rng_next(&g->rng);
    c->election_ms = g->faults.election_ms;
    c->heartbeat_ms = g->faults.heartbeat_ms;
    c->batch_entries_max = g->faults.batch_entries;
    c->batch_bytes_max = g->faults.batch_bytes;
    c->window_messages = g->faults.window_messages;
    c->window_bytes = g->faults.window_bytes;
    c->uncommitted_bytes_max = g->faults.uncommitted_bytes;
    if (g->faults.alike)
        c->seed = g->sim->seed;
    c->first = raft_members_find(&g->first, m->number) ? &g->first : NULL;
}

static void close_log(struct member *m)
{
    bool power = m->log->ops->close(m->log, &m->group->rng);
    sim_trace(m->group->sim, "member %u %s", m->number, power ? "loses its power" : "crashes");
    m->group->sim->stats.power_cuts += power;
    m->group->sim->stats.kills += !power;
    if (power)
        lost_liar(m);
}

/* false: the disk failed, and another start will follow. */
static bool open_log(struct member *m)
{
    struct group *g = m->group;
    struct fault why;
    enum status s = m->log->ops->open(m->log, &why);
    if (s == ST_OK)
        return true;
    sim_trace(g->sim, "member %u does not start: %s", m->number, why.text);
    if (m->log->damaged && (s == ST_CORRUPT || s == ST_UNSUPPORTED)) {
        g->sim->stats.damage_refused++;
        (void)m->log->ops->close(m->log, &g->rng);
        lost_for_good(m);
        return false;
    }
    if (s == ST_CORRUPT || s == ST_INTERNAL || s == ST_UNSUPPORTED)
        sim_fail(g->sim, "member %u does not start: %s", m->number, why.text);
    close_log(m);
    trouble_start_later(m);
    return false;
}

void member_start(struct member *m)
{
    struct group *g = m->group;
    const struct platter *p = &m->log->durable;
    const struct platter_snapshot *ps = &p->snapshot;
    struct raft_config c;
    struct fault why;
    require(!m->up);
    if (m->lost || !open_log(m))
        return;
    m->clock_rate = (uint32_t)rng_range(&g->rng, g->faults.clock_min, g->faults.clock_max);
    m->clock_usual = m->clock_rate;
    m->started_us = g->sim->now_us;
    m->clock_base_us = g->sim->now_us;
    m->clock_base_ms = rng_below(&g->rng, 1000000);
    configure(m, &c);
    struct raft_snapshot s = {ps->index, ps->term, ps->index ? &ps->members : NULL};
    if (raft_new(&c, local_ms(m), &p->hard, &s, p->entry, p->count, &m->raft, &why) != ST_OK) {
        sim_fail(g->sim, "member %u does not start: %s", m->number, why.text);
        return;
    }
    m->state = ps->state ? lists_copy(ps->state) : lists_new();
    m->up = true;
    m->life++;
    m->disk_at_work = m->saving = m->installing = m->fetching = false;
    m->wake_at = m->paused_until = 0;
    g->sim->stats.starts++;
    g->sim->stats.restored += ps->index > 0;
    sim_trace(g->sim, "member %u starts: term %" PRIu64 ", log to %" PRIu64, m->number,
              p->hard.term, platter_last(p));
    ledger_started(&g->ledger, m);
    ledger_look(&g->ledger, m);
    member_run(m);
}

static void lose_waits(struct member *m)
{
    while (!list_empty(&m->waits))
        group_lose(CONTAINER_OF(m->waits.next, struct group_wait, item));
}

void member_stop(struct member *m)
{
    struct group *g = m->group;
    if (!m->up)
        return;
    struct raft_view v = raft_view(m->raft);
    g->sim->stats.truncations += v.truncations;
    g->sim->stats.bad_refused += v.refused;
    g->sim->stats.install_crashes += m->installing;
    g->sim->stats.joint_crashes += raft_members(m->raft)->joint;
    raft_free(m->raft);
    lists_free(m->state);
    m->raft = NULL;
    m->state = NULL;
    m->up = false;
    m->life++;
    close_log(m);
    lose_waits(m);
}

void member_done(struct member *m)
{
    member_stop(m);
    m->log->ops->free(m->log);
}

/* --- the log --- */

static void disk_work(void *ctx, uint64_t life);

static void arm_disk(struct member *m)
{
    struct group *g = m->group;
    if (m->disk_at_work || m->log->ops->waiting(m->log) == 0)
        return;
    uint64_t us = sim_between(&g->rng, g->faults.disk_us / 2, g->faults.disk_us);
    if (rng_chance(&g->rng, g->faults.slow_disk)) {
        g->sim->stats.slow_syncs++;
        us += sim_between(&g->rng, 1000, UINT64_C(1000) * g->faults.slow_disk_ms + 1000);
    }
    m->disk_at_work = true;
    m->disk_from_us = g->sim->now_us;
    sim_after(g->sim, us, disk_work, m, m->life);
}

/* A snapshot is durable: of the own state, or of a peer's. */
static void saved(struct member *m, uint64_t index)
{
    struct group *g = m->group;
    const struct platter_snapshot *ps = &m->log->durable.snapshot;
    m->saving = false;
    if (!m->installing) {
        ledger_saved(&g->ledger, m, index);
        uint64_t first = raft_keep_from(m->raft, index, g->faults.trailing_entries, UINT64_MAX / 2);
        raft_compact(m->raft, index, first);
        m->log->ops->compact(m->log, first);
        g->sim->stats.snapshots++;
        return;
    }
    m->installing = false;
    struct raft_snapshot s = {ps->index, ps->term, &ps->members};
    uint64_t changed = raft_view(m->raft).members_index;
    bool dropped = changed > s.index && raft_term_at(m->raft, s.index) != s.term;
    g->sim->stats.undone_by_snapshot +=
        (dropped || changed <= s.index) &&
        !ledger_committed(&g->ledger, changed, raft_term_at(m->raft, changed));
    raft_restore(m->raft, &s);
    lists_free(m->state);
    m->state = ps->state ? lists_copy(ps->state) : lists_new();
    ledger_restored(&g->ledger, m, ps->index, ps->term, ps->state ? m->state->hash : 0);
    g->sim->stats.installs++;
}

static void disk_work(void *ctx, uint64_t life)
{
    struct member *m = ctx;
    struct group *g = m->group;
    if (life != m->life)
        return;
    if (!member_awake(m)) { /* it hears of it later */
        sim_after(g->sim, m->paused_until - g->sim->now_us, disk_work, m, life);
        return;
    }
    m->disk_at_work = false;
    size_t most =
        g->faults.batch_max ? 1 + (size_t)rng_below(&g->rng, g->faults.batch_max) : SIZE_MAX;
    struct platter_done d;
    if (!m->log->ops->run(m->log, most, &d)) {
        trouble_crash(m);
        return;
    }
    if (d.token)
        raft_persisted(m->raft, d.token);
    if (d.snapshot_index)
        saved(m, d.snapshot_index);
    ledger_look(&g->ledger, m);
    arm_disk(m);
    member_run(m);
}

/* --- snapshots --- */

static void save_own(struct member *m)
{
    struct raft_view v = raft_view(m->raft);
    bool witness = m->witness;
    /* A log that is opened tells nothing of what its snapshot covers, and a witness may have to tell of what not
     * all full voters hold. */
    uint64_t index = witness ? MIN(v.applied, v.kept) : v.applied;
    if (m->saving || m->installing ||
        index < m->log->durable.snapshot.index + m->group->faults.snapshot_entries)
        return;
    m->saving = true;
    m->log->ops->save(m->log, index, raft_term_at(m->raft, index), raft_members_at(m->raft, index),
                      witness ? NULL : lists_copy(m->state));
}

/* On its way from one member to another. */
struct parcel {
    struct list item; /* of the group's */
    struct member *to;
    uint64_t life;
    bool lost;
    struct platter_snapshot snapshot;
};

static void crash(void *ctx, uint64_t life)
{
    struct member *m = ctx;
    if (life == m->life && !m->group->calm)
        trouble_crash(m);
}

static void unpack(void *payload, uint64_t arg)
{
    struct parcel *p = payload;
    struct member *m = p->to;
    (void)arg;
    list_cut(&p->item);
    bool there = p->life == m->life && member_awake(m) && !p->lost;
    if (p->life == m->life)
        m->fetching = false;
    if (there && !m->saving && raft_may_restore(m->raft, p->snapshot.index, p->snapshot.term)) {
        sim_trace(m->group->sim, "member %u installs a snapshot of entry %" PRIu64, m->number,
                  p->snapshot.index);
        m->saving = m->installing = true;
        m->log->ops->save(m->log, p->snapshot.index, p->snapshot.term, &p->snapshot.members,
                          m->witness ? NULL : p->snapshot.state);
        if (!m->witness)
            p->snapshot.state = NULL;
        arm_disk(m);
        if (rng_chance(&m->group->sim->extra, m->group->faults.crash_in_install))
            sim_after(m->group->sim,
                      rng_below(&m->group->sim->extra, 2u * m->group->faults.disk_us), crash, m,
                      m->life);
    }
    lists_free(p->snapshot.state);
}

/* A leader offers its snapshot, and the other fetches it. */
static void fetch(struct member *from, uint32_t number)
{
    struct group *g = from->group;
    struct member *to = &g->member[number];
    const struct platter_snapshot *s = &from->log->durable.snapshot;
    if (!member_awake(to) || to->fetching || !s->state || g->net.cut[from->number][number])
        return;
    to->fetching = true;
    struct parcel *p = NEW(struct parcel);
    *p = (struct parcel){.to = to,
                         .life = to->life,
                         .lost = !g->calm && rng_chance(&g->rng, SNAPSHOT_FAILS),
                         .snapshot = *s};
    p->snapshot.state = lists_copy(s->state);
    list_push(&g->parcels, &p->item);
    sim_after_owned(g->sim, sim_between(&g->rng, 1000, 100000), unpack, p);
}

void group_parcels_done(struct group *g)
{
    LIST_EACH(it, &g->parcels)
        lists_free(CONTAINER_OF(it, struct parcel, item)->snapshot.state);
}

/* --- what is ready --- */

static void send(struct member *m, const struct raft_message *message)
{
    struct group *g = m->group;
    ledger_sent(&g->ledger, m, message);
    g->sim->stats.messages++;
    if (message->type == RAFT_OFFER)
        fetch(m, message->to);
    net_send(&g->net, message);
}

static void answer_waits(struct member *m, const struct raft_entry *e)
{
    LIST_EACH(it, &m->waits) {
        struct group_wait *w = CONTAINER_OF(it, struct group_wait, item);
        if (w->read.number || w->index > e->index)
            continue;
        bool same = w->index == e->index && w->term == e->term;
        if (same)
            group_answer(w, ledger_position(&m->group->ledger, w->client->command.value), m->state);
        else
            group_lose(w);
    }
}

static void trace_members(struct member *m, const struct raft_entry *e)
{
    struct raft_members all;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 600);
    if (raft_members_decode((struct str){e->data->bytes, e->data->len}, &all, NULL) != ST_OK) {
        sim_fail(m->group->sim, "entry %" PRIu64 " tells of no members", e->index);
        return;
    }
    for (uint32_t i = 0; i < all.count; i++)
        buf_fmt(&text, " %u:%x", all.member[i].number, all.member[i].flags);
    sim_trace(m->group->sim, "member %u: entry %" PRIu64 ":%s members%.*s", m->number, e->index,
              all.joint ? " joint" : "", (int)text.len, text.ptr);
}

static void apply(struct member *m, const struct raft_entry *e)
{
    struct group *g = m->group;
    struct list_command c;
    uint64_t value = 0;
    bool witness = m->witness;
    if (e->type == RAFT_ENTRY_COMMAND && !witness) {
        if (!list_command_unpack((struct str){e->data->bytes, e->data->len}, &c))
            sim_fail(g->sim, "entry %" PRIu64 " is no command of a client's", e->index);
        else if (lists_apply(m->state, &c))
            value = c.value;
    }
    if (e->type == RAFT_ENTRY_MEMBERS)
        g->sim->stats.changes++;
    ledger_applied(&g->ledger, m, e, witness ? 0 : m->state->hash, value);
    raft_applied(m->raft, e->index);
    answer_waits(m, e);
}

static void answer_reads(struct member *m)
{
    LIST_EACH(it, &m->waits) {
        struct group_wait *w = CONTAINER_OF(it, struct group_wait, item);
        if (!w->read.number)
            continue;
        enum raft_confirmed c = raft_confirmed(m->raft, &w->read);
        uint64_t applied = raft_view(m->raft).applied;
        if (c == RAFT_CONFIRM_LOST)
            group_lose(w);
        else if (c == RAFT_CONFIRMED && applied >= w->read.index)
            group_answer(w, applied, m->state);
    }
}

static void wake(void *ctx, uint64_t life)
{
    struct member *m = ctx;
    if (life != m->life || m->wake_at != m->group->sim->now_us)
        return;
    m->wake_at = 0;
    member_run(m);
}

static void arm(struct member *m)
{
    struct group *g = m->group;
    uint64_t deadline = raft_deadline_ms(m->raft);
    arm_disk(m);
    if (deadline == UINT64_MAX || m->installing || m->clock_rate == 0)
        return;
    uint64_t at = MAX(g->sim->now_us + until_ms(m, deadline), m->paused_until);
    at = MAX(at, g->sim->now_us + 1);
    if (m->wake_at && m->wake_at <= at && m->wake_at > g->sim->now_us)
        return;
    m->wake_at = at;
    sim_after(g->sim, at - g->sim->now_us, wake, m, m->life);
}

void member_run(struct member *m)
{
    struct group *g = m->group;
    struct raft_ready rd;
    if (!member_awake(m) || m->installing || g->sim->failed)
        return;
    raft_tick(m->raft, local_ms(m));
    ledger_look(&g->ledger, m);
    while (!m->installing && raft_ready(m->raft, &rd)) {
        for (size_t i = 0; i < rd.append_count; i++)
            if (rd.append[i].type == RAFT_ENTRY_MEMBERS)
                trace_members(m, &rd.append[i]);
        if (rd.token) {
            ledger_made(&g->ledger, m, &rd);
            m->log->ops->append(m->log, &rd);
        }
        for (size_t i = 0; i < rd.message_count; i++)
            send(m, &rd.messages[i]);
        for (size_t i = 0; i < rd.apply_count && !g->sim->failed; i++)
            apply(m, &rd.apply[i]);
        if (g->sim->failed)
            return;
    }
    answer_reads(m);
    save_own(m);
    arm(m);
}

void member_deliver(void *group, const struct raft_message *message, uint64_t sent_us)
{
    struct group *g = group;
    struct member *m = &g->member[message->to];
    struct fault why;
    if (!m->number || !member_awake(m) || m->installing)
        return;
    raft_tick(m->raft, local_ms(m));
    g->sim->stats.stale += sent_us < m->started_us;
    sim_trace(g->sim, "%u -> %u type %d term %" PRIu64 " index %" PRIu64 " +%zu%s", message->from,
              message->to, (int)message->type, message->term, message->index, message->count,
              message->refused ? " refused" : "");
    if (raft_step(m->raft, message, &why) != ST_OK)
        sim_fail(g->sim, "member %u refuses what a sound one sent: %s", m->number, why.text);
    ledger_look(&g->ledger, m);
    member_run(m);
}

struct member *group_leader(struct group *g)
{
    struct member *best = NULL;
    uint64_t term = 0;
    for (uint32_t i = 1; i <= g->number_last; i++) {
        struct member *m = &g->member[i];
        if (!member_awake(m))
            continue;
        struct raft_view v = raft_view(m->raft);
        if (v.role == RAFT_LEADER && v.term >= term) {
            best = m;
            term = v.term;
        }
    }
    return best;
}
