/*
 * host: what a VM needs of this machine that may need rights: its process with walls around it, its
 * cgroup, its network device. Its adapter is host/, a small helper process; the same one runs without
 * root and then can do less, which `facts` tells.
 *
 * Requests return at once and are answered once, on the loop's thread, never from within the request.
 * If the helper is lost, all are answered with ST_UNAVAILABLE.
 */
#pragma once

#include "base/str.h"

enum {
    HOST_UID_MAX = 33,
    HOST_TAP_MAX = 16,
    HOST_WHY_MAX = 400,
    HOST_ARGS_MAX = 250,
    HOST_FDS_MAX = 40,
    HOST_LIST_MAX = 1024,
};

/* What the helper found out when it started. */
struct host_facts {
    bool privileged; /* own user and namespaces for each VM */
    bool tap;        /* network devices with routed addresses */
    bool filter;     /* nftables drop what comes from a VM under another address than its own */
    unsigned cgroup; /* version: 1, 2, or 0 for none */
    bool cgroup_memory, cgroup_cpu, cgroup_pids;
    uint32_t slots;                /* VMs may have slots 0 to slots - 1 */
    uint32_t subnet;               /* IPv4, host order: a VM with a tap has subnet + 1 + slot */
    uint32_t gateway;              /* of every VM with a tap */
    char tap_prefix[HOST_TAP_MAX]; /* a tap is called this and the number of its slot */
    char why[HOST_WHY_MAX];        /* what is missing, and why; "" when all is there */
};

enum host_net {
    HOST_NET_TAP,  /* an empty namespace and the descriptor of a tap */
    HOST_NET_USER, /* that of the host: QEMU's user-mode network lives there */
};

/* All is borrowed until the call returns; descriptors are duplicated. */
struct host_spawn {
    const char *uid; /* of the VM: 32 hex digits */
    uint32_t slot;   /* one VM at a time has it */
    uint64_t epoch, incarnation;
    uint64_t deadline_ms; /* CLOCK_BOOTTIME at which it is ended, or UINT64_MAX */
    enum host_net net;
    uint32_t address;    /* NET_TAP: of the guest */
    bool kvm;            /* it may use /dev/kvm */
    uint64_t mem_bytes;  /* limits of its cgroup */
    uint32_t cpu_milli;  /* thousandths of a CPU */
    uint32_t task_count; /* processes and threads */
    int dir;             /* its directory */
    int listen;          /* listening socket for the shim */
    const int *fd; /* the monitor's: fd[i] becomes HOST_FD_FIRST + i; a tap comes after the last */
    size_t fd_count;
    const char *const *argv; /* argv[0] is the path of QEMU; -sandbox is not ours to say */
    size_t argc;
};

enum { HOST_FD_FIRST = 16 };

struct host_spawned {
    uint32_t shim_pid;
    int shim_pidfd; /* taken by the one who is told */
};

struct host {
    struct host_facts facts;

    /* Start the shim, which starts the monitor. r is NULL unless s is ST_OK; nothing is left then. */
    void (*spawn)(struct host *h, const struct host_spawn *spawn,
                  void (*done)(void *ctx, enum status s, const struct fault *why,
                               const struct host_spawned *r),
                  void *ctx);
    /* Kill what is left of a VM in its cgroup and remove the cgroup. Done when there is none; until then
     * it is tried again, for seconds. ST_IN_USE: in vain. ST_CANCELLED: a spawn of the same VM was asked
     * for meanwhile, which is not touched by it. Where VMs have no cgroups, as without root, it is done
     * at once and says nothing of processes. */
    void (*clean)(struct host *h, const char *uid,
                  void (*done)(void *ctx, enum status s, const struct fault *why), void *ctx);
    /* The VMs of which something is left here: count uids, HOST_LIST_MAX at most. */
    void (*list)(struct host *h,
                 void (*done)(void *ctx, enum status s, const char (*uid)[HOST_UID_MAX],
                              size_t count),
                 void *ctx);
};
