/*
 * endpoint: QUIC version 1 (RFC 9000, 9001, 9002) between nodes that know each other by Ed25519 keys.
 *
 * One endpoint dials and is dialled on one UDP socket. It does no input or output and reads no clock:
 * datagrams go in by endpoint_input() and come out of endpoint_flush(), time is told. Whoever drives
 * it (quic/udp.h; in tests a simulated network) does after each event:
 *
 *     endpoint_input() for what arrived; endpoint_timer(); endpoint_flush();
 *     sleep until endpoint_expiry() or the next datagram
 *
 * All of it belongs to one thread. Packet numbers, lengths and times repeat with the same inputs and
 * the same entropy; the bytes do not, since GnuTLS takes the keys of a handshake from the kernel.
 *
 * Nothing is resumed and nothing sent before the handshake ends, so whoever is cut off stays so.
 */
#pragma once

#include "crypto/key.h"
#include "port/entropy.h"
#include "quic/conn.h"
#include "quic/stream.h"

struct endpoint;

enum { ENDPOINT_ALPNS_MAX = 8, ENDPOINT_DATAGRAM_MAX = 1500, ENDPOINT_BATCH_MAX = 63 };

struct endpoint_config {
    const struct key *key;     /* of this node; read by endpoint_new() only */
    struct entropy *entropy;   /* kept */
    const char *const *alpns;  /* those that we accept, best first; kept */
    size_t alpn_count;         /* 0: nobody may dial us */
    uint64_t idle_ms;          /* a connection on which so long nothing came is over */
    uint64_t handshake_ms;     /* so long may a handshake take */
    uint32_t conns_max;        /* those that are ending included */
    uint32_t half_open_max;    /* handshakes begun by others, at one time */
    uint32_t retry_above;      /* more than so many: their addresses are checked first */
    uint32_t handshakes_per_s; /* of one source address; more: they are checked, or dropped */
    uint32_t streams_max;      /* open at once in a connection: by the peer, and by us */
    uint32_t stream_window;    /* bytes of a stream that a peer may send ahead of our reading */
    uint32_t stream_send_max;  /* bytes of a stream that wait here for the peer's acknowledgement */
    uint32_t conn_send_max;    /* likewise, of a connection */
};

/* Sensible numbers; key, entropy and alpns are still to be set. */
void endpoint_config_init(struct endpoint_config *c);

/* What a peer is given. Before that it has room for QUIC_FIRST_WINDOW bytes. */
struct quic_grant {
    uint64_t window;        /* bytes it may have under way to us, in all streams together */
    uint64_t keep_alive_ms; /* after so long a silence of ours we say something; 0: never */
};
enum { QUIC_FIRST_WINDOW = 64 << 10 };

/*
 * What happens, told from within input, timer and flush. Any of the calls of conn.h and stream.h are
 * fine in them, and endpoint_dial(); those of this header are not. All are set.
 *
 * Of a connection the first is `opened` and the last is `closed`, but one that was dialled may be
 * `closed` without ever having been opened. Of a stream the last is stream_closed, which comes also
 * when its connection ends.
 */
struct endpoint_events {
    /* Somebody dials us. It has proved to hold the key of quic_conn_peer(), and would speak
     * quic_conn_alpn(). false: it is turned away. */
    bool (*admit)(void *ctx, struct quic_conn *c, struct quic_grant *ret);
    /* Both sides have shown their keys and let each other in. */
    void (*opened)(void *ctx, struct quic_conn *c);
    void (*closed)(void *ctx, struct quic_conn *c, const struct quic_end *end);
    /* The peer has another address, or we have, and it is known to be true. */
    void (*moved)(void *ctx, struct quic_conn *c);

    void (*stream_opened)(void *ctx, struct quic_stream *s); /* by the peer */
    /* In order, without gaps; fin comes once, perhaps with no bytes. Each byte must be handed back by
     * quic_stream_consume(): only then may the peer send another. */
    void (*stream_data)(void *ctx, struct quic_stream *s, struct str bytes, bool fin);
    /* After a write was refused: at least half of the queue is free. */
    void (*stream_room)(void *ctx, struct quic_stream *s);
    void (*stream_reset)(void *ctx, struct quic_stream *s, uint64_t code); /* no more will come */
    /* The peer reads no more. Told when there is something to be sent. */
    void (*stream_stopped)(void *ctx, struct quic_stream *s);
    void (*stream_closed)(void *ctx, struct quic_stream *s);
    void *ctx;
};
/* Each does nothing, and nobody is let in; those that matter are still to be set, and ctx. */
void endpoint_events_init(struct endpoint_events *ev);

