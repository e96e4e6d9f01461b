/*
 * boot: from the kernel's first user process to a guest that knows what it is.
 */
#pragma once

#include "wire/guestcfg.h"

/* Mount /proc, /sys, /dev, /dev/pts, /dev/shm, /run, and make the console our stdin, stdout and stderr. */
void boot_mounts(void);

/* Load the modules that /lib/modules/load lists, in its order. All are tried; the first failure is returned. */
MUST_USE enum status boot_modules(struct fault *why);

/* Read what the host put at opt/blixard/cfg of fw_cfg. *text keeps what *ret points into. Without it
 * *ret says nothing, and the status is ST_NOT_FOUND. */
MUST_USE enum status boot_config(struct buf *text, struct guestcfg *ret, struct fault *why);
