/*
 * faults: what may go wrong in a run, and how often. Each seed turns a random part of them on, with
 * random rates (Groce and others, "Swarm testing", 2012): what always goes wrong together hides what
 * goes wrong alone.
 */
#pragma once

#include "base/rng.h"
#include "core/limits.h"

struct faults {
    /* Mean time between, in ms; 0: never. */
    uint32_t kill_every_ms;      /* of the daemon; files and VMs stay */
    uint32_t power_cut_every_ms; /* of the machine */
    uint32_t shutdown_every_ms;  /* orderly, of the machine */
    uint32_t crash_at_op_every;  /* disk operations */
    uint32_t vm_death_every_ms;
    uint32_t clock_jump_every_ms;
    uint32_t no_space_every_ms;

    /* Per mille. */
    uint32_t crash_in_recovery;
    uint32_t keep_cache;  /* of crashes at a disk operation: only the daemon dies */
    uint32_t write_error; /* of disk operations */
    uint32_t sync_error;
    uint32_t read_error;
    uint32_t slow_disk;
    uint32_t log_full; /* of what the node asks of its log */
    uint32_t vm_start_fails;
    uint32_t vm_never_answers;
    uint32_t vm_hangs_on_stop;
    uint32_t vm_refuses; /* a pause, resume or removal */
    uint32_t look_fails; /* at what runs; some of it is not found then */
    uint32_t blob_fails;
    uint32_t cause_lost;      /* how a VM ended while the daemon was away */
    uint32_t orphans;         /* at a start of the daemon, a VM is there that nobody knows */
    uint32_t vm_dies_in_look; /* while the daemon that has just started looks at it */

    /* Sizes. */
    uint32_t disk_us;      /* of a usual request */
    uint32_t slow_disk_ms; /* at most */
    uint32_t batch_max;    /* requests of one sync; 0: all */
    uint32_t segment_bytes;
    uint32_t snapshot_entries, trailing_entries;
    uint32_t event_us; /* until the node hears of something, at most */
    uint32_t clients, think_ms;
    uint32_t deadline_ms; /* of a client's command */
    uint32_t vms_max;
    uint32_t blob_contents; /* that images can have; 0: each build has its own */
    struct limits limits;   /* of the state: from tiny to the default ones */
};

/* A rate in [min, max], or, half of the time, 0: never. */
uint32_t faults_maybe(struct rng *r, uint32_t min, uint32_t max);
/* A size in [min, max]. */
uint32_t faults_pick(struct rng *r, uint32_t min, uint32_t max);

void faults_choose(struct faults *f, struct rng *r);
/* The liveness phase: nothing goes wrong any more, but for what a last start of the daemon finds.
 * Sizes stay, and slowness. */
void faults_stop(struct faults *f);
