/* Whom an endpoint turns away, and that nothing is left of them. */
#include <stdlib.h>

#include "base/units.h"
#include "quic/gate.h"
#include "support/quic_net.h"
#include "support/tap.h"

static struct quic_net net;

static bool a_closed(void *ctx)
{
    (void)ctx;
    return net.node[0].close_count > 0;
}

static void run_ms(uint64_t ms)
{
    IGNORE(quic_net_run(&net, ms, NULL, NULL)); /* there is nothing that it waits for */
}

static void check_empty(struct net_node *v)
{
    struct endpoint_view now = endpoint_view(v->e);
    CHECK_EQ(0, now.conns);
    CHECK_EQ(0, now.half_open);
    CHECK_EQ(0, now.ending);
}

/* Somebody else sits at that address: not a byte of ours reaches it. */
TEST(a_server_with_another_key_is_left)
{
    uint8_t wanted[KEY_PUBLIC_SIZE] = {1, 2, 3};
    const char *alpn = "blixard-rpc/1";
    static const struct quic_addr any;
    struct quic_conn *c;
    quic_net_init(&net, 1);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    CHECK_EQ(ST_OK, endpoint_dial(a->e, wanted, &alpn, 1, &any, &b->addr, &a->grant, a, net.now_ns,
                                  &c, NULL));
    CHECK(quic_net_run(&net, 1000, a_closed, NULL));
    CHECK_EQ(ST_DENIED, a->end.status);
    CHECK_STR("QUIC with 10.0.0.2:7001: the peer has another key", a->end_text);
    CHECK(!a->end.opened && !a->end.by_peer);
    CHECK_EQ(0, a->open_count + b->open_count);
    CHECK_EQ(0, b->admit_count); /* our key was not shown */
    run_ms(5000);
    check_empty(a);
    check_empty(b);
    quic_net_done(&net);
}

/* Who is not let in is told so and forgotten; the server's application hears of it in `admit` only. */
TEST(a_stranger_is_not_let_in)
{
    quic_net_init(&net, 2);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->admits = b->key.public;
    IGNORE(quic_net_dial(a, b, "blixard-raft/1"));
    CHECK(quic_net_run(&net, 1000, a_closed, NULL));
    CHECK_EQ(ST_DENIED, a->end.status);
    CHECK_STR("QUIC with 10.0.0.2:7001: the peer does not let us in", a->end_text);
    CHECK(a->end.by_peer && !a->end.opened);
    CHECK_EQ(0, a->open_count + b->open_count + b->close_count);
    CHECK_EQ(1, b->refused_admit_count);
    CHECK_STR("blixard-raft/1", b->admit_alpn);
    CHECK_EQ(1, endpoint_view(b->e).count.refused_key);
    run_ms(5000);
    check_empty(b);
    quic_net_done(&net);
}

/* It shows a key that it does not hold. */
static void borrow_key(struct net_node *v, const struct key *other)
{
    memcpy(v->key.public, other->public, KEY_PUBLIC_SIZE);
    quic_net_restart(v);
}

TEST(a_key_must_be_held)
{
    quic_net_init(&net, 3);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL),
                    *c = quic_net_add(&net, NULL);
    borrow_key(a, &c->key);
    IGNORE(quic_net_dial(a, b, "blixard-rpc/1"));
    CHECK(quic_net_run(&net, 1000, a_closed, NULL));
    CHECK_STR("QUIC with 10.0.0.2:7001: the peer does not let us in", a->end_text);
    CHECK_EQ(0, b->admit_count);
    CHECK_EQ(0, a->open_count + b->open_count);
    CHECK_EQ(1, endpoint_view(b->e).count.failed);
    quic_net_done(&net);
}

