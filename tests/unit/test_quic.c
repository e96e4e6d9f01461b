/* The ways of a connection: it opens, carries streams, survives a bad network, and ends. */
#include <stdlib.h>
#include <unistd.h>

#include "base/units.h"
#include "support/quic_net.h"
#include "support/scratch.h"
#include "support/tap.h"

static struct quic_net net;

static bool closed_both(void *ctx)
{
    (void)ctx;
    return net.node[0].close_count > 0 && net.node[1].close_count > 0;
}

static bool stream_closed(void *ctx)
{
    return ((struct net_stream *)ctx)->closed;
}

static bool stream_fin(void *ctx)
{
    return ((struct net_stream *)ctx)->fin;
}

static void write_all(struct net_stream *r, const void *data, size_t len, bool fin)
{
    struct fault why = {0};
    if (quic_stream_write(r->s, (struct str){data, len}, fin, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
}

/* Both ends know whom they speak with, and in what protocol. */
TEST(keys_and_protocol_are_known_on_both_sides)
{
    quic_net_init(&net, 1);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    CHECK(memcmp(a->key.public, b->admit_key, KEY_PUBLIC_SIZE) == 0);
    CHECK_STR("blixard-rpc/1", b->admit_alpn);
    CHECK_STR("blixard-rpc/1", a->alpn);
    CHECK(memcmp(quic_conn_peer(b->c), a->key.public, KEY_PUBLIC_SIZE) == 0);
    CHECK(memcmp(quic_conn_peer(c), b->key.public, KEY_PUBLIC_SIZE) == 0);
    CHECK(quic_conn_dialed(c) && !quic_conn_dialed(b->c));
    CHECK_EQ(1, b->admit_count);
    CHECK(quic_conn_rtt_ns(c) >= 2 * UNITS_NS_PER_MS && quic_conn_rtt_ns(c) < 40 * UNITS_NS_PER_MS);
    struct endpoint_view v = endpoint_view(b->e);
    CHECK_EQ(1, v.conns);
    CHECK_EQ(0, v.half_open);
    CHECK_EQ(1, v.count.accepted);
    quic_net_done(&net);
}

/* The library would write them to a file that the environment names. */
TEST(no_secret_is_logged)
{
    const char *path = scratch_file("keylog");
    CHECK_EQ(0, setenv("SSLKEYLOGFILE", path, 1));
    quic_net_init(&net, 1);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    IGNORE(quic_net_join(a, b));
    quic_net_done(&net);
    CHECK(access(path, F_OK) != 0);
}

/* A proof can be bound to this one connection. */
TEST(both_ends_export_the_same_secret)
{
    uint8_t x[32], y[32], z[32];
    quic_net_init(&net, 2);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    CHECK_EQ(ST_OK, quic_conn_export(c, STR("EXPORTER-blixard-join"), x, sizeof x, NULL));
    CHECK_EQ(ST_OK, quic_conn_export(b->c, STR("EXPORTER-blixard-join"), y, sizeof y, NULL));
    CHECK_EQ(ST_OK, quic_conn_export(b->c, STR("EXPORTER-other"), z, sizeof z, NULL));
    CHECK(memcmp(x, y, sizeof x) == 0);
    CHECK(memcmp(x, z, sizeof x) != 0);
    quic_net_done(&net);
}

/* The server takes its own first choice of what the client offers. */
TEST(server_picks_the_protocol)
{
    static const char *const offer[] = {"blixard-blob/1", "blixard-rpc/1", "blixard-raft/1"};
    static const struct quic_addr any;
    struct quic_conn *c;
    quic_net_init(&net, 3);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    CHECK_EQ(ST_OK, endpoint_dial(a->e, b->key.public, offer, 3, &any, &b->addr, &a->grant, a,
                                  net.now_ns, &c, NULL));
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    CHECK_EQ(1, a->open_count);
    CHECK_STR("blixard-raft/1", quic_conn_alpn(c));
    quic_net_done(&net);
}

/* One socket, both roles: each dials the other. */
TEST(an_endpoint_dials_and_is_dialed)
{
    quic_net_init(&net, 4);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *x = quic_net_dial(a, b, "blixard-raft/1");
    struct quic_conn *y = quic_net_dial(b, a, "blixard-rpc/1");
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    CHECK_EQ(2, a->open_count);
    CHECK_EQ(2, b->open_count);
    CHECK(quic_conn_open(x) && quic_conn_open(y));
    quic_net_done(&net);
}

static void echo_some(struct quic_conn *c, size_t size, uint8_t first)
{
    struct net_stream *r = quic_net_open(c);
    AUTO(auto_free) uint8_t *data = mem_new(size + 1);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(first + i * 7 + (i >> 8));
    write_all(r, data, size, true);
    if (!quic_net_run(&net, 120000, stream_closed, r))
        tap_fail(__FILE__, __LINE__, "%zu of %zu bytes came back", r->got.len, size);
    CHECK(r->fin);
    CHECK_EQ(size, r->got.len);
    CHECK(memcmp(data, buf_cstr(&r->got), size) == 0);
}

/* Datagrams say that they may be marked instead of dropped, for as long as the peer tells of the marks (RFC
 * 9000 section 13.4). */
static void count_marks(struct quic_net *n, const struct net_packet *p, void *ctx)
{
    (void)n;
    ((unsigned *)ctx)[p->ecn]++;
}

TEST(datagrams_can_be_marked)
{
    unsigned marks[4] = {0};
    quic_net_init(&net, 7);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->echo = true;
    net.watch = count_marks;
    net.watch_ctx = marks;
    echo_some(quic_net_join(a, b), 200000, 1);
    CHECK(marks[2] > 100 && marks[2] > 10 * marks[0]); /* ECT(0) */
    CHECK_EQ(0, marks[1] + marks[3]);
    quic_net_done(&net);
}

/* When datagrams left, in a while. */
struct spread {
    uint64_t end_ns, last_ns;
    unsigned count, times, most; /* how many, at how many times, most of them at one */
    unsigned now;
};

static void note_time(struct quic_net *n, const struct net_packet *p, void *ctx)
{
    struct spread *s = ctx;
    if (p->from.ip.byte[3] != 1 || n->now_ns >= s->end_ns)
        return;
    bool again = s->times > 0 && s->last_ns == n->now_ns;
    s->last_ns = n->now_ns;
    s->now = again ? s->now + 1 : 1;
    s->times += !again;
    s->most = MAX(s->most, s->now);
    s->count++;
}

/* What the network carried a moment ago is not thrown at it in one piece. */
TEST(datagrams_are_spread_over_the_round_trip)
{
    static uint8_t data[2 << 20];
    struct spread s = {0};
    quic_net_init(&net, 8);
    net.delay_ns = 10 * UNITS_NS_PER_MS;
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    write_all(quic_net_open(c), data, sizeof data, true);
    CHECK(!quic_net_run(&net, 1000, NULL, NULL));
    CHECK(b->stream[0].fin);
    net.watch = note_time;
    net.watch_ctx = &s;
    s.end_ns = net.now_ns + 2 * net.delay_ns;
    write_all(quic_net_open(c), data, sizeof data, true);
    CHECK(!quic_net_run(&net, 20, NULL, NULL));
    CHECK(s.count > 1000 && s.times > 20 && s.most <= ENDPOINT_BATCH_MAX);
    quic_net_done(&net);
}

/* Whatever the network does, bytes come whole, in order, once. */
static void bad_network(uint64_t seed, uint32_t loss, uint32_t twice, uint64_t jitter_ms)
{
    quic_net_init(&net, seed);
    net.loss_per_mille = loss;
    net.twice_per_mille = twice;
    net.jitter_ns = jitter_ms * UNITS_NS_PER_MS;
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->echo = true;
    struct quic_conn *c = quic_net_join(a, b);
    echo_some(c, 0, 1);
    echo_some(c, 1, 2);
    echo_some(c, 200000, 3);
    quic_net_done(&net);
}

TEST(streams_carry_bytes)
{
    bad_network(5, 0, 0, 0);
}

TEST(streams_survive_loss)
{
    for (uint64_t seed = 10; seed < 14; seed++)
        bad_network(seed, 100, 0, 0);
}

TEST(streams_survive_reordering_and_duplication)
{
    for (uint64_t seed = 20; seed < 24; seed++)
        bad_network(seed, 0, 200, 20);
}

TEST(streams_survive_all_of_it)
{
    for (uint64_t seed = 30; seed < 34; seed++)
        bad_network(seed, 60, 60, 10);
}

/* The same seed sends datagrams of the same lengths at the same times. */
TEST(a_run_repeats)
{
    uint64_t first = 0;
    for (int i = 0; i < 3; i++) {
        bad_network(40, 50, 50, 10);
        if (i == 0)
            first = net.trace;
        else
            CHECK_EQ(first, net.trace);
    }
}

/* Many at once, from both sides, and all are forgotten afterwards. */
static void check_open(void *ctx, struct quic_stream *s)
{
    CHECK_EQ(1, ((struct net_node *)ctx)->open_count);
    CHECK(quic_conn_open(quic_stream_conn(s)));
}

/* Also when the word of the other side that the handshake is done is lost, and what it says next is not. */
TEST(a_connection_opens_before_its_streams)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        quic_net_init(&net, 1000 + seed);
        net.loss_per_mille = 300;
        struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
        a->events.stream_opened = check_open;
        IGNORE(quic_net_dial(a, b, "blixard-rpc/1")); /* both tell it */
        unsigned said = 0;
        for (unsigned ms = 0; ms < 3000; ms++) {
            IGNORE(quic_net_run(&net, 1, NULL, NULL)); /* it only takes its time */
            if (b->c && said < 20) {
                write_all(quic_net_open(b->c), "hello", 5, true);
                said++;
            }
        }
        CHECK_EQ(20, said);
        CHECK_EQ(1, a->open_count);
        CHECK_EQ(20, a->stream_count);
        quic_net_done(&net);
    }
}

