#include "sim/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a file holds; `size` and `seen` as the daemon sees them, the rest as they are on the platter. */
struct inode {
    struct list item;
    uint8_t *seen, *platter;
    uint64_t size, platter_size;
    size_t room;
    uint8_t *dirty; /* by sector: seen and platter may differ, and a sync would write it */
    bool size_dirty;
    uint64_t from, to; /* what was written since the last sync lies between these; to 0: nothing */
    uint64_t last_from, last_to; /* likewise before it */
};

struct disk_file {
    struct inode *inode;
};

enum change { NAME_MADE, NAME_REMOVED, NAME_MOVED };

struct pending {
    struct list item;
    enum change change;
    struct inode *inode;
    char name[DISK_NAME_MAX + 1], to[DISK_NAME_MAX + 1];
};

static struct sim_disk *self(struct disk *d)
{
    return CONTAINER_OF(d, struct sim_disk, port);
}

/* --- inodes --- */

static struct inode *inode_new(struct sim_disk *d)
{
    struct inode *i = NEW(struct inode);
    list_push(&d->inodes, &i->item);
    return i;
}

static void inode_free(struct inode *i)
{
    list_cut(&i->item);
    free(i->seen);
    free(i->platter);
    free(i->dirty);
    free(i);
}

static size_t sectors(uint64_t bytes)
{
    return (size_t)((bytes + SECTOR - 1) / SECTOR);
}

static void inode_grow(struct inode *i, uint64_t size)
{
    if (size <= i->room)
        return;
    size_t room = MAX(sectors(size) * SECTOR, 2 * i->room);
    i->seen = mem_grow(i->seen, room, 1);
    i->platter = mem_grow(i->platter, room, 1);
    i->dirty = mem_grow(i->dirty, room / SECTOR, 1);
    memset(i->seen + i->room, 0, room - i->room);
    memset(i->platter + i->room, 0, room - i->room);
    memset(i->dirty + i->room / SECTOR, 0, (room - i->room) / SECTOR);
    i->room = room;
}

static void inode_write(struct inode *i, uint64_t offset, const void *data, size_t len)
{
    if (len == 0)
        return;
    inode_grow(i, offset + len);
    if (data)
        memcpy(i->seen + offset, data, len);
    else
        memset(i->seen + offset, 0, len);
    for (size_t k = (size_t)(offset / SECTOR); k < sectors(offset + len); k++)
        i->dirty[k] = 1;
    if (offset + len > i->size) {
        i->size = offset + len;
        i->size_dirty = true;
    }
}

static void sector_to_platter(struct inode *i, size_t k)
{
    memcpy(i->platter + k * SECTOR, i->seen + k * SECTOR, SECTOR);
    i->dirty[k] = 0;
}

static void note_write(struct inode *i, uint64_t offset, uint64_t len)
{
    i->from = i->to ? MIN(i->from, offset) : offset;
    i->to = MAX(i->to, offset + len);
}

static void note_sync(struct inode *i)
{
    if (i->to) {
        i->last_from = i->from;
        i->last_to = i->to;
    }
    i->from = i->to = 0;
}

static void inode_sync(struct inode *i)
{
    for (size_t k = 0; k < i->room / SECTOR; k++)
        if (i->dirty[k])
            sector_to_platter(i, k);
    i->platter_size = i->size;
    i->size_dirty = false;
}

/* The write-out failed: some of it happened, and what did not will not be tried again. */
static void inode_sync_failed(struct inode *i, struct rng *r)
{
    for (size_t k = 0; k < i->room / SECTOR; k++) {
        if (i->dirty[k] && rng_chance(r, 500))
            sector_to_platter(i, k);
        i->dirty[k] = 0;
    }
    if (i->size_dirty && rng_chance(r, 500))
        i->platter_size = i->size;
}

/* Each sector that was not synced is there or not. */
static void inode_power_cut(struct inode *i, struct sim *s)
{
    size_t lost = 0, kept = 0;
    for (size_t k = 0; k < i->room / SECTOR; k++) {
        if (!i->dirty[k])
            continue;
        if (rng_chance(&s->disk, 500)) {
            sector_to_platter(i, k);
            kept++;
        } else {
            i->dirty[k] = 0;
            lost++;
        }
    }
    if (i->size_dirty && rng_chance(&s->disk, 500))
        i->platter_size = i->size;
    i->size_dirty = false;
    i->size = i->platter_size;
    if (i->room) {
        memset(i->platter + i->size, 0, i->room - i->size);
        memcpy(i->seen, i->platter, i->room);
    }
    s->stats.lost_sectors += lost;
    s->stats.torn_writes += lost > 0 && kept > 0;
}

