/* Changes of the members, as they happen (the thesis, chapter 4). */
#include "support/raft_net.h"
#include "support/tap.h"

enum { V = RAFT_VOTES, W = RAFT_WITNESS, J = RAFT_JOINS };
static const int append = RAFT_APPEND;

static const struct raft_members *members(const struct net *n, uint32_t i)
{
    return raft_members(n->node[i].r);
}

/* All the voters that a text names, "135". */
static struct raft_members voters(const char *text)
{
    struct raft_members m = {0};
    for (; *text; text++)
        CHECK(raft_members_put(&m, (uint32_t)(*text - '0'), V));
    return m;
}

/* Nodes 1..started run; of the first members those that are named vote, the others learn. */
static struct net *start(const char *first, uint32_t started)
{
    struct net *n = net_new(1);
    n->first = voters(first);
    for (uint32_t i = 1; i <= started; i++)
        if (!raft_members_find(&n->first, i))
            CHECK(raft_members_put(&n->first, i, 0));
    net_start_each(n, started);
    return n;
}

static enum status change(struct net *n, uint32_t i, struct raft_members wanted)
{
    uint64_t index;
    enum status s = raft_change(n->node[i].r, &wanted, &index, NULL);
    net_run(n, i);
    return s;
}

static void check_members(const struct net *n, uint32_t i, struct raft_members want)
{
    CHECK(raft_members_eq(&want, members(n, i)));
}

TEST(change_goes_through_a_joint_configuration_by_itself)
{
    struct net *n = start("123", 5);
    net_elect(n, 1);
    CHECK_EQ(ST_OK, change(n, 1, voters("145")));
    CHECK(members(n, 1)->joint); /* in force when it stands in the log */
    CHECK_EQ(ST_CONFLICT, change(n, 1, voters("123")));
    net_settle(n);
    net_pass(n, 300);
    for (uint32_t i = 1; i <= 5; i += i == 1 ? 3 : 1)
        check_members(n, i, voters("145"));
    CHECK_EQ(3, net_view(n, 1).commit);
    net_isolate(n, 2); /* who left is not needed */
    net_isolate(n, 3);
    (void)net_propose(n, 1, "a");
    net_settle(n);
    CHECK_EQ(4, net_view(n, 1).commit);
    CHECK_EQ(ST_OK, change(n, 1, voters("14")));
    net_free(n);
}

TEST(change_is_taken_only_when_it_can_begin)
{
    struct net *n = start("123", 3);
    CHECK_EQ(ST_NOT_LEADER, change(n, 1, voters("12")));
    n->cut[1][3] = true;
    net_elect_by(n, 1, 2);
    CHECK_EQ(ST_UNAVAILABLE, change(n, 1, voters("12"))); /* its no-op is not committed */
    net_settle(n);
    struct raft_members joint = voters("12");
    joint.joint = true;
    CHECK_EQ(ST_INVALID, change(n, 1, joint));
    CHECK_EQ(ST_INVALID, change(n, 1, (struct raft_members){0}));
    CHECK_EQ(ST_INVALID, change(n, 1, (struct raft_members){.count = 1, .member = {{1, V | W}}}));
    CHECK_EQ(1, net_view(n, 1).last);
    CHECK_EQ(ST_OK, change(n, 1, voters("123"))); /* as it is: nothing to do */
    CHECK_EQ(1, net_view(n, 1).last);
    /* A learner comes without a joint configuration, and the next change waits until that is committed. */
    struct raft_members more = voters("123");
    CHECK(raft_members_put(&more, 4, 0));
    CHECK_EQ(ST_OK, change(n, 1, more));
    CHECK(!members(n, 1)->joint);
    CHECK_EQ(ST_CONFLICT, change(n, 1, voters("123")));
    net_settle(n);
    CHECK_EQ(ST_OK, change(n, 1, voters("123")));
    net_free(n);
}

/* While it is joint, neither set decides alone: not what is committed, not who leads. */
TEST(change_joint_commits_by_both_sets)
{
    for (int old = 0; old < 2; old++) {
        struct net *n = start("123", 6);
        net_elect(n, 1);
        CHECK_EQ(ST_OK, change(n, 1, voters("1456")));
        for (uint32_t i = old ? 4 : 2; i <= (old ? 6 : 3); i++)
            n->held[1][i] = true;
        net_settle(n);
        net_tick(n, 1, 1);
        CHECK_EQ(1, net_view(n, 1).commit); /* all of one set, and only 1 of the other */
        CHECK(members(n, 1)->joint);
        n->held[1][old ? 4 : 2] = false;
        net_settle(n);
        CHECK_EQ(old ? 1 : 3, net_view(n, 1).commit); /* 1 and 4 are half of the new set */
        n->held[1][5] = false;
        net_settle(n);
        CHECK_EQ(3, net_view(n, 1).commit); /* and the new set alone has followed */
        net_free(n);
    }
}

