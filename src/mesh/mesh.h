/*
 * mesh: the one QUIC endpoint of a node, for all protocols between nodes, and who may speak them.
 *
 * Who may speak is a table: numbers, keys, addresses. It is the owner's, who gives it whole by mesh_set_peers()
 * whenever it has changed. Messages of consensus (port/peers.h) are a protocol of the mesh itself, over a
 * connection with each peer that is kept. Other protocols are told of their own connections as if they were alone on the endpoint;
 * with a peer they share one connection, which is dialled when it is asked for.
 *
 * What an address or a name says is never believed: a peer is who holds its key.
 *
 * No input or output and no clock, unless it is opened by mesh_open(). All of it belongs to one thread.
 */
#pragma once

#include "os/loop.h"
#include "port/peers.h"
#include "quic/pool.h"

struct mesh;

#define MESH_RAFT "blixard-raft/1" /* messages of consensus */

enum {
    MESH_PEERS_MAX = 1000,
    MESH_PROTOCOLS_MAX = ENDPOINT_ALPNS_MAX - 1,

    /* Bytes of messages that wait here until a peer has acknowledged them, and what of it only messages of at
     * most MESH_SMALL_MAX may use: a vote or a heartbeat finds room whatever else is under way. */
    MESH_QUEUE_MAX = 10 << 20,
    MESH_SMALL_MAX = 16 << 10,
    MESH_SMALL_ROOM = 256 << 10,

    /* A connection on which so long nothing came is over. So soon because what a connection lost in a cut it tries again ever
     * more rarely, and a new one is there after two round trips. */
    MESH_IDLE_MS = 3000,
    MESH_KEEP_ALIVE_MS = 1000, /* of messages; other protocols as they wish */

    /* Connections that somebody else dialled in a protocol for strangers. */
    MESH_GUESTS_MAX = 64,
    MESH_GUESTS_OF_ONE_MAX = 8, /* of one address */
    MESH_GUEST_IDLE_MS = 10000, /* without a byte in a stream */
    MESH_GUEST_LIFE_MS = 60000,

    MESH_NOTICE_MS = 10000, /* between two notices of one kind about one peer */
};

/* Codes of closes. */
enum {
    MESH_CUT = 0xb101,     /* you are no peer (any more) */
    MESH_BROKEN = 0xb102,  /* these are no messages */
    MESH_CROWDED = 0xb103, /* there are MESH_GUESTS_MAX */
    MESH_EXPIRED = 0xb104, /* a guest's time is over */
};

struct mesh_peer {
    uint32_t number; /* > 0 */
    uint8_t key[KEY_PUBLIC_SIZE];
    struct quic_addr addrs[QUIC_POOL_ADDRS_MAX];
    size_t addr_count; /* 0: only the peer dials */
};

struct mesh_protocol {
    const char *alpn;
    /* Who is no peer may speak it too. Whoever dials us in it is a guest, peers included: their connections are not
     * pooled, and bounded in number and time. */
    bool strangers;
    struct quic_grant grant; /* guests are not kept alive, whatever it says */
    /* Told of connections in this protocol only. admit is not called, the mesh decides that. A connection from mesh_dial() may be
     * `closed` without having been opened; of those that mesh_conn() dials, `down` tells. */
    const struct endpoint_events *events;

    /* All may be NULL: */
    /* mesh_conn() is another than before: c. */
    void (*up)(void *ctx, uint32_t number, struct quic_conn *c);
    /* There is none any more, or no address led to the one that was asked for. */
    void (*down)(void *ctx, uint32_t number, const struct quic_end *end);
    /* When it wants to be called; it is called then, and ahead of the first event of each instant. Both are set
     * or neither. Who wants it earlier outside of events wakes the driver by mesh_wake(). */
    uint64_t (*expiry)(void *ctx);
    void (*timer)(void *ctx, uint64_t now_ns);
    void *ctx; /* of these four */
};

/* Somebody did what it should not. Of each kind and peer once in MESH_NOTICE_MS, with how many there were. */
struct mesh_notice {
    uint32_t number; /* 0: no peer */
    const char *alpn;
    struct quic_addr from;
    const char *text; /* static: "a stranger was turned away", "a second stream of messages" */
    uint64_t count;   /* since the last one, this included */
};

