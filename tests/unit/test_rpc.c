/* Calls between nodes: they end, once, and what they cost is bounded. */
#include <stdlib.h>

#include "base/units.h"
#include "support/rpc_net.h"
#include "support/tap.h"

static struct rpc_net net;
static struct rpc_net_node *a, *b; /* a asks, b is asked */
static struct quic_conn *conn;

enum { MIB = 1 << 20, ECHO = 1, HOLD = 2, FLOOD = 3, DUPLEX = 4, FEW = 5, ASKS = 1200 };

/* --- what b does --- */

static struct rpc_call *held[100];
static size_t held_count;
static unsigned gone_count, room_count, called_count;
static enum status gone_why;
static uint64_t flood_left;

static void echo(void *ctx, struct rpc_call *c)
{
    (void)ctx;
    called_count++;
    rpc_answer(c, ST_OK, NULL, rpc_call_body(c));
}

static void hold(void *ctx, struct rpc_call *c)
{
    (void)ctx;
    called_count++;
    CHECK(held_count < ARRAY_COUNT(held));
    held[held_count++] = c;
}

static void on_gone(void *ctx, struct rpc_call *c, enum status why)
{
    (void)ctx;
    CHECK_EQ(ST_UNAVAILABLE, rpc_more(c, STR("too late"), NULL));
    gone_count++;
    gone_why = why;
    for (size_t i = 0; i < held_count; i++)
        if (held[i] == c)
            held[i] = held[--held_count];
}

/* As many bytes as were asked for, as there is room. */
static void flood(void *ctx, struct rpc_call *c)
{
    static char piece[50000];
    (void)ctx;
    while (flood_left > 0) {
        struct str bytes = {piece, MIN(sizeof piece, flood_left)};
        memset(piece, (char)(flood_left % 251), sizeof piece);
        if (rpc_more(c, bytes, NULL) != ST_OK)
            return;
        flood_left -= bytes.len;
    }
    rpc_answer(c, ST_OK, NULL, STR("all"));
}

static void flood_called(void *ctx, struct rpc_call *c)
{
    flood_left = strtoull(rpc_call_body(c).ptr, NULL, 10);
    flood(ctx, c);
}

static void flood_room(void *ctx, struct rpc_call *c)
{
    room_count++;
    flood(ctx, c);
}

/* Says again what it hears. */
static void duplex_data(void *ctx, struct rpc_call *c, struct str bytes, bool fin)
{
    (void)ctx;
    if (fin)
        rpc_answer(c, ST_OK, NULL, STR("bye"));
    else if (rpc_more(c, bytes, NULL) == ST_OK)
        rpc_call_consume(c, bytes.len);
    else
        rpc_answer(c, ST_LIMIT, NULL, STR(""));
}

static const struct rpc_method methods[] = {
    {.number = ECHO,
     .name = "echo",
     .body_max = 16 * MIB,
     .answer_max = 16 * MIB,
     .concurrent_max = 128,
     .called = echo,
     .gone = on_gone},
    {.number = HOLD,
     .name = "hold",
     .body_max = 1000,
     .answer_max = 1000,
     .concurrent_max = 50,
     .called = hold,
     .gone = on_gone},
    {.number = FLOOD,
     .name = "flood",
     .body_max = 20,
     .answer_max = 100,
     .concurrent_max = 1,
     .called = flood_called,
     .gone = on_gone,
     .room = flood_room},
    {.number = DUPLEX,
     .name = "duplex",
     .answer_max = 100,
     .concurrent_max = 3,
     .streams = true,
     .called = hold,
     .gone = on_gone,
     .data = duplex_data},
    {.number = FEW,
     .name = "few",
     .body_max = 3000,
     .answer_max = 3000,
     .concurrent_max = 2,
     .per_s = 3,
     .bytes_per_s = 1000,
     .called = echo,
     .gone = on_gone},
};

/* --- what a asks --- */

struct asked {
    struct rpc_ask *ask;
    bool told, reads; /* reads: consumes what comes at once */
    enum status status;
    bool by_peer;
    char text[FAULT_TEXT_MAX];
    struct fault fault;
    uint32_t retry_ms;
    struct buf answer, more;
    size_t unread;
    unsigned rooms;
    void (*then)(struct asked *q); /* from within the event that tells how it ended */
};
static struct asked asked[ASKS];
static size_t asked_count, told_count;

