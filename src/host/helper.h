/*
 * helper: the daemon's side of the process that has the rights. It fills port/host.h.
 */
#pragma once

#include "host/request.h"
#include "os/loop.h"

/* The descriptor on which the helper finds its end of the pair (host/main.c). */
enum { HELPER_FD = 3 };

/* Usual values: tag "0", ids from 1900000000 on, 10.83.0.0/16 with gateway 169.254.1.1, and the paths
 * of Debian. own_id and own_group are those of this process. */
void helper_defaults(struct request_init *i);

/*
 * Start the helper. Call it while this process still has the rights that the helper should have, and
 * before it makes threads. Blocks until the helper said what it can do: 10 s at most, usually few ms.
 *
 * exe      path of blixard-helper.
 * lost     called once, on the loop's thread, when the helper ended by itself: nothing can be started any
 *          more; what runs goes on. May be NULL.
 * ret      until helper_stop().
 */
MUST_USE enum status helper_start(struct loop *l, const char *exe, const struct request_init *i,
                                  void (*lost)(void *ctx), void *ctx, struct host **ret,
                                  struct fault *why);
/* What is still waiting is not answered. VMs are not touched. NULL is fine. */
void helper_stop(struct host *h);