TEST(without_a_common_protocol_there_is_no_connection)
{
    quic_net_init(&net, 4);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    IGNORE(quic_net_dial(a, b, "blixard-other/1"));
    CHECK(quic_net_run(&net, 1000, a_closed, NULL));
    CHECK_EQ(ST_UNSUPPORTED, a->end.status);
    CHECK_STR("QUIC with 10.0.0.2:7001: the peer speaks none of our protocols", a->end_text);
    CHECK_EQ(0, b->admit_count);
    CHECK_EQ(1, endpoint_view(b->e).count.refused_alpn);
    run_ms(5000);
    check_empty(b);
    quic_net_done(&net);
}

static void only_dials(struct endpoint_config *c)
{
    c->alpn_count = 0;
}

/* An endpoint that accepts nothing does not even answer. */
TEST(who_only_dials_is_silent)
{
    quic_net_init(&net, 5);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, only_dials);
    IGNORE(quic_net_dial(a, b, "blixard-rpc/1"));
    CHECK(quic_net_run(&net, 6000, a_closed, NULL));
    CHECK_EQ(ST_TIMEOUT, a->end.status);
    CHECK_STR("QUIC with 10.0.0.2:7001: the handshake took too long", a->end_text);
    CHECK_EQ(0, endpoint_view(b->e).count.datagrams_out);
    check_empty(b);
    quic_net_done(&net);
}

/* --- datagrams of nobody --- */

static bool echoed(void *ctx)
{
    return ((struct net_stream *)ctx)->closed;
}

static void still_works(struct quic_conn *c)
{
    struct net_stream *r = quic_net_open(c);
    CHECK_EQ(ST_OK, quic_stream_write(r->s, STR("hello"), true, NULL));
    CHECK(quic_net_run(&net, 2000, echoed, r));
    CHECK_STR("hello", buf_cstr(&r->got));
}

TEST(garbage_leaves_nothing)
{
    static uint8_t bytes[65536];
    struct quic_addr from = quic_net_addr(66, 666);
    quic_net_init(&net, 6);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->echo = true;
    struct quic_conn *c = quic_net_join(a, b);
    for (int i = 0; i < 3000; i++) {
        size_t len = i % 100 == 0 ? sizeof bytes - 30 : rng_below(&net.rng, 1500);
        for (size_t k = 0; k < len; k += 1 + k / 64)
            bytes[k] = (uint8_t)rng_next(&net.rng);
        quic_net_inject(&net, i % 2 ? &from : &a->addr, &b->addr, bytes, len);
        run_ms(2);
    }
    struct endpoint_view v = endpoint_view(b->e);
    CHECK_EQ(1, v.conns);
    CHECK(v.count.garbage > 500 && v.count.strangers > 500);
    CHECK_EQ(0, b->close_count);
    still_works(c);
    quic_net_done(&net);
}

/* The datagrams of a whole conversation. */
struct kept {
    struct net_packet p[40];
    size_t count;
};
static struct kept kept;

static void keep(struct quic_net *n, const struct net_packet *p, void *ctx)
{
    (void)n, (void)ctx;
    if (kept.count == ARRAY_COUNT(kept.p))
        return;
    kept.p[kept.count] = *p;
    kept.p[kept.count].data = mem_dup(p->data, p->len);
    kept.count++;
}

static void forget(void)
{
    for (size_t i = 0; i < kept.count; i++)
        free(kept.p[i].data);
    kept.count = 0;
}

static struct quic_conn *keep_join(struct net_node *a, struct net_node *b)
{
    net.watch = keep;
    struct quic_conn *c = quic_net_join(a, b);
    net.watch = NULL;
    return c;
}

/* Cut short, or with a bit turned over: what cannot be opened is dropped. */
TEST(damaged_datagrams_are_dropped)
{
    quic_net_init(&net, 7);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->echo = true;
    struct quic_conn *c = keep_join(a, b);
    CHECK(kept.count > 4);
    for (size_t i = 0; i < kept.count; i++) {
        struct net_packet *p = &kept.p[i];
        for (size_t len = 0; len <= p->len; len += len < 64 ? 1 : 41) {
            quic_net_inject(&net, &p->from, &p->to, p->data, len);
            if (len < p->len) {
                uint8_t bit = (uint8_t)(1 << (len % 8));
                p->data[len] ^= bit;
                quic_net_inject(&net, &p->from, &p->to, p->data, p->len);
                p->data[len] ^= bit;
            }
            run_ms(2);
        }
    }
    CHECK_EQ(0, a->close_count + b->close_count);
    still_works(c);
    run_ms(10000);
    CHECK_EQ(1, endpoint_view(a->e).conns);
    CHECK_EQ(1, endpoint_view(b->e).conns);
    forget();
    quic_net_done(&net);
}

