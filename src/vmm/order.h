/*
 * order: what one start of a VM needs, copied out of the request, so that it can be carried out on
 * another thread. Pure.
 */
#pragma once

#include "crypto/digest.h"
#include "port/vmm.h"
#include "vmm/cmdline.h"
#include "vmm/record.h"
#include "wire/guestcfg.h"

enum { ORDER_DIGEST_MAX = DIGEST_TEXT_MAX, ORDER_VOLUME_NAME_MAX = 21, ORDER_PORTS_MAX = 32 };

/* A file of the image: its digest is "sha256:" and 64 hex digits; "" when the image has none. */
struct order_blob {
    char digest[ORDER_DIGEST_MAX];
    uint64_t size;
};

struct order_volume {
    char name[ORDER_VOLUME_NAME_MAX];
    uint64_t size;
    bool read_only;
};

struct order_port {
    bool udp;
    char host[16]; /* "" : loopback */
    uint16_t host_port, guest_port;
};

struct order {
    struct record record; /* the intent; slot, tap and address are for the driver to set */
    uint32_t vcpus;
    uint64_t mem_mib;
    uint64_t root_size; /* bytes; 0: that of the image */
    struct order_blob kernel, initrd, disk;
    bool disk_qcow2;
    size_t volume_count;
    struct order_volume volume[CMDLINE_VOLUMES_MAX];
    size_t port_count;
    struct order_port port[ORDER_PORTS_MAX];
    char mac[18];
    char *user_data; /* ours, or NULL */
};

/* The request may have been written by another version: what breaks a limit is ST_INVALID, and names
 * the field. order_done() in any case. */
MUST_USE enum status order_init(struct order *o, const struct vmm_start *s, struct fault *why);
void order_done(struct order *o);