static void on_answered(void *ctx, struct rpc_ask *ask, const struct rpc_answer *answer)
{
    struct asked *q = ctx;
    CHECK(!q->told && q->ask == ask);
    CHECK((answer->fault == NULL) == (answer->status == ST_OK));
    q->told = true;
    q->ask = NULL;
    q->status = answer->status;
    q->by_peer = answer->by_peer;
    q->retry_ms = answer->retry_after_ms;
    if (answer->fault) {
        q->fault = *answer->fault;
        CHECK_EQ(q->status, q->fault.status);
    }
    buf_str(&q->answer, answer->bytes);
    told_count++;
    if (q->then)
        q->then(q);
}

static void on_more(void *ctx, struct rpc_ask *ask, struct str bytes)
{
    struct asked *q = ctx;
    buf_str(&q->more, bytes);
    if (q->reads)
        rpc_ask_consume(ask, bytes.len);
    else
        q->unread += bytes.len;
}

static void on_room(void *ctx, struct rpc_ask *ask)
{
    (void)ask;
    ((struct asked *)ctx)->rooms++;
}

static const struct rpc_ask_events ask_events = {on_answered, on_more, on_room};
static const struct rpc_ask_events plain_events = {.answered = on_answered};

static struct rpc_request request(uint16_t method, struct str body)
{
    return (struct rpc_request){
        .method = method, .id = 7, .timeout_ms = 60000, .answer_max = 16 * MIB, .body = body};
}

