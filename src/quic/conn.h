/*
 * conn: one connection with one node, in one protocol.
 *
 * It lives until the event `closed` has returned. Nothing here waits or sends: what is asked for is
 * done at the next endpoint_flush().
 */
#pragma once

#include "crypto/key.h"
#include "quic/addr.h"

struct quic_conn;
struct quic_stream;

/* How a connection ended. */
struct quic_end {
    /*
     * ST_OK            closed with code 0, here or there.
     * ST_CANCELLED     closed here with another code.
     * ST_UNAVAILABLE   closed there with another code, or the peer knows nothing of it any more.
     * ST_TIMEOUT       nobody answered.
     * ST_DENIED        the peer has another key than was dialled, or did not let us in.
     * ST_UNSUPPORTED   no protocol or version in common.
     * ST_INVALID       the peer broke the protocol.
     * ST_INTERNAL      something else.
     */
    enum status status;
    bool by_peer;
    bool opened;      /* the event `opened` was told */
    uint64_t code;    /* the application's, when somebody closed it */
    const char *text; /* for people: "QUIC with 10.0.0.1:7001: closed by the peer" */
};

const uint8_t *quic_conn_peer(const struct quic_conn *c); /* KEY_PUBLIC_SIZE bytes */
const char *quic_conn_alpn(const struct quic_conn *c);    /* "" until it is picked */
bool quic_conn_dialed(const struct quic_conn *c);         /* by us */
bool quic_conn_open(const struct quic_conn *c);           /* opened, and not ending */
const struct quic_addr *quic_conn_remote(const struct quic_conn *c);
uint32_t quic_conn_streams(const struct quic_conn *c); /* open now, of both sides */
/* Smoothed round trip time, 0 while unknown. */
uint64_t quic_conn_rtt_ns(const struct quic_conn *c);

void *quic_conn_ctx(const struct quic_conn *c); /* NULL at first, or what was given to the dial */
void quic_conn_set_ctx(struct quic_conn *c, void *ctx);

/* End it, with a code for the peer; streams are cut off where they are. Told by `closed`. Again: fine. */
void quic_conn_close(struct quic_conn *c, uint64_t code);

/* Bytes that only the two ends of this connection can make, to bind a proof to it (RFC 8446 section
 * 7.5). ST_PRECONDITION: it is not open. */
MUST_USE enum status quic_conn_export(const struct quic_conn *c, struct str label, void *out,
                                      size_t len, struct fault *why);

/*
 * Go on from another local address (RFC 9000 section 9): it is tried, and taken when the peer answers
 * there, which `moved` tells. Whoever dialled may do so; for the peer's moves nothing need be done. Not
 * from within an event.
 *
 * Returns  ST_PRECONDITION   it is not open, or was not dialled by us, or the address is the present one.
 *          ST_IN_USE         another move is being tried.
 */
MUST_USE enum status quic_conn_move(struct quic_conn *c, const struct quic_addr *local,
                                    uint64_t now_ns, struct fault *why);
