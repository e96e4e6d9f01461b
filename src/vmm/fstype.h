/*
 * fstype: which file system the first bytes of a disk begin, so that a guest can be told. Pure.
 */
#pragma once

#include "base/str.h"

enum { FSTYPE_HEAD = 68 * 1024 }; /* bytes that are looked at, if there are so many */

/* "ext4", "xfs", "btrfs", "erofs", "squashfs", or "unknown". */
const char *fstype_of(struct str head);
bool fstype_is_read_only(const char *type); /* erofs, squashfs */
