#include "support/vm_bench.h"

#include <stdio.h>

#include "core/vm_life.h"
#include "support/tap.h"

void bench_init_new(struct bench *b)
{
    *b = (struct bench){
        .vm = PB__VM__INIT,
        .spec = PB__VM_SPEC__INIT,
        .status = PB__VM_STATUS__INIT,
        .policy = {60000, 1000, 60000, 600000},
        .rng = {1},
    };
    b->vm.spec = &b->spec;
    b->vm.status = &b->status;
    b->vm.generation = 1;
    b->status.epoch = 1;
    b->w = (struct vm_wish){
        .vm = &b->vm, .slot = true, .now_ms = 1000, .policy = &b->policy, .rng = &b->rng};
    vm_machine_init(&b->m);
}

void bench_commit(struct bench *b)
{
    const struct vm_status *r = &b->m.status;
    CHECK(r->incarnation >= b->status.incarnation && r->generation <= b->vm.generation);
    CHECK(r->incarnation > b->status.incarnation ? vm_may_begin(r->phase)
                                                 : vm_may_follow(b->status.phase, r->phase));
    CHECK(r->phase != PB__VM_PHASE__VM_DELETING || b->vm.deleting);
    b->held = b->m.status;
    vm_status_message(&b->held, 1, &b->status);
    vm_machine_reported(&b->m, b->m.version);
}

void bench_order(struct bench *b, Pb__Power power)
{
    if (power == PB__POWER__POWER_STOPPED && vm_start_due(&b->vm))
        b->status.phase = PB__VM_PHASE__VM_STOPPING;
    b->vm.power = power;
    b->vm.force = 0;
    b->vm.generation++;
}

void bench_order_start(struct bench *b)
{
    bench_order(b, PB__POWER__POWER_RUNNING);
    b->vm.start_nonce = b->vm.generation;
}

enum vm_action bench_step(struct bench *b)
{
    return vm_machine_step(&b->m, &b->w);
}

void bench_tell(struct bench *b, enum vmm_event_type type, Pb__ExitCause cause)
{
    struct vmm_event e = {.type = type, .incarnation = b->m.running, .cause = cause};
    if (type == VMM_READY)
        (void)snprintf(e.boot_id, sizeof e.boot_id, "boot-%d", (int)b->m.running);
    vm_machine_event(&b->m, &b->w, &e);
}

void bench_look(struct bench *b, const struct vmm_event *found, bool booted)
{
    vm_machine_looked(&b->m, &b->w, found, booted);
}

void bench_init_starting(struct bench *b)
{
    bench_init_new(b);
    bench_look(b, NULL, false);
    bench_order_start(b);
    CHECK_EQ(VM_ACTION_NONE, bench_step(b));
    bench_commit(b);
    CHECK_EQ(VM_ACTION_START, bench_step(b));
}

void bench_init_running(struct bench *b)
{
    bench_init_starting(b);
    bench_tell(b, VMM_SPAWNED, 0);
    bench_tell(b, VMM_READY, 0);
    bench_commit(b);
    CHECK_EQ(VM_ACTION_NONE, bench_step(b));
    CHECK_EQ(VM_STATE_RUNNING, b->m.state);
}

struct vmm_event bench_found(const struct bench *b, Pb__VmPhase phase, Pb__ExitCause cause)
{
    struct vmm_event e = {.type = VMM_FOUND,
                          .epoch = b->status.epoch,
                          .incarnation = b->status.incarnation,
                          .phase = phase,
                          .cause = cause};
    (void)snprintf(e.boot_id, sizeof e.boot_id, "boot-%d", (int)b->status.incarnation);
    return e;
}

void bench_restart(struct bench *b)
{
    vm_machine_init(&b->m);
}

void bench_restart_finding(struct bench *b, Pb__VmPhase phase, Pb__ExitCause cause)
{
    struct vmm_event f = bench_found(b, phase, cause);
    bench_restart(b);
    bench_look(b, &f, false);
}