TEST(streams_run_side_by_side)
{
    quic_net_init(&net, 50);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    a->echo = b->echo = true;
    struct quic_conn *c = quic_net_join(a, b);
    for (int i = 0; i < 100; i++) {
        write_all(quic_net_open(c), "from a", 6, true);
        write_all(quic_net_open(b->c), "from b!", 7, true);
    }
    CHECK(!quic_net_run(&net, 1000, NULL, NULL));
    for (size_t i = 0; i < 200; i++) {
        CHECK(a->stream[i].closed && b->stream[i].closed);
        CHECK_EQ(a->stream[i].ours ? 6 : 7, a->stream[i].got.len);
    }
    CHECK_EQ(0, quic_conn_streams(c));
    quic_net_done(&net);
}

/* More than the limit in all, but never at once: credit for streams comes back. */
TEST(streams_can_be_opened_for_ever)
{
    quic_net_init(&net, 51);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->echo = true;
    struct quic_conn *c = quic_net_join(a, b);
    for (int i = 0; i < 600; i++) {
        struct net_stream *r = quic_net_open(c);
        write_all(r, "x", 1, true);
        CHECK(quic_net_run(&net, 1000, stream_closed, r));
    }
    quic_net_done(&net);
}

static void few(struct endpoint_config *c)
{
    c->streams_max = 4;
    c->stream_send_max = 10000;
    c->conn_send_max = 15000;
    c->stream_window = 20000;
}

