/* Start, stop, restart, pause, resume: what is wanted, and who waits for it. */
#include "base/rng.h"
#include "core/state.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/proto.h"

#define RUNNING   PB__OPERATION_PHASE__OPERATION_RUNNING
#define SUCCEEDED PB__OPERATION_PHASE__OPERATION_SUCCEEDED
#define FAILED    PB__OPERATION_PHASE__OPERATION_FAILED
#define CANCELLED PB__OPERATION_PHASE__OPERATION_CANCELLED

enum { VM = WORLD_FREE, OP = WORLD_OP(900), OP2 = WORLD_OP(901), OP3 = WORLD_OP(902) };

static void check_joined(const struct world *w, uint64_t op)
{
    CHECK_STR(world_uid(op), w->r.operation_id);
    CHECK_STR(world_uid(VM), w->r.uid);
}

/* The VM is asked for something new: generation is one more, and so it says. */
static void check_asked(struct world *w, uint64_t generation, const char *event)
{
    CHECK_EQ(generation, world_get_vm(w, VM)->generation);
    CHECK_STR(event, world_event(w, 0));
}

/* --- start --- */

TEST(start_of_a_stopped_vm_waits_until_it_runs)
{
    struct world w;
    world_start(&w);
    world_vm_stopped(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP));
    check_joined(&w, OP);
    check_asked(&w, 2, "vm.asked: start");
    const Pb__Vm *vm = world_get_vm(&w, VM);
    CHECK_EQ(PB__POWER__POWER_RUNNING, vm->power);
    CHECK_EQ(2, vm->start_nonce);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(2, world_get_op(&w, OP)->generation);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_STR("starting", world_get_op(&w, OP)->step);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, false));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    CHECK(world_get_op(&w, OP)->step == NULL);
    world_done(&w);
}

TEST(start_of_a_running_vm_has_succeeded)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP));
    check_joined(&w, OP);
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    CHECK_EQ(1, world_get_vm(&w, VM)->generation);
    CHECK_EQ(1, w.r.change_count);
    CHECK_EQ(0, w.r.event_count);
    world_done(&w);
}

TEST(start_of_a_vm_that_is_being_created_joins)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, VM, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP));
    check_joined(&w, WORLD_OP(VM));
    CHECK_EQ(0, w.r.change_count);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP));
    check_joined(&w, WORLD_OP(VM));
    CHECK_EQ(1, world_get_vm(&w, VM)->generation);
    world_done(&w);
}

TEST(start_after_a_cancelled_wait_waits_anew)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, VM, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_OK, world_cancel(&w, WORLD_OP(VM)));
    CHECK_STR("operation.cancelled: vm.create of web", world_event(&w, 0));
    CHECK_EQ(CANCELLED, world_op_phase(&w, WORLD_OP(VM)));
    CHECK_EQ(PB__POWER__POWER_RUNNING, world_get_vm(&w, VM)->power);
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP));
    check_joined(&w, OP);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(1, world_get_vm(&w, VM)->generation);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, true));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    world_done(&w);
}

TEST(start_of_a_vm_that_ended_by_itself_asks_anew)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED,
                                   PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN, ""));
    CHECK_EQ(PB__POWER__POWER_RUNNING, world_get_vm(&w, VM)->power);
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP));
    check_asked(&w, 2, "vm.asked: start");
    CHECK_EQ(2, world_get_vm(&w, VM)->start_nonce);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    /* The end of the incarnation before is no answer. */
    CHECK_EQ(ST_OK, world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED,
                                   PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN, "again"));
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, true));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    CHECK_EQ(0, world_get_vm(&w, VM)->status->restarts);
    world_done(&w);
}

