/*
 * What calls promise, whatever both applications and the network do: who asks is told once how it ended; whoever is
 * asked answers, or is told that nobody waits, once, and is never asked twice; bytes arrive as they were written;
 * and nothing is left.
 */
#include "base/units.h"
#include "support/prop.h"
#include "support/rpc_net.h"
#include "support/tap.h"

enum {
    PLAIN = 1,
    STREAM = 2,
    JOBS = 60,
    STEPS = 80,
    BODY_MAX = 200000,
    PIECES_MAX = 40000,
    TIMEOUT_MAX_MS = 20000,
};

static struct rpc_net net;

/* One call, as both sides know it. Its index is its id. */
struct job {
    size_t from; /* which node asks */
    struct rpc_ask *ask;
    struct rpc_call *call;
    bool streams, dropped /* by who asks: nothing is to be told */, told, ended;
    bool called, answered, gone, fin;
    enum status status;
    size_t body_len, answer_len;
    size_t wrote, heard;           /* further bytes of the caller */
    size_t more_wrote, more_heard; /* of the called one */
    size_t call_unread, ask_unread;
};
static struct job job[JOBS];
static size_t job_count;
static struct tape *now_tape; /* of events that draw */

enum way { BODY = 1, ANSWER = 2, DATA = 3, MORE = 4 };

static uint8_t byte_at(const struct job *j, enum way w, size_t at)
{
    return (uint8_t)((size_t)(j - job) * 31 + (size_t)w * 7 + at * 3 + (at >> 9));
}

static struct str bytes_of(const struct job *j, enum way w, size_t from, size_t len)
{
    static char bytes[BODY_MAX];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)byte_at(j, w, from + i);
    return (struct str){bytes, len};
}

static void check_bytes(const struct job *j, enum way w, size_t from, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (byte_at(j, w, from + i) != (uint8_t)bytes.ptr[i])
            tap_fail(__FILE__, __LINE__, "call %td: byte %zu of %d is another", j - job, from + i,
                     w);
}

/* --- whoever is asked --- */

static void answer(struct job *j)
{
    static const enum status with[] = {ST_OK, ST_OK, ST_NOT_FOUND, ST_CANCELLED};
    struct rpc_call *c = j->call;
    j->status = with[draw_below(now_tape, ARRAY_COUNT(with))];
    j->answer_len = draw_below(now_tape, BODY_MAX);
    j->answered = true;
    j->call = NULL;
    rpc_answer(c, j->status, NULL, bytes_of(j, ANSWER, 0, j->answer_len));
}

static void on_called(void *ctx, struct rpc_call *c)
{
    (void)ctx;
    CHECK(rpc_call_id(c) < job_count);
    struct job *j = &job[rpc_call_id(c)];
    CHECK(!j->called);
    CHECK_EQ(j->body_len, rpc_call_body(c).len);
    check_bytes(j, BODY, 0, rpc_call_body(c));
    j->called = true;
    j->call = c;
    rpc_call_set_ctx(c, j);
    if (draw_below(now_tape, 3) == 1)
        answer(j);
}

static void on_gone(void *ctx, struct rpc_call *c, enum status why)
{
    struct job *j = rpc_call_ctx(c);
    (void)ctx;
    CHECK(!j->gone && !j->answered && j->call == c);
    CHECK(why == ST_CANCELLED || why == ST_UNAVAILABLE || why == ST_TIMEOUT);
    j->gone = true;
    j->call = NULL;
}

static void on_data(void *ctx, struct rpc_call *c, struct str bytes, bool fin)
{
    struct job *j = rpc_call_ctx(c);
    (void)ctx;
    CHECK(!j->answered && !j->gone && !j->fin);
    check_bytes(j, DATA, j->heard, bytes);
    j->heard += bytes.len;
    j->call_unread += bytes.len;
    j->fin = fin;
    CHECK(!fin || (j->ended && j->heard == j->wrote));
    if (draw_below(now_tape, 8) == 1)
        answer(j);
}