TEST(change_joint_elects_by_both_sets)
{
    struct net *n = start("123", 6);
    net_elect(n, 1);
    n->cut[1][2] = n->cut[1][3] = true;
    CHECK_EQ(ST_OK, change(n, 1, voters("1456")));
    net_settle(n);
    net_isolate(n, 1);
    net_isolate(n, 2);
    net_campaign(n, 4); /* 4, 5, 6 and 3: of the old set only 3 */
    net_settle(n);
    CHECK_EQ(RAFT_PRECANDIDATE, net_view(n, 4).role);
    CHECK_EQ(1, net_view(n, 4).term);
    net_rejoin(n, 2);
    net_elect(n, 4);
    net_pass(n, 500);
    check_members(n, 4, voters("1456"));
    net_free(n);
}

/* A new node gets the log as a learner, and votes once it lacks little: without anybody asking. */
TEST(change_who_joins_votes_when_it_has_caught_up)
{
    struct net *n = net_new(3);
    n->config.join_lag = 2;
    net_start_each(n, 4);
    net_elect(n, 1);
    net_fill(n, 1, 10);
    net_isolate(n, 4);
    struct raft_members wanted = voters("123");
    CHECK(raft_members_put(&wanted, 4, J));
    CHECK_EQ(ST_OK, change(n, 1, wanted));
    net_pass(n, 300);
    check_members(n, 1, wanted);
    (void)net_propose(n, 1, "a"); /* 4 has no say yet */
    net_settle(n);
    CHECK_EQ(13, net_view(n, 1).commit);
    net_rejoin(n, 4);
    net_pass(n, 300);
    check_members(n, 1, voters("1234"));
    check_members(n, 4, voters("1234"));
    net_free(n);
}

TEST(change_who_joins_may_lack_so_many_entries_and_no_more)
{
    for (uint64_t lag = 2; lag <= 3; lag++) {
        struct net *n = net_new(3);
        n->config.join_lag = lag;
        net_start_each(n, 4);
        net_elect(n, 1);
        struct raft_members wanted = voters("123");
        CHECK(raft_members_put(&wanted, 4, J | W));
        CHECK_EQ(ST_OK, change(n, 1, wanted));
        net_settle(n);
        net_disk_hold(n, 4); /* it acknowledges no more */
        net_fill(n, 1, 3);
        CHECK_EQ(2, net_peer(n, 1, 4).match);
        net_beat(n, 1);
        CHECK_EQ(lag == 3 ? V | W : J | W, raft_members_find(members(n, 1), 4)->flags);
        net_free(n);
    }
}

/* Else it may vote and know of nobody: it would ask no witness for what it lacks, and be the only one who could lead. */
TEST(change_who_joins_votes_once_it_knows_that_it_joins)
{
    struct net *n = net_new(3);
    n->config.join_lag = 1000;
    n->config.batch_entries_max = 2;
    net_start_each(n, 4);
    net_elect(n, 1);
    net_fill(n, 1, 10);
    net_disk_hold(n, 4);
    struct raft_members wanted = voters("123");
    CHECK(raft_members_put(&wanted, 4, J));
    CHECK_EQ(ST_OK, change(n, 1, wanted));
    net_settle(n);
    for (int i = 0; i < 2; i++) { /* the term, then the first entries */
        net_disk_do(n, 4, 1);
        net_settle(n);
    }
    CHECK_EQ(2, net_peer(n, 1, 4).match); /* it answers, and has taken the first entries */
    net_beat(n, 1);
    CHECK_EQ(J, raft_members_find(members(n, 1), 4)->flags);
    net_disk_release(n, 4);
    net_settle(n);
    net_beat(n, 1);
    net_settle(n);
    check_members(n, 1, voters("1234"));
    net_free(n);
}

