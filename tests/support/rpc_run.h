/*
 * rpc_run: two nodes that call each other, what the one does, and what the other was told. For the tests of rpc,
 * each of which includes it once.
 */
#pragma once

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

UNUSED static void echo(void *ctx, struct rpc_call *c)
{
    (void)ctx;
    called_count++;
    rpc_answer(c, ST_OK, NULL, rpc_call_body(c));
}

UNUSED static void hold(void *ctx, struct rpc_call *c)
{
    (void)ctx;
    called_count++;
    CHECK(held_count < ARRAY_COUNT(held));
    held[held_count++] = c;
}

UNUSED static void on_gone(void *ctx, struct rpc_call *c, enum status why)
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
UNUSED static void flood(void *ctx, struct rpc_call *c)
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

UNUSED static void flood_called(void *ctx, struct rpc_call *c)
{
    flood_left = strtoull(rpc_call_body(c).ptr, NULL, 10);
    flood(ctx, c);
}

UNUSED static void flood_room(void *ctx, struct rpc_call *c)
{
    room_count++;
    flood(ctx, c);
}

/* Says again what it hears. */
UNUSED static void duplex_data(void *ctx, struct rpc_call *c, struct str bytes, bool fin)
{
    (void)ctx;
    if (fin)
        rpc_answer(c, ST_OK, NULL, STR("bye"));
    else if (rpc_more(c, bytes, NULL) == ST_OK)
        rpc_call_consume(c, bytes.len);
    else
        rpc_answer(c, ST_LIMIT, NULL, STR(""));
}

UNUSED static const struct rpc_method methods[] = {
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

UNUSED static void on_answered(void *ctx, struct rpc_ask *ask, const struct rpc_answer *answer)
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

UNUSED static void on_more(void *ctx, struct rpc_ask *ask, struct str bytes)
{
    struct asked *q = ctx;
    buf_str(&q->more, bytes);
    if (q->reads)
        rpc_ask_consume(ask, bytes.len);
    else
        q->unread += bytes.len;
}

UNUSED static void on_room(void *ctx, struct rpc_ask *ask)
{
    (void)ask;
    ((struct asked *)ctx)->rooms++;
}

UNUSED static const struct rpc_ask_events ask_events = {on_answered, on_more, on_room};
UNUSED static const struct rpc_ask_events plain_events = {.answered = on_answered};

UNUSED static struct rpc_request request(uint16_t method, struct str body)
{
    return (struct rpc_request){
        .method = method, .id = 7, .timeout_ms = 60000, .answer_max = 16 * MIB, .body = body};
}

UNUSED static struct asked *ask_with(const struct rpc_request *q, const struct rpc_ask_events *ev)
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

UNUSED static struct asked *ask(uint16_t method, struct str body)
{
    struct rpc_request q = request(method, body);
    q.streams = method == DUPLEX;
    return ask_with(&q, &ask_events);
}

UNUSED static bool is_told(void *ctx)
{
    return ((struct asked *)ctx)->told;
}

UNUSED static bool all_told(void *ctx)
{
    (void)ctx;
    return told_count == asked_count;
}

UNUSED static bool is_held(void *ctx)
{
    return held_count >= *(size_t *)ctx;
}

UNUSED static void run_ms(uint64_t ms)
{
    IGNORE(quic_net_run(&net.net, ms, NULL, NULL)); /* there is nothing that it waits for */
}

UNUSED static void run_told(struct asked *q)
{
    CHECK(quic_net_run(&net.net, 60000, is_told, q));
}

UNUSED static void run_held(size_t count)
{
    CHECK(quic_net_run(&net.net, 60000, is_held, &count));
}

UNUSED static void begin_with(uint64_t seed, void (*change)(struct endpoint_config *c),
                              void (*limit)(struct rpc_config *c))
{
    rpc_net_init(&net, seed);
    a = rpc_net_add(&net, NULL, 0, change, limit);
    b = rpc_net_add(&net, methods, ARRAY_COUNT(methods), change, limit);
    a->v->grant.keep_alive_ms = 5000;
    conn = quic_net_join(a->v, b->v);
}

UNUSED static void begin(uint64_t seed)
{
    begin_with(seed, NULL, NULL);
}

/* Nothing is left, of calls or in streams. */
UNUSED static void end(void)
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

UNUSED static void is_answer(const struct asked *q, const char *text)
{
    CHECK_EQ(ST_OK, q->status);
    CHECK_STR(text, buf_cstr(&q->answer));
}
