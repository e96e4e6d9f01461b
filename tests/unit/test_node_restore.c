/* Snapshots that go from member to member, and what a witness keeps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/group_kit.h"
#include "support/tap.h"
#include "wire/proto.h"

static struct node_group g;

/* Begin with snapshots that come often. */
static void begin(uint32_t count, uint32_t witnesses)
{
    node_group_start(&g, count, witnesses);
    g.snapshot_entries = 50;
    for (uint32_t i = 1; i <= count; i++)
        CHECK_EQ(ST_OK, node_group_restart(&g, i, NULL));
    CHECK(node_group_wait(&g, node_group_level));
}

/* A member is away while so much happens that its log ends before the others' begin. */
static uint32_t away_behind(unsigned tenants)
{
    begin(3, 0);
    uint32_t away = node_group_leader(&g) % 3 + 1;
    node_group_stop(&g, away);
    node_group_put_many(&g, 1, tenants);
    for (uint32_t i = 1; i <= 3; i++)
        if (i != away)
            CHECK(g.member[i].log.first > 10);
    return away;
}

static bool came_back(struct node_group *x)
{
    return node_view(node_group_node(x, *(uint32_t *)x->ctx)).restores > 0;
}

static void come_back(uint32_t away)
{
    CHECK_EQ(ST_OK, node_group_restart(&g, away, NULL));
    g.ctx = &away;
    CHECK(node_group_wait(&g, came_back));
    group_check_alike(&g);
}

TEST(restore_gives_a_member_that_lags_behind_the_state_and_its_members)
{
    uint32_t away = away_behind(200);
    g.member[away].looked = 0;
    come_back(away);
    struct node_view v = node_view(node_group_node(&g, away));
    CHECK_EQ(1, v.restores);
    CHECK_EQ(1, g.member[away].restored); /* who watches was told */
    CHECK_EQ(1, g.member[away].looked);
    CHECK(v.snapshot_index > 100);
    CHECK_EQ(v.snapshot_index, g.member[away].log.saved_index);
    CHECK(raft_members_eq(node_members(node_group_node(&g, away)),
                          node_members(node_group_node(&g, node_group_leader(&g)))));
    /* It begins from what it got, and needs no other. */
    CHECK_EQ(ST_OK, node_group_restart(&g, away, NULL));
    group_check_alike(&g);
    CHECK_EQ(0, node_view(node_group_node(&g, away)).restores);
    node_group_finish(&g);
}

/* Of all that has to do with snapshots every third is lost. */
static bool lose_thirds(struct node_group *x, uint32_t from, uint32_t to, const struct mail *m)
{
    static unsigned count;
    (void)x, (void)from, (void)to;
    return (m->kind == MAIL_ASK || m->kind == MAIL_CHUNK) && ++count % 3 == 0;
}

static void put_big(unsigned count)
{
    static char label_value[250];
    memset(label_value, 'x', sizeof label_value - 1);
    for (unsigned i = 0; i < count; i++) {
        char uid[OBJECT_UID_MAX], name[20], key[16][8];
        Pb__Label label[16], *labels[16];
        bench_uid(uid, 0x5000 + i);
        (void)snprintf(name, sizeof name, "big-%u", i);
        for (unsigned k = 0; k < 16; k++) {
            label[k] = (Pb__Label)PB__LABEL__INIT;
            (void)snprintf(key[k], sizeof key[k], "key-%u", k);
            label[k].key = key[k];
            label[k].value = label_value;
            labels[k] = &label[k];
        }
        Pb__Meta meta = PB__META__INIT;
        meta.uid = uid;
        meta.name = name;
        meta.labels = labels;
        meta.n_labels = 16;
        Pb__Tenant t = PB__TENANT__INIT;
        t.meta = &meta;
        Pb__CmdTenantPut put = PB__CMD_TENANT_PUT__INIT;
        put.tenant = &t;
        Pb__Command cmd = PB__COMMAND__INIT;
        cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
        cmd.tenant_put = &put;
        struct answer a = {0};
        CHECK_EQ(ST_OK, node_propose(node_group_node(&g, node_group_leader(&g)), &cmd, UINT64_MAX,
                                     answer_told, &a, NULL));
        node_group_run(&g, 5);
        CHECK_EQ(ST_OK, a.applied);
    }
}

