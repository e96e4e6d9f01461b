/*
 * pool: one connection with each node, in each protocol, for those who want one.
 *
 * A link names a node by its key, and a protocol. A kept link is dialled at once, and again whenever it is
 * lost; another one when it is asked for. Addresses take turns; failures are followed by a pause that
 * doubles, with jitter. It does no input or output and reads no clock.
 *
 * When both nodes dial at the same time there are two connections for a moment. Both nodes keep the one that
 * was dialled by whoever has the lower key; the other is used no more, and closed once its streams
 * are over. One that comes later than that replaces what was there: nobody dials who has a connection, so
 * the peer has lost it.
 *
 * The owner of the endpoint passes `opened` and `closed` on, and calls quic_pool_timer().
 */
#pragma once

#include "quic/endpoint.h"

struct quic_pool;
struct quic_link;

enum {
    QUIC_POOL_ADDRS_MAX = 4,
    QUIC_POOL_DOUBLE = 0xb001,  /* code of a close: there is another connection */
    QUIC_POOL_DROPPED = 0xb002, /* code of a close: the link is not wanted any more */
};

struct quic_pool_config {
    struct endpoint *e;                  /* kept */
    const uint8_t *self;                 /* our public key; copied */
    uint64_t seed;                       /* of the jitter */
    uint64_t pause_min_ms, pause_max_ms; /* between dials that fail */
    uint32_t links_max;
};
void quic_pool_config_init(struct quic_pool_config *c); /* e, self and seed are still to be set */

/* Told from within the calls of this header that are given a time. The link may be dropped in them. */
struct quic_pool_events {
    /* quic_link_conn() is another than before. */
    void (*up)(void *ctx, struct quic_link *l);
    /* There is none any more, or, if it is not kept, no address led to one. A kept link is dialled again. */
    void (*down)(void *ctx, struct quic_link *l, const struct quic_end *end);
    void *ctx;
};

/* events are kept. */
struct quic_pool *quic_pool_new(const struct quic_pool_config *c,
                                const struct quic_pool_events *events);
/* Before the endpoint; closes no connection. NULL is fine. */
void quic_pool_free(struct quic_pool *p);

struct quic_want {
    uint8_t peer[KEY_PUBLIC_SIZE];
    const char *alpn; /* kept */
    struct quic_grant grant;
    bool keep;
    const struct quic_addr *addrs; /* copied; may be none: then only the peer dials */
    size_t addr_count;             /* at most QUIC_POOL_ADDRS_MAX */
    void *ctx;
};

/*
 * Returns  ST_EXISTS   there is a link with that node in that protocol.
 *          ST_LIMIT    there are links_max.
 */
MUST_USE enum status quic_pool_want(struct quic_pool *p, const struct quic_want *w, uint64_t now_ns,
                                    struct quic_link **ret, struct fault *why);
/* Close its connections, and forget it; nothing is told. */
void quic_pool_drop(struct quic_pool *p, struct quic_link *l);
struct quic_link *quic_pool_find(const struct quic_pool *p, const uint8_t peer[KEY_PUBLIC_SIZE],
                                 const char *alpn); /* NULL when absent */

/* The connection that is used now, or NULL. */
struct quic_conn *quic_link_conn(const struct quic_link *l);
void *quic_link_ctx(const struct quic_link *l);
const char *
quic_link_text(const struct quic_link *l); /* why the last dial or connection failed, or "" */
/* Dial, if there is neither a connection nor a dial under way; after a failure when the pause is over. */
void quic_link_wake(struct quic_link *l, uint64_t now_ns);
/* The node has other addresses now; a pause is over by that. */
void quic_link_move(struct quic_link *l, const struct quic_addr *addrs, size_t addr_count,
                    uint64_t now_ns);

/* From the events of the endpoint. false: it belongs to no link. */
bool quic_pool_opened(struct quic_pool *p, struct quic_conn *c, uint64_t now_ns);
bool quic_pool_closed(struct quic_pool *p, const struct quic_conn *c, const struct quic_end *end,
                      uint64_t now_ns);

void quic_pool_timer(struct quic_pool *p, uint64_t now_ns);
uint64_t quic_pool_expiry(const struct quic_pool *p); /* when to call it; UINT64_MAX: never */
