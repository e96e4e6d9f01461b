#include "vmm/process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/file.h"

enum { STAT_MAX = 4096, FIELDS_MAX = 24, UTIME = 14, STIME = 15, START = 22 };

/* Fields 3 and following of /proc/N/stat, by their numbers. The second is the program's name in
 * parentheses, and may hold anything. */
static bool read_stat(uint32_t pid, uint64_t field[FIELDS_MAX])
{
    char path[32];
    AUTO(buf_done) struct buf b;
    buf_init(&b, STAT_MAX);
    (void)snprintf(path, sizeof path, "/proc/%u/stat", pid);
    if (file_read(AT_FDCWD, path, &b, NULL) != ST_OK)
        return false;
    const char *end = memrchr(b.ptr, ')', b.len);
    if (!end)
        return false;
    struct str rest = {end + 1, b.len - (size_t)(end + 1 - b.ptr)}, word;
    bool more = str_cut(&rest, ' ', &word); /* the empty one before field 3 */
    for (size_t i = 3; i < FIELDS_MAX && more; i++) {
        more = str_cut(&rest, ' ', &word);
        if (str_u64(word, 0, UINT64_MAX, &field[i], NULL) != ST_OK)
            field[i] = 0; /* a letter, or a negative number */
    }
    return more;
}

uint64_t process_start_time(uint32_t pid)
{
    uint64_t field[FIELDS_MAX] = {0};
    return read_stat(pid, field) ? field[START] : 0;
}

enum status process_open(uint32_t pid, uint64_t start, int *ret_pidfd, struct fault *why)
{
    AUTO(close_fd) int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0 && errno != ESRCH && errno != EINVAL)
        return fault_errno(why, errno, "open process %u", pid);
    /* Looked at after it was opened: what is there now is what was opened, or that is gone. */
    uint64_t is = fd < 0 ? 0 : process_start_time(pid);
    if (fd >= 0 && !is && !process_ended(fd))
        return fault_set(why, ST_IO, "process %u cannot be looked at", pid);
    if (fd < 0 || is != start || process_ended(fd))
        return fault_set(why, ST_NOT_FOUND, "process %u is gone", pid);
    *ret_pidfd = fd;
    fd = -1;
    return ST_OK;
}

bool process_ended(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

void process_usage(uint32_t pid, struct process_usage *ret)
{
    *ret = (struct process_usage){UINT64_MAX, UINT64_MAX};
    uint64_t field[FIELDS_MAX] = {0};
    long ticks = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    if (ticks > 0 && read_stat(pid, field))
        ret->cpu_ns = (field[UTIME] + field[STIME]) * (1000000000U / (uint64_t)ticks);

    char path[32];
    struct str size, rest;
    AUTO(buf_done) struct buf b;
    buf_init(&b, STAT_MAX);
    (void)snprintf(path, sizeof path, "/proc/%u/statm", pid);
    if (page <= 0 || file_read(AT_FDCWD, path, &b, NULL) != ST_OK)
        return;
    rest = buf_view(&b);
    uint64_t pages;
    if (str_cut(&rest, ' ', &size) && str_cut(&rest, ' ', &size) &&
        str_u64(size, 0, UINT64_MAX >> 16, &pages, NULL) == ST_OK)
        ret->rss_bytes = pages * (uint64_t)page;
}

void process_host_boot(uint8_t out[16])
{
    char digits[33];
    size_t n = 0;
    AUTO(buf_done) struct buf b;
    buf_init(&b, 64);
    memset(out, 0, 16);
    if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &b, NULL) != ST_OK)
        return;
    for (size_t i = 0; i < b.len && n < 32; i++)
        if (b.ptr[i] != '-')
            digits[n++] = b.ptr[i];
    (void)!str_unhex((struct str){digits, n}, out, 16, NULL);
}