/* What a peer sends ahead of the reader is bounded, and what waits to be sent is. */
TEST(nothing_is_granted_before_it_is_consumed)
{
    static uint8_t data[10000];
    quic_net_init(&net, 52);
    struct net_node *a = quic_net_add(&net, few), *b = quic_net_add(&net, few);
    b->lazy = true;
    struct quic_conn *c = quic_net_join(a, b);
    struct net_stream *r = quic_net_open(c);
    size_t sent = 0;
    while (quic_stream_write(r->s, (struct str){(char *)data, sizeof data}, false, NULL) == ST_OK) {
        sent += sizeof data;
        CHECK(!quic_net_run(&net, 200, NULL, NULL));
        CHECK(sent <= 30000);
    }
    struct net_stream *got = &b->stream[0];
    CHECK_EQ(20000, got->got.len); /* the window of the stream */
    CHECK_EQ(30000, sent);         /* and the queue of the sender */
    CHECK_EQ(0, r->rooms);

    quic_stream_consume(got->s, got->unread);
    got->unread = 0;
    CHECK(!quic_net_run(&net, 200, NULL, NULL));
    CHECK_EQ(30000, got->got.len);
    CHECK_EQ(1, r->rooms);
    CHECK_EQ(10000, quic_stream_room(r->s));
    quic_net_done(&net);
}

