#include "support/raft_net.h"
#include "support/tap.h"

static const int append = RAFT_APPEND, appended = RAFT_APPENDED;

/* The thesis, figure 3.6: whatever the followers' logs hold, they come to be the leader's. */
TEST(append_repairs_the_logs_of_figure_3_6)
{
    static const char *const log[] = {
        "1114455666", "111445566", "1114", "11144556666", "111445566677", "1114444", "11122233333",
    };
    static const uint32_t batch[] = {1, 2, 1000};
    for (size_t k = 0; k < ARRAY_COUNT(batch); k++) {
        struct net *n = net_new(7);
        n->config.batch_entries_max = batch[k];
        for (uint32_t i = 1; i <= 7; i++) {
            net_load(n, i, log[i - 1], 7);
            net_start(n, i);
        }
        net_elect(n, 1); /* against the votes of the two whose logs are further */
        net_pass(n, 500);
        CHECK_EQ(8, net_view(n, 1).term);
        for (uint32_t i = 1; i <= 7; i++) {
            CHECK_STR("11144556668", net_log(n, i));
            CHECK_EQ(11, net_view(n, i).applied);
        }
        CHECK_EQ(0, net_view(n, 2).truncations);
        CHECK_EQ(1, net_view(n, 5).truncations);
        net_free(n);
    }
}

/* A refusal tells enough that in none of these logs the second guess is wrong (the thesis, section 3.5). */
TEST(append_finds_where_logs_match_without_trying_each_entry)
{
    static const char *const log[] = {"1114455666", "111445566", "1114", "1114444", "11122233333"};
    struct net *n = net_new(5);
    for (uint32_t i = 1; i <= 5; i++) {
        net_load(n, i, log[i - 1], 7);
        net_start(n, i);
    }
    net_campaign(n, 1);
    size_t refusals[6] = {0};
    while (n->pool_count) {
        struct raft_message m = n->pool[0];
        refusals[m.from] += m.type == appended && m.refused;
        net_deliver(n, m.from, m.to, (int)m.type);
    }
    for (uint32_t i = 2; i <= 5; i++) {
        CHECK_EQ(1, refusals[i]);
        CHECK_STR("11144556668", net_log(n, i));
    }
    net_free(n);
}

/* Win with the votes of two others of five, and leave what is sent then in the pool. */
static void win(struct net *n, uint32_t i, uint32_t a, uint32_t b)
{
    net_campaign(n, i);
    for (int round = 0; round < 2; round++) {
        net_vote(n, i, a);
        net_vote(n, i, b);
    }
    (void)net_drop(n, i, 0, RAFT_VOTE_ASK);
    CHECK_EQ(RAFT_LEADER, net_view(n, i).role);
}

/* The thesis, figure 3.7 (the paper's figure 8), from (b) on: an entry of an older term that stands on a
 * majority is not committed by that, and may be lost, until one of the own term is committed. */
TEST(append_commit_rule_of_figure_3_7)
{
    static const char *const log[] = {"12", "12", "1", "1", "13"};
    for (int ends_well = 0; ends_well < 2; ends_well++) {
        struct net *n = net_new(5);
        n->config.batch_entries_max = 1;
        for (uint32_t i = 1; i <= 5; i++) {
            net_load(n, i, log[i - 1], 3);
            net_start(n, i);
        }
        win(n, 1, 2, 3); /* (c) S1 leads term 4, and brings the entry of term 2 to S3 */
        net_replicate(n, 1, 2);
        net_replicate(n, 1, 3); /* the probe, refused */
        net_replicate(n, 1, 3);
        net_replicate(n, 1, 3);
        CHECK_STR("12", net_log(n, 3));
        CHECK_EQ(2, net_peer(n, 1, 3).match);
        CHECK_EQ(0, net_view(n, 1).commit);
        if (ends_well) { /* (e) its own entry gets there too */
            net_replicate(n, 1, 2);
            net_replicate(n, 1, 3);
            CHECK_EQ(3, net_view(n, 1).commit);
        }
        net_isolate(n, 1);
        for (int round = 0; round < 3 && net_view(n, 5).role != RAFT_LEADER; round++) {
            net_campaign(n, 5);
            net_settle(n);
        }
        CHECK_EQ(ends_well ? 0 : 5, net_view(n, 5).leader);
        if (ends_well)
            net_elect(n, 2);
        for (uint32_t i = 2; i <= 5; i++) /* (d) it is lost, or kept by all */
            CHECK_STR(ends_well ? "1245" : "135", net_log(n, i));
        net_free(n);
    }
}

