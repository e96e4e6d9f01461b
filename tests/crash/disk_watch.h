/*
 * disk_watch: what a process does to the files of one directory, recorded as it does it.
 *
 * disk_watch.c is preloaded (LD_PRELOAD) into the process. Of each call it writes a record before
 * it is made, and another one, WATCH_DONE, after it: so the log of a process that was killed ends
 * with at most one call of which nobody knows whether it took place. It follows only what the
 * adapter of the disk uses; any other call that would change the directory ends the process.
 *
 * In the environment:
 *     WATCH_DIR   absolute path of the directory
 *     WATCH_LOG   the file to append to; not in that directory
 *     WATCH_LIE   syncs of files whose name begins so, or with "." of the directory, say that they
 *                 were done, and were not; may be missing
 */
#pragma once

#include <stdint.h>

enum watch_kind {
    WATCH_OPEN = 1, /* file, name; offset: 1 if it may be created */
    WATCH_CLOSE,    /* file */
    WATCH_WRITE,    /* file, offset; len bytes follow */
    WATCH_TRUNCATE, /* file; offset: the new size */
    WATCH_SYNC,     /* file */
    WATCH_RENAME,   /* name, to */
    WATCH_REMOVE,   /* name */
    WATCH_SYNC_DIR,
    WATCH_DONE, /* offset: what the call before it returned, as int64_t */
};

enum { WATCH_NAME_MAX = 63, WATCH_FILES_MAX = 1024 };

struct watch_record {
    uint32_t kind;
    int32_t file; /* its descriptor: after WATCH_OPEN, what WATCH_DONE says */
    uint64_t offset;
    uint64_t len;
    char name[WATCH_NAME_MAX + 1], to[WATCH_NAME_MAX + 1];
};
