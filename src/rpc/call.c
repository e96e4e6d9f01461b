#include <stdlib.h>
#include <string.h>

#include "rpc/state.h"

enum phase {
    CALL_HEAD,  /* its head is to come */
    CALL_BODY,  /* and its body */
    CALL_OPEN,  /* the application has it */
    CALL_ENDED, /* it was answered, and the answer may wait for room; or it is gone */
};

struct rpc_call {
    struct pipe p;
    enum phase phase;
    bool fin; /* the caller sends no more */
    const struct rpc_method *m;
    struct usage_peer *peer; /* NULL: it is not counted */
    struct frame_head head;
    struct buf body;
    uint64_t deadline_ms;
    void *ctx;
};

static struct rpc_call *call_of(struct pipe *p)
{
    return CONTAINER_OF(p, struct rpc_call, p);
}

static size_t method_index(const struct rpc_call *c)
{
    return (size_t)(c->m - c->p.r->config.methods);
}

/* --- it ends --- */

static void over(struct rpc_call *c)
{
    struct rpc *r = c->p.r;
    if (c->peer)
        usage_leave(&r->usage, c->peer, method_index(c), r->now_ms);
    c->peer = NULL;
    buf_done(&c->body);
    pipe_over(&c->p);
}

void call_drop(struct pipe *p)
{
    over(call_of(p));
}

void call_free(struct pipe *p)
{
    free(call_of(p));
}

/* It is not to be answered any more. */
static void gone(struct rpc_call *c, enum status why, uint64_t code)
{
    struct pipe *p = &c->p;
    bool tell = c->phase == CALL_OPEN;
    c->phase = CALL_ENDED;
    heap_cut(&p->r->due, &p->due);
    pipe_enter(p);
    pipe_cut(p, code);
    if (tell)
        c->m->gone(c->m->ctx, c, why);
    over(c);
    pipe_leave(p);
}

static void broken(struct rpc_call *c)
{
    c->p.r->count.malformed++;
    gone(c, ST_INVALID, RPC_CODE_BROKEN);
}

/* scratch is the head of the last frame. The call is no more, or waits for room only. */
static void finish(struct rpc_call *c, struct str bytes)
{
    struct pipe *p = &c->p;
    c->phase = CALL_ENDED;
    pipe_consume(p, p->unread);
    pipe_send(p, bytes, true);
    buf_done(&c->body); /* bytes may have been that */
    if (!c->fin)
        quic_stream_stop(p->s, RPC_CODE_DONE);
    if (!pipe_waits(p))
        over(c);
}

static void finish_fault(struct rpc_call *c, const struct frame_fault *f)
{
    struct buf *b = &c->p.r->scratch;
    buf_reset(b);
    frame_put_fault(b, f);
    struct frame end = {FRAME_END, f->fault.status, (uint32_t)b->len};
    buf_reset(b);
    frame_put(b, &end);
    frame_put_fault(b, f);
    finish(c, STR(""));
}

void rpc_answer(struct rpc_call *c, enum status s, const struct fault *why, struct str bytes)
{
    struct buf *b = &c->p.r->scratch;
    struct frame_fault f = {0};
    require(c->phase == CALL_OPEN && s < ST_COUNT);
    c->p.r->count.answered++;
    if (s == ST_OK && bytes.len > c->m->answer_max)
        s = fault_set(&f.fault, ST_TOO_BIG,
                      "the answer of %s has %zu bytes, %" PRIu32 " are the most", c->m->name,
                      bytes.len, c->m->answer_max);
    else if (s != ST_OK && why)
        f.fault = *why;
    else if (s != ST_OK)
        IGNORE(fault_set(&f.fault, s, "%s", status_code(s)));
    if (s != ST_OK) {
        f.fault.status = s;
        finish_fault(c, &f);
        return;
    }
    struct frame end = {FRAME_END, ST_OK, (uint32_t)bytes.len};
    buf_reset(b);
    frame_put(b, &end);
    finish(c, bytes);
}

/* --- it comes --- */

void call_new(struct rpc *r, struct quic_stream *s)
{
    struct rpc_call *c = NEW(struct rpc_call);
    buf_init(&c->body, 1);
    pipe_init(&c->p, r, s, false);
    pipe_due(&c->p, r->now_ms + r->config.stall_ms);
}

