#include "support/raft_net.h"
#include "support/tap.h"

static const int ask = RAFT_VOTE_ASK, vote = RAFT_VOTE;

TEST(election_goes_through_a_pre_vote_and_opens_the_term_with_a_no_op)
{
    struct net *n = net_start_all(3);
    net_campaign(n, 1);
    CHECK_EQ(RAFT_PRECANDIDATE, net_view(n, 1).role);
    CHECK_EQ(0, net_view(n, 1).term);
    CHECK(net_find(n, 1, 2, ask)->pre);
    CHECK_EQ(1, net_find(n, 1, 2, ask)->term);
    net_deliver(n, 1, 2, ask);
    CHECK_EQ(0, net_view(n, 2).term); /* it was only asked */
    net_deliver(n, 2, 1, vote);
    CHECK_EQ(RAFT_CANDIDATE, net_view(n, 1).role);
    CHECK_EQ(1, net_view(n, 1).term);
    CHECK_EQ(2, net_drop(n, 1, 3, ask)); /* the pre-vote's and the vote's */
    net_vote(n, 1, 2);
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    CHECK_EQ(1, net_view(n, 1).elections);
    CHECK_STR("1", net_log(n, 1));
    CHECK_EQ(RAFT_ENTRY_NOOP, n->node[1].entry[1].type);
    net_settle(n);
    net_pass(n, 100);
    for (uint32_t i = 1; i <= 3; i++) {
        CHECK_EQ(1, net_view(n, i).leader);
        CHECK_EQ(1, net_view(n, i).applied);
    }
    net_free(n);
}

TEST(election_pre_vote_that_nobody_hears_changes_nothing)
{
    struct net *n = net_start_all(3);
    net_isolate(n, 1);
    for (int round = 0; round < 5; round++)
        net_campaign(n, 1);
    CHECK_EQ(0, net_view(n, 1).term);
    CHECK_EQ(0, net_view(n, 1).elections);
    CHECK_EQ(0, n->node[1].hard.term);
    net_free(n);
}

TEST(election_vote_is_asked_for_once_the_own_is_durable)
{
    struct net *n = net_start_all(3);
    net_disk_hold(n, 1);
    net_campaign(n, 1);
    net_vote(n, 1, 2);
    CHECK_EQ(RAFT_CANDIDATE, net_view(n, 1).role);
    (void)net_drop(n, 0, 0, NET_ANY);
    net_run(n, 1);
    CHECK_EQ(0, net_count(n, 1, 0, ask));
    net_disk_release(n, 1);
    CHECK_EQ(2, net_count(n, 1, 0, ask));
    net_free(n);
}

TEST(election_vote_is_asked_for_once_the_own_log_is_durable)
{
    struct net *n = net_start_led(3);
    net_disk_hold(n, 2);
    (void)net_propose(n, 1, "a");
    net_deliver(n, 1, 2, RAFT_APPEND);
    net_isolate(n, 1);
    net_campaign(n, 2);
    net_settle(n); /* the pre-vote */
    CHECK_EQ(RAFT_CANDIDATE, net_view(n, 2).role);
    net_disk_do(n, 2, 1); /* the entry */
    net_settle(n);
    CHECK_EQ(RAFT_CANDIDATE, net_view(n, 2).role);
    net_disk_do(n, 2, 1); /* the vote */
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 2).role);
    net_free(n);
}

/* Batches are bounded, so that its vote may be durable before its log is. */
TEST(election_candidate_whose_log_is_longer_than_its_platter_asks_nobody)
{
    struct net *n = net_new(3);
    n->config.batch_entries_max = 1;
    net_start(n, 1);
    struct raft *r = n->node[1].r;
    struct raft_entry e[] = {{1, 1, RAFT_ENTRY_NOOP, NULL}, {2, 1, RAFT_ENTRY_NOOP, NULL}};
    struct raft_message m = {.type = RAFT_APPEND, .from = 2, .to = 1, .term = 1, .entries = e};
    m.count = 2;
    CHECK_EQ(ST_OK, raft_step(r, &m, NULL));
    raft_tick(r, 2 * n->config.election_ms);
    m = (struct raft_message){.type = vote, .from = 3, .to = 1, .term = 2, .pre = true};
    CHECK_EQ(ST_OK, raft_step(r, &m, NULL));
    CHECK_EQ(RAFT_CANDIDATE, raft_view(r).role);
    struct raft_ready rd;
    CHECK(raft_ready(r, &rd)); /* the vote, and the first entry */
    CHECK(rd.hard.vote == 1 && rd.append_count == 1);
    raft_persisted(r, rd.token);
    CHECK(raft_ready(r, &rd));
    CHECK_EQ(0, rd.message_count);
    raft_persisted(r, rd.token);
    CHECK(raft_ready(r, &rd));
    CHECK_EQ(2, rd.message_count);
    CHECK_EQ(2, rd.messages[0].index);
    net_free(n);
}

