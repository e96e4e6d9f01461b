/* A few nodes that are one cluster: who may propose and read, and what others' words are worth. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/group_kit.h"
#include "support/tap.h"
#include "wire/proto.h"

enum { VM = WORLD_FREE };

static struct node_group g;

static uint32_t other_than(uint32_t a)
{
    return a % 3 + 1;
}

static void begin(uint32_t count, uint32_t witnesses)
{
    node_group_start(&g, count, witnesses);
    CHECK(node_group_wait(&g, node_group_level));
}

TEST(group_makes_one_cluster_and_every_member_learns_its_number)
{
    begin(3, 0);
    const struct cluster *c = node_cluster(node_group_node(&g, 1));
    CHECK_EQ(1, cluster_count(c, OBJECT_CLUSTER));
    CHECK_EQ(3, cluster_count(c, OBJECT_NODE));
    unsigned seen = 0;
    for (uint32_t i = 1; i <= 3; i++) {
        seen |= 1U << node_number(node_group_node(&g, i));
        CHECK_EQ(0, node_view(node_group_node(&g, i)).mails_refused);
        CHECK_EQ(1, g.member[i].looked);
    }
    CHECK_EQ(14, seen);
    group_check_alike(&g);
    node_group_finish(&g);
}

TEST(group_leader_takes_commands_and_others_say_who_leads)
{
    begin(3, 0);
    struct answer a;
    struct fault why;
    uint32_t leader = node_group_leader(&g), other = other_than(leader);
    CHECK_EQ(ST_NOT_LEADER, node_group_put(&g, other, 1, &a));
    CHECK_EQ(ST_NOT_LEADER,
             node_read(node_group_node(&g, other), UINT64_MAX, answer_told, &a, &why));
    char text[80];
    (void)snprintf(text, sizeof text, "this node does not lead, member %u does", leader);
    CHECK_STR(text, why.text);
    CHECK_EQ(leader, node_view(node_group_node(&g, other)).raft.leader);
    CHECK_EQ(ST_OK, node_group_put(&g, leader, 1, &a));
    CHECK_EQ(0, a.count);
    node_group_run(&g, 10);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_OK, a.applied);
    group_check_alike(&g);
    node_group_finish(&g);
}

TEST(group_read_waits_for_a_quorum_and_is_lost_with_the_lead)
{
    begin(3, 0);
    struct answer a = {0}, b = {0};
    uint32_t leader = node_group_leader(&g);
    CHECK_EQ(ST_OK, node_read(node_group_node(&g, leader), UINT64_MAX, answer_told, &a, NULL));
    CHECK_EQ(0, a.count); /* nobody has confirmed it yet */
    node_group_run(&g, 1);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_OK, a.s);

    group_cut_off(&g, leader, true);
    CHECK_EQ(ST_OK, node_read(node_group_node(&g, leader), g.now_ms + 100, answer_told, &a, NULL));
    CHECK_EQ(ST_OK, node_read(node_group_node(&g, leader), UINT64_MAX, answer_told, &b, NULL));
    node_group_run(&g, 150);
    CHECK_EQ(2, a.count);
    CHECK_EQ(ST_TIMEOUT, a.s);
    CHECK_EQ(0, b.count);
    node_group_run(&g, 2000);
    CHECK_EQ(1, b.count);
    CHECK_EQ(ST_UNAVAILABLE, b.s);
    node_group_finish(&g);
}