TEST(start_that_fails_fails_the_operation_with_the_cause)
{
    struct world w;
    world_start(&w);
    world_vm_stopped(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(ST_OK, world_says_end(&w, VM, PB__VM_PHASE__VM_FAILED,
                                   PB__EXIT_CAUSE__EXIT_START_FAILED, "no kernel"));
    const Pb__Operation *op = world_get_op(&w, OP);
    CHECK_EQ(FAILED, op->phase);
    CHECK_STR("failed", op->problem->code);
    CHECK_STR("vm web ended: start-failed: no kernel", op->problem->text);
    CHECK_EQ(PB__POWER__POWER_RUNNING, world_get_vm(&w, VM)->power);
    world_done(&w);
}

TEST(start_of_a_vm_that_powers_off_before_it_answers_fails)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, VM, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(ST_OK, world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED,
                                   PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN, ""));
    CHECK_EQ(FAILED, world_op_phase(&w, WORLD_OP(VM)));
    CHECK_STR("vm web ended: guest-shutdown", world_get_op(&w, WORLD_OP(VM))->problem->text);
    world_done(&w);
}

TEST(start_while_stopping_takes_the_place_of_the_stop)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STOPPING, false));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP2));
    CHECK_EQ(CANCELLED, world_op_phase(&w, OP));
    CHECK_STR("superseded by vm.start", world_get_op(&w, OP)->problem->text);
    CHECK_EQ(3, world_get_vm(&w, VM)->start_nonce);
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_STOPPED, ""));
    CHECK_EQ(RUNNING, world_op_phase(&w, OP2));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, true));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP2));
    world_done(&w);
}

/* The stop was asked for: though the node has not acted yet, what runs must not run on. */
TEST(start_right_after_stop_is_a_new_start)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power_force(&w, VM, "vm.stop", OP));
    CHECK(world_get_vm(&w, VM)->force);
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP2));
    CHECK_EQ(3, world_get_vm(&w, VM)->start_nonce);
    CHECK(!world_get_vm(&w, VM)->force);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP2));
    world_done(&w);
}

/* The host shuts down: the VM stops though it is wanted; a start then is one for afterwards. */
TEST(start_of_a_vm_that_stops_though_wanted_asks_anew)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STOPPING, false));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP));
    CHECK_EQ(2, world_get_vm(&w, VM)->start_nonce);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP2));
    check_joined(&w, OP);
    world_done(&w);
}

TEST(start_of_a_vm_of_unknown_phase_waits_for_its_node)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_UNKNOWN, false));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP));
    CHECK_EQ(1, world_get_vm(&w, VM)->generation);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, false));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    world_done(&w);
}

TEST(start_resets_the_restart_counter)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_FAILED, PB__EXIT_CAUSE__EXIT_CRASHED, ""));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(1, world_get_vm(&w, VM)->status->restarts);
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.restart", OP));
    CHECK_EQ(0, world_get_vm(&w, VM)->status->restarts);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(0, world_get_vm(&w, VM)->status->restarts);
    world_done(&w);
}

/* --- stop --- */

TEST(stop_of_a_running_vm_waits_until_it_does_not)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP));
    check_asked(&w, 2, "vm.asked: stop");
    CHECK_EQ(PB__POWER__POWER_STOPPED, world_get_vm(&w, VM)->power);
    CHECK_EQ(1, world_get_vm(&w, VM)->start_nonce);
    CHECK(!world_get_vm(&w, VM)->force);
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, world_get_vm(&w, VM)->status->phase);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STOPPING, false));
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_STOPPED, ""));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    world_done(&w);
}

TEST(stop_of_a_vm_that_fails_meanwhile_has_reached_its_goal)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP));
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_FAILED, PB__EXIT_CAUSE__EXIT_CRASHED, ""));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    world_done(&w);
}

TEST(stop_of_a_stopped_vm_has_succeeded)
{
    struct world w;
    world_start(&w);
    world_vm_stopped(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    CHECK_EQ(1, world_get_vm(&w, VM)->generation);
    CHECK_EQ(ST_OK, world_power_force(&w, VM, "vm.stop", OP2));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP2));
    CHECK_EQ(1, world_get_vm(&w, VM)->generation);
    world_done(&w);
}

TEST(stop_of_a_vm_that_ended_for_good_has_succeeded)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED,
                                   PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN, ""));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    CHECK_EQ(PB__POWER__POWER_STOPPED, world_get_vm(&w, VM)->power);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, world_get_vm(&w, VM)->status->phase);
    world_done(&w);
}

