#include "support/raft_net.h"
#include "support/tap.h"

enum { V = RAFT_VOTES };
static const int append = RAFT_APPEND, appended = RAFT_APPENDED, offer = RAFT_OFFER;

/* 1 leads 2 and 3; 3 was away while ten entries came, and the log of 1 begins at 9 now. */
static struct net *start_behind(void)
{
    struct net *n = net_start_led(3);
    net_isolate(n, 3);
    net_fill(n, 1, 10);
    CHECK_EQ(11, net_view(n, 1).applied);
    net_compact(n, 1, 10, 9);
    net_rejoin(n, 3);
    return n;
}

TEST(snapshot_is_offered_to_who_is_behind_the_log)
{
    struct net *n = start_behind();
    n->held[1][3] = true;
    while (!net_find(n, 1, 3, offer)) { /* probing ends where the log does */
        if (net_find(n, 1, 3, append))
            net_deliver(n, 1, 3, append);
        net_beat(n, 1);
    }
    CHECK_EQ(10, net_find(n, 1, 3, offer)->index);
    CHECK_EQ(1, net_find(n, 1, 3, offer)->log_term);
    CHECK(net_peer(n, 1, 3).snapshot);
    net_deliver(n, 1, 3, offer);
    CHECK_EQ(0, net_view(n, 3).commit); /* it is only an offer */
    n->held[1][3] = false;
    CHECK(net_restore(n, 3, 1));
    CHECK_EQ(10, net_view(n, 3).applied);
    net_settle(n);
    CHECK(!net_peer(n, 1, 3).snapshot);
    net_beat(n, 1);
    CHECK_EQ(11, net_view(n, 3).applied);
    CHECK_EQ(11, net_view(n, 3).first);
    net_fill(n, 1, 1);
    net_beat(n, 1);
    CHECK_EQ(12, net_view(n, 3).applied);
    net_free(n);
}

/* The offer is told again with each heartbeat, and not between: the snapshot takes its time. */
TEST(snapshot_is_offered_once_a_heartbeat)
{
    struct net *n = start_behind();
    for (int i = 0; i < 3; i++)
        net_beat(n, 1);
    CHECK(net_peer(n, 1, 3).snapshot);
    net_tick(n, 1, n->config.heartbeat_ms);
    CHECK_EQ(1, net_count(n, 1, 3, offer));
    n->held[1][3] = true;
    net_fill(n, 1, 5);
    CHECK_EQ(1, net_count(n, 1, 3, offer));
    CHECK_EQ(0, net_count(n, 1, 3, append));
    net_free(n);
}

/* The word that the snapshot came in is lost: the next heartbeat asks again, and is told. */
TEST(snapshot_lost_acknowledgement_stops_nothing)
{
    struct net *n = start_behind();
    for (int i = 0; i < 3; i++)
        net_beat(n, 1);
    CHECK(net_restore(n, 3, 1));
    CHECK_EQ(1, net_drop(n, 3, 1, appended));
    CHECK(net_peer(n, 1, 3).snapshot);
    net_beat(n, 1);
    CHECK(!net_peer(n, 1, 3).snapshot);
    net_beat(n, 1);
    CHECK_EQ(11, net_view(n, 3).applied);
    net_free(n);
}

/* While it was fetched the leader compacted on: what came is not enough, the newer one is offered. */
TEST(snapshot_that_is_outdated_is_followed_by_another)
{
    struct net *n = start_behind();
    for (int i = 0; i < 3; i++)
        net_beat(n, 1);
    CHECK(net_restore(n, 3, 1));
    (void)net_drop(n, 3, 1, NET_ANY);
    net_fill(n, 1, 10);
    net_compact(n, 1, 21, 22);
    net_beat(n, 1);
    CHECK(net_peer(n, 1, 3).snapshot);
    CHECK_EQ(10, net_peer(n, 1, 3).match);
    CHECK(net_restore(n, 3, 1));
    net_settle(n);
    CHECK_EQ(21, net_peer(n, 1, 3).match);
    net_fill(n, 1, 1);
    net_beat(n, 1);
    CHECK_EQ(22, net_view(n, 3).applied);
    net_free(n);
}

/* Entries under way to a peer whose place in the log was compacted away: it is seen by their loss. */
TEST(snapshot_is_offered_when_the_log_was_compacted_past_what_was_lost)
{
    struct net *n = net_start_led(3);
    n->cut[1][3] = true;
    net_fill(n, 1, 5);
    CHECK_EQ(7, net_peer(n, 1, 3).next);
    net_compact(n, 1, 6, 6);
    n->cut[1][3] = false;
    for (int i = 0; i < 3; i++)
        net_beat(n, 1);
    CHECK(net_peer(n, 1, 3).snapshot);
    CHECK(net_restore(n, 3, 1));
    net_settle(n);
    CHECK_EQ(6, net_peer(n, 1, 3).match);
    net_free(n);
}

