#include "support/memdisk.h"

#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

enum { SECTOR = 512, PAGE = 4096, FILES_MAX = 192, INODES_MAX = 1024, PENDING_MAX = 128 };

struct bytes {
    uint8_t *ptr;
    size_t len, room;
};

/* What was done to a file and not synced: data written, or a new length. */
struct change {
    bool resize;
    uint64_t offset; /* or the new length */
    struct bytes data;
};

struct inode {
    struct bytes now, platter;
    struct change *changes;
    size_t change_count, change_room;
};

struct entry {
    char name[DISK_NAME_MAX + 1];
    struct inode *inode;
};

struct folder {
    struct entry entry[FILES_MAX];
    size_t count;
};

struct name_change {
    char from[DISK_NAME_MAX + 1]; /* "": created */
    char to[DISK_NAME_MAX + 1];   /* "": removed */
    struct inode *inode;
};

struct disk_file {
    struct inode *inode;
    struct disk_file *next;
};

struct memdisk {
    struct disk disk;
    struct inode *inodes[INODES_MAX];
    size_t inode_count;
    struct folder now, platter;
    struct name_change names[PENDING_MAX];
    size_t name_count;
    struct disk_file *open;
    uint64_t ops, syncs, crash_at, fail_at, after_failure;
    enum status failure;
    bool crashed, failed;
};

static struct memdisk *self(struct disk *d)
{
    return (struct memdisk *)d; /* disk is its first field */
}

static void resize(struct bytes *b, size_t len)
{
    if (len > b->room) {
        b->room = MAX(len, 2 * b->room);
        b->ptr = mem_grow(b->ptr, b->room, 1);
    }
    if (len > b->len)
        memset(b->ptr + b->len, 0, len - b->len);
    b->len = len;
}

static void put(struct bytes *b, uint64_t offset, const void *data, size_t len)
{
    if (len == 0)
        return;
    if (offset + len > b->len)
        resize(b, (size_t)offset + len);
    memcpy(b->ptr + offset, data, len);
}

static struct inode *inode_new(struct memdisk *m)
{
    require(m->inode_count < INODES_MAX);
    return m->inodes[m->inode_count++] = NEW(struct inode);
}

static void forget_changes(struct inode *n)
{
    for (size_t i = 0; i < n->change_count; i++)
        free(n->changes[i].data.ptr);
    n->change_count = 0;
}

static void remember(struct inode *n, struct change c)
{
    if (n->change_count == n->change_room) {
        n->change_room = n->change_room ? 2 * n->change_room : 8;
        n->changes = mem_grow(n->changes, n->change_room, sizeof *n->changes);
    }
    n->changes[n->change_count++] = c;
}

static struct entry *find(struct folder *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->entry[i].name, name) == 0)
            return &f->entry[i];
    return NULL;
}

static void unlink_name(struct folder *f, const char *name)
{
    struct entry *e = find(f, name);
    if (e)
        *e = f->entry[--f->count];
}

static void link_name(struct folder *f, const char *name, struct inode *n)
{
    unlink_name(f, name);
    require(f->count < FILES_MAX);
    struct entry *e = &f->entry[f->count++];
    strcpy(e->name, name);
    e->inode = n;
}

static void apply_name(struct folder *f, const struct name_change *c)
{
    if (c->from[0] && !find(f, c->from))
        return;
    if (c->from[0])
        unlink_name(f, c->from);
    if (c->to[0])
        link_name(f, c->to, c->inode);
}

static void change_name(struct memdisk *m, const char *from, const char *to, struct inode *n)
{
    require(m->name_count < PENDING_MAX);
    struct name_change *c = &m->names[m->name_count++];
    *c = (struct name_change){.inode = n};
    strcpy(c->from, from);
    strcpy(c->to, to);
    apply_name(&m->now, c);
}

/* Does this operation take place? If not, *s is what it returns; *halves tells how much of a write
 * is on its way all the same. */
static bool begins(struct memdisk *m, enum status *s, unsigned *halves, struct fault *why)
{
    *halves = 2;
    if (m->failed)
        m->after_failure++;
    if (m->crashed || m->ops == m->crash_at) {
        *halves = m->crashed ? 0 : 2;
        m->crashed = true;
        *s = fault_set(why, ST_IO, "the machine is down");
        return false;
    }
    if (m->ops++ == m->fail_at) {
        *halves = 1;
        m->failed = true;
        *s = fault_set(why, m->failure, "made to fail");
        return false;
    }
    *s = ST_OK;
    return true;
}

static enum status reads(struct memdisk *m, struct fault *why)
{
    return m->crashed ? fault_set(why, ST_IO, "the machine is down") : ST_OK;
}

