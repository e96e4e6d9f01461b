#include "crash/power.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash/disk_watch.h"
#include "os/disk_os.h"
#include "os/file.h"

enum { FILE_MAX = 8 << 20, LOG_MAX = 1 << 30 };

struct power {
    const char *dir, *log;
    struct memdisk *mem;
    struct disk_file *file[WATCH_FILES_MAX]; /* by the descriptor that the process had */
    struct power_view view;
};

struct power *power_new(const char *dir, const char *log)
{
    struct power *p = NEW(struct power);
    p->dir = dir;
    p->log = log;
    p->mem = memdisk_new();
    return p;
}

void power_free(struct power *p)
{
    if (!p)
        return;
    memdisk_free(p->mem);
    free(p);
}

/* --- what the process did --- */

/* One call took place, and returned `result`. The disk in memory never fails by itself. */
static void play(struct power *p, const struct watch_record *r, const char *data, int64_t result)
{
    struct disk *d = memdisk_port(p->mem);
    struct disk_file **f = &p->file[r->kind == WATCH_OPEN ? result : r->file];
    enum status s = ST_OK;
    if (r->kind != WATCH_OPEN && r->kind < WATCH_RENAME)
        require(*f);
    switch ((enum watch_kind)r->kind) {
    case WATCH_OPEN: s = d->open(d, r->name, r->offset, f, NULL); break;
    case WATCH_CLOSE:
        d->close(d, *f);
        *f = NULL;
        break;
    case WATCH_WRITE: s = d->write(d, *f, r->offset, data, (size_t)result, NULL); break;
    case WATCH_TRUNCATE: s = d->truncate(d, *f, r->offset, NULL); break;
    case WATCH_SYNC: s = d->sync(d, *f, NULL); break;
    case WATCH_RENAME: s = d->rename(d, r->name, r->to, NULL); break;
    case WATCH_REMOVE: s = d->remove(d, r->name, NULL); break;
    case WATCH_SYNC_DIR: s = d->sync_dir(d, NULL); break;
    case WATCH_DONE: defs_unreachable("an end is no call");
    }
    require(s == ST_OK);
}

/* What the last call would have done. *ret_guessed: it would have changed the directory. */
static void play_last(struct power *p, const struct watch_record *r, const char *data,
                      bool *ret_guessed)
{
    *ret_guessed = false;
    switch ((enum watch_kind)r->kind) {
    case WATCH_CLOSE: return;
    case WATCH_SYNC:
    case WATCH_SYNC_DIR: p->view.in_sync++; return; /* it promised nothing yet */
    case WATCH_OPEN:
        if (!r->offset)
            return;
        play(p, r, data, 0);
        break;
    case WATCH_WRITE: play(p, r, data, (int64_t)r->len); break;
    default: play(p, r, data, 0); break;
    }
    p->view.in_call++;
    *ret_guessed = true;
}

/* Play a log that ends anywhere. */
static void play_all(struct power *p, struct str log, bool *ret_guessed)
{
    struct watch_record r, end;
    *ret_guessed = false;
    while (log.len >= sizeof r) {
        memcpy(&r, log.ptr, sizeof r);
        require(r.kind >= WATCH_OPEN && r.kind < WATCH_DONE);
        if (log.len - sizeof r < r.len)
            return; /* killed before the call */
        const char *data = log.ptr + sizeof r;
        log = (struct str){data + r.len, log.len - sizeof r - r.len};
        if (log.len < sizeof end) {
            play_last(p, &r, data, ret_guessed);
            return;
        }
        memcpy(&end, log.ptr, sizeof end);
        require(end.kind == WATCH_DONE);
        log = (struct str){log.ptr + sizeof end, log.len - sizeof end};
        p->view.calls++;
        int64_t result = (int64_t)end.offset;
        if (result >= 0)
            play(p, &r, data, result);
    }
}

/* --- the directory --- */

struct pass {
    struct power *p;
    struct disk *real;
    struct fault *why;
    enum status s;
    size_t count;
};

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ((struct pass *)ctx)->count++;
}

static enum status read_mem(struct power *p, const char *name, struct buf *out)
{
    struct disk *d = memdisk_port(p->mem);
    struct disk_file *f;
    uint64_t size;
    size_t len;
    enum status s = d->open(d, name, false, &f, NULL);
    if (s != ST_OK)
        return s;
    require(d->size(d, f, &size, NULL) == ST_OK && size <= FILE_MAX);
    char *to = buf_space(out, (size_t)size);
    require(d->read(d, f, 0, to, (size_t)size, &len, NULL) == ST_OK && len == size);
    buf_wrote(out, len);
    d->close(d, f);
    return ST_OK;
}