/* --- names --- */

static void note(struct sim_disk *d, enum change change, struct inode *i, const char *name,
                 const char *to)
{
    struct pending *p = NEW(struct pending);
    p->change = change;
    p->inode = i;
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    (void)snprintf(p->to, sizeof p->to, "%s", to);
    list_push(&d->pending, &p->item);
}

static void unbind(struct map *names, const char *name, const struct inode *i)
{
    if (map_find(names, str_from(name)) == i)
        (void)map_take(names, str_from(name));
}

static void settle(struct sim_disk *d, const struct pending *p)
{
    switch (p->change) {
    case NAME_MADE: (void)map_put(&d->platter, str_from(p->name), p->inode); return;
    case NAME_REMOVED: unbind(&d->platter, p->name, p->inode); return;
    case NAME_MOVED:
        unbind(&d->platter, p->name, p->inode);
        (void)map_put(&d->platter, str_from(p->to), p->inode);
        return;
    }
}

static void settle_all(struct sim_disk *d, bool all)
{
    LIST_EACH(it, &d->pending) {
        struct pending *p = CONTAINER_OF(it, struct pending, item);
        if (all || rng_chance(&d->sim->disk, 500))
            settle(d, p);
        else
            d->sim->stats.lost_names++;
        list_cut(it);
        free(p);
    }
}

static void copy_names(struct map *to, const struct map *from)
{
    map_done(to);
    MAP_EACH(from, name, inode)
        (void)map_put(to, name, inode);
}

/* Free what no name leads to any more. */
static void sweep(struct sim_disk *d)
{
    LIST_EACH(it, &d->inodes) {
        struct inode *i = CONTAINER_OF(it, struct inode, item);
        bool found = false;
        MAP_EACH(&d->names, name, value)
            found |= value == i;
        if (!found)
            inode_free(i);
    }
}

/* --- faults --- */

static enum status frozen(struct fault *why)
{
    return fault_set(why, ST_IO, "the disk is gone");
}

/* Count one operation. ST_IO: it is the last one, or comes after it. */
static enum status count(struct sim_disk *d, struct fault *why)
{
    if (d->frozen)
        return frozen(why);
    if (++d->ops < d->crash_at_op)
        return ST_OK;
    d->frozen = true;
    return frozen(why);
}

static enum status break_down(struct sim_disk *d, uint32_t per_mille, const char *what,
                              struct fault *why)
{
    if (!rng_chance(&d->sim->disk, per_mille))
        return ST_OK;
    d->sim->stats.disk_errors++;
    sim_trace(d->sim, "disk: %s fails", what);
    return fault_set(why, ST_IO, "%s: Input/output error", what);
}

static enum status no_space(struct sim_disk *d, struct fault *why)
{
    d->sim->stats.no_space++;
    sim_trace(d->sim, "disk: no space");
    return fault_set(why, ST_NO_SPACE, "No space left on device");
}

/* --- the port --- */

static enum status disk_open(struct disk *port, const char *name, bool create,
                             struct disk_file **ret, struct fault *why)
{
    struct sim_disk *d = self(port);
    struct inode *i = map_find(&d->names, str_from(name));
    if (!i && !create)
        return d->frozen ? frozen(why) : fault_set(why, ST_NOT_FOUND, "there is no %s", name);
    enum status s = count(d, why);
    if (s != ST_OK)
        return s;
    if (!i) {
        if (d->full)
            return no_space(d, why);
        i = inode_new(d);
        (void)map_put(&d->names, str_from(name), i);
        note(d, NAME_MADE, i, name, "");
    }
    *ret = NEW(struct disk_file);
    (*ret)->inode = i;
    return ST_OK;
}

static void disk_close(struct disk *port, struct disk_file *f)
{
    (void)port;
    free(f);
}

static enum status disk_read(struct disk *port, struct disk_file *f, uint64_t offset, void *out,
                             size_t len, size_t *ret_len, struct fault *why)
{
    struct sim_disk *d = self(port);
    enum status s = d->frozen ? frozen(why) : ST_OK;
    if (s == ST_OK && d->recovering)
        s = break_down(d, d->sim->faults.read_error, "read", why);
    if (s != ST_OK)
        return s;
    size_t n = offset < f->inode->size ? (size_t)MIN(len, f->inode->size - offset) : 0;
    if (n)
        memcpy(out, f->inode->seen + offset, n);
    *ret_len = n;
    return ST_OK;
}

