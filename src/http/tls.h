/*
 * tls: the encrypted side of one connection.
 *
 * A client's bytes are deciphered and passed on through a socket pair, at whose other end stands the
 * HTTP library as with any client of the unix socket. So whatever TLS needs in time and memory is
 * bounded here: TLS 1.3 only, a handshake has its time, and before it is done nothing else is made
 * for the client. What cannot be passed on yet is not read.
 *
 * A client that speaks HTTP without TLS is told so.
 */
#pragma once

#include "crypto/cert.h"
#include "os/loop.h"

/* What all connections share. */
struct tls_server {
    gnutls_certificate_credentials_t credentials; /* borrowed */
    gnutls_priority_t priority;
};
MUST_USE enum status tls_server_open(struct tls_server *s, const struct cert *c, struct fault *why);
void tls_server_close(struct tls_server *s); /* also of one that is all zero */

struct tls;

/* Both are called from the loop. In `closed` the tls is gone. */
struct tls_events {
    /* The handshake is done. fd: the plain end, the callee's from now on. */
    void (*opened)(void *ctx, int fd);
    /* handshake: it ended before it was done. */
    void (*closed)(void *ctx, bool handshake);
    void *ctx;
};

enum {
    TLS_GOODBYE_MS = 2000, /* for a client to take what was sent last */
};

/*
 * fd             connected, non-blocking; taken.
 * handshake_ms   for the client to be done with the handshake.
 */
MUST_USE enum status tls_open(struct loop *l, const struct tls_server *s, int fd,
                              uint64_t handshake_ms, const struct tls_events *e, struct tls **ret,
                              struct fault *why);
void tls_close(struct tls *t); /* at once, without `closed`. NULL is fine */