/* Who is to vote and is not there yet joins first: it would only hold up the others. */
TEST(change_new_voter_joins_first)
{
    struct net *n = start("12", 2);
    net_elect(n, 1);
    CHECK_EQ(ST_OK, change(n, 1, voters("123")));
    CHECK(!members(n, 1)->joint);
    CHECK_EQ(J, raft_members_find(members(n, 1), 3)->flags);
    net_settle(n);
    (void)net_propose(n, 1, "a");
    net_settle(n);
    CHECK_EQ(3, net_view(n, 1).commit); /* without 3 */
    net_start(n, 3);
    net_pass(n, 300);
    check_members(n, 1, voters("123"));
    check_members(n, 3, voters("123"));
    net_free(n);
}

/* What all full voters hold a witness may have dropped: who lacks some of that could need what nobody may lend it. */
TEST(change_new_voter_holds_what_a_witness_may_have_dropped)
{
    struct net *n = net_new(2);
    CHECK(raft_members_put(&n->first, 3, V | W));
    CHECK(raft_members_put(&n->first, 4, 0));
    net_start_each(n, 4);
    net_elect(n, 1);
    net_disk_hold(n, 4); /* it hears everything, and acknowledges nothing */
    net_fill(n, 1, 3);
    net_beat(n, 1);
    CHECK_EQ(4, net_view(n, 1).kept);
    CHECK(net_peer(n, 1, 4).match < 4);
    struct raft_members wanted = n->first;
    CHECK(raft_members_put(&wanted, 4, V));
    CHECK_EQ(ST_OK, change(n, 1, wanted));
    CHECK(!members(n, 1)->joint);
    CHECK_EQ(J, raft_members_find(members(n, 1), 4)->flags);
    net_disk_release(n, 4);
    net_pass(n, 300);
    check_members(n, 1, wanted);
    net_free(n);
}

/* Who had everything, and is not heard any more, is no voter to count on. */
TEST(change_new_voter_is_there)
{
    struct net *n = net_new(3);
    CHECK(raft_members_put(&n->first, 4, 0));
    net_start_each(n, 4);
    net_elect(n, 1);
    net_fill(n, 1, 3);
    net_isolate(n, 4);
    net_pass(n, 2 * n->config.election_ms);
    CHECK_EQ(4, net_peer(n, 1, 4).match);
    CHECK_EQ(ST_OK, change(n, 1, voters("1234")));
    CHECK(!members(n, 1)->joint);
    CHECK_EQ(J, raft_members_find(members(n, 1), 4)->flags);
    net_pass(n, 500);
    CHECK_EQ(J, raft_members_find(members(n, 1), 4)->flags);
    net_rejoin(n, 4);
    net_pass(n, 300);
    check_members(n, 1, voters("1234"));
    net_free(n);
}

/* The leader crashes after each of the first so many messages of a change: whoever is elected either finishes it
 * or never heard of it, and there is one configuration in the end. */
TEST(change_survives_a_crash_of_the_leader_at_any_step)
{
    size_t finished = 0, undone = 0;
    for (size_t steps = 0; steps < 30; steps++) {
        struct net *n = start("123", 5);
        net_elect(n, 1);
        net_disk_hold(n, 1);
        CHECK_EQ(ST_OK, change(n, 1, voters("345")));
        for (size_t i = 0; i < steps && n->pool_count; i++) {
            net_deliver(n, 0, 0, NET_ANY);
            if (i % 4 == 3)
                net_disk_do(n, 1, n->node[1].write_count);
        }
        net_crash(n, 1);
        (void)net_drop(n, 1, 0, NET_ANY);
        net_pass(n, 3000);
        uint32_t leader = net_view(n, 3).leader;
        CHECK(leader > 1);
        bool begun = net_view(n, leader).members_index > 0;
        check_members(n, leader, begun ? voters("345") : n->first);
        begun ? finished++ : undone++;
        net_start(n, 1);
        (void)net_propose(n, leader, "on");
        net_pass(n, 1000);
        for (uint32_t i = 3; i <= (begun ? 5 : 3); i++)
            CHECK_EQ(net_view(n, leader).last, net_view(n, i).applied);
        net_free(n);
    }
    CHECK(finished > 0 && undone > 0);
}

/* A leader that removes itself leads until the new configuration is committed, without counting itself,
 * hands over, and goes. */