TEST(restore_goes_on_where_it_was_whatever_is_lost_doubled_and_late)
{
    uint32_t away = away_behind(100);
    put_big(150); /* some 600 KB: five chunks */
    g.twice = g.backwards = true;
    g.lose = lose_thirds;
    CHECK_EQ(ST_OK, node_group_restart(&g, away, NULL));
    memset(g.sent, 0, sizeof g.sent);
    come_back(away);
    CHECK(g.sent[MAIL_CHUNK] >= 5);
    CHECK(g.sent[MAIL_CHUNK] <= 60);
    CHECK_EQ(0, node_view(node_group_node(&g, away)).mails_refused);
    CHECK_EQ(1, node_view(node_group_node(&g, away)).restores);
    node_group_finish(&g);
}

static struct buf first_chunk;

/* The first chunk comes again while the second one is waited for. */
static bool repeat_first(struct node_group *x, uint32_t from, uint32_t to, const struct mail *m)
{
    if (m->kind == MAIL_CHUNK && m->chunk.offset == 0) {
        buf_reset(&first_chunk);
        buf_str(&first_chunk, m->chunk.bytes);
    }
    if (m->kind == MAIL_CHUNK && m->chunk.offset > 0) {
        struct mail again = *m;
        again.chunk.offset = 0;
        again.chunk.last = false;
        again.chunk.bytes = buf_view(&first_chunk);
        node_group_inject(x, from, to, &again);
    }
    return false;
}

TEST(restore_takes_no_chunk_twice)
{
    uint32_t away = away_behind(100);
    put_big(150);
    buf_init(&first_chunk, MAIL_CHUNK_MAX);
    g.lose = repeat_first;
    come_back(away);
    CHECK_EQ(0, node_view(node_group_node(&g, away)).mails_refused);
    buf_done(&first_chunk);
    node_group_finish(&g);
}

static bool lose_chunks(struct node_group *x, uint32_t from, uint32_t to, const struct mail *m)
{
    (void)x, (void)from, (void)to;
    return m->kind == MAIL_CHUNK && m->chunk.offset > 0;
}

/* Half of one is in the log; the next, of the same entry, must not go on from there. */
TEST(restore_that_was_given_up_leaves_nothing_for_the_next)
{
    begin(1, 0);
    node_group_put_many(&g, 1, 100);
    put_big(150);
    uint32_t joins = node_group_add(&g, false);
    struct raft_members wanted = *node_members(node_group_node(&g, 1));
    uint64_t index;
    CHECK(raft_members_put(&wanted, joins, RAFT_JOINS));
    CHECK_EQ(ST_OK, node_change_members(node_group_node(&g, 1), &wanted, &index, NULL));
    g.lose = lose_chunks;
    node_group_run(&g, 2000);
    uint64_t of = g.member[joins].log.coming_index;
    CHECK(g.member[joins].log.coming.len > 0);
    node_group_run(&g, 10000); /* it asks in vain, gives up, and begins anew */
    g.lose = NULL;
    g.ctx = &joins;
    CHECK(node_group_wait(&g, came_back));
    CHECK_EQ(of, g.member[joins].log.saved_index);
    CHECK_EQ(ST_OK, node_group_restart(&g, joins, NULL)); /* its log has no more than the second */
    group_check_alike(&g);
    node_group_finish(&g);
}

TEST(restore_outlasts_a_change_of_leaders_and_a_log_that_takes_no_chunks)
{
    uint32_t away = away_behind(100);
    put_big(150);
    g.lose = lose_chunks;
    CHECK_EQ(ST_OK, node_group_restart(&g, away, NULL));
    node_group_run(&g, 300);
    uint32_t old = node_group_leader(&g), to = 6 - old - away;
    CHECK_EQ(ST_OK, node_hand_over(node_group_node(&g, old), to, NULL));
    node_group_run(&g, 500);
    CHECK_EQ(to, node_group_leader(&g));
    g.lose = NULL;
    g.member[away].log.no_chunks = true;
    node_group_run(&g, 3000);
    CHECK_EQ(0, node_view(node_group_node(&g, away)).restores);
    g.member[away].log.no_chunks = false;
    come_back(away);
    node_group_finish(&g);
}

