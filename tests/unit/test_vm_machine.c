#include "support/prop.h"
#include "support/tap.h"
#include "support/vm_bench.h"

TEST(machine_starts_only_what_the_state_knows_of)
{
    struct bench b;
    bench_init_new(&b);
    bench_order_start(&b);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b)); /* not looked yet */
    bench_look(&b, NULL, false);
    b.w.slot = false;
    CHECK_EQ(VM_ACTION_QUEUE, bench_step(&b));
    CHECK(!vm_machine_has_news(&b.m));
    b.w.slot = true;
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK(vm_machine_has_news(&b.m));
    CHECK_EQ(1, b.m.status.incarnation);
    CHECK_EQ(PB__VM_PHASE__VM_STARTING, b.m.status.phase);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    bench_commit(&b);
    CHECK_EQ(VM_ACTION_START, bench_step(&b));
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    bench_tell(&b, VMM_READY, 0);
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, b.m.status.phase);
    CHECK_STR("boot-1", b.m.status.boot_id);
}

TEST(machine_stops_gracefully_and_says_stopped)
{
    struct bench b;
    bench_init_running(&b);
    bench_order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    CHECK_EQ(PB__VM_PHASE__VM_STOPPING, b.m.status.phase);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, b.m.status.phase);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, b.m.status.cause);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK(vm_machine_deadline_ms(&b.m, &b.w) == UINT64_MAX);
}

TEST(machine_kills_what_does_not_stop_in_time)
{
    struct bench b;
    bench_init_running(&b);
    bench_order(&b, PB__POWER__POWER_STOPPED);
    b.spec.stop_timeout_s = 5;
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    CHECK_EQ(6000, vm_machine_deadline_ms(&b.m, &b.w));
    b.w.now_ms = 6000;
    CHECK_EQ(VM_ACTION_KILL, bench_step(&b));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_CRASHED);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_KILLED, b.m.status.cause);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, b.m.status.phase);
}

TEST(machine_kills_at_once_when_forced)
{
    struct bench b;
    bench_init_running(&b);
    bench_order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    b.vm.force = 1;
    CHECK_EQ(VM_ACTION_KILL, bench_step(&b));
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_KILLED, b.m.status.cause);
}

TEST(machine_asks_again_a_guest_that_was_still_booting)
{
    struct bench b;
    bench_init_starting(&b);
    bench_order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    bench_tell(&b, VMM_READY, 0);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPING, b.m.status.phase);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
}

TEST(machine_pauses_resumes_and_resumes_before_a_stop)
{
    struct bench b;
    bench_init_running(&b);
    bench_order(&b, PB__POWER__POWER_PAUSED);
    CHECK_EQ(VM_ACTION_PAUSE, bench_step(&b));
    bench_tell(&b, VMM_PAUSED, 0);
    CHECK_EQ(PB__VM_PHASE__VM_PAUSED, b.m.status.phase);
    bench_order(&b, PB__POWER__POWER_RUNNING);
    CHECK_EQ(VM_ACTION_RESUME, bench_step(&b));
    bench_tell(&b, VMM_RESUMED, 0);
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, b.m.status.phase);
    CHECK_EQ(1, b.m.status.incarnation);
    bench_order(&b, PB__POWER__POWER_PAUSED);
    CHECK_EQ(VM_ACTION_PAUSE, bench_step(&b));
    bench_tell(&b, VMM_PAUSED, 0);
    bench_order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_RESUME, bench_step(&b));
    bench_tell(&b, VMM_RESUMED, 0);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
}

TEST(machine_tries_a_refused_pause_again_later)
{
    struct bench b;
    bench_init_running(&b);
    bench_order(&b, PB__POWER__POWER_PAUSED);
    CHECK_EQ(VM_ACTION_PAUSE, bench_step(&b));
    bench_tell(&b, VMM_REFUSED, 0);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK_EQ(2000, vm_machine_deadline_ms(&b.m, &b.w));
    b.w.now_ms = 2000;
    CHECK_EQ(VM_ACTION_PAUSE, bench_step(&b));
    CHECK_EQ(12000, vm_machine_deadline_ms(&b.m, &b.w));
    b.w.now_ms = 12000; /* never answered */
    CHECK_EQ(VM_ACTION_PAUSE, bench_step(&b));
}

TEST(machine_restarts_by_order_with_a_new_incarnation)
{
    struct bench b;
    bench_init_running(&b);
    bench_order_start(&b);
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK_EQ(1, b.m.status.incarnation); /* how it ended is told first */
    bench_commit(&b);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK_EQ(2, b.m.status.incarnation);
    CHECK_EQ(0, b.m.status.restarts);
    bench_commit(&b);
    CHECK_EQ(VM_ACTION_START, bench_step(&b));
}

