#include "support/quic_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/units.h"

static const char *const alpns[] = {"blixard-raft/1", "blixard-rpc/1"};

enum { STREAM_BYTES_MAX = 64 << 20, PORT = 7001 };

PRINTF_LIKE(1, 2) static void fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    abort();
}

static void fill(struct entropy *e, void *out, size_t len)
{
    struct quic_net *n = CONTAINER_OF(e, struct quic_net, entropy);
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)rng_next(&n->rng);
}

void quic_net_init(struct quic_net *n, uint64_t seed)
{
    memset(n, 0, sizeof *n);
    n->rng = (struct rng){seed};
    n->entropy.fill = fill;
    n->now_ns = UNITS_NS_PER_S;
    n->delay_ns = UNITS_NS_PER_MS;
    n->trace = HASH_FNV_START;
}

void quic_net_done(struct quic_net *n)
{
    for (size_t i = 0; i < n->node_count; i++) {
        struct net_node *v = &n->node[i];
        endpoint_free(v->e);
        key_done(&v->key);
        for (size_t k = 0; k < v->stream_count; k++)
            buf_done(&v->stream[k].got);
    }
    for (size_t i = 0; i < n->queue_count; i++)
        free(n->queue[i].data);
}

struct quic_addr quic_net_addr(uint8_t host, uint16_t port)
{
    return (struct quic_addr){.ip = {4, {10, 0, 0, host}}, .port = port};
}

/* --- the network --- */

static void enqueue(struct quic_net *n, struct net_packet p, const void *data)
{
    if (n->queue_count == NET_QUEUE || rng_chance(&n->rng, n->loss_per_mille))
        return;
    p.data = p.len > 0 ? mem_dup(data, p.len) : mem_new(1);
    p.order = n->sent_count++;
    p.at_ns = n->now_ns + n->delay_ns + (n->jitter_ns ? rng_below(&n->rng, n->jitter_ns) : 0);
    n->queue[n->queue_count++] = p;
}

static void post(struct quic_net *n, const struct quic_addr *from, const struct quic_addr *to,
                 uint8_t ecn, const void *data, size_t len)
{
    struct net_packet p = {.from = *from, .to = *to, .ecn = ecn, .len = len};
    uint64_t said[] = {n->now_ns, from->ip.byte[3], len};
    n->trace = hash_fnv(n->trace, said, sizeof said);
    if (n->watch) {
        p.data = (uint8_t *)(uintptr_t)data;
        n->watch(n, &p, n->watch_ctx);
    }
    enqueue(n, p, data);
    if (rng_chance(&n->rng, n->twice_per_mille))
        enqueue(n, p, data);
}

void quic_net_inject(struct quic_net *n, const struct quic_addr *from, const struct quic_addr *to,
                     const void *data, size_t len)
{
    struct net_packet p = {.from = *from, .to = *to, .len = len};
    enqueue(n, p, data);
}

static bool send_batch(void *ctx, const struct quic_batch *b)
{
    struct net_node *v = ctx;
    require(b->size > 0 && b->size <= ENDPOINT_DATAGRAM_MAX && b->len > 0);
    require(b->len <= ENDPOINT_BATCH_MAX * b->size && b->len < 1 << 16);
    const struct quic_addr *from = b->local.ip.family ? &b->local : &v->addr;
    for (size_t at = 0; at < b->len; at += b->size)
        post(v->net, from, &b->remote, b->ecn, b->data + at, MIN(b->size, b->len - at));
    return true;
}

static void deliver(struct quic_net *n, struct net_packet *p)
{
    static const struct quic_addr any;
    for (size_t i = 0; i < n->node_count; i++) {
        struct net_node *v = &n->node[i];
        bool second = v->also.ip.family != 0;
        if (!v->deaf &&
            (quic_addr_eq(&v->addr, &p->to) || (second && quic_addr_eq(&v->also, &p->to))))
            endpoint_input(v->e, second ? &p->to : &any, &p->from, p->ecn,
                           (struct str){(const char *)p->data, p->len}, n->now_ns);
    }
    free(p->data);
}

