/* Links between nodes: dialled, kept, and one connection for both. */
#include "base/units.h"
#include "quic/pool.h"
#include "support/quic_net.h"
#include "support/tap.h"

static const char raft[] = "blixard-raft/1";

struct peer {
    struct net_node *v;
    struct quic_pool *p;
    struct quic_link *l;
    unsigned up, down;
    enum status why;
};

static struct quic_net net;
static struct peer peer[2];

static void on_opened(void *ctx, struct quic_conn *c)
{
    struct peer *x = &peer[(struct net_node *)ctx - net.node];
    x->v->open_count++;
    quic_conn_set_ctx(c, x->v);
    IGNORE(quic_pool_opened(x->p, c, net.now_ns));
}

static void on_closed(void *ctx, struct quic_conn *c, const struct quic_end *end)
{
    struct peer *x = &peer[(struct net_node *)ctx - net.node];
    x->v->close_count++;
    IGNORE(quic_pool_closed(x->p, c, end, net.now_ns));
}

static void on_up(void *ctx, struct quic_link *l)
{
    struct peer *x = ctx;
    CHECK(quic_link_conn(l) && quic_conn_open(quic_link_conn(l)));
    CHECK_STR("", quic_link_text(l));
    CHECK(quic_link_ctx(l) == x);
    x->up++;
}

static void on_down(void *ctx, struct quic_link *l, const struct quic_end *end)
{
    struct peer *x = ctx;
    CHECK(!quic_link_conn(l) && quic_link_text(l)[0]);
    x->down++;
    x->why = end->status;
}

static uint64_t tick_at(void *ctx)
{
    return quic_pool_expiry(((struct peer *)ctx)->p);
}

static void tick(void *ctx, uint64_t now_ns)
{
    quic_pool_timer(((struct peer *)ctx)->p, now_ns);
}

static void quick(struct endpoint_config *c)
{
    c->handshake_ms = 1000;
    c->idle_ms = 5000;
}

static void start_pool(struct peer *x)
{
    static struct quic_pool_events events[ARRAY_COUNT(peer)];
    struct quic_pool_events *ev = &events[x - peer];
    struct quic_pool_config c;
    *ev = (struct quic_pool_events){on_up, on_down, x};
    quic_pool_config_init(&c);
    c.e = x->v->e;
    c.self = x->v->key.public;
    c.seed = (uint64_t)(x - peer) + 1;
    x->p = quic_pool_new(&c, ev);
    x->l = NULL;
}

static void begin(uint64_t seed, size_t count)
{
    quic_net_init(&net, seed);
    for (size_t i = 0; i < count; i++) {
        struct net_node *v = quic_net_add(&net, quick);
        peer[i] = (struct peer){.v = v};
        v->events.opened = on_opened;
        v->events.closed = on_closed;
        v->grant.keep_alive_ms = 1000;
        start_pool(&peer[i]);
        v->tick_at = tick_at;
        v->tick = tick;
        v->tick_ctx = &peer[i];
    }
}

static void end(size_t count)
{
    for (size_t i = 0; i < count; i++)
        quic_pool_free(peer[i].p);
    quic_net_done(&net);
}

static void want(struct peer *from, const struct peer *to, bool keep, bool knows_address)
{
    struct quic_want w = {.alpn = raft,
                          .grant = from->v->grant,
                          .keep = keep,
                          .addrs = &to->v->addr,
                          .addr_count = knows_address,
                          .ctx = from};
    memcpy(w.peer, to->v->key.public, KEY_PUBLIC_SIZE);
    CHECK_EQ(ST_OK, quic_pool_want(from->p, &w, net.now_ns, &from->l, NULL));
}

static void run_ms(uint64_t ms)
{
    IGNORE(quic_net_run(&net, ms, NULL, NULL)); /* there is nothing that it waits for */
}

/* Exactly one connection, used by both. */
static void check_one(struct peer *a, struct peer *b)
{
    struct quic_conn *x = quic_link_conn(a->l), *y = quic_link_conn(b->l);
    CHECK(x && y && quic_conn_open(x) && quic_conn_open(y));
    CHECK(quic_conn_dialed(x) != quic_conn_dialed(y));
    CHECK_EQ(1, endpoint_view(a->v->e).conns);
    CHECK_EQ(1, endpoint_view(b->v->e).conns);
}

TEST(a_kept_link_is_dialed_at_once)
{
    begin(1, 2);
    want(&peer[0], &peer[1], true, true);
    want(&peer[1], &peer[0], true, false);
    run_ms(200);
    check_one(&peer[0], &peer[1]);
    CHECK_EQ(1, peer[0].up);
    CHECK_EQ(1, peer[1].up);
    end(2);
}

