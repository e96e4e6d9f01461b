#include "vmm/console_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"

enum { BLOCK = 4096 };

uint64_t console_log_end(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : UINT64_MAX;
}

/* The first offset from `from` on that was not given back. */
static uint64_t first_kept(int fd, uint64_t from)
{
    off_t at = lseek(fd, (off_t)from, SEEK_DATA);
    return at < 0 ? from : (uint64_t)at; /* at the end, or a file system without holes */
}

uint64_t console_log_tail(int fd, uint64_t tail)
{
    uint64_t end = console_log_end(fd);
    if (end == UINT64_MAX)
        return 0;
    uint64_t from = end > tail ? end - tail : 0;
    return from < end ? MIN(first_kept(fd, from), end) : end;
}

size_t console_log_read(int fd, uint64_t *offset, char *out, size_t size)
{
    size_t n = 0;
    uint64_t from = first_kept(fd, *offset);
    if (!file_read_at(fd, from, out, size, &n))
        return 0;
    if (n)
        *offset = from + n;
    return n;
}

enum status console_log_trim(int fd, uint64_t max, struct fault *why)
{
    uint64_t end = console_log_end(fd);
    if (end == UINT64_MAX)
        return fault_errno(why, errno, "look at a console's log");
    if (end <= max)
        return ST_OK;
    uint64_t hole = (end - max) / BLOCK * BLOCK;
    if (!hole || first_kept(fd, 0) >= hole)
        return ST_OK;
    int r;
    do
        r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)hole);
    while (r != 0 && errno == EINTR);
    if (r == 0)
        return ST_OK;
    bool no_holes = errno == EOPNOTSUPP;
    enum status s = fault_errno(why, errno, "cut a console's log");
    if (no_holes)
        fault_hint(why, "logs grow without limit there: keep VMs on a file system that can punch "
                        "holes, such as ext4, xfs or tmpfs");
    return s;
}
