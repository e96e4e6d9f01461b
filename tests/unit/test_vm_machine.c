#include "core/vm_life.h"
#include "node/vm_machine.h"
#include "support/prop.h"
#include "support/tap.h"

/* One VM, what the state says of it, and a machine that is asked by hand. */
struct bench {
    struct vm_machine m;
    Pb__Vm vm;
    Pb__VmSpec spec;
    Pb__VmStatus status;
    struct vm_status held; /* texts of `status` */
    struct vm_policy policy;
    struct rng rng;
    struct vm_wish w;
};

static void setup(struct bench *b)
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

/* The state takes the report, if it is one that may follow. */
static void commit(struct bench *b)
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

/* As cmd_vm_power does: a stop of what might be starting is marked at once. */
static void order(struct bench *b, Pb__Power power)
{
    if (power == PB__POWER__POWER_STOPPED && vm_start_due(&b->vm))
        b->status.phase = PB__VM_PHASE__VM_STOPPING;
    b->vm.power = power;
    b->vm.force = 0;
    b->vm.generation++;
}

static void order_start(struct bench *b)
{
    order(b, PB__POWER__POWER_RUNNING);
    b->vm.start_nonce = b->vm.generation;
}

static enum vm_action step(struct bench *b)
{
    return vm_machine_step(&b->m, &b->w);
}

static void tell(struct bench *b, enum vmm_event_type type, Pb__ExitCause cause)
{
    struct vmm_event e = {.type = type, .incarnation = b->m.running, .cause = cause};
    if (type == VMM_READY)
        (void)snprintf(e.boot_id, sizeof e.boot_id, "boot-%d", (int)b->m.running);
    vm_machine_event(&b->m, &b->w, &e);
}

static void look(struct bench *b, const struct vmm_event *found, bool booted)
{
    vm_machine_looked(&b->m, &b->w, found, booted);
}

/* A VM that runs, in its first incarnation. */
static void setup_running(struct bench *b)
{
    setup(b);
    look(b, NULL, false);
    order_start(b);
    CHECK_EQ(VM_ACTION_NONE, step(b));
    commit(b);
    CHECK_EQ(VM_ACTION_START, step(b));
    tell(b, VMM_SPAWNED, 0);
    tell(b, VMM_READY, 0);
    commit(b);
    CHECK_EQ(VM_ACTION_NONE, step(b));
    CHECK_EQ(VM_STATE_RUNNING, b->m.state);
}

TEST(machine_starts_only_what_the_state_knows_of)
{
    struct bench b;
    setup(&b);
    order_start(&b);
    CHECK_EQ(VM_ACTION_NONE, step(&b)); /* not looked yet */
    look(&b, NULL, false);
    b.w.slot = false;
    CHECK_EQ(VM_ACTION_QUEUE, step(&b));
    CHECK(!vm_machine_has_news(&b.m));
    b.w.slot = true;
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK(vm_machine_has_news(&b.m));
    CHECK_EQ(1, b.m.status.incarnation);
    CHECK_EQ(PB__VM_PHASE__VM_STARTING, b.m.status.phase);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    commit(&b);
    CHECK_EQ(VM_ACTION_START, step(&b));
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    tell(&b, VMM_READY, 0);
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, b.m.status.phase);
    CHECK_STR("boot-1", b.m.status.boot_id);
}

TEST(machine_stops_gracefully_and_says_stopped)
{
    struct bench b;
    setup_running(&b);
    order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    CHECK_EQ(PB__VM_PHASE__VM_STOPPING, b.m.status.phase);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, b.m.status.phase);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, b.m.status.cause);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK(vm_machine_deadline_ms(&b.m, &b.w) == UINT64_MAX);
}

TEST(machine_kills_what_does_not_stop_in_time)
{
    struct bench b;
    setup_running(&b);
    order(&b, PB__POWER__POWER_STOPPED);
    b.spec.stop_timeout_s = 5;
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    CHECK_EQ(6000, vm_machine_deadline_ms(&b.m, &b.w));
    b.w.now_ms = 6000;
    CHECK_EQ(VM_ACTION_KILL, step(&b));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_CRASHED);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_KILLED, b.m.status.cause);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, b.m.status.phase);
}