static const struct rpc_method methods[] = {
    {.number = PLAIN,
     .name = "plain",
     .body_max = BODY_MAX,
     .answer_max = BODY_MAX,
     .concurrent_max = JOBS,
     .called = on_called,
     .gone = on_gone},
    {.number = STREAM,
     .name = "stream",
     .body_max = BODY_MAX,
     .answer_max = BODY_MAX,
     .concurrent_max = JOBS,
     .streams = true,
     .called = on_called,
     .gone = on_gone,
     .data = on_data},
};

/* --- who asks --- */

static void drop(struct job *j)
{
    struct rpc_ask *a = j->ask;
    j->dropped = true;
    j->ask = NULL;
    rpc_cancel(a);
}

static void on_answered(void *ctx, struct rpc_ask *a, const struct rpc_answer *r)
{
    struct job *j = ctx;
    CHECK(!j->told && !j->dropped && j->ask == a);
    j->told = true;
    j->ask = NULL;
    if (!r->by_peer) {
        CHECK(r->status == ST_TIMEOUT || r->status == ST_UNAVAILABLE);
        return;
    }
    CHECK(j->answered);
    CHECK_EQ(j->status, r->status);
    CHECK_EQ(j->more_wrote, j->more_heard);
    CHECK_EQ(r->status == ST_OK ? j->answer_len : 0, r->bytes.len);
    check_bytes(j, ANSWER, 0, r->bytes);
}

static void on_more(void *ctx, struct rpc_ask *a, struct str bytes)
{
    struct job *j = ctx;
    CHECK(!j->told && j->ask == a);
    check_bytes(j, MORE, j->more_heard, bytes);
    j->more_heard += bytes.len;
    j->ask_unread += bytes.len;
    if (draw_below(now_tape, 20) == 1)
        drop(j);
}

static const struct rpc_ask_events events = {.answered = on_answered, .more = on_more};

static void ask(size_t side)
{
    struct rpc_net_node *v = &net.node[side];
    struct job *j = &job[job_count];
    if (!v->v->c || job_count == JOBS)
        return;
    *j = (struct job){.from = side};
    j->streams = draw_below(now_tape, 2);
    j->ended = !j->streams;
    j->body_len = draw_below(now_tape, 3) ? draw_below(now_tape, BODY_MAX) : 0;
    struct rpc_request q = {.method = j->streams ? STREAM : PLAIN,
                            .streams = j->streams,
                            .id = job_count,
                            .timeout_ms =
                                (uint32_t)(TIMEOUT_MAX_MS - draw_below(now_tape, TIMEOUT_MAX_MS)),
                            .answer_max = BODY_MAX,
                            .body = bytes_of(j, BODY, 0, j->body_len)};
    if (rpc_ask(v->r, v->v->c, &q, &events, j, &j->ask, NULL) == ST_OK)
        job_count++;
}

/* --- what both do --- */

static void write_some(struct job *j)
{
    size_t len = 1 + draw_below(now_tape, PIECES_MAX);
    if (j->ask && j->streams && !j->ended &&
        rpc_ask_write(j->ask, bytes_of(j, DATA, j->wrote, len), NULL) == ST_OK)
        j->wrote += len;
    len = 1 + draw_below(now_tape, PIECES_MAX);
    if (j->call && rpc_more(j->call, bytes_of(j, MORE, j->more_wrote, len), NULL) == ST_OK)
        j->more_wrote += len;
}

static void consume(struct job *j)
{
    if (j->ask)
        rpc_ask_consume(j->ask, j->ask_unread);
    if (j->call)
        rpc_call_consume(j->call, j->call_unread);
    j->ask_unread = j->call_unread = 0;
}

