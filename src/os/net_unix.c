#include "os/net_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/file.h"

static enum status address(const char *path, struct sockaddr_un *out, struct fault *why)
{
    size_t len = strlen(path);
    if (len == 0 || len > NET_UNIX_PATH_MAX) {
        (void)fault_set(why, ST_INVALID,
                        "the path of the socket has %zu bytes, at most %d work: %s", len,
                        NET_UNIX_PATH_MAX, path);
        fault_hint(why, "choose a directory with a shorter path");
        return ST_INVALID;
    }
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(out->sun_path, path, len);
    return ST_OK;
}

/* Make the path free for bind(2), unless somebody uses it. */
static enum status clear_path(const char *path, const struct sockaddr_un *to, struct fault *why)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? ST_OK : fault_errno(why, errno, "look at %s", path);
    if (!S_ISSOCK(st.st_mode))
        return fault_set(why, ST_EXISTS, "%s exists and is no socket", path);

    AUTO(close_fd) int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return fault_errno(why, errno, "make a socket");
    if (connect(probe, (const struct sockaddr *)to, sizeof *to) == 0 || errno == EAGAIN)
        return fault_set(why, ST_IN_USE, "another process listens on %s", path);
    if (errno != ECONNREFUSED)
        return fault_errno(why, errno, "connect to %s", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return fault_errno(why, errno, "remove %s", path);
    return ST_OK;
}

enum status net_unix_listen(const char *path, mode_t mode, gid_t group, int *ret_fd,
                            struct fault *why)
{
    struct sockaddr_un to;
    enum status s = address(path, &to, why);
    if (s == ST_OK)
        s = clear_path(path, &to, why);
    if (s != ST_OK)
        return s;

    AUTO(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fault_errno(why, errno, "make a socket");
    /* On Linux the path's mode is that of the socket's own inode: until the group is set, nobody but
     * the owner may connect. */
    if (fchmod(fd, 0600) != 0)
        return fault_errno(why, errno, "set the mode of a socket");
    if (bind(fd, (const struct sockaddr *)&to, sizeof to) != 0)
        return fault_errno(why, errno, "bind %s", path);
    if (group != (gid_t)-1 && lchown(path, (uid_t)-1, group) != 0)
        return fault_errno(why, errno, "give %s to group %u", path, (unsigned)group);
    if (fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) != 0)
        return fault_errno(why, errno, "set the mode of %s", path);
    if (listen(fd, NET_UNIX_BACKLOG) != 0)
        return fault_errno(why, errno, "listen on %s", path);
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}

enum status net_unix_connect(const char *path, uint32_t timeout_ms, int *ret_fd, struct fault *why)
{
    require(timeout_ms > 0);
    struct sockaddr_un to;
    enum status s = address(path, &to, why);
    if (s != ST_OK)
        return s;
    AUTO(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fault_errno(why, errno, "make a socket");

    /* A full queue of the other side makes connect(2) wait; the send time-out bounds that. */
    struct timeval limit = {.tv_sec = timeout_ms / 1000,
                            .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    struct timeval none = {0};
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
        return fault_errno(why, errno, "set the time-out of a socket");
    int r;
    while ((r = connect(fd, (const struct sockaddr *)&to, sizeof to)) != 0 && errno == EINTR)
        ;
    if (r != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return fault_set(why, ST_UNAVAILABLE, "nobody listens on %s", path);
        if (errno == EAGAIN)
            return fault_set(why, ST_TIMEOUT, "%s takes no more connections", path);
        return fault_errno(why, errno, "connect to %s", path);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none) != 0)
        return fault_errno(why, errno, "set the time-out of a socket");
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}

enum status net_unix_peer(int fd, struct net_unix_peer *ret, struct fault *why)
{
    struct ucred c;
    socklen_t len = sizeof c;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) != 0)
        return fault_errno(why, errno, "ask who is at the other end");
    *ret = (struct net_unix_peer){.pid = c.pid, .uid = c.uid, .gid = c.gid};
    return ST_OK;
}