TEST(group_command_that_another_leader_cut_is_told_so)
{
    begin(3, 0);
    struct answer a, b, last;
    uint32_t old = node_group_leader(&g);
    group_cut_off(&g, old, true);
    CHECK_EQ(ST_OK, node_group_put(&g, old, 1, &a));
    for (unsigned i = 3; i < 10; i++) /* the last stands where nobody else's entry will for long */
        CHECK_EQ(ST_OK, node_group_put(&g, old, i, &last));
    node_group_run(&g, 1500);
    CHECK_EQ(0, a.count); /* its deadline is not over, and it may still be applied */
    uint32_t now = node_group_wait_leader(&g);
    CHECK(now != old);
    CHECK_EQ(ST_OK, node_group_put(&g, now, 2, &b));
    node_group_run(&g, 10);
    CHECK_EQ(1, b.count);
    group_cut_off(&g, old, false);
    node_group_run(&g, 400);
    CHECK_EQ(1, a.count);
    CHECK_EQ(ST_UNAVAILABLE, a.s);
    CHECK_EQ(7, last.count);
    CHECK_EQ(ST_UNAVAILABLE, last.s);
    group_check_alike(&g);
    const struct cluster *c = node_cluster(node_group_node(&g, old));
    CHECK(!cluster_find_name(c, OBJECT_TENANT, NULL, "tenant-1"));
    CHECK(cluster_find_name(c, OBJECT_TENANT, NULL, "tenant-2") != NULL);
    node_group_finish(&g);
}

TEST(group_hands_over_and_changes_its_members)
{
    begin(3, 0);
    uint32_t old = node_group_leader(&g), to = other_than(old);
    uint64_t index;
    CHECK_EQ(ST_NOT_LEADER, node_hand_over(node_group_node(&g, to), old, NULL));
    CHECK_EQ(ST_OK, node_hand_over(node_group_node(&g, old), to, NULL));
    node_group_run(&g, 100);
    CHECK_EQ(to, node_group_wait_leader(&g));

    struct raft_members wanted = *node_members(node_group_node(&g, to));
    CHECK(raft_members_put(&wanted, old, RAFT_VOTES | RAFT_WITNESS));
    CHECK_EQ(ST_NOT_LEADER, node_change_members(node_group_node(&g, old), &wanted, &index, NULL));
    CHECK_EQ(ST_INVALID, node_change_members(node_group_node(&g, to), &wanted, &index, NULL));
    wanted = *node_members(node_group_node(&g, to));
    uint32_t added = node_group_add(&g, false);
    CHECK(raft_members_put(&wanted, added, RAFT_JOINS));
    CHECK_EQ(ST_OK, node_change_members(node_group_node(&g, to), &wanted, &index, NULL));
    node_group_run(&g, 2000);
    CHECK(raft_members_votes(node_members(node_group_node(&g, added)), added));
    CHECK_EQ(4, node_number(node_group_node(&g, added)));
    group_check_alike(&g);
    node_group_finish(&g);
}

/* Its log says that it holds the state, and it was started as a witness. */
TEST(group_member_that_is_not_what_the_others_think_stops)
{
    begin(3, 0);
    node_group_stop(&g, 3);
    g.member[3].witness = true;
    CHECK_EQ(ST_OK, node_group_restart(&g, 3, NULL));
    node_group_run(&g, 10);
    CHECK(node_dead(node_group_node(&g, 3)) != NULL);
    CHECK_EQ(ST_PRECONDITION, node_dead(node_group_node(&g, 3))->status);
    node_group_finish(&g);
}

/* --- forwarding --- */

/* Image and VM are made by reports that went to the leader. */
TEST(group_follower_runs_its_vms_and_reports_to_the_leader)
{
    begin(3, 0);
    uint32_t leader = node_group_leader(&g), other = other_than(leader);
    group_create_image(&g, other);
    group_create_vm(&g, VM, other, true);
    CHECK_EQ(1, g.member[other].started);
    CHECK_EQ(0, g.member[leader].started);
    CHECK(node_view(node_group_node(&g, other)).forwards >= 3);
    group_check_alike(&g);
    node_group_finish(&g);
}

static bool lose_answers(struct node_group *x, uint32_t from, uint32_t to, const struct mail *m)
{
    (void)x, (void)from, (void)to;
    return m->kind == MAIL_FORWARDED && m->forwarded.number > 0 && *(unsigned *)x->ctx > 0 &&
           (*(unsigned *)x->ctx)--;
}

