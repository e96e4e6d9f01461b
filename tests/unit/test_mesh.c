/* Meshes with each other, with strangers and with a peer that breaks the rules: over real QUIC, on virtual time. */
#include <stdlib.h>

#include "base/units.h"
#include "mesh/frames.h"
#include "support/mesh_net.h"
#include "support/prop.h"
#include "support/tap.h"

static struct mesh_net net;

/* --- messages that tell what they are --- */

enum { PLAN_MAX = 64 };

static size_t plan[PLAN_MAX]; /* the sizes of the messages that each sends to each */
static size_t plan_count;
static unsigned got[NET_NODES + 1][NET_NODES + 1]; /* [to][from] */
static bool in_order;
static void (*at_message)(struct mesh_node *to); /* NULL: nothing */

static char byte_of(uint32_t from, size_t seq, size_t at)
{
    return (char)(from * 101 + seq * 31 + at * 7 + (at >> 8));
}

static void check_message(struct mesh_node *to, uint32_t from, struct str bytes)
{
    unsigned seq = got[to->number][from]++;
    if (at_message)
        at_message(to);
    if (!in_order)
        return;
    CHECK(seq < plan_count);
    CHECK_EQ(plan[seq], bytes.len);
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.ptr[i] != byte_of(from, seq, i))
            tap_fail(__FILE__, __LINE__, "message %u of %u: wrong at %zu", seq, from, i);
}