/* The first datagrams of a handshake, again: they are the connection's, which has seen them. Later,
 * when it is gone, they begin one that nobody goes on with. */
TEST(replayed_initials_begin_nothing_that_lasts)
{
    quic_net_init(&net, 8);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->echo = true;
    struct quic_conn *c = keep_join(a, b);
    for (int i = 0; i < 100; i++)
        quic_net_inject(&net, &a->addr, &b->addr, kept.p[0].data, kept.p[0].len);
    run_ms(50);
    CHECK_EQ(1, endpoint_view(b->e).conns);
    CHECK_EQ(1, endpoint_view(b->e).count.accepted);
    still_works(c);
    quic_conn_close(c, 0);
    run_ms(3000);
    check_empty(b);
    for (int i = 0; i < 100; i++)
        quic_net_inject(&net, &a->addr, &b->addr, kept.p[0].data, kept.p[0].len);
    run_ms(50);
    CHECK_EQ(1, endpoint_view(b->e).half_open);
    CHECK_EQ(1, b->admit_count);
    run_ms(10000);
    check_empty(b);
    CHECK_EQ(1, b->admit_count);
    forget();
    quic_net_done(&net);
}

/* --- versions --- */

static size_t other_version(uint8_t out[1300], size_t len)
{
    static const uint8_t head[] = {0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8,   'd', 'e', 's', 't',
                                   'i',  'n',  'a',  't',  4,    'f', 'r', 'o', 'm'};
    memset(out, 0, 1300);
    memcpy(out, head, sizeof head);
    return len;
}

/* Who speaks another version is told ours, if it asked with a datagram large enough. */
TEST(another_version_is_answered_with_ours)
{
    uint8_t d[1300];
    struct quic_addr from = quic_net_addr(66, 666);
    quic_net_init(&net, 9);
    struct net_node *b = quic_net_add(&net, NULL);
    net.watch = keep;
    quic_net_inject(&net, &from, &b->addr, d, other_version(d, 1199));
    run_ms(10);
    CHECK_EQ(0, kept.count);
    quic_net_inject(&net, &from, &b->addr, d, other_version(d, 1200));
    run_ms(10);
    CHECK_EQ(1, kept.count);
    struct net_packet *p = &kept.p[0];
    CHECK(p->data[0] & 0x80);
    CHECK(memcmp(p->data + 1, "\0\0\0\0\4from\10destinat\0\0\0\1", 22) == 0);
    CHECK_EQ(23, p->len);
    CHECK(quic_addr_eq(&from, &p->to));
    check_empty(b);
    forget();
    quic_net_done(&net);
}

/* And so many times a second at most: whoever sends such in another's name gets no flood out of us. */
TEST(answers_to_strangers_are_limited)
{
    uint8_t d[1300];
    struct quic_addr from = quic_net_addr(66, 666);
    quic_net_init(&net, 10);
    struct net_node *b = quic_net_add(&net, NULL);
    for (int i = 0; i < 1000; i++) {
        quic_net_inject(&net, &from, &b->addr, d, other_version(d, 1200));
        d[0] = 0x40; /* and a packet of no connection */
        d[1] = (uint8_t)i;
        quic_net_inject(&net, &from, &b->addr, d, 100);
    }
    run_ms(10);
    struct endpoint_view v = endpoint_view(b->e);
    CHECK(v.count.datagrams_out >= GATE_ANSWERS_PER_S);
    CHECK(v.count.datagrams_out <= GATE_ANSWERS_PER_S + 5);
    CHECK(v.count.resets_out > 50 && v.count.versions > 50);
    quic_net_done(&net);
}

