/*
 * initramfs: build the first root of a guest: our init, the modules it loads, and a small userland.
 */
#pragma once

#include "base/str.h"

struct initramfs {
    const char *guest;   /* path of blixard-guest, which becomes /init */
    const char *busybox; /* path of a static busybox for /bin, or NULL: no userland */
    int modules; /* descriptor of the kernel's /lib/modules/VERSION, or -1: all is built in */
};

/*
 * Write the archive to `to`, whole or not at all. The same input gives the same bytes.
 *
 * dir      descriptor of the directory to which `to` is relative, or AT_FDCWD.
 *
 * Returns  as modules_find(), or what reading and writing gives.
 */
MUST_USE enum status initramfs_build(const struct initramfs *spec, int dir, const char *to,
                                     struct fault *why);