static enum status disk_write(struct disk *port, struct disk_file *f, uint64_t offset,
                              const void *data, size_t len, struct fault *why)
{
    struct sim_disk *d = self(port);
    bool was_frozen = d->frozen;
    enum status s = count(d, why);
    if (s == ST_OK)
        s = break_down(d, d->sim->faults.write_error, "write", why);
    if (s == ST_OK && d->full && offset + len > f->inode->size)
        s = no_space(d, why);
    /* A write that fails may have got anywhere. */
    size_t done = s == ST_OK ? len : was_frozen ? 0 : (size_t)rng_below(&d->sim->disk, len + 1);
    inode_write(f->inode, offset, data, done);
    if (len > 0)
        note_write(f->inode, offset, len);
    return s;
}

static enum status disk_allocate(struct disk *port, struct disk_file *f, uint64_t size,
                                 struct fault *why)
{
    struct sim_disk *d = self(port);
    enum status s = count(d, why);
    if (s != ST_OK || size <= f->inode->size)
        return s;
    if (d->full)
        return no_space(d, why);
    inode_write(f->inode, f->inode->size, NULL, (size_t)(size - f->inode->size));
    return ST_OK;
}

static enum status disk_truncate(struct disk *port, struct disk_file *f, uint64_t size,
                                 struct fault *why)
{
    struct sim_disk *d = self(port);
    struct inode *i = f->inode;
    enum status s = count(d, why);
    if (s != ST_OK)
        return s;
    inode_grow(i, size);
    if (size < i->size)
        memset(i->seen + size, 0, (size_t)(i->size - size));
    for (size_t k = (size_t)(MIN(size, i->size) / SECTOR); k < sectors(MAX(size, i->size)); k++)
        i->dirty[k] = 1;
    i->size_dirty |= size != i->size;
    i->size = size;
    return ST_OK;
}

static enum status disk_sync(struct disk *port, struct disk_file *f, struct fault *why)
{
    struct sim_disk *d = self(port);
    enum status s = count(d, why);
    if (s != ST_OK)
        return s;
    s = break_down(d, d->sim->faults.sync_error, "sync", why);
    if (s == ST_OK)
        note_sync(f->inode);
    if (s == ST_OK && d->lies)
        d->sim->stats.lies++;
    else if (s == ST_OK)
        inode_sync(f->inode);
    else
        inode_sync_failed(f->inode, &d->sim->disk);
    return s;
}

static enum status disk_size(struct disk *port, struct disk_file *f, uint64_t *ret,
                             struct fault *why)
{
    if (self(port)->frozen)
        return frozen(why);
    *ret = f->inode->size;
    return ST_OK;
}

static enum status disk_rename(struct disk *port, const char *from, const char *to,
                               struct fault *why)
{
    struct sim_disk *d = self(port);
    enum status s = count(d, why);
    if (s != ST_OK)
        return s;
    struct inode *i = map_take(&d->names, str_from(from));
    if (!i)
        return fault_set(why, ST_NOT_FOUND, "there is no %s", from);
    (void)map_put(&d->names, str_from(to), i);
    note(d, NAME_MOVED, i, from, to);
    return ST_OK;
}

static enum status disk_remove(struct disk *port, const char *name, struct fault *why)
{
    struct sim_disk *d = self(port);
    enum status s = count(d, why);
    if (s != ST_OK)
        return s;
    struct inode *i = map_take(&d->names, str_from(name));
    if (!i)
        return fault_set(why, ST_NOT_FOUND, "there is no %s", name);
    note(d, NAME_REMOVED, i, name, "");
    return ST_OK;
}

static enum status disk_sync_dir(struct disk *port, struct fault *why)
{
    struct sim_disk *d = self(port);
    enum status s = count(d, why);
    if (s == ST_OK)
        s = break_down(d, d->sim->faults.sync_error, "sync of the directory", why);
    if (s == ST_OK && !d->lies)
        settle_all(d, true);
    return s;
}

static enum status disk_list(struct disk *port, void (*each)(void *ctx, const char *name),
                             void *ctx, struct fault *why)
{
    struct sim_disk *d = self(port);
    if (d->frozen)
        return frozen(why);
    struct map names;
    map_init(&names);
    copy_names(&names, &d->names); /* each() may change them */
    MAP_EACH(&names, name, value) {
        char text[DISK_NAME_MAX + 1];
        if (value && str_copy(name, text, sizeof text, NULL) == ST_OK)
            each(ctx, text);
    }
    map_done(&names);
    return ST_OK;
}