static struct asked *ask_with(const struct rpc_request *q, const struct rpc_ask_events *ev)
{
    struct fault why;
    CHECK(asked_count < ASKS);
    struct asked *r = &asked[asked_count++];
    *r = (struct asked){.reads = true};
    buf_init(&r->answer, 64 * MIB);
    buf_init(&r->more, 64 * MIB);
    if (rpc_ask(a->r, conn, q, ev, r, &r->ask, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    return r;
}

static struct asked *ask(uint16_t method, struct str body)
{
    struct rpc_request q = request(method, body);
    q.streams = method == DUPLEX;
    return ask_with(&q, &ask_events);
}

static bool is_told(void *ctx)
{
    return ((struct asked *)ctx)->told;
}

static bool all_told(void *ctx)
{
    (void)ctx;
    return told_count == asked_count;
}

static bool is_held(void *ctx)
{
    return held_count >= *(size_t *)ctx;
}

static void run_ms(uint64_t ms)
{
    IGNORE(quic_net_run(&net.net, ms, NULL, NULL)); /* there is nothing that it waits for */
}

static void run_told(struct asked *q)
{
    CHECK(quic_net_run(&net.net, 60000, is_told, q));
}

static void run_held(size_t count)
{
    CHECK(quic_net_run(&net.net, 60000, is_held, &count));
}

static void begin_with(uint64_t seed, void (*change)(struct endpoint_config *c),
                       void (*limit)(struct rpc_config *c))
{
    rpc_net_init(&net, seed);
    a = rpc_net_add(&net, NULL, 0, change, limit);
    b = rpc_net_add(&net, methods, ARRAY_COUNT(methods), change, limit);
    a->v->grant.keep_alive_ms = 5000;
    conn = quic_net_join(a->v, b->v);
}

static void begin(uint64_t seed)
{
    begin_with(seed, NULL, NULL);
}

/* Nothing is left, of calls or in streams. */
static void end(void)
{
    run_ms(200);
    CHECK_EQ(asked_count, told_count);
    CHECK_EQ(0, rpc_view(a->r).asks);
    CHECK_EQ(0, rpc_view(a->r).queued);
    CHECK_EQ(0, rpc_view(b->r).calls);
    CHECK_EQ(0, rpc_view(b->r).queued);
    if (conn && a->v->c && b->v->c) {
        CHECK_EQ(0, quic_conn_streams(a->v->c));
        CHECK_EQ(0, quic_conn_streams(b->v->c));
    }
    for (size_t i = 0; i < asked_count; i++) {
        buf_done(&asked[i].answer);
        buf_done(&asked[i].more);
    }
    rpc_net_done(&net);
}

static void is_answer(const struct asked *q, const char *text)
{
    CHECK_EQ(ST_OK, q->status);
    CHECK_STR(text, buf_cstr(&q->answer));
}

/* --- they work --- */

static struct rpc_trace traced;

TEST(a_call_is_answered)
{
    begin(1);
    struct rpc_request r = request(HOLD, STR("hello"));
    r.trace = (struct rpc_trace){{1}, {2}, 1};
    struct asked *q = ask_with(&r, &plain_events);
    run_held(1);
    struct rpc_call *c = held[0];
    CHECK(str_is(rpc_call_body(c), "hello"));
    CHECK(memcmp(a->v->key.public, rpc_call_peer(c), KEY_PUBLIC_SIZE) == 0);
    CHECK_EQ(7, rpc_call_id(c));
    traced = *rpc_call_trace(c);
    CHECK(memcmp(&traced, &r.trace, sizeof traced) == 0);
    CHECK_EQ(HOLD, rpc_call_method(c)->number);
    uint64_t left_ms = rpc_call_deadline_ms(c) - net.net.now_ns / UNITS_NS_PER_MS;
    CHECK(left_ms > 59900 && left_ms <= 60000);
    CHECK(rpc_call_ctx(c) == NULL);
    rpc_call_set_ctx(c, &net);
    CHECK(rpc_call_ctx(c) == &net);
    rpc_answer(c, ST_OK, NULL, STR("yes"));
    run_told(q);
    is_answer(q, "yes");
    CHECK(q->by_peer);
    CHECK(a->wakes > 0);
    end();
}

TEST(a_fault_is_told_with_its_hint)
{
    struct fault f;
    begin(2);
    struct asked *q = ask(HOLD, STR(""));
    run_held(1);
    IGNORE(fault_set(&f, ST_NOT_LEADER, "node 2 leads"));
    fault_hint(&f, "10.0.0.2:7001");
    rpc_answer(held[0], ST_NOT_LEADER, &f, STR("not sent"));
    run_told(q);
    CHECK_EQ(ST_NOT_LEADER, q->status);
    CHECK(q->by_peer);
    CHECK_STR("node 2 leads", q->fault.text);
    CHECK_STR("10.0.0.2:7001", q->fault.hint);
    CHECK_EQ(0, q->answer.len);
    end();
}

static size_t next_call;

static void ask_next(struct asked *q)
{
    char body[20];
    CHECK_EQ(ST_OK, q->status);
    if (next_call == 1000)
        return;
    (void)snprintf(body, sizeof body, "call %zu", next_call++);
    ask(ECHO, str_from(body))->then = ask_next;
}

static void thousand(uint64_t seed)
{
    char text[20];
    for (next_call = 0; next_call < 64;)
        ask_next(&(struct asked){.status = ST_OK});
    CHECK(quic_net_run(&net.net, 60000, all_told, NULL));
    CHECK_EQ(1000, told_count);
    for (size_t i = 0; i < 1000; i++) {
        (void)snprintf(text, sizeof text, "call %zu", i);
        is_answer(&asked[i], text);
    }
    CHECK_EQ(1000, rpc_view(b->r).count.answered);
    (void)seed;
    end();
}

TEST(a_thousand_calls_64_at_once)
{
    begin(3);
    thousand(3);
}

TEST(a_thousand_calls_on_a_bad_network)
{
    begin(4);
    net.net.loss_per_mille = 50;
    net.net.twice_per_mille = 20;
    net.net.jitter_ns = 3 * UNITS_NS_PER_MS;
    thousand(4);
}

static void fill(char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (char)(i * 7 + (i >> 9));
}

/* More than the queue and the window of a stream hold, both ways. */
TEST(a_big_body_and_a_big_answer)
{
    static char body[8 * MIB];
    begin(5);
    fill(body, sizeof body);
    struct asked *q = ask(ECHO, (struct str){body, sizeof body});
    CHECK(rpc_view(a->r).queued > 3 * MIB);
    run_told(q);
    CHECK_EQ(ST_OK, q->status);
    CHECK_EQ(sizeof body, q->answer.len);
    CHECK(memcmp(body, q->answer.ptr, sizeof body) == 0);
    end();
}

/* With little room everywhere, and a network that loses. */
static void narrow(struct endpoint_config *c)
{
    c->stream_window = 80000;
    c->stream_send_max = 80000;
    c->conn_send_max = 120000;
}

TEST(big_bodies_wait_for_room)
{
    static char body[MIB];
    begin_with(6, narrow, NULL);
    net.net.loss_per_mille = 50;
    fill(body, sizeof body);
    for (int i = 0; i < 8; i++)
        IGNORE(ask(ECHO, (struct str){body, sizeof body}));
    CHECK(quic_net_run(&net.net, 120000, all_told, NULL));
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(ST_OK, asked[i].status);
        CHECK(asked[i].answer.len == sizeof body &&
              memcmp(body, asked[i].answer.ptr, sizeof body) == 0);
    }
    end();
}

/* --- streams of bytes --- */

TEST(an_answer_in_a_stream)
{
    begin(7);
    struct asked *q = ask(FLOOD, STR("20000000"));
    run_told(q);
    is_answer(q, "all");
    CHECK_EQ(20000000, q->more.len);
    CHECK(room_count > 0);
    end();
}

/* Who does not read holds back who writes; what waits is the windows and the queues, whatever is to come. */
TEST(a_slow_reader_holds_back_the_writer)
{
    begin_with(8, narrow, NULL);
    struct asked *q = ask(FLOOD, STR("20000000"));
    q->reads = false;
    run_ms(5000);
    CHECK(!q->told);
    CHECK(q->more.len <= 80000);
    CHECK(flood_left >= 20000000 - 2 * 80000);
    CHECK_EQ(0, rpc_view(b->r).queued);
    struct asked *other = ask(ECHO, STR("unharmed"));
    run_told(other);
    is_answer(other, "unharmed");
    for (int i = 0; i < 1000 && !q->told; i++) {
        size_t before = q->more.len;
        if (!q->told)
            rpc_ask_consume(q->ask, q->unread);
        q->unread = 0;
        run_ms(50);
        CHECK(q->more.len - before <= 80000);
    }
    is_answer(q, "all");
    CHECK_EQ(20000000, q->more.len);
    end();
}

TEST(both_sides_go_on_writing)
{
    begin(9);
    struct asked *q = ask(DUPLEX, STR(""));
    run_ms(50);
    CHECK_EQ(1, held_count);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(ST_OK, rpc_ask_write(q->ask, STR("tick "), NULL));
        run_ms(10);
        CHECK_EQ(5 * (i + 1), q->more.len);
    }
    rpc_ask_end(q->ask);
    rpc_ask_end(q->ask);
    run_told(q);
    is_answer(q, "bye");
    CHECK_EQ(50, q->more.len);
    end();
}

