#include "host/sysfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum status sysfile_write(int dir, const char *path, const char *text, struct fault *why)
{
    int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", path);
    size_t len = strlen(text);
    enum status s = ST_OK;
    if (write(fd, text, len) != (ssize_t)len)
        s = fault_errno(why, errno, "write \"%s\" to %s", text, path);
    (void)close(fd);
    return s;
}