/* libraft 0.15 loses committed entries here: what is acknowledged is what the message showed to be equal,
 * never the own end of the log, which holds leftovers of another leader. */
TEST(append_acknowledges_what_was_shown_to_be_equal)
{
    struct net *n = net_new(3);
    net_load(n, 1, "1", 3);
    net_load(n, 2, "12222", 3);
    net_load(n, 3, "1", 3);
    net_start_each(n, 3);
    n->held[1][2] = true;
    net_elect(n, 1); /* with the vote of 3 */
    n->held[1][2] = false;
    net_fill(n, 1, 3);
    CHECK_EQ(5, net_view(n, 1).commit);
    /* The empty append at index 1 matches; entries 2 to 5 are still another's. */
    struct raft_message m = {.type = append, .from = 1, .to = 2, .term = 4, .index = 1};
    m.log_term = 1;
    m.commit = 5;
    net_crash(n, 2);
    net_load(n, 2, "12222", 3);
    net_start(n, 2);
    (void)net_drop(n, 2, 0, NET_ANY);
    raft_net_send(n, &m);
    net_deliver(n, 1, 2, append);
    CHECK_EQ(1, net_find(n, 2, 1, appended)->index);
    CHECK_EQ(1, net_find(n, 2, 1, appended)->matched);
    CHECK_EQ(1, net_view(n, 2).commit); /* nor is what is there committed */
    net_free(n);
}

/* A campaign begins a term without following anybody: what the leader of the term before has shown says nothing of
 * who wins. */
TEST(append_candidate_that_lost_forgets_what_its_last_leader_showed)
{
    struct net *n = net_start_led(5);
    net_isolate(n, 1);
    n->cut[1][2] = false;
    net_propose_many(n, 1, 2);
    struct raft_read read;
    CHECK_EQ(ST_OK, raft_read(n->node[1].r, &read, NULL));
    net_run(n, 1);
    net_settle(n);
    CHECK_STR("111", net_log(n, 2));
    net_campaign(n, 2);
    net_vote(n, 2, 3);
    net_vote(n, 2, 4);
    CHECK_EQ(RAFT_CANDIDATE, net_view(n, 2).role);
    CHECK_EQ(2, net_view(n, 2).term);
    (void)net_drop(n, 0, 0, NET_ANY);
    struct raft_message m = {.type = append, .from = 3, .to = 2, .term = 2, .index = 1};
    m.log_term = 1;
    m.commit = 3;
    raft_net_send(n, &m);
    net_deliver(n, 3, 2, append);
    CHECK_EQ(3, net_view(n, 2).leader);
    CHECK_EQ(1, net_find(n, 2, 3, appended)->matched);
    CHECK_EQ(1, net_find(n, 2, 3, appended)->index);
    CHECK_EQ(0, net_find(n, 2, 3, appended)->read); /* nor has it seen a read of this term */
    CHECK_EQ(1, net_view(n, 2).commit);
    net_free(n);
}

TEST(append_heartbeat_commits_no_further_than_it_matches)
{
    struct net *n = net_new(3);
    net_load(n, 1, "12", 3); /* the leader's */
    net_load(n, 2, "1222", 2);
    net_start(n, 2);
    struct raft_message m = {.type = append, .from = 1, .to = 2, .term = 3, .commit = 4};
    m.index = m.log_term = 1;
    raft_net_send(n, &m);
    net_deliver(n, 1, 2, append);
    CHECK_EQ(1, net_view(n, 2).commit);
    m.index = 2;
    m.log_term = 2;
    raft_net_send(n, &m);
    net_deliver(n, 1, 2, append);
    CHECK_EQ(2, net_view(n, 2).commit);
    net_free(n);
}