/* What it was going to tell is of a term that is over before it is durable. */
TEST(election_vote_of_a_term_that_is_over_is_told_to_nobody)
{
    struct net *n = net_start_all(3);
    net_disk_hold(n, 2);
    net_campaign(n, 1);
    net_vote(n, 1, 2);
    net_deliver(n, 1, 2, ask);
    CHECK_EQ(1, net_view(n, 2).term);
    struct raft_message m = {.type = RAFT_APPEND, .from = 3, .to = 2, .term = 2};
    raft_net_send(n, &m);
    net_deliver(n, 3, 2, RAFT_APPEND);
    net_disk_release(n, 2);
    CHECK_EQ(2, n->node[2].hard.term);
    CHECK_EQ(0, n->node[2].hard.vote);
    CHECK_EQ(0, net_count(n, 2, 0, vote));
    CHECK_EQ(1, net_count(n, 2, 3, RAFT_APPENDED));
    net_free(n);
}

TEST(election_vote_is_told_once_it_is_durable)
{
    struct net *n = net_start_all(3);
    net_disk_hold(n, 2);
    net_campaign(n, 1);
    net_vote(n, 1, 2);
    (void)net_drop(n, 1, 3, ask);
    net_deliver(n, 1, 2, ask);
    CHECK_EQ(1, net_view(n, 2).term);
    CHECK_EQ(0, net_count(n, 2, 1, vote));
    net_disk_release(n, 2);
    CHECK_EQ(1, net_count(n, 2, 1, vote));
    CHECK_EQ(1, n->node[2].hard.vote);
    struct raft_entry e = {1, 1, RAFT_ENTRY_NOOP, NULL};
    struct raft_message m = {.type = RAFT_APPEND, .from = 1, .to = 2, .term = 1, .entries = &e};
    m.count = 1;
    raft_net_send(n, &m);
    net_deliver(n, 1, 2, RAFT_APPEND);
    CHECK_EQ(1, net_count(n, 2, 1, vote)); /* the next write does not tell it again */
    net_free(n);
}

/* It crashes before its vote is durable: it may vote for another, since nobody was told. */
TEST(election_vote_that_was_lost_with_its_platter_was_told_to_nobody)
{
    struct net *n = net_start_all(3);
    net_disk_hold(n, 2);
    net_campaign(n, 1);
    net_vote(n, 1, 2);
    net_deliver(n, 1, 2, ask);
    net_restart(n, 2);
    CHECK_EQ(0, net_count(n, 2, 1, vote));
    net_isolate(n, 1);
    net_elect(n, 3);
    CHECK_EQ(3, n->node[2].hard.vote);
    net_free(n);
}

static struct raft_message vote_ask(uint32_t from, uint32_t to, uint64_t term)
{
    return (struct raft_message){.type = RAFT_VOTE_ASK, .from = from, .to = to, .term = term};
}

/* One vote a term, kept over a restart; the same candidate may be told it again. */
TEST(election_one_vote_a_term_even_over_a_restart)
{
    struct net *n = net_start_all(5);
    struct raft_message m = vote_ask(2, 1, 7);
    raft_net_send(n, &m);
    net_deliver(n, 2, 1, ask);
    CHECK(!net_find(n, 1, 2, vote)->refused);
    m = vote_ask(3, 1, 7);
    for (int again = 0; again < 2; again++) {
        raft_net_send(n, &m);
        net_deliver(n, 3, 1, ask);
        CHECK(net_find(n, 1, 3, vote)->refused);
        (void)net_drop(n, 1, 0, vote);
        net_restart(n, 1);
        CHECK_EQ(7, net_view(n, 1).term);
    }
    m = vote_ask(2, 1, 7);
    raft_net_send(n, &m);
    net_deliver(n, 2, 1, ask);
    CHECK(!net_find(n, 1, 2, vote)->refused);
    CHECK_EQ(7, net_find(n, 1, 2, vote)->term);
    net_free(n);
}