static void refuse(struct rpc_call *c, struct frame_fault *f, enum status s, uint64_t *count)
{
    f->fault.status = s;
    ++*count;
    finish_fault(c, f);
}

static const struct rpc_method *find_method(const struct rpc *r, uint16_t number)
{
    for (size_t i = 0; i < r->config.method_count; i++)
        if (r->config.methods[i].number == number)
            return &r->config.methods[i];
    return NULL;
}

/* Something of the request came. */
static void set_due(struct rpc_call *c)
{
    struct rpc *r = c->p.r;
    uint64_t stall_ms = r->now_ms + r->config.stall_ms;
    pipe_due(&c->p, c->phase == CALL_OPEN ? c->deadline_ms : MIN(stall_ms, c->deadline_ms));
}

static void whole(struct rpc_call *c)
{
    c->phase = CALL_OPEN;
    c->p.r->count.called++;
    set_due(c);
    c->m->called(c->m->ctx, c);
}

/* Its head is read: may it come in? */
static void admit(struct rpc_call *c)
{
    struct rpc *r = c->p.r;
    const struct frame_head *h = &c->head;
    struct frame_fault f = {0};
    c->m = find_method(r, h->method);
    if (!c->m) {
        refuse(c, &f, fault_set(&f.fault, ST_UNSUPPORTED, "method %u is not known here", h->method),
               &r->count.unknown);
        return;
    }
    if (!(h->flags & FRAME_STREAMS) != !c->m->streams) {
        refuse(c, &f,
               fault_set(&f.fault, ST_INVALID, "%s is %s", c->m->name,
                         c->m->streams ? "asked in a stream" : "asked at once"),
               &r->count.malformed);
        return;
    }
    if (h->body_len > c->m->body_max) {
        refuse(c, &f,
               fault_set(&f.fault, ST_TOO_BIG,
                         "%" PRIu32 " bytes asked of %s, %" PRIu32 " are the most", h->body_len,
                         c->m->name, c->m->body_max),
               &r->count.too_big);
        return;
    }
    enum status s =
        usage_enter(&r->usage, quic_conn_peer(quic_stream_conn(c->p.s)), c->m, method_index(c),
                    h->body_len, r->now_ms, &c->peer, &f.retry_after_ms, &f.fault);
    if (s != ST_OK) {
        refuse(c, &f, s, &r->count.limited);
        return;
    }
    c->phase = CALL_BODY;
    c->deadline_ms = r->now_ms + h->timeout_ms;
    c->p.left = h->body_len;
    buf_init(&c->body, MAX(h->body_len, 1));
    set_due(c);
    if (h->body_len == 0)
        whole(c);
}

static void read_head(struct rpc_call *c, struct str *bytes)
{
    struct rpc *r = c->p.r;
    struct frame_fault f = {0};
    bool all = pipe_take_head(&c->p, bytes, FRAME_HEAD);
    /* What follows the first byte of another version is not for us to wait for. */
    if (!all && c->p.head[0] == FRAME_VERSION)
        return;
    struct str head = {(const char *)c->p.head, all ? FRAME_HEAD : c->p.head_len};
    enum status s = frame_get_head(head, &c->head, &f.fault);
    if (s == ST_OK)
        admit(c);
    else
        refuse(c, &f, s, s == ST_UNSUPPORTED ? &r->count.unknown : &r->count.malformed);
}

static void read_body(struct rpc_call *c, struct str *bytes)
{
    struct str got = pipe_take(&c->p, bytes);
    buf_str(&c->body, got);
    quic_stream_consume(c->p.s, got.len);
    if (c->p.left == 0)
        whole(c);
    else
        set_due(c);
}