TEST(machine_kills_at_once_when_forced)
{
    struct bench b;
    setup_running(&b);
    order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    b.vm.force = 1;
    CHECK_EQ(VM_ACTION_KILL, step(&b));
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_KILLED, b.m.status.cause);
}

TEST(machine_asks_again_a_guest_that_was_still_booting)
{
    struct bench b;
    setup(&b);
    look(&b, NULL, false);
    order_start(&b);
    (void)step(&b);
    commit(&b);
    CHECK_EQ(VM_ACTION_START, step(&b));
    order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    tell(&b, VMM_READY, 0);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPING, b.m.status.phase);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    CHECK_EQ(VM_ACTION_NONE, step(&b));
}

TEST(machine_pauses_resumes_and_resumes_before_a_stop)
{
    struct bench b;
    setup_running(&b);
    order(&b, PB__POWER__POWER_PAUSED);
    CHECK_EQ(VM_ACTION_PAUSE, step(&b));
    tell(&b, VMM_PAUSED, 0);
    CHECK_EQ(PB__VM_PHASE__VM_PAUSED, b.m.status.phase);
    order(&b, PB__POWER__POWER_RUNNING);
    CHECK_EQ(VM_ACTION_RESUME, step(&b));
    tell(&b, VMM_RESUMED, 0);
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, b.m.status.phase);
    CHECK_EQ(1, b.m.status.incarnation);
    order(&b, PB__POWER__POWER_PAUSED);
    CHECK_EQ(VM_ACTION_PAUSE, step(&b));
    tell(&b, VMM_PAUSED, 0);
    order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_RESUME, step(&b));
    tell(&b, VMM_RESUMED, 0);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
}

TEST(machine_tries_a_refused_pause_again_later)
{
    struct bench b;
    setup_running(&b);
    order(&b, PB__POWER__POWER_PAUSED);
    CHECK_EQ(VM_ACTION_PAUSE, step(&b));
    tell(&b, VMM_REFUSED, 0);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK_EQ(2000, vm_machine_deadline_ms(&b.m, &b.w));
    b.w.now_ms = 2000;
    CHECK_EQ(VM_ACTION_PAUSE, step(&b));
    CHECK_EQ(12000, vm_machine_deadline_ms(&b.m, &b.w));
    b.w.now_ms = 12000; /* never answered */
    CHECK_EQ(VM_ACTION_PAUSE, step(&b));
}

TEST(machine_restarts_by_order_with_a_new_incarnation)
{
    struct bench b;
    setup_running(&b);
    order_start(&b);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK_EQ(1, b.m.status.incarnation); /* how it ended is told first */
    commit(&b);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK_EQ(2, b.m.status.incarnation);
    CHECK_EQ(0, b.m.status.restarts);
    commit(&b);
    CHECK_EQ(VM_ACTION_START, step(&b));
}

TEST(machine_restarts_by_policy_with_growing_back_off)
{
    struct bench b;
    setup_running(&b);
    uint64_t least = 500, most = 1000;
    for (int i = 1; i <= 8; i++) {
        tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_CRASHED);
        CHECK_EQ(PB__VM_PHASE__VM_FAILED, b.m.status.phase);
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_CRASHED, b.m.status.cause);
        CHECK_EQ(VM_ACTION_NONE, step(&b));
        uint64_t wait = vm_machine_deadline_ms(&b.m, &b.w) - b.w.now_ms;
        CHECK(wait >= least && wait <= most);
        least = MIN(2 * least, 30000);
        most = MIN(2 * most, 60000);
        b.w.now_ms += wait;
        commit(&b);
        CHECK_EQ(VM_ACTION_NONE, step(&b));
        CHECK_EQ(i, b.m.status.restarts);
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_CRASHED, b.m.status.cause); /* how it last ended */
        commit(&b);
        CHECK_EQ(VM_ACTION_START, step(&b));
        tell(&b, VMM_READY, 0);
    }
    b.w.now_ms += b.policy.backoff_reset_ms; /* it ran well for long */
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_PANIC);
    CHECK(vm_machine_deadline_ms(&b.m, &b.w) - b.w.now_ms <= 1000);
}

