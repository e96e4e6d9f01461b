/*
 * kernel: find the kernel that guests boot: its image and its modules.
 */
#pragma once

#include "image/work.h"

enum { KERNEL_RELEASE_MAX = 127, KERNEL_PATH_MAX = 511 };

/* Both paths are below `root`; open them with tree_open_below(). */
struct kernel {
    int root;                             /* descriptor of a root directory */
    char release[KERNEL_RELEASE_MAX + 1]; /* "6.1.0-56-cloud-amd64" */
    char image[KERNEL_PATH_MAX + 1];      /* "boot/vmlinuz-..." */
    char modules[KERNEL_PATH_MAX + 1];    /* "lib/modules/..." */
    char temp[KERNEL_PATH_MAX + 1];       /* what kernel_done() removes, or "" */
};

void kernel_done(
    struct kernel *k); /* also for AUTO; fine on a zeroed struct, and after a failure */

/*
 * Find Debian's cloud kernel: the newest installed on this machine, else the newest package (.deb) in
 * the cache, else the one that apt downloads into the cache.
 *
 * cache    path of a directory; made when missing. What is unpacked is put there until kernel_done().
 *
 * Returns  ST_NOT_FOUND  none of the three; the hint says what to do.
 *          ST_CANCELLED, ST_TIMEOUT, ST_IO, ST_NO_SPACE
 */
MUST_USE enum status kernel_find(const char *cache, const struct work *w, struct kernel *ret,
                                 struct fault *why);

/* The kernel in a package file. Its content is not trusted: no link in it is followed. */
MUST_USE enum status kernel_from_deb(const char *deb, const char *cache, const struct work *w,
                                     struct kernel *ret, struct fault *why);

/* The newest kernel in the directory that has modules too. `suffix`: only releases that end so, or "". Takes
 * root. */
MUST_USE enum status kernel_in(int root, const char *suffix, struct kernel *ret, struct fault *why);
