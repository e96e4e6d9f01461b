#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"

enum { STEP = 16 << 10 };

static enum status read_all(int fd, const char *path, struct buf *out, struct fault *why)
{
    for (;;) {
        char step[STEP];
        ssize_t n = read(fd, step, sizeof step);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(why, errno, "read %s", path);
        if (n == 0)
            return ST_OK;
        buf_add(out, step, (size_t)n);
        if (out->full)
            return fault_set(why, ST_TOO_BIG, "%s holds more than %zu bytes", path, out->max);
    }
}

enum status input_read(const char *path, struct buf *out, struct fault *why)
{
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "stdin", out, why);
    AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", path);
    return read_all(fd, path, out, why);
}
