/*
 * engine_own: what the files of the engine share. They alone speak with ngtcp2, and nobody else includes it.
 *
 *     engine.c         connections begin, exchange packets, and do what the application asks
 *     engine_told.c    what ngtcp2 tells of them
 *     engine_end.c     how they end
 *     engine_stray.c   datagrams that belong to none
 */
#pragma once

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include "quic/engine.h"

struct engine {
    ngtcp2_crypto_conn_ref ref; /* GnuTLS points here */
    ngtcp2_conn *q;
    gnutls_session_t tls;
};

/* Of engine_told.c; their user data is the struct quic_conn. */
extern const ngtcp2_callbacks engine_callbacks;

/* What an error of ngtcp2 means; counts it. */
struct conn_over engine_over(struct quic_conn *c, int error);

struct cid engine_cid_of(const ngtcp2_cid *c);
ngtcp2_cid engine_cid_to(const struct cid *c);
ngtcp2_cid engine_cid_random(struct endpoint *e, size_t len);
/* By which we would tell that we have forgotten the connection that has this id. */
bool engine_reset_token(struct endpoint *e, const ngtcp2_cid *id, uint8_t *out);
/* The addresses of *b; the unspecified local one becomes that of family 0. */
void engine_path_read(const ngtcp2_path *p, struct quic_batch *b);
