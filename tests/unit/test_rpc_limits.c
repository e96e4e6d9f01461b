/* What a peer may cost, and what becomes of one that does not keep to it. */
#include "support/rpc_run.h"

/* --- limits --- */

static void refused(struct asked *q, enum status want, const char *text)
{
    run_told(q);
    CHECK_EQ(want, q->status);
    CHECK(q->by_peer);
    CHECK_STR(text, q->fault.text);
}

TEST(an_unknown_method_is_refused)
{
    begin(19);
    refused(ask(99, STR("x")), ST_UNSUPPORTED, "method 99 is not known here");
    CHECK_EQ(1, rpc_view(b->r).count.unknown);
    end();
}

TEST(a_stream_is_asked_as_such)
{
    begin(20);
    struct rpc_request r = request(DUPLEX, STR(""));
    refused(ask_with(&r, &ask_events), ST_INVALID, "duplex is asked in a stream");
    r.method = ECHO;
    r.streams = true;
    refused(ask_with(&r, &ask_events), ST_INVALID, "echo is asked at once");
    end();
}

/* Refused by its head: the bytes are never taken, and cost the connection nothing. */
TEST(a_body_is_too_long)
{
    static char body[4 * MIB];
    begin(21);
    for (int i = 0; i < 10; i++)
        refused(ask(HOLD, (struct str){body, sizeof body}), ST_TOO_BIG,
                "4194304 bytes asked of hold, 1000 are the most");
    CHECK_EQ(10, rpc_view(b->r).count.too_big);
    struct asked *q = ask(ECHO, (struct str){body, sizeof body});
    run_told(q);
    CHECK_EQ(sizeof body, q->answer.len);
    end();
}

TEST(an_answer_is_too_long)
{
    static char bytes[1001];
    begin(22);
    struct asked *q = ask(HOLD, STR(""));
    run_held(1);
    rpc_answer(held[0], ST_OK, NULL, (struct str){bytes, sizeof bytes});
    refused(q, ST_TOO_BIG, "the answer of hold has 1001 bytes, 1000 are the most");
    held_count = 0;
    struct rpc_request r = request(HOLD, STR(""));
    r.answer_max = 10;
    q = ask_with(&r, &plain_events);
    run_held(1);
    rpc_answer(held[0], ST_OK, NULL, STR("12345678901"));
    run_told(q);
    CHECK_EQ(ST_TOO_BIG, q->status);
    CHECK(!q->by_peer);
    CHECK_STR("an answer of 11 bytes, 10 are the most", q->fault.text);
    end();
}

/* Of one peer and one method; others, of it and of others, are not harmed. */
TEST(too_many_at_once)
{
    begin(23);
    struct rpc_net_node *c = rpc_net_add(&net, NULL, 0, NULL, NULL);
    for (int i = 0; i < 50; i++)
        IGNORE(ask(HOLD, STR("")));
    run_held(50);
    struct asked *q = ask(HOLD, STR(""));
    refused(q, ST_LIMIT, "50 calls of hold are under way already");
    CHECK(q->retry_ms > 0);
    struct asked *echoed = ask(ECHO, STR("x"));
    run_told(echoed);
    is_answer(echoed, "x");

    struct rpc_net_node *first = a;
    struct quic_conn *first_conn = conn;
    a = c;
    conn = quic_net_join(c->v, b->v);
    IGNORE(ask(HOLD, STR("of another")));
    run_held(51);
    CHECK_EQ(2, rpc_view(b->r).peers);
    for (size_t i = 0; i < 51; i++)
        rpc_answer(held[i], ST_OK, NULL, STR(""));
    CHECK(quic_net_run(&net.net, 60000, all_told, NULL));
    a = first;
    conn = first_conn;
    held_count = 0;
    IGNORE(ask(HOLD, STR("again")));
    run_held(1);
    rpc_answer(held[0], ST_OK, NULL, STR(""));
    run_ms(50);
    end();
}

/* So many a second; the time that is told is true. */
TEST(too_often)
{
    begin(24);
    for (int i = 0; i < 3; i++)
        run_told(ask(FEW, STR("")));
    struct asked *q = ask(FEW, STR(""));
    refused(q, ST_LIMIT, "calls of few come too fast");
    CHECK(q->retry_ms > 250 && q->retry_ms <= 334);
    struct asked *other = ask(ECHO, STR("x"));
    run_told(other);
    is_answer(other, "x");
    run_ms(q->retry_ms);
    q = ask(FEW, STR("once"));
    run_told(q);
    is_answer(q, "once");
    refused(ask(FEW, STR("")), ST_LIMIT, "calls of few come too fast");
    end();
}

