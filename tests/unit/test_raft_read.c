#include "support/raft_net.h"
#include "support/tap.h"

static const int append = RAFT_APPEND, appended = RAFT_APPENDED;

static struct raft_read read_of(struct net *n, uint32_t i)
{
    struct raft_read read;
    CHECK_EQ(ST_OK, raft_read(n->node[i].r, &read, NULL));
    return read;
}

static enum raft_confirmed confirmed(const struct net *n, uint32_t i, const struct raft_read *read)
{
    return raft_confirmed(n->node[i].r, read);
}

TEST(read_needs_a_leader_that_committed_in_its_term)
{
    struct net *n = net_start_all(3);
    struct raft_read read;
    CHECK_EQ(ST_NOT_LEADER, raft_read(n->node[1].r, &read, NULL));
    n->held[1][2] = n->held[1][3] = true;
    net_elect_by(n, 1, 2);
    CHECK_EQ(ST_UNAVAILABLE, raft_read(n->node[1].r, &read, NULL));
    n->held[1][2] = false;
    net_settle(n);
    CHECK_EQ(ST_OK, raft_read(n->node[1].r, &read, NULL));
    CHECK_EQ(1, read.index);
    CHECK_EQ(ST_NOT_LEADER, raft_read(n->node[2].r, &read, NULL));
    net_free(n);
}

/* Committed before, by another: a new leader does not know of it until its own no-op is committed. */
TEST(read_of_a_new_leader_knows_what_the_old_one_committed)
{
    struct net *n = net_start_led(3);
    (void)net_propose(n, 1, "a");
    net_settle(n);
    CHECK_EQ(2, net_view(n, 1).commit);
    CHECK_EQ(1, net_view(n, 2).commit);
    net_isolate(n, 1);
    net_elect_by(n, 2, 3);
    struct raft_read read;
    CHECK_EQ(ST_UNAVAILABLE, raft_read(n->node[2].r, &read, NULL));
    net_settle(n);
    read = read_of(n, 2);
    CHECK_EQ(3, read.index);
    net_free(n);
}

TEST(read_is_confirmed_by_a_quorum)
{
    struct net *n = net_start_led(5);
    struct raft_read read = read_of(n, 1);
    net_run(n, 1);
    CHECK_EQ(4, net_count(n, 1, 0, append));
    net_double(n, 1, 2, append);
    net_replicate(n, 1, 2);
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 1, &read));
    net_replicate(n, 1, 2); /* the same one again is no second */
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 1, &read));
    net_replicate(n, 1, 3);
    CHECK_EQ(RAFT_CONFIRMED, confirmed(n, 1, &read));
    net_free(n);
}

TEST(read_index_is_what_was_committed_when_it_was_asked)
{
    struct net *n = net_start_led(3);
    (void)net_propose(n, 1, "a");
    struct raft_read before = read_of(n, 1);
    CHECK_EQ(1, before.index);
    net_settle(n);
    struct raft_read after = read_of(n, 1);
    CHECK_EQ(2, after.index);
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 1, &after));
    net_free(n);
}

/* An answer that was on its way when the read was asked for says nothing of it. */
TEST(read_is_not_confirmed_by_late_answers)
{
    struct net *n = net_start_led(3);
    net_tick(n, 1, n->config.heartbeat_ms);
    net_deliver(n, 1, 2, append);
    net_deliver(n, 1, 3, append); /* both have answered, and the answers are late */
    struct raft_read read = read_of(n, 1);
    net_deliver(n, 2, 1, appended);
    net_deliver(n, 3, 1, appended);
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 1, &read));
    net_run(n, 1);
    net_settle(n);
    CHECK_EQ(RAFT_CONFIRMED, confirmed(n, 1, &read));
    net_free(n);
}

/* Nor is one confirmed by answers to a read before it, with a heartbeat already sent. */
TEST(read_after_a_sent_one_takes_a_number_of_its_own)
{
    struct net *n = net_start_led(3);
    struct raft_read first = read_of(n, 1), same = read_of(n, 1);
    CHECK_EQ(first.number, same.number); /* nothing was sent in between */
    net_run(n, 1);
    struct raft_read second = read_of(n, 1);
    CHECK(second.number > first.number);
    net_replicate(n, 1, 2);
    CHECK_EQ(RAFT_CONFIRMED, confirmed(n, 1, &first));
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 1, &second));
    net_settle(n);
    CHECK_EQ(RAFT_CONFIRMED, confirmed(n, 1, &second));
    net_free(n);
}

/* A message that was sent before the read and arrives after it: its answer bears the number of then. */
TEST(read_is_not_confirmed_by_answers_to_late_messages)
{
    struct net *n = net_start_led(3);
    n->held[1][2] = n->held[1][3] = true;
    struct raft_read first = read_of(n, 1);
    net_run(n, 1);
    net_double(n, 1, 0, append);
    net_replicate(n, 1, 2);
    CHECK_EQ(RAFT_CONFIRMED, confirmed(n, 1, &first));
    struct raft_read second = read_of(n, 1);
    net_replicate(n, 1, 3);
    net_replicate(n, 1, 2); /* the copy */
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 1, &second));
    net_free(n);
}

