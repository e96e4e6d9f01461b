/*
 * http: the operations over HTTP/1.1, on a listening unix socket, inside the loop.
 *
 * Built on libmicrohttpd, which parses and writes HTTP; connections are accepted, limited and timed
 * out here. A slow client never holds up the loop, and its memory is bounded: what cannot be
 * written yet is not read from its source either. Without connections nothing wakes up.
 *
 * Who connects is known by the kernel's word (SO_PEERCRED).
 */
#pragma once

#include <sys/types.h>

#include "ops/ops.h"
#include "os/loop.h"

/* One request that was answered, for metrics and logs. */
struct http_seen {
    const struct op *op; /* NULL: no such route */
    const char *actor;
    unsigned status;
    uint64_t ns;             /* from its headers to its answer; streams: to their end */
    const struct fault *why; /* NULL when it went well */
};

struct http_config {
    uid_t owner;              /* of the daemon: may do what root may */
    gid_t group;              /* whose members may; (gid_t)-1: none */
    unsigned connections_max; /* further ones wait in the socket's queue */
    uint64_t header_ms;       /* for the headers of a first request */
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
 * listen_fd   a listening socket, non-blocking; taken.
 * o           kept until http_close(). Whoever drives the node also calls ops_step().
 */
MUST_USE enum status http_open(struct loop *l, int listen_fd, struct ops *o,
                               const struct http_config *c, struct http **ret, struct fault *why);
/* Ends all connections. NULL is fine. Before ops_free(). */
void http_close(struct http *h);

struct http_view {
    unsigned connections, feeds, sockets; /* now */
    uint64_t accepted;                    /* ever */
};
struct http_view http_view(const struct http *h);
