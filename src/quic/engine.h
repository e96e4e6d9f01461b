/*
 * engine: QUIC itself, as libngtcp2 0.12 does it with GnuTLS. Only the files that share engine_own.h speak
 * with ngtcp2, so that another release of it, or another library, changes nothing else.
 *
 * Rules that keep clear of the faults of that release: never a qlog (CVE-2024-52811), no one-way streams
 * (they are never closed), no early data, no immediate migration, one move at a time.
 */
#pragma once

#include "quic/state.h"

/* For tls_new(). */
int engine_on_key(gnutls_session_t tls);

enum engine_kind {
    ENGINE_GARBAGE,
    ENGINE_OTHER_VERSION, /* and long enough to be answered */
    ENGINE_LONG,          /* belongs to a handshake */
    ENGINE_SHORT,
};

/* What can be seen of a datagram without any key. Views point into it. */
struct engine_head {
    enum engine_kind kind;
    struct str dcid, scid; /* at most CID_MAX bytes, with another version 255 */
};
struct engine_head engine_peek(struct str datagram);

/* A datagram that may begin a connection. */
struct engine_first {
    struct cid dcid, scid, original; /* original: before the Retry, when there was one */
    struct str token;
    bool validated; /* its token shows that its address is true */
};
/* false: it may not. */
bool engine_first(struct str datagram, struct engine_first *ret);
/* Look at the token, which must be there. false: it is not ours, or too old, or of another address. */
bool engine_token(struct endpoint *e, struct engine_first *f, const struct quic_addr *remote,
                  uint64_t now_ns);

/* Answers without a connection, written to out: their length, or 0 if there is none. */
size_t engine_retry(struct endpoint *e, const struct engine_first *f,
                    const struct quic_addr *remote, uint64_t now_ns, uint8_t *out, size_t size);
size_t engine_versions(struct endpoint *e, const struct engine_head *h, uint8_t *out, size_t size);
/* Always shorter than what it answers. */
size_t engine_reset(struct endpoint *e, const struct engine_head *h, size_t datagram_len,
                    uint8_t *out, size_t size);

/* Give c->engine, for a dial or for the first datagram of somebody's; its ids are put into e->ids. On
 * failure there is none. */
MUST_USE enum status engine_dial(struct quic_conn *c, const char *const *alpns, size_t alpn_count,
                                 const struct quic_addr *local, uint64_t now_ns, struct fault *why);
MUST_USE enum status engine_accept(struct quic_conn *c, const struct engine_first *f,
                                   const struct quic_addr *local, uint64_t now_ns,
                                   struct fault *why);
void engine_free(struct engine *g);

/* false: the connection is over, and *ret tells how. */
bool engine_read(struct quic_conn *c, const struct quic_addr *local, const struct quic_addr *remote,
                 uint8_t ecn, struct str datagram, uint64_t now_ns, struct conn_over *ret);
bool engine_timer(struct quic_conn *c, uint64_t now_ns, struct conn_over *ret);

enum engine_wrote { ENGINE_WROTE, ENGINE_FULL /* send had enough */, ENGINE_OVER };
enum engine_wrote engine_write(struct quic_conn *c, uint64_t now_ns, struct conn_over *ret);

/* The packet that tells the peer: written to out, and *ret is it with its addresses. false: there is none. */
bool engine_close(struct quic_conn *c, const struct conn_over *o, uint64_t now_ns, uint8_t *out,
                  size_t size, struct quic_batch *ret);

uint64_t engine_expiry(const struct quic_conn *c, uint64_t now_ns);
uint64_t engine_pto_ns(const struct quic_conn *c);
uint64_t engine_rtt_ns(const struct quic_conn *c);

MUST_USE enum status engine_move(struct quic_conn *c, const struct quic_addr *local,
                                 uint64_t now_ns, struct fault *why);
bool engine_export(const struct quic_conn *c, struct str label, void *out, size_t len);

MUST_USE enum status engine_stream_open(struct quic_conn *c, int64_t *ret_id, struct fault *why);
void engine_stream_bind(struct quic_stream *s);
void engine_stream_credit(struct quic_stream *s, size_t len);
void engine_conn_credit(struct quic_conn *c, size_t len);
void engine_stream_reset(struct quic_stream *s, uint64_t code);
void engine_stream_stop(struct quic_stream *s, uint64_t code);