/* The packet that comes next, or NULL. */
static struct net_packet *next_packet(struct quic_net *n)
{
    struct net_packet *best = NULL;
    for (size_t i = 0; i < n->queue_count; i++) {
        struct net_packet *p = &n->queue[i];
        if (!best || p->at_ns < best->at_ns || (p->at_ns == best->at_ns && p->order < best->order))
            best = p;
    }
    return best;
}

static void turn(struct net_node *v)
{
    endpoint_timer(v->e, v->net->now_ns);
    if (v->tick)
        v->tick(v->tick_ctx, v->net->now_ns);
    endpoint_flush(v->e, v->net->now_ns);
}

static uint64_t due(const struct net_node *v)
{
    uint64_t at_ns = endpoint_expiry(v->e);
    return v->tick ? MIN(at_ns, v->tick_at(v->tick_ctx)) : at_ns;
}

bool quic_net_run(struct quic_net *n, uint64_t for_ms, bool (*done)(void *ctx), void *ctx)
{
    uint64_t end_ns = n->now_ns + for_ms * UNITS_NS_PER_MS;
    for (;;) {
        for (size_t i = 0; i < n->node_count; i++)
            if (!n->node[i].deaf)
                turn(&n->node[i]);
        if (done && done(ctx))
            return true;
        struct net_packet *p = next_packet(n);
        uint64_t at_ns = p ? p->at_ns : UINT64_MAX;
        for (size_t i = 0; i < n->node_count; i++)
            if (!n->node[i].deaf)
                at_ns = MIN(at_ns, due(&n->node[i]));
        if (at_ns > end_ns) {
            n->now_ns = end_ns;
            return false;
        }
        n->now_ns = MAX(n->now_ns, at_ns);
        if (p && p->at_ns <= n->now_ns) {
            struct net_packet got = *p;
            *p = n->queue[--n->queue_count];
            deliver(n, &got);
        }
    }
}

/* --- what a node does --- */

struct net_stream *quic_net_stream(struct quic_stream *s)
{
    struct net_stream *r = quic_stream_ctx(s);
    struct net_node *v = quic_conn_ctx(quic_stream_conn(s));
    if (r)
        return r;
    require(v->stream_count < NET_STREAMS);
    r = &v->stream[v->stream_count++];
    *r = (struct net_stream){.s = s, .id = quic_stream_id(s), .ours = quic_stream_ours(s)};
    buf_init(&r->got, STREAM_BYTES_MAX);
    quic_stream_set_ctx(s, r);
    return r;
}

struct net_stream *quic_net_open(struct quic_conn *c)
{
    struct quic_stream *s;
    struct fault why = {0};
    if (quic_stream_open(c, NULL, &s, &why) != ST_OK)
        fail("%s", why.text);
    return quic_net_stream(s);
}

static bool on_admit(void *ctx, struct quic_conn *c, struct quic_grant *ret)
{
    struct net_node *v = ctx;
    v->admit_count++;
    memcpy(v->admit_key, quic_conn_peer(c), KEY_PUBLIC_SIZE);
    (void)snprintf(v->admit_alpn, sizeof v->admit_alpn, "%s", quic_conn_alpn(c));
    *ret = v->grant;
    if (!v->admits || memcmp(v->admits, v->admit_key, KEY_PUBLIC_SIZE) == 0)
        return true;
    v->refused_admit_count++;
    return false;
}

static void on_opened(void *ctx, struct quic_conn *c)
{
    struct net_node *v = ctx;
    v->open_count++;
    v->c = c;
    quic_conn_set_ctx(c, v);
    (void)snprintf(v->alpn, sizeof v->alpn, "%s", quic_conn_alpn(c));
}

static void on_closed(void *ctx, struct quic_conn *c, const struct quic_end *end)
{
    struct net_node *v = ctx;
    v->close_count++;
    v->end = *end;
    v->end.text = v->end_text;
    require(quic_conn_streams(c) == 0);
    (void)snprintf(v->end_text, sizeof v->end_text, "%s", end->text);
    if (v->c == c)
        v->c = NULL;
}

static void on_moved(void *ctx, struct quic_conn *c)
{
    (void)c;
    ((struct net_node *)ctx)->move_count++;
}

