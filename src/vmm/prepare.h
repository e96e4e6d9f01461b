/*
 * prepare: everything that must be there before QEMU can be started: directory, disks, sockets, the
 * guest's configuration, and the record of the intent, synced. Blocks; runs on the worker's thread.
 */
#pragma once

#include "vmm/order.h"
#include "vmm/verified.h"

/* Names in a VM's directory. */
#define PREPARE_SHIM_SOCKET    "shim.sock"
#define PREPARE_QMP_SOCKET     "qmp.sock"
#define PREPARE_AGENT_SOCKET   "ga.sock"
#define PREPARE_CONSOLE_SOCKET "con.sock"
#define PREPARE_CONSOLE_LOG    "console.log"
#define PREPARE_ROOT           "root.qcow2"

/* What is the same for all VMs of this machine. Used by one thread at a time. */
struct prepare_site {
    int dir;              /* of all VMs: each has a directory of its own, named by its uid */
    const char *blob_dir; /* of images: files named by the 64 digits of their digest */
    const char *qemu;
    bool kvm;
    bool own_ids; /* QEMU runs as another user: what it opens by path must be readable by all */
    enum cmdline_profile profile;
    uint32_t tsc_khz;
    uint32_t gateway; /* of guests with a tap */
    const uint32_t *dns;
    size_t dns_count;
    int first_fd; /* number of the first descriptor in QEMU's process */
    struct verified *verified;
};

enum { PREPARE_FDS_MAX = 32 };

struct prepared {
    int dir, listen;         /* the VM's directory; the shim's socket */
    int fd[PREPARE_FDS_MAX]; /* QEMU's: fd[i] is number first_fd + i there, a tap comes after */
    size_t fd_count;
    struct args args;
};

/*
 * time_ns   wall clock, and 32 random bytes, for the guest.
 *
 * Returns  ST_IN_USE      an older incarnation of this VM may still run: nothing was touched.
 *          ST_CORRUPT     a file of the image is not what its digest says.
 *          ST_NOT_FOUND   a file of the image is missing.
 *          ST_NO_SPACE, ST_INVALID, ST_IO, ...
 *
 * ret: prepared_done() in any case.
 */
MUST_USE enum status prepare(const struct prepare_site *site, const struct order *o,
                             uint64_t time_ns, const uint8_t seed[GUESTCFG_SEED],
                             struct prepared *ret, struct fault *why);
void prepared_done(struct prepared *p); /* closes what is open */
