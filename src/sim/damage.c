#include "sim/damage.h"

#include <stdio.h>
#include <string.h>

enum { FILES_MAX = 256, TRIES = 20 };

struct damage {
    struct sim_disk *disk, *other;
    struct rng *r;
    char name[FILES_MAX][DISK_NAME_MAX + 1];   /* rising */
    size_t count, last_segment, first_guarded; /* of names */
    /* What is to be struck. */
    const char *file;
    bool is_segment, is_last, is_guarded; /* is_last: of segments */
    struct sim_disk_view v;
    char *text;
};

static void add_name(void *ctx, const char *name)
{
    struct damage *d = ctx;
    if (d->count == FILES_MAX)
        return;
    if (str_starts(str_from(name), "segment-"))
        d->last_segment = d->count;
    memcpy(d->name[d->count++], name, strlen(name) + 1);
}

/* May the bytes in [from, to) be changed? */
static bool is_free(const struct damage *d, uint64_t from, uint64_t to)
{
    return to <= d->v.size && (!d->is_guarded || to <= d->v.last_from || from >= d->v.last_to);
}

/* Some byte, mostly one that was written: there are zeros behind. */
static uint64_t somewhere(const struct damage *d)
{
    uint64_t end = d->v.last_to && rng_chance(d->r, 800) ? MIN(d->v.last_to, d->v.size) : d->v.size;
    return rng_below(d->r, MAX(end, 1u));
}

static void put(struct damage *d, uint64_t at, const void *bytes, size_t len)
{
    memcpy(d->v.seen + at, bytes, len);
    memcpy(d->v.platter + at, bytes, len);
}

static bool flip(struct damage *d)
{
    uint64_t at = somewhere(d);
    if (!is_free(d, at, at + 1))
        return false;
    uint8_t byte = d->v.seen[at] ^ (uint8_t)(1u << rng_below(d->r, 8));
    put(d, at, &byte, 1);
    (void)snprintf(d->text, DAMAGE_TEXT_MAX, "a bit of %s flips at %" PRIu64, d->file, at);
    return true;
}

static bool overwrite_sector(struct damage *d)
{
    static const uint8_t zeros[SECTOR];
    uint64_t at = somewhere(d) / SECTOR * SECTOR;
    struct sim_disk_view from;
    const char *name = d->name[rng_below(d->r, d->count)];
    if (!is_free(d, at, at + SECTOR) || !sim_disk_look(d->disk, name, &from) || from.size < SECTOR)
        return false;
    bool lost = rng_chance(d->r, 500);
    uint64_t source = rng_below(d->r, from.size / SECTOR) * SECTOR;
    uint8_t bytes[SECTOR];
    memcpy(bytes, lost ? zeros : from.seen + source, SECTOR);
    put(d, at, bytes, SECTOR);
    (void)snprintf(d->text, DAMAGE_TEXT_MAX, "%s at %" PRIu64 " holds %s", d->file, at,
                   lost ? "nothing" : "what was meant for another place");
    return true;
}

static bool cut_short(struct damage *d)
{
    if (d->is_guarded)
        return false;
    uint64_t size = rng_below(d->r, d->v.size);
    sim_disk_cut(d->disk, d->file, size);
    (void)snprintf(d->text, DAMAGE_TEXT_MAX, "%s is cut to %" PRIu64 " bytes", d->file, size);
    return true;
}

static bool is_gone(struct damage *d)
{
    if (d->is_last)
        return false;
    sim_disk_lose(d->disk, d->file);
    (void)snprintf(d->text, DAMAGE_TEXT_MAX, "%s is gone", d->file);
    return true;
}

static bool is_of_another(struct damage *d)
{
    struct sim_disk_view from;
    if (d->is_last || !d->other || !sim_disk_look(d->other, d->file, &from))
        return false;
    put(d, 0, from.seen, (size_t)MIN(from.size, d->v.size));
    (void)snprintf(d->text, DAMAGE_TEXT_MAX, "%s is that of another", d->file);
    return true;
}

/* From which segment on some of it must be left alone. */
static void guard(struct damage *d)
{
    bool synced = sim_disk_look(d->disk, d->name[d->last_segment], &d->v) && d->v.last_to > 0;
    d->first_guarded = d->last_segment - (!synced && d->last_segment > 0);
}

bool damage_strike(struct sim_disk *disk, struct sim_disk *other, struct rng *r,
                   char ret_text[DAMAGE_TEXT_MAX])
{
    static bool (*const kinds[])(struct damage * d) = {flip,      flip,    overwrite_sector,
                                                       cut_short, is_gone, is_of_another};
    struct damage d = {.disk = disk, .other = other, .r = r, .text = ret_text};
    if (!list_empty(&disk->pending) || disk->frozen ||
        disk->port.list(&disk->port, add_name, &d, NULL) != ST_OK || d.count == 0)
        return false;
    guard(&d);
    for (unsigned i = 0; i < TRIES; i++) {
        size_t k = (size_t)rng_below(r, d.count);
        d.file = d.name[k];
        d.is_segment = str_starts(str_from(d.file), "segment-");
        d.is_last = d.is_segment && k == d.last_segment;
        d.is_guarded = d.is_segment && k >= d.first_guarded;
        if (sim_disk_look(disk, d.file, &d.v) && d.v.size > 0 &&
            kinds[rng_below(r, ARRAY_COUNT(kinds))](&d))
            return true;
    }
    return false;
}
