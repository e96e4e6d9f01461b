#include "node/waiters.h"

#include <stdlib.h>

void waiters_init(struct waiters *w)
{
    list_init(&w->all);
    heap_init(&w->due);
    w->count = 0;
}

static struct waiter *take(struct waiters *w, struct waiter *x)
{
    list_cut(&x->item);
    heap_cut(&w->due, &x->due);
    w->count--;
    return x;
}

void waiters_done(struct waiters *w, enum status s, const char *text)
{
    struct fault why;
    (void)fault_set(&why, s, "%s", text);
    for (struct waiter *x; (x = waiters_take(w, UINT64_MAX));) {
        x->done(x->ctx, s, &why, NULL);
        free(x);
    }
    heap_done(&w->due);
}

struct waiter *waiters_add(struct waiters *w, uint64_t index, uint64_t term, uint64_t deadline_ms,
                           node_done *done, void *ctx)
{
    struct waiter *x = NEW(struct waiter);
    x->index = index;
    x->term = term;
    x->done = done;
    x->ctx = ctx;
    struct list *next = &w->all;
    while (next->prev != &w->all && CONTAINER_OF(next->prev, struct waiter, item)->index > index)
        next = next->prev;
    list_push(next, &x->item);
    heap_put(&w->due, &x->due, deadline_ms);
    w->count++;
    return x;
}

struct waiter *waiters_first(const struct waiters *w)
{
    return list_empty(&w->all) ? NULL : CONTAINER_OF(w->all.next, struct waiter, item);
}

struct waiter *waiters_last(const struct waiters *w)
{
    return list_empty(&w->all) ? NULL : CONTAINER_OF(w->all.prev, struct waiter, item);
}

void waiters_end(struct waiters *w, struct waiter *x, enum status s, const struct fault *why)
{
    (void)take(w, x);
    x->done(x->ctx, s, why, NULL);
    free(x);
}

struct waiter *waiters_take(struct waiters *w, uint64_t index)
{
    if (list_empty(&w->all))
        return NULL;
    struct waiter *x = CONTAINER_OF(w->all.next, struct waiter, item);
    return x->index <= index ? take(w, x) : NULL;
}

struct waiter *waiters_take_due(struct waiters *w, uint64_t now_ms)
{
    if (heap_first_key(&w->due) > now_ms || !heap_first(&w->due))
        return NULL;
    return take(w, CONTAINER_OF(heap_first(&w->due), struct waiter, due));
}

void waiters_forget(struct waiters *w, void *ctx)
{
    LIST_EACH(it, &w->all) {
        struct waiter *x = CONTAINER_OF(it, struct waiter, item);
        if (x->ctx == ctx)
            free(take(w, x));
    }
}