static void post(struct mesh_node *from, uint32_t to, size_t seq, size_t len)
{
    char *bytes = mem_new(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_of(from->number, seq, i);
    struct peers *p = mesh_peers(from->m);
    p->send(p, to, (struct str){bytes, len});
    free(bytes);
}

static void begin(uint64_t seed, size_t count)
{
    mesh_net_init(&net, seed, count, check_message);
    memset(got, 0, sizeof got);
    in_order = false;
    at_message = NULL;
}

static void begin_met(uint64_t seed, size_t count)
{
    begin(seed, count);
    mesh_net_know_all(&net);
    CHECK(mesh_net_meet(&net, 1000));
}

static void run_ms(uint64_t ms)
{
    mesh_net_run(&net, ms);
}

static bool all_came(void *ctx)
{
    (void)ctx;
    for (uint32_t to = 1; to <= net.count; to++)
        for (uint32_t from = 1; from <= net.count; from++)
            if (to != from && got[to][from] < plan_count)
                return false;
    return true;
}

/* Each sends the whole plan to each, a piece whenever there is room. */
static void exchange(uint64_t within_ms)
{
    in_order = true;
    for (size_t seq = 0; seq < plan_count; seq++) {
        for (size_t i = 0; i < net.count; i++)
            for (uint32_t to = 1; to <= net.count; to++)
                if (to != net.node[i].number)
                    post(&net.node[i], to, seq, plan[seq]);
        run_ms(plan[seq] >> 10);
    }
    CHECK(quic_net_run(&net.quic, within_ms, all_came, NULL));
    for (size_t i = 0; i < net.count; i++)
        for (uint32_t to = 1; to <= net.count; to++)
            if (to != net.node[i].number) {
                struct mesh_peer_view v = mesh_net_view(&net.node[i], to);
                CHECK_EQ(plan_count, v.sent);
                CHECK_EQ(plan_count, v.received);
                CHECK_EQ(0, v.lost_conn + v.lost_room + v.broken);
            }
}

static void plan_sizes(const size_t *sizes, size_t count)
{
    memcpy(plan, sizes, count * sizeof *sizes);
    plan_count = count;
}

#define PLAN(...) \
    plan_sizes((size_t[]){__VA_ARGS__}, sizeof(size_t[]){__VA_ARGS__} / sizeof(size_t))

static void end(void)
{
    mesh_net_done(&net);
}

static struct mesh_node *node(uint32_t number)
{
    return &net.node[number - 1];
}

/* Heard of each other right now. */
static void check_talk(uint32_t a, uint32_t b)
{
    unsigned before_a = got[a][b], before_b = got[b][a];
    post(node(a), b, 0, 10);
    post(node(b), a, 0, 10);
    run_ms(50);
    CHECK_EQ(before_a + 1, got[a][b]);
    CHECK_EQ(before_b + 1, got[b][a]);
}

/* --- messages --- */

TEST(messages_come_whole_and_in_order)
{
    begin_met(1, 3);
    PLAN(1, 1200, 128 << 10, 3, PEERS_MESSAGE_MAX, 1, 1, 1200, 64 << 10, PEERS_MESSAGE_MAX, 2);
    exchange(60000);
    end();
}

TEST(messages_come_whole_and_in_order_over_a_bad_network)
{
    for (uint64_t seed = 10; seed < 12; seed++) {
        begin(seed, 3);
        net.quic.loss_per_mille = 50;
        net.quic.twice_per_mille = 20;
        net.quic.jitter_ns = 3 * UNITS_NS_PER_MS;
        mesh_net_know_all(&net);
        CHECK(mesh_net_meet(&net, 10000));
        PLAN(1, 1200, 5, 128 << 10, 300 << 10, 1, 1200, 1);
        exchange(120000);
        end();
    }
}

TEST(nobody_and_nowhere_are_losses)
{
    begin(3, 2);
    post(node(1), 2, 0, 10);
    CHECK_EQ(1, mesh_view(node(1)->m).lost_nobody);
    mesh_net_know(node(1), 1U << 1);
    post(node(1), 2, 0, 10);
    CHECK_EQ(1, mesh_net_view(node(1), 2).lost_conn);
    run_ms(100);
    CHECK(!mesh_net_view(node(1), 2).connected); /* the other does not know us */
    CHECK(strlen(mesh_net_view(node(1), 2).text) > 0);
    end();
}

/* What has no room is lost whole; small messages still find some; and when there is room again they come. */
TEST(a_full_queue_loses_and_recovers)
{
    begin_met(4, 2);
    net.quic.loss_per_mille = 1000;
    for (unsigned i = 0; i < 5; i++)
        post(node(1), 2, 0, PEERS_MESSAGE_MAX);
    struct mesh_peer_view v = mesh_net_view(node(1), 2);
    CHECK_EQ(2, v.sent);
    CHECK_EQ(3, v.lost_room);
    for (unsigned i = 0; i < 200; i++)
        post(node(1), 2, 0, 64 << 10); /* until only the room of small ones is left */
    v = mesh_net_view(node(1), 2);
    CHECK(v.sent < 60 && v.lost_room > 100);
    uint64_t sent = v.sent;
    post(node(1), 2, 0, MESH_SMALL_MAX);
    CHECK_EQ(sent + 1, mesh_net_view(node(1), 2).sent);
    for (unsigned i = 0; i < 200; i++)
        post(node(1), 2, 0, MESH_SMALL_MAX);
    v = mesh_net_view(node(1), 2);
    CHECK(v.sent > sent + 12 && v.sent < sent + 40);
    net.quic.loss_per_mille = 0;
    run_ms(5000);
    CHECK_EQ(v.sent, got[2][1]);
    check_talk(1, 2);
    end();
}

/* --- connections --- */

TEST(both_dial_at_once)
{
    for (uint64_t seed = 20; seed < 40; seed++) {
        begin(seed, 2);
        net.quic.jitter_ns = seed % 4 * UNITS_NS_PER_MS;
        mesh_net_know(node(1), 2);
        for (uint64_t i = 0; i < seed - 20; i++)
            run_ms(i % 2);
        mesh_net_know(node(2), 1);
        CHECK(mesh_net_meet(&net, 1000));
        for (unsigned i = 0; i < 30; i++) { /* also while one takes the place of the other */
            check_talk(1, 2);
            run_ms(400);
        }
        CHECK_EQ(1, mesh_view(node(1)->m).endpoint.conns);
        CHECK_EQ(1, mesh_view(node(2)->m).endpoint.conns);
        end();
    }
}

TEST(a_view_tells_how_it_is)
{
    begin_met(5, 2);
    check_talk(1, 2);
    run_ms(1000);
    struct mesh_peer_view v = mesh_net_view(node(1), 2);
    CHECK(v.connected && quic_addr_eq(&v.remote, &node(2)->v->addr));
    CHECK(v.rtt_ns >= 2 * UNITS_NS_PER_MS && v.rtt_ns < 20 * UNITS_NS_PER_MS);
    CHECK_STR("", v.text);
    CHECK_EQ(1, mesh_view(node(1)->m).peers);
    CHECK_EQ(2, mesh_number(node(1)->m, node(2)->v->key.public));
    CHECK_EQ(0, mesh_number(node(1)->m, node(1)->v->key.public));
    end();
}

TEST(a_quiet_connection_stays)
{
    begin_met(6, 2);
    run_ms(60000);
    uint64_t opened = mesh_view(node(1)->m).endpoint.count.opened;
    run_ms(60000);
    CHECK_EQ(opened, mesh_view(node(1)->m).endpoint.count.opened);
    check_talk(1, 2);
    end();
}

TEST(a_restarted_node_is_connected_again)
{
    for (uint32_t who = 1; who <= 2; who++) {
        begin_met(7, 3);
        run_ms(12000);
        mesh_net_restart(node(who));
        mesh_net_know(node(who), ~0U);
        CHECK(mesh_net_meet(&net, 500));
        check_talk(1, 2);
        end();
    }
}

/* Found soon after it is back, however long it was away. */
TEST(a_node_that_was_long_away_is_found_soon)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        begin_met(100 + seed, 2);
        mesh_net_stop(node(2));
        run_ms(20000 + seed * 217);
        CHECK(!mesh_net_view(node(1), 2).connected);
        mesh_net_restart(node(2));
        struct mesh_peer one = mesh_net_entry(node(1));
        one.addr_count = 0; /* it is found; it does not find */
        mesh_set_peers(node(2)->m, &one, 1, net.quic.now_ns);
        CHECK(mesh_net_meet(&net, 2000));
        end();
    }
}