static enum status mem_open(struct disk *d, const char *name, bool create, struct disk_file **ret,
                            struct fault *why)
{
    struct memdisk *m = self(d);
    unsigned halves;
    enum status s = reads(m, why);
    if (s != ST_OK)
        return s;
    struct entry *e = find(&m->now, name);
    if (!e && !create)
        return fault_set(why, ST_NOT_FOUND, "%s is absent", name);
    if (!e) {
        if (!begins(m, &s, &halves, why))
            return s;
        change_name(m, "", name, inode_new(m));
        e = find(&m->now, name);
    }
    struct disk_file *f = NEW(struct disk_file);
    *f = (struct disk_file){e->inode, m->open};
    m->open = f;
    *ret = f;
    return ST_OK;
}

static void mem_close(struct disk *d, struct disk_file *f)
{
    struct disk_file **at = &self(d)->open;
    while (*at != f) {
        require(*at);
        at = &(*at)->next;
    }
    *at = f->next;
    free(f);
}

static enum status mem_read(struct disk *d, struct disk_file *f, uint64_t offset, void *out,
                            size_t len, size_t *ret_len, struct fault *why)
{
    enum status s = reads(self(d), why);
    if (s != ST_OK)
        return s;
    const struct bytes *b = &f->inode->now;
    size_t left = offset < b->len ? b->len - (size_t)offset : 0;
    *ret_len = MIN(len, left);
    if (*ret_len)
        memcpy(out, b->ptr + offset, *ret_len);
    return ST_OK;
}

static void write_now(struct inode *n, uint64_t offset, const void *data, size_t len)
{
    put(&n->now, offset, data, len);
    remember(n, (struct change){.offset = offset, .data = {.ptr = mem_dup(data, len), .len = len}});
}

static enum status mem_write(struct disk *d, struct disk_file *f, uint64_t offset, const void *data,
                             size_t len, struct fault *why)
{
    enum status s;
    unsigned halves;
    (void)begins(self(d), &s, &halves, why);
    write_now(f->inode, offset, data, len * halves / 2);
    return s;
}

static enum status mem_allocate(struct disk *d, struct disk_file *f, uint64_t size,
                                struct fault *why)
{
    enum status s;
    unsigned halves;
    if (!begins(self(d), &s, &halves, why) || size <= f->inode->now.len)
        return s;
    uint64_t from = f->inode->now.len;
    uint8_t *zeros = mem_new((size_t)(size - from));
    write_now(f->inode, from, zeros, (size_t)(size - from));
    free(zeros);
    return s;
}

static enum status mem_truncate(struct disk *d, struct disk_file *f, uint64_t size,
                                struct fault *why)
{
    enum status s;
    unsigned halves;
    if (begins(self(d), &s, &halves, why)) {
        resize(&f->inode->now, (size_t)size);
        remember(f->inode, (struct change){.resize = true, .offset = size});
    }
    return s;
}

/* `tear`, if any, says which pieces of it take place. */
static void apply_change(struct bytes *b, const struct change *c, struct rng *tear, uint32_t keep,
                         size_t piece)
{
    if (c->resize) {
        if (!tear || rng_chance(tear, keep))
            resize(b, (size_t)c->offset);
        return;
    }
    for (size_t done = 0; done < c->data.len;) {
        uint64_t at = c->offset + done;
        size_t step = MIN((size_t)(piece - at % piece), c->data.len - done);
        if (!tear || rng_chance(tear, keep))
            put(b, at, c->data.ptr + done, step);
        done += step;
    }
}

/* A sync that fails leaves what was to be written in memory, for reads to see, and as if it were
 * written: no later sync does it. So Linux behaves. */
static enum status mem_sync(struct disk *d, struct disk_file *f, struct fault *why)
{
    enum status s;
    unsigned halves;
    struct inode *n = f->inode;
    if (begins(self(d), &s, &halves, why)) {
        self(d)->syncs++;
        for (size_t i = 0; i < n->change_count; i++)
            apply_change(&n->platter, &n->changes[i], NULL, 0, SECTOR);
    }
    if (!self(d)->crashed)
        forget_changes(n);
    return s;
}

static enum status mem_size(struct disk *d, struct disk_file *f, uint64_t *ret, struct fault *why)
{
    *ret = f->inode->now.len;
    return reads(self(d), why);
}

static enum status mem_rename(struct disk *d, const char *from, const char *to, struct fault *why)
{
    struct memdisk *m = self(d);
    struct entry *e = find(&m->now, from);
    enum status s;
    unsigned halves;
    if (!e)
        return fault_set(why, ST_NOT_FOUND, "%s is absent", from);
    if (begins(m, &s, &halves, why))
        change_name(m, from, to, e->inode);
    return s;
}

static enum status mem_remove(struct disk *d, const char *name, struct fault *why)
{
    struct memdisk *m = self(d);
    enum status s;
    unsigned halves;
    if (!find(&m->now, name))
        return fault_set(why, ST_NOT_FOUND, "%s is absent", name);
    if (begins(m, &s, &halves, why))
        change_name(m, name, "", NULL);
    return s;
}