/* A reset is shorter than what it answers, so two who know nothing of each other fall silent. */
static void resets_shrink(struct quic_net *n, const struct net_packet *p, void *ctx)
{
    size_t *last = ctx;
    (void)n;
    CHECK(p->len < *last);
    *last = p->len;
}

TEST(two_strangers_fall_silent)
{
    uint8_t d[60] = {0x40, 1, 2, 3};
    size_t last = sizeof d;
    quic_net_init(&net, 11);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    net.watch = resets_shrink;
    net.watch_ctx = &last;
    quic_net_inject(&net, &a->addr, &b->addr, d, sizeof d);
    run_ms(1000);
    CHECK(last < 25);
    CHECK(endpoint_view(a->e).count.resets_out + endpoint_view(b->e).count.resets_out > 10);
    quic_net_done(&net);
}

/* --- floods --- */

static void small(struct endpoint_config *c)
{
    c->half_open_max = 32;
    c->retry_above = 8;
    c->conns_max = 100;
}

static void many(struct endpoint_config *c)
{
    c->conns_max = 5000;
}

/* So many handshakes begun from as many addresses, by somebody who hears no answer. */
static void flood(struct net_node *evil, struct net_node *b, size_t count)
{
    const char *alpn = "blixard-rpc/1";
    for (size_t i = 0; i < count; i++) {
        struct quic_conn *c;
        struct quic_addr local = {.ip = {4, {10, 9, (uint8_t)(i >> 8), (uint8_t)i}}, .port = 9};
        CHECK_EQ(ST_OK, endpoint_dial(evil->e, b->key.public, &alpn, 1, &local, &b->addr,
                                      &evil->grant, evil, net.now_ns, &c, NULL));
    }
    endpoint_flush(evil->e, net.now_ns);
    evil->deaf = true;
}

/* Few of them cost us anything; whoever hears our answers still gets in, by showing its address. */
TEST(a_flood_of_handshakes_is_bounded)
{
    quic_net_init(&net, 12);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, small),
                    *evil = quic_net_add(&net, many);
    b->echo = true;
    flood(evil, b, 1000);
    run_ms(5);
    struct endpoint_view v = endpoint_view(b->e);
    CHECK_EQ(8, v.half_open);
    CHECK_EQ(8, v.conns);
    CHECK_EQ(992, v.count.retries);
    still_works(quic_net_join(a, b));
    CHECK_EQ(993, endpoint_view(b->e).count.retries);
    run_ms(6000);
    v = endpoint_view(b->e);
    CHECK_EQ(0, v.half_open);
    CHECK_EQ(1, v.conns);
    CHECK_EQ(8, v.count.failed);
    quic_net_done(&net);
}

static void checks_all(struct endpoint_config *c)
{
    c->retry_above = 1;
}

/* A token is for one address, and for a short time. */
TEST(a_token_is_for_one_address)
{
    struct quic_addr thief = quic_net_addr(66, 666);
    quic_net_init(&net, 13);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, checks_all),
                    *evil = quic_net_add(&net, many);
    flood(evil, b, 1); /* one handshake is under way: the next is checked */
    run_ms(5);
    IGNORE(keep_join(a, b));
    CHECK_EQ(1, endpoint_view(b->e).count.retries);
    CHECK(kept.p[1].from.ip.byte[3] == 2 && kept.p[1].len < kept.p[0].len); /* the Retry */
    struct net_packet *second = &kept.p[2];
    CHECK(second->from.ip.byte[3] == 1 && second->len >= 1200);
    quic_conn_close(a->c, 0);
    run_ms(3000);
    quic_net_inject(&net, &thief, &b->addr, second->data, second->len);
    run_ms(5);
    CHECK_EQ(1, endpoint_view(b->e).count.bad_tokens);
    run_ms(10000);
    quic_net_inject(&net, &a->addr, &b->addr, second->data, second->len);
    run_ms(5);
    CHECK_EQ(2, endpoint_view(b->e).count.bad_tokens);
    forget();
    quic_net_done(&net);
}