TEST(a_healed_cut_is_over_soon)
{
    for (uint64_t cut_ms = 500; cut_ms < 12000; cut_ms += 477) {
        begin_met(cut_ms, 2);
        net.quic.loss_per_mille = 1000;
        run_ms(cut_ms);
        net.quic.loss_per_mille = 0;
        uint64_t from_ns = net.quic.now_ns;
        post(node(1), 2, 0, 10);
        post(node(2), 1, 0, 10);
        while (!got[1][2] || !got[2][1]) {
            run_ms(20);
            post(node(1), 2, 0, 10);
            post(node(2), 1, 0, 10);
            CHECK(net.quic.now_ns - from_ns < 2000 * UNITS_NS_PER_MS);
        }
        end();
    }
}

TEST(who_leaves_says_so)
{
    begin_met(10, 2);
    mesh_leave(node(1)->m, net.quic.now_ns);
    run_ms(10);
    CHECK(!mesh_net_view(node(2), 1).connected);
    CHECK_EQ(0, mesh_view(node(1)->m).peers);
    end();
}

/* --- the table --- */

TEST(a_peer_whose_address_changes_is_reached)
{
    begin_met(11, 2);
    node(2)->v->addr = quic_net_addr(77, 7001);
    net.quic.node[1].deaf = false;
    mesh_net_restart(node(2)); /* nothing of it comes from the old address */
    struct mesh_peer one = mesh_net_entry(node(1));
    one.addr_count = 0;
    mesh_set_peers(node(2)->m, &one, 1, net.quic.now_ns);
    run_ms(10000);
    CHECK(!mesh_net_view(node(1), 2).connected);
    mesh_net_know(node(1), 2);
    CHECK(mesh_net_meet(&net, 1500));
    CHECK(quic_addr_eq(&node(2)->v->addr,
                       &(struct quic_addr){mesh_net_view(node(1), 2).remote.ip, 7001, 0}));
    end();
}

