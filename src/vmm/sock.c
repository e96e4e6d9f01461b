#include "vmm/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/file.h"

enum { BACKLOG = 8 };

static struct sockaddr_un address(int dir, const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int n = snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/%s", dir, name);
    require(n > 0 && (size_t)n < sizeof a.sun_path);
    return a;
}

static enum status make(int type, int *ret, struct fault *why)
{
    *ret = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return *ret < 0 ? fault_errno(why, errno, "make a socket") : ST_OK;
}

enum status sock_listen(int dir, const char *name, int type, int *ret_fd, struct fault *why)
{
    struct sockaddr_un a = address(dir, name);
    AUTO(close_fd) int fd = -1;
    enum status s = make(type, &fd, why);
    if (s != ST_OK)
        return s;
    if (unlinkat(dir, name, 0) != 0 && errno != ENOENT)
        return fault_errno(why, errno, "remove %s", name);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, BACKLOG) != 0)
        return fault_errno(why, errno, "listen at %s", name);
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}

enum status sock_connect(int dir, const char *name, int type, int *ret_fd, struct fault *why)
{
    struct sockaddr_un a = address(dir, name);
    AUTO(close_fd) int fd = -1;
    enum status s = make(type, &fd, why);
    if (s != ST_OK)
        return s;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return fault_set(why, ST_UNAVAILABLE, "nobody listens at %s", name);
        if (errno == EAGAIN)
            return fault_set(why, ST_LIMIT, "too many wait at %s", name);
        return fault_errno(why, errno, "connect to %s", name);
    }
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}
