/*
 * tls: what is asked of GnuTLS: TLS 1.3 between raw Ed25519 keys (RFC 8446, RFC 7250, RFC 8410), on
 * both sides. No certificates, no resumption, no early data.
 *
 * How its records travel in QUIC is the engine's business.
 */
#pragma once

#include <gnutls/gnutls.h>

#include "crypto/key.h"

enum {
    TLS_ALPN_MAX = 32, /* bytes of a name, with its NUL */
    TLS_ALPNS_MAX = 8, /* names of an endpoint */
};

struct tls; /* the key of this node, and which algorithms are spoken */

/*
 * verify   called in a handshake once the other side has proved to hold the key that it shows; tells
 *          with 0 that it may go on, or a negative GNUTLS_E_*.
 *
 * Returns  ST_INTERNAL   the library refuses what we ask of it.
 */
MUST_USE enum status tls_new(const struct key *k, gnutls_certificate_verify_function *verify,
                             struct tls **ret, struct fault *why);
void tls_free(struct tls *t); /* after its sessions; NULL is fine */

/* A server picks the first of its `alpns` that the client offers. */
MUST_USE enum status tls_session_new(struct tls *t, bool server, const char *const *alpns,
                                     size_t alpn_count, gnutls_session_t *ret, struct fault *why);

/* Of the other side, once it has shown it. */
bool tls_peer_key(gnutls_session_t s, uint8_t ret[KEY_PUBLIC_SIZE]);
/* What was picked; false: nothing yet. */
bool tls_alpn(gnutls_session_t s, char out[TLS_ALPN_MAX]);
/* Bytes that both ends of this one connection can make and nobody else (RFC 8446 section 7.5). */
bool tls_export(gnutls_session_t s, struct str label, void *out, size_t len);
