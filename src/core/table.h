/*
 * table: all objects of one kind, by key, and as an array of which a copy is cheap.
 *
 * The table holds one reference to each object. The array has no order that means anything.
 */
#pragma once

#include "base/map.h"
#include "core/object.h"

struct table {
    struct map by_key;     /* object_key() -> struct object */
    struct object **items; /* the same ones; an object's `slot` is its place */
    size_t count, room;
    uint64_t bytes; /* sum of sizes */
    uint64_t hash;  /* sum of mixed hashes: whatever the order in which it came to be */
};

void table_init(struct table *t);
void table_done(struct table *t);

struct object *table_find(const struct table *t, struct str key); /* borrowed, or NULL */
/* o's reference is taken. Returns what it replaced, whose reference is the caller's, or NULL. */
struct object *table_put(struct table *t, struct object *o);
/* The object of this key, which must be there; its reference is the caller's. */
struct object *table_take(struct table *t, struct str key);
