/*
 * probe_cache: which accelerator boots a VM here, tried once and remembered.
 *
 * Trying KVM where it hangs costs seconds. What was found holds while kernel, QEMU and the wish of
 * the configuration are the same. It is kept in the working directory, which belongs to the daemon's
 * user: so nothing of it but the answer is believed, least of all a path.
 */
#pragma once

#include "base/config.h"
#include "vmm/probe.h"

/* Blocks, at most some seconds, when something is new; then *ret_fresh, and it should be saved. */
void probe_cache_get(const struct config *c, struct probe *ret, bool *ret_fresh);
/* As the user to whom the working directory belongs. */
void probe_cache_save(const struct config *c, const struct probe *p);
