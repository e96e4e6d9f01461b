/*
 * waiters: who is to be told when the state has come to an index, or when a deadline passes.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "node/node.h"

struct waiter {
    struct list item;     /* in the order of indexes */
    struct heap_item due; /* by deadline */
    uint64_t index, term;
    uint64_t number; /* of a read, to be confirmed; 0: it is, or it is none */
    node_done *done;
    void *ctx;
};

struct waiters {
    struct list all;
    struct heap due;
    size_t count;
};

void waiters_init(struct waiters *w);
/* Everyone who still waits is told s. */
void waiters_done(struct waiters *w, enum status s, const char *text);

/* The later the index among those that wait, the cheaper. */
struct waiter *waiters_add(struct waiters *w, uint64_t index, uint64_t term, uint64_t deadline_ms,
                           node_done *done, void *ctx);
/* The first, and the last one by index, which stay; NULL when there is none. */
struct waiter *waiters_first(const struct waiters *w);
struct waiter *waiters_last(const struct waiters *w);
/* Take x, and tell it that it is over; it is gone then. */
void waiters_end(struct waiters *w, struct waiter *x, enum status s, const struct fault *why);
/* The first one that waits for index or less; NULL when there is none. It is the caller's, who tells
 * it and frees it. */
struct waiter *waiters_take(struct waiters *w, uint64_t index);
/* Likewise the first whose deadline has come. */
struct waiter *waiters_take_due(struct waiters *w, uint64_t now_ms);
void waiters_forget(struct waiters *w, void *ctx);