/* An append that comes late, or twice, takes back nothing that a later one brought. */
TEST(append_late_and_double_ones_cut_nothing)
{
    struct net *n = net_start_led(3);
    net_propose_many(n, 1, 3);
    CHECK_EQ(3, net_count(n, 1, 2, append));
    net_double(n, 1, 2, append);
    net_deliver(n, 1, 2, append);
    net_deliver(n, 1, 2, append);
    net_deliver(n, 1, 2, append);
    CHECK_STR("1111", net_log(n, 2));
    while (net_find(n, 1, 2, append)) { /* the copies, the other way round */
        net_deliver_last(n, 1, 2, append);
        CHECK_STR("1111", net_log(n, 2));
        CHECK_EQ(0, net_view(n, 2).truncations);
    }
    net_settle(n);
    CHECK_EQ(4, net_view(n, 1).commit);
    net_free(n);
}

TEST(append_that_runs_ahead_is_refused_and_mended)
{
    struct net *n = net_start_led(3);
    net_propose_many(n, 1, 3);
    net_deliver_last(n, 1, 2, append);
    CHECK(net_find(n, 2, 1, appended)->refused);
    CHECK_EQ(1, net_view(n, 2).last);
    (void)net_drop(n, 1, 2, append);
    net_settle(n);
    CHECK_STR("1111", net_log(n, 2));
    net_free(n);
}

TEST(append_is_acknowledged_once_it_is_durable)
{
    struct net *n = net_start_led(3);
    net_disk_hold(n, 2);
    n->cut[1][3] = true;
    (void)net_propose(n, 1, "a");
    net_settle(n);
    (void)net_propose(n, 1, "b");
    net_settle(n);
    CHECK_EQ(1, net_view(n, 1).commit);
    CHECK_EQ(1, net_peer(n, 1, 2).match);
    net_beat(n, 1); /* the answer to a heartbeat does not speak of it either */
    CHECK_EQ(1, net_peer(n, 1, 2).match);
    net_disk_do(n, 2, 1);
    net_settle(n);
    CHECK_EQ(2, net_view(n, 1).commit);
    net_disk_release(n, 2);
    net_settle(n);
    CHECK_EQ(3, net_view(n, 1).commit);
    net_free(n);
}

/* Its acknowledgement was lost: what comes again and is durable already is answered at once. */
TEST(append_of_what_is_durable_is_answered_at_once)
{
    struct net *n = net_start_led(3);
    (void)net_propose(n, 1, "a");
    net_double(n, 1, 2, append);
    net_deliver(n, 1, 2, append);
    CHECK_EQ(1, net_drop(n, 2, 1, appended));
    net_deliver(n, 1, 2, append);
    CHECK_EQ(2, net_find(n, 2, 1, appended)->index);
    net_free(n);
}

/* A term that its node could forget is not answered in. */
TEST(append_is_acknowledged_once_its_term_is_durable)
{
    struct net *n = net_new(3);
    net_load(n, 2, "1", 1);
    net_start(n, 2);
    net_disk_hold(n, 2);
    struct raft_message m = {.type = append, .from = 1, .to = 2, .term = 3};
    m.index = m.log_term = 1;
    raft_net_send(n, &m);
    net_deliver(n, 1, 2, append);
    CHECK_EQ(0, net_count(n, 2, 1, appended));
    net_disk_release(n, 2);
    CHECK_EQ(1, net_find(n, 2, 1, appended)->index);
    net_free(n);
}

/*
 * ABA: an entry is given to the log, cut by another leader, and comes again; all before the first write
 * is done. That write is not the entry's, for the one that cut it came after.
 */
