/*
 * list: a doubly linked ring through the objects themselves. The head is an item of its own.
 */
#pragma once

#include "base/defs.h"

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_push(struct list *head, struct list *item) /* at the end */
{
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

static inline void list_cut(struct list *item) /* out of its ring; it may be cut again */
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    list_init(item);
}

/* Walk; the current item may be cut or freed on the way. */
#define LIST_EACH(it, head)                                                   \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
         it = it##_next, it##_next = it->next)