TEST(change_leader_that_removes_itself)
{
    struct net *n = start("123", 3);
    net_elect(n, 1);
    net_disk_hold(n, 1);
    CHECK_EQ(ST_OK, change(n, 1, voters("23")));
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    net_disk_do(n, 1, 1);
    net_replicate(n, 1, 2);
    CHECK_EQ(1, net_view(n, 1).commit); /* of the new set, 3 is missing */
    net_replicate(n, 1, 3);             /* now it is committed, and the new one follows */
    CHECK_EQ(2, net_view(n, 1).commit);
    check_members(n, 1, voters("23"));
    net_disk_do(n, 1, 1);
    net_replicate(n, 1, 2);
    CHECK_EQ(2, net_view(n, 1).commit); /* its own platter is not one of two */
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    net_replicate(n, 1, 3);
    CHECK_EQ(3, net_view(n, 1).commit);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 1).role);
    CHECK_EQ(UINT64_MAX, raft_deadline_ms(n->node[1].r));
    net_settle(n); /* without any time passing */
    CHECK_EQ(RAFT_LEADER, net_view(n, 2).role);
    net_pass(n, 3000);
    CHECK_EQ(2, net_view(n, 2).term);
    CHECK_EQ(2, net_view(n, 3).leader);
    check_members(n, 3, voters("23"));
    CHECK_EQ(1, net_view(n, 1).term); /* and it stays quiet */
    net_free(n);
}

/* Time that passes is no reason to go, nor is what else is committed. */
TEST(change_leader_that_removes_itself_leads_until_that_is_committed)
{
    struct net *n = net_start_led(3);
    CHECK_EQ(ST_OK, change(n, 1, voters("23")));
    net_replicate(n, 1, 2);
    net_replicate(n, 1, 3);
    check_members(n, 1, voters("23"));
    CHECK_EQ(2, net_view(n, 1).commit);
    n->held[1][2] = n->held[1][3] = true;
    for (uint64_t ms = 10; ms < n->config.election_ms; ms += 10) {
        net_tick(n, 1, 10);
        CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    }
    CHECK_EQ(0, net_count(n, 1, 0, RAFT_TAKE_OVER));
    n->held[1][2] = n->held[1][3] = false;
    net_settle(n);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 1).role);
    net_free(n);
}

/* It hands over to who could win at once, not to the first that could lead. */
TEST(change_leader_that_goes_hands_over_to_who_has_everything)
{
    struct net *n = net_start_led(4);
    n->held[1][2] = true;
    CHECK_EQ(ST_OK, change(n, 1, voters("234")));
    net_settle(n);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 1).role);
    CHECK_EQ(0, net_count(n, 1, 2, RAFT_TAKE_OVER));
    CHECK_EQ(RAFT_LEADER, net_view(n, 3).role); /* without any time passing */
    CHECK_EQ(2, net_view(n, 3).term);
    net_free(n);
}

/* The final configuration stands in the log of who leaves alone: without its campaign nobody could ever lead, for the
 * other's log is shorter. */
TEST(change_who_is_to_go_campaigns_until_that_is_committed)
{
    struct net *n = net_start_led(2);
    CHECK_EQ(ST_OK, change(n, 1, voters("2")));
    net_replicate(n, 1, 2);
    check_members(n, 1, voters("2"));
    CHECK(members(n, 2)->joint);
    net_restart(n, 1);
    (void)net_drop(n, 0, 0, NET_ANY);
    net_pass(n, 5000);
    CHECK_EQ(RAFT_LEADER, net_view(n, 2).role);
    check_members(n, 2, voters("2"));
    CHECK_EQ(net_view(n, 2).last, net_view(n, 2).commit);
    net_free(n);
}

/* Else what is left meanwhile would be fewer than before and than after. */
TEST(change_lets_no_voter_go_before_those_who_come_have_caught_up)
{
    struct net *n = start("123", 3);
    net_start(n, 4);
    net_start(n, 5);
    net_elect(n, 1);
    net_pass(n, 200);
    CHECK_EQ(ST_UNAVAILABLE, change(n, 1, voters("145")));
    check_members(n, 1, voters("123"));
    CHECK_EQ(ST_OK, change(n, 1, voters("12345")));
    net_pass(n, 500);
    check_members(n, 1, voters("12345"));
    CHECK_EQ(ST_OK, change(n, 1, voters("145")));
    net_pass(n, 500);
    check_members(n, 1, voters("145"));
    net_free(n);
}

