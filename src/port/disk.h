/*
 * disk: files in one directory, for the journal. Calls block: in production they run on the
 * journal's own thread.
 *
 * Promise: bytes written and then synced before a crash are there after it; bytes written and not
 * synced may be there, in part or not at all, in any order of sectors. A name made, renamed or
 * removed is certain only after sync_dir, each by itself; a rename is there or is not. After a
 * failed write or sync nothing is promised of that file: the caller must not go on. What reads see
 * may not be durable yet: a process that starts after a crash syncs before it relies on it.
 *
 * Names are plain file names of 1 to DISK_NAME_MAX bytes, without '/' and not starting with '.'.
 */
#pragma once

#include "base/str.h"

enum { DISK_NAME_MAX = 63 };

struct disk_file;

struct disk {
    /* Open for reading and writing; create it if `create`. ST_NOT_FOUND when absent.
     * The file is the caller's until disk->close. */
    enum status (*open)(struct disk *d, const char *name, bool create, struct disk_file **ret,
                        struct fault *why);
    void (*close)(struct disk *d, struct disk_file *f);

    /* Read exactly len bytes, or up to the end: *ret_len tells. */
    enum status (*read)(struct disk *d, struct disk_file *f, uint64_t offset, void *out, size_t len,
                        size_t *ret_len, struct fault *why);
    /* Write all of it, or fail. */
    enum status (*write)(struct disk *d, struct disk_file *f, uint64_t offset, const void *data,
                         size_t len, struct fault *why);
    /* Extend with zeros up to size, so that later writes below it leave their sync no metadata to
     * write. Never shrinks. Durable after the next sync, as a write is. */
    enum status (*allocate)(struct disk *d, struct disk_file *f, uint64_t size, struct fault *why);
    enum status (*truncate)(struct disk *d, struct disk_file *f, uint64_t size, struct fault *why);
    enum status (*sync)(struct disk *d, struct disk_file *f, struct fault *why); /* fdatasync */
    enum status (*size)(struct disk *d, struct disk_file *f, uint64_t *ret, struct fault *why);

    /* Replaces `to` if it is there. ST_NOT_FOUND when `from` is absent. */
    enum status (*rename)(struct disk *d, const char *from, const char *to, struct fault *why);
    enum status (*remove)(struct disk *d, const char *name, struct fault *why); /* ST_NOT_FOUND */
    enum status (*sync_dir)(struct disk *d, struct fault *why);
    /* Call each(ctx, name) for every file, in the order of their names. */
    enum status (*list)(struct disk *d, void (*each)(void *ctx, const char *name), void *ctx,
                        struct fault *why);
};
