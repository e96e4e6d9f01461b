/* What may be dropped of the log, and what is left after it. */
#include "support/raft_net.h"
#include "support/tap.h"

TEST(compact_keep_from_without_peers)
{
    static const struct {
        uint64_t index, trailing, want;
    } row[] = {{100, 10, 91}, {100, 0, 101}, {100, 1, 100},
               {100, 99, 2},  {100, 100, 1}, {100, 500, 1}};
    struct net *n = net_start_led(1);
    net_fill(n, 1, 99);
    for (size_t i = 0; i < ARRAY_COUNT(row); i++)
        CHECK_EQ(row[i].want,
                 raft_keep_from(n->node[1].r, row[i].index, row[i].trailing, UINT64_MAX / 2));
    net_compact(n, 1, 60, 51);
    CHECK_EQ(51, raft_keep_from(n->node[1].r, 60, 60, UINT64_MAX / 2)); /* what is gone is gone */
    net_free(n);
}

/* Entries that a peer still lacks are kept, while it is there and lacks no more than twice as many. */
TEST(compact_keeps_what_an_active_peer_lacks)
{
    static const struct {
        uint64_t trailing, want;
    } row[] = {{20, 61}, {30, 50}, {40, 50}, {60, 41}};
    struct net *n = net_start_led(3);
    net_fill(n, 1, 48);
    net_disk_hold(n, 3); /* it acknowledges no more: 49 matched */
    net_fill(n, 1, 51);
    CHECK_EQ(49, net_peer(n, 1, 3).match);
    for (uint64_t past = 0; past < 3 * n->config.election_ms; past += 10) {
        net_tick(n, 1,
                 10); /* also when it was just looked who is there, and nobody has answered since */
        for (size_t i = 0; i < ARRAY_COUNT(row); i++)
            CHECK_EQ(row[i].want,
                     raft_keep_from(n->node[1].r, 100, row[i].trailing, UINT64_MAX / 2));
        CHECK(net_peer(n, 1, 3).active);
        net_settle(n);
    }
    net_isolate(n, 3);
    for (uint64_t past = 0; past < 2 * n->config.election_ms; past += 10) {
        net_tick(n, 1, 10);
        net_settle(n);
    }
    CHECK(!net_peer(n, 1, 3).active);
    CHECK_EQ(71, raft_keep_from(n->node[1].r, 100, 30, UINT64_MAX / 2));
    net_free(n);
}

TEST(compact_restart_from_snapshot_and_trailing_log)
{
    for (uint64_t first = 5; first <= 9; first++) {
        struct net *n = net_start_led(3);
        net_fill(n, 1, 9);
        net_compact(n, 1, 8, first);
        net_restart(n, 1);
        struct raft_view v = net_view(n, 1);
        CHECK_EQ(first, v.first);
        CHECK_EQ(10, v.last);
        CHECK_EQ(8, v.commit);
        CHECK_EQ(8, v.applied);
        net_pass(n, 3000);
        CHECK_EQ(net_view(n, 1).last, net_view(n, 1).applied);
        net_free(n);
    }
}

/* After a restart the term of the entry before the log is not known: who would match there gets a snapshot. */
TEST(compact_leader_that_restarted_serves_who_is_at_the_edge)
{
    struct net *n = net_start_led(3);
    net_fill(n, 1, 3);
    net_isolate(n, 3); /* at 4 */
    net_fill(n, 1, 6);
    net_compact(n, 1, 8, 5);
    net_restart(n, 1);
    net_elect(n, 1);
    net_rejoin(n, 3);
    for (int i = 0; i < 4; i++) {
        net_beat(n, 1);
    }
    CHECK(net_peer(n, 1, 3).snapshot);
    CHECK(net_restore(n, 3, 1));
    net_pass(n, 300);
    CHECK_EQ(11, net_view(n, 3).applied);
    net_free(n);
}

/* Without a restart it is known, and the entries are sent. */
TEST(compact_leader_serves_who_is_at_the_edge)
{
    struct net *n = net_start_led(3);
    net_fill(n, 1, 3);
    net_isolate(n, 3);
    net_fill(n, 1, 6);
    net_compact(n, 1, 8, 5);
    net_rejoin(n, 3);
    net_pass(n, 300);
    CHECK(!net_peer(n, 1, 3).snapshot);
    CHECK_EQ(10, net_view(n, 3).applied);
    CHECK_EQ(1, net_view(n, 3).first);
    net_free(n);
}

/* A follower with a compacted log answers appends that begin before it, and goes on: what it no longer knows is
 * committed, and needs no comparison. */
TEST(compact_follower_takes_appends_that_reach_back)
{
    for (uint64_t from = 0; from <= 4; from++) {
        struct net *n = net_start_led(3);
        net_fill(n, 1, 3);
        net_pass(n, 100);
        CHECK_EQ(4, net_view(n, 2).applied);
        struct raft_entry e[5];
        for (uint64_t i = 1; i <= 4; i++)
            e[i - 1] = net_entry_ref(&n->node[2].entry[i]);
        e[4] = (struct raft_entry){5, 1, RAFT_ENTRY_NOOP, NULL};
        net_compact(n, 2, 4, 4);
        struct raft_message m = {.type = RAFT_APPEND, .from = 1, .to = 2, .term = 1};
        m.index = from;
        m.log_term = from > 0;
        m.entries = e + from;
        m.count = 5 - from;
        raft_net_send(n, &m);
        (void)net_drop(n, 2, 1, NET_ANY);
        net_deliver(n, 1, 2, RAFT_APPEND);
        CHECK_EQ(5, net_view(n, 2).last);
        CHECK(!net_find(n, 2, 1, RAFT_APPENDED)->refused);
        CHECK_EQ(5, net_find(n, 2, 1, RAFT_APPENDED)->index);
        for (size_t i = 0; i < 4; i++)
            raft_data_unref(e[i].data);
        net_free(n);
    }
}

TEST_ABORTS(compact_beyond_what_is_applied_is_the_callers_error)
{
    struct net *n = net_start_led(3);
    raft_compact(n->node[2].r, 5, 5);
}
