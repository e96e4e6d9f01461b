/* What a node has done on its machine: VMs run, images made. */
#include <stdio.h>
#include <string.h>

#include "support/node_bench.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/proto.h"

/* number: 0 is "default", which VMs use. Its uid is number + 1, its operation's 0x10 more. */
static void ask_image(struct bench *b, unsigned number)
{
    char id[OBJECT_UID_MAX], op[OBJECT_UID_MAX], name[20] = "default";
    struct kit_image k;
    bench_uid(id, number + 1);
    bench_uid(op, number + 0x11);
    if (number)
        (void)snprintf(name, sizeof name, "image-%u", number);
    kit_image(&k, number, name);
    k.meta.uid = id;
    k.m.operation_id = op;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_IMAGE_CREATE;
    cmd.image_create = &k.m;
    bench_propose(b, &cmd);
}

static const Pb__Image *image_of(struct bench *b, unsigned number) /* NULL: it is gone */
{
    char id[OBJECT_UID_MAX];
    bench_uid(id, number + 1);
    struct object *o = cluster_find(node_cluster(b->n), OBJECT_IMAGE, id);
    return o ? object_image(o) : NULL;
}

static void create_image(struct bench *b)
{
    ask_image(b, 0);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_READY, image_of(b, 0)->phase);
}

static void create_vm(struct bench *b, unsigned number, uint32_t priority)
{
    char id[OBJECT_UID_MAX], op[OBJECT_UID_MAX], name[20];
    static struct answer a;
    struct kit_vm k;
    a = (struct answer){0};
    bench_uid(id, 0x100 + number);
    bench_uid(op, 0x200 + number);
    (void)snprintf(name, sizeof name, "vm-%u", number);
    kit_vm(&k, number, name);
    k.meta.uid = id;
    k.m.operation_id = op;
    k.spec.image = world_text("default");
    PROTO_SET(&k.spec, priority, priority);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_VM_CREATE;
    cmd.vm_create = &k.m;
    CHECK_EQ(ST_OK, node_propose(b->n, &cmd, UINT64_MAX, answer_told, &a, NULL));
}

static void tell_vm(struct bench *b, size_t which, enum vmm_event_type type, Pb__ExitCause cause)
{
    struct vmm_event e = {.type = type, .incarnation = b->incarnation[which], .cause = cause};
    (void)snprintf(e.uid, sizeof e.uid, "%s", b->started[which]);
    b->vmm.events->event(b->vmm.events->ctx, &e);
}

static const Pb__Vm *vm_of(struct bench *b, unsigned number)
{
    char id[OBJECT_UID_MAX];
    bench_uid(id, 0x100 + number);
    struct object *o = cluster_find(node_cluster(b->n), OBJECT_VM, id);
    CHECK(o != NULL);
    return object_vm(o);
}

/* With an image and VM 1, whose start was asked for. */
static void start_with_vm(struct bench *b)
{
    bench_start(b);
    create_image(b);
    create_vm(b, 1, 500);
    bench_settle(b);
}

/* VM 1 ran when the node ended; a new one has begun to look. */
static void start_again_with_vm(struct bench *b)
{
    struct fault why;
    start_with_vm(b);
    tell_vm(b, 0, VMM_READY, 0);
    bench_settle(b);
    b->look_slowly = true;
    CHECK_EQ(ST_OK, bench_start_again(b, &why));
    bench_settle(b);
}

/* Who looks finds that the VM that started first runs. */
static void tell_found(struct bench *b)
{
    struct vmm_event e = {.type = VMM_FOUND, .epoch = 1, .incarnation = 1, .generation = 1};
    memcpy(e.uid, b->started[0], sizeof e.uid);
    e.phase = PB__VM_PHASE__VM_RUNNING;
    b->vmm.events->event(b->vmm.events->ctx, &e);
}

TEST(node_starts_some_vms_at_once_those_of_high_priority_first)
{
    struct bench b;
    bench_start(&b);
    create_image(&b);
    for (unsigned i = 0; i < 8; i++)
        create_vm(&b, i, i < 4 ? 100 : 100 + i);
    bench_settle(&b);
    CHECK_EQ(NODE_STARTS_MAX, b.started_count);
    for (size_t i = 0; i < 4; i++) { /* all asked in one step: 7, 6, 5, 4 */
        char want[20];
        (void)snprintf(want, sizeof want, "start vm-%zu", 7 - i);
        CHECK_STR(want, b.asked[i]);
    }
    tell_vm(&b, 0, VMM_READY, 0);
    bench_settle(&b);
    CHECK_EQ(5, b.started_count);
    CHECK_STR("start vm-0", b.asked[4]);
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, vm_of(&b, 7)->status->phase);
    CHECK_EQ(PB__VM_PHASE__VM_STARTING, vm_of(&b, 0)->status->phase);
    CHECK_EQ(4, node_view(b.n).vms_starting);
    bench_finish(&b);
}