/* The thesis, section 3.6.1: a vote goes only to a log that is at least as far. */
TEST(election_restriction)
{
    static const struct {
        const char *voter;
        uint64_t index, log_term;
        bool granted;
    } row[] = {
        {"", 0, 0, true},      {"1", 0, 0, false},    {"11", 2, 1, true},  {"11", 1, 1, false},
        {"11", 3, 1, true},    {"112", 9, 1, false},  {"112", 1, 3, true}, {"112", 3, 2, true},
        {"1123", 4, 2, false}, {"1122", 3, 2, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++)
        for (int pre = 0; pre < 2; pre++) {
            struct net *n = net_new(3);
            net_load(n, 1, row[i].voter, 4);
            net_start(n, 1);
            struct raft_message m = vote_ask(2, 1, 5);
            m.index = row[i].index;
            m.log_term = row[i].log_term;
            m.pre = pre;
            raft_net_send(n, &m);
            net_deliver(n, 2, 1, ask);
            CHECK_EQ(!row[i].granted, net_find(n, 1, 2, vote)->refused);
            CHECK_EQ(pre, net_find(n, 1, 2, vote)->pre);
            CHECK_EQ(pre ? 4 : 5, net_view(n, 1).term);
            CHECK_EQ(!pre && row[i].granted ? 2 : 0, n->node[1].hard.vote);
            net_free(n);
        }
}

/* A term that the voter is in already is none that a pre-vote could win. */
TEST(election_pre_vote_is_for_a_term_to_come)
{
    for (uint64_t term = 3; term <= 5; term++) {
        struct net *n = net_new(3);
        net_load(n, 1, "", 4);
        net_start(n, 1);
        struct raft_message m = vote_ask(2, 1, term);
        m.pre = true;
        raft_net_send(n, &m);
        net_deliver(n, 2, 1, ask);
        CHECK_EQ(term != 5, net_find(n, 1, 2, vote)->refused);
        net_free(n);
    }
}

TEST(election_who_lacks_what_is_committed_cannot_win)
{
    struct net *n = net_start_led(3);
    n->cut[1][3] = true;
    (void)net_propose(n, 1, "a");
    net_settle(n);
    CHECK_EQ(2, net_view(n, 1).commit);
    n->cut[1][3] = false;
    net_isolate(n, 1);
    net_campaign(n, 3);
    net_settle(n);
    CHECK_EQ(RAFT_PRECANDIDATE, net_view(n, 3).role);
    CHECK_EQ(0, net_view(n, 3).leader);
    CHECK_EQ(1, net_view(n, 3).term);
    net_elect(n, 2);
    CHECK_STR("112", net_log(n, 3));
    net_free(n);
}

/* While there is a leader, who was away and comes back does not disturb it: not even its term is heard. */
TEST(election_lease_keeps_the_leader_against_who_rejoins)
{
    struct net *n = net_start_led(3);
    net_pass(n, 200);
    for (int pre = 0; pre < 2; pre++)
        for (uint32_t to = 1; to <= 2; to++) {
            struct raft_message m = vote_ask(3, to, 9);
            m.index = m.log_term = 9;
            m.pre = pre;
            raft_net_send(n, &m);
            net_deliver(n, 3, to, ask);
            CHECK_EQ(0, net_count(n, to, 3, vote));
        }
    net_pass(n, 200);
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    CHECK_EQ(1, net_view(n, 2).term);
    /* When nothing is heard from the leader for long, others are. */
    net_isolate(n, 1);
    net_tick(n, 2, n->config.election_ms);
    struct raft_message m = vote_ask(3, 2, 9);
    m.index = m.log_term = 9;
    raft_net_send(n, &m);
    net_deliver(n, 3, 2, ask);
    CHECK_EQ(9, net_view(n, 2).term);
    CHECK(!net_find(n, 2, 3, vote)->refused);
    net_free(n);
}

TEST(election_lease_lasts_as_long_as_the_election_timeout_and_no_longer)
{
    for (int late = 0; late < 2; late++) {
        struct net *n = net_start_led(3);
        net_tick(n, 2, n->config.election_ms - 1 + (uint64_t)late);
        CHECK_EQ(RAFT_FOLLOWER, net_view(n, 2).role);
        struct raft_message m = vote_ask(3, 2, 9);
        m.index = m.log_term = 9;
        raft_net_send(n, &m);
        net_deliver(n, 3, 2, ask);
        CHECK_EQ(late ? 9 : 1, net_view(n, 2).term);
        net_free(n);
    }
}

TEST(election_node_that_was_away_comes_back_quietly)
{
    struct net *n = net_start_led(3);
    net_isolate(n, 3);
    net_pass(n, 5000);
    (void)net_propose(n, 1, "a");
    net_settle(n);
    net_rejoin(n, 3);
    net_pass(n, 500);
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    CHECK_EQ(1, net_view(n, 1).term);
    CHECK_EQ(1, net_view(n, 3).leader);
    CHECK_EQ(2, net_view(n, 3).applied);
    net_free(n);
}

/* A leader that a quorum does not answer steps down, within two election timeouts. */
TEST(election_check_quorum)
{
    struct net *n = net_start_led(5);
    net_isolate(n, 4);
    net_isolate(n, 5);
    net_pass(n, 2000);
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    net_isolate(n, 1);
    net_pass(n, 2 * n->config.election_ms);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 1).role);
    CHECK_EQ(0, net_view(n, 1).leader);
    CHECK_EQ(1, net_view(n, 1).term);
    net_free(n);
}