TEST(machine_policy_never_fights_a_stop)
{
    struct bench b;
    setup_running(&b);
    b.spec.restart = PB__RESTART__RESTART_ALWAYS;
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_CRASHED);
    order(&b, PB__POWER__POWER_STOPPED);
    b.w.now_ms += 1000000;
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK_EQ(VM_STATE_OFF, b.m.state);
    CHECK(vm_machine_deadline_ms(&b.m, &b.w) == UINT64_MAX);
    commit(&b);
    order_start(&b);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
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
        setup_running(&b);
        b.spec.restart = cases[i].policy;
        tell(&b, VMM_EXITED, cases[i].cause);
        CHECK_EQ(cases[i].again, vm_machine_deadline_ms(&b.m, &b.w) != UINT64_MAX);
    }
}

TEST(machine_guest_that_never_answers_has_failed_to_start)
{
    struct bench b;
    setup(&b);
    look(&b, NULL, false);
    order_start(&b);
    (void)step(&b);
    commit(&b);
    CHECK_EQ(VM_ACTION_START, step(&b));
    b.w.now_ms += 60000;
    CHECK_EQ(VM_ACTION_KILL, step(&b));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_CRASHED);
    CHECK_EQ(PB__VM_PHASE__VM_FAILED, b.m.status.phase);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_START_FAILED, b.m.status.cause);
    CHECK_STR("the guest did not answer in time", b.m.status.detail);
}

TEST(machine_deletes_after_a_graceful_stop)
{
    struct bench b;
    setup_running(&b);
    b.vm.deleting = 1;
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    CHECK_EQ(VM_ACTION_REMOVE, step(&b));
    CHECK_EQ(PB__VM_PHASE__VM_DELETING, b.m.status.phase);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    tell(&b, VMM_REMOVED, 0);
    CHECK_EQ(VM_STATE_GONE, b.m.state);
}

TEST(machine_deletes_by_force_at_once)
{
    struct bench b;
    setup_running(&b);
    b.vm.deleting = b.vm.force = 1;
    CHECK_EQ(VM_ACTION_REMOVE, step(&b));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    CHECK_EQ(VM_STATE_REMOVING, b.m.state);
    tell(&b, VMM_REMOVED, 0);
    CHECK_EQ(VM_STATE_GONE, b.m.state);
}

TEST(machine_that_could_not_be_removed_may_still_run)
{
    struct bench b;
    setup_running(&b);
    b.vm.deleting = b.vm.force = 1;
    CHECK_EQ(VM_ACTION_REMOVE, step(&b));
    tell(&b, VMM_REFUSED, 0);
    CHECK(vm_machine_runs(&b.m));
    b.w.now_ms = vm_machine_deadline_ms(&b.m, &b.w);
    CHECK_EQ(VM_ACTION_REMOVE, step(&b));
    b.w.now_ms = vm_machine_deadline_ms(&b.m, &b.w); /* no answer: asked once more */
    CHECK_EQ(VM_ACTION_REMOVE, step(&b));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    tell(&b, VMM_REFUSED, 0);
    CHECK(!vm_machine_runs(&b.m));
    b.w.now_ms = vm_machine_deadline_ms(&b.m, &b.w);
    CHECK_EQ(VM_ACTION_REMOVE, step(&b));
}

TEST(machine_that_could_not_be_removed_and_ends_then_is_removed)
{
    struct bench b;
    setup_running(&b);
    b.vm.deleting = b.vm.force = 1;
    CHECK_EQ(VM_ACTION_REMOVE, step(&b));
    commit(&b);
    tell(&b, VMM_REFUSED, 0);
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    commit(&b);
    b.w.now_ms = vm_machine_deadline_ms(&b.m, &b.w);
    CHECK_EQ(VM_ACTION_REMOVE, step(&b));
}