/* The called one does not read: the caller is refused, and told when there is room. */
static void lazy_data(void *ctx, struct rpc_call *c, struct str bytes, bool fin)
{
    *(size_t *)ctx += bytes.len;
    if (fin)
        rpc_answer(c, ST_OK, NULL, STR(""));
}

TEST(a_writer_waits_for_room)
{
    static char piece[30000];
    size_t came = 0, wrote = 0;
    struct rpc_method lazy = methods[3];
    lazy.data = lazy_data;
    lazy.ctx = &came;
    rpc_net_init(&net, 10);
    a = rpc_net_add(&net, NULL, 0, narrow, NULL);
    b = rpc_net_add(&net, &lazy, 1, narrow, NULL);
    conn = quic_net_join(a->v, b->v);
    struct asked *q = ask(DUPLEX, STR(""));
    for (int i = 0; i < 100; i++) {
        if (rpc_ask_write(q->ask, (struct str){piece, sizeof piece}, NULL) == ST_OK)
            wrote += sizeof piece;
        run_ms(20);
    }
    CHECK(wrote >= 60000 && wrote <= 160000);
    CHECK(came <= 80000);
    CHECK_EQ(0, q->rooms);
    rpc_call_consume(held[0], came);
    run_ms(100);
    CHECK_EQ(1, q->rooms);
    rpc_cancel(q->ask);
    told_count++;
    run_ms(100);
    CHECK_EQ(1, gone_count);
    held_count = 0;
    end();
}

