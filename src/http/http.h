/*
 * http: the operations over HTTP/1.1, on a listening socket, inside the loop.
 *
 * Built on libmicrohttpd, which parses and writes HTTP; connections are accepted, limited and timed
 * out here. A slow client never holds up the loop, and its memory is bounded: what cannot be
 * written yet is not read from its source either. Without connections nothing wakes up.
 *
 * On a unix socket, who connects is known by the kernel's word (SO_PEERCRED). On the network all is
 * HTTPS, and each request brings a token; who fails to do so too often is not listened to for a while.
 */
#pragma once

#include <sys/types.h>

#include "base/ip.h"
#include "crypto/cert.h"
#include "ops/ops.h"
#include "os/loop.h"

/* One request that was answered, for metrics and logs. */
struct http_seen {
    const struct op *op; /* NULL: no such route */
    const char *actor;   /* or "" */
    struct ip from;      /* on the network; family 0: on the unix socket */
    unsigned status;
    uint64_t ns;             /* from its headers to its answer; streams: to their end */
    const struct fault *why; /* NULL when it went well */
};

struct http_config {
    uid_t owner;              /* of the daemon: may do what root may */
    gid_t group;              /* whose members may; (gid_t)-1: none */
    const struct cert *cert;  /* serve HTTPS on the network; NULL: on a unix socket. Kept */
    unsigned connections_max; /* further ones wait in the socket's queue */
    unsigned per_address_max; /* of those on the network; further ones are closed */
    uint64_t header_ms;       /* for the headers of a first request; and before, for TLS */
    uint64_t idle_ms;         /* from an answer to the headers of the next request */
    uint64_t body_ms;         /* for a body; of an upload: for each part */
    uint64_t answer_ms;       /* for a client to take an answer that is no stream */
    uint64_t heartbeat_ms;    /* between comments to those who wait for events */
    void (*seen)(void *ctx, const struct http_seen *s); /* may be NULL */
    void *seen_ctx;
};
void http_config_default(struct http_config *c);

struct http;

/*
 * listen_fd   a listening socket, non-blocking; taken. Of a unix socket, or with a certificate of TCP.
 * o           kept until http_close(). Whoever drives the node also calls ops_step().
 */
MUST_USE enum status http_open(struct loop *l, int listen_fd, struct ops *o,
                               const struct http_config *c, struct http **ret, struct fault *why);
/* Ends all connections. NULL is fine. Before ops_free(). */
void http_close(struct http *h);

struct http_view {
    unsigned connections, feeds, sockets; /* now */
    uint64_t accepted;                    /* ever; on the network: since their handshake */
    uint64_t crowded;                     /* closed, since their address has many */
    uint64_t strange;                     /* that ended before their handshake was done */
    uint64_t unknown;                     /* requests without a good token */
};
struct http_view http_view(const struct http *h);