static void compare_file(void *ctx, const char *name)
{
    struct pass *c = ctx;
    AUTO(buf_done) struct buf want;
    AUTO(buf_done) struct buf have;
    AUTO(close_fd) int dir = open(c->p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    buf_init(&want, FILE_MAX);
    buf_init(&have, FILE_MAX);
    if (c->s != ST_OK)
        return;
    c->count++;
    if (read_mem(c->p, name, &want) != ST_OK)
        c->s = fault_set(c->why, ST_CORRUPT, "%s was not recorded", name);
    else if (file_read(dir, name, &have, c->why) != ST_OK)
        c->s = c->why->status;
    else if (!str_eq(buf_view(&want), buf_view(&have)))
        c->s = fault_set(c->why, ST_CORRUPT, "%s holds what was not recorded", name);
}

static enum status compare(struct power *p, struct disk *real, struct fault *why)
{
    struct pass c = {.p = p, .why = why}, mem = {0};
    struct disk *d = memdisk_port(p->mem);
    enum status s = real->list(real, compare_file, &c, why);
    if (s == ST_OK)
        s = c.s;
    require(d->list(d, count_name, &mem, NULL) == ST_OK);
    if (s == ST_OK && c.count != mem.count)
        s = fault_set(why, ST_CORRUPT, "there are %zu files, and %zu were recorded", c.count,
                      mem.count);
    return s;
}

static void remove_file(void *ctx, const char *name)
{
    struct pass *c = ctx;
    if (c->s == ST_OK)
        c->s = c->real->remove(c->real, name, c->why);
}

static void write_file(void *ctx, const char *name)
{
    struct pass *c = ctx;
    AUTO(buf_done) struct buf bytes;
    struct disk_file *f;
    buf_init(&bytes, FILE_MAX);
    if (c->s != ST_OK)
        return;
    require(read_mem(c->p, name, &bytes) == ST_OK);
    c->s = c->real->open(c->real, name, true, &f, c->why);
    if (c->s != ST_OK)
        return;
    if (bytes.len > 0)
        c->s = c->real->write(c->real, f, 0, bytes.ptr, bytes.len, c->why);
    c->real->close(c->real, f);
}

/* Make the directory what the disk in memory says. */
static enum status write_out(struct power *p, struct disk *real, struct fault *why)
{
    struct pass c = {.p = p, .real = real, .why = why};
    struct disk *d = memdisk_port(p->mem);
    enum status s = real->list(real, remove_file, &c, why);
    if (s == ST_OK && c.s == ST_OK)
        s = d->list(d, write_file, &c, why);
    return s == ST_OK ? c.s : s;
}

enum status power_follow(struct power *p, struct fault *why)
{
    AUTO(buf_done) struct buf log;
    struct disk *real;
    bool guessed = false;
    buf_init(&log, LOG_MAX);
    enum status s = file_read(AT_FDCWD, p->log, &log, why);
    if (s == ST_OK)
        play_all(p, buf_view(&log), &guessed);
    if (s != ST_OK && s != ST_NOT_FOUND)
        return s;
    if (s == ST_OK && truncate(p->log, 0) != 0)
        return fault_errno(why, errno, "empty %s", p->log);
    memdisk_kill(p->mem);
    memset(p->file, 0, sizeof p->file);

    s = disk_os_open(p->dir, &real, why);
    if (s != ST_OK)
        return s;
    s = guessed ? write_out(p, real, why) : compare(p, real, why);
    disk_os_close(real);
    return s;
}

enum status power_cut(struct power *p, enum memdisk_loss loss, uint64_t seed, struct fault *why)
{
    struct disk *real;
    memdisk_reboot(p->mem, loss, seed);
    struct memdisk *left = memdisk_copy(p->mem); /* without files that have no name any more */
    memdisk_free(p->mem);
    p->mem = left;
    enum status s = disk_os_open(p->dir, &real, why);
    if (s != ST_OK)
        return s;
    s = write_out(p, real, why);
    disk_os_close(real);
    return s;
}

struct power_view power_view(const struct power *p)
{
    return p->view;
}