/* Whoever has answered reads no more. */
TEST(an_answer_ends_what_the_caller_writes)
{
    begin(11);
    struct asked *q = ask(DUPLEX, STR(""));
    run_held(1);
    rpc_answer(held[0], ST_DENIED, NULL, STR(""));
    CHECK_EQ(ST_OK, rpc_ask_write(q->ask, STR("more"), NULL));
    run_told(q);
    CHECK_EQ(ST_DENIED, q->status);
    end();
}

/* --- they end otherwise --- */

TEST(a_caller_gives_up)
{
    begin(12);
    struct asked *q = ask(HOLD, STR("x"));
    run_held(1);
    rpc_cancel(q->ask);
    told_count++;
    run_ms(50);
    CHECK_EQ(1, gone_count);
    CHECK_EQ(ST_CANCELLED, gone_why);
    CHECK(!q->told);
    end();
}

/* Also before the request is out, and while its answer comes. */
TEST(a_caller_gives_up_early_and_late)
{
    static char body[8 * MIB];
    begin(13);
    rpc_cancel(ask(ECHO, (struct str){body, sizeof body})->ask);
    rpc_cancel(ask(ECHO, STR("x"))->ask);
    struct asked *q = ask(ECHO, (struct str){body, sizeof body}), *f = ask(FLOOD, STR("20000000"));
    run_ms(5);
    rpc_cancel(q->ask);
    while (f->more.len == 0)
        run_ms(1);
    rpc_cancel(f->ask);
    told_count = 4;
    run_ms(500);
    CHECK(!f->told);
    struct asked *other = ask(ECHO, STR("unharmed"));
    run_told(other);
    is_answer(other, "unharmed");
    end();
}

TEST(time_is_over_on_both_sides)
{
    begin(14);
    struct rpc_request r = request(HOLD, STR("x"));
    r.timeout_ms = 300;
    struct asked *q = ask_with(&r, &plain_events);
    run_ms(250);
    CHECK(!q->told && held_count == 1);
    run_ms(100);
    CHECK_EQ(ST_TIMEOUT, q->status);
    CHECK(!q->by_peer);
    CHECK_STR("no answer in time; it may have been done", q->fault.text);
    CHECK_EQ(1, gone_count);
    CHECK(gone_why == ST_TIMEOUT || gone_why == ST_CANCELLED);
    end();
}

/* By itself, when the caller is not heard any more. */
TEST(the_called_one_counts_the_time_too)
{
    begin(15);
    struct rpc_request r = request(HOLD, STR("x"));
    r.timeout_ms = 300;
    struct asked *q = ask_with(&r, &plain_events);
    run_held(1);
    net.net.loss_per_mille = 1000;
    run_ms(400);
    CHECK_EQ(1, gone_count);
    CHECK_EQ(ST_TIMEOUT, gone_why);
    CHECK_EQ(1, rpc_view(b->r).count.late);
    net.net.loss_per_mille = 0;
    run_ms(2000);
    CHECK_EQ(ST_TIMEOUT, q->status);
    end();
}

/* An answer that nobody fetches is not kept for longer than it was wanted. */
TEST(an_answer_does_not_wait_for_ever)
{
    static char body[8 * MIB];
    begin(16);
    struct rpc_request r = request(ECHO, (struct str){body, sizeof body});
    r.timeout_ms = 20000;
    IGNORE(ask_with(&r, &plain_events));
    while (rpc_view(b->r).count.called == 0)
        run_ms(1);
    net.net.loss_per_mille = 1000;
    run_ms(10000);
    CHECK(rpc_view(b->r).queued > 0);
    run_ms(11000);
    CHECK_EQ(0, rpc_view(b->r).queued);
    CHECK_EQ(0, rpc_view(b->r).calls);
    net.net.loss_per_mille = 0;
    run_ms(40000);
    end();
}

