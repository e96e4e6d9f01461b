/*
 * replicate: a leader's side of replication (thesis, sections 3.5 and 10.2).
 *
 * A peer's log is probed with empty appends until it is known where it matches; from then on entries are
 * sent without waiting for answers, as far as the window allows. Every heartbeat is an append too, with the
 * last index sent before it: if something was lost, it is refused, and probing begins again.
 */
#include <stdlib.h>

#include "raft/state.h"

/* --- peers --- */

struct raft_peer *raft_peer_find(const struct raft *r, uint32_t number)
{
    for (size_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].number == number)
            return &r->peers[i];
    return NULL;
}

void raft_peers_done(struct raft *r)
{
    for (size_t i = 0; i < r->peer_count; i++)
        free(r->peers[i].sent);
    free(r->peers);
    r->peers = NULL;
    r->peer_count = 0;
}

static struct raft_peer new_peer(const struct raft *r, uint32_t number)
{
    return (struct raft_peer){
        .number = number,
        .flow = RAFT_PROBE,
        .next = raft_log_last(&r->log) + 1,
        .beat = true,
        .active = true,
        .heard_ms = r->now_ms,
        .sent = NEW_ARRAY(struct raft_sent, r->config.window_messages),
    };
}

/* The peers are the members in force; what is known of one is kept. */
void raft_peers_renew(struct raft *r)
{
    const struct raft_members *m = raft_members(r);
    struct raft_peer *now = NEW_ARRAY(struct raft_peer, m->count + 1);
    for (uint32_t i = 0; i < m->count; i++) {
        struct raft_peer *was = raft_peer_find(r, m->member[i].number);
        now[i] = was ? *was : new_peer(r, m->member[i].number);
        if (was)
            was->sent = NULL;
    }
    raft_peers_done(r);
    r->peers = now;
    r->peer_count = m->count;
}

void raft_lead(struct raft *r)
{
    r->role = RAFT_LEADER;
    r->leader = r->config.self;
    r->transfer = 0;
    r->read_number = 0;
    r->read_sent = false;
    r->election_ms = r->now_ms + r->config.election_ms;
    r->beat_ms = r->now_ms + r->config.heartbeat_ms;
    raft_peers_renew(r);
    raft_count_uncommitted(r);
    /* Entries of older terms are committed only by one of the own term after them. */
    r->term_start = raft_log_last(&r->log) + 1;
    raft_lead_append(r, RAFT_ENTRY_NOOP, NULL);
}

static bool is_self(const struct raft *r, const struct raft_peer *p)
{
    return p->number == r->config.self;
}

/* --- what goes out --- */

void raft_beat(struct raft *r)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        r->peers[i].beat = true;
        r->peers[i].asked = false;
    }
}

/* What all full voters hold, and those who are to become some, so that a witness need not keep it. While a
 * configuration is not committed, those of the one before may still have to lead. */
static uint64_t kept(const struct raft *r)
{
    const struct raft_members *m = raft_members(r);
    uint64_t least = raft_log_last(&r->log);
    if (r->configs[r->config_count - 1].index > r->commit)
        return r->kept;
    for (uint32_t i = 0; i < m->count; i++)
        if (raft_members_leads(m, m->member[i].number) || m->member[i].flags & RAFT_JOINS)
            least = MIN(least, is_self(r, &r->peers[i]) ? r->persisted : r->peers[i].match);
    return least;
}

static bool window_open(const struct raft *r, const struct raft_peer *p)
{
    return p->sent_count < r->config.window_messages && p->sent_bytes < r->config.window_bytes;
}

static void window_push(struct raft *r, struct raft_peer *p, const struct raft_message *m)
{
    size_t bytes = 0;
    for (size_t i = 0; i < m->count; i++)
        bytes += raft_entry_len(&m->entries[i]);
    uint32_t at = (p->sent_head + p->sent_count++) % r->config.window_messages;
    p->sent[at] = (struct raft_sent){m->index + m->count, bytes};
    p->sent_bytes += bytes;
}

static void window_free(struct raft *r, struct raft_peer *p, uint64_t index)
{
    while (p->sent_count && p->sent[p->sent_head].last <= index) {
        p->sent_bytes -= p->sent[p->sent_head].bytes;
        p->sent_head = (p->sent_head + 1) % r->config.window_messages;
        p->sent_count--;
    }
}

static void probe_from(struct raft *r, struct raft_peer *p, uint64_t next)
{
    p->flow = RAFT_PROBE;
    p->next = next;
    p->asked = false;
    p->beat = true;
    window_free(r, p, UINT64_MAX);
}

/* The log does not reach back to where it would match. */
static void offer(struct raft *r, struct raft_peer *p)
{
    p->flow = RAFT_SNAPSHOT;
    window_free(r, p, UINT64_MAX);
    raft_out(r, (struct raft_message){.type = RAFT_OFFER,
                                      .from = r->config.self,
                                      .to = p->number,
                                      .term = r->hard.term,
                                      .index = r->snapshot_index,
                                      .log_term = r->snapshot_term,
                                      .read = r->read_number});
}

