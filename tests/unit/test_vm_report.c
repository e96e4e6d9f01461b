/* What a node may say of a VM, and what follows from it. */
#include "core/state.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/proto.h"

enum { VM = WORLD_FREE, OP = WORLD_OP(900) };

TEST(report_is_kept_as_the_vms_status)
{
    struct world w;
    struct kit_report r;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, VM, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_PREPARED, true));
    CHECK_STR("vm.prepared: incarnation 1", world_event(&w, 0));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, false));
    CHECK_STR("vm.starting: incarnation 1", world_event(&w, 0));
    kit_report(&w, &r, VM, PB__VM_PHASE__VM_RUNNING);
    r.status.boot_id = world_text("b00t");
    r.status.address = world_text("10.0.2.15");
    PROTO_SET(&r.status, start_ms, 1400);
    PROTO_SET(&r.status, started_ns, 77);
    CHECK_EQ(ST_OK, world_report(&w, &r));
    CHECK_STR("vm.running: its guest answered after 1400 ms", world_event(&w, 0));
    CHECK_STR(world_uid(VM), w.r.uid);
    const Pb__VmStatus *st = world_get_vm(&w, VM)->status;
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, st->phase);
    CHECK_EQ(1, st->incarnation);
    CHECK_EQ(1, st->generation);
    CHECK_EQ(1, st->epoch);
    CHECK_EQ(1, st->node);
    CHECK_STR("b00t", st->boot_id);
    CHECK_STR("10.0.2.15", st->address);
    CHECK_EQ(1400, st->start_ms);
    CHECK_EQ(77, st->started_ns);
    CHECK_EQ(0, st->restarts);
    world_done(&w);
}

TEST(report_leaves_what_it_does_not_say_as_it_was)
{
    struct world w;
    struct kit_report r;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    kit_report(&w, &r, VM, PB__VM_PHASE__VM_RUNNING);
    r.status.boot_id = world_text("b00t");
    r.status.address = world_text("10.0.2.15");
    PROTO_SET(&r.status, start_ms, 1400);
    PROTO_SET(&r.status, started_ns, 77);
    CHECK_EQ(ST_OK, world_report(&w, &r));
    CHECK_EQ(0, w.r.event_count); /* not a new phase */
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_PAUSED, false));
    CHECK_STR("vm.paused: ", world_event(&w, 0));
    const Pb__VmStatus *st = world_get_vm(&w, VM)->status;
    CHECK_STR("b00t", st->boot_id);
    CHECK_STR("10.0.2.15", st->address);
    CHECK(st->start_ms == 1400 && st->started_ns == 77 && st->generation == 1);
    /* What ended has no address; how it ended stays to be read while it runs again. */
    kit_report(&w, &r, VM, PB__VM_PHASE__VM_FAILED);
    PROTO_SET(&r.status, cause, PB__EXIT_CAUSE__EXIT_GUEST_PANIC);
    PROTO_SET(&r.status, ended_ns, 99);
    r.status.detail = world_text("not syncing");
    r.status.address = world_text("10.0.2.15");
    CHECK_EQ(ST_OK, world_report(&w, &r));
    CHECK_STR("vm.failed: guest-panic: not syncing", world_event(&w, 0));
    st = world_get_vm(&w, VM)->status;
    CHECK(st->address == NULL);
    CHECK_STR("b00t", st->boot_id);
    CHECK_EQ(99, st->ended_ns);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    st = world_get_vm(&w, VM)->status;
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_GUEST_PANIC, st->cause);
    CHECK_STR("not syncing", st->detail);
    CHECK_EQ(99, st->ended_ns);
    CHECK(st->boot_id == NULL && st->address == NULL);
    CHECK(!st->has_start_ms && !st->has_started_ns);
    /* A later end takes the place of the one before as a whole. */
    CHECK_EQ(ST_OK, world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED,
                                   PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN, ""));
    CHECK_STR("vm.stopped: guest-shutdown", world_event(&w, 0));
    CHECK(!world_get_vm(&w, VM)->status->has_ended_ns);
    world_done(&w);
}

TEST(report_of_the_same_again_changes_nothing)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    uint64_t index = world_get_vm(&w, VM)->meta->index;
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, false));
    CHECK_EQ(0, w.r.change_count);
    CHECK_EQ(index, world_get_vm(&w, VM)->meta->index);
    world_done(&w);
}