TEST(a_connection_is_cut_in_the_middle)
{
    begin(17);
    struct asked *q = ask(HOLD, STR("x")), *f = ask(FLOOD, STR("20000000")),
                 *d = ask(DUPLEX, STR(""));
    f->reads = false;
    run_held(2);
    quic_conn_close(conn, 1);
    CHECK_EQ(ST_UNAVAILABLE, rpc_ask(a->r, conn, &(struct rpc_request){.timeout_ms = 1},
                                     &plain_events, NULL, &q->ask, NULL));
    run_ms(100);
    CHECK(q->told && f->told && d->told);
    CHECK_EQ(ST_UNAVAILABLE, q->status);
    CHECK_EQ(ST_UNAVAILABLE, f->status);
    CHECK(!q->by_peer);
    CHECK_STR("the connection with 10.0.0.2:7001 was lost; it may have been done", q->fault.text);
    CHECK_EQ(3, gone_count);
    CHECK_EQ(ST_UNAVAILABLE, gone_why);
    end();
}

TEST(the_called_one_is_killed_and_back)
{
    begin(18);
    struct asked *q = ask(HOLD, STR("x"));
    run_held(1);
    rpc_net_restart(b);
    held_count = 0;
    struct asked *late = ask(ECHO, STR("are you there?"));
    run_told(q);
    CHECK_EQ(ST_UNAVAILABLE, q->status);
    CHECK_EQ(ST_UNAVAILABLE, late->status);
    conn = quic_net_join(a->v, b->v);
    struct asked *again = ask(ECHO, STR("again"));
    run_told(again);
    is_answer(again, "again");
    end();
}

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

/* Events may do anything: here each answer gives up all others, and asks again. */
static unsigned rounds;

static void give_up_others(struct asked *q)
{
    (void)q;
    for (size_t i = 0; i < asked_count; i++)
        if (asked[i].ask && asked[i].ask != q->ask) {
            rpc_cancel(asked[i].ask);
            asked[i].ask = NULL;
            told_count++;
        }
    if (rounds++ < 20)
        for (int i = 0; i < 5; i++)
            ask(ECHO, STR("next"))->then = give_up_others;
}

TEST(an_event_may_give_up_others)
{
    begin(34);
    give_up_others(&(struct asked){0});
    CHECK(quic_net_run(&net.net, 60000, all_told, NULL));
    CHECK_EQ(21, rounds);
    end();
}

/* Also when a connection ends, with whose streams all of them are told. */
TEST(an_event_may_give_up_others_at_the_end)
{
    begin(35);
    for (int i = 0; i < 10; i++)
        ask(HOLD, STR(""))->then = give_up_others;
    rounds = 20;
    run_held(10);
    quic_conn_close(conn, 1);
    run_ms(100);
    end();
}

/* It may give itself up while bytes of it are told. */
static void cancel_self(void *ctx, struct rpc_ask *ask, struct str bytes)
{
    (void)bytes;
    ((struct asked *)ctx)->ask = NULL;
    told_count++;
    rpc_cancel(ask);
}

TEST(an_event_may_give_up_its_own)
{
    static const struct rpc_ask_events ev = {.answered = on_answered, .more = cancel_self};
    begin(36);
    struct rpc_request r = request(FLOOD, STR("20000000"));
    IGNORE(ask_with(&r, &ev));
    run_ms(500);
    CHECK_EQ(1, told_count);
    CHECK_EQ(1, gone_count);
    end();
}

/* Freed with calls on both sides: nothing is told, nothing is left (the sanitizer looks). */
TEST(all_is_freed_in_the_middle)
{
    static char body[8 * MIB];
    begin(37);
    IGNORE(ask(HOLD, STR("x")));
    IGNORE(ask(DUPLEX, STR("")));
    IGNORE(ask(ECHO, (struct str){body, sizeof body}));
    run_held(2);
    CHECK(rpc_view(a->r).asks == 3 && rpc_view(b->r).calls == 3);
    rpc_net_done(&net);
    CHECK_EQ(0, told_count + gone_count);
    for (size_t i = 0; i < asked_count; i++) {
        buf_done(&asked[i].answer);
        buf_done(&asked[i].more);
    }
}