TEST(machine_gives_up_an_intent_that_is_not_wanted_any_more)
{
    struct bench b;
    setup(&b);
    look(&b, NULL, false);
    order_start(&b);
    (void)step(&b);
    order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK_EQ(VM_STATE_OFF, b.m.state);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, b.m.status.phase);
    CHECK_EQ(1, b.m.status.incarnation);
}

/* --- after a restart of the node --- */

static struct vmm_event found(const struct bench *b, Pb__VmPhase phase, Pb__ExitCause cause)
{
    struct vmm_event e = {.type = VMM_FOUND,
                          .epoch = b->status.epoch,
                          .incarnation = b->status.incarnation,
                          .phase = phase,
                          .cause = cause};
    (void)snprintf(e.boot_id, sizeof e.boot_id, "boot-%d", (int)b->status.incarnation);
    return e;
}

static void restart_node(struct bench *b)
{
    vm_machine_init(&b->m);
}

TEST(machine_adopts_what_still_runs_without_a_word)
{
    struct bench b;
    setup_running(&b);
    restart_node(&b);
    struct vmm_event f = found(&b, PB__VM_PHASE__VM_RUNNING, 0);
    look(&b, &f, false);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK_EQ(VM_STATE_RUNNING, b.m.state);
    CHECK(!vm_machine_has_news(&b.m));
    CHECK_EQ(1, b.m.status.incarnation);
}

TEST(machine_tells_how_it_ended_meanwhile)
{
    struct bench b;
    setup_running(&b);
    restart_node(&b);
    struct vmm_event f = found(&b, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_GUEST_PANIC);
    look(&b, &f, false);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_GUEST_PANIC, b.m.status.cause);
    CHECK(vm_machine_has_news(&b.m));
    CHECK(vm_machine_deadline_ms(&b.m, &b.w) != UINT64_MAX);

    restart_node(&b);
    look(&b, NULL, false);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_LOST, b.m.status.cause);
    CHECK_EQ(PB__VM_PHASE__VM_FAILED, b.m.status.phase);
}

TEST(machine_stop_that_a_crash_interrupted_is_still_a_stop)
{
    struct bench b;
    setup_running(&b);
    order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    commit(&b);
    restart_node(&b);
    struct vmm_event f = found(&b, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    look(&b, &f, false);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, b.m.status.cause);

    restart_node(&b);
    f = found(&b, PB__VM_PHASE__VM_RUNNING, 0);
    look(&b, &f, false);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
}

TEST(machine_starts_what_was_committed_but_never_begun)
{
    struct bench b;
    setup(&b);
    b.spec.restart = PB__RESTART__RESTART_NEVER;
    look(&b, NULL, false);
    order_start(&b);
    (void)step(&b);
    commit(&b);
    restart_node(&b);
    look(&b, NULL, false);
    CHECK_EQ(VM_ACTION_START, step(&b));
    CHECK_EQ(1, b.m.running);
}

TEST(machine_ends_an_incarnation_that_the_state_does_not_know)
{
    struct bench b;
    setup_running(&b);
    restart_node(&b);
    struct vmm_event f = found(&b, PB__VM_PHASE__VM_RUNNING, 0);
    f.incarnation = 7;
    look(&b, &f, false);
    CHECK_EQ(VM_ACTION_KILL, step(&b));
    CHECK_EQ(7, b.m.running);
    CHECK(!vm_machine_has_news(&b.m));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_LOST, b.m.status.cause);
    commit(&b);
    b.w.now_ms += 1000;
    (void)step(&b);
    CHECK_EQ(8, b.m.status.incarnation);
}

TEST(machine_removes_what_is_not_in_the_state)
{
    struct bench b;
    setup_running(&b);
    restart_node(&b);
    struct vmm_event f = found(&b, PB__VM_PHASE__VM_RUNNING, 0);
    b.w.vm = NULL;
    look(&b, &f, false);
    CHECK_EQ(VM_ACTION_REMOVE, step(&b));
    tell(&b, VMM_REMOVED, 0);
    CHECK_EQ(VM_STATE_GONE, b.m.state);
    CHECK(!vm_machine_runs(&b.m));
}