/* A voter that is to be a learner is one voter less, as if it went, be it a witness. */
TEST(change_lets_no_voter_become_a_learner_before_those_who_come_have_caught_up)
{
    for (uint32_t as = 0; as <= W; as += W) {
        struct net *n = net_new(2);
        CHECK(raft_members_put(&n->first, 3, V | as));
        net_start_each(n, 3);
        net_elect(n, 1);
        struct raft_members wanted = voters("124");
        CHECK(raft_members_put(&wanted, 3, as));
        CHECK_EQ(ST_UNAVAILABLE, change(n, 1, wanted));
        check_members(n, 1, n->first);
        net_free(n);
    }
}

/* So is one that is to be a witness: while the others are on their way, nobody might be left who could lead. */
TEST(change_lets_no_voter_become_a_witness_before_those_who_come_have_caught_up)
{
    struct net *n = net_start_led(1);
    struct raft_members wanted = voters("2");
    CHECK(raft_members_put(&wanted, 1, V | W));
    CHECK_EQ(ST_UNAVAILABLE, change(n, 1, wanted));
    check_members(n, 1, voters("1"));
    net_start(n, 2);
    CHECK_EQ(ST_OK, change(n, 1, voters("12")));
    net_pass(n, 500);
    CHECK_EQ(ST_OK, change(n, 1, wanted));
    net_pass(n, 500);
    CHECK_EQ(RAFT_LEADER, net_view(n, 2).role);
    check_members(n, 2, wanted);
    net_restart(n, 1);
    check_members(n, 1, wanted);
    net_free(n);
}

/* A configuration that was never committed is taken back when the log is cut. */
TEST(change_that_is_cut_off_the_log_is_taken_back)
{
    struct net *n = start("123", 3);
    net_elect(n, 1);
    net_disk_hold(n, 1);
    n->cut[1][3] = n->cut[2][1] = true;
    CHECK_EQ(ST_OK, change(n, 1, voters("12")));
    net_settle(n);
    CHECK(members(n, 1)->joint && members(n, 2)->joint);
    CHECK_EQ(2, net_view(n, 2).members_index);
    net_restart(n, 1); /* only 2 has it now */
    check_members(n, 1, voters("123"));
    n->cut[1][3] = false;
    net_isolate(n, 2);
    net_elect(n, 3);
    net_rejoin(n, 2);
    net_pass(n, 500);
    check_members(n, 2, voters("123"));
    CHECK_EQ(0, net_view(n, 2).members_index);
    CHECK_EQ(1, net_view(n, 2).truncations);
    CHECK_EQ(ST_OK, change(n, 3, voters("23")));
    net_pass(n, 500);
    check_members(n, 2, voters("23"));
    net_free(n);
}

/* One that stands right before the cut stays. */
TEST(change_before_the_cut_stays)
{
    struct net *n = net_start_led(3);
    struct raft_members more = n->first;
    CHECK(raft_members_put(&more, 4, 0));
    CHECK_EQ(ST_OK, change(n, 1, more));
    net_pass(n, 200);
    net_isolate(n, 1);
    n->cut[1][2] = false;
    (void)net_propose(n, 1, "lost");
    net_settle(n);
    CHECK_EQ(3, net_view(n, 2).last);
    struct raft_entry e = {3, 2, RAFT_ENTRY_NOOP, NULL};
    struct raft_message m = {.type = append, .from = 3, .to = 2, .term = 2, .index = 2, .count = 1};
    m.log_term = 1;
    m.entries = &e;
    raft_net_send(n, &m);
    net_deliver(n, 3, 2, append);
    CHECK_EQ(1, net_view(n, 2).truncations);
    check_members(n, 2, more);
    net_free(n);
}

/* A learner, or who knows nothing of its membership, votes when asked: it may be a voter without knowing it,
 * and be needed to elect who would tell it. */
TEST(change_learner_votes_when_asked)
{
    struct net *n = net_new(2);
    CHECK(raft_members_put(&n->first, 3, 0));
    for (uint32_t i = 3; i <= 4; i++) {
        net_start(n, i);
        struct raft_message m = {.type = RAFT_VOTE_ASK, .from = 2, .to = i, .term = 2};
        for (int pre = 1; pre >= 0; pre--) {
            m.pre = pre;
            raft_net_send(n, &m);
            net_deliver(n, 2, i, RAFT_VOTE_ASK);
            CHECK(!net_find(n, i, 2, RAFT_VOTE)->refused);
            (void)net_drop(n, i, 2, RAFT_VOTE);
        }
        CHECK_EQ(2, n->node[i].hard.vote);
        net_pass(n, 3000); /* and never campaigns */
        CHECK(net_view(n, i).role <= RAFT_PRECANDIDATE);
        CHECK_EQ(2, net_view(n, i).term);
    }
    net_free(n);
}