/* It changes nothing for those who stay. */
TEST(a_removed_peer_is_cut_off)
{
    struct quic_conn *c;
    begin_met(12, 3);
    run_ms(12000);
    CHECK_EQ(ST_UNAVAILABLE, mesh_conn(node(3)->m, 1, "blixard-rpc/1", net.quic.now_ns, &c, NULL));
    run_ms(100);
    CHECK_EQ(1, node(1)->rpc.opened);
    CHECK_EQ(ST_OK, mesh_dial(node(3)->m, "blixard-join/1", node(1)->v->key.public,
                              &node(1)->v->addr, node(3), net.quic.now_ns, &c, NULL));
    run_ms(100);
    CHECK(node(1)->join.c != NULL);
    uint64_t opened = mesh_view(node(2)->m).endpoint.count.opened;

    post(node(3), 1, 0, 10); /* is under way */
    mesh_net_know(node(1), 1U << 1);
    mesh_net_know(node(2), 1U << 0);
    run_ms(20);
    CHECK_EQ(0, got[1][3]);
    CHECK_EQ(1, node(1)->rpc.closed);
    CHECK_EQ(1, node(1)->join.closed);
    CHECK_EQ(MESH_CUT, node(3)->rpc.code);
    CHECK(!mesh_net_view(node(3), 1).connected && !mesh_net_view(node(3), 2).connected);

    unsigned before = node(1)->rpc.opened;
    for (unsigned i = 0; i < 20; i++) {
        post(node(3), 1, 0, 10);
        CHECK(mesh_conn(node(3)->m, 1, "blixard-rpc/1", net.quic.now_ns, &c, NULL) != ST_OK);
        run_ms(1000);
    }
    CHECK_EQ(0, got[1][3]);
    CHECK_EQ(before, node(1)->rpc.opened);
    CHECK(mesh_view(node(1)->m).strangers > 5);
    CHECK(node(1)->notices >= 1 && node(1)->notices <= 3); /* in some 20 s */
    CHECK_EQ(opened, mesh_view(node(2)->m).endpoint.count.opened);
    check_talk(1, 2);
    end();
}

/* A handshake that was let in is not the same as who it is for when it ends. */
TEST(who_is_removed_in_its_handshake_stays_out)
{
    for (uint64_t at = 0; at < 12; at++) {
        begin(13, 2);
        mesh_net_know(node(1), 1U << 1);
        struct mesh_peer one = mesh_net_entry(node(1));
        mesh_set_peers(node(2)->m, &one, 1, net.quic.now_ns);
        run_ms(at);
        mesh_net_know(node(1), 0);
        post(node(2), 1, 0, 10);
        run_ms(5000);
        post(node(2), 1, 0, 10);
        run_ms(100);
        CHECK_EQ(0, got[1][2]);
        CHECK_EQ(0, mesh_view(node(1)->m).endpoint.conns - mesh_view(node(1)->m).endpoint.ending -
                        mesh_view(node(1)->m).endpoint.half_open);
        end();
    }
}

TEST(a_new_key_under_the_same_number_is_another_peer)
{
    begin_met(14, 3);
    struct mesh_peer list[2] = {mesh_net_entry(node(2)), mesh_net_entry(node(3))};
    list[0].number = 3; /* swapped */
    list[1].number = 2;
    mesh_set_peers(node(1)->m, list, 2, net.quic.now_ns);
    CHECK_EQ(3, mesh_number(node(1)->m, node(2)->v->key.public));
    run_ms(500);
    CHECK(mesh_net_meet(&net, 500));
    post(node(2), 1, 0, 10);
    run_ms(50);
    CHECK_EQ(1, got[1][3]);
    CHECK_EQ(0, got[1][2]);
    end();
}

TEST(a_table_may_hold_anything)
{
    begin_met(15, 3);
    struct mesh_peer list[5] = {mesh_net_entry(node(2)), mesh_net_entry(node(1)),
                                mesh_net_entry(node(2)), mesh_net_entry(node(3)),
                                mesh_net_entry(node(3))};
    list[0].addrs[1] = list[0].addrs[0];
    list[0].addrs[0] = (struct quic_addr){.port = 7001};
    list[0].addrs[2] = (struct quic_addr){.ip = list[0].addrs[1].ip};
    list[0].addr_count = 3;
    list[2].number = 7; /* a key twice */
    list[3].number = 2; /* a number twice */
    list[4].number = 0;
    mesh_set_peers(node(1)->m, list, 5, net.quic.now_ns);
    CHECK_EQ(1, mesh_view(node(1)->m).peers);
    check_talk(1, 2);
    mesh_net_restart(node(1));
    mesh_set_peers(node(1)->m, list, 5, net.quic.now_ns);
    run_ms(200);
    CHECK(mesh_net_view(node(1), 2).connected); /* by the one address that is one */
    end();
}

static void forget_all(struct mesh_node *x)
{
    mesh_net_know(x, 0);
}

