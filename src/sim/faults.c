#include "sim/faults.h"

#include "core/cluster.h"

uint32_t faults_maybe(struct rng *r, uint32_t min, uint32_t max)
{
    bool on = rng_chance(r, 500);
    uint32_t rate = (uint32_t)rng_range(r, min, max);
    return on ? rate : 0;
}

uint32_t faults_pick(struct rng *r, uint32_t min, uint32_t max)
{
    return (uint32_t)rng_range(r, min, max);
}

/* Half of the time, a limit that a run can reach. */
static void tighten(struct rng *r, size_t *limit, uint32_t min, uint32_t max)
{
    uint32_t tight = faults_maybe(r, min, max);
    if (tight)
        *limit = tight;
}

/* Left as they are: what a node cannot do without, and all of the bytes, which a run never reaches. */
static void choose_limits(struct limits *l, struct rng *r)
{
    limits_default(l);
    tighten(r, &l->objects[OBJECT_TENANT], 2, 10);
    tighten(r, &l->objects[OBJECT_IMAGE], 2, 40);
    tighten(r, &l->objects[OBJECT_VM], 3, 24);
    tighten(r, &l->objects[OBJECT_OPERATION], 1, 8);
    tighten(r, &l->objects[OBJECT_EVENT], EVENTS_PER_COMMAND_MAX, 200);
    tighten(r, &l->ended, 1, 50);
    tighten(r, &l->done, 10, 300);
}

void faults_choose(struct faults *f, struct rng *r)
{
    f->kill_every_ms = faults_maybe(r, 500, 10000);
    f->power_cut_every_ms = faults_maybe(r, 1000, 15000);
    f->shutdown_every_ms = faults_maybe(r, 5000, 20000);
    f->crash_at_op_every = faults_maybe(r, 15, 600);
    f->vm_death_every_ms = faults_maybe(r, 200, 5000);
    f->clock_jump_every_ms = faults_maybe(r, 500, 10000);
    f->no_space_every_ms = faults_maybe(r, 3000, 15000);

    f->crash_in_recovery = faults_maybe(r, 50, 300);
    f->keep_cache = faults_pick(r, 0, 1000);
    f->write_error = faults_maybe(r, 1, 8);
    f->sync_error = faults_maybe(r, 1, 8);
    f->read_error = faults_maybe(r, 1, 20);
    f->slow_disk = faults_maybe(r, 5, 100);
    f->log_full = faults_maybe(r, 5, 200);
    f->vm_start_fails = faults_maybe(r, 50, 500);
    f->vm_never_answers = faults_maybe(r, 20, 200);
    f->vm_hangs_on_stop = faults_maybe(r, 50, 500);
    f->vm_refuses = faults_maybe(r, 20, 300);
    f->blob_fails = faults_maybe(r, 50, 500);
    f->cause_lost = faults_maybe(r, 50, 500);
    f->orphans = faults_maybe(r, 10, 100);
    f->vm_dies_in_look = faults_maybe(r, 20, 300);
    f->look_fails = faults_maybe(r, 50, 500);

    f->disk_us = faults_pick(r, 50, 3000);
    f->slow_disk_ms = faults_pick(r, 50, 2000);
    f->batch_max = faults_maybe(r, 1, 3);
    f->segment_bytes = faults_pick(r, 4, 64) << 10;
    f->snapshot_entries = faults_pick(r, 10, 300);
    f->trailing_entries = faults_pick(r, 0, f->snapshot_entries);
    f->event_us = faults_pick(r, 10, 20000);
    f->clients = faults_pick(r, 2, 8);
    f->think_ms = faults_pick(r, 40, 160) * f->clients;
    f->deadline_ms = faults_pick(r, 20, 3000);
    f->vms_max = faults_pick(r, 2, 24);
    f->blob_contents = faults_maybe(r, 2, 12);
    choose_limits(&f->limits, r);
}

void faults_stop(struct faults *f)
{
    struct faults calm = {
        .orphans = f->orphans,
        .vm_dies_in_look = f->vm_dies_in_look,
        .slow_disk = f->slow_disk,
        .log_full = f->log_full,
        .slow_disk_ms = f->slow_disk_ms,
        .disk_us = f->disk_us,
        .batch_max = f->batch_max,
        .segment_bytes = f->segment_bytes,
        .snapshot_entries = f->snapshot_entries,
        .trailing_entries = f->trailing_entries,
        .event_us = f->event_us,
        .clients = f->clients,
        .think_ms = f->think_ms,
        .deadline_ms = f->deadline_ms,
        .vms_max = f->vms_max,
        .blob_contents = f->blob_contents,
        .limits = f->limits,
    };
    *f = calm;
}