TEST(append_completion_of_what_was_cut_and_came_again_says_nothing)
{
    struct net *n = net_new(3);
    net_load(n, 2, "1", 1);
    net_start(n, 2);
    net_disk_hold(n, 2);
    struct raft_entry two = {2, 2, RAFT_ENTRY_NOOP, NULL}, three = {2, 3, RAFT_ENTRY_NOOP, NULL};
    struct raft_message m = {.type = append, .to = 2, .index = 1, .log_term = 1, .count = 1};
    for (uint64_t term = 2; term <= 4; term++) {
        m.from = term == 3 ? 3 : 1;
        m.term = term;
        m.entries = term == 3 ? &three : &two; /* the leader of term 4 has the entry of term 2 */
        raft_net_send(n, &m);
        net_deliver(n, 0, 2, append);
    }
    CHECK_EQ(2, net_view(n, 2).truncations);
    CHECK_EQ(3, n->node[2].write_count);
    for (uint64_t done = 1; done <= 2; done++) {
        net_disk_do(n, 2, 1);
        CHECK_EQ(1, net_view(n, 2).persisted);
        CHECK_EQ(0, net_count(n, 2, 0, appended));
    }
    net_disk_do(n, 2, 1);
    CHECK_EQ(2, net_view(n, 2).persisted);
    CHECK_EQ(2, net_find(n, 2, 1, appended)->index);
    CHECK_STR("12", net_log(n, 2));
    net_free(n);
}

/* Some of what is under way is done already when the log is cut: that counts for each of the rest. */
TEST(append_cut_counts_for_every_write_that_is_still_under_way)
{
    struct net *n = net_start_led(3);
    net_disk_hold(n, 2);
    net_propose_many(n, 1, 3);
    net_settle(n);
    CHECK_EQ(3, n->node[2].write_count);
    net_disk_do(n, 2, 1);
    CHECK_EQ(2, net_view(n, 2).persisted);
    struct raft_entry other = {3, 2, RAFT_ENTRY_NOOP, NULL};
    struct raft_message m = {.type = append, .from = 3, .to = 2, .term = 2, .index = 2};
    m.log_term = 1;
    m.entries = &other;
    m.count = 1;
    raft_net_send(n, &m);
    net_deliver(n, 3, 2, append);
    for (int old = 0; old < 2; old++) {
        net_disk_do(n, 2, 1);
        CHECK_EQ(2, net_view(n, 2).persisted);
    }
    net_disk_do(n, 2, 1);
    CHECK_EQ(3, net_view(n, 2).persisted);
    CHECK_STR("112", net_log(n, 2));
    net_free(n);
}

/* The same with a shorter log in between: what the first write made durable is not there any more. */
TEST(append_completion_after_a_cut_counts_only_what_still_stands)
{
    struct net *n = net_new(3);
    net_start(n, 2);
    net_disk_hold(n, 2);
    struct raft_entry e[] = {{1, 1, RAFT_ENTRY_NOOP, NULL},
                             {2, 1, RAFT_ENTRY_NOOP, NULL},
                             {3, 1, RAFT_ENTRY_NOOP, NULL}};
    struct raft_message m = {.type = append, .from = 1, .to = 2, .term = 1};
    m.entries = e;
    m.count = 3;
    raft_net_send(n, &m);
    net_deliver(n, 1, 2, append);
    struct raft_entry other = {2, 2, RAFT_ENTRY_NOOP, NULL};
    m = (struct raft_message){.type = append, .from = 3, .to = 2, .term = 2, .index = 1};
    m.log_term = 1;
    m.entries = &other;
    m.count = 1;
    raft_net_send(n, &m);
    net_deliver(n, 3, 2, append);
    net_disk_do(n, 2, 1);
    CHECK_EQ(1, net_view(n, 2).persisted);
    net_restart(n, 2); /* the second write is lost */
    CHECK_STR("111", net_log(n, 2));
    CHECK_EQ(1, net_view(n, 2).term);
    net_free(n);
}