/* By a message of the peer itself: what it sent behind it is not told. */
TEST(a_message_may_be_the_end_of_its_sender)
{
    begin_met(23, 2);
    at_message = forget_all;
    for (unsigned i = 0; i < 5; i++)
        post(node(2), 1, i, 10);
    run_ms(100);
    CHECK_EQ(1, got[1][2]);
    CHECK(!mesh_net_view(node(2), 1).connected);
    end();
}

/* Within what is told of a peer, which its own removal must outlive. */
TEST(a_table_may_change_at_any_time)
{
    struct quic_conn *c;
    begin_met(21, 3);
    node(1)->rpc.at_down = forget_all;
    IGNORE(
        mesh_conn(node(1)->m, 2, "blixard-rpc/1", net.quic.now_ns, &c, NULL)); /* it is dialled */
    run_ms(100);
    CHECK_EQ(1, node(1)->rpc.up);
    mesh_net_stop(node(2));
    run_ms(10000);
    CHECK_EQ(1, node(1)->rpc.down);
    CHECK_EQ(0, mesh_view(node(1)->m).peers);
    CHECK(!mesh_net_view(node(3), 1).connected);
    end();
}

/* --- other protocols --- */

TEST(one_connection_with_a_peer_is_shared)
{
    struct quic_conn *c = NULL;
    struct fault why;
    begin_met(16, 2);
    CHECK_EQ(ST_NOT_FOUND, mesh_conn(node(1)->m, 9, "blixard-rpc/1", net.quic.now_ns, &c, &why));
    CHECK_STR("node 9 is no peer", why.text);
    CHECK_EQ(ST_UNAVAILABLE, mesh_conn(node(1)->m, 2, "blixard-rpc/1", net.quic.now_ns, &c, &why));
    CHECK_STR("node 2 is not connected", why.text);
    run_ms(50);
    CHECK_EQ(1, node(1)->rpc.up);
    CHECK_EQ(1, node(2)->rpc.up);
    CHECK_EQ(ST_OK, mesh_conn(node(1)->m, 2, "blixard-rpc/1", net.quic.now_ns, &c, NULL));
    CHECK(c == node(1)->rpc.c);
    CHECK_EQ(ST_OK, mesh_conn(node(2)->m, 1, "blixard-rpc/1", net.quic.now_ns, &c, NULL));
    CHECK(c == node(2)->rpc.c);
    struct quic_stream *s;
    CHECK_EQ(ST_OK, quic_stream_open(c, NULL, &s, NULL));
    CHECK_EQ(ST_OK, quic_stream_write(s, STR("hello"), true, NULL));
    run_ms(50);
    CHECK_EQ(5, node(1)->rpc.got);
    CHECK_EQ(5, node(2)->rpc.got);
    CHECK_EQ(0, node(1)->join.opened + node(2)->join.opened);
    mesh_net_stop(node(2));
    run_ms(10000);
    CHECK_EQ(1, node(1)->rpc.closed);
    CHECK_EQ(1, node(1)->rpc.down);
    CHECK_EQ(ST_UNAVAILABLE, mesh_conn(node(1)->m, 2, "blixard-rpc/1", net.quic.now_ns, &c, NULL));
    run_ms(10000);
    CHECK_EQ(2, node(1)->rpc.down); /* that dial led nowhere */
    CHECK_EQ(1, node(1)->rpc.closed);
    end();
}

TEST(a_protocol_is_told_the_time)
{
    begin_met(17, 2);
    node(1)->rpc.expiry_ns = net.quic.now_ns + 1234 * UNITS_NS_PER_MS;
    unsigned before = node(1)->rpc.timed;
    run_ms(1233);
    CHECK_EQ(before, node(1)->rpc.timed);
    run_ms(1);
    CHECK_EQ(before + 1, node(1)->rpc.timed);
    end();
}

static struct net_node *add_stranger(void)
{
    struct net_node *v = quic_net_add(&net.quic, NULL);
    v->grant.keep_alive_ms = 500;
    return v;
}