/* Frames DATA. */
static void read_more(struct rpc_call *c, struct str *bytes)
{
    struct pipe *p = &c->p;
    struct frame f;
    if (!c->m->streams) {
        broken(c);
        return;
    }
    if (p->left == 0) {
        if (!pipe_take_head(p, bytes, FRAME_FRAME))
            return;
        struct str head = {(const char *)p->head, FRAME_FRAME};
        if (frame_get(head, &f, NULL) != ST_OK || f.kind != FRAME_DATA)
            broken(c);
        else
            p->left = f.len;
        return;
    }
    struct str got = pipe_take(p, bytes);
    usage_charge(c->peer, c->m, method_index(c), got.len, p->r->now_ms);
    p->unread += got.len;
    c->m->data(c->m->ctx, c, got, false);
}

static void read_fin(struct rpc_call *c)
{
    struct frame_fault f = {0};
    if (c->phase != CALL_OPEN) {
        refuse(c, &f, fault_set(&f.fault, ST_INVALID, "the call is cut short"),
               &c->p.r->count.malformed);
        return;
    }
    if (c->p.left > 0 || c->p.head_len > 0)
        broken(c);
    else if (c->m->streams)
        c->m->data(c->m->ctx, c, STR(""), true);
}

void call_data(struct pipe *p, struct str bytes, bool fin)
{
    struct rpc_call *c = call_of(p);
    struct quic_stream *s = p->s; /* lives until the event has returned */
    c->fin = fin;
    pipe_enter(p);
    while (bytes.len > 0 && c->phase != CALL_ENDED) {
        if (c->phase == CALL_HEAD)
            read_head(c, &bytes);
        else if (c->phase == CALL_BODY)
            read_body(c, &bytes);
        else
            read_more(c, &bytes);
    }
    if (fin && c->phase != CALL_ENDED)
        read_fin(c);
    quic_stream_consume(s, bytes.len); /* what nobody wants */
    pipe_leave(p);
}

/* --- what else happens to it --- */

void call_room(struct pipe *p)
{
    struct rpc_call *c = call_of(p);
    pipe_pump(p);
    if (pipe_waits(p))
        return;
    if (c->phase == CALL_ENDED) {
        over(c);
        return;
    }
    if (!p->wants_room)
        return;
    p->wants_room = false;
    if (!c->m->room)
        return;
    pipe_enter(p);
    c->m->room(c->m->ctx, c);
    pipe_leave(p);
}

void call_cancelled(struct pipe *p)
{
    p->r->count.cancelled++;
    gone(call_of(p), ST_CANCELLED, RPC_CODE_DONE);
}

void call_closed(struct pipe *p, bool lost)
{
    p->s = NULL;
    p->unread = 0;
    p->r->count.cancelled++;
    gone(call_of(p), lost ? ST_UNAVAILABLE : ST_CANCELLED, RPC_CODE_DONE);
}

void call_late(struct pipe *p)
{
    struct rpc_call *c = call_of(p);
    bool came = c->phase >= CALL_OPEN || (c->phase == CALL_BODY && c->deadline_ms <= p->r->now_ms);
    ++*(came ? &p->r->count.late : &p->r->count.stalled);
    gone(c, ST_TIMEOUT, RPC_CODE_LATE);
}

/* --- what is asked about it --- */

struct quic_conn *rpc_call_conn(const struct rpc_call *c)
{
    return quic_stream_conn(c->p.s);
}

const uint8_t *rpc_call_peer(const struct rpc_call *c)
{
    return c->peer->key;
}

struct str rpc_call_body(const struct rpc_call *c)
{
    return buf_view(&c->body);
}

uint64_t rpc_call_id(const struct rpc_call *c)
{
    return c->head.id;
}

uint64_t rpc_call_deadline_ms(const struct rpc_call *c)
{
    return c->deadline_ms;
}

const struct rpc_trace *rpc_call_trace(const struct rpc_call *c)
{
    return &c->head.trace;
}

const struct rpc_method *rpc_call_method(const struct rpc_call *c)
{
    return c->m;
}

void *rpc_call_ctx(const struct rpc_call *c)
{
    return c->ctx;
}

void rpc_call_set_ctx(struct rpc_call *c, void *ctx)
{
    c->ctx = ctx;
}

enum status rpc_more(struct rpc_call *c, struct str bytes, struct fault *why)
{
    return pipe_send_piece(&c->p, FRAME_MORE, bytes, why);
}

void rpc_call_consume(struct rpc_call *c, size_t len)
{
    pipe_consume(&c->p, len);
}
