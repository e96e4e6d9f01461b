#include "os/disk_os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"

enum { ZERO_STEP = 64 << 10 };

struct disk_os {
    struct disk disk;
    int dir;
};

struct disk_file {
    int fd;
    char name[DISK_NAME_MAX + 1];
};

static int dir_of(struct disk *d)
{
    return ((struct disk_os *)d)->dir; /* disk is its first field */
}

static void check_name(const char *name)
{
    require(name[0] && name[0] != '.' && strlen(name) <= DISK_NAME_MAX && !strchr(name, '/'));
}

static enum status os_open(struct disk *d, const char *name, bool create, struct disk_file **ret,
                           struct fault *why)
{
    check_name(name);
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0);
    int fd = openat(dir_of(d), name, flags, 0600);
    if (fd < 0)
        return fault_errno(why, errno, "open %s", name);

    /* When writing back had failed, the kernel keeps the page and calls it clean: drop such pages,
     * so that what is read is what the disk has. Pages still to be written stay. */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);

    struct disk_file *f = NEW(struct disk_file);
    f->fd = fd;
    memcpy(f->name, name, strlen(name) + 1);
    *ret = f;
    return ST_OK;
}

static void os_close(struct disk *d, struct disk_file *f)
{
    (void)d;
    (void)close(f->fd);
    free(f);
}

static enum status os_read(struct disk *d, struct disk_file *f, uint64_t offset, void *out,
                           size_t len, size_t *ret_len, struct fault *why)
{
    (void)d;
    if (!file_read_at(f->fd, offset, out, len, ret_len))
        return fault_errno(why, errno, "read %s at %" PRIu64, f->name, offset);
    return ST_OK;
}

static enum status os_write(struct disk *d, struct disk_file *f, uint64_t offset, const void *data,
                            size_t len, struct fault *why)
{
    (void)d;
    if (!file_write_at(f->fd, offset, data, len))
        return fault_errno(why, errno, "write %s at %" PRIu64, f->name, offset);
    return ST_OK;
}

static enum status os_size(struct disk *d, struct disk_file *f, uint64_t *ret, struct fault *why)
{
    (void)d;
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return fault_errno(why, errno, "look at %s", f->name);
    *ret = (uint64_t)st.st_size;
    return ST_OK;
}

/* fallocate(2) would reserve the blocks, but mark them as unwritten: the first write into each would
 * still change metadata, which the next sync then has to write. Real zeros cost that once. */
static enum status os_allocate(struct disk *d, struct disk_file *f, uint64_t size,
                               struct fault *why)
{
    static const char zeros[ZERO_STEP];
    uint64_t at;
    enum status s = os_size(d, f, &at, why);
    for (; s == ST_OK && at < size; at += MIN(size - at, (uint64_t)ZERO_STEP))
        s = os_write(d, f, at, zeros, MIN(size - at, (uint64_t)ZERO_STEP), why);
    return s;
}

static enum status os_truncate(struct disk *d, struct disk_file *f, uint64_t size,
                               struct fault *why)
{
    (void)d;
    int r;
    while ((r = ftruncate(f->fd, (off_t)size)) != 0 && errno == EINTR)
        ;
    return r == 0 ? ST_OK : fault_errno(why, errno, "truncate %s", f->name);
}

static enum status os_sync(struct disk *d, struct disk_file *f, struct fault *why)
{
    (void)d;
    /* Never again after a failure: the second one would succeed, and mean nothing. */
    if (fdatasync(f->fd) != 0)
        return fault_errno(why, errno, "sync %s", f->name);
    return ST_OK;
}

static enum status os_rename(struct disk *d, const char *from, const char *to, struct fault *why)
{
    check_name(from);
    check_name(to);
    if (renameat(dir_of(d), from, dir_of(d), to) != 0)
        return fault_errno(why, errno, "rename %s to %s", from, to);
    return ST_OK;
}

static enum status os_remove(struct disk *d, const char *name, struct fault *why)
{
    check_name(name);
    if (unlinkat(dir_of(d), name, 0) != 0)
        return fault_errno(why, errno, "remove %s", name);
    return ST_OK;
}

static enum status os_sync_dir(struct disk *d, struct fault *why)
{
    if (fsync(dir_of(d)) != 0)
        return fault_errno(why, errno, "sync the directory");
    return ST_OK;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.' && strlen(e->d_name) <= DISK_NAME_MAX;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum status os_list(struct disk *d, void (*each)(void *ctx, const char *name), void *ctx,
                           struct fault *why)
{
    struct dirent **names;
    int count = scandirat(dir_of(d), ".", &names, visible, by_bytes);
    if (count < 0)
        return fault_errno(why, errno, "list the directory");
    for (int i = 0; i < count; i++) {
        each(ctx, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return ST_OK;
}

enum status disk_os_open(const char *path, struct disk **ret, struct fault *why)
{
    int dir = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (dir < 0)
        return fault_errno(why, errno, "open directory %s", path);
    struct disk_os *o = NEW(struct disk_os);
    o->dir = dir;
    o->disk = (struct disk){
        .open = os_open,
        .close = os_close,
        .read = os_read,
        .write = os_write,
        .allocate = os_allocate,
        .truncate = os_truncate,
        .sync = os_sync,
        .size = os_size,
        .rename = os_rename,
        .remove = os_remove,
        .sync_dir = os_sync_dir,
        .list = os_list,
    };
    *ret = &o->disk;
    return ST_OK;
}

void disk_os_close(struct disk *d)
{
    if (!d)
        return;
    (void)close(dir_of(d));
    free(d);
}
