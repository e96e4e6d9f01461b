#include "base/heap.h"

#include <stdlib.h>

enum { ROOM_MIN = 16 };

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_done(struct heap *h)
{
    free(h->item);
    heap_init(h);
}

static bool before(const struct heap_item *a, const struct heap_item *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void set(struct heap *h, size_t place, struct heap_item *it)
{
    h->item[place - 1] = it;
    it->place = place;
}

/* Put `it` at a hole, moving the hole up past what comes later. */
static void sift_up(struct heap *h, size_t hole, struct heap_item *it)
{
    for (; hole > 1 && before(it, h->item[hole / 2 - 1]); hole /= 2)
        set(h, hole, h->item[hole / 2 - 1]);
    set(h, hole, it);
}

static void sift_down(struct heap *h, size_t hole, struct heap_item *it)
{
    for (size_t child; (child = 2 * hole) <= h->count; hole = child) {
        if (child < h->count && before(h->item[child], h->item[child - 1]))
            child++;
        if (!before(h->item[child - 1], it))
            break;
        set(h, hole, h->item[child - 1]);
    }
    set(h, hole, it);
}

static void settle(struct heap *h, size_t hole, struct heap_item *it)
{
    if (hole > 1 && before(it, h->item[hole / 2 - 1]))
        sift_up(h, hole, it);
    else
        sift_down(h, hole, it);
}

void heap_put(struct heap *h, struct heap_item *it, uint64_t key)
{
    it->key = key;
    it->order = h->puts++;
    if (it->place) {
        require(it->place <= h->count && h->item[it->place - 1] == it);
        settle(h, it->place, it);
        return;
    }
    if (h->count == h->room) {
        h->room = MAX(2 * h->room, (size_t)ROOM_MIN);
        h->item = mem_grow(h->item, h->room, sizeof(struct heap_item *));
    }
    sift_up(h, ++h->count, it);
}

void heap_cut(struct heap *h, struct heap_item *it)
{
    size_t hole = it->place;
    if (!hole)
        return;
    require(hole <= h->count && h->item[hole - 1] == it);
    it->place = 0;
    struct heap_item *last = h->item[--h->count];
    if (last != it)
        settle(h, hole, last);
}

struct heap_item *heap_first(const struct heap *h)
{
    return h->count ? h->item[0] : NULL;
}

uint64_t heap_first_key(const struct heap *h)
{
    return h->count ? h->item[0]->key : UINT64_MAX;
}