TEST(group_report_is_repeated_when_its_answer_is_lost)
{
    begin(3, 0);
    unsigned lost = 1;
    uint32_t leader = node_group_leader(&g), other = other_than(leader);
    g.lose = lose_answers;
    g.ctx = &lost;
    group_create_image(&g, other);
    node_group_run(&g, 6000);
    CHECK_EQ(0, lost);
    CHECK_EQ(0, g.member[other].removed); /* the state has it, though nobody said so */
    lost = 2;
    group_create_vm(&g, VM, other, true);
    node_group_run(&g, 6000);
    CHECK_EQ(0, lost);
    CHECK_EQ(1, g.member[other].started);
    group_check_alike(&g);
    node_group_finish(&g);
}

TEST(group_forwarded_commands_come_whatever_the_network_does)
{
    g.twice = true;
    node_group_start(&g, 3, 0);
    g.twice = g.backwards = true;
    CHECK(node_group_wait(&g, node_group_level));
    uint32_t leader = node_group_leader(&g), other = other_than(leader);
    group_create_image(&g, other);
    group_create_vm(&g, VM, other, true);
    node_group_run(&g, 5000);
    CHECK_EQ(1, g.member[other].started);
    group_check_alike(&g);
    node_group_finish(&g);
}

static void host_is_down(void *ctx)
{
    ++*(unsigned *)ctx;
}

/* Nobody can hear that its VM ended; the machine goes down all the same. */
TEST(group_member_that_is_cut_off_can_still_shut_down)
{
    unsigned down = 0;
    begin(3, 0);
    uint32_t leader = node_group_leader(&g), other = other_than(leader);
    group_create_image(&g, other);
    group_create_vm(&g, VM, other, true);
    CHECK_EQ(1, g.member[other].started);
    group_cut_off(&g, other, true);
    node_shutdown(node_group_node(&g, other), g.now_ms + 1000, host_is_down, &down);
    node_group_run(&g, 100);
    struct vmm *v = &g.member[other].vmm;
    struct vmm_event e = {.type = VMM_EXITED, .epoch = 1, .incarnation = 1};
    (void)snprintf(e.uid, sizeof e.uid, "%s", world_uid(VM));
    v->events->event(v->events->ctx, &e);
    node_group_run(&g, 5000);
    CHECK_EQ(0, down);
    node_group_run(&g, 1500);
    CHECK_EQ(1, down);
    node_group_finish(&g);
}

/* --- what must not be taken --- */

static struct mail_forwarded answered;
static unsigned answers;

static bool note_answers(struct node_group *x, uint32_t from, uint32_t to, const struct mail *m)
{
    (void)x, (void)from;
    if (m->kind != MAIL_FORWARDED || to != *(uint32_t *)x->ctx)
        return false;
    answered = m->forwarded;
    answered.text = STR("");
    answers++;
    return true;
}

/* A packed hello of a node that nobody knows. */
static void pack_hello(struct buf *out, unsigned number)
{
    char key[65], name[20], uid[OBJECT_UID_MAX];
    (void)snprintf(key, sizeof key, "%064x", 0xf00 + number);
    (void)snprintf(name, sizeof name, "stranger-%u", number);
    bench_uid(uid, 0x9000 + number);
    Pb__NodeFacts facts = PB__NODE_FACTS__INIT;
    facts.key = key;
    PROTO_SET(&facts, feature_level_max, 1);
    Pb__CmdNodeHello hello = PB__CMD_NODE_HELLO__INIT;
    hello.uid = uid;
    hello.name = name;
    hello.facts = &facts;
    PROTO_SET(&hello, number, 100 + number);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_NODE_HELLO;
    cmd.node_hello = &hello;
    proto_pack(&cmd.base, out);
}

