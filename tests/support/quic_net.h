/*
 * quic_net: endpoints in memory, on virtual time, with a network between them that loses, doubles,
 * delays and re-orders, by a seed.
 *
 * Everything but the bytes of TLS follows from the seed: keys of a handshake come from the kernel, so
 * the same run has the same datagrams, of the same lengths at the same times, with other bytes in them.
 */
#pragma once

#include "base/buf.h"
#include "base/rng.h"
#include "quic/endpoint.h"

enum { NET_NODES = 4, NET_STREAMS = 600, NET_QUEUE = 4096 };

/* What came of a stream. */
struct net_stream {
    struct quic_stream *s; /* NULL once it is closed */
    uint64_t id;
    struct buf got;
    bool ours, fin, was_reset, stopped, closed;
    uint64_t code;
    uint32_t rooms; /* times stream_room was told */
    size_t unread;  /* kept back, as the node does not consume */
};

struct quic_net;

struct net_node {
    struct quic_net *net;
    struct endpoint *e;
    struct endpoint_events events;
    struct endpoint_config config; /* to start it again with */
    struct key key;
    struct quic_addr addr;
    struct quic_addr also; /* a second address of it; family 0: none */
    /* What else of it has deadlines; tick NULL: nothing. */
    uint64_t (*tick_at)(void *ctx);
    void (*tick)(void *ctx, uint64_t now_ns);
    void *tick_ctx;
    bool deaf; /* nothing reaches it, and it does nothing */

    /* What it does. */
    const uint8_t *admits; /* NULL: everybody */
    bool echo;             /* of streams that others open */
    bool lazy;             /* consumes nothing by itself */
    struct quic_grant grant;

    /* What happened. */
    struct quic_conn *c; /* opened last, NULL when that one ended */
    uint8_t admit_key[KEY_PUBLIC_SIZE];
    char admit_alpn[32], alpn[32];
    unsigned admit_count, open_count, close_count, move_count, refused_admit_count;
    struct quic_end end;
    char end_text[FAULT_TEXT_MAX];
    struct net_stream stream[NET_STREAMS];
    size_t stream_count;
};

struct net_packet {
    uint64_t at_ns, order;
    struct quic_addr from, to;
    uint8_t ecn;
    size_t len;
    uint8_t *data;
};

struct quic_net {
    struct rng rng;
    struct entropy entropy;
    uint64_t now_ns;
    struct net_node node[NET_NODES];
    size_t node_count;
    uint32_t loss_per_mille, twice_per_mille;
    uint64_t delay_ns, jitter_ns;
    struct net_packet queue[NET_QUEUE];
    size_t queue_count;
    uint64_t sent_count, trace; /* trace: hash of who sent how much when */
    void (*watch)(struct quic_net *n, const struct net_packet *p,
                  void *ctx); /* each that is sent */
    void *watch_ctx;
};

void quic_net_init(struct quic_net *n, uint64_t seed);
void quic_net_done(struct quic_net *n);

/* A node that accepts "blixard-raft/1" and "blixard-rpc/1"; `change` may change its configuration. */
struct net_node *quic_net_add(struct quic_net *n, void (*change)(struct endpoint_config *c));
/* A place for an endpoint that the caller makes with quic_net_driver(), and frees: v->e is set by him. */
struct net_node *quic_net_place(struct quic_net *n);
struct endpoint_driver quic_net_driver(struct net_node *v);
void quic_net_restart(struct net_node *v); /* it forgets all but its key and address */

/* b dialled by a, in one protocol. */
struct quic_conn *quic_net_dial(struct net_node *a, struct net_node *b, const char *alpn);
/* And run until both have it open: returns a's. */
struct quic_conn *quic_net_join(struct net_node *a, struct net_node *b);

/* Run until done(ctx), or for so long; false: time was up. done may be NULL. */
bool quic_net_run(struct quic_net *n, uint64_t for_ms, bool (*done)(void *ctx), void *ctx);

/* Put a datagram of anybody's on the way. */
void quic_net_inject(struct quic_net *n, const struct quic_addr *from, const struct quic_addr *to,
                     const void *data, size_t len);

/* The record of a stream, made on the first call for it. */
struct net_stream *quic_net_stream(struct quic_stream *s);
struct net_stream *quic_net_open(struct quic_conn *c);
struct quic_addr quic_net_addr(uint8_t host, uint16_t port); /* 10.0.0.host */