/* While it becomes durable consensus stands still. */
TEST(restore_gives_the_log_nothing_until_the_snapshot_is_durable)
{
    uint32_t away = away_behind(100);
    CHECK_EQ(ST_OK, node_group_restart(&g, away, NULL));
    g.member[away].log.slow_snapshots = true; /* log_append() checks that nothing comes meanwhile */
    node_group_run(&g, 1000);
    CHECK(g.member[away].log.coming_whole);
    struct node_view before = node_view(node_group_node(&g, away));
    CHECK_EQ(ST_NOT_LEADER,
             node_read(node_group_node(&g, away), UINT64_MAX, answer_told, NULL, NULL));
    uint32_t leader = node_group_leader(&g);
    node_group_inject(&g, leader, away,
                      &(struct mail){.kind = MAIL_RAFT,
                                     .raft.message = {.type = RAFT_TAKE_OVER,
                                                      .from = leader,
                                                      .to = away,
                                                      .term = before.raft.term}});
    node_group_put_many(&g, 500, 200); /* others save their state, and shorten their logs */
    node_group_run(&g, 2000);
    struct node_view after = node_view(node_group_node(&g, away));
    CHECK_EQ(before.raft.last, after.raft.last);
    CHECK_EQ(before.raft.term, after.raft.term);
    CHECK_EQ(before.raft.applied, after.raft.applied);
    g.member[away].log.slow_snapshots = false;
    g.ctx = &away;
    CHECK(node_group_wait(&g, came_back));
    group_check_alike(&g);
    CHECK_EQ(1,
             node_view(node_group_node(&g, away)).restores); /* what it needs after it was kept */
    node_group_finish(&g);
}

/* What comes is not what it says. */
static bool spoil_head(struct node_group *x, uint32_t from, uint32_t to, const struct mail *m)
{
    if (m->kind != MAIL_CHUNK)
        return false;
    AUTO(buf_done) struct buf b;
    buf_init(&b, MAIL_CHUNK_MAX);
    buf_str(&b, m->chunk.bytes);
    b.ptr[*(size_t *)x->ctx] ^= 4;
    struct mail bad = *m;
    bad.chunk.bytes = buf_view(&b);
    node_group_inject(x, from, to, &bad);
    return true;
}

TEST(restore_refuses_what_is_not_what_it_says)
{
    uint32_t away = away_behind(100);
    g.lose = spoil_head;
    for (size_t at = 0; at < 120; at += 7) {
        g.ctx = &at;
        CHECK_EQ(ST_OK, node_group_restart(&g, away, NULL));
        node_group_run(&g, 1500);
        struct node_view v = node_view(node_group_node(&g, away));
        CHECK(v.mails_refused > 0);
        CHECK_EQ(0, v.restores);
        CHECK(!node_dead(node_group_node(&g, away)));
        CHECK(!g.member[away].log.coming_whole);
    }
    g.lose = NULL;
    come_back(away);
    node_group_finish(&g);
}

/* --- what was derived from the state --- */

/* The node lives on, cut off, while a VM of it is made: it hears of it by the snapshot alone. */
TEST(restore_is_followed_by_the_vms_of_the_node)
{
    begin(3, 0);
    uint32_t away = node_group_leader(&g) % 3 + 1;
    group_create_image(&g, away);
    group_cut_off(&g, away, true);
    group_create_vm(&g, WORLD_FREE, away, true);
    group_create_vm(&g, WORLD_FREE + 1, away, false);
    node_group_put_many(&g, 1, 150);
    CHECK_EQ(0, g.member[away].started);
    group_cut_off(&g, away, false);
    g.ctx = &away;
    CHECK(node_group_wait(&g, came_back));
    node_group_run(&g, 1000);
    CHECK_EQ(1, g.member[away].started);
    CHECK_EQ(2, node_view(node_group_node(&g, away)).vms);
    CHECK_EQ(0, g.member[away].removed);
    group_check_alike(&g);
    node_group_finish(&g);
}

/* --- members --- */

