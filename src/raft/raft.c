#include "raft/raft.h"

#include <stdlib.h>

#include "raft/state.h"

void raft_config_default(struct raft_config *c, uint32_t self)
{
    *c = (struct raft_config){
        .self = self,
        .election_ms = 400,
        .heartbeat_ms = 100,
        .uncommitted_bytes_max = 16 << 20,
        .batch_entries_max = 1024,
        .batch_bytes_max = 1 << 20,
        .window_messages = 64,
        .window_bytes = 8 << 20,
        .join_lag = 100,
    };
}

bool raft_holds_invariant(const struct raft *r)
{
    uint64_t last = raft_log_last(&r->log);
    return r->applied <= r->applying && r->applying <= MIN(r->commit, r->persisted) &&
           r->persisted <= r->given && r->given <= last && r->commit <= last &&
           r->log.first <= r->applied + 1 && raft_log_last_term(&r->log) <= r->hard.term &&
           r->hard_durable.term <= r->hard_given.term && r->hard_given.term <= r->hard.term &&
           r->matched <= last && r->config_count > 0 &&
           r->configs[r->config_count - 1].index <= last;
}

/* --- life --- */

static enum status check_entry(const struct raft *r, const struct raft_entry *e, uint64_t index,
                               const struct raft_snapshot *snapshot, struct fault *why)
{
    if (e->index != index)
        return fault_set(why, ST_CORRUPT, "entry %" PRIu64 " stands where %" PRIu64 " should",
                         e->index, index);
    if (e->term == 0 || e->term < raft_log_last_term(&r->log) || e->term > r->hard.term)
        return fault_set(why, ST_CORRUPT,
                         "entry %" PRIu64 " has term %" PRIu64 " after %" PRIu64
                         ", the log's is %" PRIu64,
                         e->index, e->term, raft_log_last_term(&r->log), r->hard.term);
    if (e->index == snapshot->index && e->term != snapshot->term)
        return fault_set(why, ST_CORRUPT,
                         "entry %" PRIu64 " has term %" PRIu64 ", in the snapshot %" PRIu64,
                         e->index, e->term, snapshot->term);
    if ((unsigned)e->type >= RAFT_ENTRY_TYPE_COUNT)
        return fault_set(why, ST_CORRUPT, "entry %" PRIu64 " is of unknown type %d", e->index,
                         (int)e->type);
    if ((e->type != RAFT_ENTRY_NOOP) != (e->data != NULL))
        return fault_set(why, ST_CORRUPT, "entry %" PRIu64 " has data against its type", e->index);
    return ST_OK;
}

static enum status load_entry(struct raft *r, const struct raft_entry *e,
                              const struct raft_snapshot *snapshot, struct fault *why)
{
    struct raft_entry own = *e;
    if (own.data)
        (void)raft_data_ref(own.data);
    raft_log_push(&r->log, own);
    if (e->type != RAFT_ENTRY_MEMBERS || e->index <= snapshot->index)
        return ST_OK;
    if (raft_configs_take(r, e, why) != ST_OK)
        return fault_wrap(why, ST_CORRUPT, "the log");
    return ST_OK;
}

static enum status load(struct raft *r, const struct raft_snapshot *snapshot,
                        const struct raft_entry *entries, size_t count, struct fault *why)
{
    uint64_t first = count ? entries[0].index : snapshot->index + 1;
    if (first == 0 || first > snapshot->index + 1)
        return fault_set(why, ST_CORRUPT,
                         "the log begins at entry %" PRIu64 ", the snapshot ends at %" PRIu64,
                         first, snapshot->index);
    /* The entry before the first is known only when it is the snapshot's own. */
    raft_log_init(&r->log, first, first == snapshot->index + 1 ? snapshot->term : 0);
    for (size_t i = 0; i < count; i++) {
        enum status s = check_entry(r, &entries[i], first + i, snapshot, why);
        if (s == ST_OK)
            s = load_entry(r, &entries[i], snapshot, why);
        if (s != ST_OK)
            return s;
    }
    if (raft_log_last(&r->log) < snapshot->index)
        return fault_set(why, ST_CORRUPT,
                         "the log ends at entry %" PRIu64 ", before the snapshot at %" PRIu64,
                         raft_log_last(&r->log), snapshot->index);
    return ST_OK;
}

static enum status load_first_members(struct raft *r, const struct raft_snapshot *snapshot,
                                      struct fault *why)
{
    static const struct raft_members nobody;
    const struct raft_members *m = snapshot->members ? snapshot->members : r->config.first;
    if (m && m->count && raft_members_check(m, why) != ST_OK)
        return fault_wrap(why, ST_CORRUPT, "the first members");
    raft_configs_add(r, snapshot->index, m ? m : &nobody);
    r->config.first = NULL; /* it was borrowed */
    return ST_OK;
}

