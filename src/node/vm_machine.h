/*
 * vm_machine: what is to be done next for one VM of this node.
 *
 * Pure: it is told what the state wants, what the monitor port says and what time it is; it answers
 * with at most one action, and keeps what the state should say of the VM. Its states are those of a
 * VM on this machine; a table says what brings it from each state nearer to each goal.
 *
 * What users want decides alone: a restart policy is looked at only when a VM ended by itself, so it
 * never fights a stop.
 *
 * Nothing is started before the state says so: a start first raises the incarnation in `status`, and
 * only when that version of it was applied comes VM_ACTION_START.
 */
#pragma once

#include "base/rng.h"
#include "port/vmm.h"

enum vm_state {
    VM_STATE_UNKNOWN, /* the monitor port has not told yet what is there */
    VM_STATE_OFF,     /* nothing of it runs; files may be there */
    VM_STATE_INTENT,  /* to be started as soon as the report that says so is applied */
    VM_STATE_STARTING,
    VM_STATE_RUNNING,
    VM_STATE_PAUSING,
    VM_STATE_PAUSED,
    VM_STATE_RESUMING,
    VM_STATE_STOPPING, /* the guest was asked to power off */
    VM_STATE_KILLING,
    VM_STATE_REMOVING,
    VM_STATE_GONE, /* nothing of it is left on this machine */
    VM_STATE_COUNT
};

enum vm_action {
    VM_ACTION_NONE,
    VM_ACTION_QUEUE, /* it would start: ask again when there is a slot */
    VM_ACTION_START, /* the incarnation in `status` */
    VM_ACTION_POWER_DOWN,
    VM_ACTION_KILL,
    VM_ACTION_PAUSE,
    VM_ACTION_RESUME,
    VM_ACTION_REMOVE,
};

struct vm_policy {
    uint64_t start_timeout_ms;
    uint64_t backoff_min_ms, backoff_max_ms, backoff_reset_ms;
};

/* What is wanted, and the circumstances, each time the machine is asked. */
struct vm_wish {
    const Pb__Vm *vm; /* NULL: not in the state, or not of this node */
    bool slot;        /* one more VM may start now */
    bool host_down;   /* the host shuts down: all VMs end, by host_deadline_ms at the latest */
    uint64_t host_deadline_ms;
    uint64_t now_ms;
    const struct vm_policy *policy;
    struct rng *rng; /* jitter of back-offs */
};

/* What the state should say of the VM. Texts fit the limits of proto/vm.proto. */
struct vm_status {
    Pb__VmPhase phase;
    uint64_t epoch, incarnation, generation;
    Pb__ExitCause cause;
    uint32_t restarts;
    uint64_t started_ns, ended_ns, start_ms;
    char boot_id[VMM_BOOT_ID_MAX];
    char address[16];
    char detail[VMM_DETAIL_MAX];
};

enum vm_stop { VM_STOP_NONE, VM_STOP_WANTED, VM_STOP_HOST, VM_STOP_START_TIMEOUT, VM_STOP_STRAY };
enum vm_rest {
    VM_REST_NONE,  /* off because it was asked to be: starts as soon as it is wanted */
    VM_REST_UNTIL, /* restarts by policy at restart_ms */
    VM_REST_HOLD,  /* stays off until a user starts it */
};

struct vm_machine {
    enum vm_state state;
    struct vm_status status;
    uint64_t version;  /* of `status`: raised by every change */
    uint64_t reported; /* the version that the state holds */
    uint64_t intent;   /* INTENT: the version that must be there before the start */
    uint64_t running;  /* incarnation of what runs, for requests to the port */
    enum vm_stop stop; /* why it is made to end */
    bool killed;       /* and whether by force */
    bool ask_again;    /* STOPPING: the guest answered after it was asked, and may have missed it */
    enum vm_rest rest;
    uint64_t deadline_ms; /* of what is under way: a start or stop is followed by a kill, anything
                             else is asked for once more */
    uint64_t restart_ms;
    uint64_t quiet_ms; /* nothing is asked before, after a refusal */
    uint64_t ready_ms; /* when its guest answered */
    uint32_t failures; /* ends by itself in a row, for the back-off */
};

/* A VM that the port knows nothing of yet. */
void vm_machine_init(struct vm_machine *m);

/*
 * The port has looked; `found` is what it said of this VM, NULL if nothing. From here on the machine
 * acts. host_booted: the machine booted since the node last settled its VMs, so that what is not found
 * went down with it.
 */
void vm_machine_looked(struct vm_machine *m, const struct vm_wish *w, const struct vmm_event *found,
                       bool host_booted);

/* Something happened to the VM. Events of other incarnations are ignored. Not FOUND and LOOKED. */
void vm_machine_event(struct vm_machine *m, const struct vm_wish *w, const struct vmm_event *e);

/* The state holds `status` as of this version now. */
void vm_machine_reported(struct vm_machine *m, uint64_t version);
bool vm_machine_has_news(const struct vm_machine *m); /* something is to be reported */

/* The one thing to do now. To be asked again after every change and at the deadline. */
enum vm_action vm_machine_step(struct vm_machine *m, const struct vm_wish *w);
uint64_t vm_machine_deadline_ms(const struct vm_machine *m, const struct vm_wish *w);

/* A start that could not even be asked for, such as for want of the image. */
void vm_machine_start_failed(struct vm_machine *m, const struct vm_wish *w, const char *detail);

bool vm_machine_starts(const struct vm_machine *m); /* it holds a slot */
bool vm_machine_runs(const struct vm_machine *m);   /* something of it may run */

/* The status as a message; texts are borrowed from s. */
void vm_status_message(const struct vm_status *s, uint32_t node, Pb__VmStatus *out);
