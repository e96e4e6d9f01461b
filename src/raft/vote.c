/*
 * vote: what is answered to who campaigns (thesis, sections 3.4, 3.6.1 and 4.2.3).
 */
#include "raft/state.h"

bool raft_heard_lately(const struct raft *r)
{
    if (r->role == RAFT_LEADER)
        return true;
    return r->leader && r->now_ms < r->heard_ms + r->config.election_ms;
}

static bool up_to_date(const struct raft *r, const struct raft_message *m)
{
    uint64_t term = raft_log_last_term(&r->log);
    if (m->log_term != term)
        return m->log_term > term;
    return m->index >= raft_log_last(&r->log);
}

static void refuse(struct raft *r, const struct raft_message *m)
{
    raft_post(
        r, (struct raft_message){.type = RAFT_VOTE, .to = m->from, .pre = m->pre, .refused = true});
}

static void pre_vote(struct raft *r, const struct raft_message *m)
{
    if (m->term > r->hard.term && up_to_date(r, m))
        raft_post(r, (struct raft_message){
                         .type = RAFT_VOTE, .to = m->from, .term = m->term, .pre = true});
    else
        refuse(r, m);
    if (!up_to_date(r, m))
        raft_lend(r, m);
}

/*
 * A learner votes too, and who is no member: a change that made it a voter may be committed without it
 * having heard of that, and its vote be needed to elect who would tell it.
 */
void raft_on_vote_ask(struct raft *r, const struct raft_message *m)
{
    if (!m->force && raft_heard_lately(r))
        return; /* there is a leader: not even the term is looked at */
    if (m->pre) {
        pre_vote(r, m);
        return;
    }
    bool free = r->hard.vote == 0 || r->hard.vote == m->from;
    if (r->role != RAFT_FOLLOWER || r->leader || !free || !up_to_date(r, m)) {
        refuse(r, m);
        return;
    }
    r->hard.vote = m->from;
    r->grant_due = true;
    raft_arm_election(r);
    raft_vote_step(r); /* a vote that was given before is durable already */
}
