/*
 * cmdline: the command line of QEMU for one VM. Pure: the same input gives the same words.
 *
 * Everything that QEMU opens it gets as a descriptor, so that it needs no right to any path. What walls
 * it in is not said here: the helper adds that (host/serve.c).
 */
#pragma once

#include "base/buf.h"

enum { CMDLINE_ARGS_MAX = 160, CMDLINE_TEXT_MAX = 32 * 1024, CMDLINE_VOLUMES_MAX = 8 };

enum cmdline_profile {
    CMDLINE_PRODUCTION,
    CMDLINE_TEST, /* without what guards a guest's kernel against hostile programs in it */
};

enum cmdline_net { CMDLINE_NET_USER, CMDLINE_NET_TAP };

struct cmdline_port {
    bool udp;
    const char *host; /* IPv4 of the host; NULL: 127.0.0.1 */
    uint16_t host_port, guest_port;
};

struct cmdline_disk {
    const char *name; /* also its serial number: letters, digits and '-' */
    int fd;
    bool qcow2, read_only;
    int base_fd; /* below it, shared and read-only; -1: nothing */
    bool base_qcow2;
};

/* Borrowed until the call returns. Descriptors are numbers in QEMU's process. */
struct cmdline {
    const char *qemu;
    const char *uid, *name; /* 32 hex digits; a DNS label */
    bool kvm;
    enum cmdline_profile profile;
    uint32_t tsc_khz; /* rate of the host's TSC, for emulation; 0: not known */
    uint32_t vcpus;
    uint64_t mem_mib;
    int kernel, initrd, config; /* initrd: or -1 */
    int qmp, console, agent;    /* listening sockets */
    int log;                    /* open for writing, O_APPEND */
    const struct cmdline_disk *disk;
    size_t disk_count;
    enum cmdline_net net;
    int tap;
    const char *mac;
    const struct cmdline_port *port; /* NET_USER */
    size_t port_count;
};

struct args {
    struct buf text; /* the words, each with its terminator */
    size_t at[CMDLINE_ARGS_MAX];
    const char *argv[CMDLINE_ARGS_MAX + 1]; /* ends with NULL; valid until args_done() */
    size_t count;
};

/* ST_TOO_BIG: it does not fit into the limits above. a: args_done() in any case. */
MUST_USE enum status cmdline_build(const struct cmdline *c, struct args *a, struct fault *why);
void args_done(struct args *a);