TEST(machine_host_shutdown_ends_all_and_boot_starts_those_with_autostart)
{
    for (int autostart = 0; autostart < 2; autostart++) {
        struct bench b;
        setup_running(&b);
        b.spec.autostart = autostart;
        b.w.host_down = true;
        b.w.host_deadline_ms = 5000;
        CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
        CHECK_EQ(5000, vm_machine_deadline_ms(&b.m, &b.w));
        b.w.now_ms = 5000;
        CHECK_EQ(VM_ACTION_KILL, step(&b));
        tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN, b.m.status.cause);
        CHECK_EQ(PB__VM_PHASE__VM_STOPPED, b.m.status.phase);
        CHECK_EQ(VM_ACTION_NONE, step(&b));
        commit(&b);

        restart_node(&b);
        b.w.host_down = false;
        struct vmm_event f = found(&b, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_KILLED);
        look(&b, &f, true);
        CHECK_EQ(VM_ACTION_NONE, step(&b));
        CHECK_EQ(autostart ? VM_STATE_INTENT : VM_STATE_OFF, b.m.state);
        CHECK_EQ(0, b.m.status.restarts);
    }
}

TEST(machine_power_cut_is_a_host_shutdown)
{
    for (int autostart = 0; autostart < 2; autostart++) {
        struct bench b;
        setup_running(&b);
        b.spec.autostart = autostart;
        b.spec.restart = PB__RESTART__RESTART_NEVER;
        restart_node(&b);
        look(&b, NULL, true);
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN, b.m.status.cause);
        commit(&b);
        (void)step(&b);
        CHECK_EQ(autostart ? VM_STATE_INTENT : VM_STATE_OFF, b.m.state);
        commit(&b);
        restart_node(&b); /* of the daemon alone: what the boot left off stays off */
        look(&b, NULL, false);
        CHECK_EQ(autostart ? VM_ACTION_START : VM_ACTION_NONE, step(&b));
    }
}

TEST(machine_answers_a_stop_that_found_nothing_running)
{
    struct bench b;
    setup_running(&b);
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_CRASHED);
    commit(&b); /* failed; it would start again after the back-off */
    order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPING, b.status.phase);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK(vm_machine_has_news(&b.m));
    commit(&b);
    CHECK_EQ(PB__VM_PHASE__VM_FAILED, b.status.phase);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK(!vm_machine_has_news(&b.m));
}

/* Also when the node ended before it could answer: the end is that of then, not another. */
TEST(machine_answers_a_stop_that_found_nothing_running_after_a_restart)
{
    for (int booted = 0; booted < 2; booted++) {
        struct bench b;
        setup_running(&b);
        struct vmm_event e = {.type = VMM_READY, .incarnation = 1, .started_ns = 1000000000};
        vm_machine_event(&b.m, &b.w, &e);
        e = (struct vmm_event){.type = VMM_EXITED, .incarnation = 1, .ended_ns = 2000000000};
        e.cause = PB__EXIT_CAUSE__EXIT_CRASHED;
        (void)snprintf(e.detail, sizeof e.detail, "signal 11");
        vm_machine_event(&b.m, &b.w, &e);
        commit(&b);
        order(&b, PB__POWER__POWER_STOPPED);
        CHECK_EQ(PB__VM_PHASE__VM_STOPPING, b.status.phase);
        restart_node(&b);
        struct vmm_event f = found(&b, PB__VM_PHASE__VM_STOPPED, 0); /* its record was lost */
        look(&b, booted ? NULL : &f, booted);
        CHECK_EQ(VM_ACTION_NONE, step(&b));
        CHECK(vm_machine_has_news(&b.m));
        CHECK_EQ(PB__VM_PHASE__VM_FAILED, b.m.status.phase);
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_CRASHED, b.m.status.cause);
        CHECK_STR("signal 11", b.m.status.detail);
        CHECK_EQ(2000000000, b.m.status.ended_ns);
        commit(&b);
        CHECK_EQ(VM_ACTION_NONE, step(&b));
        CHECK(!vm_machine_has_news(&b.m));
    }
}