static void forward(uint32_t from, uint32_t to, uint64_t life, uint64_t session, uint64_t number,
                    unsigned stranger)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, MAIL_COMMAND_MAX);
    if (session)
        pack_hello(&b, stranger);
    struct mail m = {.kind = MAIL_FORWARD,
                     .forward = {.term = node_view(node_group_node(&g, to)).raft.term,
                                 .life = life,
                                 .session = session,
                                 .number = number,
                                 .command = buf_view(&b)}};
    node_group_inject(&g, from, to, &m);
    node_group_run(&g, 20);
}

static bool known(uint32_t at, const char *name)
{
    return cluster_find_name(node_cluster(node_group_node(&g, at)), OBJECT_NODE, NULL, name) !=
           NULL;
}

TEST(group_leader_takes_no_command_of_an_older_session_nor_one_that_was_overtaken)
{
    begin(3, 0);
    uint32_t leader = node_group_leader(&g), other = other_than(leader);
    g.ctx = &other;
    g.lose = note_answers;
    answers = 0;
    forward(other, leader, 100, 0, 0, 0);
    CHECK_EQ(1, answers);
    uint64_t session = answered.session;
    CHECK(session > 0);
    forward(other, leader, 100, 0, 0, 0); /* it asks again: the same */
    CHECK_EQ(session, answered.session);

    forward(other, leader, 100, session, 2, 2);
    CHECK_EQ(3, answers);
    CHECK_EQ(ST_OK, answered.status);
    CHECK(answered.index > 0);
    CHECK(known(leader, "stranger-2"));
    forward(other, leader, 100, session, 1, 1); /* late */
    forward(other, leader, 100, session, 2, 3); /* twice */
    CHECK(!known(leader, "stranger-1"));
    CHECK(!known(leader, "stranger-3"));
    CHECK_EQ(3, answers);

    forward(other, leader, 200, 0, 0, 0); /* it started anew */
    CHECK(answered.session > session);
    forward(other, leader, 100, session, 4, 4);
    CHECK_EQ(ST_PRECONDITION, answered.status);
    CHECK_EQ(0, answered.index);
    CHECK(!known(leader, "stranger-4"));
    forward(other, leader, 200, session, 5, 5); /* another's session */
    CHECK(!known(leader, "stranger-5"));
    forward(9, leader, 300, 0, 0, 0); /* no member */
    CHECK(answered.life != 300);
    node_group_finish(&g);
}

/* So many members, of these numbers and with this leader, as there may be; each asks for a session. */
static void ask_as_many(uint32_t leader, uint32_t first)
{
    struct raft_members wanted = {0};
    uint64_t index;
    CHECK(raft_members_put(&wanted, leader, RAFT_VOTES));
    for (uint32_t i = 1; i < RAFT_MEMBERS_MAX; i++)
        CHECK(raft_members_put(&wanted, first + i, RAFT_JOINS));
    CHECK_EQ(ST_OK, node_change_members(node_group_node(&g, leader), &wanted, &index, NULL));
    node_group_run(&g, 20);
    unsigned before = g.sent[MAIL_FORWARDED];
    for (uint32_t i = 1; i < RAFT_MEMBERS_MAX; i++)
        forward(first + i, leader, 100 + i, 0, 0, 0);
    CHECK_EQ(before + RAFT_MEMBERS_MAX - 1, g.sent[MAIL_FORWARDED]);
}

TEST(group_leader_gives_sessions_however_many_members_came_and_went)
{
    begin(1, 0);
    ask_as_many(1, 1000);
    ask_as_many(1, 2000);
    node_group_finish(&g);
}