/* Members that came later stand in no configuration of the start, only in snapshots. */
TEST(restore_of_a_member_that_joined_knows_the_members)
{
    begin(1, 0);
    node_group_put_many(&g, 1, 100);
    uint64_t index;
    for (unsigned i = 0; i < 2; i++) {
        struct raft_members wanted = *node_members(node_group_node(&g, 1));
        CHECK(raft_members_put(&wanted, node_group_add(&g, false), RAFT_JOINS));
        CHECK_EQ(ST_OK, node_change_members(node_group_node(&g, 1), &wanted, &index, NULL));
        node_group_run(&g, 3000);
        CHECK(raft_members_votes(node_members(node_group_node(&g, 1)), g.count));
    }
    CHECK(node_view(node_group_node(&g, 2)).restores == 1 &&
          node_view(node_group_node(&g, 3)).restores == 1);
    node_group_put_many(&g, 200, 100);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK_EQ(ST_OK, node_group_restart(&g, i, NULL));
    for (uint32_t i = 1; i <= 3; i++)
        CHECK_EQ(3, node_members(node_group_node(&g, i))->count);
    node_group_stop(&g, 1);
    CHECK(node_group_wait_leader(&g) > 1);
    node_group_put_many(&g, 400, 3);
    group_check_alike(&g);
    node_group_finish(&g);
}

/* --- witnesses --- */

TEST(witness_keeps_the_log_holds_no_state_and_compacts_what_all_others_hold)
{
    begin(3, 1);
    node_group_put_many(&g, 1, 200);
    struct node *w = node_group_node(&g, 3);
    CHECK_EQ(0, cluster_level(node_cluster(w)));
    CHECK_EQ(0, g.member[3].looked);
    CHECK(node_view(w).snapshots > 0);
    CHECK(g.member[3].log.first > 100);
    CHECK(g.member[3].log.saved.len < 200);

    /* One of the two is away: what it lacks is kept. */
    uint32_t leader = node_group_leader(&g), away = 3 - leader;
    CHECK(leader == 1 || leader == 2);
    uint64_t held = node_view(node_group_node(&g, away)).raft.last;
    node_group_stop(&g, away);
    node_group_put_many(&g, 300, 200);
    CHECK(g.member[3].log.first <= held + 1);
    CHECK(g.member[3].log.saved_index <= held);
    CHECK_EQ(ST_OK, node_group_restart(&g, 3, NULL)); /* it begins from a head and the log */
    CHECK(node_group_wait(&g, node_group_level));

    /* So the other can come back alone with it, though the leader is gone for good. */
    node_group_stop(&g, leader);
    CHECK_EQ(ST_OK, node_group_restart(&g, away, NULL));
    CHECK_EQ(away, node_group_wait_leader(&g));
    const struct cluster *c = node_cluster(node_group_node(&g, away));
    CHECK(cluster_find_name(c, OBJECT_TENANT, NULL, "tenant-499") != NULL);
    struct answer a;
    CHECK_EQ(ST_NOT_LEADER, node_group_put(&g, 3, 999, &a));
    node_group_put_many(&g, 1000, 3);
    node_group_finish(&g);
}

TEST(witness_that_lags_behind_gets_a_snapshot_without_state)
{
    begin(3, 1);
    node_group_stop(&g, 3);
    node_group_put_many(&g, 1, 200);
    uint32_t leader = node_group_leader(&g);
    CHECK(g.member[leader].log.first > g.member[3].log.first + g.member[3].log.count);
    CHECK_EQ(ST_OK, node_group_restart(&g, 3, NULL));
    CHECK(node_group_wait(&g, node_group_level));
    CHECK_EQ(1, node_view(node_group_node(&g, 3)).restores);
    CHECK(g.member[3].log.saved.len < 200);
    CHECK_EQ(ST_OK, node_group_restart(&g, 3, NULL));
    node_group_stop(&g, leader);
    CHECK_EQ(3 - leader, node_group_wait_leader(&g));
    node_group_put_many(&g, 1000, 3);
    node_group_finish(&g);
}

TEST(witness_does_not_begin_from_the_snapshot_of_another_kind)
{
    struct fault why;
    begin(3, 1);
    node_group_put_many(&g, 1, 200);
    g.member[3].witness = false;
    CHECK_EQ(ST_PRECONDITION, node_group_restart(&g, 3, &why));
    CHECK_STR("the log's snapshot is that of a witness", why.text);
    g.member[3].witness = true;
    g.member[1].witness = true;
    CHECK_EQ(ST_PRECONDITION, node_group_restart(&g, 1, &why));
    CHECK_STR("the log's snapshot is not that of a witness", why.text);
    node_group_finish(&g);
}
