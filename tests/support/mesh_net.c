#include "support/mesh_net.h"

/* --- what a node does in its other protocols --- */

static struct mesh_said *said_of(struct mesh_node *x, const struct quic_conn *c)
{
    return quic_conn_alpn(c)[8] == 'r' ? &x->rpc : &x->join;
}

static void on_opened(void *ctx, struct quic_conn *c)
{
    struct mesh_said *s = said_of(ctx, c);
    s->c = c;
    s->opened++;
}

static void ended(struct mesh_said *s, const struct quic_conn *c, const struct quic_end *end)
{
    if (s->c == c)
        s->c = NULL;
    s->closed++;
    s->end = end->status;
    s->code = end->code;
}

static void on_rpc_closed(void *ctx, struct quic_conn *c, const struct quic_end *end)
{
    ended(&((struct mesh_node *)ctx)->rpc, c, end);
}

static void on_join_closed(void *ctx, struct quic_conn *c, const struct quic_end *end)
{
    ended(&((struct mesh_node *)ctx)->join, c, end);
}

static void on_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    said_of(ctx, quic_stream_conn(s))->got += bytes.len;
    quic_stream_consume(s, bytes.len);
    if (!quic_stream_ours(s))
        IGNORE(quic_stream_write(s, bytes, fin, NULL)); /* what does not fit the test will miss */
}

static void on_up(void *ctx, uint32_t number, struct quic_conn *c)
{
    struct mesh_node *x = ctx;
    require(number != x->number && quic_conn_open(c));
    x->rpc.up++;
}

static void on_down(void *ctx, uint32_t number, const struct quic_end *end)
{
    struct mesh_node *x = ctx;
    require(number != x->number);
    x->rpc.down++;
    x->rpc.end = end->status;
    if (x->rpc.at_down)
        x->rpc.at_down(x);
}

static uint64_t rpc_expiry(void *ctx)
{
    return ((struct mesh_node *)ctx)->rpc.expiry_ns;
}

static void rpc_timer(void *ctx, uint64_t now_ns)
{
    struct mesh_said *s = &((struct mesh_node *)ctx)->rpc;
    s->timed++;
    if (s->expiry_ns <= now_ns)
        s->expiry_ns = UINT64_MAX;
}

static void set_protocols(struct mesh_node *x)
{
    for (size_t i = 0; i < 2; i++) {
        struct endpoint_events *ev = &x->events[i];
        endpoint_events_init(ev);
        ev->opened = on_opened;
        ev->closed = i == 0 ? on_rpc_closed : on_join_closed;
        ev->stream_data = on_data;
        ev->ctx = x;
        x->protocol[i] = (struct mesh_protocol){.alpn = i == 0 ? "blixard-rpc/1" : "blixard-join/1",
                                                .strangers = i == 1,
                                                .grant = {.window = 1 << 20, .keep_alive_ms = 1000},
                                                .events = ev};
    }
    x->rpc.expiry_ns = UINT64_MAX;
    x->protocol[0].up = on_up;
    x->protocol[0].down = on_down;
    x->protocol[0].expiry = rpc_expiry;
    x->protocol[0].timer = rpc_timer;
    x->protocol[0].ctx = x;
}

/* --- life --- */

static void on_received(void *ctx, uint32_t from, struct str bytes)
{
    struct mesh_node *x = ctx;
    x->net->received(x, from, bytes);
}

static void on_notice(void *ctx, const struct mesh_notice *n)
{
    struct mesh_node *x = ctx;
    x->notices++;
    x->notice = *n;
}

static uint64_t tick_at(void *ctx)
{
    return mesh_expiry(((struct mesh_node *)ctx)->m);
}

static void tick(void *ctx, uint64_t now_ns)
{
    mesh_timer(((struct mesh_node *)ctx)->m, now_ns);
}

static void start(struct mesh_node *x)
{
    struct quic_net *q = &x->net->quic;
    struct endpoint_driver driver = quic_net_driver(x->v);
    struct mesh_config c = {.key = &x->v->key,
                            .entropy = &q->entropy,
                            .seed = rng_next(&q->rng),
                            .protocols = x->protocol,
                            .protocol_count = 2,
                            .received = on_received,
                            .notice = on_notice,
                            .ctx = x};
    require(mesh_new(&c, &driver, &x->m, NULL) == ST_OK);
    x->v->e = mesh_endpoint(x->m);
    x->v->deaf = false;
}

void mesh_net_init(struct mesh_net *n, uint64_t seed, size_t count,
                   void (*received)(struct mesh_node *to, uint32_t from, struct str bytes))
{
    *n = (struct mesh_net){.count = count, .received = received};
    quic_net_init(&n->quic, seed);
    for (size_t i = 0; i < count; i++) {
        struct mesh_node *x = &n->node[i];
        *x = (struct mesh_node){.net = n, .v = quic_net_place(&n->quic), .number = (uint32_t)i + 1};
        set_protocols(x);
        x->v->tick_at = tick_at;
        x->v->tick = tick;
        x->v->tick_ctx = x;
        start(x);
    }
}

void mesh_net_stop(struct mesh_node *x)
{
    mesh_free(x->m);
    x->m = NULL;
    x->v->e = NULL;
    x->v->deaf = true;
    x->rpc.c = x->join.c = NULL;
}

void mesh_net_restart(struct mesh_node *x)
{
    mesh_net_stop(x);
    start(x);
}

void mesh_net_done(struct mesh_net *n)
{
    for (size_t i = 0; i < n->count; i++)
        mesh_net_stop(&n->node[i]);
    quic_net_done(&n->quic);
}

/* --- who knows whom --- */

struct mesh_peer mesh_net_entry(const struct mesh_node *x)
{
    struct mesh_peer p = {.number = x->number, .addrs = {x->v->addr}, .addr_count = 1};
    for (size_t i = 0; i < KEY_PUBLIC_SIZE; i++)
        p.key[i] = x->v->key.public[i];
    return p;
}

void mesh_net_know(struct mesh_node *x, unsigned who)
{
    struct mesh_peer list[NET_NODES];
    size_t count = 0;
    for (size_t i = 0; i < x->net->count; i++)
        if (who & 1U << i)
            list[count++] = mesh_net_entry(&x->net->node[i]);
    mesh_set_peers(x->m, list, count, x->net->quic.now_ns);
}

void mesh_net_know_all(struct mesh_net *n)
{
    for (size_t i = 0; i < n->count; i++)
        mesh_net_know(&n->node[i], ~0U);
}

void mesh_net_run(struct mesh_net *n, uint64_t ms)
{
    IGNORE(quic_net_run(&n->quic, ms, NULL, NULL)); /* there is nothing that it waits for */
}

static bool all_met(void *ctx)
{
    struct mesh_net *n = ctx;
    struct mesh_peer_view v[NET_NODES];
    for (size_t i = 0; i < n->count; i++) {
        size_t count = n->node[i].m ? mesh_peer_views(n->node[i].m, v, NET_NODES) : 0;
        for (size_t k = 0; k < count; k++)
            if (!v[k].connected)
                return false;
    }
    return true;
}

bool mesh_net_meet(struct mesh_net *n, uint64_t within_ms)
{
    return quic_net_run(&n->quic, within_ms, all_met, n);
}

struct mesh_peer_view mesh_net_view(const struct mesh_node *of, uint32_t number)
{
    struct mesh_peer_view v[NET_NODES];
    size_t count = mesh_peer_views(of->m, v, NET_NODES);
    for (size_t i = 0; i < count; i++)
        if (v[i].number == number)
            return v[i];
    return (struct mesh_peer_view){0};
}