TEST(a_stranger_is_let_in_where_it_may_be)
{
    begin_met(18, 2);
    struct net_node *v = add_stranger();
    IGNORE(quic_net_dial(v, node(1)->v, MESH_RAFT)); /* v->end tells */
    run_ms(200);
    CHECK_EQ(ST_DENIED, v->end.status);
    IGNORE(quic_net_dial(v, node(1)->v, "blixard-rpc/1")); /* likewise */
    run_ms(200);
    CHECK_EQ(0, v->open_count);
    CHECK_EQ(2, mesh_view(node(1)->m).strangers);
    CHECK_EQ(1, node(1)->notices);
    CHECK_STR("a stranger was turned away", node(1)->notice.text);
    struct quic_conn *c = quic_net_dial(v, node(1)->v, "blixard-join/1");
    run_ms(200);
    CHECK_EQ(1, v->open_count);
    CHECK(node(1)->join.c != NULL);
    CHECK_EQ(1, mesh_view(node(1)->m).guests);
    struct net_stream *r = quic_net_open(c);
    CHECK_EQ(ST_OK, quic_stream_write(r->s, STR("let me in"), true, NULL));
    run_ms(100);
    CHECK_EQ(9, node(1)->join.got);
    CHECK_STR("let me in", buf_cstr(&r->got));
    check_talk(1, 2);
    end();
}

/* Unless it says something itself. */
TEST(a_guest_is_not_kept_alive)
{
    begin(22, 1);
    struct net_node *v = add_stranger();
    v->grant.keep_alive_ms = 0;
    IGNORE(quic_net_dial(v, node(1)->v, "blixard-join/1")); /* v->end tells */
    run_ms(MESH_IDLE_MS / 2);
    CHECK_EQ(0, v->close_count);
    run_ms(MESH_IDLE_MS);
    CHECK_EQ(1, v->close_count);
    CHECK_EQ(0, mesh_view(node(1)->m).guests);
    end();
}

TEST(a_guest_stays_only_so_long)
{
    begin(19, 1);
    struct net_node *v = add_stranger();
    IGNORE(quic_net_dial(v, node(1)->v, "blixard-join/1")); /* v->end tells */
    run_ms(MESH_GUEST_IDLE_MS - 100);
    CHECK_EQ(0, v->close_count);
    run_ms(200);
    CHECK_EQ(1, v->close_count);
    CHECK_EQ(MESH_EXPIRED, v->end.code);
    struct quic_conn *c = quic_net_dial(v, node(1)->v, "blixard-join/1");
    run_ms(200);
    struct net_stream *r = quic_net_open(c);
    for (unsigned i = 0; i < MESH_GUEST_LIFE_MS / 1000 - 1; i++) { /* a word a second */
        CHECK_EQ(ST_OK, quic_stream_write(r->s, STR("."), false, NULL));
        run_ms(1000);
    }
    CHECK_EQ(1, v->close_count);
    run_ms(2000);
    CHECK_EQ(2, v->close_count);
    CHECK_EQ(MESH_EXPIRED, v->end.code);
    CHECK_EQ(0, mesh_view(node(1)->m).guests);
    CHECK_EQ(2, mesh_view(node(1)->m).expired);
    end();
}

TEST(guests_are_bounded)
{
    begin(20, 1);
    struct net_node *v = add_stranger();
    for (unsigned i = 0; i < 100; i++) {
        v->addr.ip.byte[2] = (uint8_t)(i / 10);                 /* from ten addresses */
        IGNORE(quic_net_dial(v, node(1)->v, "blixard-join/1")); /* what it comes to is counted */
        run_ms(20);
        if (i == 9)
            CHECK_EQ(MESH_GUESTS_OF_ONE_MAX, mesh_view(node(1)->m).guests);
    }
    CHECK_EQ(MESH_GUESTS_MAX, mesh_view(node(1)->m).guests);
    CHECK_EQ(100 - MESH_GUESTS_MAX, mesh_view(node(1)->m).crowded);
    CHECK_EQ(1, node(1)->notices);
    run_ms(MESH_GUEST_LIFE_MS);
    CHECK_EQ(0, mesh_view(node(1)->m).guests);
    end();
}

/* --- what is not as it should be --- */

/* Number 2 is a peer that may write anything; 1 and 3 are meshes. */
struct breach {
    struct net_node *v;
    struct quic_conn *c;
};

