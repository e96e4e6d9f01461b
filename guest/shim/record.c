#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest/shim/shim.h"

/* Room for the last record is taken when the first is written: a full disk must not hide how a VM
 * ended. */
static const char next_file[] = SHIM_FILE ".next";

static bool write_next(struct str bytes)
{
    int fd = openat(SHIM_FD_DIR, next_file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool ok = pwrite(fd, bytes.ptr, bytes.len, 0) == (ssize_t)bytes.len &&
              ftruncate(fd, (off_t)bytes.len) == 0;
    return close(fd) == 0 && ok;
}

static void reserve_next(void)
{
    int fd = openat(SHIM_FD_DIR, next_file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    (void)!posix_fallocate(fd, 0, SHIM_RECORD_MAX);
    (void)close(fd);
}

/* A record that cannot be written is not there: the reader then says that how it ended is not known. */
void record_write(struct shim *s)
{
    struct buf b;
    buf_init(&b, SHIM_RECORD_MAX);
    if (shim_put_record(&b, &s->record, NULL) == ST_OK && write_next(buf_view(&b)))
        (void)renameat(SHIM_FD_DIR, next_file, SHIM_FD_DIR, SHIM_FILE);
    buf_done(&b);
    if (!s->ended)
        reserve_next();
}

/* "/proc/" and the number; without stdio. */
static void proc_path(uint32_t pid, char out[32])
{
    char digits[12];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + pid % 10);
    while (pid /= 10);
    char *p = stpcpy(out, "/proc/");
    while (n)
        *p++ = digits[--n];
    (void)stpcpy(p, "/stat");
}

uint64_t record_start_time(uint32_t pid)
{
    char path[32], text[1024];
    proc_path(pid, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        (void)close(fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    /* The second field is the program's name in parentheses and may hold anything. */
    char *p = strrchr(text, ')');
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    uint64_t ticks = 0;
    for (p = p ? p + 1 : text + n; *p >= '0' && *p <= '9'; p++)
        ticks = ticks * 10 + (uint64_t)(*p - '0');
    return ticks;
}

uint64_t record_wall_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}
