/*
 * probe_cache: which accelerator boots a VM here, tried once and remembered.
 *
 * Trying KVM where it hangs costs seconds. What was found holds while kernel, QEMU and the wish of
 * the configuration are the same; it is kept in the data directory.
 */
#pragma once

#include "base/config.h"
#include "vmm/probe.h"

/* In the working directory. Blocks, at most some seconds, when something is new. */
void probe_cached(const struct config *c, struct probe *ret);
