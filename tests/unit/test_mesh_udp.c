/* Meshes on real sockets of the loopback interface, in one event loop. */
#include <stdlib.h>

#include "base/units.h"
#include "mesh/mesh.h"
#include "os/entropy_os.h"
#include "quic/udp.h"
#include "support/tap.h"

enum { WAIT_MS = 20000 };

struct end {
    struct mesh *m;
    struct key key;
    struct quic_addr addr;
    struct mesh_protocol rpc;
    struct endpoint_events events;
    uint32_t number;
    unsigned received, ups;
    size_t bytes;
};

static struct loop *loop;
static struct entropy entropy;
static struct end ends[2];

static void on_received(void *ctx, uint32_t from, struct str bytes)
{
    struct end *x = ctx;
    CHECK_EQ(3 - x->number, from);
    for (size_t i = 0; i < bytes.len; i++)
        CHECK_EQ((char)(i * 7 + from), bytes.ptr[i]);
    x->received++;
    x->bytes += bytes.len;
}

static void on_up(void *ctx, uint32_t number, struct quic_conn *c)
{
    struct end *x = ctx;
    CHECK(number == 3 - x->number && quic_conn_open(c));
    x->ups++;
}

static void open_end(struct end *x)
{
    struct fault why = {0};
    struct mesh_config c = {.key = &x->key,
                            .entropy = &entropy,
                            .seed = x->number,
                            .protocols = &x->rpc,
                            .protocol_count = 1,
                            .received = on_received,
                            .ctx = x};
    if (mesh_open(loop, &x->addr, &c, &x->m, &why) != ST_OK)
        tap_skip(why.text);
    x->addr = mesh_addr(x->m);
}

static void begin(const char *addr)
{
    struct fault why = {0};
    CHECK_EQ(ST_OK, loop_open(&loop, &why));
    entropy_os_init(&entropy);
    for (size_t i = 0; i < 2; i++) {
        struct end *x = &ends[i];
        uint8_t seed[KEY_SEED_SIZE] = {(uint8_t)(i + 1)};
        *x = (struct end){.number = (uint32_t)i + 1};
        key_init(&x->key, seed);
        CHECK(quic_addr_parse(str_from(addr), &x->addr));
        x->addr.port = 0;
        endpoint_events_init(&x->events);
        x->rpc = (struct mesh_protocol){.alpn = "blixard-rpc/1",
                                        .grant = {.window = 1 << 20},
                                        .events = &x->events,
                                        .up = on_up,
                                        .ctx = x};
        open_end(x);
    }
}

static void end(void)
{
    for (size_t i = 0; i < 2; i++) {
        mesh_free(ends[i].m);
        key_done(&ends[i].key);
    }
    loop_close(loop);
}

static void know(struct end *x, bool with_address)
{
    const struct end *other = &ends[2 - x->number];
    struct mesh_peer p = {
        .number = other->number, .addrs = {other->addr}, .addr_count = with_address};
    memcpy(p.key, other->key.public, KEY_PUBLIC_SIZE);
    mesh_set_peers(x->m, &p, 1, udp_now_ns());
}

static void post(struct end *x, size_t len)
{
    char *bytes = mem_new(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 7 + x->number);
    struct peers *p = mesh_peers(x->m);
    p->send(p, 3 - x->number, (struct str){bytes, len});
    free(bytes);
}

static bool connected(const struct end *x)
{
    struct mesh_peer_view v;
    return x->m && mesh_peer_views(x->m, &v, 1) == 1 && v.connected;
}

static bool both_connected(void)
{
    return connected(&ends[0]) && connected(&ends[1]);
}

static bool none_connected(void)
{
    return !connected(&ends[0]) && !connected(&ends[1]);
}

static bool both_up(void)
{
    return ends[0].ups > 0 && ends[1].ups > 0;
}

static bool all_came(void)
{
    return ends[0].received == 3 && ends[1].received == 3;
}

static void turn_until(bool (*is)(void))
{
    uint64_t end_ns = udp_now_ns() + WAIT_MS * UNITS_NS_PER_MS;
    struct fault why;
    while (!is()) {
        CHECK(udp_now_ns() < end_ns);
        CHECK_EQ(ST_OK, loop_turn(loop, 1000, &why));
    }
}

static void talk(void)
{
    ends[0].received = ends[1].received = 0;
    ends[0].bytes = ends[1].bytes = 0;
    for (size_t i = 0; i < 2; i++) {
        post(&ends[i], 1);
        post(&ends[i], PEERS_MESSAGE_MAX);
        post(&ends[i], 100);
    }
    turn_until(all_came);
    CHECK_EQ(PEERS_MESSAGE_MAX + 101, ends[0].bytes);
    CHECK_EQ(PEERS_MESSAGE_MAX + 101, ends[1].bytes);
}

static void talk_over(const char *addr)
{
    begin(addr);
    know(&ends[0], true);
    know(&ends[1], true);
    turn_until(both_connected);
    talk();
    end();
}

TEST(two_meshes_talk_over_ipv4)
{
    talk_over("127.0.0.1:1");
}

TEST(two_meshes_talk_over_ipv6)
{
    talk_over("[::1]:1");
}

/* Nothing happens but that the time for another dial comes. */
TEST(a_dial_wakes_the_loop)
{
    struct end *back = &ends[1];
    begin("127.0.0.1:1");
    know(&ends[0], true);
    know(back, false);
    turn_until(both_connected);
    mesh_free(back->m);
    back->m = NULL;
    turn_until(none_connected);
    open_end(back);
    know(back, false);
    turn_until(both_connected);
    talk();
    end();
}

TEST(who_leaves_is_missed_at_once)
{
    begin("127.0.0.1:1");
    know(&ends[0], true);
    know(&ends[1], true);
    turn_until(both_connected);
    uint64_t from_ns = udp_now_ns();
    mesh_leave(ends[1].m, from_ns);
    turn_until(none_connected);
    CHECK(udp_now_ns() - from_ns < MESH_IDLE_MS / 2 * UNITS_NS_PER_MS);
    end();
}

TEST(another_protocol_is_dialed_when_it_is_asked_for)
{
    struct quic_conn *c;
    begin("127.0.0.1:1");
    know(&ends[0], true);
    know(&ends[1], true);
    turn_until(both_connected);
    CHECK_EQ(ST_UNAVAILABLE, mesh_conn(ends[0].m, 2, "blixard-rpc/1", udp_now_ns(), &c, NULL));
    turn_until(both_up);
    CHECK_EQ(ST_OK, mesh_conn(ends[0].m, 2, "blixard-rpc/1", udp_now_ns(), &c, NULL));
    end();
}

TEST(an_address_that_is_taken_is_refused)
{
    struct fault why = {0};
    struct mesh *m;
    begin("127.0.0.1:1");
    struct mesh_config c = {.key = &ends[0].key, .entropy = &entropy, .received = on_received};
    CHECK_EQ(ST_IN_USE, mesh_open(loop, &ends[0].addr, &c, &m, &why));
    end();
}