static struct breach begin_breach(uint64_t seed)
{
    struct breach b;
    begin(seed, 2);
    node(2)->number = 3;
    b.v = quic_net_add(&net.quic, NULL);
    struct mesh_peer list[3] = {mesh_net_entry(node(1)), {.number = 2}, mesh_net_entry(node(2))};
    memcpy(list[1].key, b.v->key.public, KEY_PUBLIC_SIZE);
    for (size_t i = 0; i < 2; i++)
        mesh_set_peers(net.node[i].m, list, 3, net.quic.now_ns);
    b.c = quic_net_dial(b.v, node(1)->v, MESH_RAFT);
    run_ms(300);
    CHECK_EQ(1, b.v->open_count);
    CHECK(mesh_net_view(node(1), 2).connected && mesh_net_view(node(1), 3).connected);
    return b;
}

/* That connection was closed, with the code for it, and no other. */
static void end_breach(struct breach *b, const char *text)
{
    run_ms(100);
    CHECK_EQ(1, b->v->close_count);
    CHECK_EQ(MESH_BROKEN, b->v->end.code);
    CHECK_EQ(1, mesh_net_view(node(1), 2).broken);
    CHECK(!mesh_net_view(node(1), 2).connected);
    CHECK_EQ(1, node(1)->notices);
    CHECK_STR(text, node(1)->notice.text);
    CHECK_EQ(2, node(1)->notice.number);
    CHECK(mesh_net_view(node(1), 3).connected);
    CHECK_EQ(0, mesh_net_view(node(1), 3).broken);
    end();
}

static void write(struct net_stream *r, const void *data, size_t len, bool fin)
{
    CHECK_EQ(ST_OK, quic_stream_write(r->s, (struct str){data, len}, fin, NULL));
}

TEST(a_length_of_nothing_ends_it)
{
    struct breach b = begin_breach(30);
    write(quic_net_open(b.c), "\2\0\0\0ab\0\0\0\0", 10, false);
    run_ms(100);
    CHECK_EQ(1, got[1][2]); /* what came before it counts */
    end_breach(&b, "a message of a length that is none");
}

TEST(a_length_too_great_ends_it)
{
    struct breach b = begin_breach(31);
    uint32_t len = PEERS_MESSAGE_MAX + 1;
    uint8_t head[4] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16),
                       (uint8_t)(len >> 24)};
    write(quic_net_open(b.c), head, sizeof head, false);
    end_breach(&b, "a message of a length that is none");
}

TEST(a_second_stream_ends_it)
{
    struct breach b = begin_breach(32);
    write(quic_net_open(b.c), "\1\0\0\0a", 5, false);
    write(quic_net_open(b.c), "\1\0\0\0a", 5, false);
    end_breach(&b, "a second stream of messages");
}

TEST(a_reset_within_a_message_ends_it)
{
    struct breach b = begin_breach(33);
    struct net_stream *r = quic_net_open(b.c);
    write(r, "\7\0\0\0abc", 7, false);
    run_ms(50);
    quic_stream_abort(r->s, 1);
    end_breach(&b, "a stream of messages that was cut off");
}

TEST(an_end_of_messages_ends_it)
{
    struct breach b = begin_breach(34);
    write(quic_net_open(b.c), "\1\0\0\0a", 5, true);
    end_breach(&b, "an end of the stream of messages");
}

TEST(who_does_not_read_is_left)
{
    struct breach b = begin_breach(35);
    post(node(1), 2, 0, 100);
    run_ms(50);
    CHECK_EQ(1, b.v->stream_count);
    quic_stream_stop(b.v->stream[0].s, 1);
    run_ms(50);
    post(node(1), 2, 0, 100);
    end_breach(&b, "a stream of messages that is not read");
}

TEST(an_answer_in_our_stream_ends_it)
{
    struct breach b = begin_breach(36);
    post(node(1), 2, 0, 100);
    run_ms(50);
    write(&b.v->stream[0], "\1\0\0\0a", 5, false);
    end_breach(&b, "bytes in a stream for our messages");
}

TEST(a_message_that_never_ends_harms_nobody)
{
    struct breach b = begin_breach(37);
    struct net_stream *r = quic_net_open(b.c);
    write(r, "\xff\xff\x3f\0", 4, false);
    run_ms(60000);
    CHECK_EQ(0, b.v->close_count);
    CHECK(mesh_net_view(node(1), 3).connected);
    end();
}