/* Its node may be starting it while the command is on its way: only the node knows. */
TEST(stop_of_a_vm_that_is_about_to_start_waits_for_its_node)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, VM, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP));
    CHECK_EQ(PB__VM_PHASE__VM_STOPPING, world_get_vm(&w, VM)->status->phase);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(CANCELLED, world_op_phase(&w, WORLD_OP(VM)));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_ABSENT, false));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    world_done(&w);
}

TEST(stop_of_a_vm_that_waits_for_its_restart_waits_for_its_node)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_FAILED, PB__EXIT_CAUSE__EXIT_CRASHED, ""));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP));
    CHECK_EQ(PB__VM_PHASE__VM_STOPPING, world_get_vm(&w, VM)->status->phase);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    /* It had just started it. */
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_KILLED, ""));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    world_done(&w);
}

TEST(stop_again_joins_and_may_add_force)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP2));
    check_joined(&w, OP);
    CHECK_EQ(0, w.r.change_count);
    CHECK_EQ(ST_OK, world_power_force(&w, VM, "vm.stop", OP2));
    check_joined(&w, OP);
    check_asked(&w, 3, "vm.asked: stop without grace");
    CHECK(world_get_vm(&w, VM)->force);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(ST_OK, world_power_force(&w, VM, "vm.stop", OP2));
    CHECK_EQ(0, w.r.change_count);
    /* Grace does not come back. */
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP2));
    CHECK(world_get_vm(&w, VM)->force);
    world_done(&w);
}

TEST(stop_by_force_after_a_cancelled_wait_waits_anew)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP));
    CHECK_EQ(ST_OK, world_cancel(&w, OP));
    CHECK_EQ(PB__POWER__POWER_STOPPED, world_get_vm(&w, VM)->power);
    CHECK_EQ(ST_OK, world_power_force(&w, VM, "vm.stop", OP2));
    check_joined(&w, OP2);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP2));
    world_done(&w);
}

/* --- restart --- */

TEST(restart_waits_for_a_new_incarnation)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power_force(&w, VM, "vm.restart", OP));
    check_asked(&w, 2, "vm.asked: restart without grace");
    CHECK_EQ(2, world_get_vm(&w, VM)->start_nonce);
    CHECK(world_get_vm(&w, VM)->force);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    /* The one before is still there, and then it ends. */
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STOPPING, false));
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_KILLED, ""));
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, true));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    world_done(&w);
}

TEST(restart_of_a_stopped_vm_starts_it)
{
    struct world w;
    world_start(&w);
    world_vm_stopped(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.restart", OP));
    CHECK_EQ(PB__POWER__POWER_RUNNING, world_get_vm(&w, VM)->power);
    CHECK_EQ(2, world_get_vm(&w, VM)->start_nonce);
    world_done(&w);
}

TEST(restart_again_takes_the_place_of_the_first)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.restart", OP));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.restart", OP2));
    CHECK_EQ(CANCELLED, world_op_phase(&w, OP));
    CHECK_EQ(3, world_get_vm(&w, VM)->start_nonce);
    /* An incarnation that was started for the first one is no answer to the second. */
    struct kit_report r;
    kit_report(&w, &r, VM, PB__VM_PHASE__VM_RUNNING);
    r.status.incarnation++;
    PROTO_SET(&r.status, generation, 2);
    CHECK_EQ(ST_OK, world_report(&w, &r));
    CHECK_EQ(RUNNING, world_op_phase(&w, OP2));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, true));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP2));
    world_done(&w);
}

/* --- pause, resume --- */

static void pause_vm(struct world *w)
{
    world_start(w);
    world_vm_running(w, VM, "web");
    CHECK_EQ(ST_OK, world_power(w, VM, "vm.pause", OP));
    CHECK_EQ(ST_OK, world_says(w, VM, PB__VM_PHASE__VM_PAUSED, false));
}

