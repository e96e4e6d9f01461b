#include "support/raft_net.h"
#include "support/tap.h"

static const int append = RAFT_APPEND, take_over = RAFT_TAKE_OVER;

static enum status transfer(struct net *n, uint32_t i, uint32_t to)
{
    enum status s = raft_transfer(n->node[i].r, to, NULL);
    net_run(n, i);
    return s;
}

static enum status propose(struct net *n, uint32_t i)
{
    uint64_t index, term;
    return raft_propose(n->node[i].r, raft_data_new("x", 1), &index, &term, NULL);
}

TEST(transfer_hands_over_at_once_to_who_has_everything)
{
    struct net *n = net_start_led(3);
    net_pass(n, 200);
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    CHECK_EQ(1, net_count(n, 1, 2, take_over));
    CHECK_EQ(2, net_view(n, 1).transfer);
    net_settle(n); /* within everybody's lease, and without any time passing */
    CHECK_EQ(RAFT_LEADER, net_view(n, 2).role);
    CHECK_EQ(2, net_view(n, 2).term);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 1).role);
    CHECK_EQ(2, net_view(n, 1).leader);
    CHECK_EQ(0, net_view(n, 1).transfer);
    CHECK_EQ(ST_OK, propose(n, 2));
    net_free(n);
}

TEST(transfer_waits_until_the_other_has_everything_and_takes_no_proposals)
{
    struct net *n = net_start_led(3);
    n->held[1][2] = true;
    (void)net_propose(n, 1, "a");
    net_settle(n);
    CHECK_EQ(2, net_view(n, 1).commit); /* of 1 and 3 */
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    CHECK_EQ(0, net_count(n, 1, 2, take_over));
    CHECK_EQ(ST_UNAVAILABLE, propose(n, 1));
    struct raft_members same = n->first;
    uint64_t index;
    CHECK_EQ(ST_UNAVAILABLE, raft_change(n->node[1].r, &same, &index, NULL));
    net_deliver(n, 1, 2, append);
    net_deliver(n, 2, 1, RAFT_APPENDED);
    CHECK_EQ(1, net_count(n, 1, 2, take_over));
    n->held[1][2] = false;
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 2).role);
    net_pass(n, 200);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK_STR("112", net_log(n, i));
    net_free(n);
}

/* What is only in the other's memory does not count: it could not campaign on it. */
TEST(transfer_waits_for_the_others_platter)
{
    struct net *n = net_start_led(3);
    net_disk_hold(n, 2);
    (void)net_propose(n, 1, "a");
    net_settle(n);
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    CHECK_EQ(1, net_view(n, 2).term);
    net_disk_release(n, 2);
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 2).role);
    net_free(n);
}

TEST(transfer_is_given_up_after_an_election_timeout)
{
    struct net *n = net_start_led(3);
    net_isolate(n, 2);
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    uint64_t wait_ms = n->config.election_ms;
    for (uint64_t ms = 0; ms < wait_ms - 20; ms += 20) { /* the other keeps its quorum alive */
        net_tick(n, 1, 20);
        net_settle(n);
        CHECK_EQ(ST_UNAVAILABLE, propose(n, 1));
    }
    CHECK(raft_deadline_ms(n->node[1].r) <= n->node[1].now_ms + 20);
    net_tick(n, 1, 20);
    CHECK_EQ(0, net_view(n, 1).transfer);
    CHECK_EQ(ST_OK, propose(n, 1));
    net_run(n, 1);
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    CHECK_EQ(2, net_view(n, 1).commit);
    net_free(n);
}

TEST(transfer_second_one_waits_for_the_first)
{
    struct net *n = net_start_led(3);
    net_isolate(n, 2);
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    CHECK_EQ(ST_CONFLICT, transfer(n, 1, 3));
    CHECK_EQ(ST_CONFLICT, transfer(n, 1, 2));
    CHECK_EQ(2, net_view(n, 1).transfer);
    for (int i = 0; i < 20; i++) {
        net_tick(n, 1, 20);
        net_settle(n);
    }
    CHECK_EQ(ST_OK, transfer(n, 1, 3));
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 3).role);
    net_free(n);
}

TEST(transfer_goes_only_to_who_may_lead)
{
    struct net *n = net_new(3);
    CHECK(raft_members_put(&n->first, 4, 0));
    CHECK(raft_members_put(&n->first, 5, RAFT_VOTES | RAFT_WITNESS));
    net_start_each(n, 5);
    CHECK_EQ(ST_NOT_LEADER, transfer(n, 1, 2));
    net_elect(n, 1);
    CHECK_EQ(ST_INVALID, transfer(n, 1, 1));
    CHECK_EQ(ST_INVALID, transfer(n, 1, 4));
    CHECK_EQ(ST_INVALID, transfer(n, 1, 5));
    CHECK_EQ(ST_INVALID, transfer(n, 1, 6));
    CHECK_EQ(ST_OK, propose(n, 1));
    net_free(n);
}

/* The word to take over is lost: after the time-out the leader goes on. */
TEST(transfer_lost_word_does_no_harm)
{
    struct net *n = net_start_led(3);
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    CHECK_EQ(1, net_drop(n, 1, 2, take_over));
    net_pass(n, n->config.election_ms + 20);
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    CHECK_EQ(ST_OK, propose(n, 1));
    net_free(n);
}