/* --- the world --- */

void sim_disk_init(struct sim_disk *d, struct sim *s)
{
    *d = (struct sim_disk){
        .port = {disk_open, disk_close, disk_read, disk_write, disk_allocate, disk_truncate,
                 disk_sync, disk_size, disk_rename, disk_remove, disk_sync_dir, disk_list},
        .sim = s,
        .crash_at_op = UINT64_MAX,
    };
    map_init(&d->names);
    map_init(&d->platter);
    list_init(&d->inodes);
    list_init(&d->pending);
}

void sim_disk_done(struct sim_disk *d)
{
    LIST_EACH(it, &d->pending)
        free(CONTAINER_OF(it, struct pending, item));
    LIST_EACH(it, &d->inodes)
        inode_free(CONTAINER_OF(it, struct inode, item));
    map_done(&d->names);
    map_done(&d->platter);
}

void sim_disk_crash_after(struct sim_disk *d, uint64_t ops)
{
    d->crash_at_op = d->ops + ops;
}

void sim_disk_thaw(struct sim_disk *d)
{
    d->frozen = false;
    d->crash_at_op = UINT64_MAX;
}

void sim_disk_power_cut(struct sim_disk *d)
{
    sim_disk_thaw(d);
    settle_all(d, false);
    LIST_EACH(it, &d->inodes)
        inode_power_cut(CONTAINER_OF(it, struct inode, item), d->sim);
    copy_names(&d->names, &d->platter);
    sweep(d);
}

void sim_disk_honest(struct sim_disk *d)
{
    d->lies = false;
    settle_all(d, true);
    LIST_EACH(it, &d->inodes)
        inode_sync(CONTAINER_OF(it, struct inode, item));
}

bool sim_disk_look(struct sim_disk *d, const char *name, struct sim_disk_view *ret)
{
    struct inode *i = map_find(&d->names, str_from(name));
    if (i)
        *ret = (struct sim_disk_view){i->seen, i->platter, i->size, i->last_from, i->last_to};
    return i != NULL;
}

void sim_disk_cut(struct sim_disk *d, const char *name, uint64_t size)
{
    struct inode *i = map_find(&d->names, str_from(name));
    if (!i || size >= i->size)
        return;
    memset(i->seen + size, 0, (size_t)(i->room - size));
    memset(i->platter + size, 0, (size_t)(i->room - size));
    i->size = i->platter_size = size;
}

void sim_disk_lose(struct sim_disk *d, const char *name)
{
    struct inode *i = map_take(&d->names, str_from(name));
    if (i)
        unbind(&d->platter, name, i);
}

void sim_disk_flush(struct sim_disk *d)
{
    sim_disk_thaw(d);
    settle_all(d, true);
    LIST_EACH(it, &d->inodes)
        inode_sync(CONTAINER_OF(it, struct inode, item));
    sweep(d);
}

static struct inode *inode_copy(const struct inode *from, struct sim_disk *out)
{
    struct inode *i = inode_new(out);
    inode_grow(i, from->room);
    if (from->room) {
        memcpy(i->seen, from->seen, from->room);
        memcpy(i->platter, from->platter, from->room);
        memcpy(i->dirty, from->dirty, from->room / SECTOR);
    }
    i->size = from->size;
    i->platter_size = from->platter_size;
    i->size_dirty = from->size_dirty;
    return i;
}

/* Give the names and pending changes that lead to `from` their copy instead. */
static void rebind(const struct sim_disk *d, struct sim_disk *out, const struct inode *from,
                   struct inode *to)
{
    MAP_EACH(&d->names, name, value)
        if (value == from)
            (void)map_put(&out->names, name, to);
    MAP_EACH(&d->platter, key, inode)
        if (inode == from)
            (void)map_put(&out->platter, key, to);
    LIST_EACH(it, &out->pending) {
        struct pending *p = CONTAINER_OF(it, struct pending, item);
        if (p->inode == from)
            p->inode = to;
    }
}

void sim_disk_copy(const struct sim_disk *d, struct sim *s, struct sim_disk *out)
{
    sim_disk_init(out, s);
    LIST_EACH(it, &d->pending) {
        const struct pending *p = CONTAINER_OF(it, struct pending, item);
        note(out, p->change, p->inode, p->name, p->to);
    }
    LIST_EACH(at, &d->inodes) {
        const struct inode *from = CONTAINER_OF(at, struct inode, item);
        rebind(d, out, from, inode_copy(from, out));
    }
}
