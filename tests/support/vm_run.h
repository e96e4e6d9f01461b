/*
 * vm_run: real VMs through the driver, for tests: an image, a helper, a driver on a loop, and waiting
 * for what they tell.
 */
#pragma once

#include "host/helper.h"
#include "port/vmm.h"
#include "support/tap.h"
#include "vmm/vmm_qemu.h"

enum { SITE_EVENTS_MAX = 256, SITE_WAIT_MS = 120000 };

struct site {
    struct loop *loop;
    struct host *host;
    struct clock clock;
    struct entropy entropy;
    struct vmm *vmm;
    struct vmm_events hear;
    char dir[128];                           /* of VMs */
    struct vmm_event event[SITE_EVENTS_MAX]; /* what was told and not yet taken */
    size_t event_count;
};

/* Skips the test when something is missing: QEMU, a kernel, root. */
void site_open(struct site *s, bool root);
/* Forget everything, as a daemon does that is killed; VMs run on. */
void site_drop(struct site *s);
/* A new helper and a new driver on the same directory. */
void site_again(struct site *s);

/* Kernel and initramfs; or those and a small ext4 root. */
const Pb__Image *site_image(void);
const Pb__Image *site_disk_image(void);
const char *site_blob_dir(void);

/* A VM of 128 MiB. n makes uid, name and address differ. Free to be changed. */
struct site_vm {
    Pb__Vm vm;
    Pb__VmSpec spec;
    Pb__Meta meta;
    const Pb__Image *image;
    uint64_t incarnation;
    char uid[33], name[16], mac[18];
};
void site_vm(struct site_vm *v, unsigned n);
void site_start(struct site *s, struct site_vm *v);

/* Take the next event of this kind about the VM; others about it before that fail the test, unless
 * they are SPAWNED. NULL uid: of no VM. */
struct vmm_event site_await(struct site *s, const char *uid, enum vmm_event_type type);
/* Run the loop until *done. */
void site_until(struct site *s, const bool *done);
/* Start it and wait until it is ready. */
struct vmm_event site_boot(struct site *s, struct site_vm *v);

/* Run a shell command in the guest; its output is put into out, its exit status returned. */
int site_sh(struct site *s, const char *uid, const char *script, struct buf *out);

/* The pid of QEMU and of the shim, from the shim's record. */
struct shim_record;
struct shim_record site_shim_record(struct site *s, const char *uid);

/* All VMs of the site are removed, and nothing is left of them anywhere. */
void site_close(struct site *s);