/* Notices are few, whatever a peer does. */
TEST(a_peer_that_breaks_the_rules_is_told_of_rarely)
{
    struct breach b = begin_breach(38);
    for (unsigned i = 0; i < 50; i++) {
        write(quic_net_open(b.c), "\0\0\0\0", 4, false);
        run_ms(100);
        b.c = quic_net_dial(b.v, node(1)->v, MESH_RAFT);
        run_ms(300);
    }
    CHECK_EQ(50, mesh_net_view(node(1), 2).broken);
    CHECK(node(1)->notices >= 2 && node(1)->notices <= 3); /* in 20 s */
    CHECK(node(1)->notice.count > 10);
    end();
}

/* --- frames --- */

/* Messages are the same in whatever pieces they come, and a bad length is bad in all of them. */
static void check_pieces(struct tape *t)
{
    struct frames whole, cut;
    struct buf all;
    frames_init(&whole);
    frames_init(&cut);
    buf_init(&all, 1 << 20);
    unsigned count = (unsigned)draw_below(t, 20);
    for (unsigned i = 0; i < count; i++) {
        uint8_t head[FRAMES_HEAD_SIZE];
        size_t len = (size_t)draw_below(t, 600);
        if (draw_below(t, 20) == 19) { /* anything */
            for (size_t k = 0; k < sizeof head; k++)
                head[k] = (uint8_t)draw_below(t, 256);
        } else {
            frames_head(len + 1, head);
        }
        buf_add(&all, head, sizeof head);
        for (size_t k = 0; k <= len; k++)
            buf_char(&all, (char)(i + k));
    }
    struct str left = buf_view(&all), in = left, a, b;
    struct str piece = {left.ptr, 0};
    for (;;) {
        enum frames_says w = frames_next(&whole, &in, &a), c = FRAMES_NONE;
        while (c == FRAMES_NONE && piece.ptr + piece.len <= left.ptr + left.len) {
            c = frames_next(&cut, &piece, &b);
            if (c != FRAMES_NONE || piece.ptr + piece.len == left.ptr + left.len)
                break;
            size_t rest = (size_t)(left.ptr + left.len - piece.ptr);
            piece.len = 1 + (size_t)draw_below(t, MIN(rest, (size_t)300));
            piece.len = MIN(piece.len, rest);
        }
        CHECK_EQ(w, c);
        if (w != FRAMES_ONE)
            break;
        CHECK(str_eq(a, b));
    }
    frames_done(&whole);
    frames_done(&cut);
    buf_done(&all);
}

TEST(memory_is_taken_for_what_came)
{
    struct frames f;
    struct str in = STR("\0\0\100\0hello"), message;
    frames_init(&f);
    CHECK_EQ(FRAMES_NONE, frames_next(&f, &in, &message));
    CHECK_EQ(0, in.len);
    CHECK(f.body.len == 5 && f.body.room < 1024);
    frames_done(&f);
}

TEST(messages_are_the_same_in_whatever_pieces)
{
    prop_run(check_pieces, 1, 300);
}

/* A peer that sends any bytes, in any pieces, harms only itself. */
static void send_anything(struct tape *t)
{
    struct breach b = begin_breach(40 + draw_below(t, 1000));
    struct net_stream *r = quic_net_open(b.c);
    unsigned count = 1 + (unsigned)draw_below(t, 10);
    for (unsigned i = 0; i < count && quic_conn_open(b.c); i++) {
        uint8_t bytes[300];
        size_t len = 1 + (size_t)draw_below(t, sizeof bytes);
        for (size_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)(draw_below(t, 3) == 0 ? draw_below(t, 256) : 0);
        bytes[0] = (uint8_t)draw_below(t, 200);
        if (quic_stream_write(r->s, (struct str){(char *)bytes, len}, draw_below(t, 9) == 8,
                              NULL) != ST_OK)
            break;
        if (draw_below(t, 8) == 7)
            quic_stream_abort(r->s, 3);
        run_ms(10);
        if (b.v->close_count)
            break;
    }
    run_ms(100);
    unsigned before = got[1][3];
    post(node(2), 1, 0, 10); /* whose number is 3 */
    run_ms(50);
    CHECK_EQ(before + 1, got[1][3]);
    end();
}

TEST(any_bytes_harm_only_their_own_connection)
{
    prop_run(send_anything, 2, 60);
}
