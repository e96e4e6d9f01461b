#include "guest/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 512, READ_SIZE = 4096 };

void say(const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (void)dprintf(STDERR_FILENO, "blixard: %s\n", text);
}

void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool wait_more(uint64_t *waited_ms, uint64_t limit_ms)
{
    if (*waited_ms >= limit_ms)
        return false;
    uint64_t ms = MIN(*waited_ms + 1, (uint64_t)100);
    struct timespec t = {.tv_nsec = (long)ms * 1000000};
    (void)nanosleep(&t, NULL);
    *waited_ms += ms;
    return true;
}

enum status file_read(const char *path, struct buf *out, struct fault *why)
{
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", path);
    for (;;) {
        char data[READ_SIZE];
        ssize_t n = read(fd, data, sizeof data);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(why, errno, "read %s", path);
        if (n == 0)
            return buf_status(out, why);
        buf_add(out, data, (size_t)n);
        if (out->full)
            return buf_status(out, why);
    }
}

static enum status write_all(int fd, struct str content, const char *path, struct fault *why)
{
    while (content.len > 0) {
        ssize_t n = write(fd, content.ptr, content.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(why, errno, "write %s", path);
        content.ptr += n;
        content.len -= (size_t)n;
    }
    return ST_OK;
}

enum status dir_make(const char *path, struct fault *why)
{
    char part[PATH_SIZE];
    enum status s = str_copy(str_from(path), part, sizeof part, why);
    for (char *p = part + 1; s == ST_OK && *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return fault_errno(why, errno, "make folder %s", part);
        *p = '/';
    }
    if (s == ST_OK && mkdir(part, 0755) != 0 && errno != EEXIST)
        return fault_errno(why, errno, "make folder %s", part);
    return s;
}

enum status file_write(const char *path, struct str content, unsigned mode, struct fault *why)
{
    char temp[PATH_SIZE];
    int n = snprintf(temp, sizeof temp - sizeof ".new", "%s", path);
    if (n < 0 || (size_t)n >= sizeof temp - sizeof ".new")
        return fault_set(why, ST_TOO_BIG, "%s: the path is too long", path);
    char *slash = strrchr(temp, '/');
    require(slash);
    if (slash != temp) {
        *slash = 0;
        enum status s = dir_make(temp, why);
        *slash = '/';
        if (s != ST_OK)
            return s;
    }
    strcat(temp, ".new");
    (void)unlink(temp);
    AUTO(close_fd) int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return fault_errno(why, errno, "create %s", temp);
    enum status s = write_all(fd, content, temp, why);
    if (s == ST_OK && rename(temp, path) != 0)
        s = fault_errno(why, errno, "rename %s", temp);
    if (s != ST_OK)
        (void)unlink(temp);
    return s;
}