TEST(machine_restarts_by_policy_with_growing_back_off)
{
    struct bench b;
    bench_init_running(&b);
    uint64_t least = 500, most = 1000;
    for (int i = 1; i <= 8; i++) {
        bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_CRASHED);
        CHECK_EQ(PB__VM_PHASE__VM_FAILED, b.m.status.phase);
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_CRASHED, b.m.status.cause);
        CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
        uint64_t wait = vm_machine_deadline_ms(&b.m, &b.w) - b.w.now_ms;
        CHECK(wait >= least && wait <= most);
        least = MIN(2 * least, 30000);
        most = MIN(2 * most, 60000);
        b.w.now_ms += wait;
        bench_commit(&b);
        CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
        CHECK_EQ(i, b.m.status.restarts);
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_CRASHED, b.m.status.cause); /* how it last ended */
        bench_commit(&b);
        CHECK_EQ(VM_ACTION_START, bench_step(&b));
        bench_tell(&b, VMM_READY, 0);
    }
    b.w.now_ms += b.policy.backoff_reset_ms; /* it ran well for long */
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_PANIC);
    CHECK(vm_machine_deadline_ms(&b.m, &b.w) - b.w.now_ms <= 1000);
}

TEST(machine_policy_never_fights_a_stop)
{
    struct bench b;
    bench_init_running(&b);
    b.spec.restart = PB__RESTART__RESTART_ALWAYS;
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_CRASHED);
    bench_order(&b, PB__POWER__POWER_STOPPED);
    b.w.now_ms += 1000000;
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK_EQ(VM_STATE_OFF, b.m.state);
    CHECK(vm_machine_deadline_ms(&b.m, &b.w) == UINT64_MAX);
    bench_commit(&b);
    bench_order_start(&b);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK_EQ(VM_STATE_INTENT, b.m.state);
    CHECK_EQ(0, b.m.status.restarts);
}

TEST(machine_policies_differ_in_what_they_call_an_end)
{
    const struct {
        Pb__Restart policy;
        Pb__ExitCause cause;
        bool again;
    } cases[] = {
        {PB__RESTART__RESTART_NEVER, PB__EXIT_CAUSE__EXIT_CRASHED, false},
        {PB__RESTART__RESTART_ON_FAILURE, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN, false},
        {PB__RESTART__RESTART_ON_FAILURE, PB__EXIT_CAUSE__EXIT_GUEST_RESET, true},
        {PB__RESTART__RESTART_ON_FAILURE, PB__EXIT_CAUSE__EXIT_LOST, true},
        {PB__RESTART__RESTART_ALWAYS, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench b;
        bench_init_running(&b);
        b.spec.restart = cases[i].policy;
        bench_tell(&b, VMM_EXITED, cases[i].cause);
        CHECK_EQ(cases[i].again, vm_machine_deadline_ms(&b.m, &b.w) != UINT64_MAX);
    }
}

TEST(machine_guest_that_never_answers_has_failed_to_start)
{
    struct bench b;
    bench_init_starting(&b);
    b.w.now_ms += 60000;
    CHECK_EQ(VM_ACTION_KILL, bench_step(&b));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_CRASHED);
    CHECK_EQ(PB__VM_PHASE__VM_FAILED, b.m.status.phase);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_START_FAILED, b.m.status.cause);
    CHECK_STR("the guest did not answer in time", b.m.status.detail);
}

TEST(machine_deletes_after_a_graceful_stop)
{
    struct bench b;
    bench_init_running(&b);
    b.vm.deleting = 1;
    CHECK_EQ(VM_ACTION_POWER_DOWN, bench_step(&b));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    CHECK_EQ(VM_ACTION_REMOVE, bench_step(&b));
    CHECK_EQ(PB__VM_PHASE__VM_DELETING, b.m.status.phase);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    bench_tell(&b, VMM_REMOVED, 0);
    CHECK_EQ(VM_STATE_GONE, b.m.state);
}

TEST(machine_deletes_by_force_at_once)
{
    struct bench b;
    bench_init_running(&b);
    b.vm.deleting = b.vm.force = 1;
    CHECK_EQ(VM_ACTION_REMOVE, bench_step(&b));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    CHECK_EQ(VM_STATE_REMOVING, b.m.state);
    bench_tell(&b, VMM_REMOVED, 0);
    CHECK_EQ(VM_STATE_GONE, b.m.state);
}

