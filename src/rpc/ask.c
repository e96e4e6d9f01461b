#include <stdlib.h>
#include <string.h>

#include "rpc/state.h"

struct rpc_ask {
    struct pipe p;
    const struct rpc_ask_events *ev;
    void *ctx;
    bool told; /* how it ended */
    bool ends; /* rpc_ask_end() */
    bool last; /* the frame END is being read */
    bool fin;  /* with what is being read the stream ends */
    uint32_t answer_max;
    struct frame end;
    struct buf answer;
};

static struct rpc_ask *ask_of(struct pipe *p)
{
    return CONTAINER_OF(p, struct rpc_ask, p);
}

void ask_free(struct pipe *p)
{
    struct rpc_ask *a = ask_of(p);
    buf_done(&a->answer);
    free(a);
}

/* --- it ends --- */

/* Tell it; the stream is left to itself. */
static void tell(struct rpc_ask *a, const struct rpc_answer *answer)
{
    struct pipe *p = &a->p;
    p->r->count.ask_failed += !answer->by_peer;
    a->told = true;
    pipe_enter(p);
    pipe_over(p);
    a->ev->answered(a->ctx, a, answer);
    pipe_leave(p);
}

/* It ends without an answer; *why is set. */
static void fail(struct rpc_ask *a, const struct fault *why, uint64_t code)
{
    struct rpc_answer answer = {.status = why->status, .fault = why};
    pipe_cut(&a->p, code);
    tell(a, &answer);
}

static void broken(struct rpc_ask *a, const char *what)
{
    struct fault why;
    IGNORE(fault_set(&why, ST_INTERNAL, "what the peer sent is not an answer: %s", what));
    fail(a, &why, RPC_CODE_BROKEN);
}

/* END is read. */
static void ended(struct rpc_ask *a)
{
    struct pipe *p = &a->p;
    struct frame_fault f = {0};
    struct fault why;
    struct rpc_answer answer = {.status = a->end.status, .by_peer = true};
    if (a->end.status == ST_OK)
        answer.bytes = buf_view(&a->answer);
    else if (frame_get_fault(buf_view(&a->answer), a->end.status, &f, &why) == ST_OK) {
        answer.fault = &f.fault;
        answer.retry_after_ms = f.retry_after_ms;
    } else {
        broken(a, why.text);
        return;
    }
    if (!p->out_over)
        pipe_cut(p, RPC_CODE_DONE); /* whoever has answered reads no more */
    else if (!a->fin)
        quic_stream_stop(p->s, RPC_CODE_DONE);
    tell(a, &answer);
}

/* --- the answer comes --- */

static void read_frame(struct rpc_ask *a, struct str *bytes)
{
    struct pipe *p = &a->p;
    struct fault why;
    struct frame f;
    if (!pipe_take_head(p, bytes, FRAME_FRAME))
        return;
    struct str head = {(const char *)p->head, FRAME_FRAME};
    if (frame_get(head, &f, &why) != ST_OK) {
        broken(a, why.text);
        return;
    }
    if (f.kind == FRAME_DATA || (f.kind == FRAME_MORE && !a->ev->more)) {
        broken(a, "a frame has no place there");
        return;
    }
    if (f.kind == FRAME_END && f.status == ST_OK && f.len > a->answer_max) {
        IGNORE(fault_set(&why, ST_TOO_BIG,
                         "an answer of %" PRIu32 " bytes, %" PRIu32 " are the most", f.len,
                         a->answer_max));
        fail(a, &why, RPC_CODE_DONE);
        return;
    }
    p->left = f.len;
    if (f.kind != FRAME_END)
        return;
    a->last = true;
    a->end = f;
    buf_init(&a->answer, MAX(f.len, 1));
    if (f.len == 0)
        ended(a);
}

static void read_piece(struct rpc_ask *a, struct str *bytes)
{
    struct pipe *p = &a->p;
    struct str got = pipe_take(p, bytes);
    if (!a->last) {
        p->unread += got.len;
        a->ev->more(a->ctx, a, got);
        return;
    }
    buf_str(&a->answer, got);
    quic_stream_consume(p->s, got.len);
    if (p->left == 0)
        ended(a);
}

void ask_data(struct pipe *p, struct str bytes, bool fin)
{
    struct rpc_ask *a = ask_of(p);
    struct quic_stream *s = p->s; /* lives until the event has returned */
    a->fin = fin;
    pipe_enter(p);
    while (bytes.len > 0 && !a->told) {
        if (p->left == 0)
            read_frame(a, &bytes);
        else
            read_piece(a, &bytes);
    }
    if (fin && !a->told)
        broken(a, "it ends in the middle");
    quic_stream_consume(s, bytes.len); /* what nobody wants */
    pipe_leave(p);
}