/* Who was deposed without knowing it is not confirmed, ever. */
TEST(read_at_a_deposed_leader_is_lost)
{
    struct net *n = net_start_led(3);
    net_isolate(n, 1);
    net_elect(n, 2);
    (void)net_propose(n, 2, "new");
    net_settle(n);
    struct raft_read stale = read_of(n, 1);
    net_run(n, 1);
    net_settle(n);
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 1, &stale));
    net_rejoin(n, 1);
    net_beat(n, 1);
    CHECK_EQ(RAFT_CONFIRM_LOST, confirmed(n, 1, &stale));
    net_free(n);
}

/* Leading again, in another term, is not to have led all the time. */
TEST(read_of_an_earlier_term_is_lost)
{
    struct net *n = net_start_led(3);
    struct raft_read read = read_of(n, 1);
    net_run(n, 1);
    net_settle(n);
    CHECK_EQ(RAFT_CONFIRMED, confirmed(n, 1, &read));
    net_elect(n, 2);
    net_elect(n, 1);
    CHECK_EQ(RAFT_CONFIRM_LOST, confirmed(n, 1, &read));
    struct raft_read now = read_of(n, 1);
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 1, &now));
    net_free(n);
}

/* A follower that served in an earlier term counts its numbers anew: that term's are not this one's. */
TEST(read_numbers_of_an_earlier_leader_confirm_nothing)
{
    struct net *n = net_start_led(3);
    for (int i = 0; i < 5; i++) {
        (void)read_of(n, 1);
        net_run(n, 1);
        net_settle(n);
    }
    net_elect(n, 2); /* its followers have seen number 5 */
    struct raft_read read = read_of(n, 2);
    CHECK_EQ(1, read.number);
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 2, &read));
    net_run(n, 2);
    net_settle(n);
    CHECK_EQ(RAFT_CONFIRMED, confirmed(n, 2, &read));
    net_free(n);
}

TEST(read_survives_loss_by_the_next_heartbeat)
{
    struct net *n = net_start_led(3);
    struct raft_read read = read_of(n, 1);
    net_run(n, 1);
    CHECK_EQ(2, net_drop(n, 1, 0, append));
    net_beat(n, 1);
    CHECK_EQ(RAFT_CONFIRMED, confirmed(n, 1, &read));
    net_free(n);
}

/* Who fetches a snapshot hears from its leader by offers, and may be the one that the quorum needs. */
TEST(read_is_confirmed_by_who_fetches_a_snapshot)
{
    struct net *n = net_start_led(3);
    net_isolate(n, 3);
    net_fill(n, 1, 10);
    net_compact(n, 1, 10, 11);
    net_rejoin(n, 3);
    for (int i = 0; i < 3; i++)
        net_beat(n, 1);
    CHECK(net_peer(n, 1, 3).snapshot);
    net_isolate(n, 2);
    struct raft_read read;
    CHECK_EQ(ST_OK, raft_read(n->node[1].r, &read, NULL));
    net_run(n, 1);
    net_settle(n);
    CHECK(net_peer(n, 1, 3).snapshot);
    CHECK_EQ(RAFT_CONFIRMED, raft_confirmed(n->node[1].r, &read));
    net_free(n);
}

/* Learners are asked too, and have no say. */
TEST(read_is_not_confirmed_by_learners)
{
    struct net *n = net_new(3);
    CHECK(raft_members_put(&n->first, 4, 0));
    CHECK(raft_members_put(&n->first, 5, 0));
    net_start_each(n, 5);
    net_elect(n, 1);
    n->held[1][2] = n->held[1][3] = true;
    struct raft_read read = read_of(n, 1);
    net_run(n, 1);
    net_settle(n);
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 1, &read));
    n->held[1][2] = false;
    net_settle(n);
    CHECK_EQ(RAFT_CONFIRMED, confirmed(n, 1, &read));
    net_free(n);
}

/* While a change is under way both sets must still know their leader. */
TEST(read_in_a_joint_configuration_needs_both_quorums)
{
    struct net *n = net_new(3);
    for (uint32_t i = 4; i <= 6; i++)
        CHECK(raft_members_put(&n->first, i, 0));
    net_start_each(n, 6);
    net_elect(n, 1);
    struct raft_members to = {.count = 4};
    for (uint32_t i = 0; i < 4; i++)
        to.member[i] = (struct raft_member){i == 0 ? 1 : 3 + i, RAFT_VOTES};
    (void)net_change(n, 1, &to); /* from 1 2 3 to 1 4 5 6 */
    CHECK(raft_members(n->node[1].r)->joint);
    for (uint32_t i = 2; i <= 3; i++) {
        (void)net_drop(n, 1, i, NET_ANY);
        n->cut[1][i] = true;
    }
    struct raft_read read = read_of(n, 1);
    net_run(n, 1);
    net_settle(n);
    for (uint32_t i = 4; i <= 6; i++)
        CHECK_EQ(2, net_peer(n, 1, i).match);
    CHECK_EQ(RAFT_CONFIRM_WAITS, confirmed(n, 1, &read)); /* of 1 2 3 only 1 */
    n->cut[1][2] = false;
    net_beat(n, 1);
    CHECK_EQ(RAFT_CONFIRMED, confirmed(n, 1, &read));
    net_free(n);
}