TEST(machine_that_could_not_be_removed_may_still_run)
{
    struct bench b;
    bench_init_running(&b);
    b.vm.deleting = b.vm.force = 1;
    CHECK_EQ(VM_ACTION_REMOVE, bench_step(&b));
    bench_tell(&b, VMM_REFUSED, 0);
    CHECK(vm_machine_runs(&b.m));
    b.w.now_ms = vm_machine_deadline_ms(&b.m, &b.w);
    CHECK_EQ(VM_ACTION_REMOVE, bench_step(&b));
    b.w.now_ms = vm_machine_deadline_ms(&b.m, &b.w); /* no answer: asked once more */
    CHECK_EQ(VM_ACTION_REMOVE, bench_step(&b));
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    bench_tell(&b, VMM_REFUSED, 0);
    CHECK(!vm_machine_runs(&b.m));
    b.w.now_ms = vm_machine_deadline_ms(&b.m, &b.w);
    CHECK_EQ(VM_ACTION_REMOVE, bench_step(&b));
}

TEST(machine_that_could_not_be_removed_and_ends_then_is_removed)
{
    struct bench b;
    bench_init_running(&b);
    b.vm.deleting = b.vm.force = 1;
    CHECK_EQ(VM_ACTION_REMOVE, bench_step(&b));
    bench_commit(&b);
    bench_tell(&b, VMM_REFUSED, 0);
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    bench_commit(&b);
    b.w.now_ms = vm_machine_deadline_ms(&b.m, &b.w);
    CHECK_EQ(VM_ACTION_REMOVE, bench_step(&b));
}

TEST(machine_gives_up_an_intent_that_is_not_wanted_any_more)
{
    struct bench b;
    bench_init_new(&b);
    bench_look(&b, NULL, false);
    bench_order_start(&b);
    (void)bench_step(&b);
    bench_order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK_EQ(VM_STATE_OFF, b.m.state);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, b.m.status.phase);
    CHECK_EQ(1, b.m.status.incarnation);
}

TEST(machine_answers_a_stop_that_found_nothing_running)
{
    struct bench b;
    bench_init_running(&b);
    bench_tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_CRASHED);
    bench_commit(&b); /* failed; it would start again after the back-off */
    bench_order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPING, b.status.phase);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK(vm_machine_has_news(&b.m));
    bench_commit(&b);
    CHECK_EQ(PB__VM_PHASE__VM_FAILED, b.status.phase);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    CHECK(!vm_machine_has_news(&b.m));
}

TEST(machine_texts_of_guests_are_made_fit_to_be_stored)
{
    struct bench b;
    bench_init_running(&b);
    struct vmm_event e = {
        .type = VMM_EXITED, .incarnation = 1, .cause = PB__EXIT_CAUSE__EXIT_CRASHED};
    (void)snprintf(e.detail, sizeof e.detail, "exit\x01 \xff status\n1");
    vm_machine_event(&b.m, &b.w, &e);
    CHECK_STR("exit? ? status\n1", b.m.status.detail);
}

/*
 * The property: whatever happens in whatever order, a start comes only when nothing runs and the
 * state knows of it; and left alone, the VM becomes what is wanted.
 */
struct world {
    bool files, process, paused, answered;
    uint64_t incarnation, highest; /* of the process; ever started */
    Pb__ExitCause cause;
    bool remove_asked, down_asked, kill_asked, pause_asked, resume_asked;
};

static void world_end(struct bench *b, struct world *x, Pb__ExitCause cause)
{
    if (!x->process)
        return;
    x->process = false;
    x->cause = cause;
    struct vmm_event e = {.type = VMM_EXITED, .incarnation = x->incarnation, .cause = cause};
    vm_machine_event(&b->m, &b->w, &e);
}

static void act(struct bench *b, struct world *x, enum vm_action a)
{
    switch (a) {
    case VM_ACTION_START:
        CHECK(!x->process);
        CHECK(b->status.incarnation == b->m.running && b->m.running > x->highest);
        *x = (struct world){.files = true, .process = true, .incarnation = b->m.running};
        x->highest = b->m.running;
        break;
    case VM_ACTION_POWER_DOWN: x->down_asked = true; break;
    case VM_ACTION_KILL: x->kill_asked = true; break;
    case VM_ACTION_PAUSE: x->pause_asked = true; break;
    case VM_ACTION_RESUME: x->resume_asked = true; break;
    case VM_ACTION_REMOVE: x->remove_asked = true; break;
    default: break;
    }
}