TEST(election_refused_by_a_majority_gives_up)
{
    struct net *n = net_new(5);
    net_load(n, 1, "1", 1);
    for (uint32_t i = 2; i <= 5; i++)
        net_load(n, i, "11", 1);
    net_start_each(n, 5);
    net_campaign(n, 1);
    for (uint32_t i = 2; i <= 4; i++) {
        CHECK_EQ(RAFT_PRECANDIDATE, net_view(n, 1).role);
        net_vote(n, 1, i);
    }
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 1).role);
    CHECK_EQ(1, net_view(n, 1).term);
    net_free(n);
}

/* Two campaign in the same term, and nobody wins; time-outs differ, so in the end somebody does. */
TEST(election_split_vote_is_tried_again)
{
    struct net *n = net_start_all(4);
    net_campaign(n, 1);
    net_campaign(n, 2);
    while (net_view(n, 1).role == RAFT_PRECANDIDATE) { /* both hear that they could win */
        net_double(n, 1, 0, ask);
        net_deliver(n, 1, 3, ask);
        net_deliver(n, 1, 4, ask);
        net_deliver(n, 3, 1, vote);
        net_deliver(n, 4, 1, vote);
    }
    net_deliver(n, 2, 3, ask);
    net_deliver(n, 2, 4, ask);
    net_deliver(n, 3, 2, vote);
    net_deliver(n, 4, 2, vote);
    CHECK_EQ(RAFT_CANDIDATE, net_view(n, 2).role);
    net_deliver_last(n, 1, 3, ask);
    net_deliver_last(n, 2, 4, ask);
    net_settle(n);
    CHECK_EQ(1, net_view(n, 3).term);
    CHECK(net_view(n, 1).role != RAFT_LEADER && net_view(n, 2).role != RAFT_LEADER);
    net_pass(n, 4 * n->config.election_ms);
    uint32_t leader = net_view(n, 1).leader;
    CHECK(leader != 0);
    CHECK_EQ(RAFT_LEADER, net_view(n, leader).role);
    net_free(n);
}