/* So many bytes a second. One body may be larger than that: what it owes is waited for. */
TEST(too_many_bytes)
{
    static char body[3000];
    begin(25);
    run_told(ask(FEW, (struct str){body, 600}));
    struct asked *q = ask(FEW, (struct str){body, 600});
    refused(q, ST_LIMIT, "calls of few come too fast");
    CHECK(q->retry_ms > 100 && q->retry_ms <= 201);
    run_ms(q->retry_ms);
    run_told(ask(FEW, (struct str){body, 600}));
    CHECK_EQ(ST_OK, asked[2].status);
    run_ms(1001);
    q = ask(FEW, (struct str){body, 3000});
    run_told(q);
    CHECK_EQ(ST_OK, q->status);
    q = ask(FEW, (struct str){body, 600});
    refused(q, ST_LIMIT, "calls of few come too fast");
    CHECK(q->retry_ms > 2500 && q->retry_ms <= 2601);
    end();
}

/* What comes in a stream is not refused, but it is owed too. */
TEST(bytes_of_a_stream_count)
{
    static char bytes[5000];
    struct rpc_method m = methods[3];
    m.bytes_per_s = 1000;
    rpc_net_init(&net, 26);
    a = rpc_net_add(&net, NULL, 0, NULL, NULL);
    b = rpc_net_add(&net, &m, 1, NULL, NULL);
    conn = quic_net_join(a->v, b->v);
    struct asked *q = ask(DUPLEX, STR(""));
    CHECK_EQ(ST_OK, rpc_ask_write(q->ask, (struct str){bytes, sizeof bytes}, NULL));
    rpc_ask_end(q->ask);
    run_told(q);
    is_answer(q, "bye");
    q = ask(DUPLEX, STR(""));
    refused(q, ST_LIMIT, "calls of duplex come too fast");
    CHECK(q->retry_ms > 3900 && q->retry_ms <= 4001);
    end();
}

static void two_peers(struct rpc_config *c)
{
    c->peers_max = 2;
    c->asks_max = 5;
    c->queue_max = 10 * MIB;
}

/* The table of peers is bounded; who has no calls makes room, and is forgotten after a while. */
TEST(peers_are_forgotten)
{
    begin_with(26, NULL, two_peers);
    run_told(ask(ECHO, STR("")));
    IGNORE(ask(HOLD, STR("")));
    run_held(1);
    for (int i = 0; i < 2; i++) {
        a = rpc_net_add(&net, NULL, 0, NULL, NULL);
        conn = quic_net_join(a->v, b->v);
        IGNORE(ask(i == 0 ? HOLD : ECHO, STR("")));
        run_ms(50);
    }
    refused(&asked[3], ST_LIMIT, "2 peers have calls here already");
    CHECK(asked[3].retry_ms > 0);
    rpc_answer(held[0], ST_OK, NULL, STR(""));
    run_ms(50);
    struct asked *q = ask(ECHO, STR("now"));
    run_told(q);
    is_answer(q, "now");
    CHECK_EQ(2, rpc_view(b->r).peers);
    rpc_answer(held[1], ST_OK, NULL, STR(""));
    run_ms(59000);
    CHECK_EQ(2, rpc_view(b->r).peers);
    run_ms(2000);
    CHECK_EQ(0, rpc_view(b->r).peers);
    CHECK(rpc_deadline_ms(b->r) == UINT64_MAX);
    end();
}

static void four_streams(struct endpoint_config *c)
{
    c->streams_max = 4;
}

TEST(who_asks_is_bounded_too)
{
    static char body[8 * MIB];
    struct fault why;
    struct rpc_ask *none;
    begin_with(27, four_streams, two_peers);
    struct rpc_request big = request(ECHO, (struct str){body, sizeof body}),
                       small = request(HOLD, STR(""));
    IGNORE(ask_with(&big, &plain_events));
    CHECK_EQ(ST_LIMIT, rpc_ask(a->r, conn, &big, &plain_events, NULL, &none, &why));
    CHECK(strstr(why.text, "8388608 more are too many") != NULL);
    for (int i = 0; i < 3; i++)
        IGNORE(ask_with(&small, &plain_events));
    CHECK_EQ(ST_LIMIT, rpc_ask(a->r, conn, &small, &plain_events, NULL, &none, &why));
    CHECK_STR("4 streams are open already", why.text);
    conn = quic_net_join(a->v, b->v);
    run_ms(50);
    while (rpc_view(a->r).asks < 5)
        IGNORE(ask_with(&small, &plain_events));
    CHECK_EQ(ST_LIMIT, rpc_ask(a->r, conn, &small, &plain_events, NULL, &none, &why));
    CHECK_STR("5 calls are under way already", why.text);
    run_ms(100);
    while (held_count > 0)
        rpc_answer(held[--held_count], ST_OK, NULL, STR(""));
    CHECK(quic_net_run(&net.net, 60000, all_told, NULL));
    end();
}

