/*
 * root: make root disks from Debian packages or archives.
 *
 * Owners and permissions are kept. As root they are real; otherwise fakeroot(1) remembers them between
 * unpacking and making the file system.
 */
#pragma once

#include "image/work.h"

enum { ROOT_PACKAGES_MAX = 64, ROOT_MIB_MIN = 64, ROOT_MIB_MAX = 1048576 };

/*
 * Write a minimal Debian, without documentation, package lists and other languages, to a tar archive.
 *
 * suite      such as "bookworm".
 * packages   more packages: names as Debian allows them, else ST_INVALID.
 */
MUST_USE enum status root_minbase(const char *suite, const char *const *packages, size_t count,
                                  const char *tar, const struct work *w, struct fault *why);

/*
 * Make a raw disk, sparse, with one ext4 file system of size_mib out of a tar archive (plain, or packed with
 * gzip, xz, zstd, bzip2).
 *
 * temp     path of a directory on a disk with room for the unpacked archive; nothing stays in it.
 * to       path of the disk; must not exist. Removed again on failure.
 *
 * Returns  ST_INVALID   the archive is damaged, or has no root in it (/bin or /usr/bin, or /init).
 *          ST_NO_SPACE  it does not fit into size_mib, or on our disk.
 */
MUST_USE enum status root_from_tar(const char *tar, uint64_t size_mib, const char *temp,
                                   const char *to, const struct work *w, struct fault *why);