/* A connection's streams share its queue: a full one holds back the others, and they are told when it is
 * not. */
TEST(the_queue_of_a_connection_is_bounded)
{
    static uint8_t data[10001];
    struct fault why;
    quic_net_init(&net, 53);
    struct net_node *a = quic_net_add(&net, few), *b = quic_net_add(&net, few);
    struct quic_conn *c = quic_net_join(a, b);
    struct net_stream *x = quic_net_open(c), *y = quic_net_open(c);
    CHECK_EQ(ST_TOO_BIG, quic_stream_write(x->s, (struct str){(char *)data, 10001}, false, &why));
    CHECK_STR("10001 bytes, a stream holds 10000", why.text);
    write_all(x, data, 10000, false);
    CHECK_EQ(ST_LIMIT, quic_stream_write(y->s, (struct str){(char *)data, 6000}, false, &why));
    CHECK_STR("6000 bytes wanted, room for 5000", why.text);
    CHECK(!quic_net_run(&net, 200, NULL, NULL));
    CHECK_EQ(0, x->rooms);
    CHECK_EQ(1, y->rooms);
    write_all(y, data, 6000, true);
    CHECK_EQ(ST_PRECONDITION, quic_stream_write(y->s, STR("more"), false, NULL));
    CHECK(!quic_net_run(&net, 200, NULL, NULL));
    CHECK_EQ(6000, b->stream[1].got.len);
    quic_net_done(&net);
}

/* Whoever is told of room may cut off another that waits for it. */
static struct net_stream *other_of[2];

static void cut_the_other(void *ctx, struct quic_stream *s)
{
    (void)ctx;
    quic_net_stream(s)->rooms++;
    quic_stream_abort(other_of[quic_net_stream(s) == other_of[0]]->s, 1);
}

TEST(room_for_one_may_be_the_end_of_another)
{
    static uint8_t data[10000];
    quic_net_init(&net, 54);
    struct net_node *a = quic_net_add(&net, few), *b = quic_net_add(&net, few);
    a->events.stream_room = cut_the_other;
    struct quic_conn *c = quic_net_join(a, b);
    struct net_stream *x = quic_net_open(c);
    other_of[0] = quic_net_open(c);
    other_of[1] = quic_net_open(c);
    write_all(x, data, sizeof data, false);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(ST_LIMIT,
                 quic_stream_write(other_of[i]->s, (struct str){(char *)data, 6000}, false, NULL));
    CHECK(!quic_net_run(&net, 200, NULL, NULL));
    CHECK_EQ(1, other_of[0]->rooms + other_of[1]->rooms);
    quic_net_done(&net);
}

/* An application does what it likes in an event, whichever it is. */
enum act { ACT_ABORT, ACT_STOP, ACT_CLOSE, ACT_WRITE, ACT_OPEN, ACTS };
static enum act act;

static void do_act(struct quic_stream *s)
{
    struct quic_stream *other;
    struct quic_conn *c = quic_stream_conn(s);
    switch (act) {
    case ACT_ABORT: quic_stream_abort(s, 1); return;
    case ACT_STOP: quic_stream_stop(s, 2); return;
    case ACT_CLOSE: quic_conn_close(c, 3); return;
    case ACT_WRITE: IGNORE(quic_stream_write(s, STR("answer"), true, NULL)); return;
    default:
        if (quic_stream_open(c, NULL, &other, NULL) == ST_OK)
            IGNORE(quic_stream_write(other, STR("another"), true, NULL));
    }
}

