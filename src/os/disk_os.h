/*
 * disk_os: the files of a real directory as port/disk.h. Every call blocks for as long as the disk
 * takes.
 */
#pragma once

#include "port/disk.h"

/* path      an existing directory; followed now, so that renaming it later changes nothing. */
MUST_USE enum status disk_os_open(const char *path, struct disk **ret, struct fault *why);
void disk_os_close(struct disk *d); /* every file of it is closed before; NULL is fine */