static enum status mem_sync_dir(struct disk *d, struct fault *why)
{
    struct memdisk *m = self(d);
    enum status s;
    unsigned halves;
    if (begins(m, &s, &halves, why)) {
        m->platter = m->now;
        m->name_count = 0;
    }
    return s;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static enum status mem_list(struct disk *d, void (*each)(void *ctx, const char *name), void *ctx,
                            struct fault *why)
{
    struct memdisk *m = self(d);
    enum status s = reads(m, why);
    if (s != ST_OK)
        return s;
    qsort(m->now.entry, m->now.count, sizeof m->now.entry[0], by_name);
    for (size_t i = 0; i < m->now.count; i++)
        each(ctx, m->now.entry[i].name);
    return ST_OK;
}

struct memdisk *memdisk_new(void)
{
    struct memdisk *m = NEW(struct memdisk);
    m->disk = (struct disk){
        .open = mem_open,
        .close = mem_close,
        .read = mem_read,
        .write = mem_write,
        .allocate = mem_allocate,
        .truncate = mem_truncate,
        .sync = mem_sync,
        .size = mem_size,
        .rename = mem_rename,
        .remove = mem_remove,
        .sync_dir = mem_sync_dir,
        .list = mem_list,
    };
    m->crash_at = m->fail_at = UINT64_MAX;
    return m;
}

struct memdisk *memdisk_copy(const struct memdisk *m)
{
    struct memdisk *c = memdisk_new();
    for (size_t i = 0; i < m->platter.count; i++) {
        const struct bytes *b = &m->platter.entry[i].inode->platter;
        memdisk_put(c, m->platter.entry[i].name, b->ptr, b->len);
    }
    return c;
}

static void close_all(struct memdisk *m)
{
    while (m->open)
        mem_close(&m->disk, m->open);
}

void memdisk_free(struct memdisk *m)
{
    close_all(m);
    for (size_t i = 0; i < m->inode_count; i++) {
        struct inode *n = m->inodes[i];
        forget_changes(n);
        free(n->changes);
        free(n->now.ptr);
        free(n->platter.ptr);
        free(n);
    }
    free(m);
}

struct disk *memdisk_port(struct memdisk *m)
{
    return &m->disk;
}

uint64_t memdisk_ops(const struct memdisk *m)
{
    return m->ops;
}

uint64_t memdisk_syncs(const struct memdisk *m)
{
    return m->syncs;
}

void memdisk_crash_at(struct memdisk *m, uint64_t op)
{
    m->crash_at = op;
}

void memdisk_fail_at(struct memdisk *m, uint64_t op, enum status s)
{
    m->fail_at = op;
    m->failure = s;
}

uint64_t memdisk_ops_after_failure(const struct memdisk *m)
{
    return m->after_failure;
}

void memdisk_kill(struct memdisk *m)
{
    close_all(m);
    m->crashed = m->failed = false;
    m->crash_at = m->fail_at = UINT64_MAX;
    m->ops = m->syncs = m->after_failure = 0;
}

void memdisk_reboot(struct memdisk *m, enum memdisk_loss loss, uint64_t seed)
{
    struct rng r = {seed};
    uint32_t keep = loss == MEMDISK_LOSE   ? 0
                    : loss == MEMDISK_KEEP ? 1000
                                           : (uint32_t)rng_range(&r, 50, 950);
    size_t piece = loss == MEMDISK_TEAR_PAGES ? PAGE : SECTOR;
    memdisk_kill(m);
    for (size_t i = 0; i < m->name_count; i++)
        if (rng_chance(&r, keep))
            apply_name(&m->platter, &m->names[i]);
    m->name_count = 0;
    m->now = m->platter;

    for (size_t i = 0; i < m->inode_count; i++) {
        struct inode *n = m->inodes[i];
        for (size_t k = 0; k < n->change_count; k++)
            apply_change(&n->platter, &n->changes[k], &r, keep, piece);
        forget_changes(n);
        resize(&n->now, n->platter.len);
        put(&n->now, 0, n->platter.ptr, n->platter.len);
    }
}

uint8_t *memdisk_bytes(struct memdisk *m, const char *name, size_t *ret_len)
{
    struct entry *e = find(&m->platter, name);
    if (!e)
        return NULL;
    *ret_len = e->inode->platter.len;
    return e->inode->platter.ptr;
}

void memdisk_put(struct memdisk *m, const char *name, const void *bytes, size_t len)
{
    struct inode *n = inode_new(m);
    put(&n->now, 0, bytes, len);
    put(&n->platter, 0, bytes, len);
    link_name(&m->now, name, n);
    link_name(&m->platter, name, n);
}

void memdisk_remove(struct memdisk *m, const char *name)
{
    unlink_name(&m->now, name);
    unlink_name(&m->platter, name);
}
