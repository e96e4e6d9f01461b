/*
 * sock: unix sockets by their name in a directory that is open. However long the directory's own path
 * is: the limit of 108 bytes does not matter.
 */
#pragma once

#include "base/fault.h"

/*
 * Listen at `name`, in place of whatever was there.
 *
 * type     SOCK_STREAM or SOCK_SEQPACKET.
 * ret_fd   close-on-exec, non-blocking; the caller's.
 */
MUST_USE enum status sock_listen(int dir, const char *name, int type, int *ret_fd,
                                 struct fault *why);
/*
 * Connect, without waiting.
 *
 * ret_fd   close-on-exec, non-blocking; the caller's.
 *
 * Returns  ST_UNAVAILABLE   nobody listens there, or nothing is there.
 *          ST_LIMIT         its queue is full.
 */
MUST_USE enum status sock_connect(int dir, const char *name, int type, int *ret_fd,
                                  struct fault *why);