TEST(group_member_proposes_only_what_is_its_own)
{
    begin(3, 0);
    uint32_t leader = node_group_leader(&g), other = other_than(leader);
    g.ctx = &other;
    g.lose = note_answers;
    forward(other, leader, 100, 0, 0, 0);
    Pb__CmdDelete del = PB__CMD_DELETE__INIT;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_DELETE;
    cmd.delete_ = &del;
    AUTO(buf_done) struct buf b;
    buf_init(&b, MAIL_COMMAND_MAX);
    proto_pack(&cmd.base, &b);
    uint64_t before = node_view(node_group_node(&g, leader)).mails_refused;
    struct mail m = {.kind = MAIL_FORWARD,
                     .forward = {.term = node_view(node_group_node(&g, leader)).raft.term,
                                 .life = 100,
                                 .session = answered.session,
                                 .number = 1,
                                 .command = buf_view(&b)}};
    node_group_inject(&g, other, leader, &m);
    CHECK_EQ(ST_DENIED, answered.status);
    m.forward.number = 2;
    m.forward.command = STR("no command at all");
    node_group_inject(&g, other, leader, &m);
    CHECK_EQ(ST_INVALID, answered.status);
    CHECK_EQ(before + 2, node_view(node_group_node(&g, leader)).mails_refused);
    node_group_finish(&g);
}

TEST(group_mail_that_cannot_be_is_counted_and_changes_nothing)
{
    begin(3, 0);
    uint32_t leader = node_group_leader(&g), other = other_than(leader);
    struct node *n = node_group_node(&g, other);
    struct node_view before = node_view(n);
    node_receive(n, leader, STR(""));
    node_receive(n, leader, STR("\x01"));
    node_receive(n, leader, STR("\x02\x01"));
    node_receive(n, leader, STR("\x01\x07"));
    node_receive(n, leader, STR("\x01\x01garbage"));
    struct mail m = {
        .kind = MAIL_RAFT,
        .raft.message = {
            .type = RAFT_APPEND, .from = leader, .to = other, .term = before.raft.term + 1}};
    node_group_inject(&g, 0, other, &m);                  /* of nobody */
    node_group_inject(&g, other, other, &m);              /* of itself */
    node_group_inject(&g, 6 - leader - other, other, &m); /* another's name on it */
    m.raft.message.to = leader;
    node_group_inject(&g, leader, other, &m); /* not for it */
    struct node_view after = node_view(n);
    CHECK_EQ(before.mails_refused + 9, after.mails_refused);
    CHECK_EQ(before.raft.term, after.raft.term);
    CHECK_EQ(before.raft.last, after.raft.last);
    CHECK_EQ(before.applied_hash, after.applied_hash);
    /* Answers to what was never asked are no more than noise. */
    node_group_inject(&g, leader, other,
                      &(struct mail){.kind = MAIL_CHUNK,
                                     .chunk = {.id = 1, .index = 9, .term = 1, .bytes = STR("x")}});
    node_group_inject(
        &g, leader, other,
        &(struct mail){.kind = MAIL_FORWARDED,
                       .forwarded = {.term = 1, .life = 1, .session = 1, .number = 1}});
    node_group_inject(&g, leader, other,
                      &(struct mail){.kind = MAIL_ASK, .ask = {.id = 1, .offset = 77}});
    node_group_run(&g, 1000);
    CHECK(!node_dead(n));
    group_check_alike(&g);
    node_group_finish(&g);
}

/* --- divergence --- */

/* A bit of a command turns in the log of a member, and no checksum sees it. */
static void spoil(uint32_t number)
{
    struct group_log *l = &g.member[number].log;
    for (size_t i = l->count; i > 0; i--) {
        struct log_entry *e = &l->entry[i - 1];
        char *name =
            e->type == RAFT_ENTRY_COMMAND ? memmem(e->data.ptr, e->data.len, "tenant-", 7) : NULL;
        if (!name)
            continue;
        name[0] = 'T' + 32 - 1; /* "senant-..." */
        return;
    }
    CHECK_STR("a command", "to be spoilt");
}

static void restart_spoilt(uint32_t number)
{
    node_group_stop(&g, number);
    spoil(number);
    CHECK_EQ(ST_OK, node_group_restart(&g, number, NULL));
}

