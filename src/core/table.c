#include "core/table.h"

#include <stdlib.h>

#include "base/hash.h"

enum { ROOM_MIN = 16 };

void table_init(struct table *t)
{
    *t = (struct table){0};
}

void table_done(struct table *t)
{
    map_done(&t->by_key);
    for (size_t i = 0; i < t->count; i++)
        object_unref(t->items[i]);
    free(t->items);
    table_init(t);
}

struct object *table_find(const struct table *t, struct str key)
{
    return map_find(&t->by_key, key);
}

static void count_in(struct table *t, const struct object *o)
{
    t->bytes += o->size;
    t->hash += hash_mix(o->hash);
}

static void count_out(struct table *t, const struct object *o)
{
    t->bytes -= o->size;
    t->hash -= hash_mix(o->hash);
}

static void append(struct table *t, struct object *o)
{
    require(t->count < UINT32_MAX);
    if (t->count == t->room) {
        t->room = MAX(2 * t->room, (size_t)ROOM_MIN);
        t->items = mem_grow(t->items, t->room, sizeof(struct object *));
    }
    o->slot = (uint32_t)t->count;
    t->items[t->count++] = o;
}

struct object *table_put(struct table *t, struct object *o)
{
    char room[OBJECT_KEY_MAX];
    struct object *before = map_put(&t->by_key, object_key(o, room), o);
    count_in(t, o);
    if (!before) {
        append(t, o);
        return NULL;
    }
    require(before != o);
    count_out(t, before);
    o->slot = before->slot;
    t->items[o->slot] = o;
    return before;
}

struct object *table_take(struct table *t, struct str key)
{
    struct object *o = map_take(&t->by_key, key);
    require(o && t->items[o->slot] == o);
    count_out(t, o);
    struct object *last = t->items[--t->count];
    last->slot = o->slot;
    t->items[o->slot] = last;
    return o;
}
