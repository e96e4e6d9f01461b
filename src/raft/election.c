#include "raft/state.h"

/* A new term, with the own vote. Its first step is to make both durable: a vote that a crash could
 * take back could be given twice. */
void raft_campaign(struct raft *r)
{
    require(r->role != RAFT_LEADER);
    r->role = RAFT_CANDIDATE;
    r->leader = 0;
    r->hard = (struct raft_hard){.term = r->hard.term + 1, .vote = r->config.self};
}

static void lead(struct raft *r)
{
    r->role = RAFT_LEADER;
    r->leader = r->config.self;
    raft_count_uncommitted(r);
    /* Entries of older terms are committed only by one of the own term after them. */
    r->term_start = raft_log_last(&r->log) + 1;
    raft_lead_append(r, RAFT_ENTRY_NOOP, NULL);
}

void raft_count_votes(struct raft *r)
{
    if (r->role != RAFT_CANDIDATE)
        return;
    bool own = r->hard_durable.term == r->hard.term && r->hard_durable.vote == r->config.self;
    unsigned votes = own ? 1 : 0;
    if (votes >= 1) /* a quorum of one voter */
        lead(r);
}

void raft_tick(struct raft *r)
{
    if (r->role == RAFT_FOLLOWER)
        raft_campaign(r);
    ensure(raft_holds_invariant(r));
}

bool raft_idle(const struct raft *r)
{
    return r->role != RAFT_FOLLOWER;
}
