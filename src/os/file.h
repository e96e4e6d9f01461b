/*
 * file: whole files and directories, safely.
 *
 * Paths are relative to the descriptor `dir` of a directory, or to the working directory with
 * AT_FDCWD. Everything is opened close-on-exec. What writes, locks or removes does not follow a
 * symbolic link in the last part of a path. All calls block, for as long as the disk takes. Any
 * thread may call them.
 */
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include "base/buf.h"

void close_fd(int *fd); /* it is -1 then, and may be closed again. Also for AUTO(close_fd) */

/*
 * Append the whole file to `out`.
 *
 * out      its maximum bounds what is read. Files of /proc and /sys are fine.
 *
 * Returns  ST_TOO_BIG    it holds more than fits: nothing was added.
 *          ST_INVALID    it is no regular file.
 *          ST_NOT_FOUND, ST_DENIED, ST_IO
 */
MUST_USE enum status file_read(int dir, const char *path, struct buf *out, struct fault *why);

/*
 * Make the file hold exactly `content`: after a crash it holds either that or what it held before.
 * Written beside it as `path`.tmp, synced, renamed, and the directory synced. Only one writer of a
 * path at a time.
 */
MUST_USE enum status file_write(int dir, const char *path, struct str content, mode_t mode,
                                struct fault *why);

/* Make the directory and those above it that are missing, with `mode`. One that exists is fine. */
MUST_USE enum status file_mkdirs(int dir, const char *path, mode_t mode, struct fault *why);

/* A directory's names are certain after a crash only when it was synced. */
MUST_USE enum status file_sync_dir(int dir, const char *path, struct fault *why);

/* What file_remove_tree() is willing to do: more is a mistake of somebody's. */
enum { FILE_TREE_DEPTH_MAX = 32, FILE_TREE_COUNT_MAX = 1000000 };

/*
 * Remove a file, or a directory with all it holds. One that is absent is fine. Does not follow
 * symbolic links, and does not enter other mounted file systems.
 *
 * Returns  ST_TOO_BIG    deeper or more than the limits above; part of it is gone.
 *          ST_IN_USE     something is mounted in it; part of it is gone.
 *          ST_DENIED, ST_IO
 */
MUST_USE enum status file_remove_tree(int dir, const char *path, struct fault *why);

/*
 * Take the lock file `path`, which is made if it is missing and then says our pid. The lock lasts
 * until *ret_fd is closed, by us or by our death; the file stays.
 *
 * Returns  ST_IN_USE    another process holds it; the text says which.
 */
MUST_USE enum status file_lock(int dir, const char *path, int *ret_fd, struct fault *why);

struct file_space {
    uint64_t total_bytes;
    uint64_t free_bytes; /* what an unprivileged process may still use */
};
MUST_USE enum status file_space(int dir, const char *path, struct file_space *ret,
                                struct fault *why);

/* Read or write at an offset until all is done, whatever the kernel does in one go.
 * file_read_at() stops at the end of the file: *ret_len tells. errno says what failed. */
MUST_USE bool file_read_at(int fd, uint64_t offset, void *out, size_t len, size_t *ret_len);
MUST_USE bool file_write_at(int fd, uint64_t offset, const void *data, size_t len);
