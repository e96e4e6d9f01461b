/*
 * root: disks, and the step from the initramfs into one of them.
 */
#pragma once

#include "wire/guestcfg.h"

/*
 * Make the disk the root: mount it, move /proc, /sys, /dev and /run into it, drop the initramfs. When
 * it cannot be mounted, or is no root, the initramfs stays.
 */
MUST_USE enum status root_switch(const struct guestcfg_disk *d, struct fault *why);

/* Mount a volume at its path, and link it as /dev/disk/by-id/virtio-SERIAL. */
MUST_USE enum status root_volume(const struct guestcfg_disk *d, struct fault *why);