TEST(report_refuses_what_is_not_whole)
{
    struct world w;
    struct kit_report r;
    const char *field[] = {"uid",
                           "status",
                           "status.node",
                           "status.epoch",
                           "status.phase",
                           "status.incarnation",
                           "status.generation"};
    world_start(&w);
    world_vm_running(&w, VM, "web");
    for (size_t i = 0; i < ARRAY_COUNT(field); i++) {
        kit_report(&w, &r, VM, PB__VM_PHASE__VM_PAUSED);
        switch (i) {
        case 0: r.m.uid = NULL; break;
        case 1: r.m.status = NULL; break;
        case 2: r.status.has_node = false; break;
        case 3: r.status.has_epoch = false; break;
        case 4: r.status.has_phase = false; break;
        case 5: r.status.has_incarnation = false; break;
        case 6: PROTO_SET(&r.status, generation, 2); break;
        }
        CHECK_EQ(ST_INVALID, world_report(&w, &r));
        CHECK_STR(field[i], w.r.why.field);
    }
    kit_report(&w, &r, VM, PB__VM_PHASE__VM_PAUSED);
    r.m.uid = world_uid(VM + 1);
    CHECK_EQ(ST_NOT_FOUND, world_report(&w, &r));
    world_done(&w);
}

TEST(report_is_taken_from_the_owner_in_its_epoch_only)
{
    struct world w;
    struct kit_report r;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    for (int gone = 0; gone < 2; gone++) {
        kit_report(&w, &r, VM, PB__VM_PHASE__VM_PAUSED);
        PROTO_SET(&r.m, gone, gone);
        r.status.node = 2;
        CHECK_EQ(ST_CONFLICT, world_report(&w, &r));
        CHECK_STR("vm web belongs to node 1, not to node 2", w.r.why.text);
        r.status.node = 1;
        r.status.epoch = 0;
        CHECK_EQ(ST_CONFLICT, world_report(&w, &r));
        r.status.epoch = 2;
        CHECK_EQ(ST_CONFLICT, world_report(&w, &r));
        CHECK_STR("vm web is owned in epoch 1, not in epoch 2", w.r.why.text);
    }
    world_done(&w);
}

TEST(report_of_an_earlier_incarnation_is_late)
{
    struct world w;
    struct kit_report r;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, true));
    kit_report(&w, &r, VM, PB__VM_PHASE__VM_STOPPED);
    r.status.incarnation--;
    CHECK_EQ(ST_CONFLICT, world_report(&w, &r));
    CHECK_STR("vm web is at incarnation 2, the report is of 1", w.r.why.text);
    world_done(&w);
}

TEST(report_that_cannot_follow_is_refused)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_CONFLICT, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, false));
    CHECK_STR("vm web is running and cannot become starting", w.r.why.text);
    CHECK_EQ(ST_CONFLICT, world_says(&w, VM, PB__VM_PHASE__VM_DELETING, false));
    CHECK_EQ(ST_CONFLICT, world_says(&w, VM, PB__VM_PHASE__VM_ABSENT, false));
    CHECK_EQ(ST_CONFLICT, world_says(&w, VM, PB__VM_PHASE__VM_ABSENT, true));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STOPPED, false));
    CHECK_EQ(ST_CONFLICT, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, false));
    CHECK_EQ(ST_CONFLICT, world_says(&w, VM, PB__VM_PHASE__VM_UNKNOWN, false));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, true));
    world_done(&w);
}

/* A daemon that was killed may have missed the end of one incarnation and the start of the next. */
TEST(report_after_a_crash_may_skip_steps)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, VM, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, true));
    CHECK_STR("vm.running: incarnation 1", world_event(&w, 0));
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_SUCCEEDED, world_op_phase(&w, WORLD_OP(VM)));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_PAUSED, true));
    CHECK_EQ(2, world_get_vm(&w, VM)->status->incarnation);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_UNKNOWN, false));
    CHECK_EQ(0, w.r.event_count);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, false));
    CHECK_EQ(ST_OK, world_says_end(&w, VM, PB__VM_PHASE__VM_FAILED, PB__EXIT_CAUSE__EXIT_LOST, ""));
    CHECK_STR("vm.failed: lost", world_event(&w, 0));
    world_done(&w);
}

TEST(report_of_a_start_nobody_asked_for_counts_as_restart)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_says_end(&w, VM, PB__VM_PHASE__VM_FAILED,
                                   PB__EXIT_CAUSE__EXIT_GUEST_PANIC, "oops"));
    CHECK_EQ(0, world_get_vm(&w, VM)->status->restarts);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_STR("vm.restarting: restart 1 after guest-panic: oops", world_event(&w, 0));
    CHECK_STR("vm.starting: incarnation 2", world_event(&w, 1));
    CHECK_EQ(1, world_get_vm(&w, VM)->status->restarts);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, false));
    CHECK_EQ(1, w.r.event_count);
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_FAILED, PB__EXIT_CAUSE__EXIT_CRASHED, NULL));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, true));
    CHECK_STR("vm.restarting: restart 2 after crashed", world_event(&w, 0));
    CHECK_STR("vm.running: incarnation 3", world_event(&w, 1));
    CHECK_EQ(2, world_get_vm(&w, VM)->status->restarts);
    world_done(&w);
}

