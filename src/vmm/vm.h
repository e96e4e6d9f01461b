/*
 * vm: the inside of vmm_qemu: one VM's life, cut into files by what happens.
 *
 *     vmm_qemu.c   the port, the table of VMs, events to the node, looking at what is there
 *     vm_start.c   from the order to a running shim
 *     vm_links.c   talk with shim, monitor and agent; what they tell
 *     vm_end.c     killing, noticing the end, cleaning up, removing
 *     vm_stream.c  consoles, logs, programs, files
 *     vm_stats.c   what is measured
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "vmm/agent_link.h"
#include "vmm/prepare.h"
#include "vmm/qmp.h"
#include "vmm/record.h"
#include "vmm/shim_link.h"
#include "vmm/vmm_qemu.h"
#include "vmm/worker.h"

struct qemu {
    struct vmm vmm; /* first */
    struct loop *loop;
    struct host *host;
    struct clock *clock;
    struct entropy *entropy;
    struct vmm_qemu_config config;
    char *dir_path, *blob_dir, *qemu_path; /* what config points to */
    struct prepare_site site;
    uint8_t host_boot[16];
    struct buf net_table; /* of all network devices, as last read */
    uint64_t net_table_ms;
    struct worker *worker;
    struct map vms; /* by uid */
    struct list events;
    struct loop_source *tell; /* delivers them */
    struct loop_source *keep; /* timer: keeps logs short, while a VM is up */
    bool keeping;             /* it is set */
    bool warned;              /* config.warn was called */
    bool looking;
    char look_trouble[VMM_DETAIL_MAX]; /* the first thing that could not be looked at, or "" */
    size_t unseen; /* VMs, and the host's list, that `looking` still waits for */
};

enum vm_state {
    VM_IS_DOWN,
    VM_IS_PREPARING, /* the worker has it */
    VM_IS_SPAWNING,  /* the helper has it */
    VM_IS_ADOPTING,  /* a shim was found; what it says is awaited */
    VM_IS_UP,        /* shim and monitor are known */
    VM_IS_CLEANING,  /* no process is left; what the helper made is being removed */
    VM_IS_REMOVING,  /* the directory is being removed */
};

/* A process that runs, or ran. */
struct vm_process {
    struct vm *vm;
    uint32_t pid;
    int pidfd; /* -1: not known yet, or gone */
    struct loop_source *source;
    bool gone;
};

struct vm_measured;
struct console;

struct vm {
    struct qemu *q;
    enum vm_state state;
    struct record rec;
    bool recorded; /* rec says something */
    int dir;       /* its directory, or -1 */
    uint64_t ordered_ms;
    struct vm_process shim, monitor;
    struct shim_link *shim_link;
    struct shim_link_events shim_events;
    struct qmp *qmp;
    struct qmp_events qmp_events;
    struct agent_link *agent;
    struct agent_link_events agent_events;
    struct loop_source *retry; /* timer: lost connections are made anew */
    uint32_t retry_ms;
    struct loop_source *end_timer; /* what is to end, or to be cleaned, is seen to again */
    struct loop_source *adopt_timer;
    unsigned adopt_tries;
    bool adopted;    /* it ran when this driver came */
    char reason[32]; /* of the SHUTDOWN event */
    bool spoke;      /* the monitor answered */
    bool paused;
    bool down_pending; /* asked before the monitor answered */
    bool remove_wanted;
    bool told_found; /* its FOUND was told, or is not wanted */
    struct list streams;
    struct console *console; /* input of the serial line, while somebody has it open */
    struct vm_measured *measured;
};

/* --- vmm_qemu.c --- */

struct vm *vm_find(struct qemu *q, const char *uid);
struct vm *vm_new(struct qemu *q, const char *uid);
void vm_free(struct vm *vm); /* closes what is open; ends nothing */
/* Queue an event about the VM as it is; it is told from the loop. */
void vm_tell(struct vm *vm, enum vmm_event_type type);
void vm_tell_why(struct vm *vm, enum vmm_event_type type, const char *detail);
/* Likewise, of an incarnation that is not vm->rec's. */
void qemu_tell(struct qemu *q, const struct vmm_event *e);
struct vmm_event vm_event(const struct vm *vm, enum vmm_event_type type);
/* Tell FOUND, if that is still to be told; phase as the VM is. */
void vm_found(struct vm *vm, Pb__VmPhase phase);
/* One thing less that looking waits for. */
void qemu_seen(struct qemu *q);
/* A VM is up: keep its log short from now on. */
void qemu_keep(struct qemu *q);
/* Write vm->rec to its file, later. */
void vm_save(struct vm *vm);

/* --- vm_start.c --- */

void vm_start(struct qemu *q, const struct vmm_start *s);

/* --- vm_links.c --- */

/* Shim and perhaps monitor run: connect to all that is not connected. */
void vm_connect(struct vm *vm);
void vm_disconnect(struct vm *vm);
/* Of a record that was found on the disk: does it run? */
void vm_adopt(struct vm *vm);
void vm_adopt_late(void *ctx); /* its timer */
void vm_power_down(struct vm *vm);
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);

/* --- vm_end.c --- */

/* Watch a process by its pidfd, which is taken. */
void vm_watch(struct vm *vm, struct vm_process *p, uint32_t pid, int pidfd);
void vm_kill(struct vm *vm);
void vm_end_late(void *ctx); /* its timer */
/* Hold the process, if it is still there; else it is gone. false: that cannot be seen now. */
MUST_USE bool vm_hold(struct vm *vm, struct vm_process *p, uint32_t pid, uint64_t start);
/* What the shim left. b holds the bytes. ST_NOT_FOUND: nothing of this incarnation that can be read; others: that
 * cannot be seen now. */
MUST_USE enum status vm_shim_record(const struct vm *vm, struct buf *b, struct shim_record *ret);
void vm_forget_processes(struct vm *vm);
/* Something ended: if that was the last of it, conclude. */
void vm_check_end(struct vm *vm);
/* Nothing of the last incarnation runs, and nobody saw it end. */
void vm_found_dead(struct vm *vm);
/* It did not come to a start: nothing runs. Tells EXITED. */
void vm_start_failed(struct vm *vm, const struct fault *why);
/* It is down: do what was only waiting for that. The VM may be gone after this. */
void vm_settled(struct vm *vm);
void vm_remove(struct vm *vm);

/* --- vm_stream.c --- */

enum status vm_stream_open(struct vmm *v, const char *uid, const struct vmm_stream_open *o,
                           const struct vmm_stream_events *ev, struct vmm_stream **ret,
                           struct fault *why);
size_t vm_stream_write(struct vmm *v, struct vmm_stream *s, struct str bytes);
void vm_stream_write_end(struct vmm *v, struct vmm_stream *s);
void vm_stream_resize(struct vmm *v, struct vmm_stream *s, uint16_t rows, uint16_t cols);
void vm_stream_grant(struct vmm *v, struct vmm_stream *s, size_t bytes);
void vm_stream_close(struct vmm *v, struct vmm_stream *s);
/* The VM ended, or is removed (then its logs end too). */
void vm_streams_end(struct vm *vm, bool removed);
/* Without telling anybody. */
void vm_streams_drop(struct vm *vm);

/* --- vm_stats.c --- */

enum status vm_stats(struct vmm *v, const char *uid, struct vmm_stats *ret);
/* Ask for what takes time to know, so that a vm_stats() soon after has it. */
void vm_measure(struct vm *vm);
void vm_measured_done(struct vm *vm);
