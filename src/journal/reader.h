/*
 * reader: look at a file of a disk through a window that moves.
 */
#pragma once

#include "port/disk.h"

struct reader {
    struct disk *disk;
    struct disk_file *file; /* NULL: not open */
    uint64_t size;          /* as it was opened */
    uint8_t *window;
    size_t room;
    uint64_t from; /* the window holds [from, from + have) */
    size_t have;
};

void reader_init(struct reader *r, struct disk *d);
void reader_done(struct reader *r); /* also for AUTO(reader_done) */

/* Look at this file from now on; the one before it is closed. */
MUST_USE enum status reader_open(struct reader *r, const char *name, struct fault *why);
/* The file is the caller's now. */
struct disk_file *reader_take(struct reader *r);

/* *ret are the len bytes at offset, until the next call; NULL when the file ends before that. */
MUST_USE enum status reader_get(struct reader *r, uint64_t offset, size_t len, const uint8_t **ret,
                                struct fault *why);
