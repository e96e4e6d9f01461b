/*
 * probe: which accelerator really boots a VM on this machine.
 *
 * That /dev/kvm opens proves nothing. So a tiny VM is booted with the same machine type: its kernel
 * is a few instructions that tell QEMU to exit with a status that nothing else gives.
 */
#pragma once

#include "base/fault.h"
#include "os/program.h"

enum probe_accel { PROBE_KVM, PROBE_TCG, PROBE_NONE };

struct probe {
    enum probe_accel accel;
    char why[400];         /* a sentence for people: what was tried and how it ended */
    char qemu_version[64]; /* "7.2.22" or "" */
    char qemu_path[PROGRAM_PATH_MAX];
    char problem[200]; /* PROBE_NONE: what is missing, and what to do */
};

enum probe_want { PROBE_WANT_AUTO, PROBE_WANT_KVM, PROBE_WANT_TCG };

/*
 * Boot probe VMs: KVM first, if wanted and present, then emulation. Blocks, at most some seconds.
 *
 * qemu      as program_find_qemu() found it, or as it should have been.
 *
 * Never fails: what cannot be done is told in *ret.
 */
void probe_run(const char *qemu, enum probe_want want, struct probe *ret);
