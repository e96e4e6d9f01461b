/*
 * console_log: what a VM's serial line said, as QEMU appends it to a file.
 *
 * An offset means the same byte for ever. The oldest bytes are given back to the file system by punching
 * a hole, which needs no word with QEMU: the file grows, but not its place on the disk.
 */
#pragma once

#include "base/buf.h"

/* Size of the file: one past the last byte. UINT64_MAX: it cannot be read. */
uint64_t console_log_end(int fd);
/* Where the last `tail` bytes begin, of those that are still there. */
uint64_t console_log_tail(int fd, uint64_t tail);
/* Read at most `size` bytes from *offset on, and move it past them; what is gone is passed over. */
size_t console_log_read(int fd, uint64_t *offset, char *out, size_t size);
/* Keep the last max bytes, or somewhat more. fd is open for writing. ST_IO: not so, as on a file system
 * that knows no holes. */
MUST_USE enum status console_log_trim(int fd, uint64_t max, struct fault *why);