TEST(node_start_is_committed_before_the_port_is_asked)
{
    struct bench b;
    bench_start(&b);
    create_image(&b);
    create_vm(&b, 1, 500);
    for (int i = 0; i < 3; i++) { /* the create is durable, the intent is not */
        if (i == 0) {
            node_step(b.n);
            bench_sync(&b);
        }
        node_step(b.n);
    }
    CHECK_EQ(0, b.started_count);
    bench_settle(&b);
    CHECK_EQ(1, b.started_count);
    bench_finish(&b);
}

TEST(node_sees_what_happens_while_it_looks)
{
    struct bench b;
    start_again_with_vm(&b);
    tell_found(&b);
    tell_vm(&b, 0, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_PANIC);
    b.vmm.events->event(b.vmm.events->ctx, &(struct vmm_event){.type = VMM_LOOKED});
    bench_settle(&b);
    CHECK_EQ(PB__VM_PHASE__VM_FAILED, vm_of(&b, 1)->status->phase);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_GUEST_PANIC, vm_of(&b, 1)->status->cause);
    bench_finish(&b);
}

static void look_fails(struct bench *b)
{
    b->looked = false;
    b->vmm.events->event(b->vmm.events->ctx, &(struct vmm_event){.type = VMM_LOOK_FAILED,
                                                                 .detail = "too many open files"});
    bench_settle(b);
}

/* What could not be looked at may run: it is not lost, and nothing is decided about it. */
TEST(node_looks_again_when_looking_failed)
{
    struct bench b;
    start_again_with_vm(&b);
    uint64_t waited_ms = 0, last = b.last;
    for (int i = 0; i < 5; i++) {
        look_fails(&b);
        CHECK(!b.looked && !node_view(b.n).reconciled);
        CHECK_STR("too many open files", node_view(b.n).look_trouble);
        uint64_t due_ms = node_deadline_ms(b.n);
        CHECK(due_ms > b.now_ms && due_ms != UINT64_MAX);
        CHECK(i < 4 || due_ms - b.now_ms > waited_ms); /* a back-off */
        waited_ms = MAX(waited_ms, i == 0 ? due_ms - b.now_ms : 0);
        b.now_ms = due_ms;
        bench_settle(&b);
        CHECK(b.looked);
    }
    CHECK_EQ(last, b.last); /* nothing was reported */
    tell_found(&b);
    b.vmm.events->event(b.vmm.events->ctx, &(struct vmm_event){.type = VMM_LOOKED});
    bench_settle(&b);
    CHECK(node_view(b.n).reconciled);
    CHECK_STR("", node_view(b.n).look_trouble);
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, vm_of(&b, 1)->status->phase);
    CHECK_EQ(1, b.started_count);
    bench_finish(&b);
}

TEST(node_reports_what_changed_while_a_report_was_on_its_way)
{
    struct bench b;
    start_with_vm(&b);
    tell_vm(&b, 0, VMM_READY, 0);
    node_step(b.n);
    node_step(b.n); /* "running" is in the log, not durable */
    tell_vm(&b, 0, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    bench_settle(&b);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, vm_of(&b, 1)->status->phase);
    bench_finish(&b);
}

static void ask_delete_image(struct bench *b, unsigned number, struct answer *a)
{
    char id[OBJECT_UID_MAX], op[OBJECT_UID_MAX], kind[] = "image";
    bench_uid(id, number + 1);
    bench_uid(op, number + 0x21);
    Pb__CmdDelete m = PB__CMD_DELETE__INIT;
    m.kind = kind;
    m.uid = id;
    m.operation_id = op;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_DELETE;
    cmd.delete_ = &m;
    *a = (struct answer){0};
    CHECK_EQ(ST_OK, node_propose(b->n, &cmd, UINT64_MAX, answer_told, a, NULL));
}

TEST(node_removes_an_image_but_not_what_another_has_in_common)
{
    struct bench b;
    struct answer a;
    char id[OBJECT_UID_MAX];
    bench_start(&b);
    create_image(&b);
    ask_delete_image(&b, 0, &a);
    bench_settle(&b);
    CHECK_EQ(1, b.removals);
    CHECK_EQ(0, b.kept);
    CHECK(image_of(&b, 0) == NULL);

    ask_image(&b, 1);
    b.blob_slow = true;
    ask_image(&b, 2);
    bench_uid(id, 3);
    ask_delete_image(&b, 1, &a);
    node_step(b.n);
    bench_sync(&b);
    bench_blob_ready(&b, id); /* the state does not know yet when the other is deleted */
    bench_settle(&b);
    CHECK_EQ(ST_OK, a.applied);
    CHECK_EQ(2, b.removals);
    CHECK_EQ(1, b.kept);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_READY, image_of(&b, 2)->phase);
    bench_finish(&b);
}