static void rarely(struct endpoint_config *c)
{
    c->handshakes_per_s = 3;
    c->conns_max = 5;
}

/* One source gets so many handshakes a second, whatever it can show. */
TEST(one_source_is_limited)
{
    quic_net_init(&net, 14);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, rarely);
    for (int i = 0; i < 5; i++)
        IGNORE(quic_net_dial(a, b, "blixard-rpc/1"));
    run_ms(100);
    CHECK_EQ(3, b->open_count);
    struct endpoint_view v = endpoint_view(b->e);
    CHECK(v.count.retries >= 2 && v.count.crowded >= 2);
    run_ms(2000); /* they try again */
    CHECK_EQ(5, b->open_count);
    IGNORE(quic_net_dial(a, b, "blixard-rpc/1"));
    run_ms(3000);
    CHECK_EQ(5, endpoint_view(b->e).conns);
    CHECK_EQ(5, b->open_count); /* conns_max */
    quic_net_done(&net);
}

static void one_only(struct endpoint_config *c)
{
    c->conns_max = 1;
}

/* Whoever hears that its connection has ended dials again, at once. */
static unsigned redial_count;

static void redial(void *ctx, struct quic_conn *c, const struct quic_end *end)
{
    static const struct quic_addr any;
    const char *alpn = "blixard-rpc/1";
    struct net_node *a = ctx, *b = a + 1;
    struct quic_conn *ret;
    (void)c, (void)end;
    if (endpoint_dial(a->e, b->key.public, &alpn, 1, &any, &b->addr, &a->grant, a, net.now_ns, &ret,
                      NULL) == ST_OK)
        redial_count++;
}

/* A connection that has ended stays for a while, but keeps nobody from another. */
TEST(what_has_ended_gives_way)
{
    quic_net_init(&net, 17);
    struct net_node *a = quic_net_add(&net, one_only), *b = quic_net_add(&net, one_only);
    a->events.closed = redial;
    quic_conn_close(quic_net_join(a, b), 0);
    run_ms(2);
    CHECK_EQ(0, redial_count); /* it is still there while that is told */
    CHECK_EQ(1, endpoint_view(a->e).ending);
    IGNORE(quic_net_dial(a, b, "blixard-raft/1"));
    CHECK_EQ(0, endpoint_view(a->e).ending);
    run_ms(100);
    CHECK_EQ(2, a->open_count);
    CHECK_EQ(2, b->open_count);
    quic_net_done(&net);
}

static void few_streams(struct endpoint_config *c)
{
    c->streams_max = 4;
}

/* A peer that would open streams without end gets as many as there may be. */
TEST(a_flood_of_streams_is_bounded)
{
    struct quic_stream *s;
    quic_net_init(&net, 15);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, few_streams);
    struct quic_conn *c = quic_net_join(a, b);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(ST_OK, quic_stream_write(quic_net_open(c)->s, STR("x"), false, NULL));
    struct fault why;
    CHECK_EQ(ST_LIMIT, quic_stream_open(c, NULL, &s, &why));
    CHECK_STR("the peer allows no more streams now", why.text);
    run_ms(100);
    CHECK_EQ(4, quic_conn_streams(b->c));
    quic_net_done(&net);
}

/* Whoever reads nothing holds what the window of the connection allows, however many streams it has. */
TEST(an_unread_connection_is_bounded)
{
    static uint8_t data[1 << 20];
    quic_net_init(&net, 16);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->lazy = true;
    b->grant.window = 300000;
    struct quic_conn *c = quic_net_join(a, b);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(ST_OK, quic_stream_write(quic_net_open(c)->s,
                                          (struct str){(char *)data, sizeof data}, true, NULL));
    run_ms(5000);
    size_t held = 0;
    for (size_t i = 0; i < b->stream_count; i++)
        held += b->stream[i].unread;
    CHECK_EQ(300000, held);
    CHECK_EQ(0, a->close_count + b->close_count);
    quic_net_done(&net);
}