/* It comes twice, and late: one campaign at most, and none in another leader's term. */
TEST(transfer_word_twice_and_late)
{
    struct net *n = net_start_led(3);
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    net_double(n, 1, 2, take_over);
    net_double(n, 1, 2, take_over);
    net_deliver(n, 1, 2, take_over);
    net_deliver(n, 1, 2, take_over);
    CHECK_EQ(1, net_view(n, 2).elections);
    n->held[1][2] = true;
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 2).role);
    net_deliver(n, 1, 2, take_over); /* one comes when it leads */
    CHECK_EQ(RAFT_LEADER, net_view(n, 2).role);
    net_elect(n, 3);
    net_deliver(n, 1, 2, take_over); /* and one when it leads no more */
    n->held[1][2] = false;
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 3).role);
    CHECK_EQ(3, net_view(n, 2).term);
    CHECK_EQ(1, net_view(n, 2).elections);
    net_free(n);
}

/* Each log has one vote a term to give, also to who takes over (libraft gave two). */
TEST(transfer_gets_no_second_vote)
{
    struct net *n = net_start_all(3);
    struct raft_message m = {.type = RAFT_VOTE_ASK, .from = 2, .to = 1, .term = 3};
    raft_net_send(n, &m);
    net_deliver(n, 2, 1, RAFT_VOTE_ASK);
    m.from = 3;
    m.force = true;
    raft_net_send(n, &m);
    net_deliver(n, 3, 1, RAFT_VOTE_ASK);
    CHECK(!net_find(n, 1, 2, RAFT_VOTE)->refused);
    CHECK(net_find(n, 1, 3, RAFT_VOTE)->refused);
    net_free(n);
}

/* Nobody takes over on the word of who is not its leader. */
TEST(transfer_only_the_leaders_word_counts)
{
    struct net *n = net_start_led(3);
    struct raft_message m = {.type = take_over, .from = 3, .to = 2, .term = 1};
    raft_net_send(n, &m);
    net_deliver(n, 3, 2, take_over);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 2).role);
    CHECK_EQ(1, net_view(n, 2).leader);
    CHECK_EQ(0, net_view(n, 2).elections);
    net_free(n);
}

/* Nor does a witness, or a learner, on its leader's: a new configuration may not have reached who says it, or it errs. */
TEST(transfer_who_may_not_lead_takes_no_word)
{
    struct net *n = net_new(2);
    CHECK(raft_members_put(&n->first, 3, RAFT_VOTES | RAFT_WITNESS));
    CHECK(raft_members_put(&n->first, 4, 0));
    net_start_each(n, 4);
    net_elect(n, 1);
    net_beat(n, 1);
    for (uint32_t to = 3; to <= 4; to++) {
        struct raft_message m = {.type = take_over, .from = 1, .to = to, .term = 1};
        raft_net_send(n, &m);
        net_deliver(n, 1, to, take_over);
        CHECK_EQ(RAFT_FOLLOWER, net_view(n, to).role);
        CHECK_EQ(1, net_view(n, to).term);
    }
    net_free(n);
}

/* The other crashes after it took the word: a third is elected in time, nothing committed is lost. */
TEST(transfer_to_who_crashes)
{
    struct net *n = net_start_led(3);
    (void)net_propose(n, 1, "a");
    net_settle(n);
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    net_deliver(n, 1, 2, take_over);
    net_deliver(n, 2, 1, RAFT_VOTE_ASK); /* 1 follows term 2 */
    net_crash(n, 2);
    net_pass(n, 2000);
    uint32_t leader = net_view(n, 1).leader;
    CHECK(leader == 1 || leader == 3);
    CHECK_EQ(3, net_view(n, leader).applied);
    CHECK_EQ(0, net_view(n, leader).transfer);
    net_free(n);
}

/* Only the campaign that the leader wished for goes past a lease, not what follows when that is lost. */
TEST(transfer_campaign_that_is_lost_is_followed_by_an_ordinary_one)
{
    struct net *n = net_start_led(3);
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    net_deliver(n, 1, 2, take_over);
    CHECK_EQ(0, net_view(n, 2).leader);
    CHECK(net_find(n, 2, 3, RAFT_VOTE_ASK)->force);
    CHECK_EQ(2, net_drop(n, 2, 0, RAFT_VOTE_ASK));
    net_campaign(n, 2);
    CHECK(net_find(n, 2, 3, RAFT_VOTE_ASK)->pre);
    CHECK(!net_find(n, 2, 3, RAFT_VOTE_ASK)->force);
    net_free(n);
}

/* A hand-over under way does not outlive the term. */
TEST(transfer_is_forgotten_when_the_leader_is_deposed)
{
    struct net *n = net_start_led(3);
    net_isolate(n, 1);
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    net_elect(n, 3);
    net_rejoin(n, 1);
    net_pass(n, 300);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 1).role);
    CHECK_EQ(0, net_view(n, 1).transfer);
    net_elect(n, 1);
    CHECK_EQ(ST_OK, propose(n, 1));
    net_free(n);
}

/* Whom leadership was to go to is no member any more, and nobody else is left: the wait still ends. */
TEST(transfer_to_who_left_is_given_up_too)
{
    struct net *n = net_start_led(2);
    struct raft_members to = {.count = 1, .member = {{1, RAFT_VOTES}}};
    (void)net_change(n, 1, &to);
    n->held[1][2] = true;
    (void)net_propose(n, 1, "a"); /* 2 lacks it for now */
    CHECK_EQ(ST_OK, transfer(n, 1, 2));
    net_deliver(n, 1, 2, append); /* the joint configuration */
    net_settle(n);
    CHECK_EQ(1, raft_members(n->node[1].r)->count);
    (void)net_drop(n, 0, 0, NET_ANY);
    uint64_t due = raft_deadline_ms(n->node[1].r);
    CHECK(due <= n->node[1].now_ms + n->config.election_ms);
    net_tick(n, 1, due - n->node[1].now_ms);
    CHECK_EQ(0, net_view(n, 1).transfer);
    CHECK_EQ(ST_OK, propose(n, 1));
    net_free(n);
}
