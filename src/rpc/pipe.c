#include <string.h>

#include "rpc/state.h"

/* So much is written into a stream at a time; a multiple of what its queue is made of. */
enum { CHUNK = 16384 };

static size_t *queued(struct pipe *p)
{
    return p->asks ? &p->r->ask_queued : &p->r->call_queued;
}

static uint32_t *counted(struct pipe *p)
{
    return p->asks ? &p->r->ask_count : &p->r->call_count;
}

void pipe_init(struct pipe *p, struct rpc *r, struct quic_stream *s, bool asks)
{
    p->r = r;
    p->s = s;
    p->asks = asks;
    buf_init(&p->out, 1);
    list_push(asks ? &r->asks : &r->calls, &p->item);
    ++*counted(p);
    quic_stream_set_ctx(s, p);
}

static void drop_out(struct pipe *p)
{
    *queued(p) -= p->out.len - p->out_at;
    buf_done(&p->out);
    buf_init(&p->out, 1);
    p->out_at = 0;
}

void pipe_over(struct pipe *p)
{
    require(!p->over);
    if (p->s) {
        quic_stream_consume(p->s, p->unread); /* nobody else will */
        quic_stream_set_ctx(p->s, NULL);
    }
    p->s = NULL;
    p->unread = 0;
    p->over = true;
    drop_out(p);
    heap_cut(&p->r->due, &p->due);
    list_cut(&p->item);
    --*counted(p);
    pipe_enter(p);
    pipe_leave(p);
}

void pipe_leave(struct pipe *p)
{
    require(p->depth > 0);
    if (--p->depth > 0 || !p->over)
        return;
    if (p->asks)
        ask_free(p);
    else
        call_free(p);
}

void pipe_cut(struct pipe *p, uint64_t code)
{
    p->out_over = true;
    if (p->s)
        quic_stream_abort(p->s, code);
}

void pipe_due(struct pipe *p, uint64_t at_ms)
{
    struct rpc *r = p->r;
    bool nearer = at_ms < rpc_deadline_ms(r);
    heap_put(&r->due, &p->due, at_ms);
    if (nearer && r->config.wake)
        r->config.wake(r->config.wake_ctx);
}

static struct str cut_off(struct str *bytes, size_t len)
{
    struct str head = {bytes->ptr, MIN(len, bytes->len)};
    bytes->ptr += head.len;
    bytes->len -= head.len;
    return head;
}

bool pipe_take_head(struct pipe *p, struct str *bytes, size_t size)
{
    require(size <= sizeof p->head && p->head_len < size);
    struct str got = cut_off(bytes, size - p->head_len);
    memcpy(p->head + p->head_len, got.ptr, got.len);
    quic_stream_consume(p->s, got.len);
    p->head_len += got.len;
    if (p->head_len < size)
        return false;
    p->head_len = 0;
    return true;
}

struct str pipe_take(struct pipe *p, struct str *bytes)
{
    struct str got = cut_off(bytes, p->left);
    p->left -= (uint32_t)got.len;
    return got;
}

void pipe_consume(struct pipe *p, size_t len)
{
    if (p->over || !p->s)
        return; /* it was cut off meanwhile, and all is handed back */
    require(len <= p->unread);
    p->unread -= len;
    quic_stream_consume(p->s, len);
}

void pipe_stopped(struct pipe *p)
{
    p->out_over = true;
    drop_out(p);
}

void pipe_pump(struct pipe *p)
{
    while (pipe_waits(p)) {
        size_t left = p->out.len - p->out_at, n = MIN(left, CHUNK);
        struct str bytes = {p->out.ptr + p->out_at, n};
        bool fin = p->out_fin && n == left;
        enum status s = quic_stream_write(p->s, bytes, fin, NULL);
        if (s == ST_LIMIT)
            return; /* and there will be an event */
        if (s != ST_OK) {
            pipe_stopped(p);
            return;
        }
        p->out_at += n;
        *queued(p) -= n;
        p->out_over |= fin;
    }
    drop_out(p);
}

/* Written at once? It may be wholly refused. */
static bool write_small(struct pipe *p, struct str bytes, bool fin)
{
    struct buf *b = &p->r->scratch;
    if (b->len + bytes.len > CHUNK)
        return false;
    buf_str(b, bytes);
    enum status s = quic_stream_write(p->s, buf_view(b), fin, NULL);
    b->len -= bytes.len;
    p->out_over |= s != ST_LIMIT && (s != ST_OK || fin);
    return s != ST_LIMIT;
}

void pipe_send(struct pipe *p, struct str bytes, bool fin)
{
    struct buf *head = &p->r->scratch;
    require(!pipe_waits(p));
    if (p->out_over || write_small(p, bytes, fin))
        return;
    buf_init(&p->out, head->len + bytes.len);
    IGNORE(buf_space(&p->out,
                     head->len + bytes.len)); /* all of it at once; it is not above the maximum */
    buf_str(&p->out, buf_view(head));
    buf_str(&p->out, bytes);
    *queued(p) += p->out.len;
    p->out_fin = fin;
    pipe_pump(p);
}

enum status pipe_send_piece(struct pipe *p, enum frame_kind kind, struct str bytes,
                            struct fault *why)
{
    struct buf *b = &p->r->scratch;
    struct frame f = {kind, ST_OK, (uint32_t)bytes.len};
    require(bytes.len > 0 && bytes.len <= RPC_PIECE_MAX);
    if (!p->s || p->out_over)
        return fault_set(why, ST_UNAVAILABLE, "the peer reads no more");
    enum status s = ST_LIMIT;
    if (!pipe_waits(p)) {
        buf_reset(b);
        frame_put(b, &f);
        buf_str(b, bytes);
        s = quic_stream_write(p->s, buf_view(b), false, why);
    }
    if (s == ST_LIMIT) {
        p->wants_room = true;
        return fault_set(why, s, "no room for %zu bytes now", bytes.len);
    }
    p->out_over |= s != ST_OK;
    return s == ST_OK ? s : fault_set(why, ST_UNAVAILABLE, "the peer reads no more");
}

void pipe_send_fin(struct pipe *p)
{
    if (p->out_over)
        return;
    if (pipe_waits(p)) {
        p->out_fin = true;
        return;
    }
    /* It needs no room; and if nobody reads, nobody misses it. */
    IGNORE(quic_stream_write(p->s, STR(""), true, NULL));
    p->out_over = true;
}