/* --- who does not keep to it --- */

static struct quic_stream *raw_open(const void *bytes, size_t len, bool fin)
{
    struct quic_stream *s;
    CHECK_EQ(ST_OK, quic_stream_open(conn, NULL, &s, NULL));
    CHECK_EQ(ST_OK, quic_stream_write(s, (struct str){bytes, len}, fin, NULL));
    return s;
}

/* What b says to that. */
static struct frame raw_end;
static unsigned raw_ends, raw_resets;
static uint64_t raw_code;

static void raw_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    (void)ctx, (void)fin;
    if (bytes.len >= FRAME_FRAME) {
        CHECK_EQ(ST_OK, frame_get((struct str){bytes.ptr, FRAME_FRAME}, &raw_end, NULL));
        raw_ends++;
    }
    quic_stream_consume(s, bytes.len);
}

static void raw_reset(void *ctx, struct quic_stream *s, uint64_t code)
{
    (void)ctx, (void)s;
    raw_resets++;
    raw_code = code;
}

static void raw_closed(void *ctx, struct quic_stream *s)
{
    (void)ctx, (void)s;
}

static void raw_events(struct rpc_net_node *v)
{
    v->v->events.stream_data = raw_data;
    v->v->events.stream_reset = raw_reset;
    v->v->events.stream_closed = raw_closed;
    v->v->events.stream_stopped = raw_closed;
}

static void put_head(struct buf *out, uint16_t method, uint8_t flags, uint32_t body_len)
{
    struct frame_head h = {
        .flags = flags, .method = method, .body_len = body_len, .timeout_ms = 60000};
    buf_init(out, 1000);
    frame_put_head(out, &h);
}

static void raw_answered(const void *bytes, size_t len, bool fin, enum status want)
{
    unsigned before = raw_ends;
    (void)raw_open(bytes, len, fin);
    run_ms(50);
    CHECK_EQ(before + 1, raw_ends);
    CHECK_EQ(FRAME_END, raw_end.kind);
    CHECK_EQ(want, raw_end.status);
    CHECK_EQ(0, rpc_view(b->r).calls);
}

TEST(what_is_no_call_is_refused)
{
    struct buf h;
    static char noise[FRAME_HEAD] = {1, (char)0xff};
    begin(28);
    raw_events(a);
    raw_answered("GET / HTTP/1.1\r\n", 16, false, ST_UNSUPPORTED);
    raw_answered("\2", 1, false, ST_UNSUPPORTED);
    raw_answered(noise, sizeof noise, true, ST_INVALID);
    raw_answered("\1", 1, true, ST_INVALID);
    raw_answered("", 0, true, ST_INVALID);
    put_head(&h, HOLD, 0, 10);
    raw_answered(h.ptr, h.len - 1, true, ST_INVALID);
    raw_answered(h.ptr, h.len, true, ST_INVALID);
    CHECK_EQ(2, rpc_view(b->r).count.unknown);
    CHECK_EQ(5, rpc_view(b->r).count.malformed);
    CHECK_EQ(0, called_count);
    CHECK_EQ(0, quic_conn_streams(b->v->c));
    buf_done(&h);
    end();
}

/* Of a call that is being done: it is cut off, and the application is told. */
static void breaks(uint16_t method, uint8_t flags, const char *bytes, size_t len, bool fin)
{
    struct buf h;
    unsigned before = gone_count;
    put_head(&h, method, flags, 0);
    struct quic_stream *s = raw_open(h.ptr, h.len, false);
    run_ms(20);
    CHECK_EQ(1, held_count);
    CHECK_EQ(ST_OK, quic_stream_write(s, (struct str){bytes, len}, fin, NULL));
    run_ms(50);
    CHECK_EQ(before + 1, gone_count);
    CHECK_EQ(ST_INVALID, gone_why);
    CHECK_EQ(RPC_CODE_BROKEN, raw_code);
    CHECK_EQ(0, rpc_view(b->r).calls);
    buf_done(&h);
}