/* A log that holds the snapshot's last entry goes on after it; any other gives way to it. */
TEST(snapshot_takes_the_place_of_a_log_that_lacks_its_last_entry)
{
    static const char *const log[] = {"", "111", "1122", "111133", "112244", "1111"};
    for (size_t i = 0; i < ARRAY_COUNT(log); i++) {
        struct net *n = net_new(3);
        net_load(n, 1, "1111", 4);
        net_load(n, 2, log[i], 4);
        net_load(n, 3, "1111", 4);
        net_start_each(n, 3);
        bool holds = !strncmp(log[i], "1111", 4);
        net_isolate(n, 2);
        net_elect(n, 1);
        net_compact(n, 1, 4, 5);
        CHECK(net_restore(n, 2, 1));
        struct raft_view v = net_view(n, 2);
        CHECK_EQ(4, v.commit);
        CHECK_EQ(4, v.applied);
        CHECK_EQ(5, v.first);
        CHECK_EQ(holds ? strlen(log[i]) : 4, v.last);
        net_restart(n, 2);
        CHECK_EQ(4, net_view(n, 2).applied);
        net_rejoin(n, 2);
        net_pass(n, 200);
        CHECK_EQ(5, net_view(n, 2).applied);
        net_free(n);
    }
}

TEST(snapshot_that_is_not_newer_changes_nothing)
{
    struct net *n = net_start_led(3);
    net_fill(n, 1, 5);
    net_beat(n, 1);
    net_compact(n, 1, 6, 7);
    CHECK(!net_restore(n, 2, 1));
    CHECK_EQ(1, net_view(n, 2).first);
    CHECK_EQ(6, net_view(n, 2).last);
    net_free(n);
}

/* A write that was under way when the snapshot came says nothing of the entries after it. */
TEST(snapshot_makes_older_writes_say_nothing)
{
    struct net *n = start_behind();
    net_disk_hold(n, 3);
    struct raft_entry e[11];
    for (uint64_t i = 0; i < ARRAY_COUNT(e); i++)
        e[i] = (struct raft_entry){2 + i, 2, RAFT_ENTRY_NOOP, NULL};
    struct raft_message m = {.type = append, .from = 2, .to = 3, .term = 2, .index = 1};
    m.log_term = 1;
    m.entries = e;
    m.count = ARRAY_COUNT(e);
    raft_net_send(n, &m);
    net_deliver(n, 2, 3, append);
    CHECK_EQ(12, net_view(n, 3).last);
    CHECK(!net_restore(n, 3, 1)); /* while this leader's word stands */
    m = (struct raft_message){.type = append, .from = 1, .to = 3, .term = 3};
    m.index = m.log_term = 1;
    raft_net_send(n, &m);
    net_deliver(n, 1, 3, append);
    CHECK(net_restore(n, 3, 1));
    CHECK_EQ(10, net_view(n, 3).last);
    struct raft_entry next[] = {{11, 3, RAFT_ENTRY_NOOP, NULL}, {12, 3, RAFT_ENTRY_NOOP, NULL}};
    m.index = 10;
    m.entries = next;
    m.count = 2;
    raft_net_send(n, &m);
    net_deliver(n, 1, 3, append);
    net_disk_do(n, 3, 1); /* the write of the twelve */
    CHECK_EQ(10, net_view(n, 3).persisted);
    net_disk_release(n, 3);
    CHECK_EQ(12, net_view(n, 3).persisted);
    net_free(n);
}

/* The log holds its last entry, in memory only: the snapshot is durable, and so is what it covers. */
TEST(snapshot_overtakes_entries_that_are_not_durable)
{
    for (int given = 0; given < 2; given++) {
        struct net *n = net_start_led(3);
        n->held[1][3] = true;
        net_fill(n, 1, 4);
        net_compact(n, 1, 4, 2);
        net_disk_hold(n, 3);
        struct raft_message m = {.type = append, .from = 1, .to = 3, .term = 1, .index = 1};
        m.log_term = 1;
        m.entries = &n->node[1].entry[2];
        m.count = 4;
        CHECK_EQ(ST_OK, raft_step(n->node[3].r, &m, NULL));
        if (given)
            net_run(n, 3);
        CHECK_EQ(1, net_view(n, 3).persisted);
        CHECK(net_restore(n, 3, 1));
        CHECK_EQ(4, net_view(n, 3).persisted);
        CHECK_EQ(4, net_find(n, 3, 1, appended)->index);
        CHECK_EQ(5, net_view(n, 3).last);
        net_disk_release(n, 3);
        CHECK_EQ(5, net_view(n, 3).persisted);
        net_restart(n, 3);
        CHECK_EQ(5, net_view(n, 3).last);
        net_free(n);
    }
}

