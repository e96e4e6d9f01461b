/*
 * launch: start a blixard-shim with what it needs, under the descriptors that wire/shim.h names.
 */
#pragma once

#include "wire/shim.h"

struct launch {
    const char *shim;               /* path of the program */
    const struct shim_start *start; /* cgroup_count and keep_count are those below */
    int dir, listen;
    const int *cgroup; /* start->cgroup_count of them */
    const int *keep;   /* start->keep_count of them */
};

/*
 * All descriptors are borrowed. Returns when the shim runs, or could not be run; what becomes of the
 * monitor is for the shim to tell. The shim is our child until we die; it must be reaped.
 *
 * ret_pidfd   the caller's.
 *
 * Returns  ST_NOT_FOUND    there is no shim program.
 *          ST_INVALID, ST_TOO_BIG   see shim_put_start().
 *          ST_IO
 */
MUST_USE enum status launch_shim(const struct launch *l, uint32_t *ret_pid, int *ret_pidfd,
                                 struct fault *why);