TEST(report_of_the_first_start_or_one_after_host_shutdown_is_no_restart)
{
    struct world w;
    struct kit_report r;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(0, world_get_vm(&w, VM)->status->restarts);
    CHECK_EQ(ST_OK, world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED,
                                   PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN, ""));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_STR("vm.starting: incarnation 2", world_event(&w, 0));
    CHECK_EQ(0, world_get_vm(&w, VM)->status->restarts);
    /* The node does not count: what it says is not read. */
    kit_report(&w, &r, VM, PB__VM_PHASE__VM_RUNNING);
    PROTO_SET(&r.status, restarts, 55);
    CHECK_EQ(ST_OK, world_report(&w, &r));
    CHECK_EQ(0, world_get_vm(&w, VM)->status->restarts);
    world_done(&w);
}

TEST(report_of_a_user_wanted_start_is_no_restart)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.restart", OP));
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_STOPPED, PB__EXIT_CAUSE__EXIT_STOPPED, ""));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_STR("vm.starting: incarnation 2", world_event(&w, 0));
    CHECK_EQ(0, world_get_vm(&w, VM)->status->restarts);
    world_done(&w);
}

TEST(report_of_a_first_incarnation_that_no_user_asked_for_is_no_restart)
{
    struct world w;
    world_start(&w);
    world_vm_stopped(&w, VM, "web");
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_PREPARED, true));
    CHECK_EQ(0, world_get_vm(&w, VM)->status->restarts);
    CHECK_STR("vm.prepared: incarnation 1", world_event(&w, 0));
    world_done(&w);
}

/* A wish may come while the node prepares a start: then the same incarnation answers it. */
TEST(report_may_raise_the_generation_of_an_incarnation)
{
    struct world w;
    struct kit_report r;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, VM, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.restart", OP));
    kit_report(&w, &r, VM, PB__VM_PHASE__VM_STARTING);
    PROTO_SET(&r.status, generation, 2);
    CHECK_EQ(ST_OK, world_report(&w, &r));
    CHECK_EQ(2, world_get_vm(&w, VM)->status->generation);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, false));
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_SUCCEEDED, world_op_phase(&w, OP));
    /* A later incarnation that does not tell answers nothing. */
    kit_report(&w, &r, VM, PB__VM_PHASE__VM_RUNNING);
    r.status.incarnation++;
    CHECK_EQ(ST_OK, world_report(&w, &r));
    CHECK_EQ(0, world_get_vm(&w, VM)->status->generation);
    world_done(&w);
}

TEST(report_that_it_has_not_ended_forgets_no_end)
{
    struct world w;
    struct kit_report r;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_says_end(&w, VM, PB__VM_PHASE__VM_FAILED, PB__EXIT_CAUSE__EXIT_CRASHED,
                                   "signal 9"));
    kit_report(&w, &r, VM, PB__VM_PHASE__VM_STARTING);
    r.status.incarnation++;
    PROTO_SET(&r.status, cause, PB__EXIT_CAUSE__EXIT_NONE);
    CHECK_EQ(ST_OK, world_report(&w, &r));
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_CRASHED, world_get_vm(&w, VM)->status->cause);
    CHECK_STR("signal 9", world_get_vm(&w, VM)->status->detail);
    world_done(&w);
}

TEST(report_texts_are_cut_to_what_an_event_holds)
{
    struct world w;
    char detail[601];
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_OK, world_power(&w, VM, "vm.pause", OP));
    memset(detail, 'x', 600);
    detail[600] = 0;
    memcpy(detail + 590, "\n\t\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 10);
    CHECK_EQ(ST_OK,
             world_says_end(&w, VM, PB__VM_PHASE__VM_FAILED, PB__EXIT_CAUSE__EXIT_CRASHED, detail));
    CHECK_EQ(1, w.r.event_count);
    CHECK(strlen(object_event(w.r.events[0])->text) <= 600);
    CHECK(strlen(object_event(w.r.events[0])->text) > 590);
    CHECK_STR(detail, world_get_vm(&w, VM)->status->detail);
    CHECK(strlen(world_get_op(&w, OP)->problem->text) <= 600);
    world_done(&w);
}

TEST(report_of_deleting_is_taken_only_when_it_is_deleted)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    CHECK_EQ(ST_CONFLICT, world_says(&w, VM, PB__VM_PHASE__VM_DELETING, true));
    CHECK_EQ(ST_OK, world_delete(&w, "vm", VM, OP));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_DELETING, false));
    CHECK_EQ(0, w.r.event_count);
    /* The node was killed meanwhile and finds some files again. */
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_STOPPED, false));
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_RUNNING, world_op_phase(&w, OP));
    world_done(&w);
}

TEST(report_of_a_spec_change_is_of_the_generation_that_runs)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    world_vm_running(&w, VM, "web");
    kit_vm(&k, VM, "web");
    PROTO_SET(&k.spec, vcpus, 2);
    CHECK_EQ(ST_OK, world_update(&w, &k));
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_PAUSED, false));
    CHECK_EQ(1, world_get_vm(&w, VM)->status->generation);
    CHECK_EQ(ST_OK, world_says(&w, VM, PB__VM_PHASE__VM_RUNNING, true));
    CHECK_EQ(2, world_get_vm(&w, VM)->status->generation);
    world_done(&w);
}