static void act_at_stream(void *ctx, struct quic_stream *s)
{
    (void)ctx;
    do_act(s);
}

static void act_at_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    (void)ctx, (void)fin;
    quic_stream_consume(s, bytes.len);
    do_act(s);
}

static void act_at_code(void *ctx, struct quic_stream *s, uint64_t code)
{
    (void)ctx, (void)code;
    do_act(s);
}

static void act_in_event(size_t event)
{
    static uint8_t data[10000];
    quic_net_init(&net, 68);
    struct net_node *a = quic_net_add(&net, few), *b = quic_net_add(&net, few);
    struct endpoint_events *ev = &b->events;
    endpoint_events_init(ev);
    ev->admit = a->events.admit;
    ev->opened = a->events.opened;
    ev->closed = a->events.closed;
    ev->ctx = b;
    switch (event) {
    case 0: ev->stream_opened = act_at_stream; break;
    case 1: ev->stream_data = act_at_data; break;
    case 2: ev->stream_reset = act_at_code; break;
    default: ev->stream_closed = act_at_stream; break;
    }
    struct quic_conn *c = quic_net_join(a, b);
    struct net_stream *x = quic_net_open(c), *y = quic_net_open(c);
    write_all(x, data, sizeof data, true);
    write_all(y, data, 5000, false);
    CHECK(!quic_net_run(&net, 200, NULL, NULL));
    if (y->s)
        quic_stream_abort(y->s, 9);
    CHECK(!quic_net_run(&net, 200, NULL, NULL));
    if (act == ACT_CLOSE)
        CHECK_EQ(1, a->close_count);
    else
        CHECK_EQ(0, a->close_count + b->close_count);
    quic_net_done(&net);
}

TEST(an_event_may_ask_for_anything)
{
    for (act = 0; act < ACTS; act++)
        for (size_t event = 0; event < 4; event++) {
            act_in_event(event);
        }
}

/* As many streams as are allowed; the next one waits until one is over. */
TEST(streams_are_counted)
{
    struct quic_stream *s;
    quic_net_init(&net, 54);
    struct net_node *a = quic_net_add(&net, few), *b = quic_net_add(&net, few);
    b->echo = true;
    struct quic_conn *c = quic_net_join(a, b);
    struct net_stream *r[4];
    for (int i = 0; i < 4; i++)
        r[i] = quic_net_open(c);
    CHECK_EQ(ST_LIMIT, quic_stream_open(c, NULL, &s, NULL));
    write_all(r[0], "x", 1, true);
    CHECK(quic_net_run(&net, 1000, stream_closed, r[0]));
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    CHECK_EQ(ST_OK, quic_stream_open(c, NULL, &s, NULL));
    quic_net_done(&net);
}

/* Cut off: the other side is told the code, and nothing is left. */
TEST(a_stream_can_be_aborted)
{
    quic_net_init(&net, 55);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    struct net_stream *r = quic_net_open(c);
    write_all(r, "hello", 5, false);
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    struct net_stream *got = &b->stream[0];
    CHECK_STR("hello", buf_cstr(&got->got));
    quic_stream_abort(r->s, 77);
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    CHECK(got->was_reset && !got->fin);
    CHECK_EQ(77, got->code);
    CHECK(r->closed && got->closed);
    CHECK_EQ(0, quic_conn_streams(c));
    CHECK_EQ(0, quic_conn_streams(b->c));
    quic_net_done(&net);
}

/* Also before the peer has heard of it, with or without bytes that would have been the first. */
TEST(a_stream_can_be_aborted_at_once)
{
    quic_net_init(&net, 55);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    for (int i = 0; i < 300; i++) { /* more than may be open at once */
        struct net_stream *r = quic_net_open(c);
        if (i & 1)
            write_all(r, "hello", 5, true);
        quic_stream_abort(r->s, 77);
        CHECK(!quic_net_run(&net, 10, NULL, NULL));
        CHECK(r->closed);
    }
    CHECK_EQ(0, quic_conn_streams(c));
    CHECK_EQ(0, quic_conn_streams(b->c));
    quic_net_done(&net);
}