/* --- what else happens to it --- */

void ask_room(struct pipe *p)
{
    struct rpc_ask *a = ask_of(p);
    pipe_pump(p);
    if (pipe_waits(p) || !p->wants_room)
        return;
    p->wants_room = false;
    if (!a->ev->room)
        return;
    pipe_enter(p);
    a->ev->room(a->ctx, a);
    pipe_leave(p);
}

void ask_reset(struct pipe *p, uint64_t code)
{
    struct fault why;
    if (code == RPC_CODE_LATE)
        IGNORE(fault_set(&why, ST_TIMEOUT, "the peer was too slow; it may have been done"));
    else if (code == RPC_CODE_BROKEN)
        IGNORE(fault_set(&why, ST_INTERNAL, "the peer did not understand what was sent"));
    else
        IGNORE(fault_set(&why, ST_UNAVAILABLE, "the peer gave the call up; it may have been done"));
    fail(ask_of(p), &why, RPC_CODE_DONE);
}

void ask_closed(struct pipe *p, bool lost)
{
    struct fault why;
    char addr[QUIC_ADDR_TEXT_MAX];
    quic_addr_format(quic_conn_remote(quic_stream_conn(p->s)), addr);
    IGNORE(fault_set(&why, ST_UNAVAILABLE, "the %s with %s was lost; it may have been done",
                     lost ? "connection" : "stream", addr));
    p->s = NULL;
    p->unread = 0;
    fail(ask_of(p), &why, RPC_CODE_DONE);
}

void ask_late(struct pipe *p)
{
    struct fault why;
    IGNORE(fault_set(&why, ST_TIMEOUT, "no answer in time; it may have been done"));
    fail(ask_of(p), &why, RPC_CODE_CANCELLED);
}

/* --- what is asked of it --- */

static enum status check_limits(const struct rpc *r, const struct rpc_request *q, struct fault *why)
{
    if (r->ask_count >= r->config.asks_max)
        return fault_set(why, ST_LIMIT, "%" PRIu32 " calls are under way already", r->ask_count);
    if (q->body.len > UINT32_MAX || r->ask_queued + q->body.len > r->config.queue_max)
        return fault_set(why, ST_LIMIT, "%zu bytes of calls wait already, %zu more are too many",
                         r->ask_queued, q->body.len);
    return ST_OK;
}

enum status rpc_ask(struct rpc *r, struct quic_conn *conn, const struct rpc_request *q,
                    const struct rpc_ask_events *events, void *ctx, struct rpc_ask **ret,
                    struct fault *why)
{
    struct quic_stream *stream;
    enum status s = check_limits(r, q, why);
    if (s == ST_OK)
        s = quic_stream_open(conn, NULL, &stream, why);
    if (s == ST_PRECONDITION)
        s = fault_set(why, ST_UNAVAILABLE, "the connection is not open");
    if (s != ST_OK)
        return s;
    struct rpc_ask *a = NEW(struct rpc_ask);
    a->ev = events;
    a->ctx = ctx;
    a->ends = !q->streams;
    a->answer_max = q->answer_max;
    buf_init(&a->answer, 1);
    pipe_init(&a->p, r, stream, true);
    r->count.asked++;
    struct frame_head h = {.flags = q->streams ? FRAME_STREAMS : 0,
                           .method = q->method,
                           .body_len = (uint32_t)q->body.len,
                           .id = q->id,
                           .timeout_ms = q->timeout_ms,
                           .trace = q->trace};
    buf_reset(&r->scratch);
    frame_put_head(&r->scratch, &h);
    pipe_send(&a->p, q->body, a->ends);
    pipe_due(&a->p, r->now_ms + q->timeout_ms);
    *ret = a;
    return ST_OK;
}

enum status rpc_ask_write(struct rpc_ask *a, struct str bytes, struct fault *why)
{
    require(!a->ends);
    return pipe_send_piece(&a->p, FRAME_DATA, bytes, why);
}

void rpc_ask_end(struct rpc_ask *a)
{
    if (a->ends || a->told)
        return;
    a->ends = true;
    pipe_send_fin(&a->p);
}

void rpc_ask_consume(struct rpc_ask *a, size_t len)
{
    pipe_consume(&a->p, len);
}

void rpc_cancel(struct rpc_ask *a)
{
    if (a->told)
        return; /* from within the event that tells it */
    a->told = true;
    pipe_cut(&a->p, RPC_CODE_CANCELLED);
    pipe_over(&a->p);
}
