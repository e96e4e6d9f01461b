#include "support/rpc_net.h"

#include "base/units.h"

static struct rpc_net_node *node_of(struct net_node *v)
{
    struct rpc_net *n = CONTAINER_OF(v->net, struct rpc_net, net);
    return &n->node[v - v->net->node];
}

static uint64_t now_ms(const struct net_node *v)
{
    return v->net->now_ns / UNITS_NS_PER_MS;
}

/* As the owner of an endpoint should: time first. */
static const struct endpoint_events *events_of(void *ctx)
{
    struct net_node *v = ctx;
    struct rpc *r = node_of(v)->r;
    rpc_step(r, now_ms(v));
    return rpc_events(r);
}

static void on_opened(void *ctx, struct quic_stream *s)
{
    const struct endpoint_events *ev = events_of(ctx);
    ev->stream_opened(ev->ctx, s);
}

static void on_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    const struct endpoint_events *ev = events_of(ctx);
    ev->stream_data(ev->ctx, s, bytes, fin);
}

static void on_room(void *ctx, struct quic_stream *s)
{
    const struct endpoint_events *ev = events_of(ctx);
    ev->stream_room(ev->ctx, s);
}

static void on_reset(void *ctx, struct quic_stream *s, uint64_t code)
{
    const struct endpoint_events *ev = events_of(ctx);
    ev->stream_reset(ev->ctx, s, code);
}

static void on_stopped(void *ctx, struct quic_stream *s)
{
    const struct endpoint_events *ev = events_of(ctx);
    ev->stream_stopped(ev->ctx, s);
}

static void on_closed(void *ctx, struct quic_stream *s)
{
    const struct endpoint_events *ev = events_of(ctx);
    ev->stream_closed(ev->ctx, s);
}

static uint64_t tick_at(void *ctx)
{
    uint64_t at_ms = rpc_deadline_ms(((struct rpc_net_node *)ctx)->r);
    return at_ms == UINT64_MAX ? at_ms : at_ms * UNITS_NS_PER_MS;
}

static void tick(void *ctx, uint64_t now_ns)
{
    rpc_step(((struct rpc_net_node *)ctx)->r, now_ns / UNITS_NS_PER_MS);
}

static void wake(void *ctx)
{
    ((struct rpc_net_node *)ctx)->wakes++;
}

void rpc_net_init(struct rpc_net *n, uint64_t seed)
{
    quic_net_init(&n->net, seed);
}

void rpc_net_done(struct rpc_net *n)
{
    for (size_t i = 0; i < n->net.node_count; i++)
        rpc_free(n->node[i].r);
    quic_net_done(&n->net);
}

struct rpc_net_node *rpc_net_add(struct rpc_net *n, const struct rpc_method *methods, size_t count,
                                 void (*change)(struct endpoint_config *c),
                                 void (*limit)(struct rpc_config *c))
{
    struct net_node *v = quic_net_add(&n->net, change);
    struct rpc_net_node *node = node_of(v);
    node->v = v;
    node->wakes = 0;
    rpc_config_init(&node->config);
    node->config.methods = methods;
    node->config.method_count = count;
    node->config.wake = wake;
    node->config.wake_ctx = node;
    if (limit)
        limit(&node->config);
    node->r = rpc_new(&node->config, now_ms(v));
    v->events.stream_opened = on_opened;
    v->events.stream_data = on_data;
    v->events.stream_room = on_room;
    v->events.stream_reset = on_reset;
    v->events.stream_stopped = on_stopped;
    v->events.stream_closed = on_closed;
    v->tick_at = tick_at;
    v->tick = tick;
    v->tick_ctx = node;
    return node;
}

void rpc_net_restart(struct rpc_net_node *v)
{
    rpc_free(v->r);
    quic_net_restart(v->v);
    v->r = rpc_new(&v->config, now_ms(v->v));
}
