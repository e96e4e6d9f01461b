#include "sim/vmm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what the daemon hears --- */

struct hearing {
    struct sim_vmm *vmm;
    uint64_t life;
    struct vmm_event event;
};

static void deliver(void *ctx, uint64_t arg)
{
    (void)arg;
    struct hearing *h = ctx;
    struct sim_vmm *v = h->vmm;
    if (h->life == v->life && v->port.events) {
        sim_trace(v->sim, "hear %s %d inc %" PRIu64 " cause %d", h->event.uid, (int)h->event.type,
                  h->event.incarnation, (int)h->event.cause);
        v->port.events->event(v->port.events->ctx, &h->event);
    }
}

static void tell(struct sim_vmm *v, struct sim_vm *vm, const struct vmm_event *e)
{
    if (!v->life)
        return;
    struct hearing *h = NEW(struct hearing);
    *h = (struct hearing){v, v->life, *e};
    uint64_t at = v->sim->now_us + sim_between(&v->sim->world, 1, v->sim->faults.event_us);
    if (vm) {
        at = MAX(at, vm->hear_us);
        vm->hear_us = at;
    }
    sim_after_owned(v->sim, at - v->sim->now_us, deliver, h);
}

static void tell_of(struct sim_vmm *v, struct sim_vm *vm, enum vmm_event_type type,
                    const char *detail)
{
    struct vmm_event e = {
        .type = type,
        .epoch = vm->epoch,
        .incarnation = vm->incarnation,
        .generation = vm->generation,
    };
    (void)snprintf(e.uid, sizeof e.uid, "%s", vm->uid);
    (void)snprintf(e.detail, sizeof e.detail, "%s", detail);
    if (type == VMM_READY) {
        (void)snprintf(e.boot_id, sizeof e.boot_id, "%s", vm->boot_id);
        (void)snprintf(e.address, sizeof e.address, "10.0.0.2");
        e.started_ns = vm->started_ns;
        e.start_ms = 1;
    }
    if (type == VMM_EXITED) {
        e.cause = vm->cause;
        e.ended_ns = vm->ended_ns;
    }
    tell(v, vm, &e);
}

/* --- processes --- */

static uint64_t wall_ns(const struct sim_vmm *v)
{
    return v->sim->clock.wall_ns(&v->sim->clock);
}

static struct sim_vm *get(struct sim_vmm *v, const char *uid)
{
    struct sim_vm *vm = map_find(&v->vms, str_from(uid));
    if (vm)
        return vm;
    vm = NEW(struct sim_vm);
    (void)snprintf(vm->uid, sizeof vm->uid, "%s", uid);
    (void)map_put(&v->vms, str_from(vm->uid), vm);
    return vm;
}

/* The VM whose process has this number, if it still runs. */
static struct sim_vm *by_process(struct sim_vmm *v, uint64_t process)
{
    MAP_EACH(&v->vms, uid, value) {
        struct sim_vm *vm = value;
        if (vm->process == process)
            return vm;
    }
    return NULL;
}

static void process_ends(struct sim_vmm *v, struct sim_vm *vm, Pb__ExitCause cause)
{
    sim_trace(v->sim, "vm %s inc %" PRIu64 " ends, cause %d", vm->uid, vm->incarnation, (int)cause);
    vm->process = 0;
    vm->cause = cause;
    vm->cause_known = true;
    vm->ended_ns = wall_ns(v);
    if (!v->life && rng_chance(&v->sim->guests, v->sim->faults.cause_lost))
        vm->cause_known = false;
    tell_of(v, vm, VMM_EXITED, "");
}

static void answers(void *ctx, uint64_t process)
{
    struct sim_vmm *v = ctx;
    struct sim_vm *vm = by_process(v, process);
    if (!vm || vm->answered)
        return;
    if (vm->paused) { /* it boots no further; once resumed it goes on */
        sim_after(v->sim, 100000, answers, v, process);
        return;
    }
    vm->answered = true;
    vm->started_ns = wall_ns(v);
    (void)snprintf(vm->boot_id, sizeof vm->boot_id, "%.8s-%" PRIu64, vm->uid, vm->incarnation);
    sim_trace(v->sim, "vm %s inc %" PRIu64 " answers", vm->uid, vm->incarnation);
    tell_of(v, vm, VMM_READY, "");
}