TEST(a_call_that_goes_wrong_is_cut_off)
{
    begin(29);
    raw_events(a);
    breaks(HOLD, 0, "x", 1, false);
    breaks(DUPLEX, FRAME_STREAMS, "\1\0\1\0\0\0x", 7, false);
    breaks(DUPLEX, FRAME_STREAMS, "\3\0\0\0\0\0", 6, false);
    breaks(DUPLEX, FRAME_STREAMS, "\3\0\5\0\0\0abc", 9, true);
    breaks(DUPLEX, FRAME_STREAMS, "\3\0", 2, true);
    CHECK_EQ(5, raw_resets);
    CHECK_EQ(0, quic_conn_streams(b->v->c));
    end();
}

/* What is begun and does not come is cut off, byte by byte too slow or not at all; calls that came are not. */
TEST(slow_requests_are_cut_off)
{
    struct buf h;
    begin(30);
    raw_events(a);
    put_head(&h, HOLD, 0, 100);
    (void)raw_open("\1", 1, false);
    (void)raw_open(h.ptr, h.len, false);
    struct quic_stream *slow = raw_open(h.ptr, h.len, false);
    run_ms(3000);
    CHECK_EQ(3, rpc_view(b->r).calls);
    CHECK_EQ(ST_OK, quic_stream_write(slow, STR("a"), false, NULL));
    run_ms(3000);
    CHECK_EQ(1, rpc_view(b->r).calls); /* it goes on, as it should */
    CHECK_EQ(2, rpc_view(b->r).count.stalled);
    CHECK_EQ(RPC_CODE_LATE, raw_code);
    run_ms(3000);
    CHECK_EQ(0, rpc_view(b->r).calls);
    CHECK_EQ(3, raw_resets);
    CHECK_EQ(0, quic_conn_streams(b->v->c));
    buf_done(&h);
    end();
}

/* A head may drip for so long as a stall lasts, in all. */
TEST(a_head_does_not_drip)
{
    struct buf h;
    begin(31);
    raw_events(a);
    put_head(&h, HOLD, 0, 0);
    struct quic_stream *s = raw_open(h.ptr, 1, false);
    for (size_t i = 1; i < 7 && raw_resets == 0; i++) {
        IGNORE(quic_stream_write(s, (struct str){h.ptr + i, 1}, false, NULL));
        run_ms(1000);
    }
    CHECK_EQ(1, raw_resets);
    CHECK_EQ(1, rpc_view(b->r).count.stalled);
    buf_done(&h);
    end();
}

/* The other side: answers that are none. */
static const char *lie;
static size_t lie_len;
static bool lie_fin;

static void lie_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    (void)ctx;
    quic_stream_consume(s, bytes.len);
    if (fin)
        CHECK_EQ(ST_OK, quic_stream_write(s, (struct str){lie, lie_len}, lie_fin, NULL));
}

static void lied(const char *bytes, size_t len, bool fin, const char *text)
{
    struct rpc_request r = request(ECHO, STR(""));
    lie = bytes;
    lie_len = len;
    lie_fin = fin;
    struct asked *q = ask_with(&r, &plain_events);
    run_told(q);
    CHECK_EQ(ST_INTERNAL, q->status);
    CHECK(!q->by_peer);
    if (!str_starts(str_from(q->fault.text), text))
        tap_fail(__FILE__, __LINE__, "%s", q->fault.text);
}

TEST(what_is_no_answer_is_told)
{
    begin(32);
    raw_events(b);
    b->v->events.stream_opened = raw_closed;
    b->v->events.stream_data = lie_data;
    static const char none[] = "what the peer sent is not an answer: ";
    lied("", 0, true, none);
    lied("\2\0\5\0\0\0abc", 9, true, "what the peer sent is not an answer: it ends in the middle");
    lied("\1\0\1\0\0\0a", 7, false,
         "what the peer sent is not an answer: a frame has no place there");
    lied("\3\0\1\0\0\0a", 7, false,
         "what the peer sent is not an answer: a frame has no place there");
    lied("\7\0\1\0\0\0a", 7, false,
         "what the peer sent is not an answer: a frame: its kind is not known");
    lied("\2\1\1\0\0\0a", 7, false, "what the peer sent is not an answer: a fault: ");
    CHECK_EQ(6, rpc_view(a->r).count.ask_failed);
    end();
}

/* An answer that is complete is one, also when its stream is never ended; nothing is left of it here. */
TEST(a_stream_that_is_not_ended)
{
    begin(33);
    raw_events(b);
    b->v->events.stream_opened = raw_closed;
    b->v->events.stream_data = lie_data;
    struct rpc_request r = request(ECHO, STR(""));
    lie = "\2\0\1\0\0\0a";
    lie_len = 7;
    lie_fin = false;
    struct asked *q = ask_with(&r, &plain_events);
    run_told(q);
    is_answer(q, "a");
    end();
}
