/*
 * election: who campaigns, and how votes are counted (thesis, sections 3.4 and 9.6).
 *
 * First a pre-vote, which changes nothing anywhere: who could not win does not disturb who leads. Then a
 * vote in a new term, asked for once the own vote and the whole own log are durable.
 */
#include <string.h>

#include "raft/state.h"

static void count_nobody(struct raft *r)
{
    memset(r->votes, 0, sizeof r->votes);
    memset(r->refusals, 0, sizeof r->refusals);
}

static void count(struct raft *r, uint32_t number, bool refused)
{
    const struct raft_members *m = raft_members(r);
    const struct raft_member *x = raft_members_find(m, number);
    if (x)
        (refused ? r->refusals : r->votes)[x - m->member] = 1;
}

static bool won(const struct raft *r)
{
    return raft_members_quorum(raft_members(r), r->votes) == 1;
}

/* Could those who have not refused still be a quorum? */
static bool lost(const struct raft *r)
{
    uint64_t left[RAFT_MEMBERS_MAX];
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++)
        left[i] = !r->refusals[i];
    return raft_members_quorum(raft_members(r), left) == 0;
}

static void ask_all(struct raft *r, bool pre)
{
    const struct raft_members *m = raft_members(r);
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t number = m->member[i].number;
        if (number == r->config.self || !raft_members_votes(m, number))
            continue;
        raft_post(r, (struct raft_message){
                         .type = RAFT_VOTE_ASK,
                         .to = number,
                         .term = r->hard.term + pre,
                         .index = raft_log_last(&r->log),
                         .log_term = raft_log_last_term(&r->log),
                         .commit = r->commit,
                         .pre = pre,
                         .force = r->vote_force,
                     });
    }
}

/* Who is to go leads on, or anew, until that is committed: it may be the only one that can commit it (thesis,
 * section 4.2.2). */
bool raft_may_lead(const struct raft *r)
{
    for (size_t i = r->config_count; i-- > 0;) {
        if (raft_members_leads(&r->configs[i].members, r->config.self))
            return true;
        if (r->configs[i].index <= r->commit)
            break;
    }
    return false;
}

void raft_campaign(struct raft *r, bool force)
{
    require(r->role != RAFT_LEADER);
    r->role = RAFT_CANDIDATE;
    r->leader = 0;
    r->hard = (struct raft_hard){.term = r->hard.term + 1, .vote = r->config.self};
    r->elections++;
    r->vote_force = force;
    r->vote_asked = r->grant_due = r->answer_due = false;
    count_nobody(r);
    raft_arm_election(r);
}

static bool can_win(const struct raft *r)
{
    return raft_may_lead(r) && won(r);
}

/* Not only who may lead asks: that it may can stand in entries which it lacks, and a witness answers with those. */
bool raft_may_ask(const struct raft *r)
{
    const struct raft_member *self = raft_members_find(raft_members(r), r->config.self);
    return (self && !(self->flags & RAFT_WITNESS)) || raft_may_lead(r);
}

void raft_precampaign(struct raft *r)
{
    require(r->role != RAFT_LEADER);
    r->role = RAFT_PRECANDIDATE;
    r->leader = 0;
    r->vote_force = r->answer_due = false;
    count_nobody(r);
    count(r, r->config.self, false);
    /* Who heard the leader a little later does not answer yet: ask again soon, since it disturbs nobody. */
    r->election_ms =
        r->now_ms + r->config.heartbeat_ms + rng_below(&r->rng, r->config.heartbeat_ms);
    if (can_win(r))
        raft_campaign(r, false);
    else
        ask_all(r, true);
}

void raft_vote_step(struct raft *r)
{
    bool durable = r->hard_durable.term == r->hard.term && r->hard_durable.vote == r->hard.vote;
    if (r->role == RAFT_CANDIDATE && !r->vote_asked && durable &&
        r->persisted == raft_log_last(&r->log)) {
        r->vote_asked = true;
        count(r, r->config.self, false);
        ask_all(r, false);
        if (won(r))
            raft_lead(r);
    }
    if (r->grant_due && durable) {
        r->grant_due = false;
        raft_post(r, (struct raft_message){.type = RAFT_VOTE, .to = r->hard.vote});
    }
}

void raft_on_vote(struct raft *r, const struct raft_message *m)
{
    bool pre = r->role == RAFT_PRECANDIDATE;
    bool asked = pre || (r->role == RAFT_CANDIDATE && r->vote_asked);
    /* A refusal bears the term of who refuses, a grant that of what was asked. */
    uint64_t term = r->hard.term + (pre && !m->refused);
    if (!asked || m->pre != pre || m->term != term)
        return;
    count(r, m->from, m->refused);
    if (pre && can_win(r))
        raft_campaign(r, false);
    else if (!pre && won(r))
        raft_lead(r);
    else if (lost(r))
        raft_follow(r, r->hard.term, 0);
}
