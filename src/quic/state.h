/*
 * state: what the files of an endpoint share. Nobody else includes it.
 */
#pragma once

#include "base/heap.h"
#include "quic/cid.h"
#include "quic/endpoint.h"
#include "quic/gate.h"
#include "quic/sendq.h"
#include "quic/tls.h"

enum {
    STATE_SECRET_SIZE = 32,
    STATE_CID_SIZE = 8, /* of every id that we give out: short headers do not tell it */
    STATE_TX_SIZE = 64 << 10,
};

_Static_assert((int)ENDPOINT_ALPNS_MAX == (int)TLS_ALPNS_MAX, "");

struct endpoint {
    struct endpoint_config config;
    const struct endpoint_events *events;
    struct endpoint_driver driver;
    bool busy; /* in input, timer or flush */
    struct tls *tls;
    uint8_t reset_secret[STATE_SECRET_SIZE]; /* follows from the key: survives a restart */
    uint8_t token_secret[STATE_SECRET_SIZE];
    struct cid_map ids;    /* ours -> quic_conn.ids */
    struct cid_map tokens; /* of resets that peers may send -> quic_conn.tokens */
    struct gate gate;
    struct heap due;   /* quic_conn.due, by time in ns */
    struct list conns; /* quic_conn.item: all */
    struct list dirty; /* quic_conn.dirty: may have something to send */
    struct sendq_pool pool;
    struct endpoint_counters count;
    uint32_t conn_count, half_open, ending;
    uint64_t now_ns;
    uint8_t tx[STATE_TX_SIZE];
};

static inline void state_random(struct endpoint *e, void *out, size_t len)
{
    e->config.entropy->fill(e->config.entropy, out, len);
}

enum conn_phase {
    CONN_HANDSHAKE,
    CONN_OPEN,
    CONN_ENDING, /* the application was told; engine is NULL */
};

struct engine;

struct quic_conn {
    struct endpoint *e;
    struct list item, dirty;
    struct list ids, tokens;
    struct heap_item due;
    enum conn_phase phase;
    bool dialed;
    bool verified;  /* the peer's key was shown and let in */
    bool refused;   /* or not let in */
    bool any_local; /* the system chooses our address */
    bool moving;    /* to move_to */
    bool reset;     /* by a stateless reset */
    bool close_wanted;
    uint64_t close_code;
    struct quic_addr remote, move_to;
    uint8_t peer[KEY_PUBLIC_SIZE];
    char alpn[TLS_ALPN_MAX];
    struct quic_grant grant;
    void *ctx;
    struct engine *engine;
    struct list streams; /* quic_stream.item */
    struct list ready;   /* quic_stream.ready: has something to send */
    struct list hungry;  /* quic_stream.hungry: was refused a write */
    uint32_t stream_count;
    uint32_t ours_count; /* of these, opened by us */
    size_t queued;       /* bytes in all send queues */
    void *last;          /* ENDING: the packet that closed it, said again to who goes on */
    size_t last_len;
    uint32_t heard_count; /* ENDING: datagrams since */
};

struct quic_stream {
    struct quic_conn *c;
    int64_t id;
    void *ctx;
    struct list item, ready, hungry;
    struct sendq out;
    size_t wanted;   /* hungry: for so many bytes */
    size_t held;     /* given to the application and not consumed */
    bool ours;       /* opened by us */
    bool fin_wanted; /* nothing is written any more */
    bool fin_sent;
    bool out_over; /* reset or stopped */
    bool in_over;  /* the application wants no more */
};

/* How a connection ends, before it is told. */
struct conn_over {
    enum status status;
    bool by_peer;
    uint64_t code;    /* the application's */
    const char *text; /* static */
    int error;        /* the engine's own */
    bool say;         /* tell the peer */
    bool linger;      /* stay for a while, as RFC 9000 section 10.2 wants */
};

void conn_dirty(struct quic_conn *c);

/* The engine tells; these tell the application. */
void conn_opened(struct quic_conn *c);
struct quic_stream *conn_stream_new(struct quic_conn *c, int64_t id, bool ours, void *ctx);
void conn_stream_free(struct quic_stream *s); /* tells stream_closed */
void conn_stream_stopped(struct quic_stream *s);