static void append(struct raft *r, struct raft_peer *p, size_t count)
{
    r->kept = MAX(r->kept, kept(r));
    struct raft_message m = {
        .type = RAFT_APPEND,
        .from = r->config.self,
        .to = p->number,
        .term = r->hard.term,
        .index = p->next - 1,
        .log_term = raft_log_term(&r->log, p->next - 1),
        .commit = r->commit,
        .read = r->read_number,
        .kept = r->kept,
        .entries = count ? raft_log_at(&r->log, p->next) : NULL,
        .count = count,
    };
    p->next += count;
    if (count)
        window_push(r, p, &m);
    raft_out(r, m);
}

/* One message, if one is owed or due. */
static bool send_one(struct raft *r, struct raft_peer *p)
{
    bool back = p->next < r->log.first || (p->next == r->log.first && p->next > 1 &&
                                           raft_log_term(&r->log, p->next - 1) == 0);
    bool more = p->flow == RAFT_REPLICATE && p->next <= raft_log_last(&r->log) && window_open(r, p);
    bool probe = p->flow == RAFT_PROBE && !p->asked;
    if (!p->beat && !more && !probe)
        return false;
    p->beat = false;
    p->asked = true;
    r->read_sent = true;
    if (back || p->flow == RAFT_SNAPSHOT)
        offer(r, p);
    else
        append(r, p, more ? raft_batch(r, p->next, raft_log_last(&r->log)) : 0);
    return true;
}

void raft_send_appends(struct raft *r)
{
    if (r->role != RAFT_LEADER)
        return;
    for (size_t i = 0; i < r->peer_count; i++)
        while (!is_self(r, &r->peers[i]) && r->out_count < RAFT_OUT_MAX &&
               send_one(r, &r->peers[i]))
            ;
}

/* --- what comes back --- */

/* The last own entry at or before `index` whose term is not above `term`. */
static uint64_t agree(const struct raft *r, uint64_t index, uint64_t term)
{
    uint64_t at = MIN(index, raft_log_last(&r->log));
    while (at >= r->log.first && raft_log_term(&r->log, at) > term)
        at--;
    return at;
}

static void refused(struct raft *r, struct raft_peer *p, const struct raft_message *m)
{
    bool stale = m->index <= p->match || m->index >= p->next || p->flow == RAFT_SNAPSHOT ||
                 (p->flow == RAFT_PROBE && m->index != p->next - 1);
    if (stale)
        return;
    uint64_t at = agree(r, MIN(m->hint, m->index - 1), m->log_term);
    probe_from(r, p, MAX(at, p->match) + 1);
}

static void matched(struct raft *r, struct raft_peer *p, const struct raft_message *m)
{
    window_free(r, p, m->index);
    p->match = MAX(p->match, m->index);
    /* A probe was right, or a snapshot came in. */
    bool found = p->flow == RAFT_PROBE ? m->matched + 1 >= p->next : m->matched + 1 >= r->log.first;
    if (p->flow != RAFT_REPLICATE && found) {
        p->flow = RAFT_REPLICATE;
        p->next = m->matched + 1;
    }
    p->next = MAX(p->next, m->matched + 1);
}

void raft_on_appended(struct raft *r, const struct raft_message *m)
{
    struct raft_peer *p = r->role == RAFT_LEADER ? raft_peer_find(r, m->from) : NULL;
    if (!p || m->term != r->hard.term)
        return;
    p->active = true;
    p->heard_ms = r->now_ms;
    if (m->refused) {
        refused(r, p, m);
        return;
    }
    p->read = MAX(p->read, m->read);
    matched(r, p, m);
    raft_advance_commit(r);
    raft_transfer_step(r);
}

bool raft_quorum_active(struct raft *r)
{
    uint64_t value[RAFT_MEMBERS_MAX];
    for (size_t i = 0; i < r->peer_count; i++) {
        value[i] = is_self(r, &r->peers[i]) || r->peers[i].active;
        r->peers[i].active = false;
    }
    return raft_members_quorum(raft_members(r), value) == 1;
}

bool raft_peer_lately(const struct raft *r, const struct raft_peer *p)
{
    return r->now_ms <= p->heard_ms + r->config.election_ms;
}

bool raft_peer_view(const struct raft *r, uint32_t number, struct raft_peer_view *ret)
{
    const struct raft_peer *p = r->role == RAFT_LEADER ? raft_peer_find(r, number) : NULL;
    if (!p || is_self(r, p))
        return false;
    *ret = (struct raft_peer_view){
        .match = p->match,
        .next = p->next,
        .active = raft_peer_lately(r, p),
        .snapshot = p->flow == RAFT_SNAPSHOT,
        .window_messages = p->sent_count,
    };
    return true;
}
