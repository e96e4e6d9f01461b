/* How a leader sends: probing, pipelining, windows, batches, what it counts and what it takes. */
#include "support/raft_net.h"
#include "support/tap.h"

static const int append = RAFT_APPEND, appended = RAFT_APPENDED;

static enum status propose(struct net *n, uint32_t i, size_t len)
{
    uint64_t index, term;
    char bytes[256] = {0};
    CHECK(len <= sizeof bytes);
    return raft_propose(n->node[i].r, raft_data_new(bytes, len), &index, &term, NULL);
}

/* Disk and peers work at the same time; a quorum of others is enough to commit, not to apply. */
TEST(flow_leader_sends_before_its_own_log_is_durable)
{
    struct net *n = net_start_led(3);
    net_disk_hold(n, 1);
    (void)net_propose(n, 1, "a");
    CHECK_EQ(2, net_count(n, 1, 0, append));
    net_replicate(n, 1, 2);
    CHECK_EQ(1,
             net_view(n, 1).commit); /* one other and a platter that is not ours yet: no quorum */
    net_settle(n);
    CHECK_EQ(2, net_view(n, 1).commit);
    CHECK_EQ(1, net_view(n, 1).persisted);
    CHECK_EQ(1, net_view(n, 1).applied);
    net_beat(n, 1);
    CHECK_EQ(2, net_view(n, 2).applied);
    net_disk_release(n, 1);
    CHECK_EQ(2, net_view(n, 1).applied);
    net_free(n);
}

TEST(flow_follower_applies_only_what_is_on_its_platter)
{
    struct net *n = net_start_led(3);
    net_disk_hold(n, 2);
    (void)net_propose(n, 1, "a");
    net_settle(n);
    net_beat(n, 1);
    CHECK_EQ(2, net_view(n, 2).commit);
    CHECK_EQ(1, net_view(n, 2).applied);
    net_disk_release(n, 2);
    CHECK_EQ(2, net_view(n, 2).applied);
    net_free(n);
}

/* Until it is known where a peer's log matches, it is asked once a heartbeat, without entries. */
TEST(flow_probe_waits_for_its_answer)
{
    struct net *n = net_start_all(3);
    net_isolate(n, 3);
    net_elect(n, 1);
    n->cut[3][1] = n->cut[1][3] = false;
    net_fill(n, 1, 5);
    (void)net_drop(n, 0, 0, NET_ANY);
    net_tick(n, 1, n->config.heartbeat_ms);
    CHECK_EQ(1, net_count(n, 1, 3, append));
    CHECK_EQ(0, net_find(n, 1, 3, append)->count);
    net_propose_many(n, 1, 5);
    CHECK_EQ(1, net_count(n, 1, 3, append));
    net_settle(n);
    CHECK_STR("11111111111", net_log(n, 1));
    CHECK_EQ(11, net_peer(n, 1, 3).match);
    net_free(n);
}

TEST(flow_pipelines_without_waiting)
{
    struct net *n = net_start_led(3);
    for (uint64_t i = 2; i <= 6; i++) {
        (void)net_propose(n, 1, "a");
        CHECK_EQ(i + 1, net_peer(n, 1, 2).next);
    }
    CHECK_EQ(5, net_count(n, 1, 2, append));
    CHECK_EQ(5, net_peer(n, 1, 2).window_messages);
    net_settle(n);
    CHECK_EQ(0, net_peer(n, 1, 2).window_messages);
    net_free(n);
}

TEST(flow_window_bounds_messages)
{
    struct net *n = net_new(3);
    n->config.window_messages = 2;
    net_start_each(n, 3);
    net_elect(n, 1);
    net_propose_many(n, 1, 6);
    CHECK_EQ(2, net_count(n, 1, 2, append));
    net_replicate(n, 1, 2);
    CHECK_EQ(2, net_count(n, 1, 2, append)); /* one came back, one went: with all that waited */
    CHECK_EQ(2, net_peer(n, 1, 2).window_messages);
    CHECK_EQ(8, net_peer(n, 1, 2).next);
    net_settle(n);
    CHECK_EQ(7, net_peer(n, 1, 2).match);
    /* A heartbeat is no part of it. */
    net_propose_many(n, 1, 3);
    net_tick(n, 1, n->config.heartbeat_ms);
    CHECK_EQ(3, net_count(n, 1, 2, append));
    net_free(n);
}

TEST(flow_window_bounds_bytes)
{
    struct net *n = net_new(3);
    n->config.window_bytes = 100;
    net_start_each(n, 3);
    net_elect(n, 1);
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(ST_OK, propose(n, 1, 40));
        net_run(n, 1);
    }
    CHECK_EQ(3, net_count(n, 1, 2, append)); /* the third began below the bound */
    net_replicate(n, 1, 2);
    CHECK_EQ(3, net_count(n, 1, 2, append)); /* 80 were under way */
    net_replicate(n, 1, 2);
    CHECK_EQ(2, net_count(n, 1, 2, append)); /* 40 and 3 * 40 */
    net_settle(n);
    CHECK_EQ(7, net_peer(n, 1, 2).match);
    net_free(n);
}

