/*
 * sim/vmm: a machine that runs VMs, behind port/vmm.h.
 *
 * Two sides. The machine: files and processes of VMs, which outlive the daemon; a power cut ends the
 * processes. The adapter: what the daemon asked for and what it has still to hear, which dies with
 * it (`life`). VMs fail to start, never answer, hang when they are to stop, refuse, die by
 * themselves.
 *
 * What is checked here: a start is asked for only when nothing of that VM runs, of an incarnation
 * higher than any that ever ran; the rest is asked of the checker.
 */
#pragma once

#include "base/map.h"
#include "port/vmm.h"
#include "sim/sim.h"

struct sim_vm {
    char uid[VMM_UID_MAX];
    bool files;
    uint64_t epoch, incarnation, generation; /* of what runs, or ran last */
    uint64_t highest;                        /* incarnation that ever ran */
    uint64_t process; /* 0: nothing runs; else a number that no other process has */
    uint64_t order;   /* likewise of the last start asked for */
    bool answered, paused, hangs, mute, orphan;
    Pb__ExitCause cause;
    bool cause_known;
    char boot_id[VMM_BOOT_ID_MAX];
    uint64_t ended_ns, started_ns;
    uint64_t hear_us; /* the daemon hears of it in order: not before */
};

struct sim_vmm {
    struct vmm port;
    struct sim *sim;
    struct map vms; /* uid -> struct sim_vm; all that ever were */
    uint64_t processes, orders;
    uint64_t life; /* of the daemon; 0: it is dead */
    /* May this start be: does the state know of it, durably? Fails the run if not. */
    void (*check_start)(void *ctx, const struct vmm_start *start);
    void *ctx;
};

void sim_vmm_init(struct sim_vmm *v, struct sim *s);
void sim_vmm_done(struct sim_vmm *v);

void sim_vmm_daemon_up(struct sim_vmm *v, uint64_t life);
void sim_vmm_daemon_down(struct sim_vmm *v);
void sim_vmm_power_cut(struct sim_vmm *v);

/* One that runs dies by itself, perhaps. */
void sim_vmm_some_dies(struct sim_vmm *v);

const struct sim_vm *sim_vmm_find(const struct sim_vmm *v, const char *uid);
size_t sim_vmm_running(const struct sim_vmm *v);
