/* These names are ours to define, each by itself: no other spelling of them, no checked variants. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include "crash/disk_watch.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum what { NOT_OURS, A_FILE, THE_DIRECTORY };

static struct {
    pthread_mutex_t lock; /* one call at a time, so that their order is that of the log */
    char dir[512];
    size_t dir_len; /* 0: nothing is watched */
    int log;
    const char *lie; /* or NULL */
    enum what fd[WATCH_FILES_MAX];
    bool lies[WATCH_FILES_MAX];
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER, .log = -1};

static _Noreturn void give_up(const char *what)
{
    (void)dprintf(STDERR_FILENO, "disk_watch: %s: it would not be recorded\n", what);
    abort();
}

__attribute__((constructor)) static void begin_watch(void)
{
    const char *dir = getenv("WATCH_DIR"), *log = getenv("WATCH_LOG");
    if (!dir || !log || dir[0] != '/' || strlen(dir) >= sizeof watch.dir)
        give_up("WATCH_DIR and WATCH_LOG are not set");
    watch.log =
        (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (watch.log < 0)
        give_up(log);
    watch.lie = getenv("WATCH_LIE");
    memcpy(watch.dir, dir, strlen(dir) + 1);
    watch.dir_len = strlen(dir);
}

static enum what what_is(int fd)
{
    return fd >= 0 && fd < WATCH_FILES_MAX ? watch.fd[fd] : NOT_OURS;
}

/* name "." is the directory's. */
static void mark(int fd, enum what w, const char *name)
{
    if (fd >= WATCH_FILES_MAX)
        give_up("so many files");
    watch.fd[fd] = w;
    watch.lies[fd] = watch.lie && strncmp(name, watch.lie, strlen(watch.lie)) == 0;
}

/* The name in our directory that a path means, "" for the directory itself; NULL: it is elsewhere. */
static const char *name_of(int dir, const char *path)
{
    const char *name = NULL;
    if (watch.dir_len == 0)
        return NULL;
    if (path[0] != '/' && what_is(dir) == THE_DIRECTORY)
        name = strcmp(path, ".") == 0 ? "" : path;
    else if (strncmp(path, watch.dir, watch.dir_len) == 0 && path[watch.dir_len] == '/')
        name = path + watch.dir_len + 1;
    else if (strcmp(path, watch.dir) == 0)
        name = "";
    if (name && (strchr(name, '/') || strlen(name) > WATCH_NAME_MAX))
        give_up(name);
    return name;
}

static void record(const struct watch_record *r, const void *data)
{
    struct iovec part[2] = {{.iov_base = (void *)(uintptr_t)r, .iov_len = sizeof *r},
                            {.iov_base = (void *)(uintptr_t)data, .iov_len = r->len}};
    if (syscall(SYS_writev, watch.log, part, 2) != (long)(sizeof *r + r->len))
        give_up("the log cannot be written");
}

static void begin(const struct watch_record *r, const void *data)
{
    (void)pthread_mutex_lock(&watch.lock);
    record(r, data);
}

static long done(long result)
{
    record(&(struct watch_record){.kind = WATCH_DONE, .offset = (uint64_t)result}, NULL);
    (void)pthread_mutex_unlock(&watch.lock);
    return result;
}

/* --- what is followed --- */

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    const char *name = name_of(dir, path);
    if (!name)
        return (int)syscall(SYS_openat, dir, path, flags, mode);
    if (!name[0]) {
        int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
        if (fd >= 0)
            mark(fd, THE_DIRECTORY, ".");
        return fd;
    }
    if (flags & (O_TRUNC | O_APPEND))
        give_up("open with O_TRUNC or O_APPEND");
    struct watch_record r = {.kind = WATCH_OPEN, .offset = (flags & O_CREAT) != 0};
    memcpy(r.name, name, strlen(name));
    begin(&r, NULL);
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0)
        mark(fd, A_FILE, name);
    return (int)done(fd);
}

static mode_t mode_of(int flags, va_list ap)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = mode_of(flags, ap);
    va_end(ap);
    return open_at(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int openat(int dir, const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = mode_of(flags, ap);
    va_end(ap);
    return open_at(dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));

int close(int fd)
{
    if (what_is(fd) != A_FILE) {
        if (what_is(fd) == THE_DIRECTORY)
            watch.fd[fd] = NOT_OURS;
        return (int)syscall(SYS_close, fd);
    }
    begin(&(struct watch_record){.kind = WATCH_CLOSE, .file = fd}, NULL);
    watch.fd[fd] = NOT_OURS;
    return (int)done(syscall(SYS_close, fd));
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    if (what_is(fd) == NOT_OURS)
        return syscall(SYS_pwrite64, fd, data, len, offset);
    struct watch_record r = {
        .kind = WATCH_WRITE, .file = fd, .offset = (uint64_t)offset, .len = len};
    begin(&r, data);
    return done(syscall(SYS_pwrite64, fd, data, len, offset));
}
ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
    __attribute__((alias("pwrite")));

int ftruncate(int fd, off_t size)
{
    if (what_is(fd) == NOT_OURS)
        return (int)syscall(SYS_ftruncate, fd, size);
    struct watch_record r = {.kind = WATCH_TRUNCATE, .file = fd, .offset = (uint64_t)size};
    begin(&r, NULL);
    return (int)done(syscall(SYS_ftruncate, fd, size));
}
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));