/* Datagrams of one path: `size` bytes each, the last one perhaps shorter. */
struct quic_batch {
    struct quic_addr local; /* family 0: any */
    struct quic_addr remote;
    uint8_t ecn; /* RFC 3168, the two bits */
    const uint8_t *data;
    size_t len; /* at most ENDPOINT_BATCH_MAX * size, and below 64 KiB */
    size_t size;
};

/* Takes the batch, or loses it; it is borrowed. false: it cannot take another now. Calls nothing of the
 * endpoint. */
typedef bool endpoint_send_fn(void *ctx, const struct quic_batch *b);

/* Something was asked of the endpoint outside of input, timer and flush: it wants a flush, soon. */
typedef void endpoint_wake_fn(void *ctx);

/* How it reaches the world; all kept. */
struct endpoint_driver {
    endpoint_send_fn *send;
    endpoint_wake_fn *wake; /* may be NULL, for who looks at endpoint_expiry() anyway */
    void *ctx;
};

/* events are kept. Returns ST_INTERNAL when the TLS library cannot do what we need. */
MUST_USE enum status endpoint_new(const struct endpoint_config *c,
                                  const struct endpoint_events *events,
                                  const struct endpoint_driver *driver, struct endpoint **ret,
                                  struct fault *why);
/* Drops all that is left without a word to anybody, and without events. NULL is fine. */
void endpoint_free(struct endpoint *e);

/* now_ns is monotonic and > 0; one that is smaller than in a call before counts as that one. */

/* One datagram. local may be of family 0. It may hold anything. */
void endpoint_input(struct endpoint *e, const struct quic_addr *local,
                    const struct quic_addr *remote, uint8_t ecn, struct str datagram,
                    uint64_t now_ns);
void endpoint_timer(struct endpoint *e, uint64_t now_ns);
/* Send what there is to send, until send_fn has enough. */
void endpoint_flush(struct endpoint *e, uint64_t now_ns);
/* When to call timer and flush at the latest: 0 at once, UINT64_MAX never. */
uint64_t endpoint_expiry(const struct endpoint *e);
/* The time that it was told last: within an event, that of the event. */
uint64_t endpoint_now(const struct endpoint *e);

/*
 * Connect.
 *
 * peer     the only key that is let in.
 * alpns    what we would speak, at most ENDPOINT_ALPNS_MAX; the server picks.
 * local    of family 0: any, as the system chooses.
 * ctx      quic_conn_ctx() of the connection.
 *
 * Returns  ST_LIMIT      there are conns_max already.
 *          ST_INTERNAL
 */
MUST_USE enum status endpoint_dial(struct endpoint *e, const uint8_t peer[KEY_PUBLIC_SIZE],
                                   const char *const *alpns, size_t alpn_count,
                                   const struct quic_addr *local, const struct quic_addr *remote,
                                   const struct quic_grant *grant, void *ctx, uint64_t now_ns,
                                   struct quic_conn **ret, struct fault *why);

/* Close every connection; sent at the next flush. */
void endpoint_close_all(struct endpoint *e, uint64_t code);

/* What became of what, since the start. */
#define ENDPOINT_COUNTERS(X)                                              \
    X(datagrams_in, "datagrams that came")                                \
    X(datagrams_out, "datagrams that went")                               \
    X(garbage, "datagrams that are no QUIC")                              \
    X(strangers, "datagrams of connections that are not ours")            \
    X(versions, "offers of version 1 to who asked for another")           \
    X(resets_out, "stateless resets sent")                                \
    X(retries, "addresses that were to be shown to be true")              \
    X(bad_tokens, "handshakes dropped: their token is not ours, or old")  \
    X(crowded, "handshakes dropped: too many, or too often from there")   \
    X(dialed, "handshakes begun here")                                    \
    X(accepted, "handshakes begun by others")                             \
    X(opened, "handshakes that ended well")                               \
    X(refused_key, "handshakes in which the peer's key was not let in")   \
    X(refused_alpn, "handshakes without a protocol in common")            \
    X(failed, "handshakes that ended otherwise")                          \
    X(ended_idle, "connections that ended in silence")                    \
    X(ended_reset, "connections that the peer knows nothing of any more") \
    X(ended_wrong, "connections ended because the peer broke the protocol")

struct endpoint_counters {
#define X(name, text) uint64_t name;
    ENDPOINT_COUNTERS(X)
#undef X
};

struct endpoint_view {
    struct endpoint_counters count;
    uint32_t conns;     /* all, of which: */
    uint32_t half_open; /* begun by others and not open yet */
    uint32_t ending;    /* kept for a moment, to answer who did not hear it */
};
struct endpoint_view endpoint_view(const struct endpoint *e);