/* Both dial, at all kinds of distances in time: one connection is left, the same for both. */
TEST(a_simultaneous_dial_leaves_one_connection)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        begin(100 + seed, 2);
        net.jitter_ns = seed % 4 * UNITS_NS_PER_MS;
        want(&peer[0], &peer[1], true, true);
        run_ms(0);
        for (uint64_t i = 0; i < seed; i++)
            run_ms(i % 2);
        want(&peer[1], &peer[0], true, true);
        run_ms(15000);
        check_one(&peer[0], &peer[1]);
        CHECK_EQ(0, peer[0].down + peer[1].down);
        end(2);
    }
}

/* What runs on the connection that is not kept may end. */
TEST(a_stream_on_the_other_connection_may_end)
{
    begin(3, 2);
    want(&peer[0], &peer[1], true, true);
    want(&peer[1], &peer[0], true, true);
    peer[0].v->echo = peer[1].v->echo = true;
    struct net_stream *r = NULL;
    while (!r) { /* in the moment in which there are two */
        run_ms(1);
        for (size_t i = 0; i < 2; i++)
            if (peer[i].l && quic_link_conn(peer[i].l) && !r)
                r = quic_net_open(quic_link_conn(peer[i].l));
    }
    CHECK_EQ(ST_OK, quic_stream_write(r->s, STR("begin "), false, NULL));
    run_ms(500);
    CHECK_EQ(ST_OK, quic_stream_write(r->s, STR("end"), true, NULL));
    run_ms(100);
    CHECK(r->closed);
    CHECK_STR("begin end", buf_cstr(&r->got));
    run_ms(15000);
    check_one(&peer[0], &peer[1]);
    end(2);
}

/* Nobody answers: ever longer pauses, in which nothing is sent; and the other one is found when it is there. */
TEST(a_kept_link_is_tried_again_and_again)
{
    begin(4, 2);
    peer[1].v->deaf = true;
    want(&peer[0], &peer[1], true, true);
    run_ms(60000);
    struct endpoint_view v = endpoint_view(peer[0].v->e);
    CHECK(v.count.dialed >= 8 && v.count.dialed <= 20);
    CHECK_EQ(0, peer[0].up);
    CHECK_STR("QUIC with 10.0.0.2:7001: the handshake took too long", quic_link_text(peer[0].l));
    want(&peer[1], &peer[0], true, false);
    peer[1].v->deaf = false;
    run_ms(12000);
    check_one(&peer[0], &peer[1]);
    end(2);
}

/* Killed and back: the survivor's connection is reset or replaced, and there is one again at once. */
static void after_restart(size_t who)
{
    begin(5 + who, 2);
    want(&peer[0], &peer[1], true, true);
    want(&peer[1], &peer[0], true, true);
    run_ms(15000);
    check_one(&peer[0], &peer[1]);
    struct peer *x = &peer[who];
    quic_pool_free(x->p);
    quic_net_restart(x->v);
    start_pool(x);
    want(x, &peer[1 - who], true, true);
    run_ms(1500);
    CHECK(quic_link_conn(peer[0].l) && quic_link_conn(peer[1].l));
    run_ms(15000);
    check_one(&peer[0], &peer[1]);
    end(2);
}

TEST(a_restarted_node_is_connected_again)
{
    after_restart(0);
    after_restart(1);
}

/* Also within the time in which two connections could be of one simultaneous dial. */
TEST(a_node_that_restarts_at_once_is_connected_again)
{
    begin(7, 2);
    want(&peer[0], &peer[1], true, true);
    want(&peer[1], &peer[0], true, true);
    run_ms(500);
    for (size_t i = 0; i < 6; i++) {
        struct peer *x = &peer[i % 2];
        quic_pool_free(x->p);
        quic_net_restart(x->v);
        start_pool(x);
        want(x, &peer[1 - i % 2], true, true);
        run_ms(3000);
        CHECK(quic_link_conn(peer[0].l) && quic_link_conn(peer[1].l));
    }
    run_ms(15000);
    check_one(&peer[0], &peer[1]);
    end(2);
}

/* A cut that lasts longer than a connection does: both lose it, both dial, one is left. */
TEST(a_healed_cut_leaves_one_connection)
{
    begin(8, 2);
    want(&peer[0], &peer[1], true, true);
    want(&peer[1], &peer[0], true, true);
    run_ms(2000);
    net.loss_per_mille = 1000;
    run_ms(20000);
    CHECK(!quic_link_conn(peer[0].l) && !quic_link_conn(peer[1].l));
    CHECK_EQ(ST_TIMEOUT, peer[0].why);
    net.loss_per_mille = 0;
    run_ms(12000);
    CHECK(quic_link_conn(peer[0].l) && quic_link_conn(peer[1].l));
    run_ms(15000);
    check_one(&peer[0], &peer[1]);
    end(2);
}

