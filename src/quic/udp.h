/*
 * udp: the socket under an endpoint, on an event loop.
 *
 * Many datagrams go through the kernel at once (recvmmsg with UDP_GRO, sendmsg with UDP_SEGMENT; where
 * the latter is not there, sendmmsg), deadlines are met to the nanosecond that the kernel's timers have (timerfd), and a
 * full socket is waited for. Datagrams carry their local address and ECN bits both ways, and are
 * never fragmented.
 *
 *     udp_open(loop, &bind, &u); d = udp_driver(u); endpoint_new(..., &d, &e); udp_start(u, e);
 *     ...
 *     udp_close(u); endpoint_free(e);
 */
#pragma once

#include "os/loop.h"
#include "quic/endpoint.h"

struct udp;

/*
 * bind     an address of this machine. [::] takes IPv4 too; port 0: any that is free.
 *
 * Returns  ST_IN_USE, ST_DENIED, ST_INVALID (no such address here), ST_UNSUPPORTED (no IPv6 here), ST_IO
 */
MUST_USE enum status udp_open(struct loop *l, const struct quic_addr *bind, struct udp **ret,
                              struct fault *why);
void udp_close(struct udp *u); /* NULL is fine */

/* What else belongs to the endpoint and has deadlines, such as a pool: its timer is called after
 * endpoint_timer() and ahead of endpoint_flush(). It is looked at after each event, and after the endpoint's wake. */
struct udp_also {
    uint64_t (*expiry)(void *ctx); /* UINT64_MAX: never */
    void (*timer)(void *ctx, uint64_t now_ns);
    void *ctx;
};
void udp_also(struct udp *u, const struct udp_also *also); /* copied; before udp_start() */

/* Drive e from now on. */
MUST_USE enum status udp_start(struct udp *u, struct endpoint *e, struct fault *why);

struct endpoint_driver udp_driver(struct udp *u); /* for endpoint_new() */

/* false: one datagram by one, as where the kernel cannot cut batches into datagrams. */
void udp_use_segments(struct udp *u, bool use);

struct quic_addr udp_addr(const struct udp *u); /* where it is bound */
uint64_t udp_now_ns(void);                      /* the clock that the endpoint is told */

struct udp_view {
    uint64_t send_calls, receive_calls; /* of the system */
    uint64_t full;                      /* times that the socket took no more */
    uint64_t lost;                      /* datagrams that could not be sent */
    bool segments;                      /* the kernel cuts batches into datagrams */
};
struct udp_view udp_view(const struct udp *u);