/* And so the cluster comes back though one of its two voters does not know that it is one. */
TEST(change_voter_that_does_not_know_it_keeps_the_cluster_alive)
{
    struct net *n = start("12", 3);
    net_elect(n, 1);
    n->cut[1][3] = true;
    n->cut[3][1] = true;
    CHECK_EQ(ST_OK, change(n, 1, voters("123")));
    net_settle(n); /* 1 and 2: both quorums */
    net_pass(n, 100);
    check_members(n, 2, voters("123"));
    CHECK_EQ(1, net_view(n, 3).last);
    net_crash(n, 1);
    net_pass(n, 3000);
    CHECK_EQ(RAFT_LEADER, net_view(n, 2).role);
    check_members(n, 3, voters("123"));
    net_free(n);
}

/* Who was removed and never heard of it campaigns for ever, and disturbs nobody. */
TEST(change_removed_node_that_campaigns_disturbs_nobody)
{
    struct net *n = start("123", 3);
    net_elect(n, 1);
    net_isolate(n, 3);
    CHECK_EQ(ST_OK, change(n, 1, voters("12")));
    net_pass(n, 300);
    check_members(n, 1, voters("12"));
    net_rejoin(n, 3);
    net_pass(n, 5000);
    CHECK_EQ(RAFT_LEADER, net_view(n, 1).role);
    CHECK_EQ(1, net_view(n, 1).term);
    CHECK_EQ(1, net_view(n, 3).term);
    /* Nor while there is no leader: its log lacks what is committed. */
    net_crash(n, 1);
    net_pass(n, 3000);
    CHECK(net_view(n, 3).role != RAFT_LEADER);
    net_start(n, 1);
    net_pass(n, 3000);
    CHECK(net_view(n, 1).leader == 1 || net_view(n, 1).leader == 2);
    net_free(n);
}

/* A witness votes and keeps the log, and never campaigns. */
TEST(change_witness_never_leads)
{
    struct net *n = net_new(2);
    CHECK(raft_members_put(&n->first, 3, V | W));
    net_start_each(n, 3);
    net_elect(n, 1);
    net_isolate(n, 2);
    (void)net_propose(n, 1, "a");
    net_settle(n);
    CHECK_EQ(2, net_view(n, 1).commit); /* with its word */
    net_isolate(n, 1);
    net_pass(n, 5000);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 3).role);
    CHECK_EQ(1, net_view(n, 3).term);
    net_rejoin(n, 1);
    net_pass(n, 3000);
    CHECK_EQ(1, net_view(n, 3).leader);
    net_free(n);
}

/* Who does not lead looks all the same whether its leader is still there. When it knows none, a learner asks, and a witness
 * waits. */
TEST(change_who_never_leads_forgets_a_silent_leader)
{
    struct net *n = net_new(2);
    CHECK(raft_members_put(&n->first, 3, V | W));
    CHECK(raft_members_put(&n->first, 4, 0));
    net_start_each(n, 4);
    net_elect(n, 1);
    net_beat(n, 1);
    for (uint32_t i = 3; i <= 4; i++) {
        CHECK_EQ(1, net_view(n, i).leader);
        uint64_t at = raft_deadline_ms(n->node[i].r);
        CHECK(at < n->node[i].now_ms + 2 * n->config.election_ms);
        net_tick(n, i, at - n->node[i].now_ms);
        CHECK_EQ(0, net_view(n, i).leader);
        CHECK_EQ(1, net_view(n, i).term);
        CHECK_EQ(i == 3, raft_deadline_ms(n->node[i].r) == UINT64_MAX);
    }
    net_free(n);
}

/* The members are those that the log tells after a restart too. */
TEST(change_survives_a_restart_of_all)
{
    struct net *n = start("123", 4);
    net_elect(n, 1);
    CHECK_EQ(ST_OK, change(n, 1, voters("124")));
    net_pass(n, 300);
    for (uint32_t i = 1; i <= 4; i++)
        net_crash(n, i);
    net_start_each(n, 4);
    check_members(n, 4, voters("124"));
    net_crash(n, 3);
    net_pass(n, 3000);
    CHECK(net_view(n, 4).leader > 0);
    net_free(n);
}