/* The reader has had enough, the writer is told, and the other direction goes on. */
TEST(a_reader_can_stop_the_writer)
{
    static uint8_t data[100000];
    quic_net_init(&net, 56);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    struct net_stream *r = quic_net_open(c);
    write_all(r, data, 10, false);
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    struct net_stream *got = &b->stream[0];
    quic_stream_stop(got->s, 5);
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    write_all(r, data, sizeof data, false);
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    CHECK(r->stopped);
    CHECK_EQ(10, got->got.len);
    CHECK_EQ(ST_PRECONDITION, quic_stream_write(r->s, STR("x"), false, NULL));
    write_all(got, "bye", 3, true);
    CHECK(quic_net_run(&net, 1000, stream_closed, r));
    CHECK_STR("bye", buf_cstr(&r->got));
    quic_net_done(&net);
}

/* A graceful end: both know, and whoever goes on with it is told again, less and less. */
TEST(a_connection_is_closed_by_one_side)
{
    quic_net_init(&net, 57);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    struct net_stream *r = quic_net_open(c);
    quic_conn_close(c, 0);
    quic_conn_close(c, 9);
    CHECK_EQ(ST_PRECONDITION, quic_stream_write(r->s, STR("x"), false, NULL));
    CHECK(quic_net_run(&net, 1000, closed_both, NULL));
    CHECK(r->closed);
    CHECK_EQ(ST_OK, a->end.status);
    CHECK(!a->end.by_peer && a->end.opened);
    CHECK_STR("QUIC with 10.0.0.2:7001: closed here", a->end_text);
    CHECK_EQ(ST_OK, b->end.status);
    CHECK(b->end.by_peer);
    CHECK_STR("QUIC with 10.0.0.1:7001: closed by the peer", b->end_text);
    CHECK(!quic_net_run(&net, 5000, NULL, NULL));
    CHECK_EQ(0, endpoint_view(a->e).conns);
    CHECK_EQ(0, endpoint_view(b->e).conns);
    quic_net_done(&net);
}

TEST(a_code_says_why)
{
    quic_net_init(&net, 58);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    IGNORE(quic_net_join(a, b));
    quic_conn_close(b->c, 42);
    CHECK(quic_net_run(&net, 1000, closed_both, NULL));
    CHECK_EQ(ST_CANCELLED, b->end.status);
    CHECK_EQ(ST_UNAVAILABLE, a->end.status);
    CHECK_EQ(42, a->end.code);
    quic_net_done(&net);
}

TEST(all_connections_are_closed_at_once)
{
    quic_net_init(&net, 58);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL),
                    *c = quic_net_add(&net, NULL);
    IGNORE(quic_net_join(a, b));
    IGNORE(quic_net_join(c, a));
    endpoint_close_all(a->e, 7);
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    CHECK_EQ(2, a->close_count);
    CHECK_EQ(ST_CANCELLED, a->end.status);
    CHECK_EQ(7, b->end.code);
    CHECK_EQ(7, c->end.code);
    quic_net_done(&net);
}

/* The first word of the end is lost: it is said again when the peer goes on. */
TEST(the_end_is_said_again)
{
    quic_net_init(&net, 59);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    CHECK(!quic_net_run(&net, 500, NULL, NULL));
    quic_conn_close(c, 0);
    net.loss_per_mille = 1000;
    CHECK(!quic_net_run(&net, 2, NULL, NULL));
    CHECK_EQ(1, a->close_count);
    net.loss_per_mille = 0;
    struct quic_stream *s;
    CHECK_EQ(ST_OK, quic_stream_open(b->c, NULL, &s, NULL));
    write_all(quic_net_stream(s), "are you there?", 14, false);
    CHECK(quic_net_run(&net, 10, closed_both, NULL));
    CHECK_EQ(ST_OK, b->end.status);
    quic_net_done(&net);
}