/* It comes when its node has lost its leader, and campaigns: that waits until it follows again. */
TEST(snapshot_waits_while_its_node_campaigns)
{
    struct net *n = start_behind();
    for (int i = 0; i < 3; i++)
        net_beat(n, 1);
    net_campaign(n, 3);
    CHECK_EQ(RAFT_PRECANDIDATE, net_view(n, 3).role);
    CHECK(!net_restore(n, 3, 1));
    (void)net_drop(n, 0, 0, NET_ANY);
    net_beat(n, 1);
    CHECK(net_restore(n, 3, 1));
    net_pass(n, 300);
    CHECK_EQ(11, net_view(n, 3).applied);
    net_free(n);
}

TEST(snapshot_is_nothing_to_who_leads)
{
    struct net *n = net_start_led(3);
    net_fill(n, 1, 5);
    CHECK_EQ(1, net_view(n, 2).commit);
    net_compact(n, 1, 6, 7);
    net_isolate(n, 1);
    net_elect_by(n, 2, 3);
    CHECK(!net_restore(n, 2, 1)); /* newer than what it knows to be committed */
    net_settle(n);
    CHECK_EQ(7, net_view(n, 2).applied);
    net_free(n);
}

/* 3 is behind, and the snapshot of 1 is of term 3, of which 3 has not heard. */
static struct net *start_behind_in_term(void)
{
    struct net *n = start_behind();
    for (int i = 0; i < 3; i++)
        net_beat(n, 1);
    net_isolate(n, 3);
    for (uint32_t from = 1; from <= 2; from++) {
        CHECK_EQ(ST_OK, raft_transfer(n->node[from].r, 3 - from, NULL));
        net_run(n, from);
        net_settle(n);
    }
    CHECK_EQ(3, net_view(n, 1).term);
    net_compact(n, 1, 13, 14);
    return n;
}

/* What was fetched may be newer than what was offered, and of a later term than its node has told its log: that comes
 * first, or a crash would leave a log that is older than its snapshot. */
TEST(snapshot_of_a_later_term_waits_for_that_term)
{
    struct net *n = start_behind_in_term();
    CHECK(!net_restore(n, 3, 1));
    net_rejoin(n, 3);
    net_pass(n, 300);
    CHECK_EQ(3, net_view(n, 3).term);
    CHECK(net_restore(n, 3, 1));
    net_restart(n, 3);
    CHECK_EQ(13, net_view(n, 3).applied);
    net_fill(n, 1, 1);
    net_pass(n, 500);
    CHECK_EQ(14, net_view(n, 3).applied);
    net_free(n);
}

/* Who got a snapshot, and leads later, has it to offer. */
TEST(snapshot_that_was_taken_can_be_given)
{
    struct net *n = net_new(3);
    CHECK(raft_members_put(&n->first, 4, 0)); /* not started yet */
    net_start_each(n, 3);
    net_elect(n, 1);
    net_isolate(n, 3);
    net_fill(n, 1, 10);
    net_compact(n, 1, 10, 11);
    net_rejoin(n, 3);
    for (int i = 0; i < 3; i++)
        net_beat(n, 1);
    CHECK(net_restore(n, 3, 1));
    net_settle(n);
    net_beat(n, 1);
    CHECK_EQ(ST_OK, raft_transfer(n->node[1].r, 3, NULL));
    net_run(n, 1);
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 3).role);
    net_start(n, 4);
    n->held[3][4] = true;
    for (int i = 0; i < 4 && !net_find(n, 3, 4, offer); i++) {
        net_tick(n, 3, n->config.heartbeat_ms);
        while (net_find(n, 3, 4, append))
            net_deliver(n, 3, 4, append);
        net_settle(n);
    }
    CHECK_EQ(10, net_find(n, 3, 4, offer)->index);
    CHECK_EQ(1, net_find(n, 3, 4, offer)->log_term);
    net_free(n);
}

/* --- members --- */

static bool has(const struct raft_members *m, uint32_t number)
{
    return raft_members_find(m, number) != NULL;
}