TEST(node_has_the_store_swept_once_it_knows_its_images)
{
    struct bench b;
    struct fault why;
    bench_start(&b);
    CHECK_EQ(1, b.sweeps);
    CHECK_EQ(0, b.kept);
    create_image(&b);
    CHECK_EQ(ST_OK, bench_start_again(&b, &why));
    CHECK_EQ(1, b.sweeps);
    bench_settle(&b);
    CHECK_EQ(2, b.sweeps);
    CHECK_EQ(1, b.kept);
    bench_finish(&b);
}

TEST(node_gives_up_an_image_that_was_cancelled_and_removes_what_came_too_late)
{
    struct bench b;
    char id[OBJECT_UID_MAX];
    bench_start(&b);
    b.blob_slow = true;
    ask_image(&b, 1);
    Pb__CmdOperationCancel m = PB__CMD_OPERATION_CANCEL__INIT;
    char op[OBJECT_UID_MAX];
    bench_uid(op, 0x12);
    m.id = op;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_OPERATION_CANCEL;
    cmd.operation_cancel = &m;
    bench_propose(&b, &cmd);
    CHECK_EQ(1, b.cancels);
    bench_uid(id, 2);
    bench_blob_ready(&b, id); /* it was done before it heard */
    bench_settle(&b);
    CHECK_EQ(1, b.removals);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_FAILED, image_of(&b, 1)->phase);
    bench_finish(&b);
}

TEST(node_says_how_an_image_gets_on_and_why_it_failed)
{
    struct bench b;
    char id[OBJECT_UID_MAX];
    bench_start(&b);
    b.blob_slow = true;
    ask_image(&b, 1);
    bench_uid(id, 2);
    for (uint8_t percent = 10; percent < 50; percent = (uint8_t)(percent + 10)) {
        b.blob.events->event(b.blob.events->ctx, &(struct blob_event){.type = BLOB_PROGRESS,
                                                                      .uid = id,
                                                                      .step = "unpack",
                                                                      .percent = percent});
        bench_settle(&b);
    }
    const Pb__Operation *op =
        object_operation(cluster_operation_on(node_cluster(b.n), id)); /* once a second at most */
    CHECK_STR("unpack", op->step);
    CHECK_EQ(10, op->progress);
    b.now_ms += 1000;
    bench_settle(&b);
    CHECK_EQ(40, object_operation(cluster_operation_on(node_cluster(b.n), id))->progress);
    struct blob_event failed = {.type = BLOB_FAILED, .uid = id};
    (void)fault_set(&failed.why, ST_IO, "the mirror is down");
    b.blob.events->event(b.blob.events->ctx, &failed);
    bench_settle(&b);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_FAILED, image_of(&b, 1)->phase);
    CHECK_STR("the mirror is down", image_of(&b, 1)->error);
    bench_finish(&b);
}

/* It comes from a name of a file in somebody's package. */
TEST(node_leaves_out_a_kernel_release_that_is_no_text)
{
    struct bench b;
    char id[OBJECT_UID_MAX], good[] = "6.1.0-1", bad[] = "6.1.0-\xff";
    bench_start(&b);
    b.blob_slow = true;
    for (unsigned i = 1; i <= 2; i++) {
        bench_uid(id, i + 1);
        ask_image(&b, i);
        bench_blob_made(&b, id, NULL, i == 1 ? good : bad);
        bench_settle(&b);
        CHECK_EQ(PB__IMAGE_PHASE__IMAGE_READY, image_of(&b, i)->phase);
        CHECK_STR(i == 1 ? good : "",
                  image_of(&b, i)->kernel_release ? image_of(&b, i)->kernel_release : "");
    }
    CHECK_EQ(0, b.removals);
    bench_finish(&b);
}

/* What the state can never take must not be waited for. */
TEST(node_fails_an_image_that_the_state_refuses_as_invalid)
{
    struct bench b;
    char id[OBJECT_UID_MAX], long_digest[100];
    memset(long_digest, '1', sizeof long_digest - 1);
    long_digest[sizeof long_digest - 1] = 0;
    bench_start(&b);
    b.blob_slow = true;
    for (unsigned i = 1; i <= 2; i++) {
        Pb__Blob kernel = PB__BLOB__INIT; /* without a digest, or with one that is none */
        kernel.digest = i == 1 ? NULL : long_digest;
        PROTO_SET(&kernel, size, 1);
        bench_uid(id, i + 1);
        ask_image(&b, i);
        bench_blob_made(&b, id, &kernel, NULL);
        bench_settle(&b);
        CHECK_EQ(PB__IMAGE_PHASE__IMAGE_FAILED, image_of(&b, i)->phase);
        CHECK(strstr(image_of(&b, i)->error, "kernel") != NULL);
        CHECK_EQ(i, b.removals);
        CHECK(!cluster_operation_on(node_cluster(b.n), id));
        CHECK(node_deadline_ms(b.n) == UINT64_MAX);
    }
    bench_finish(&b);
}

