/*
 * journal_thread: the journal as port/log.h of a daemon, on a thread of its own.
 *
 * Whatever was asked while the disk was busy goes into the next write, with one sync for all of it.
 * Everything here is called on the loop's thread, and the events come there.
 */
#pragma once

#include "journal/journal.h"
#include "os/loop.h"

struct journal_thread;

/* How long one batch took, from the thread taking it to its being durable. */
struct journal_batch {
    size_t requests;
    uint64_t took_ns;
};

struct journal_meter {
    void (*batch)(void *ctx, const struct journal_batch *b);
    void *ctx;
};

/*
 * As journal_open(), on the calling thread; then the journal's thread is begun.
 *
 * disk     kept until journal_thread_close(); used by that thread only.
 * meter    kept likewise; may be NULL.
 */
MUST_USE enum status journal_thread_open(struct loop *l, struct disk *disk,
                                         const struct journal_config *c,
                                         const struct log_load *load,
                                         const struct journal_meter *meter,
                                         struct journal_thread **ret,
                                         struct journal_report *ret_report, struct fault *why);

/* Carry out what was asked, then end; no event comes from it any more. Waits for the disk. Not from
 * within an event of the log. NULL is fine. */
void journal_thread_close(struct journal_thread *t);

struct log *journal_thread_log(struct journal_thread *t);

/* As of the last batch that was told. */
struct journal_view journal_thread_view(const struct journal_thread *t);
size_t journal_thread_queued(const struct journal_thread *t); /* bytes, of LOG_QUEUE_MAX */