/* A node is killed and back: what it asked is not told any more, what it was asked neither. */
static void restart(size_t side)
{
    for (size_t i = 0; i < job_count; i++) {
        if (job[i].from == side && job[i].ask) {
            job[i].dropped = true;
            job[i].ask = NULL;
        } else if (job[i].from != side && job[i].call) {
            job[i].gone = true;
            job[i].call = NULL;
        }
    }
    rpc_net_restart(&net.node[side]);
}

static void dial(void)
{
    struct net_node *a = net.node[0].v, *b = net.node[1].v;
    if (!a->c && !b->c)
        IGNORE(quic_net_dial(a, b, "blixard-rpc/1"));
}

/* One that somebody still works on, or NULL. */
static struct job *live(void)
{
    size_t from = job_count ? draw_below(now_tape, job_count) : 0;
    for (size_t i = 0; i < job_count; i++) {
        struct job *j = &job[(from + i) % job_count];
        if (j->ask || j->call)
            return j;
    }
    return NULL;
}

static void step(void)
{
    struct job *j = live();
    uint64_t what = draw_below(now_tape, 14);
    if (what < 3)
        ask(draw_below(now_tape, 2));
    else if (j && what < 7)
        write_some(j);
    else if (j && what < 9)
        consume(j);
    else if (j && what == 9 && j->call)
        answer(j);
    else if (j && what == 10 && j->ask) {
        j->ended = true;
        rpc_ask_end(j->ask);
    } else if (j && what == 11 && j->ask)
        drop(j);
    else if (what == 12 && draw_below(now_tape, 3) == 1 && net.node[0].v->c)
        quic_conn_close(net.node[0].v->c, 1);
    else if (what == 13 && draw_below(now_tape, 5) == 1)
        restart(draw_below(now_tape, 2));
    dial();
    IGNORE(quic_net_run(&net.net, draw_below(now_tape, 200), NULL, NULL));
}

static void check_end(void)
{
    for (size_t i = 0; i < job_count; i++) {
        struct job *j = &job[i];
        if (!j->ask && !j->call && (j->told || j->dropped) &&
            (!j->called || j->answered || j->gone))
            continue;
        tap_fail(__FILE__, __LINE__,
                 "call %zu: told %d, dropped %d, called %d, answered %d, gone %d", i, j->told,
                 j->dropped, j->called, j->answered, j->gone);
    }
    for (size_t side = 0; side < 2; side++) {
        struct rpc_view w = rpc_view(net.node[side].r);
        CHECK_EQ(0, w.asks);
        CHECK_EQ(0, w.calls);
        CHECK_EQ(0, w.queued);
        CHECK_EQ(0, w.count.malformed);
        if (net.node[side].v->c)
            CHECK_EQ(0, quic_conn_streams(net.node[side].v->c));
    }
}

static void promises(struct tape *t)
{
    now_tape = t;
    job_count = 0;
    rpc_net_init(&net, draw_below(t, 1000));
    net.net.loss_per_mille = (uint32_t)draw_below(t, 4) * 30;
    net.net.twice_per_mille = (uint32_t)draw_below(t, 2) * 50;
    net.net.jitter_ns = draw_below(t, 10) * UNITS_NS_PER_MS;
    for (int i = 0; i < 2; i++) {
        struct rpc_net_node *v = rpc_net_add(&net, methods, ARRAY_COUNT(methods), NULL, NULL);
        v->v->grant = (struct quic_grant){.window = 8 << 20, .keep_alive_ms = 1000};
    }
    IGNORE(quic_net_join(net.node[0].v, net.node[1].v));
    for (int i = 0; i < STEPS && t->pos < t->len; i++)
        step();
    net.net.loss_per_mille = 0;
    IGNORE(quic_net_run(&net.net, TIMEOUT_MAX_MS + 40000, NULL, NULL));
    check_end();
    rpc_net_done(&net);
}

TEST(calls_keep_their_promises)
{
    prop_run(promises, 1, 200);
}
