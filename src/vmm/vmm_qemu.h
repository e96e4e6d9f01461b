/*
 * vmm_qemu: runs VMs with QEMU's microvm machine, as port/vmm.h.
 *
 * Each VM has a directory with its disks, sockets, console log and records. What runs is told from
 * what is recorded: a later driver on the same directory adopts the VMs of an earlier one.
 */
#pragma once

#include "os/loop.h"
#include "port/clock.h"
#include "port/entropy.h"
#include "port/host.h"
#include "port/vmm.h"
#include "vmm/cmdline.h"

enum vmm_qemu_network {
    VMM_QEMU_AUTO, /* a tap if the host can make one and no ports are forwarded; else QEMU's own */
    VMM_QEMU_TAP,  /* a VM with forwarded ports is refused: only QEMU's own network has them */
    VMM_QEMU_USER,
};

enum { VMM_QEMU_DNS_MAX = 3 };

/* Copied. */
struct vmm_qemu_config {
    const char *dir;      /* absolute; made if it is missing. One driver at a time */
    const char *blob_dir; /* of the image store: files named by the 64 digits of their digest */
    const char *qemu;     /* absolute path; the same that the helper was told */
    bool kvm;
    enum cmdline_profile profile;
    uint32_t tsc_khz; /* for emulation; 0: not known */
    enum vmm_qemu_network network;
    uint32_t dns[VMM_QEMU_DNS_MAX]; /* of guests with a tap; host order */
    size_t dns_count;
    uint64_t console_log_max; /* bytes kept of each console */
    /* Told at most once: logs cannot be kept short. May be NULL. */
    void (*warn)(void *ctx, const struct fault *why);
    void *warn_ctx;
};

/* loop, host, clock and entropy are kept until vmm_qemu_free(). */
MUST_USE enum status vmm_qemu_new(struct loop *l, struct host *h, struct clock *c,
                                  struct entropy *e, const struct vmm_qemu_config *config,
                                  struct vmm **ret, struct fault *why);
/* VMs run on. Nothing is told any more. Nothing that was asked of the host may still be answered: stop
 * its adapter first. NULL is fine. */
void vmm_qemu_free(struct vmm *v);