enum status raft_new(const struct raft_config *c, uint64_t now_ms, const struct raft_hard *hard,
                     const struct raft_snapshot *snapshot, const struct raft_entry *entries,
                     size_t count, struct raft **ret, struct fault *why)
{
    require(c->self > 0 && c->batch_entries_max > 0 && c->election_ms > c->heartbeat_ms &&
            c->heartbeat_ms > 0 && c->window_messages > 0 && c->window_messages <= RAFT_WINDOW_MAX);
    if (snapshot->term > hard->term)
        return fault_set(why, ST_CORRUPT,
                         "the snapshot has term %" PRIu64 ", the log's is %" PRIu64, snapshot->term,
                         hard->term);
    struct raft *r = NEW(struct raft);
    r->config = *c;
    r->now_ms = now_ms;
    r->rng = (struct rng){c->seed};
    r->hard = r->hard_given = r->hard_durable = *hard;
    r->role = RAFT_FOLLOWER;
    r->log.first = 1;
    r->snapshot_index = snapshot->index;
    r->snapshot_term = snapshot->term;
    enum status s = load_first_members(r, snapshot, why);
    if (s == ST_OK)
        s = load(r, snapshot, entries, count, why);
    if (s != ST_OK) {
        raft_free(r);
        return s;
    }
    r->given = r->persisted = raft_log_last(&r->log);
    r->commit = r->applying = r->applied = r->matched = snapshot->index;
    raft_arm_election(r);
    ensure(raft_holds_invariant(r));
    *ret = r;
    return ST_OK;
}

void raft_free(struct raft *r)
{
    if (!r)
        return;
    raft_peers_done(r);
    raft_log_done(&r->log);
    free(r->configs);
    free(r->flight);
    free(r->post);
    free(r->out);
    free(r);
}

/* --- what all roles share --- */

void raft_post(struct raft *r, struct raft_message m)
{
    if (r->post_count == RAFT_POST_MAX)
        return;
    if (r->post_count == r->post_room) {
        r->post_room = MAX(2 * r->post_room, (size_t)8);
        r->post = mem_grow(r->post, r->post_room, sizeof *r->post);
    }
    m.from = r->config.self;
    if (m.term == 0)
        m.term = r->hard.term;
    r->post[r->post_count++] = m;
}

void raft_follow(struct raft *r, uint64_t term, uint32_t leader)
{
    require(term >= r->hard.term);
    bool same = term == r->hard.term;
    if (same && r->role == RAFT_FOLLOWER && r->leader == leader)
        return;
    if (!same) {
        r->hard = (struct raft_hard){.term = term};
        r->grant_due = false;
    }
    if (r->role == RAFT_LEADER)
        raft_peers_done(r);
    r->role = RAFT_FOLLOWER;
    r->leader = leader;
    r->transfer = 0;
    /* What is committed stands in the log of every leader to come. */
    r->matched = r->commit;
    r->read_seen = 0;
    r->answer_due = false;
    raft_arm_election(r);
}

/* Step by the type; the term is not below ours. */
static void step_current(struct raft *r, const struct raft_message *m)
{
    switch (m->type) {
    case RAFT_VOTE_ASK: raft_on_vote_ask(r, m); return;
    case RAFT_VOTE: raft_on_vote(r, m); return;
    case RAFT_APPEND: raft_on_append(r, m); return;
    case RAFT_OFFER: raft_on_offer(r, m); return;
    case RAFT_APPENDED: raft_on_appended(r, m); return;
    case RAFT_TAKE_OVER: raft_on_take_over(r, m); return;
    case RAFT_LEND: raft_on_lend(r, m); return;
    case RAFT_MESSAGE_TYPE_COUNT: break;
    }
    defs_unreachable("checked");
}

/* Its sender does not know that time went on: who campaigns or leads must learn it. */
static void step_old(struct raft *r, const struct raft_message *m)
{
    if (m->type == RAFT_APPEND || m->type == RAFT_OFFER)
        raft_post(r, (struct raft_message){
                         .type = RAFT_APPENDED, .to = m->from, .index = m->index, .refused = true});
    else if (m->type == RAFT_VOTE_ASK)
        raft_post(r, (struct raft_message){
                         .type = RAFT_VOTE, .to = m->from, .pre = m->pre, .refused = true});
}

/* Does a message of a higher term say that there is one? A pre-vote only asks whether there may be, and
 * while there is a leader nobody else's word is a reason to leave it. */
