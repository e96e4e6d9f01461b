#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { READ_STEP = 16 << 10, PATH_TEXT_MAX = 4096 };

void close_fd(int *fd)
{
    int err = errno;
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1; /* closed twice, it would be somebody else's by then */
    errno = err;
}

bool file_read_at(int fd, uint64_t offset, void *out, size_t len, size_t *ret_len)
{
    size_t have = 0;
    while (have < len) {
        ssize_t n = pread(fd, (char *)out + have, len - have, (off_t)(offset + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    *ret_len = have;
    return true;
}

bool file_write_at(int fd, uint64_t offset, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, (const char *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

enum status file_read(int dir, const char *path, struct buf *out, struct fault *why)
{
    AUTO(close_fd) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", path);
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fault_errno(why, errno, "look at %s", path);
    if (!S_ISREG(st.st_mode))
        return fault_set(why, ST_INVALID, "%s is no regular file", path);

    /* Sizes lie (files of /proc have 0), and files grow: read until the end. One byte more than fits
     * is asked for, to know whether that was all. */
    AUTO(buf_done) struct buf all;
    size_t room = out->max - out->len;
    buf_init(&all, room < SIZE_MAX ? room + 1 : room);
    while (all.len <= room) {
        size_t step = MIN((size_t)READ_STEP, all.max - all.len), got;
        if (step == 0)
            break;
        char *to = buf_space(&all, step);
        if (!file_read_at(fd, all.len, to, step, &got))
            return fault_errno(why, errno, "read %s", path);
        buf_wrote(&all, got);
        if (got < step)
            break;
    }
    if (all.len > room)
        return fault_set(why, ST_TOO_BIG, "%s holds more than %zu bytes", path, room);
    buf_str(out, buf_view(&all));
    return ST_OK;
}

/* The directory that `path` is in. */
static enum status parent(const char *path, char out[PATH_TEXT_MAX], struct fault *why)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return str_copy(STR("."), out, PATH_TEXT_MAX, why);
    if (slash == path)
        return str_copy(STR("/"), out, PATH_TEXT_MAX, why);
    return str_copy((struct str){path, (size_t)(slash - path)}, out, PATH_TEXT_MAX, why);
}

enum status file_sync_dir(int dir, const char *path, struct fault *why)
{
    AUTO(close_fd) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", path);
    if (fsync(fd) != 0)
        return fault_errno(why, errno, "sync %s", path);
    return ST_OK;
}

static enum status write_new(int dir, const char *path, struct str content, mode_t mode,
                             struct fault *why)
{
    AUTO(close_fd)
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return fault_errno(why, errno, "create %s", path);
    if (fchmod(fd, mode) != 0) /* the umask, or a file left by a crash, had its own idea */
        return fault_errno(why, errno, "set the mode of %s", path);
    if (!file_write_at(fd, 0, content.ptr, content.len))
        return fault_errno(why, errno, "write %s", path);
    if (fsync(fd) != 0)
        return fault_errno(why, errno, "sync %s", path);
    return ST_OK;
}

enum status file_write(int dir, const char *path, struct str content, mode_t mode,
                       struct fault *why)
{
    char tmp[PATH_TEXT_MAX], folder[PATH_TEXT_MAX];
    if ((size_t)snprintf(tmp, sizeof tmp, "%s.tmp", path) >= sizeof tmp)
        return fault_set(why, ST_INVALID, "the path is too long: %.100s...", path);
    enum status s = parent(path, folder, why);
    if (s == ST_OK)
        s = write_new(dir, tmp, content, mode, why);
    if (s == ST_OK && renameat(dir, tmp, dir, path) != 0)
        s = fault_errno(why, errno, "rename %s to %s", tmp, path);
    if (s != ST_OK) {
        (void)unlinkat(dir, tmp, 0);
        return s;
    }
    return file_sync_dir(dir, folder, why);
}

enum status file_mkdirs(int dir, const char *path, mode_t mode, struct fault *why)
{
    char part[PATH_TEXT_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return fault_set(why, ST_INVALID, "not a path: \"%.100s\"", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdirat(dir, part, mode) == 0 || errno == EEXIST)
            continue;
        return fault_errno(why, errno, "make directory %s", part);
    }
    struct stat st;
    if (fstatat(dir, path, &st, 0) != 0)
        return fault_errno(why, errno, "look at %s", path);
    if (!S_ISDIR(st.st_mode))
        return fault_set(why, ST_EXISTS, "%s exists and is no directory", path);
    return ST_OK;
}

struct removal {
    dev_t dev;
    size_t count;
    struct fault *why;
};

static void close_dir(DIR **d)
{
    if (*d)
        (void)closedir(*d);
}

static enum status remove_entry(struct removal *r, int dir, const char *name, unsigned depth);

static enum status empty_dir(struct removal *r, int dir, const char *name, unsigned depth)
{
    if (depth == FILE_TREE_DEPTH_MAX)
        return fault_set(r->why, ST_TOO_BIG, "%s is deeper than %d directories", name,
                         FILE_TREE_DEPTH_MAX);
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0)
        return fault_errno(r->why, errno, "open %s", name);
    AUTO(close_dir) DIR *d = fdopendir(fd);
    if (!d) {
        close_fd(&fd);
        return fault_errno(r->why, errno, "read %s", name);
    }
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fault_errno(r->why, errno, "look at %s", name);
    if (st.st_dev != r->dev)
        return fault_set(r->why, ST_IN_USE, "another file system is mounted at %s", name);

    for (;;) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e)
            return errno ? fault_errno(r->why, errno, "read %s", name) : ST_OK;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        enum status s = remove_entry(r, fd, e->d_name, depth + 1);
        if (s != ST_OK)
            return fault_wrap(r->why, s, "%s", name);
    }
}

static enum status remove_entry(struct removal *r, int dir, const char *name, unsigned depth)
{
    if (++r->count > FILE_TREE_COUNT_MAX)
        return fault_set(r->why, ST_TOO_BIG, "more than %d files", FILE_TREE_COUNT_MAX);
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return ST_OK;
    if (errno != EISDIR) /* what Linux says of a directory */
        return fault_errno(r->why, errno, "remove %s", name);
    enum status s = empty_dir(r, dir, name, depth);
    if (s != ST_OK)
        return s;
    if (unlinkat(dir, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return fault_errno(r->why, errno, "remove %s", name);
    return ST_OK;
}

enum status file_remove_tree(int dir, const char *path, struct fault *why)
{
    struct stat st;
    if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? ST_OK : fault_errno(why, errno, "look at %s", path);
    struct removal r = {.dev = st.st_dev, .why = why};
    return remove_entry(&r, dir, path, 0);
}

enum status file_lock(int dir, const char *path, int *ret_fd, struct fault *why)
{
    int fd = openat(dir, path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int err = errno;
        char pid[24] = "";
        size_t len = 0;
        if (err == EWOULDBLOCK && file_read_at(fd, 0, pid, sizeof pid - 1, &len))
            pid[strspn(pid, "0123456789")] = 0;
        close_fd(&fd);
        if (err != EWOULDBLOCK)
            return fault_errno(why, err, "lock %s", path);
        return fault_set(why, ST_IN_USE, "%s is locked by %s%s", path,
                         pid[0] ? "process " : "another process", pid);
    }
    char pid[24];
    int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || !file_write_at(fd, 0, pid, (size_t)len)) {
        int err = errno;
        close_fd(&fd);
        return fault_errno(why, err, "write %s", path);
    }
    *ret_fd = fd;
    return ST_OK;
}

enum status file_space(int dir, const char *path, struct file_space *ret, struct fault *why)
{
    AUTO(close_fd) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct statvfs v;
    if (fd < 0 || fstatvfs(fd, &v) != 0)
        return fault_errno(why, errno, "look at the free space of %s", path);
    *ret = (struct file_space){
        .total_bytes = (uint64_t)v.f_blocks * v.f_frsize,
        .free_bytes = (uint64_t)v.f_bavail * v.f_frsize,
    };
    return ST_OK;
}
