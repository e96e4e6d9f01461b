/*
 * vmm: what runs VMs on this machine.
 *
 * The node says what to do to one VM; what happens comes back as events, on the node's thread, in
 * the order in which it happened to that VM. All requests are idempotent. One VM has at most one
 * request under way: the node waits for its event before the next, but `power` may overtake.
 *
 * Promise: after a VMM_EXITED no process of that incarnation is left. A start is refused
 * (VMM_EXITED, EXIT_START_FAILED) while an older incarnation may still run.
 */
#pragma once

#include "base/str.h"
#include "pb/image.pb-c.h"
#include "pb/vm.pb-c.h"

enum { VMM_UID_MAX = 33, VMM_DETAIL_MAX = 512, VMM_BOOT_ID_MAX = 37 };

/* Everything that a start needs. Borrowed until the call returns. */
struct vmm_start {
    const Pb__Vm *vm;       /* spec, mac, meta.uid */
    const Pb__Image *image; /* ready; blobs are on this machine */
    uint64_t epoch;
    uint64_t incarnation;
    uint64_t generation;
};

enum vmm_power {
    VMM_POWER_DOWN, /* ask the guest; no deadline of its own: the node kills when its own passes */
    VMM_KILL,
    VMM_PAUSE,
    VMM_RESUME,
};

enum vmm_event_type {
    VMM_FOUND,       /* answer to look: this VM's files, and perhaps its process, are here */
    VMM_LOOKED,      /* that were all */
    VMM_LOOK_FAILED, /* instead of LOOKED: what was not found may be here all the same; detail says
                        why. Another look tells all of them again */
    VMM_SPAWNED,     /* the monitor runs */
    VMM_READY,       /* the guest's agent answered; boot_id is set */
    VMM_PAUSED,
    VMM_RESUMED,
    VMM_EXITED,  /* cause and detail are set; nothing of that incarnation runs any more */
    VMM_REMOVED, /* nothing of that VM is left on this machine */
    VMM_REFUSED, /* the request could not be carried out; detail says why; the VM is as before */
};

struct vmm_event {
    enum vmm_event_type type;
    char uid[VMM_UID_MAX];
    uint64_t epoch;
    uint64_t incarnation;
    uint64_t generation; /* FOUND: of the spec it runs */
    Pb__VmPhase phase;   /* FOUND: VM_STARTING, VM_RUNNING, VM_PAUSED, or VM_STOPPED when nothing
                              runs; then cause and detail tell how the last incarnation ended */
    Pb__ExitCause cause;
    char detail[VMM_DETAIL_MAX];
    char boot_id[VMM_BOOT_ID_MAX];
    char address[16];    /* of the guest, or "" */
    uint64_t start_ms;   /* READY: from the order to the answer */
    uint64_t started_ns; /* READY, FOUND: wall clock of the first answer; 0 unknown */
    uint64_t ended_ns;   /* EXITED, FOUND: 0 unknown */
};

struct vmm_events {
    void (*event)(void *ctx, const struct vmm_event *e);
    void *ctx;
};

/* Measured, of one running VM. UINT64_MAX: unknown. */
struct vmm_stats {
    uint64_t cpu_ns;
    uint64_t rss_bytes;
    uint64_t read_bytes, write_bytes; /* block devices */
    uint64_t rx_bytes, tx_bytes;      /* network, as the guest sees it */
    uint64_t guest_mem_total, guest_mem_available;
};

/* A two-way byte stream with a VM: its console, a process in it, or a file. */
enum vmm_stream_kind {
    VMM_STREAM_CONSOLE, /* scrollback first, then live; input goes to the serial line */
    VMM_STREAM_LOG, /* the console's log: the last `tail` bytes as of now; then more if `follow` */
    VMM_STREAM_EXEC,
    VMM_STREAM_PUSH, /* write a file in the guest */
    VMM_STREAM_PULL, /* read a file in the guest */
};

struct vmm_stream_open {
    enum vmm_stream_kind kind;
    const char *const *argv; /* EXEC: NULL-terminated */
    const char *const *env;  /* EXEC: "K=V", NULL-terminated, or NULL */
    const char *cwd;         /* EXEC: or NULL */
    bool tty;
    uint16_t rows, cols;
    const char *path; /* PUSH, PULL */
    uint32_t mode;    /* PUSH */
    uint64_t size;    /* PUSH: bytes that will come */
    uint64_t tail;    /* LOG, CONSOLE: bytes of scrollback, 0 none */
    bool follow;      /* LOG */
};

enum vmm_channel { VMM_STDIN, VMM_STDOUT, VMM_STDERR };

struct vmm_stream;

/* How a stream tells its owner what happens; on the node's thread. */
struct vmm_stream_events {
    /* Bytes from the VM. The owner takes all; it gives more room by `grant`. */
    void (*data)(void *ctx, enum vmm_channel from, struct str bytes);
    /* There is room again after a short write. */
    void (*writable)(void *ctx);
    /* The end: ST_OK with EXEC's exit status (0-255, or 128 + signal), else why. The stream is
     * gone after this call. */
    void (*closed)(void *ctx, enum status s, const struct fault *why, int exit_status);
    void *ctx;
};

struct vmm {
    const struct vmm_events *events; /* set by the node before the first request */

    void (*look)(struct vmm *v);
    void (*start)(struct vmm *v, const struct vmm_start *s);
    void (*power)(struct vmm *v, const char *uid, uint64_t incarnation, enum vmm_power p);
    /* Kill what runs and remove every file, tap and cgroup of that VM. */
    void (*remove)(struct vmm *v, const char *uid);

    /* ST_NOT_FOUND when it does not run. Answers what was measured within the last seconds, without
     * waiting: what takes time to know is unknown to one who is the first to ask for a while. */
    enum status (*stats)(struct vmm *v, const char *uid, struct vmm_stats *ret);

    enum status (*open)(struct vmm *v, const char *uid, const struct vmm_stream_open *o,
                        const struct vmm_stream_events *ev, struct vmm_stream **ret,
                        struct fault *why);
    /* How many of the bytes were taken; 0 and up. After a short count wait for `writable`. */
    size_t (*write)(struct vmm *v, struct vmm_stream *s, struct str bytes);
    void (*write_end)(struct vmm *v, struct vmm_stream *s); /* end of input */
    void (*resize)(struct vmm *v, struct vmm_stream *s, uint16_t rows, uint16_t cols);
    void (*grant)(struct vmm *v, struct vmm_stream *s, size_t bytes); /* consumed so many */
    void (*close)(struct vmm *v, struct vmm_stream *s); /* no `closed` comes after this */
};
