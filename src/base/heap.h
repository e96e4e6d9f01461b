/*
 * heap: what is due first. A binary heap of items that live inside the caller's objects.
 *
 * Items with equal keys leave in the order in which they were put, so a walk is the same in every
 * run. Put, move and cut cost O(log n); looking at the first costs O(1).
 */
#pragma once

#include "base/defs.h"

struct heap_item {
    uint64_t key; /* set by heap_put */
    uint64_t order;
    size_t place; /* 1 and up while in a heap, else 0: zeroed items are out */
};

struct heap {
    struct heap_item **item;
    size_t count, room;
    uint64_t puts;
};

void heap_init(struct heap *h);
void heap_done(struct heap *h); /* items are the caller's, and must not be used as such any more */

/* Put the item in, or move it if it is there already: then it stands behind its new equals. */
void heap_put(struct heap *h, struct heap_item *it, uint64_t key);
void heap_cut(struct heap *h, struct heap_item *it); /* fine for one that is out */
struct heap_item *heap_first(const struct heap *h);  /* NULL when empty */
uint64_t heap_first_key(const struct heap *h);       /* UINT64_MAX when empty */

static inline bool heap_holds(const struct heap_item *it)
{
    return it->place != 0;
}
