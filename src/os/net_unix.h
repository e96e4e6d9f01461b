/*
 * net_unix: stream sockets with a path, and who is at their other end.
 */
#pragma once

#include <sys/types.h>

#include "base/fault.h"

enum { NET_UNIX_PATH_MAX = 107, NET_UNIX_BACKLOG = 128 };

/*
 * Listen. The socket is there with its mode and group from its first moment on.
 *
 * mode     such as 0660; the umask does not touch it.
 * group    (gid_t)-1: left as it is.
 * ret_fd   non-blocking, close-on-exec. The path stays when it is closed.
 *
 * A socket that nobody listens on any more, as a crash leaves it, is replaced.
 *
 * Returns  ST_INVALID   the path is longer than NET_UNIX_PATH_MAX.
 *          ST_IN_USE    somebody listens there.
 *          ST_EXISTS    the path is taken by something else than a socket.
 *          ST_DENIED, ST_NOT_FOUND (no such directory), ST_IO
 */
MUST_USE enum status net_unix_listen(const char *path, mode_t mode, gid_t group, int *ret_fd,
                                     struct fault *why);

/*
 * Connect.
 *
 * timeout_ms   how long a full queue of the other side is waited for; > 0.
 * ret_fd       blocking, close-on-exec.
 *
 * Returns  ST_INVALID       the path is too long.
 *          ST_UNAVAILABLE   nobody listens there.
 *          ST_DENIED        no right to that socket.
 *          ST_TIMEOUT, ST_IO
 */
MUST_USE enum status net_unix_connect(const char *path, uint32_t timeout_ms, int *ret_fd,
                                      struct fault *why);

/* Who connected, as the kernel knows it; the ids are those at the time of connect(2). */
struct net_unix_peer {
    pid_t pid; /* 0 when it is not of our pid namespace */
    uid_t uid;
    gid_t gid;
};
MUST_USE enum status net_unix_peer(int fd, struct net_unix_peer *ret, struct fault *why);