TEST(flow_batches_have_bounds)
{
    struct net *n = net_new(3);
    n->config.batch_entries_max = 3;
    n->config.batch_bytes_max = 100;
    net_start_each(n, 3);
    net_elect(n, 1);
    static const size_t len[] = {1, 1, 1, 1, 59, 40, 1, 200, 60, 41};
    static const size_t want[] = {3, 3, 1, 1, 1, 1};
    for (size_t i = 0; i < ARRAY_COUNT(len); i++)
        CHECK_EQ(ST_OK, propose(n, 1, len[i]));
    net_run(n, 1);
    CHECK_EQ(ARRAY_COUNT(want), net_count(n, 1, 2, append));
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        CHECK_EQ(want[i], net_find(n, 1, 2, append)->count);
        net_deliver(n, 1, 2, append);
    }
    net_settle(n);
    CHECK_EQ(11, net_view(n, 1).commit);
    net_free(n);
}

/* Many proposals between two readies go as one message to each, and one write. */
TEST(flow_proposals_of_one_round_share_a_message)
{
    struct net *n = net_start_led(3);
    net_disk_hold(n, 1);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(ST_OK, propose(n, 1, 10));
    net_run(n, 1);
    CHECK_EQ(2, n->pool_count);
    CHECK_EQ(100, n->pool[0].count);
    CHECK_EQ(1, n->node[1].write_count);
    net_disk_release(n, 1);
    net_settle(n);
    CHECK_EQ(101, net_view(n, 1).commit);
    net_free(n);
}

/* Whatever is lost, the next heartbeats bring it in again. */
TEST(flow_goes_on_after_any_loss)
{
    static const struct {
        int type;
        size_t entries_before, entries_after;
    } row[] = {
        {RAFT_APPEND, 3, 0}, {RAFT_APPEND, 3, 2}, {RAFT_APPENDED, 3, 0}, {RAFT_APPENDED, 3, 2}};
    for (size_t k = 0; k < ARRAY_COUNT(row); k++) {
        struct net *n = net_new(3);
        n->config.window_messages = 3; /* what was lost fills it */
        net_start_each(n, 3);
        net_elect(n, 1);
        net_isolate(n, 3);
        for (size_t i = 0; i < row[k].entries_before; i++)
            (void)net_propose(n, 1, "a");
        while (net_drop(n, 0, 0, row[k].type) == 0)
            net_deliver(n, 0, 0, NET_ANY);
        (void)net_drop(n, 0, 0, NET_ANY);
        for (size_t i = 0; i < row[k].entries_after; i++)
            (void)net_propose(n, 1, "b");
        net_pass(n, 4 * n->config.heartbeat_ms);
        CHECK_EQ(1 + row[k].entries_before + row[k].entries_after, net_view(n, 2).applied);
        net_free(n);
    }
}

/* A refusal that comes late brings nothing back: what matched stays matched. */
TEST(flow_late_refusal_does_no_harm)
{
    struct net *n = net_start_led(3);
    (void)net_propose(n, 1, "a");
    (void)net_propose(n, 1, "b");
    net_deliver_last(n, 1, 2, append); /* refused: it ran ahead */
    net_double(n, 2, 1, appended);
    net_double(n, 2, 1, appended);
    net_deliver(n, 1, 2, append);
    net_settle(n);
    CHECK_EQ(3, net_peer(n, 1, 2).match);
    CHECK_EQ(4, net_peer(n, 1, 2).next);
    struct raft_message m = {.type = appended, .from = 2, .to = 1, .term = 1, .refused = true};
    for (m.index = 0; m.index < 6; m.index++) {
        raft_net_send(n, &m);
        net_settle(n);
        CHECK_EQ(3, net_peer(n, 1, 2).match);
        CHECK_EQ(4, net_peer(n, 1, 2).next);
    }
    net_free(n);
}

/* Nor does one of entries that are still under way undo what was acknowledged since. */
TEST(flow_late_refusal_goes_back_to_what_matched_at_most)
{
    struct net *n = net_new(3);
    n->config.batch_entries_max = 1;
    net_start_each(n, 3);
    net_elect(n, 1);
    net_propose_many(n, 1, 3);
    net_deliver_last(n, 1, 2, append); /* refused: 2 has only entry 1 */
    net_double(n, 2, 1, appended);
    net_deliver(n, 2, 1, appended);
    (void)net_drop(n, 1, 0, append);
    net_tick(n, 1, n->config.heartbeat_ms);
    net_deliver(n, 1, 2, append); /* the probe at 1 */
    net_deliver_last(n, 2, 1, appended);
    net_deliver(n, 1, 2, append);
    net_deliver_last(n, 2, 1, appended);
    CHECK_EQ(2, net_peer(n, 1, 2).match);
    CHECK_EQ(5, net_peer(n, 1, 2).next);
    CHECK(net_find(n, 2, 1, appended)->refused);
    net_deliver(n, 2, 1, appended); /* of the append at 3, with 1 as what may match */
    CHECK_EQ(3, net_peer(n, 1, 2).next);
    net_pass(n, 300);
    CHECK_EQ(4, net_view(n, 2).applied);
    net_free(n);
}