/* The end of the incarnation before is none of this one. */
TEST(machine_that_ended_while_it_was_to_stop_ended_anew)
{
    struct bench b;
    setup_running(&b);
    struct vmm_event e = {.type = VMM_READY, .incarnation = 1, .started_ns = 1000000000};
    vm_machine_event(&b.m, &b.w, &e);
    e = (struct vmm_event){.type = VMM_EXITED, .incarnation = 1, .ended_ns = 2000000000};
    e.cause = PB__EXIT_CAUSE__EXIT_CRASHED;
    vm_machine_event(&b.m, &b.w, &e);
    commit(&b);
    order_start(&b);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    commit(&b);
    CHECK_EQ(VM_ACTION_START, step(&b));
    order(&b, PB__POWER__POWER_STOPPED);
    b.status.phase = PB__VM_PHASE__VM_STOPPING;
    restart_node(&b);
    struct vmm_event f = found(&b, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    look(&b, &f, false);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, b.m.status.cause);
}

TEST(machine_carries_a_stop_through_that_a_crash_interrupted_whatever_is_wanted_now)
{
    struct bench b;
    setup_running(&b);
    order(&b, PB__POWER__POWER_STOPPED);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    commit(&b);
    order_start(&b);
    restart_node(&b);
    struct vmm_event f = found(&b, PB__VM_PHASE__VM_RUNNING, 0);
    look(&b, &f, false);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    commit(&b);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
    CHECK_EQ(2, b.m.status.incarnation);
}

TEST(machine_carries_a_host_shutdown_through_that_was_called_off)
{
    struct bench b;
    setup_running(&b);
    b.w.host_down = true;
    b.w.host_deadline_ms = 5000;
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    commit(&b);
    restart_node(&b);
    b.w.host_down = false;
    struct vmm_event f = found(&b, PB__VM_PHASE__VM_RUNNING, 0);
    look(&b, &f, false);
    CHECK_EQ(VM_ACTION_POWER_DOWN, step(&b));
    tell(&b, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    commit(&b);
    (void)step(&b);
    CHECK_EQ(VM_STATE_INTENT, b.m.state);
}

TEST(machine_texts_of_guests_are_made_fit_to_be_stored)
{
    struct bench b;
    setup_running(&b);
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
    restart_node(b);
    struct vmm_event f = found(b, PB__VM_PHASE__VM_STOPPED, x->cause);
    f.incarnation = x->incarnation;
    if (x->process)
        f.phase = x->paused     ? PB__VM_PHASE__VM_PAUSED
                  : x->answered ? PB__VM_PHASE__VM_RUNNING
                                : PB__VM_PHASE__VM_STARTING;
    look(b, x->files ? &f : NULL, booted);
}

static void machine_is_safe_and_gets_there(struct tape *t)
{
    struct bench b;
    struct world x = {0};
    setup(&b);
    b.spec.restart = (Pb__Restart)draw_below(t, 3);
    b.spec.autostart = (protobuf_c_boolean)draw_below(t, 2);
    look(&b, NULL, false);
    while (t->pos < t->len && !b.vm.deleting) {
        switch (draw_below(t, 12)) {
        case 0: order_start(&b); break;
        case 1: order(&b, PB__POWER__POWER_STOPPED); break;
        case 2:
            order(&b, PB__POWER__POWER_STOPPED);
            b.vm.force = 1;
            break;
        case 3:
            if (b.status.phase == PB__VM_PHASE__VM_RUNNING ||
                b.status.phase == PB__VM_PHASE__VM_PAUSED)
                if (b.vm.power != PB__POWER__POWER_STOPPED)
                    order(&b,
                          draw_below(t, 2) ? PB__POWER__POWER_PAUSED : PB__POWER__POWER_RUNNING);
            break;
        case 4: commit(&b); break;
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
        act(&b, &x, step(&b));
    }
    for (int i = 0; i < 60; i++) {
        commit(&b);
        act(&b, &x, step(&b));
        world_answer(&b, &x);
        b.w.now_ms = MAX(b.w.now_ms, MIN(vm_machine_deadline_ms(&b.m, &b.w), b.w.now_ms + 70000));
    }
    commit(&b);
    CHECK_EQ(VM_ACTION_NONE, step(&b));
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