/* What an old leader sent is answered to it, with the new term, and not acknowledged to the new one. */
TEST(append_of_an_old_term_is_not_acknowledged_to_the_new_leader)
{
    struct net *n = net_start_led(3);
    (void)net_propose(n, 1, "a");
    net_isolate(n, 1);
    n->cut[1][2] = false;
    (void)net_propose(n, 1, "b"); /* under way to 2 when 3 takes over */
    struct raft_message late = *net_find(n, 1, 2, append);
    struct raft_entry e = late.entries[0];
    raft_data_ref(e.data);
    late.entries = &e;
    net_disk_hold(n, 2);
    (void)net_drop(n, 1, 0, NET_ANY);
    n->cut[1][2] = true;
    net_campaign(n, 3);
    net_settle(n);
    net_disk_do(n, 2, n->node[2].write_count);
    net_settle(n);
    CHECK_EQ(RAFT_LEADER, net_view(n, 3).role);
    net_rejoin(n, 1);
    raft_net_send(n, &late);
    net_deliver(n, 1, 2, append);
    CHECK(net_find(n, 2, 1, appended)->refused);
    CHECK_EQ(net_view(n, 3).term, net_find(n, 2, 1, appended)->term);
    CHECK_EQ(0, net_count(n, 2, 3, appended));
    net_disk_release(n, 2);
    net_settle(n);
    net_pass(n, 300);
    CHECK_STR("12", net_log(n, 2));
    CHECK_EQ(2, net_view(n, 1).applied);
    raft_data_unref(e.data);
    net_free(n);
}

/* A disk completion of a former term's entries makes an answer to nobody but the leader of now, and only of
 * what that one's messages showed. */
TEST(append_durable_leftovers_are_not_acknowledged)
{
    struct net *n = net_start_led(3);
    net_disk_hold(n, 2);
    (void)net_propose(n, 1, "a");
    net_deliver(n, 1, 2, append);
    net_isolate(n, 1);
    struct raft_message m = {.type = append, .from = 3, .to = 2, .term = 5};
    m.index = m.log_term = 1;
    raft_net_send(n, &m);
    net_deliver(n, 3, 2, append);
    net_disk_release(n, 2);
    CHECK_EQ(2, net_view(n, 2).persisted);
    for (size_t i = 0; i < n->pool_count; i++)
        CHECK(n->pool[i].to == 3 && n->pool[i].index == 1 && n->pool[i].matched == 1);
    CHECK(n->pool_count > 0);
    net_free(n);
}

TEST(append_follower_that_lost_what_was_not_durable_gets_it_again)
{
    struct net *n = net_start_led(3);
    net_disk_hold(n, 2);
    net_fill(n, 1, 4);
    net_disk_do(n, 2, 1);
    net_double(n, 2, 1, appended);
    net_deliver(n, 2, 1, appended); /* the copy comes when the next life has begun */
    net_crash(n, 2);
    (void)net_propose(n, 1, "b");
    net_start(n, 2);
    CHECK_EQ(2, net_view(n, 2).last);
    net_pass(n, 300);
    CHECK_STR("111111", net_log(n, 2));
    CHECK_EQ(6, net_view(n, 2).applied);
    net_free(n);
}

/*
 * A follower that does not hear its leader for a while is lent a log that is more up to date than its own, and cuts what it
 * has acknowledged in this very term. Its leader, which comes to be heard again, must not go on with what it
 * believes of it.
 */
TEST(append_who_cuts_what_it_acknowledged_leaves_that_term)
{
    struct net *n = net_new(2);
    CHECK(raft_members_put(&n->first, 3, RAFT_VOTES | RAFT_WITNESS));
    n->config.batch_entries_max = 1;
    net_load(n, 1, "1111", 2); /* it led term 2, and lost with its platter what it wrote */
    net_load(n, 2, "11111", 2);
    net_load(n, 3, "11112", 2);
    net_start_each(n, 3);
    net_elect_by(n, 2, 1);
    (void)net_drop(n, 0, 3, NET_ANY);
    for (int i = 0; i < 3; i++)
        net_replicate(n, 2, 1); /* two probes, and the entry; not the no-op of term 3 */
    CHECK_STR("11111", net_log(n, 1));
    CHECK_EQ(5, net_peer(n, 2, 1).match);
    (void)net_drop(n, 0, 0, NET_ANY);
    net_campaign(n, 1);
    net_deliver(n, 1, 3, RAFT_VOTE_ASK);
    net_deliver(n, 3, 1, RAFT_LEND);
    CHECK_STR("11112", net_log(n, 1));
    net_isolate(n, 3);
    (void)net_drop(n, 0, 0, NET_ANY); /* and now only 2 is heard */
    net_pass(n, 5000);
    CHECK(net_view(n, 1).applied > 5);
    CHECK_EQ(net_view(n, 1).applied, net_view(n, 2).applied);
    net_free(n);
}