/* --- what may wait --- */

TEST(flow_uncommitted_bytes_are_bounded_at_the_leader)
{
    struct net *n = net_new(3);
    n->config.uncommitted_bytes_max = 100;
    net_start_each(n, 3);
    net_elect(n, 1);
    CHECK_EQ(ST_OK, propose(n, 1, 60));
    CHECK_EQ(ST_LIMIT, propose(n, 1, 41));
    CHECK_EQ(ST_OK, propose(n, 1, 40));
    CHECK_EQ(ST_LIMIT, propose(n, 1, 1));
    net_run(n, 1); /* durable at the leader alone: it still waits */
    CHECK_EQ(ST_LIMIT, propose(n, 1, 1));
    net_replicate(n, 1, 2);
    CHECK_EQ(0, net_view(n, 1).uncommitted_bytes);
    CHECK_EQ(ST_OK, propose(n, 1, 100));
    net_free(n);
}

/* A new leader counts what it found. */
TEST(flow_uncommitted_bytes_of_a_new_leader)
{
    struct net *n = net_new(3);
    n->config.uncommitted_bytes_max = 20;
    for (uint32_t i = 1; i <= 3; i++) {
        net_load(n, i, "111", 1); /* 3 bytes each */
        net_start(n, i);
    }
    net_elect_by(n, 1, 2);
    CHECK_EQ(9, net_view(n, 1).uncommitted_bytes);
    CHECK_EQ(ST_LIMIT, propose(n, 1, 12));
    CHECK_EQ(ST_OK, propose(n, 1, 11));
    net_run(n, 1);
    net_settle(n);
    CHECK_EQ(0, net_view(n, 1).uncommitted_bytes);
    net_free(n);
}

TEST(flow_who_does_not_lead_takes_nothing)
{
    struct net *n = net_start_all(3);
    CHECK_EQ(ST_NOT_LEADER, propose(n, 1, 1));
    net_elect(n, 1);
    CHECK_EQ(ST_NOT_LEADER, propose(n, 2, 1));
    net_isolate(n, 1);
    net_pass(n, 2 * n->config.election_ms);
    CHECK_EQ(ST_NOT_LEADER, propose(n, 1, 1));
    net_free(n);
}

/* A leader that stepped down with entries of its own that nobody has loses them, and they are applied nowhere. */
TEST(flow_deposed_leader_loses_what_is_not_committed)
{
    struct net *n = net_start_led(3);
    net_isolate(n, 1);
    (void)net_propose(n, 1, "lost");
    (void)net_propose(n, 1, "lost too");
    net_elect(n, 2);
    (void)net_propose(n, 2, "kept");
    net_settle(n);
    net_rejoin(n, 1);
    net_pass(n, 300);
    CHECK_STR("122", net_log(n, 1));
    CHECK_EQ(1, net_view(n, 1).truncations);
    CHECK_EQ(3, net_view(n, 1).applied);
    net_elect(n, 1); /* what it lost does not count when it leads again */
    CHECK_EQ(0, net_view(n, 1).uncommitted_bytes);
    net_free(n);
}

/* The kept bound, by which a witness may forget, is what the slowest full voter has on its platter. */
TEST(flow_kept_is_what_all_full_voters_hold)
{
    struct net *n = net_new(2);
    CHECK(raft_members_put(&n->first, 3, RAFT_VOTES | RAFT_WITNESS));
    CHECK(raft_members_put(&n->first, 4, 0));
    net_start_each(n, 4);
    net_elect(n, 1);
    net_isolate(n, 2);
    net_isolate(n, 4);
    (void)net_propose(n, 1, "a");
    net_settle(n);
    net_beat(n, 1);
    CHECK_EQ(2, net_view(n, 3).applied);
    CHECK_EQ(1, net_view(n, 3).kept);
    net_rejoin(n, 2);
    net_pass(n, 200);
    CHECK_EQ(2, net_view(n, 3).kept); /* the learner does not count */
    net_free(n);
}

/* Who is to vote before long may have to lead then. */
TEST(flow_kept_is_what_those_who_join_hold_too)
{
    struct net *n = net_new(2);
    CHECK(raft_members_put(&n->first, 3, RAFT_VOTES | RAFT_WITNESS));
    CHECK(raft_members_put(&n->first, 4, RAFT_JOINS));
    n->config.join_lag = 0;
    net_start_each(n, 3);
    net_elect(n, 1);
    net_fill(n, 1, 3);
    net_beat(n, 1);
    CHECK_EQ(4, net_view(n, 1).commit);
    CHECK_EQ(0, net_view(n, 1).kept);
    CHECK_EQ(0, net_view(n, 3).kept);
    net_start(n, 4);
    net_pass(n, 500);
    CHECK_EQ(net_view(n, 1).last, net_view(n, 3).kept);
    net_free(n);
}