TEST(pause_waits_until_it_is_paused)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.pause", OP));
    check_asked(&w, 2, "vm.asked: pause");
    CHECK_EQ(PB__POWER__POWER_PAUSED, world_get_vm(&w, VM)->power);
    CHECK_EQ(1, world_get_vm(&w, VM)->start_nonce);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.pause", OP2));
    check_joined(&w, OP);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_PAUSED, false));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.pause", OP2));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP2));
    CHECK_EQ(2, world_get_vm(&w, VM)->generation);
    world_done(&w);
}

TEST(pause_of_what_does_not_run_is_refused)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    world_vm_stopped(&w, VM, "web");
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM, "vm.pause", OP));
    CHECK_STR("vm web is absent", w.r.why.text);
    kit_vm(&k, VM + 1, "new");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM + 1, "vm.pause", OP));
    CHECK_EQ(ST_OK, world_says(&w, VM + 1, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM + 1, "vm.pause", OP));
    CHECK_STR("vm new is starting", w.r.why.text);
    CHECK_EQ(ST_OK, world_says(&w, VM + 1, PB__VM_PHASE__VM_RUNNING, false));
    CHECK_EQ(ST_OK, world_power(&w, VM + 1, "vm.stop", OP));
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM + 1, "vm.pause", OP2));
    CHECK_STR("vm new is being stopped", w.r.why.text);
    world_done(&w);
}

TEST(pause_while_a_restart_is_asked_for_is_refused)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.restart", OP));
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM, "vm.pause", OP2));
    CHECK_STR("vm web is being restarted", w.r.why.text);
    world_done(&w);
}

TEST(pause_of_a_vm_that_ends_meanwhile_fails)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.pause", OP));
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_FAILED, PB__EXIT_CAUSE__EXIT_CRASHED, ""));
    CHECK_EQ(FAILED, world_op_phase(&w, OP));
    /* It is not started again to be paused, but a user may start it. */
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM, "vm.pause", OP2));
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM, "vm.resume", OP2));
    CHECK_STR("vm web is failed", w.r.why.text);
    CHECK_STR("blixard vm start web", w.r.why.hint);
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP2));
    CHECK_EQ(PB__POWER__POWER_RUNNING, world_get_vm(&w, VM)->power);
    CHECK_EQ(3, world_get_vm(&w, VM)->start_nonce);
    world_done(&w);
}

TEST(pause_then_start_asks_to_resume_instead)
{
    struct world w;
    pause_vm(&w);
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM, "vm.start", OP2));
    CHECK_STR("vm web is paused", w.r.why.text);
    CHECK_STR("blixard vm resume web", w.r.why.hint);
    world_done(&w);
}

TEST(resume_waits_until_it_runs)
{
    struct world w;
    pause_vm(&w);
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.resume", OP2));
    check_asked(&w, 3, "vm.asked: resume");
    CHECK_EQ(PB__POWER__POWER_RUNNING, world_get_vm(&w, VM)->power);
    CHECK_EQ(1, world_get_vm(&w, VM)->start_nonce);
    CHECK_EQ(RUNNING, world_op_phase(&w, OP2));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.resume", OP3));
    check_joined(&w, OP2);
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.start", OP3)); /* leads to the same */
    check_joined(&w, OP2);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, false));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP2));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.resume", OP3));
    CHECK_EQ(SUCCEEDED, world_op_phase(&w, OP3));
    world_done(&w);
}

TEST(resume_of_what_is_not_paused_is_refused)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    world_vm_stopped(&w, VM, "web");
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM, "vm.resume", OP));
    CHECK_STR("vm web is absent", w.r.why.text);
    CHECK_STR("blixard vm start web", w.r.why.hint);
    kit_vm(&k, VM + 1, "new");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_OK, world_says(&w, VM + 1, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM + 1, "vm.resume", OP));
    CHECK_STR("vm new is starting", w.r.why.text);
    CHECK_EQ(ST_OK, world_says(&w, VM + 1, PB__VM_PHASE__VM_RUNNING, false));
    CHECK_EQ(ST_OK, world_power(&w, VM + 1, "vm.stop", OP));
    CHECK_EQ(ST_CONFLICT, world_power(&w, VM + 1, "vm.resume", OP2));
    CHECK_STR("vm new is being stopped", w.r.why.text);
    world_done(&w);
}