/* A peer that does not want to hear it, or somebody in its name, gets ever fewer answers. */
static struct quic_addr repeat_to;

static void repeat_once(struct quic_net *n, const struct net_packet *p, void *ctx)
{
    (void)ctx;
    if (!quic_addr_eq(&p->to, &repeat_to))
        return;
    n->watch = NULL;
    for (int i = 0; i < 100; i++)
        quic_net_inject(n, &p->from, &p->to, p->data, p->len);
}

TEST(the_end_is_said_ever_less_often)
{
    quic_net_init(&net, 59);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    CHECK(!quic_net_run(&net, 500, NULL, NULL));
    quic_conn_close(c, 0);
    CHECK(!quic_net_run(&net, 0, NULL, NULL));
    CHECK_EQ(1, endpoint_view(a->e).ending);
    uint64_t before = endpoint_view(a->e).count.datagrams_out;
    repeat_to = a->addr;
    net.watch = repeat_once;
    write_all(quic_net_open(b->c), "are you there?", 14, false);
    CHECK(!quic_net_run(&net, 5, NULL, NULL));
    CHECK_EQ(7,
             endpoint_view(a->e).count.datagrams_out - before); /* to the 1st, 2nd, 4th ... 64th */
    quic_net_done(&net);
}

static void short_idle(struct endpoint_config *c)
{
    c->idle_ms = 2000;
}

/* Nobody speaks: it ends, without a datagram. */
TEST(an_idle_connection_ends)
{
    quic_net_init(&net, 60);
    struct net_node *a = quic_net_add(&net, short_idle), *b = quic_net_add(&net, short_idle);
    IGNORE(quic_net_join(a, b));
    CHECK(!quic_net_run(&net, 1500, NULL, NULL));
    CHECK_EQ(0, a->close_count + b->close_count);
    CHECK(quic_net_run(&net, 1000, closed_both, NULL));
    CHECK_EQ(ST_TIMEOUT, a->end.status);
    CHECK_EQ(ST_TIMEOUT, b->end.status);
    CHECK_EQ(1, endpoint_view(a->e).count.ended_idle);
    CHECK_EQ(0, endpoint_view(a->e).conns);
    quic_net_done(&net);
}

/* A member is kept: it says something before the other forgets it. */
TEST(a_member_is_kept_alive)
{
    quic_net_init(&net, 61);
    struct net_node *a = quic_net_add(&net, short_idle), *b = quic_net_add(&net, short_idle);
    b->grant.keep_alive_ms = 700;
    IGNORE(quic_net_join(a, b));
    CHECK(!quic_net_run(&net, 20000, NULL, NULL));
    CHECK_EQ(0, a->close_count + b->close_count);
    quic_net_done(&net);
}

/* A node that was killed and is back knows nothing of the connection, and says so at once. */
TEST(a_restarted_peer_resets)
{
    quic_net_init(&net, 62);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    struct net_stream *r = quic_net_open(c);
    quic_net_restart(b);
    write_all(r, "still there?", 12, false);
    CHECK(!quic_net_run(&net, 50, NULL, NULL));
    CHECK_EQ(1, a->close_count);
    CHECK_EQ(ST_UNAVAILABLE, a->end.status);
    CHECK_STR("QUIC with 10.0.0.2:7001: the peer knows nothing of it any more", a->end_text);
    CHECK_EQ(1, endpoint_view(b->e).count.resets_out);
    CHECK_EQ(1, endpoint_view(a->e).count.ended_reset);
    quic_net_done(&net);
}

/* Also to the smallest thing that is said: the ping that keeps a connection alive. */
TEST(a_keep_alive_is_reset_too)
{
    quic_net_init(&net, 63);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    a->grant.keep_alive_ms = 700;
    IGNORE(quic_net_join(a, b));
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    quic_net_restart(b);
    CHECK(!quic_net_run(&net, 1000, NULL, NULL));
    CHECK_EQ(1, a->close_count);
    CHECK_EQ(ST_UNAVAILABLE, a->end.status);
    quic_net_done(&net);
}

