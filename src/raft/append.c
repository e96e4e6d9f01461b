/*
 * append: a follower's side of replication (thesis, section 3.5).
 *
 * What is acknowledged is never the own end of the log, only what this leader's messages of this
 * term have shown to be equal, and of that what is durable. One answer speaks for all messages
 * before it.
 */
#include "raft/state.h"

/* Where the logs may still agree: at or before `index`, of a term not above `term`. */
static uint64_t match_hint(const struct raft *r, uint64_t index, uint64_t term)
{
    uint64_t at = MIN(index, raft_log_last(&r->log));
    while (at > r->commit && raft_log_term(&r->log, at) > term)
        at--;
    return at;
}

static void refuse(struct raft *r, const struct raft_message *m)
{
    uint64_t hint = match_hint(r, m->index - 1, m->log_term);
    raft_post(r, (struct raft_message){
                     .type = RAFT_APPENDED,
                     .to = m->from,
                     .index = m->index,
                     .hint = hint,
                     .log_term = raft_log_term(&r->log, hint),
                     .refused = true,
                 });
}

/* Drop what stands after `last`. What was given for the log and is cut here does not become durable by
 * the token of then, even if the same entry comes again: it is given again. */
static void truncate(struct raft *r, uint64_t last)
{
    require(last >= r->commit && last >= r->matched);
    raft_log_cut(&r->log, last);
    raft_configs_cut(r, last);
    r->given = MIN(r->given, last);
    r->persisted = MIN(r->persisted, last);
    for (size_t i = 0; i < r->flight_count; i++) {
        struct raft_given *g = &r->flight[r->flight_head + i];
        g->index = MIN(g->index, last);
    }
    r->truncations++;
}

void raft_reset_log(struct raft *r, uint64_t index, uint64_t term)
{
    raft_log_done(&r->log);
    raft_log_init(&r->log, index + 1, term);
    r->given = r->persisted = index;
    for (size_t i = 0; i < r->flight_count; i++)
        r->flight[r->flight_head + i].index = 0;
}

static void push(struct raft *r, const struct raft_entry *e)
{
    struct raft_entry own = *e;
    if (own.data)
        (void)raft_data_ref(own.data);
    raft_log_push(&r->log, own);
    if (e->type != RAFT_ENTRY_MEMBERS)
        return;
    enum status s = raft_configs_take(r, e, NULL);
    ensure(s == ST_OK); /* raft_check() has read it */
}

void raft_take_entries(struct raft *r, const struct raft_message *m)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct raft_entry *e = &m->entries[i];
        uint64_t last = raft_log_last(&r->log);
        if (e->index <= r->commit ||
            (e->index <= last && raft_log_term(&r->log, e->index) == e->term))
            continue;
        if (e->index <= last)
            truncate(r, e->index - 1);
        push(r, e);
    }
}

/* It leads this term: what its message says is heard. */
static void heed(struct raft *r, const struct raft_message *m)
{
    raft_follow(r, m->term, m->from);
    raft_arm_election(r);
    r->heard_ms = r->now_ms;
    r->read_seen = MAX(r->read_seen, m->read);
    r->kept = MAX(r->kept, MIN(m->kept, raft_log_last(&r->log)));
}

void raft_on_append(struct raft *r, const struct raft_message *m)
{
    heed(r, m);
    /* What is committed here is equal in every later leader's log. */
    if (m->index > r->commit && raft_log_term(&r->log, m->index) != m->log_term) {
        refuse(r, m);
        return;
    }
    raft_take_entries(r, m);
    r->matched = MAX(r->matched, m->index + m->count);
    raft_commit_to(r, MIN(m->commit, r->matched));
    /* Entries are answered for when they are durable, together; what brought nothing new, now. */
    if (r->persisted >= m->index + m->count || m->count == 0)
        r->answer_due = true;
}

void raft_on_offer(struct raft *r, const struct raft_message *m)
{
    heed(r, m);
    r->answer_due = true; /* how far this log reaches; the driver fetches what was offered */
}

void raft_answer(struct raft *r)
{
    if (!r->answer_due || r->role != RAFT_FOLLOWER || !r->leader ||
        r->hard_durable.term != r->hard.term)
        return;
    r->answer_due = false;
    raft_post(r, (struct raft_message){
                     .type = RAFT_APPENDED,
                     .to = r->leader,
                     .index = MIN(r->matched, r->persisted),
                     .matched = r->matched,
                     .read = r->read_seen,
                 });
}

bool raft_may_restore(const struct raft *r, uint64_t index, uint64_t term)
{
    if (r->role != RAFT_FOLLOWER || index <= r->commit || !raft_number_fits(index))
        return false;
    if (term > r->hard_given.term || term < raft_log_term(&r->log, r->commit) || term == 0)
        return false;
    /* What the leader has shown stands in its log, and what is committed too. */
    return index > r->matched || raft_log_term(&r->log, index) == term;
}

void raft_restore(struct raft *r, const struct raft_snapshot *snapshot)
{
    require(snapshot->members && raft_may_restore(r, snapshot->index, snapshot->term));
    if (raft_log_term(&r->log, snapshot->index) == snapshot->term)
        raft_log_compact(&r->log, snapshot->index + 1);
    else
        raft_reset_log(r, snapshot->index, snapshot->term);
    raft_configs_restore(r, snapshot->index, snapshot->members);
    r->given = MAX(r->given, snapshot->index);
    r->persisted = MAX(r->persisted, snapshot->index);
    r->commit = r->applying = r->applied = snapshot->index;
    r->matched = MAX(r->matched, snapshot->index);
    r->snapshot_index = snapshot->index;
    r->snapshot_term = snapshot->term;
    r->answer_due = true;
    ensure(raft_holds_invariant(r));
}
