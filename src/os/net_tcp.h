/*
 * net_tcp: stream sockets on the network. All are close-on-exec and send small messages at once.
 */
#pragma once

#include <sys/socket.h>

#include "base/fault.h"
#include "base/ip.h"

enum { NET_TCP_BACKLOG = 128 };

/*
 * Listen. "::" takes IPv4 as well.
 *
 * ret_fd   non-blocking.
 *
 * Returns  ST_IN_USE       something listens there.
 *          ST_UNAVAILABLE  this machine has no such address.
 *          ST_DENIED       no right to that port.
 *          ST_IO
 */
MUST_USE enum status net_tcp_listen(const struct ip_endpoint *at, int *ret_fd, struct fault *why);

/* The port that a listening socket was given: what it asked for, unless that was 0. */
uint16_t net_tcp_port(int fd);

/* The address of the other side of an accepted socket; of IPv4 as such, also on a socket of "::". */
void net_tcp_from(const struct sockaddr_storage *a, struct ip *ret);

/* Set what an accepted connection needs: small messages go at once, and a peer that is gone is
 * noticed within a minute or two. */
void net_tcp_tune(int fd);

/*
 * Connect.
 *
 * host         a name or an address, without brackets. Looking a name up takes as long as it takes.
 * timeout_ms   for each address of the name; > 0.
 * ret_fd       non-blocking.
 *
 * Returns  ST_UNAVAILABLE   there is no such name or no way to it, or nobody listens there.
 *          ST_TIMEOUT, ST_IO
 */
MUST_USE enum status net_tcp_connect(const char *host, uint16_t port, uint32_t timeout_ms,
                                     int *ret_fd, struct fault *why);