TEST(election_answers_count_once_and_only_for_what_was_asked)
{
    struct net *n = net_start_all(5);
    net_campaign(n, 1);
    net_deliver(n, 1, 2, ask);
    net_double(n, 2, 1, vote);
    net_double(n, 2, 1, vote);
    net_deliver(n, 2, 1, vote);
    net_deliver(n, 2, 1, vote); /* twice the same is one */
    CHECK_EQ(RAFT_PRECANDIDATE, net_view(n, 1).role);
    net_deliver(n, 1, 3, ask);
    net_double(n, 3, 1, vote);
    net_deliver(n, 3, 1, vote);
    CHECK_EQ(RAFT_CANDIDATE, net_view(n, 1).role);
    net_deliver(n, 2, 1, vote); /* late grants of the pre-vote are no votes */
    net_deliver(n, 3, 1, vote);
    CHECK_EQ(RAFT_CANDIDATE, net_view(n, 1).role);
    struct raft_message stranger = {.type = vote, .from = 8, .to = 1, .term = 1};
    raft_net_send(n, &stranger);
    stranger.from = 7;
    raft_net_send(n, &stranger);
    net_deliver(n, 8, 1, vote);
    net_deliver(n, 7, 1, vote);
    CHECK_EQ(RAFT_CANDIDATE, net_view(n, 1).role);
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    net_free(n);
}

TEST(election_candidate_yields_to_the_leader_of_its_term)
{
    struct net *n = net_start_all(3);
    net_campaign(n, 1);
    net_vote(n, 1, 2);
    CHECK_EQ(1, net_view(n, 1).term);
    struct raft_message m = {.type = RAFT_APPEND, .from = 3, .to = 1, .term = 1};
    raft_net_send(n, &m);
    net_deliver(n, 3, 1, RAFT_APPEND);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 1).role);
    CHECK_EQ(3, net_view(n, 1).leader);
    CHECK_EQ(1, n->node[1].hard.vote); /* and keeps that it voted */
    net_free(n);
}

TEST(election_old_leader_learns_of_the_new_term)
{
    struct net *n = net_start_led(3);
    net_isolate(n, 1);
    net_elect(n, 2);
    net_rejoin(n, 1);
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    net_tick(n, 1, n->config.heartbeat_ms);
    net_deliver(n, 1, 3, RAFT_APPEND);
    CHECK(net_find(n, 3, 1, RAFT_APPENDED)->refused);
    net_deliver(n, 3, 1, RAFT_APPENDED);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 1).role);
    CHECK_EQ(2, net_view(n, 1).term);
    net_free(n);
}

/* It may be that all a leader has for somebody is the offer of a snapshot. */
TEST(election_old_leader_learns_of_the_new_term_by_an_offer_too)
{
    struct net *n = net_new(3);
    net_load(n, 3, "1", 4);
    net_start(n, 3);
    struct raft_message m = {.type = RAFT_OFFER, .from = 1, .to = 3, .term = 3, .index = 9};
    m.log_term = 3;
    raft_net_send(n, &m);
    net_deliver(n, 1, 3, RAFT_OFFER);
    CHECK(net_find(n, 3, 1, RAFT_APPENDED)->refused);
    CHECK_EQ(4, net_find(n, 3, 1, RAFT_APPENDED)->term);
    net_free(n);
}

/* Timeouts lie between one and two election timeouts, and are not those of the neighbour. */
TEST(election_timeouts_differ_and_keep_their_bounds)
{
    struct net *n = net_start_all(8);
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t i = 1; i <= 8; i++) {
        uint64_t at = raft_deadline_ms(n->node[i].r);
        least = MIN(least, at);
        most = MAX(most, at);
    }
    CHECK(least >= n->config.election_ms && most < 2 * n->config.election_ms);
    CHECK(most - least > n->config.election_ms / 4);
    net_free(n);
}

TEST(election_any_cluster_elects_and_stays)
{
    for (uint32_t size = 1; size <= 7; size++) {
        struct net *n = net_start_all(size);
        net_pass(n, 3000);
        uint32_t leader = net_view(n, 1).leader;
        CHECK(leader > 0 && net_view(n, leader).term < 4);
        uint64_t term = net_view(n, leader).term;
        net_pass(n, 3000);
        CHECK_EQ(term, net_view(n, leader).term);
        for (uint32_t i = 1; i <= size; i++)
            CHECK_EQ(net_view(n, leader).last, net_view(n, i).applied);
        net_free(n);
    }
}
