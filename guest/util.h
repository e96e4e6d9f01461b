/*
 * util: small things the guest's parts share.
 */
#pragma once

#include "base/buf.h"

/* One line on the console, with "blixard: " before it. */
void say(const char *fmt, ...) PRINTF_LIKE(1, 2);

void close_fd(int *fd); /* also for AUTO(close_fd); sets it to -1 */

uint64_t now_ms(void); /* since boot, never backwards */

/* Sleep a little longer at each try (1 ms to 100 ms); false once `limit_ms` have passed in all. For
 * devices that appear by themselves: while (!there() && wait_more(&waited, 5000)) ; */
bool wait_more(uint64_t *waited_ms, uint64_t limit_ms);

/* Append a file's content to out, whose maximum bounds it. */
MUST_USE enum status file_read(const char *path, struct buf *out, struct fault *why);
/* Replace the file by one with this content, whole or not at all; its folder is made if need be. */
MUST_USE enum status file_write(const char *path, struct str content, unsigned mode,
                                struct fault *why);

/* The folder and those above it. */
MUST_USE enum status dir_make(const char *path, struct fault *why);