static int sync_by(long call, int fd)
{
    enum what w = what_is(fd);
    if (w == NOT_OURS)
        return (int)syscall(call, fd);
    if (watch.lies[fd])
        return 0;
    struct watch_record r = {.kind = w == A_FILE ? WATCH_SYNC : WATCH_SYNC_DIR, .file = fd};
    begin(&r, NULL);
    return (int)done(syscall(call, fd));
}

int fsync(int fd)
{
    return sync_by(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_by(SYS_fdatasync, fd);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    const char *name = name_of(from_dir, from), *new_name = name_of(to_dir, to);
    if (!name && !new_name)
        return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
    if (!name || !new_name)
        give_up("a rename into or out of the directory");
    struct watch_record r = {.kind = WATCH_RENAME};
    memcpy(r.name, name, strlen(name));
    memcpy(r.to, new_name, strlen(new_name));
    begin(&r, NULL);
    return (int)done(syscall(SYS_renameat2, from_dir, from, to_dir, to, 0));
}

int unlinkat(int dir, const char *path, int flags)
{
    const char *name = name_of(dir, path);
    if (!name)
        return (int)syscall(SYS_unlinkat, dir, path, flags);
    struct watch_record r = {.kind = WATCH_REMOVE};
    memcpy(r.name, name, strlen(name));
    begin(&r, NULL);
    return (int)done(syscall(SYS_unlinkat, dir, path, flags));
}

/* --- what is not: these may be called, but not on what is watched --- */

#define REFUSE(type, name, args, watched, ...) \
    type name args                             \
    {                                          \
        if (watched)                           \
            give_up(#name);                    \
        return (type)syscall(__VA_ARGS__);     \
    }
#define OURS(fd)       (what_is(fd) != NOT_OURS)
#define NAMED(dir, p)  (name_of(dir, p) != NULL)
#define HALVES(offset) (offset), 0L /* as the kernel takes an offset in two words */

REFUSE(ssize_t, write, (int fd, const void *p, size_t n), OURS(fd), SYS_write, fd, p, n)
REFUSE(ssize_t, writev, (int fd, const struct iovec *v, int n), OURS(fd), SYS_writev, fd, v, n)
REFUSE(ssize_t, pwritev, (int fd, const struct iovec *v, int n, off_t at), OURS(fd), SYS_pwritev,
       fd, v, n, HALVES(at))
REFUSE(ssize_t, pwritev64, (int fd, const struct iovec *v, int n, off_t at), OURS(fd), SYS_pwritev,
       fd, v, n, HALVES(at))
REFUSE(int, fallocate, (int fd, int mode, off_t at, off_t len), OURS(fd), SYS_fallocate, fd, mode,
       at, len)
REFUSE(int, fallocate64, (int fd, int mode, off_t at, off_t len), OURS(fd), SYS_fallocate, fd, mode,
       at, len)
REFUSE(int, dup, (int fd), OURS(fd), SYS_dup, fd)
REFUSE(int, dup3, (int fd, int to, int flags), OURS(fd) || OURS(to), SYS_dup3, fd, to, flags)
REFUSE(int, truncate, (const char *p, off_t size), NAMED(AT_FDCWD, p), SYS_truncate, p, size)
REFUSE(int, truncate64, (const char *p, off_t size), NAMED(AT_FDCWD, p), SYS_truncate, p, size)
REFUSE(int, unlink, (const char *p), NAMED(AT_FDCWD, p), SYS_unlinkat, AT_FDCWD, p, 0)
REFUSE(int, rename, (const char *p, const char *to), NAMED(AT_FDCWD, p) || NAMED(AT_FDCWD, to),
       SYS_renameat2, AT_FDCWD, p, AT_FDCWD, to, 0)
REFUSE(int, linkat, (int dir, const char *p, int to_dir, const char *to, int flags),
       NAMED(dir, p) || NAMED(to_dir, to), SYS_linkat, dir, p, to_dir, to, flags)
REFUSE(int, link, (const char *p, const char *to), NAMED(AT_FDCWD, p) || NAMED(AT_FDCWD, to),
       SYS_linkat, AT_FDCWD, p, AT_FDCWD, to, 0)
REFUSE(int, mkdirat, (int dir, const char *p, mode_t mode), NAMED(dir, p), SYS_mkdirat, dir, p,
       mode)