TEST(stop_of_a_paused_vm_takes_the_place_of_what_was_waited_for)
{
    struct world w;
    pause_vm(&w);
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.resume", OP2));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.stop", OP3));
    CHECK_EQ(CANCELLED, world_op_phase(&w, OP2));
    CHECK_EQ(PB__POWER__POWER_STOPPED, world_get_vm(&w, VM)->power);
    world_done(&w);
}

/* --- what every verb needs --- */

TEST(power_refuses_what_is_not_whole)
{
    struct world w;
    struct {
        enum status status;
        const char *field;
    } want[] = {{ST_INVALID, "uid"},   {ST_INVALID, "kind"},          {ST_INVALID, "power"},
                {ST_INVALID, "power"}, {ST_INVALID, "power"},         {ST_INVALID, "kind"},
                {ST_NOT_FOUND, ""},    {ST_PRECONDITION, "if_index"}, {ST_INVALID, "operation_id"}};
    world_start(&w);
    world_vm_stopped(&w, VM, "web");
    for (size_t i = 0; i <= ARRAY_COUNT(want); i++) {
        Pb__CmdVmPower m = PB__CMD_VM_POWER__INIT;
        Pb__Command cmd = PB__COMMAND__INIT;
        cmd.body_case = PB__COMMAND__BODY_VM_POWER;
        cmd.vm_power = &m;
        m.uid = world_uid(VM);
        m.kind = world_text("vm.start");
        m.operation_id = world_uid(OP);
        PROTO_SET(&m, power, PB__POWER__POWER_RUNNING);
        PROTO_SET(&m, if_index, world_get_vm(&w, VM)->meta->index);
        switch (i) {
        case 0: m.uid = NULL; break;
        case 1: m.kind = NULL; break;
        case 2: m.has_power = false; break;
        case 3: m.power = PB__POWER__POWER_PAUSED; break;
        case 4: PROTO_SET(&m, restart, true); break;
        case 5: m.kind = world_text("vm.delete"); break;
        case 6: m.uid = world_uid(VM + 1); break;
        case 7: m.if_index++; break;
        case 8: m.operation_id = NULL; break;
        }
        enum status s = world_run(&w, &cmd);
        if (i == ARRAY_COUNT(want)) {
            CHECK_EQ(ST_OK, s);
            break;
        }
        CHECK_EQ(want[i].status, s);
        CHECK_STR(want[i].field, w.r.why.field);
    }
    world_done(&w);
}

TEST(power_must_be_given_even_where_it_is_the_default)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    Pb__CmdVmPower m = PB__CMD_VM_POWER__INIT;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_VM_POWER;
    cmd.vm_power = &m;
    m.uid = world_uid(VM);
    m.kind = world_text("vm.stop");
    m.operation_id = world_uid(OP);
    CHECK_EQ(ST_INVALID, world_run(&w, &cmd));
    CHECK_STR("power", w.r.why.field);
    world_done(&w);
}

/* Whatever comes in whatever order, one thing at most is waited for. */
TEST(power_one_operation_at_most_is_under_way)
{
    struct world w;
    static const char *const kind[] = {"vm.start", "vm.stop", "vm.restart", "vm.pause",
                                       "vm.resume"};
    struct rng rng = {7};
    world_start(&w);
    world_vm_running(&w, VM, "web");
    for (unsigned i = 0; i < 500; i++) {
        if (rng_chance(&rng, 500))
            (void)world_power(&w, VM, kind[rng_below(&rng, 5)], WORLD_OP(1000 + i));
        else
            (void)world_says(&w, VM, (Pb__VmPhase)rng_below(&rng, 10), rng_chance(&rng, 300));
        CHECK(w.c->derived.operation_by_target.count <= 1);
    }
    world_done(&w);
}