static void powers_off(void *ctx, uint64_t process)
{
    struct sim_vmm *v = ctx;
    struct sim_vm *vm = by_process(v, process);
    if (vm && !vm->paused)
        process_ends(v, vm, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
}

static void is_killed(void *ctx, uint64_t process)
{
    struct sim_vmm *v = ctx;
    struct sim_vm *vm = by_process(v, process);
    if (!vm)
        return;
    v->sim->stats.vm_kills++;
    process_ends(v, vm, PB__EXIT_CAUSE__EXIT_KILLED);
}

static void stops_cpus(void *ctx, uint64_t process)
{
    struct sim_vmm *v = ctx;
    struct sim_vm *vm = by_process(v, process);
    if (!vm)
        return;
    if (rng_chance(&v->sim->guests, v->sim->faults.vm_refuses)) {
        tell_of(v, vm, VMM_REFUSED, "not now");
        return;
    }
    v->sim->stats.vm_pauses++;
    vm->paused = true;
    tell_of(v, vm, VMM_PAUSED, "");
}

static void starts_cpus(void *ctx, uint64_t process)
{
    struct sim_vmm *v = ctx;
    struct sim_vm *vm = by_process(v, process);
    if (!vm)
        return;
    if (rng_chance(&v->sim->guests, v->sim->faults.vm_refuses)) {
        tell_of(v, vm, VMM_REFUSED, "not now");
        return;
    }
    vm->paused = false;
    tell_of(v, vm, VMM_RESUMED, "");
}

/* --- starts --- */

static struct sim_vm *by_order(struct sim_vmm *v, uint64_t order)
{
    MAP_EACH(&v->vms, uid, value) {
        struct sim_vm *vm = value;
        if (vm->order == order)
            return vm;
    }
    return NULL;
}

/* The daemon's work for a start is done: the process begins, or not. Undone if the daemon died. */
static void spawn(void *ctx, uint64_t order)
{
    struct sim_vmm *v = ctx;
    struct sim *s = v->sim;
    struct sim_vm *vm = by_order(v, order);
    if (!vm)
        return;
    vm->order = 0;
    if (vm->process) {
        sim_fail(s, "vm %s would have two runners", vm->uid);
        return;
    }
    if (rng_chance(&s->guests, s->faults.vm_start_fails)) {
        s->stats.vm_start_failures++;
        vm->cause = PB__EXIT_CAUSE__EXIT_START_FAILED;
        vm->cause_known = true;
        tell_of(v, vm, VMM_EXITED, "no memory");
        return;
    }
    s->stats.vm_starts++;
    vm->process = ++v->processes;
    vm->highest = vm->incarnation;
    vm->answered = vm->paused = vm->cause_known = false;
    vm->boot_id[0] = 0;
    vm->hangs = rng_chance(&s->guests, s->faults.vm_hangs_on_stop);
    vm->mute = rng_chance(&s->guests, s->faults.vm_never_answers);
    sim_trace(s, "vm %s inc %" PRIu64 " runs", vm->uid, vm->incarnation);
    tell_of(v, vm, VMM_SPAWNED, "");
    uint64_t boot_us = sim_between(&s->guests, 50000, 1500000);
    if (!vm->mute)
        sim_after(s, boot_us, answers, v, vm->process);
}

static void start(struct vmm *port, const struct vmm_start *start)
{
    struct sim_vmm *v = CONTAINER_OF(port, struct sim_vmm, port);
    struct sim *s = v->sim;
    if (!v->life)
        return;
    struct sim_vm *vm = get(v, start->vm->meta->uid);
    sim_trace(s, "ask start %s inc %" PRIu64, vm->uid, start->incarnation);
    if (vm->process) {
        sim_fail(s, "vm %s: start of %" PRIu64 " asked for while %" PRIu64 " runs", vm->uid,
                 start->incarnation, vm->incarnation);
        return;
    }
    if (start->incarnation <= vm->highest) {
        sim_fail(s, "vm %s: start of %" PRIu64 " asked for after %" PRIu64 " ran", vm->uid,
                 start->incarnation, vm->highest);
        return;
    }
    if (vm->order) { /* one start is on its way to the machine: it must end before the next */
        if (start->incarnation != vm->incarnation)
            sim_fail(s, "vm %s: start of %" PRIu64 " asked for while %" PRIu64 " is being prepared",
                     vm->uid, start->incarnation, vm->incarnation);
        return;
    }
    v->check_start(v->ctx, start);
    vm->files = true;
    vm->epoch = start->epoch;
    vm->incarnation = start->incarnation;
    vm->generation = start->generation;
    vm->cause_known = false;
    vm->order = ++v->orders;
    sim_after(s, sim_between(&s->world, 500, 50000), spawn, v, vm->order);
}

/* --- the other requests --- */

static void power(struct vmm *port, const char *uid, uint64_t incarnation, enum vmm_power p)
{
    struct sim_vmm *v = CONTAINER_OF(port, struct sim_vmm, port);
    struct sim *s = v->sim;
    if (!v->life)
        return;
    sim_trace(s, "ask power %s inc %" PRIu64 " %d", uid, incarnation, (int)p);
    struct sim_vm *vm = map_find(&v->vms, str_from(uid));
    if (!vm || vm->incarnation != incarnation)
        return;
    if (!vm->process) {
        if (vm->order && p == VMM_KILL) { /* it was just about to begin */
            vm->order = 0;
            vm->cause = PB__EXIT_CAUSE__EXIT_KILLED;
            vm->cause_known = true;
            tell_of(v, vm, VMM_EXITED, "");
        }
        return;
    }
    switch (p) {
    case VMM_POWER_DOWN:
        if (vm->answered && !vm->hangs && !vm->paused)
            sim_after(s, sim_between(&s->guests, 5000, 400000), powers_off, v, vm->process);
        return;
    case VMM_KILL:
        sim_after(s, sim_between(&s->world, 500, 20000), is_killed, v, vm->process);
        return;
    case VMM_PAUSE:
        sim_after(s, sim_between(&s->world, 500, 20000), stops_cpus, v, vm->process);
        return;
    case VMM_RESUME:
        sim_after(s, sim_between(&s->world, 500, 20000), starts_cpus, v, vm->process);
        return;
    }
}

struct removal {
    struct sim_vmm *vmm;
    struct sim_vm *vm;
    uint64_t life;
};

static void is_removed(void *ctx, uint64_t arg)
{
    (void)arg;
    struct removal *r = ctx;
    struct sim_vmm *v = r->vmm;
    struct sim_vm *vm = r->vm;
    if (r->life != v->life)
        return; /* the daemon died on the way */
    bool refuses = rng_chance(&v->sim->guests, v->sim->faults.vm_refuses);
    if (!refuses || rng_chance(&v->sim->guests, 500)) { /* or it gets half way */
        vm->order = 0;
        if (vm->process)
            process_ends(v, vm, PB__EXIT_CAUSE__EXIT_KILLED);
    }
    if (refuses) {
        tell_of(v, vm, VMM_REFUSED, "a file is busy");
        return;
    }
    if (vm->files)
        v->sim->stats.vm_deleted++;
    v->sim->stats.vm_orphans += vm->orphan && vm->files;
    vm->files = false;
    tell_of(v, vm, VMM_REMOVED, "");
}

static void remove_vm(struct vmm *port, const char *uid)
{
    struct sim_vmm *v = CONTAINER_OF(port, struct sim_vmm, port);
    if (!v->life)
        return;
    sim_trace(v->sim, "ask remove %s", uid);
    struct removal *r = NEW(struct removal);
    *r = (struct removal){v, get(v, uid), v->life};
    sim_after_owned(v->sim, sim_between(&v->sim->world, 500, 50000), is_removed, r);
}

static void dies_in_look(void *ctx, uint64_t process)
{
    struct sim_vmm *v = ctx;
    struct sim_vm *vm = by_process(v, process);
    if (!vm)
        return;
    v->sim->stats.vm_deaths++;
    process_ends(v, vm, PB__EXIT_CAUSE__EXIT_CRASHED);
}

static void find(struct sim_vmm *v, struct sim_vm *vm)
{
    struct vmm_event e = {
        .type = VMM_FOUND,
        .epoch = vm->epoch,
        .incarnation = vm->incarnation,
        .generation = vm->generation,
        .phase = !vm->process   ? PB__VM_PHASE__VM_STOPPED
                 : vm->paused   ? PB__VM_PHASE__VM_PAUSED
                 : vm->answered ? PB__VM_PHASE__VM_RUNNING
                                : PB__VM_PHASE__VM_STARTING,
    };
    (void)snprintf(e.uid, sizeof e.uid, "%s", vm->uid);
    if (!vm->process && vm->cause_known) {
        e.cause = vm->cause;
        e.ended_ns = vm->ended_ns;
    }
    if (vm->process && vm->answered) {
        (void)snprintf(e.boot_id, sizeof e.boot_id, "%s", vm->boot_id);
        (void)snprintf(e.address, sizeof e.address, "10.0.0.2");
        e.started_ns = vm->started_ns;
    }
    if (vm->process)
        v->sim->stats.vm_adopted++;
    tell(v, vm, &e);
    if (vm->process && rng_chance(&v->sim->guests, v->sim->faults.vm_dies_in_look))
        sim_after(v->sim, sim_between(&v->sim->guests, 1, 20000), dies_in_look, v, vm->process);
}

static void look(struct vmm *port)
{
    struct sim_vmm *v = CONTAINER_OF(port, struct sim_vmm, port);
    if (!v->life)
        return;
    uint64_t last_us = v->sim->now_us;
    bool fails = rng_chance(&v->sim->guests, v->sim->faults.look_fails);
    MAP_EACH(&v->vms, uid, value) {
        struct sim_vm *vm = value;
        if (!vm->files || (fails && rng_chance(&v->sim->guests, 500)))
            continue;
        find(v, vm);
        last_us = MAX(last_us, vm->hear_us);
    }
    struct hearing *h = NEW(struct hearing);
    *h = (struct hearing){v, v->life, {.type = fails ? VMM_LOOK_FAILED : VMM_LOOKED}};
    v->sim->stats.failed_looks += fails;
    uint64_t more_us = sim_between(&v->sim->world, 1, 20000);
    sim_after_owned(v->sim, last_us - v->sim->now_us + more_us, deliver, h);
}

static enum status no_stats(struct vmm *port, const char *uid, struct vmm_stats *ret)
{
    (void)port, (void)uid, (void)ret;
    return ST_NOT_FOUND;
}

static enum status no_stream(struct vmm *port, const char *uid, const struct vmm_stream_open *o,
                             const struct vmm_stream_events *ev, struct vmm_stream **ret,
                             struct fault *why)
{
    (void)port, (void)uid, (void)o, (void)ev, (void)ret;
    return fault_set(why, ST_UNSUPPORTED, "simulated VMs have no console");
}

/* --- the world --- */

void sim_vmm_init(struct sim_vmm *v, struct sim *s)
{
    *v = (struct sim_vmm){
        .port = {.look = look,
                 .start = start,
                 .power = power,
                 .remove = remove_vm,
                 .stats = no_stats,
                 .open = no_stream},
        .sim = s,
    };
    map_init(&v->vms);
}

void sim_vmm_done(struct sim_vmm *v)
{
    MAP_EACH(&v->vms, uid, value)
        free(value);
    map_done(&v->vms);
}

/* Left by somebody else, such as a cluster that this machine belonged to before. */
static void plant_orphan(struct sim_vmm *v)
{
    struct sim *s = v->sim;
    char uid[VMM_UID_MAX];
    (void)snprintf(uid, sizeof uid, "%032" PRIx64, rng_next(&s->guests));
    struct sim_vm *vm = get(v, uid);
    vm->files = vm->orphan = vm->answered = true;
    vm->epoch = vm->incarnation = vm->generation = vm->highest = 1;
    if (rng_chance(&s->guests, 500))
        vm->process = ++v->processes;
    sim_trace(s, "orphan %s%s", uid, vm->process ? " runs" : "");
}

void sim_vmm_daemon_up(struct sim_vmm *v, uint64_t life)
{
    v->life = life;
    if (rng_chance(&v->sim->guests, v->sim->faults.orphans))
        plant_orphan(v);
}

void sim_vmm_daemon_down(struct sim_vmm *v)
{
    v->life = 0;
    MAP_EACH(&v->vms, uid, value) {
        struct sim_vm *vm = value;
        vm->order = 0; /* what was being prepared is not begun by anybody */
        vm->hear_us = 0;
    }
}

void sim_vmm_power_cut(struct sim_vmm *v)
{
    sim_vmm_daemon_down(v);
    MAP_EACH(&v->vms, uid, value) {
        struct sim_vm *vm = value;
        if (vm->process)
            vm->cause_known = false;
        vm->process = 0;
    }
}

void sim_vmm_some_dies(struct sim_vmm *v)
{
    static const Pb__ExitCause causes[] = {
        PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN,
        PB__EXIT_CAUSE__EXIT_GUEST_RESET,
        PB__EXIT_CAUSE__EXIT_GUEST_PANIC,
        PB__EXIT_CAUSE__EXIT_CRASHED,
    };
    size_t running = sim_vmm_running(v);
    if (!running)
        return;
    uint64_t which = rng_below(&v->sim->guests, running);
    uint64_t how = rng_below(&v->sim->guests, ARRAY_COUNT(causes));
    MAP_EACH(&v->vms, uid, value) {
        struct sim_vm *vm = value;
        if (!vm->process || which-- > 0)
            continue;
        v->sim->stats.vm_deaths++;
        process_ends(v, vm, causes[how]);
        return;
    }
}

const struct sim_vm *sim_vmm_find(const struct sim_vmm *v, const char *uid)
{
    return map_find(&v->vms, str_from(uid));
}

size_t sim_vmm_running(const struct sim_vmm *v)
{
    size_t count = 0;
    MAP_EACH(&v->vms, uid, value)
        count += ((const struct sim_vm *)value)->process != 0;
    return count;
}
