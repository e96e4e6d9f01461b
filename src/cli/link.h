/*
 * link: the connection to a node: its unix socket, or TLS over the network.
 *
 * A node on the network is known by the fingerprint of its certificate's key, which is looked at before
 * anything is sent to it. Nothing here blocks but opening.
 */
#pragma once

#include <sys/types.h>

#include "base/str.h"
#include "crypto/digest.h"

enum { LINK_HOST_MAX = 254, LINK_TOKEN_MAX = 128 };

/* Where a node is, and how we are known there. */
struct place {
    const char *socket; /* of the unix socket; NULL: on the network */
    char host[LINK_HOST_MAX];
    uint16_t port;
    char fingerprint[DIGEST_TEXT_MAX]; /* "sha256:..." */
    char token[LINK_TOKEN_MAX];
};

struct link;

/*
 * deadline_ms   on the clock of now_ms(): it gives up by then, and after some seconds in any case. Each
 *               address of a name has that time; looking the name up takes as long as it takes.
 * stop_fd       readable: give up. -1: there is none.
 *
 * Returns   ST_UNAUTHENTICATED   the node shows another key than the one that is pinned.
 *           ST_UNAVAILABLE       nobody listens there, or not with TLS 1.3.
 *           ST_CANCELLED, and what net_unix_connect() and net_tcp_connect() may return.
 */
MUST_USE enum status link_open(const struct place *p, uint64_t deadline_ms, int stop_fd,
                               struct link **ret, struct fault *why);
void link_close(struct link *l); /* NULL is fine */

int link_fd(const struct link *l); /* to poll */
/* Is there something to read at once, whatever poll says? */
bool link_has_early(const struct link *l);

/* As recv(2) and send(2) that do not wait: -1 with errno EAGAIN when nothing goes now; a reading side that is
 * ended gives 0. After EAGAIN, link_write() is to be called with the same bytes again, or more. */
ssize_t link_read(struct link *l, void *out, size_t len);
ssize_t link_write(struct link *l, const void *data, size_t len);
/* Did an answer come, or the end? What is readable may also be a message of TLS alone. */
bool link_heard(struct link *l);