static void world_answer(struct bench *b, struct world *x)
{
    struct vmm_event e = {.incarnation = x->incarnation};
    if (x->remove_asked) {
        world_end(b, x, PB__EXIT_CAUSE__EXIT_KILLED);
        *x = (struct world){.highest = x->highest};
        e.type = VMM_REMOVED;
        vm_machine_event(&b->m, &b->w, &e);
    } else if (!x->process) {
        return;
    } else if (x->kill_asked) {
        world_end(b, x, PB__EXIT_CAUSE__EXIT_KILLED);
    } else if (x->pause_asked || x->resume_asked) {
        x->paused = x->pause_asked;
        x->pause_asked = x->resume_asked = false;
        e.type = x->paused ? VMM_PAUSED : VMM_RESUMED;
        vm_machine_event(&b->m, &b->w, &e);
    } else if (!x->answered) {
        x->answered = true;
        e.type = VMM_READY;
        vm_machine_event(&b->m, &b->w, &e);
    } else if (x->down_asked && !x->paused) {
        world_end(b, x, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    }
}

static void world_restart(struct bench *b, struct world *x, bool booted)
{
    if (booted && x->process) {
        x->process = false;
        x->cause = PB__EXIT_CAUSE__EXIT_NONE;
    }
    x->remove_asked = x->pause_asked = x->resume_asked = false;
    bench_restart(b);
    struct vmm_event f = bench_found(b, PB__VM_PHASE__VM_STOPPED, x->cause);
    f.incarnation = x->incarnation;
    if (x->process)
        f.phase = x->paused     ? PB__VM_PHASE__VM_PAUSED
                  : x->answered ? PB__VM_PHASE__VM_RUNNING
                                : PB__VM_PHASE__VM_STARTING;
    bench_look(b, x->files ? &f : NULL, booted);
}

static void machine_is_safe_and_gets_there(struct tape *t)
{
    struct bench b;
    struct world x = {0};
    bench_init_new(&b);
    b.spec.restart = (Pb__Restart)draw_below(t, 3);
    b.spec.autostart = (protobuf_c_boolean)draw_below(t, 2);
    bench_look(&b, NULL, false);
    while (t->pos < t->len && !b.vm.deleting) {
        switch (draw_below(t, 12)) {
        case 0: bench_order_start(&b); break;
        case 1: bench_order(&b, PB__POWER__POWER_STOPPED); break;
        case 2:
            bench_order(&b, PB__POWER__POWER_STOPPED);
            b.vm.force = 1;
            break;
        case 3:
            if (b.status.phase == PB__VM_PHASE__VM_RUNNING ||
                b.status.phase == PB__VM_PHASE__VM_PAUSED)
                if (b.vm.power != PB__POWER__POWER_STOPPED)
                    bench_order(&b, draw_below(t, 2) ? PB__POWER__POWER_PAUSED
                                                     : PB__POWER__POWER_RUNNING);
            break;
        case 4: bench_commit(&b); break;
        case 5: world_end(&b, &x, (Pb__ExitCause)(1 + draw_below(t, 3))); break;
        case 6: world_restart(&b, &x, draw_below(t, 4) == 3); break;
        case 7: b.w.now_ms += draw_below(t, 70000); break;
        case 8:
            if (draw_below(t, 8) == 7) {
                b.vm.deleting = 1;
                b.vm.force = (protobuf_c_boolean)draw_below(t, 2);
            }
            break;
        default: world_answer(&b, &x); break;
        }
        act(&b, &x, bench_step(&b));
    }
    for (int i = 0; i < 60; i++) {
        bench_commit(&b);
        act(&b, &x, bench_step(&b));
        world_answer(&b, &x);
        b.w.now_ms = MAX(b.w.now_ms, MIN(vm_machine_deadline_ms(&b.m, &b.w), b.w.now_ms + 70000));
    }
    bench_commit(&b);
    CHECK_EQ(VM_ACTION_NONE, bench_step(&b));
    if (b.vm.deleting)
        CHECK(b.m.state == VM_STATE_GONE && !x.files && !x.process);
    else if (b.vm.power == PB__POWER__POWER_STOPPED)
        CHECK(b.m.state == VM_STATE_OFF && !x.process);
    else if (b.m.state == VM_STATE_OFF)
        CHECK(!x.process && b.m.rest == VM_REST_HOLD);
    else
        CHECK(x.process && x.paused == (b.vm.power == PB__POWER__POWER_PAUSED) &&
              b.m.state == (x.paused ? VM_STATE_PAUSED : VM_STATE_RUNNING));
    CHECK(!x.process ||
          b.m.status.phase == (x.paused ? PB__VM_PHASE__VM_PAUSED : PB__VM_PHASE__VM_RUNNING));
}

TEST(machine_never_runs_two_and_becomes_what_is_wanted)
{
    prop_run(machine_is_safe_and_gets_there, 1, 1500);
}
