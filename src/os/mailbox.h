/*
 * mailbox: calls that other threads hand to the thread of a loop.
 *
 * Many producers, one consumer, a bounded number of calls, no allocation. They are run in the order
 * in which they were posted.
 */
#pragma once

#include "os/loop.h"

struct mailbox;

typedef void mailbox_fn(void *ctx);

/* count_max: how many calls may wait. Whoever posts what must not be lost makes it at least the
 * number of things that it has under way at once. Opened and closed on the loop's thread. */
MUST_USE enum status mailbox_open(struct loop *l, size_t count_max, struct mailbox **ret,
                                  struct fault *why);
/* No producer may be left, and no call of it may be running. Calls that still wait are dropped.
 * NULL is fine. */
void mailbox_close(struct mailbox *m);

/* From any thread. ST_LIMIT when it is full: nothing was taken. */
MUST_USE enum status mailbox_post(struct mailbox *m, mailbox_fn *fn, void *ctx);
