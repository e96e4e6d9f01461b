#include "core/done.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum { ROOM_MIN = 64, INDEX_ROOM_MIN = 64 };

static const uint8_t hash_key[16] = "blixard done ids";

static uint64_t hash_of(const struct done *d)
{
    struct buf b;
    buf_init(&b, 256);
    buf_add(&b, &d->key, sizeof d->key);
    buf_fmt(&b, "%" PRIu64 " %s %s %s", d->index, status_code(d->status), d->uid, d->operation_id);
    ensure(!b.full);
    uint64_t h = hash_sip(hash_key, b.ptr, b.len);
    buf_done(&b);
    return h;
}

static const char *copy_text(char **room, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*room, text, size);
    *room += size;
    return copy;
}

static void copy_id(char out[OBJECT_UID_MAX], const char *id)
{
    size_t len = strlen(id);
    require(len < OBJECT_UID_MAX);
    memcpy(out, id, len + 1);
}

struct done *done_new(const struct command_key *key, uint64_t index, enum status status,
                      const struct fault *why, const char *uid, const char *operation_id)
{
    const char *text = status == ST_OK ? "" : why->text;
    const char *hint = status == ST_OK ? "" : why->hint;
    const char *field = status == ST_OK ? "" : why->field;
    size_t size = sizeof(struct done) + strlen(text) + strlen(hint) + strlen(field) + 3;
    struct done *d = mem_new(size);
    *d = (struct done){.refs = 1, .index = index, .status = status, .key = *key};
    copy_id(d->uid, uid);
    copy_id(d->operation_id, operation_id);
    char *room = (char *)(d + 1);
    d->text = copy_text(&room, text);
    d->hint = copy_text(&room, hint);
    d->field = copy_text(&room, field);
    d->hash = hash_of(d);
    return d;
}

struct done *done_ref(struct done *d)
{
    require(d->refs > 0 && d->refs < UINT32_MAX);
    d->refs++;
    return d;
}

void done_unref(struct done *d)
{
    if (!d)
        return;
    require(d->refs > 0);
    if (--d->refs == 0)
        free(d);
}

/* --- the index: open addressing, each at the first free slot from where its hash points to --- */

static uint64_t hash_of_id(const uint8_t id[COMMAND_ID_SIZE])
{
    uint64_t half[2];
    static_assert(sizeof half == COMMAND_ID_SIZE, "an id is two words");
    memcpy(half, id, sizeof half);
    return hash_mix(half[0] ^ hash_mix(half[1]));
}

/* The slot that holds the id, or the free one where it would be. There is always a free one. */
static struct done_slot *index_slot(const struct done_index *x, const uint8_t id[COMMAND_ID_SIZE])
{
    uint64_t hash = hash_of_id(id);
    size_t i = hash & (x->room - 1);
    while (x->slot[i].done &&
           (x->slot[i].hash != hash || memcmp(x->slot[i].done->key.id, id, COMMAND_ID_SIZE) != 0))
        i = (i + 1) & (x->room - 1);
    return &x->slot[i];
}

static void index_grow(struct done_index *x)
{
    struct done_index was = *x;
    x->room = MAX(2 * was.room, (size_t)INDEX_ROOM_MIN);
    x->slot = mem_new(x->room * sizeof *x->slot);
    for (size_t i = 0; i < was.room; i++)
        if (was.slot[i].done)
            *index_slot(x, was.slot[i].done->key.id) = was.slot[i];
    free(was.slot);
}

static void index_put(struct done_index *x, struct done *d)
{
    if (4 * (x->count + 1) > 3 * x->room)
        index_grow(x);
    struct done_slot *s = index_slot(x, d->key.id);
    ensure(!s->done);
    *s = (struct done_slot){hash_of_id(d->key.id), d};
    x->count++;
}

/* Those behind it that would not be found past a free slot move up. */
static void index_take(struct done_index *x, const struct done *d)
{
    struct done_slot *s = index_slot(x, d->key.id);
    ensure(s->done == d);
    size_t mask = x->room - 1, hole = (size_t)(s - x->slot);
    for (size_t i = (hole + 1) & mask; x->slot[i].done; i = (i + 1) & mask) {
        size_t home = x->slot[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        x->slot[hole] = x->slot[i];
        hole = i;
    }
    x->slot[hole].done = NULL;
    x->count--;
}

/* --- the table --- */

void done_table_init(struct done_table *t)
{
    *t = (struct done_table){0};
}

void done_table_done(struct done_table *t)
{
    free(t->by_id.slot);
    for (size_t i = 0; i < t->count; i++)
        done_unref(t->items[t->first + i]);
    free(t->items);
    done_table_init(t);
}

const struct done *done_find(const struct done_table *t, const uint8_t id[COMMAND_ID_SIZE])
{
    return t->by_id.room ? index_slot(&t->by_id, id)->done : NULL;
}

uint64_t done_last_index(const struct done_table *t)
{
    return t->count ? t->items[t->first + t->count - 1]->index : 0;
}

/* Room for one more at the end: the front's, if half of it is free, else more. */
static void make_room(struct done_table *t)
{
    if (t->first + t->count < t->room)
        return;
    if (t->first > t->room / 2) {
        memmove(t->items, t->items + t->first, t->count * sizeof(struct done *));
        t->first = 0;
        return;
    }
    t->room = MAX(2 * t->room, (size_t)ROOM_MIN);
    t->items = mem_grow(t->items, t->room, sizeof(struct done *));
}

static void drop_oldest(struct done_table *t)
{
    struct done *d = t->items[t->first++];
    t->count--;
    t->hash -= hash_mix(d->hash);
    index_take(&t->by_id, d);
    done_unref(d);
}

void done_add(struct done_table *t, struct done *d, size_t count_max)
{
    require(d->index > done_last_index(t));
    index_put(&t->by_id, d);
    make_room(t);
    t->items[t->first + t->count++] = d;
    t->hash += hash_mix(d->hash);
    while (t->count > count_max)
        drop_oldest(t);
}
