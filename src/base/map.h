/*
 * map: from a text key to a pointer, sorted by key.
 *
 * A sorted order makes every walk the same on every replica, which hashes do not. It is a treap
 * whose priorities are hashes of the keys: its shape depends on its content alone. Find, put and
 * take cost O(log n); a walk costs O(1) a step on average.
 *
 * Keys are copied, values borrowed. Keys have 1 to MAP_KEY_MAX bytes.
 */
#pragma once

#include "base/str.h"

enum { MAP_KEY_MAX = 512 };

struct map_node;

struct map {
    struct map_node *root;
    size_t count;
};

void map_init(struct map *m);
void map_done(struct map *m);                        /* frees the nodes; values are the caller's */
void *map_find(const struct map *m, struct str key); /* NULL when absent */
void *map_put(struct map *m, struct str key, void *value); /* the value before, or NULL */
void *map_take(struct map *m, struct str key);             /* the value taken out, or NULL */

/* The first entry whose key is >= key (or > key, if `after`); false at the end. The view of the key
 * lives until the entry is taken out. */
bool map_seek(const struct map *m, struct str key, bool after, struct str *ret_key,
              void **ret_value);

/* Walk in key order: MAP_EACH(&m, key, value) { ... }. Nothing may be taken out on the way. */
#define MAP_EACH(m, key, value)                                                 \
    void *value;                                                                \
    struct str key = {"", 0};                                                   \
    for (bool key##_more = map_seek((m), key, false, &key, &value); key##_more; \
         key##_more = map_seek((m), key, true, &key, &value))