struct mesh_config {
    const struct key *key;                 /* of this node; read by mesh_new() only */
    struct entropy *entropy;               /* kept */
    uint64_t seed;                         /* of the jitter between dials */
    const struct mesh_protocol *protocols; /* kept */
    size_t protocol_count;                 /* at most MESH_PROTOCOLS_MAX */
    /* A message of a peer, whole; borrowed for the call. In it, and in the events of protocols, any call of this
     * header is fine but mesh_timer(), mesh_leave() and mesh_free(). */
    void (*received)(void *ctx, uint32_t from, struct str bytes);
    void (*notice)(void *ctx, const struct mesh_notice *n); /* may be NULL */
    void *ctx;
};

/*
 * For who drives it himself. Then he does after each event, as quic/endpoint.h says:
 *
 *     endpoint_input() for what arrived; endpoint_timer(); mesh_timer(); endpoint_flush();
 *     sleep until endpoint_expiry() or mesh_expiry() or the next datagram
 *
 * driver's wake is called also when mesh_expiry() may have come nearer. Returns ST_INTERNAL as endpoint_new() does.
 */
MUST_USE enum status mesh_new(const struct mesh_config *c, const struct endpoint_driver *driver,
                              struct mesh **ret, struct fault *why);
struct endpoint *mesh_endpoint(struct mesh *m);
void mesh_timer(struct mesh *m, uint64_t now_ns);
uint64_t mesh_expiry(const struct mesh *m);

/* On a socket and an event loop; returns as udp_open() and mesh_new() do. */
MUST_USE enum status mesh_open(struct loop *l, const struct quic_addr *bind,
                               const struct mesh_config *c, struct mesh **ret, struct fault *why);
struct quic_addr mesh_addr(const struct mesh *m); /* where it is bound; of mesh_open() only */

/* Without a word to anybody, and without events. NULL is fine. */
void mesh_free(struct mesh *m);
/* Have no peers any more, close all connections, and send that right away: so peers need not wait for it. */
void mesh_leave(struct mesh *m, uint64_t now_ns);

/* Where messages are handed over. One for which there is no connection now, or no room, is lost and counted. */
struct peers *mesh_peers(struct mesh *m);

/*
 * The table, whole. Entries with our own key, without number, or with the number or key of one before
 * are left out, and so are addresses without family or port.
 *
 * Who is new is let in, and dialled; who has other addresses is dialled there from now on; who is gone, or has
 * another key or number, is cut off at once: each of its connections in every protocol is closed, and nothing that it sent is
 * told any more. What did not change is left alone.
 */
void mesh_set_peers(struct mesh *m, const struct mesh_peer *list, size_t count, uint64_t now_ns);
/* 0: no peer. */
uint32_t mesh_number(const struct mesh *m, const uint8_t key[KEY_PUBLIC_SIZE]);

/*
 * The connection with a peer in a protocol for peers alone. If there is none now it is dialled, after a failure when
 * the pause is over, and `up` or `down` follows; of a peer without address only `up`, when it dials.
 *
 * Returns  ST_NOT_FOUND     no such peer.
 *          ST_UNAVAILABLE   there is none now.
 */
MUST_USE enum status mesh_conn(struct mesh *m, uint32_t number, const char *alpn, uint64_t now_ns,
                               struct quic_conn **ret, struct fault *why);
/* Dial who holds `key`, a peer or not, in a protocol for strangers. ctx is quic_conn_ctx(). Returns as
 * endpoint_dial() does. */
MUST_USE enum status mesh_dial(struct mesh *m, const char *alpn, const uint8_t key[KEY_PUBLIC_SIZE],
                               const struct quic_addr *remote, void *ctx, uint64_t now_ns,
                               struct quic_conn **ret, struct fault *why);
/* Something wants mesh_timer() sooner than mesh_expiry() said. */
void mesh_wake(struct mesh *m);

/* --- what became of what --- */

struct mesh_peer_view {
    uint32_t number;
    bool connected;          /* for messages */
    struct quic_addr remote; /* when connected */
    uint64_t rtt_ns;         /* likewise; 0 while unknown */
    const char *text;        /* why not, or ""; valid until the next call of this header */
    /* Messages. */
    uint64_t sent, received;
    uint64_t lost_room, lost_conn; /* for want of room, of a connection */
    uint64_t broken;               /* connections closed because what came is no message */
};
/* By number; returns how many there are, of which at most `max` are written. */
size_t mesh_peer_views(const struct mesh *m, struct mesh_peer_view *out, size_t max);

struct mesh_view {
    struct endpoint_view endpoint;
    uint32_t peers, guests;
    uint64_t lost_nobody; /* messages to who is no peer */
    uint64_t strangers;   /* turned away: they are no peers */
    uint64_t crowded;     /* guests turned away: there are too many */
    uint64_t expired;     /* guests whose time was over */
};
struct mesh_view mesh_view(const struct mesh *m);
