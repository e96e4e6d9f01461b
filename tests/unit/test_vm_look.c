/* What a machine makes of what it finds when its node starts again, with or without the host. */
#include <stdio.h>

#include "support/tap.h"
#include "support/vm_bench.h"

TEST(machine_adopts_what_still_runs_without_a_word)
{
    struct bench b;
    bench_init_running(&b);
    bench_restart_finding(&b, PB__VM_PHASE__VM_RUNNING, 0);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK_EQ(VM_STATE_RUNNING, b.m.state);
    CHECK(!vm_machine_has_news(&b.m));
    CHECK_EQ(1, b.m.status.incarnation);
}

TEST(machine_tells_how_it_ended_meanwhile)
{
    struct bench b;
    bench_init_running(&b);
    bench_restart_finding(&b, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_GUEST_PANIC);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_GUEST_PANIC, b.m.status.cause);
    CHECK(vm_machine_has_news(&b.m));
    CHECK(vm_machine_deadline_ms(&b.m, &b.w) != UINT64_MAX);

    bench_restart(&b);
    bench_look(&b, NULL, false);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_LOST, b.m.status.cause);
    CHECK_EQ(PB__VM_PHASE__VM_FAILED, b.m.status.phase);
}

TEST(machine_stop_that_a_crash_interrupted_is_still_a_stop)
{
    struct bench b;
    bench_init_running(&b);
    bench_order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    bench_commit(&b);
    bench_restart_finding(&b, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, b.m.status.cause);

    bench_restart_finding(&b, PB__VM_PHASE__VM_RUNNING, 0);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
}

TEST(machine_starts_what_was_committed_but_never_begun)
{
    struct bench b;
    bench_init_new(&b);
    b.spec.restart = PB__RESTART__RESTART_NEVER;
    bench_look(&b, NULL, false);
    bench_order_start(&b);
    (void)bench_step(&b);
    bench_commit(&b);
    bench_restart(&b);
    bench_look(&b, NULL, false);
    CHECK_EQ(VM_ACTION_START, bench_step(&b));
    CHECK_EQ(1, b.m.running);
}

TEST(machine_ends_an_incarnation_that_the_state_does_not_know)
{
    struct bench b;
    bench_init_running(&b);
    bench_restart(&b);
    struct vmm_event f = bench_found(&b, PB__VM_PHASE__VM_RUNNING, 0);
    f.incarnation = 7;
    bench_look(&b, &f, false);
    CHECK_EQ(VM_ACTION_KILL, bench_step(&b));
    CHECK_EQ(7, b.m.running);
    CHECK(!vm_machine_has_news(&b.m));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_LOST, b.m.status.cause);
    bench_commit(&b);
    b.w.now_ms += 1000;
    (void)bench_step(&b);
    CHECK_EQ(8, b.m.status.incarnation);
}

TEST(machine_removes_what_is_not_in_the_state)
{
    struct bench b;
    bench_init_running(&b);
    bench_restart(&b);
    struct vmm_event f = bench_found(&b, PB__VM_PHASE__VM_RUNNING, 0);
    b.w.vm = NULL;
    bench_look(&b, &f, false);
    CHECK_EQ(VM_ACTION_REMOVE, bench_step(&b));
    bench_tell(&b, VMM_REMOVED, 0);
    CHECK_EQ(VM_STATE_GONE, b.m.state);
    CHECK(!vm_machine_runs(&b.m));
}

TEST(machine_host_shutdown_ends_all_and_boot_starts_those_with_autostart)
{
    for (int autostart = 0; autostart < 2; autostart++) {
        struct bench b;
        bench_init_running(&b);
        b.spec.autostart = autostart;
        b.w.host_down = true;
        b.w.host_deadline_ms = 5000;
        CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
        CHECK_EQ(5000, vm_machine_deadline_ms(&b.m, &b.w));
        b.w.now_ms = 5000;
        CHECK_EQ(VM_ACTION_KILL, bench_step(&b));
        bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN, b.m.status.cause);
        CHECK_EQ(PB__VM_PHASE__VM_STOPPED, b.m.status.phase);
        CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
        bench_commit(&b);

        bench_restart(&b);
        b.w.host_down = false;
        struct vmm_event f = bench_found(&b, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_KILLED);
        bench_look(&b, &f, true);
        CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
        CHECK_EQ(autostart ? VM_STATE_INTENT : VM_STATE_OFF, b.m.state);
        CHECK_EQ(0, b.m.status.restarts);
    }
}