/* The state takes no report of the VM that started first: somebody else knows better. */
static void make_state_refuse(struct bench *b)
{
    struct answer a = {0};
    Pb__VmStatus status = PB__VM_STATUS__INIT;
    PROTO_SET(&status, node, 1);
    PROTO_SET(&status, epoch, 1);
    PROTO_SET(&status, incarnation, 9);
    PROTO_SET(&status, phase, PB__VM_PHASE__VM_STARTING);
    Pb__CmdVmReport m = PB__CMD_VM_REPORT__INIT;
    m.uid = b->started[0];
    m.status = &status;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_VM_REPORT;
    cmd.vm_report = &m;
    CHECK_EQ(ST_OK, node_propose(b->n, &cmd, UINT64_MAX, answer_told, &a, NULL));
    bench_settle(b);
    CHECK_EQ(ST_OK, a.applied);
}

TEST(node_reports_again_later_what_the_state_refuses)
{
    struct bench b;
    start_with_vm(&b);
    make_state_refuse(&b);
    tell_vm(&b, 0, VMM_READY, 0);
    for (uint64_t refused = 1; refused <= 3; refused++) {
        bench_settle(&b);
        struct node_view v = node_view(b.n);
        CHECK_EQ(refused, v.reports_refused);
        CHECK_EQ(1, v.news);
        uint64_t wait_ms = node_deadline_ms(b.n) - b.now_ms;
        uint64_t most_ms = UINT64_C(1000) << (refused - 1);
        CHECK(wait_ms >= most_ms / 2 && wait_ms <= most_ms);
        b.now_ms += wait_ms;
    }
    bench_finish(&b);
}

static void count_down(void *ctx)
{
    ++*(unsigned *)ctx;
}

TEST(node_shutdown_is_done_when_no_vm_runs_and_the_state_knows)
{
    struct bench b;
    unsigned done = 0;
    bench_start(&b);
    create_image(&b);
    create_vm(&b, 1, 500);
    create_vm(&b, 2, 500);
    bench_settle(&b);
    tell_vm(&b, 0, VMM_READY, 0);
    tell_vm(&b, 1, VMM_READY, 0);
    bench_settle(&b);
    b.asked_count = 0;
    node_shutdown(b.n, b.now_ms + 5000, count_down, &done);
    bench_settle(&b);
    CHECK_EQ(2, b.asked_count);
    CHECK(strncmp("down ", b.asked[0], 5) == 0);
    tell_vm(&b, 0, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    bench_settle(&b);
    CHECK_EQ(0, done);
    CHECK_EQ(b.now_ms + 5000, node_deadline_ms(b.n));
    b.now_ms += 5000;
    bench_settle(&b);
    CHECK(strncmp("kill ", b.asked[2], 5) == 0);
    tell_vm(&b, 1, VMM_EXITED, PB__EXIT_CAUSE__EXIT_KILLED);
    node_step(b.n);
    CHECK_EQ(0, done); /* the state does not know yet */
    bench_settle(&b);
    CHECK_EQ(1, done);
    for (unsigned i = 1; i <= 2; i++) {
        CHECK_EQ(PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN, vm_of(&b, i)->status->cause);
        CHECK_EQ(PB__POWER__POWER_RUNNING, vm_of(&b, i)->power);
    }
    bench_finish(&b);
}

TEST(node_shutdown_waits_for_a_report_that_was_refused)
{
    struct bench b;
    unsigned done = 0;
    start_with_vm(&b);
    make_state_refuse(&b);
    tell_vm(&b, 0, VMM_READY, 0);
    bench_settle(&b);
    node_shutdown(b.n, b.now_ms + 60000, count_down, &done);
    bench_settle(&b);
    tell_vm(&b, 0, VMM_EXITED, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);
    bench_settle(&b);
    CHECK_EQ(1, node_view(b.n).news);
    CHECK_EQ(0, done);
    bench_finish(&b);
}

TEST(node_shutdown_without_vms_is_done_at_once)
{
    struct bench b;
    unsigned done = 0;
    bench_start(&b);
    node_shutdown(b.n, b.now_ms + 5000, count_down, &done);
    CHECK_EQ(0, done);
    bench_settle(&b);
    CHECK_EQ(1, done);
    bench_finish(&b);
}