static void on_stream_opened(void *ctx, struct quic_stream *s)
{
    (void)ctx;
    require(!quic_net_stream(s)->ours);
}

static void on_stream_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    struct net_node *v = ctx;
    struct net_stream *r = quic_net_stream(s);
    require(!r->fin && !r->was_reset && !r->closed);
    buf_str(&r->got, bytes);
    r->fin = fin;
    if (v->lazy)
        r->unread += bytes.len;
    else
        quic_stream_consume(s, bytes.len);
    if (v->echo && !r->ours)
        IGNORE(quic_stream_write(s, bytes, fin, NULL)); /* what does not fit the test will miss */
}

static void on_stream_room(void *ctx, struct quic_stream *s)
{
    (void)ctx;
    quic_net_stream(s)->rooms++;
}

static void on_stream_reset(void *ctx, struct quic_stream *s, uint64_t code)
{
    struct net_stream *r = quic_net_stream(s);
    (void)ctx;
    require(!r->was_reset);
    r->was_reset = true;
    r->code = code;
}

static void on_stream_stopped(void *ctx, struct quic_stream *s)
{
    (void)ctx;
    quic_net_stream(s)->stopped = true;
}

static void on_stream_closed(void *ctx, struct quic_stream *s)
{
    struct net_stream *r = quic_net_stream(s);
    (void)ctx;
    require(!r->closed);
    r->closed = true;
    r->s = NULL;
}

struct endpoint_driver quic_net_driver(struct net_node *v)
{
    return (struct endpoint_driver){.send = send_batch, .ctx = v};
}

static void start(struct net_node *v)
{
    struct fault why = {0};
    struct endpoint_driver driver = quic_net_driver(v);
    v->config.key = &v->key;
    if (endpoint_new(&v->config, &v->events, &driver, &v->e, &why) != ST_OK)
        fail("%s", why.text);
}

struct net_node *quic_net_place(struct quic_net *n)
{
    struct net_node *v = &n->node[n->node_count++];
    uint8_t seed[KEY_SEED_SIZE] = {(uint8_t)n->node_count};
    require(n->node_count <= NET_NODES);
    v->net = n;
    v->addr = quic_net_addr((uint8_t)n->node_count, PORT);
    key_init(&v->key, seed);
    return v;
}

struct net_node *quic_net_add(struct quic_net *n, void (*change)(struct endpoint_config *c))
{
    struct net_node *v = quic_net_place(n);
    v->grant = (struct quic_grant){.window = 8 << 20};
    v->events = (struct endpoint_events){on_admit,
                                         on_opened,
                                         on_closed,
                                         on_moved,
                                         on_stream_opened,
                                         on_stream_data,
                                         on_stream_room,
                                         on_stream_reset,
                                         on_stream_stopped,
                                         on_stream_closed,
                                         v};
    endpoint_config_init(&v->config);
    v->config.entropy = &n->entropy;
    v->config.alpns = alpns;
    v->config.alpn_count = ARRAY_COUNT(alpns);
    if (change)
        change(&v->config);
    start(v);
    return v;
}

void quic_net_restart(struct net_node *v)
{
    endpoint_free(v->e);
    v->c = NULL;
    for (size_t i = 0; i < v->stream_count; i++)
        buf_done(&v->stream[i].got);
    v->stream_count = 0;
    start(v);
}

struct quic_conn *quic_net_dial(struct net_node *a, struct net_node *b, const char *alpn)
{
    static const struct quic_addr any;
    struct quic_conn *c;
    struct fault why = {0};
    if (endpoint_dial(a->e, b->key.public, &alpn, 1, &any, &b->addr, &a->grant, a, a->net->now_ns,
                      &c, &why) != ST_OK)
        fail("%s", why.text);
    return c;
}

static bool both_open(void *ctx)
{
    struct net_node **v = ctx;
    return v[0]->c && v[1]->c;
}

struct quic_conn *quic_net_join(struct net_node *a, struct net_node *b)
{
    struct quic_conn *c = quic_net_dial(a, b, alpns[1]);
    if (!quic_net_run(a->net, 30000, both_open, (struct net_node *[]){a, b}))
        fail("not connected: %s %s", a->end_text, b->end_text);
    return c;
}
