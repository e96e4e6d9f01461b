/*
 * journal_inline: the journal as port/log.h without a thread. Requests wait until they are told to
 * run: so the simulator decides when the disk is done, and what a crash finds undone.
 */
#pragma once

#include "journal/journal.h"

struct journal_inline;

/* As journal_open(). */
MUST_USE enum status journal_inline_open(struct disk *disk, const struct journal_config *c,
                                         const struct log_load *load, struct journal_inline **ret,
                                         struct journal_report *ret_report, struct fault *why);
/* What waits is lost, as in a crash. NULL is fine. */
void journal_inline_close(struct journal_inline *i);

struct log *journal_inline_log(struct journal_inline *i);

size_t journal_inline_waiting(const struct journal_inline *i); /* requests */

/*
 * Carry out what waits longest: appends, at most count_max of them with one sync, or one request of
 * another kind; then call the events. SIZE_MAX does what the daemon's thread would do.
 *
 * Returns how many requests were carried out: 0 when none waits or the log failed.
 */
size_t journal_inline_run(struct journal_inline *i, size_t count_max);

struct journal_view journal_inline_view(const struct journal_inline *i);