TEST(machine_power_cut_is_a_host_shutdown)
{
    for (int autostart = 0; autostart < 2; autostart++) {
        struct bench b;
        bench_init_running(&b);
        b.spec.autostart = autostart;
        b.spec.restart = PB__RESTART__RESTART_NEVER;
        bench_restart(&b);
        bench_look(&b, NULL, true);
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN, b.m.status.cause);
        bench_commit(&b);
        (void)bench_step(&b);
        CHECK_EQ(autostart ? VM_STATE_INTENT : VM_STATE_OFF, b.m.state);
        bench_commit(&b);
        bench_restart(&b); /* of the daemon alone: what the boot left off stays off */
        bench_look(&b, NULL, false);
        CHECK_EQ(autostart ? VM_ACTION_START : VM_ACTION_NONE, bench_step(&b));
    }
}

/* It ran from second 1 to second 2, and the state knows how it ended. */
static void crash(struct bench *b)
{
    struct vmm_event e = {.type = VMM_READY, .incarnation = 1, .started_ns = 1000000000};
    vm_machine_event(&b->m, &b->w, &e);
    e = (struct vmm_event){.type = VMM_EXITED, .incarnation = 1, .ended_ns = 2000000000};
    e.cause = PB__EXIT_CAUSE__EXIT_CRASHED;
    (void)snprintf(e.detail, sizeof e.detail, "signal 11");
    vm_machine_event(&b->m, &b->w, &e);
    bench_commit(b);
}

/* The node ended before it could answer: the end is that of then, not another. */
TEST(machine_answers_a_stop_that_found_nothing_running_after_a_restart)
{
    for (int booted = 0; booted < 2; booted++) {
        struct bench b;
        bench_init_running(&b);
        crash(&b);
        bench_order(&b, PB__POWER__POWER_STOPPED);
        CHECK_EQ(PB__VM_PHASE__VM_STOPPING, b.status.phase);
        bench_restart(&b);
        struct vmm_event f = bench_found(&b, PB__VM_PHASE__VM_STOPPED, 0); /* its record was lost */
        bench_look(&b, booted ? NULL : &f, booted);
        CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
        CHECK(vm_machine_has_news(&b.m));
        CHECK_EQ(PB__VM_PHASE__VM_FAILED, b.m.status.phase);
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_CRASHED, b.m.status.cause);
        CHECK_STR("signal 11", b.m.status.detail);
        CHECK_EQ(2000000000, b.m.status.ended_ns);
        bench_commit(&b);
        CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
        CHECK(!vm_machine_has_news(&b.m));
    }
}

/* The end of the incarnation before is none of this one. */
TEST(machine_that_ended_while_it_was_to_stop_ended_anew)
{
    struct bench b;
    bench_init_running(&b);
    crash(&b);
    bench_order_start(&b);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    bench_commit(&b);
    CHECK_EQ(VM_ACTION_START, bench_step(&b));
    bench_order(&b, PB__POWER__POWER_STOPPED);
    b.status.phase = PB__VM_PHASE__VM_STOPPING;
    bench_restart_finding(&b, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, b.m.status.cause);
}

TEST(machine_carries_a_stop_through_that_a_crash_interrupted_whatever_is_wanted_now)
{
    struct bench b;
    bench_init_running(&b);
    bench_order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    bench_commit(&b);
    bench_order_start(&b);
    bench_restart_finding(&b, PB__VM_PHASE__VM_RUNNING, 0);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    bench_commit(&b);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK_EQ(2, b.m.status.incarnation);
}

TEST(machine_carries_a_host_shutdown_through_that_was_called_off)
{
    struct bench b;
    bench_init_running(&b);
    b.w.host_down = true;
    b.w.host_deadline_ms = 5000;
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    bench_commit(&b);
    bench_restart(&b);
    b.w.host_down = false;
    struct vmm_event f = bench_found(&b, PB__VM_PHASE__VM_RUNNING, 0);
    bench_look(&b, &f, false);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    bench_commit(&b);
    (void)bench_step(&b);
    CHECK_EQ(VM_STATE_INTENT, b.m.state);
}
