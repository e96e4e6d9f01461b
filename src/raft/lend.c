/*
 * lend: a witness never leads, but may hold committed entries that nobody else is left to tell of. It gives
 * them to who would lead and lacks them.
 *
 * To take over entries of a log that is more up to date than the own is what appends of that log's leader
 * would have done, had they come late. docs/explanation/consensus.md says why nothing that is committed, or was
 * acknowledged and may be, is lost by it.
 */
#include "raft/state.h"

static bool is_witness(const struct raft *r)
{
    const struct raft_member *self = raft_members_find(raft_members(r), r->config.self);
    return self && self->flags & RAFT_WITNESS;
}

/* From the candidate's last entry on if it is known here, else from what it knows to be committed, and then at least
 * so far that its log becomes the better for it. What would not join on to its log is of no use to it. */
void raft_lend(struct raft *r, const struct raft_message *m)
{
    uint64_t last = raft_log_last(&r->log);
    bool extends = m->index + 1 >= r->log.first && raft_log_term(&r->log, m->index) == m->log_term;
    uint64_t from = extends ? m->index : MAX(MIN(m->commit, m->index), r->log.first - 1);
    if (from && raft_log_term(&r->log, from) == 0)
        from = r->log.first; /* what is before it is known no more */
    if (!is_witness(r) || from > m->index || from >= last)
        return;
    uint64_t to = from + 1;
    while (!extends && to < last && raft_log_term(&r->log, to) <= m->log_term)
        to++;
    r->lend_to = m->from;
    r->lend_term = MAX(r->hard.term, m->term - m->pre);
    r->lend_from = from;
    r->lend_count = MAX((size_t)(to - from), raft_batch(r, from + 1, last));
}

void raft_send_lent(struct raft *r)
{
    uint64_t from = r->lend_from, last = raft_log_last(&r->log);
    if (!r->lend_to)
        return;
    if (from + 1 >= r->log.first && from + r->lend_count <= last)
        raft_out(r, (struct raft_message){
                        .type = RAFT_LEND,
                        .from = r->config.self,
                        .to = r->lend_to,
                        .term = MAX(r->lend_term, r->hard.term),
                        .index = from,
                        .log_term = raft_log_term(&r->log, from),
                        .entries = raft_log_at(&r->log, from + 1),
                        .count = r->lend_count,
                    });
    r->lend_to = 0;
}

/* Is it at odds with what is committed here? Then it was lent long ago. */
static bool contradicts(const struct raft *r, const struct raft_message *m)
{
    for (uint64_t i = m->index; i <= MIN(m->index + m->count, r->commit); i++) {
        uint64_t term = i == m->index ? m->log_term : m->entries[i - m->index - 1].term;
        uint64_t own = raft_log_term(&r->log, i);
        if (own && own != term)
            return true;
    }
    return false;
}

/* What was cut may have been acknowledged in this term, to a leader that is only not heard: it must not go on with what
 * it believes of this log. It learns of the new term when it is heard again. */
static void leave_term(struct raft *r)
{
    bool asks = r->role == RAFT_PRECANDIDATE;
    raft_follow(r, r->hard.term + 1, 0);
    if (asks && raft_may_ask(r))
        raft_precampaign(r);
}

void raft_on_lend(struct raft *r, const struct raft_message *m)
{
    bool looks = (r->role == RAFT_FOLLOWER && !r->leader) || r->role == RAFT_PRECANDIDATE;
    bool fits = m->index <= r->commit || raft_log_term(&r->log, m->index) == m->log_term;
    if (!looks || !fits || m->count == 0 || contradicts(r, m))
        return;
    const struct raft_entry *e = &m->entries[m->count - 1];
    uint64_t term = raft_log_last_term(&r->log);
    if (e->term < term || (e->term == term && e->index <= raft_log_last(&r->log)))
        return;
    r->matched = r->commit; /* there is no leader whose log it was compared with */
    uint64_t cuts = r->truncations;
    raft_take_entries(r, m);
    if (r->truncations > cuts)
        leave_term(r);
}