/* A node has moved: what was found out about it leads to it at once. */
TEST(a_link_follows_an_address)
{
    for (uint64_t away_ms = 20000; away_ms < 24000; away_ms += 300) {
        struct quic_addr to = quic_net_addr(77, 7001);
        begin(9, 2);
        want(&peer[0], &peer[1], true, true);
        want(&peer[1], &peer[0], true, false);
        run_ms(500);
        peer[1].v->addr = to;
        run_ms(away_ms);
        CHECK(!quic_link_conn(peer[0].l));
        quic_link_move(peer[0].l, &to, 1, net.now_ns);
        run_ms(100); /* a dial to the old address is not waited for */
        CHECK(quic_link_conn(peer[0].l));
        CHECK(quic_addr_eq(&to, quic_conn_remote(quic_link_conn(peer[0].l))));
        end(2);
    }
}

/* A link that is not kept is dialled when it is asked for, ends in silence, and is not missed. */
TEST(a_link_can_be_dialed_on_demand)
{
    begin(10, 2);
    peer[0].v->grant.keep_alive_ms = peer[1].v->grant.keep_alive_ms = 0;
    want(&peer[0], &peer[1], false, true);
    run_ms(1000);
    CHECK_EQ(0, endpoint_view(peer[0].v->e).count.dialed);
    quic_link_wake(peer[0].l, net.now_ns);
    quic_link_wake(peer[0].l, net.now_ns);
    run_ms(100);
    CHECK_EQ(1, peer[0].up);
    run_ms(20000);
    CHECK_EQ(1, peer[0].down);
    CHECK_EQ(1, endpoint_view(peer[0].v->e).count.dialed);
    end(2);
}

/* Its addresses are tried one after the other; when none leads there, that is told once. */
TEST(all_addresses_are_tried)
{
    begin(11, 2);
    struct quic_addr addrs[3] = {quic_net_addr(70, 1), quic_net_addr(71, 1), peer[1].v->addr};
    want(&peer[0], &peer[1], false, true);
    quic_link_move(peer[0].l, addrs, 3, net.now_ns);
    quic_link_wake(peer[0].l, net.now_ns);
    run_ms(10000);
    CHECK_EQ(1, peer[0].up);
    CHECK_EQ(0, peer[0].down);
    quic_conn_close(quic_link_conn(peer[0].l), 0);
    run_ms(100);
    CHECK_EQ(1, peer[0].down);
    quic_link_move(peer[0].l, addrs, 2, net.now_ns);
    quic_link_wake(peer[0].l, net.now_ns);
    run_ms(20000);
    CHECK_EQ(1, peer[0].up);
    CHECK_EQ(2, peer[0].down);
    CHECK_EQ(ST_TIMEOUT, peer[0].why);
    end(2);
}

TEST(links_are_counted_and_dropped)
{
    struct quic_link *l;
    struct fault why;
    begin(12, 2);
    want(&peer[0], &peer[1], true, true);
    run_ms(100);
    struct quic_want again = {.alpn = raft};
    memcpy(again.peer, peer[1].v->key.public, KEY_PUBLIC_SIZE);
    CHECK_EQ(ST_EXISTS, quic_pool_want(peer[0].p, &again, net.now_ns, &l, &why));
    CHECK_STR("there is a link with that node in blixard-raft/1", why.text);
    CHECK(quic_pool_find(peer[0].p, again.peer, raft) == peer[0].l);
    quic_pool_drop(peer[0].p, peer[0].l);
    run_ms(5000);
    CHECK(quic_pool_find(peer[0].p, again.peer, raft) == NULL);
    CHECK_EQ(0, endpoint_view(peer[0].v->e).conns);
    CHECK_EQ(0, peer[0].down);
    end(2);
}

/* A minute of a bad network, and then a good one. */
TEST(links_survive_a_bad_network)
{
    for (uint64_t seed = 200; seed < 204; seed++) {
        begin(seed, 2);
        net.loss_per_mille = 200;
        net.twice_per_mille = 50;
        net.jitter_ns = 10 * UNITS_NS_PER_MS;
        want(&peer[0], &peer[1], true, true);
        want(&peer[1], &peer[0], true, true);
        run_ms(60000);
        net.loss_per_mille = 0;
        run_ms(15000);
        check_one(&peer[0], &peer[1]);
        end(2);
    }
}