/* A router gives the client another address: the server tries it, and follows. */
TEST(a_client_behind_a_router_changes_its_address)
{
    quic_net_init(&net, 64);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->echo = true;
    struct quic_conn *c = quic_net_join(a, b);
    echo_some(c, 1000, 1);
    a->addr = quic_net_addr(99, 1234);
    echo_some(c, 100000, 2);
    CHECK_EQ(1, b->move_count);
    CHECK(quic_addr_eq(&a->addr, quic_conn_remote(b->c)));
    CHECK_EQ(0, a->close_count + b->close_count);
    CHECK_EQ(1, a->open_count);
    quic_net_done(&net);
}

/* Whoever dialled may move on purpose. */
TEST(a_client_moves)
{
    struct quic_addr to = quic_net_addr(98, 7001);
    quic_net_init(&net, 65);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->echo = true;
    a->also = to;
    struct quic_conn *c = quic_net_join(a, b);
    echo_some(c, 1000, 1);
    CHECK_EQ(ST_PRECONDITION, quic_conn_move(b->c, &to, net.now_ns, NULL));
    CHECK_EQ(ST_OK, quic_conn_move(c, &to, net.now_ns, NULL));
    CHECK_EQ(ST_IN_USE, quic_conn_move(c, &to, net.now_ns, NULL));
    CHECK(!quic_net_run(&net, 500, NULL, NULL));
    CHECK_EQ(1, a->move_count);
    a->addr = quic_net_addr(97, 1); /* the old one is gone */
    echo_some(c, 100000, 2);
    CHECK_EQ(1, b->move_count);
    CHECK(quic_addr_eq(&to, quic_conn_remote(b->c)));
    CHECK_EQ(ST_PRECONDITION, quic_conn_move(c, &to, net.now_ns, NULL));
    quic_net_done(&net);
}

/* Somebody repeats what the client says, from elsewhere. */
struct liar {
    uint64_t delay_ns; /* of the network, for what it repeats */
    int count;         /* how many it repeats */
};

static void from_elsewhere(struct quic_net *n, const struct net_packet *p, void *ctx)
{
    struct quic_addr liar = quic_net_addr(66, 6666);
    struct liar *l = ctx;
    uint64_t delay_ns = n->delay_ns;
    if (p->from.ip.byte[3] != 1 || l->count == 0)
        return;
    l->count--;
    n->delay_ns = l->delay_ns;
    quic_net_inject(n, &liar, &p->to, p->data, p->len);
    n->delay_ns = delay_ns;
}

static void lied_to(struct liar l)
{
    quic_net_init(&net, 66);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    b->echo = true;
    struct quic_conn *c = quic_net_join(a, b);
    CHECK(!quic_net_run(&net, 100, NULL, NULL));
    net.watch = from_elsewhere;
    net.watch_ctx = &l;
    for (int i = 0; i < 20; i++)
        echo_some(c, 3000, (uint8_t)i);
    CHECK_EQ(0, a->close_count + b->close_count);
    CHECK(quic_addr_eq(&a->addr, quic_conn_remote(b->c)));
    quic_net_done(&net);
}

/* A copy that comes later than the original changes nothing. */
TEST(a_late_copy_does_not_move_a_connection)
{
    lied_to((struct liar){2 * UNITS_NS_PER_MS, 1000});
}

/* One that comes first looks like a move; but nobody answers there, so it is taken back. */
TEST(an_address_that_does_not_answer_is_not_taken)
{
    lied_to((struct liar){UNITS_NS_PER_MS / 2, 1});
}

/* What is not read when the connection ends is simply gone, as with a socket that is closed. */
TEST(an_endpoint_can_be_freed_in_the_middle)
{
    static uint8_t data[100000];
    quic_net_init(&net, 67);
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    struct quic_conn *c = quic_net_join(a, b);
    struct net_stream *r = quic_net_open(c);
    write_all(r, data, sizeof data, true);
    CHECK(quic_net_run(&net, 1000, stream_fin, &b->stream[0]));
    quic_net_done(&net);
}
