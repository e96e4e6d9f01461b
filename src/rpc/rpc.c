#include "rpc/rpc.h"

#include <stdlib.h>

#include "rpc/state.h"

enum { STALL_MS = 5000, PEERS_MAX = 256, ASKS_MAX = 4096, QUEUE_MAX = 64 << 20 };

void rpc_config_init(struct rpc_config *c)
{
    *c = (struct rpc_config){
        .stall_ms = STALL_MS, .peers_max = PEERS_MAX, .asks_max = ASKS_MAX, .queue_max = QUEUE_MAX};
}

/* --- what streams tell --- */

static void on_opened(void *ctx, struct quic_stream *s)
{
    call_new(ctx, s);
}

static void on_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    struct pipe *p = quic_stream_ctx(s);
    (void)ctx;
    if (!p)
        quic_stream_consume(s, bytes.len);
    else if (p->asks)
        ask_data(p, bytes, fin);
    else
        call_data(p, bytes, fin);
}

static void on_room(void *ctx, struct quic_stream *s)
{
    struct pipe *p = quic_stream_ctx(s);
    (void)ctx;
    if (!p)
        return;
    if (p->asks)
        ask_room(p);
    else
        call_room(p);
}

static void on_reset(void *ctx, struct quic_stream *s, uint64_t code)
{
    struct pipe *p = quic_stream_ctx(s);
    (void)ctx;
    if (!p)
        return;
    if (p->asks)
        ask_reset(p, code);
    else
        call_cancelled(p);
}

/* Of an ask it is no end: a peer that has answered, or refused, reads no more either. */
static void on_stopped(void *ctx, struct quic_stream *s)
{
    struct pipe *p = quic_stream_ctx(s);
    (void)ctx;
    if (!p)
        return;
    if (p->asks)
        pipe_stopped(p);
    else
        call_cancelled(p);
}

static void on_closed(void *ctx, struct quic_stream *s)
{
    struct pipe *p = quic_stream_ctx(s);
    bool lost = !quic_conn_open(quic_stream_conn(s));
    (void)ctx;
    if (!p)
        return;
    if (p->asks)
        ask_closed(p, lost);
    else
        call_closed(p, lost);
}

const struct endpoint_events *rpc_events(struct rpc *r)
{
    return &r->events;
}

/* --- the whole --- */

static void check_methods(const struct rpc_config *c)
{
    require(c->method_count <= RPC_METHODS_MAX);
    for (size_t i = 0; i < c->method_count; i++) {
        const struct rpc_method *m = &c->methods[i];
        require(m->name && m->called && m->gone && m->concurrent_max > 0);
        require(!m->streams || m->data);
        for (size_t k = 0; k < i; k++)
            require(c->methods[k].number != m->number);
    }
}

struct rpc *rpc_new(const struct rpc_config *c, uint64_t now_ms)
{
    check_methods(c);
    require(c->stall_ms > 0);
    struct rpc *r = NEW(struct rpc);
    r->config = *c;
    r->now_ms = now_ms;
    endpoint_events_init(&r->events);
    r->events.stream_opened = on_opened;
    r->events.stream_data = on_data;
    r->events.stream_room = on_room;
    r->events.stream_reset = on_reset;
    r->events.stream_stopped = on_stopped;
    r->events.stream_closed = on_closed;
    r->events.ctx = r;
    heap_init(&r->due);
    list_init(&r->calls);
    list_init(&r->asks);
    usage_init(&r->usage, c->method_count, c->peers_max);
    buf_init(&r->scratch, FRAME_FRAME + RPC_PIECE_MAX);
    return r;
}

void rpc_free(struct rpc *r)
{
    if (!r)
        return;
    LIST_EACH(it, &r->calls)
        call_drop(CONTAINER_OF(it, struct pipe, item));
    LIST_EACH(it, &r->asks)
        pipe_over(CONTAINER_OF(it, struct pipe, item));
    ensure(r->call_count == 0 && r->ask_count == 0 && r->call_queued == 0 && r->ask_queued == 0);
    usage_done(&r->usage);
    heap_done(&r->due);
    buf_done(&r->scratch);
    free(r);
}

void rpc_step(struct rpc *r, uint64_t now_ms)
{
    r->now_ms = MAX(r->now_ms, now_ms);
    while (heap_first_key(&r->due) <= r->now_ms) {
        struct pipe *p = CONTAINER_OF(heap_first(&r->due), struct pipe, due);
        heap_cut(&r->due, &p->due);
        if (p->asks)
            ask_late(p);
        else
            call_late(p);
    }
    usage_step(&r->usage, r->now_ms);
}

uint64_t rpc_deadline_ms(const struct rpc *r)
{
    return MIN(heap_first_key(&r->due), usage_deadline_ms(&r->usage));
}

struct rpc_view rpc_view(const struct rpc *r)
{
    return (struct rpc_view){.count = r->count,
                             .calls = r->call_count,
                             .asks = r->ask_count,
                             .peers = (uint32_t)r->usage.by_key.count,
                             .queued = r->call_queued + r->ask_queued};
}