/* Of three, the others go on. */
static void check_only_this_one_stopped(uint32_t number)
{
    CHECK(node_dead(node_group_node(&g, number)) != NULL);
    node_group_put_many(&g, 100, 3);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK_EQ(i == number, node_dead(node_group_node(&g, i)) != NULL);
}

TEST(group_member_whose_state_differs_stops_loudly_and_the_others_go_on)
{
    begin(3, 0);
    node_group_put_many(&g, 1, 3);
    uint32_t other = other_than(node_group_leader(&g));
    restart_spoilt(other);
    node_group_run(&g, 3000);
    const struct fault *why = node_dead(node_group_node(&g, other));
    CHECK(why != NULL);
    CHECK_EQ(ST_CORRUPT, why->status);
    CHECK(strstr(why->text, "differs from that of other members") != NULL);
    struct answer a;
    CHECK_EQ(ST_UNAVAILABLE, node_group_put(&g, other, 99, &a));
    check_only_this_one_stopped(other);
    node_group_finish(&g);
}

/* It leads before anybody can tell that it differs. */
TEST(group_leader_that_differs_from_the_others_stops_itself)
{
    begin(3, 0);
    node_group_put_many(&g, 1, 3);
    uint32_t bad = other_than(node_group_leader(&g));
    restart_spoilt(bad);
    for (unsigned i = 0; i < 100 && node_group_leader(&g) != bad; i++) {
        if (node_group_leader(&g))
            (void)!node_hand_over(node_group_node(&g, node_group_leader(&g)), bad, NULL);
        node_group_run(&g, 20);
    }
    CHECK_EQ(bad, node_group_leader(&g));
    node_group_run(&g, 3000);
    check_only_this_one_stopped(bad);
    node_group_finish(&g);
}

TEST(group_of_two_that_differ_stops_as_a_whole)
{
    begin(2, 0);
    node_group_put_many(&g, 1, 3);
    uint32_t other = 3 - node_group_leader(&g);
    restart_spoilt(other);
    node_group_run(&g, 5000);
    CHECK(node_dead(node_group_node(&g, 1)) && node_dead(node_group_node(&g, 2)));
    node_group_finish(&g);
}

TEST(group_member_believes_only_the_leader_that_its_state_is_wrong)
{
    begin(3, 0);
    node_group_put_many(&g, 1, 64);
    node_group_run(&g, 2000);
    uint32_t leader = node_group_leader(&g), other = other_than(leader), third = 6 - leader - other;
    uint64_t at = node_view(node_group_node(&g, other)).agreed_index;
    CHECK(at > 0);
    struct mail m = {.kind = MAIL_HASH, .hash = {.index = at, .hash = 1, .verdict = true}};
    node_group_inject(&g, third, other, &m);
    CHECK(!node_dead(node_group_node(&g, other)));
    node_group_inject(&g, leader, leader, &m);
    m.hash.index = at + 1; /* of an entry that it noted nothing of */
    node_group_inject(&g, leader, other, &m);
    CHECK(!node_dead(node_group_node(&g, other)));
    m.hash.index = at;
    node_group_inject(&g, leader, other, &m);
    CHECK(node_dead(node_group_node(&g, other)) != NULL);
    node_group_finish(&g);
}

TEST(group_says_hashes_seldom)
{
    begin(3, 0);
    node_group_run(&g, 3000);
    memset(g.sent, 0, sizeof g.sent);
    node_group_run(&g, 10000);
    CHECK_EQ(0, g.sent[MAIL_HASH]); /* nothing changes */
    node_group_put_many(&g, 1, 256);
    CHECK(g.sent[MAIL_HASH] <= 2 * (256 / 64 + 1));
    CHECK(g.sent[MAIL_HASH] >= 2 * (256 / 64 - 1));
    CHECK(node_view(node_group_node(&g, 1)).agreed_index > 250);
    node_group_finish(&g);
}
