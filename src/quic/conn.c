#include <stdlib.h>

#include "quic/engine.h"

/* --- conn.h --- */

const uint8_t *quic_conn_peer(const struct quic_conn *c)
{
    return c->peer;
}

const char *quic_conn_alpn(const struct quic_conn *c)
{
    return c->alpn;
}

bool quic_conn_dialed(const struct quic_conn *c)
{
    return c->dialed;
}

bool quic_conn_open(const struct quic_conn *c)
{
    return c->phase == CONN_OPEN && !c->close_wanted;
}

const struct quic_addr *quic_conn_remote(const struct quic_conn *c)
{
    return &c->remote;
}

uint32_t quic_conn_streams(const struct quic_conn *c)
{
    return c->stream_count;
}

uint64_t quic_conn_rtt_ns(const struct quic_conn *c)
{
    return c->engine ? engine_rtt_ns(c) : 0;
}

void *quic_conn_ctx(const struct quic_conn *c)
{
    return c->ctx;
}

void quic_conn_set_ctx(struct quic_conn *c, void *ctx)
{
    c->ctx = ctx;
}

void quic_conn_close(struct quic_conn *c, uint64_t code)
{
    if (c->phase == CONN_ENDING || c->close_wanted)
        return;
    c->close_wanted = true;
    c->close_code = code;
    conn_dirty(c);
}

static enum status need_open(const struct quic_conn *c, struct fault *why)
{
    return quic_conn_open(c) ? ST_OK
                             : fault_set(why, ST_PRECONDITION, "the connection is not open");
}

enum status quic_conn_export(const struct quic_conn *c, struct str label, void *out, size_t len,
                             struct fault *why)
{
    enum status s = need_open(c, why);
    if (s == ST_OK && !engine_export(c, label, out, len))
        s = fault_set(why, ST_INTERNAL, "TLS exports no keying material");
    return s;
}

enum status quic_conn_move(struct quic_conn *c, const struct quic_addr *local, uint64_t now_ns,
                           struct fault *why)
{
    enum status s = need_open(c, why);
    if (s != ST_OK)
        return s;
    if (!c->dialed)
        return fault_set(why, ST_PRECONDITION, "only the side that dialled may move");
    if (c->moving)
        return fault_set(why, ST_IN_USE, "the connection is moving already");
    s = engine_move(c, local, MAX(now_ns, c->e->now_ns), why);
    conn_dirty(c);
    return s;
}

/* --- stream.h --- */

struct quic_stream *conn_stream_new(struct quic_conn *c, int64_t id, bool ours, void *ctx)
{
    struct quic_stream *s = NEW(struct quic_stream);
    s->c = c;
    s->id = id;
    s->ours = ours;
    s->ctx = ctx;
    list_init(&s->ready);
    list_init(&s->hungry);
    list_push(&c->streams, &s->item);
    sendq_init(&s->out);
    c->stream_count++;
    c->ours_count += ours;
    return s;
}

void conn_stream_free(struct quic_stream *s)
{
    struct quic_conn *c = s->c;
    const struct endpoint_events *ev = c->e->events;
    ev->stream_closed(ev->ctx, s);
    if (c->phase != CONN_ENDING)
        engine_conn_credit(c, s->held);
    c->queued -= sendq_held(&s->out);
    sendq_done(&s->out, &c->e->pool);
    list_cut(&s->ready);
    list_cut(&s->hungry);
    list_cut(&s->item);
    c->stream_count--;
    c->ours_count -= s->ours;
    free(s);
}

void conn_stream_stopped(struct quic_stream *s)
{
    const struct endpoint_events *ev = s->c->e->events;
    if (s->out_over)
        return;
    s->out_over = true;
    if (!s->c->close_wanted)
        ev->stream_stopped(ev->ctx, s);
}

enum status quic_stream_open(struct quic_conn *c, void *ctx, struct quic_stream **ret,
                             struct fault *why)
{
    int64_t id;
    enum status s = need_open(c, why);
    if (s != ST_OK)
        return s;
    if (c->ours_count >= c->e->config.streams_max)
        return fault_set(why, ST_LIMIT, "%" PRIu32 " streams are open already", c->ours_count);
    s = engine_stream_open(c, &id, why);
    if (s != ST_OK)
        return s;
    *ret = conn_stream_new(c, id, true, ctx);
    engine_stream_bind(*ret);
    return ST_OK;
}

size_t quic_stream_room(const struct quic_stream *s)
{
    const struct endpoint_config *cf = &s->c->e->config;
    if (!quic_conn_open(s->c) || s->fin_wanted || s->out_over)
        return 0;
    size_t held = sendq_held(&s->out);
    return MIN(cf->stream_send_max - held, cf->conn_send_max - s->c->queued);
}

enum status quic_stream_write(struct quic_stream *s, struct str bytes, bool fin, struct fault *why)
{
    struct quic_conn *c = s->c;
    if (!quic_conn_open(c) || s->fin_wanted || s->out_over)
        return fault_set(why, ST_PRECONDITION, "the stream takes no more bytes");
    if (bytes.len > c->e->config.stream_send_max)
        return fault_set(why, ST_TOO_BIG, "%zu bytes, a stream holds %" PRIu32, bytes.len,
                         c->e->config.stream_send_max);
    if (bytes.len > quic_stream_room(s)) {
        s->wanted = bytes.len;
        if (list_empty(&s->hungry))
            list_push(&c->hungry, &s->hungry);
        return fault_set(why, ST_LIMIT, "%zu bytes wanted, room for %zu", bytes.len,
                         quic_stream_room(s));
    }
    sendq_write(&s->out, &c->e->pool, bytes.ptr, bytes.len);
    c->queued += bytes.len;
    s->fin_wanted = fin;
    if ((bytes.len > 0 || fin) && list_empty(&s->ready))
        list_push(&c->ready, &s->ready);
    conn_dirty(c);
    return ST_OK;
}

void quic_stream_consume(struct quic_stream *s, size_t len)
{
    require(len <= s->held);
    s->held -= len;
    if (s->c->phase == CONN_ENDING || len == 0)
        return;
    engine_stream_credit(s, len);
    conn_dirty(s->c);
}

void quic_stream_stop(struct quic_stream *s, uint64_t code)
{
    if (s->in_over || s->c->phase == CONN_ENDING)
        return;
    s->in_over = true;
    engine_stream_stop(s, code);
    conn_dirty(s->c);
}

static void reset(struct quic_stream *s, uint64_t code)
{
    if (s->out_over || s->c->phase == CONN_ENDING)
        return;
    s->out_over = true;
    list_cut(&s->ready);
    list_cut(&s->hungry);
    engine_stream_reset(s, code);
    conn_dirty(s->c);
}

/* What is asked last is said first. A peer that has not heard of the stream yet would forget it at its reset, and
 * never answer the wish to hear no more, for which it stays here: so that must be the first it hears. */
void quic_stream_abort(struct quic_stream *s, uint64_t code)
{
    reset(s, code);
    quic_stream_stop(s, code);
}

struct quic_conn *quic_stream_conn(const struct quic_stream *s)
{
    return s->c;
}

bool quic_stream_ours(const struct quic_stream *s)
{
    return s->ours;
}

uint64_t quic_stream_id(const struct quic_stream *s)
{
    return (uint64_t)s->id;
}

void *quic_stream_ctx(const struct quic_stream *s)
{
    return s->ctx;
}

void quic_stream_set_ctx(struct quic_stream *s, void *ctx)
{
    s->ctx = ctx;
}
