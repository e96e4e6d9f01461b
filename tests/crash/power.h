/*
 * power: the platter below a directory that is watched (crash/disk_watch.h), and what a power cut
 * leaves of it.
 *
 * The log of a process that was killed is played to a disk that forgets what was not synced
 * (support/memdisk.h). That disk then says how the directory looks to the next process.
 */
#pragma once

#include "support/memdisk.h"

struct power;

/* dir       empty when the first process begins.
 * log       may be missing. Both are paths, kept until power_free. */
struct power *power_new(const char *dir, const char *log);
void power_free(struct power *p); /* NULL is fine */

/*
 * A process was killed: take in what it did. Where nobody knows whether its last call took place, the
 * directory is made to look as if it had.
 *
 * Returns  ST_CORRUPT   the directory is not what was recorded of it: some call was not seen.
 *          ST_IO
 */
MUST_USE enum status power_follow(struct power *p, struct fault *why);

/* Now the power fails too: the directory becomes what `loss` and `seed` leave of it. */
MUST_USE enum status power_cut(struct power *p, enum memdisk_loss loss, uint64_t seed,
                               struct fault *why);

struct power_view {
    uint64_t in_sync; /* kills while a file or the directory was being synced */
    uint64_t in_call; /* likewise, while it was being changed */
    uint64_t calls;
};
struct power_view power_view(const struct power *p);