/* A snapshot tells the members as of its index, not those that only stand in the log (libraft: lost ones). */
TEST(snapshot_tells_the_members_of_its_index)
{
    struct net *n = net_start_led(3);
    struct raft_members more = n->first;
    CHECK(raft_members_put(&more, 4, 0));
    CHECK_EQ(2, net_change(n, 1, &more));
    net_settle(n);
    net_fill(n, 1, 1);
    CHECK(raft_members_put(&more, 5, 0));
    n->held[1][2] = n->held[1][3] = true;
    CHECK_EQ(4, net_change(n, 1, &more)); /* not committed */
    const struct raft *r = n->node[1].r;
    CHECK(!has(raft_members_at(r, 1), 4) && has(raft_members_at(r, 2), 4));
    CHECK(has(raft_members_at(r, 3), 4) && !has(raft_members_at(r, 3), 5));
    CHECK(has(raft_members_at(r, 4), 5) && has(raft_members(r), 5));
    net_compact(n, 1, 3, 4);
    CHECK(has(&n->node[1].snapshot_members, 4) && !has(&n->node[1].snapshot_members, 5));
    CHECK(!has(raft_members_at(r, 3), 5));
    net_restart(n, 1);
    r = n->node[1].r;
    CHECK(!has(raft_members_at(r, 3), 5) && has(raft_members(r), 5));
    net_free(n);
}

/* Members that came after a snapshot are taken back to those in it. */
TEST(snapshot_members_are_what_a_cut_goes_back_to)
{
    struct net *n = net_start_all(3);
    struct raft_members more = n->first, most = n->first;
    CHECK(raft_members_put(&more, 4, 0));
    CHECK(raft_members_put(&most, 5, 0));
    net_elect(n, 1);
    (void)net_change(n, 1, &more);
    net_settle(n);
    net_beat(n, 1);
    net_compact(n, 3, 2, 3);
    net_isolate(n, 1);
    n->cut[1][3] = false;
    (void)net_change(n, 1, &most);
    net_settle(n);
    CHECK(has(raft_members(n->node[3].r), 5));
    struct raft_entry e = {3, 2, RAFT_ENTRY_NOOP, NULL};
    struct raft_message m = {.type = append, .from = 2, .to = 3, .term = 2, .index = 2, .count = 1};
    m.log_term = 1;
    m.entries = &e;
    raft_net_send(n, &m);
    net_deliver(n, 2, 3, append);
    CHECK(!has(raft_members(n->node[3].r), 5) && has(raft_members(n->node[3].r), 4));
    CHECK_EQ(2, net_view(n, 3).members_index);
    net_free(n);
}

/* A log that is opened again may still hold the very entry that brought the snapshot's members. */
TEST(snapshot_at_the_entry_that_brought_its_members)
{
    struct net *n = net_start_led(3);
    struct raft_members more = n->first;
    CHECK(raft_members_put(&more, 4, 0));
    CHECK_EQ(2, net_change(n, 1, &more));
    net_fill(n, 1, 2);
    net_compact(n, 1, 2, 2);
    net_restart(n, 1);
    CHECK_EQ(2, net_view(n, 1).members_index);
    CHECK(raft_members_eq(&more, raft_members(n->node[1].r)));
    CHECK_EQ(4, net_view(n, 1).last);
    net_free(n);
}

/* Members that only the log told that it replaces go with that log. */
TEST(snapshot_takes_back_members_of_the_log_that_it_replaces)
{
    struct net *n = net_start_led(3);
    net_isolate(n, 1);
    struct raft_members more = n->first;
    CHECK(raft_members_put(&more, 4, 0));
    (void)net_propose(n, 1, "lost");
    (void)net_propose(n, 1, "lost");
    CHECK_EQ(4, net_change(n, 1, &more)); /* beyond where the snapshot will end */
    net_elect(n, 2);
    net_fill(n, 2, 1);
    net_compact(n, 2, 3, 4);
    net_rejoin(n, 1);
    net_beat(n, 2);
    CHECK_EQ(RAFT_FOLLOWER, net_view(n, 1).role);
    CHECK(has(raft_members(n->node[1].r), 4));
    CHECK(net_restore(n, 1, 2));
    CHECK(raft_members_eq(&n->first, raft_members(n->node[1].r)));
    CHECK_EQ(3, net_view(n, 1).members_index);
    net_pass(n, 300);
    CHECK_STR("", net_log(n, 1));
    net_free(n);
}

/* Who gets a snapshot gets the members in it, those that its own log tells after it included. */
TEST(snapshot_brings_its_members)
{
    struct net *n = net_start_all(3);
    struct raft_members more = n->first;
    CHECK(raft_members_put(&more, 4, 0));
    net_elect(n, 1);
    (void)net_change(n, 1, &more);
    net_fill(n, 1, 3);
    net_compact(n, 1, 5, 6);
    net_start(n, 4);
    for (int i = 0; i < 4; i++)
        net_beat(n, 1);
    CHECK(net_peer(n, 1, 4).snapshot);
    CHECK(net_restore(n, 4, 1));
    CHECK(raft_members_eq(&more, raft_members(n->node[4].r)));
    CHECK_EQ(5, net_view(n, 4).members_index);
    net_restart(n, 4);
    CHECK(raft_members_eq(&more, raft_members(n->node[4].r)));
    net_pass(n, 300);
    CHECK_EQ(5, net_view(n, 4).applied);
    net_free(n);
}