static bool is_new_term(const struct raft *r, const struct raft_message *m)
{
    if (m->term <= r->hard.term)
        return false;
    if (m->type == RAFT_VOTE_ASK)
        return !m->pre && (m->force || !raft_heard_lately(r));
    return !(m->type == RAFT_VOTE && m->pre && !m->refused);
}

enum status raft_step(struct raft *r, const struct raft_message *m, struct fault *why)
{
    enum status s = raft_check(r, m, why);
    if (s != ST_OK) {
        r->refused++;
        return s;
    }
    if (m->term < r->hard.term) {
        step_old(r, m);
        return ST_OK;
    }
    bool leads = m->type == RAFT_APPEND || m->type == RAFT_OFFER;
    if (is_new_term(r, m))
        raft_follow(r, m->term, leads ? m->from : 0);
    step_current(r, m);
    ensure(raft_holds_invariant(r));
    return ST_OK;
}

/* --- time --- */

void raft_arm_election(struct raft *r)
{
    r->election_ms = r->now_ms + r->config.election_ms + rng_below(&r->rng, r->config.election_ms);
}

static bool alone(const struct raft *r)
{
    const struct raft_members *m = raft_members(r);
    return m->count == 1 && raft_members_leads(m, r->config.self);
}

static void tick_leader(struct raft *r)
{
    if (r->transfer && r->now_ms >= r->transfer_ms)
        r->transfer = 0;
    if (r->now_ms >= r->beat_ms) {
        r->beat_ms = r->now_ms + r->config.heartbeat_ms;
        raft_beat(r);
    }
    if (r->now_ms < r->election_ms)
        return;
    r->election_ms = r->now_ms + r->config.election_ms;
    if (!raft_quorum_active(r))
        raft_follow(r, r->hard.term, 0);
}

void raft_tick(struct raft *r, uint64_t now_ms)
{
    require(now_ms >= r->now_ms);
    r->now_ms = now_ms;
    if (r->role == RAFT_LEADER) {
        tick_leader(r);
        raft_change_step(r);
    } else if (alone(r) ? r->role == RAFT_FOLLOWER : now_ms >= r->election_ms) {
        raft_arm_election(r);
        if (raft_may_ask(r))
            raft_precampaign(r);
        else
            raft_follow(r, r->hard.term, 0);
    }
    ensure(raft_holds_invariant(r));
}

uint64_t raft_deadline_ms(const struct raft *r)
{
    if (r->role != RAFT_LEADER) {
        if (alone(r))
            return r->role == RAFT_FOLLOWER ? r->now_ms : UINT64_MAX;
        bool waits = r->leader || raft_may_ask(r);
        return waits ? r->election_ms : UINT64_MAX;
    }
    uint64_t at = alone(r) ? UINT64_MAX : MIN(r->beat_ms, r->election_ms);
    return r->transfer ? MIN(at, r->transfer_ms) : at;
}

/* --- what was done --- */

void raft_persisted(struct raft *r, uint64_t token)
{
    require(token <= r->token_last);
    uint64_t before = r->persisted;
    while (r->flight_count && r->flight[r->flight_head].token <= token) {
        struct raft_given g = r->flight[r->flight_head++];
        if (--r->flight_count == 0)
            r->flight_head = 0;
        r->hard_durable = g.hard;
        r->persisted = MAX(r->persisted, g.index);
    }
    if (r->persisted > before && r->role == RAFT_FOLLOWER)
        r->answer_due = true;
    raft_vote_step(r);
    raft_advance_commit(r);
    ensure(raft_holds_invariant(r));
}

void raft_applied(struct raft *r, uint64_t index)
{
    require(index >= r->applied && index <= r->applying);
    r->applied = index;
}

const struct raft_entry *raft_entry_at(const struct raft *r, uint64_t index)
{
    return raft_log_at(&r->log, index);
}

uint64_t raft_term_at(const struct raft *r, uint64_t index)
{
    return raft_log_term(&r->log, index);
}

struct raft_view raft_view(const struct raft *r)
{
    return (struct raft_view){
        .role = r->role,
        .leader = r->leader,
        .transfer = r->transfer,
        .term = r->hard.term,
        .first = r->log.first,
        .last = raft_log_last(&r->log),
        .persisted = r->persisted,
        .commit = r->commit,
        .applied = r->applied,
        .kept = r->kept,
        .members_index = r->configs[r->config_count - 1].index,
        .uncommitted_bytes = r->uncommitted_bytes,
        .elections = r->elections,
        .truncations = r->truncations,
        .refused = r->refused,
    };
}
