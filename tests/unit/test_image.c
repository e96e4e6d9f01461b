/* Images: asked for, built, failed, cancelled, used, deleted. */
#include "core/state.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/proto.h"

static enum status report(struct world *w, uint64_t uid, Pb__ImagePhase phase, const char *error)
{
    Pb__CmdImageReport m = PB__CMD_IMAGE_REPORT__INIT;
    Pb__Image image = PB__IMAGE__INIT;
    Pb__Command cmd = PB__COMMAND__INIT;
    m.uid = world_uid(uid);
    m.image = &image;
    PROTO_SET(&m, node, 1);
    PROTO_SET(&image, phase, phase);
    image.error = error ? world_text(error) : NULL;
    cmd.body_case = PB__COMMAND__BODY_IMAGE_REPORT;
    cmd.image_report = &m;
    return world_run(w, &cmd);
}

static void make_pending(struct world *w, uint64_t uid, const char *name)
{
    struct kit_image k;
    kit_image(&k, uid, name);
    CHECK_EQ(ST_OK, world_image(w, &k));
}

TEST(image_create_is_pending_until_its_node_reports_it_ready)
{
    struct world w;
    struct kit_image k;
    struct kit_ready r;
    world_start(&w);
    kit_image(&k, WORLD_FREE, "new");
    k.source.kernel = world_text("/boot/vmlinux");
    CHECK_EQ(ST_OK, world_image(&w, &k));
    CHECK_STR("image.created: build on node n1", world_event(&w, 0));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK_STR(world_uid(WORLD_OP(WORLD_FREE)), w.r.operation_id);
    const Pb__Image *i = world_get_image(&w, WORLD_FREE);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_PENDING, i->phase);
    CHECK_EQ(1, i->node);
    CHECK_STR("/boot/vmlinux", i->source->kernel);
    const Pb__Operation *op = world_get_op(&w, WORLD_OP(WORLD_FREE));
    CHECK_STR("image.build", op->kind);
    CHECK_STR("image", op->target_kind);
    CHECK_STR("new", op->target_name);
    CHECK_STR("default", op->project);
    CHECK_STR("root", op->actor);
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_RUNNING, op->phase);

    kit_ready(&r, WORLD_FREE, PB__IMAGE_KIND__IMAGE_DISK, 42);
    r.image.phase = PB__IMAGE_PHASE__IMAGE_PENDING;
    PROTO_SET(&r.m, progress, 90);
    CHECK_EQ(ST_OK, world_ready(&w, &r));
    kit_ready(&r, WORLD_FREE, PB__IMAGE_KIND__IMAGE_DISK, 42);
    r.image.kernel_release = world_text("6.1.0");
    CHECK_EQ(ST_OK, world_ready(&w, &r));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    i = world_get_image(&w, WORLD_FREE);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_READY, i->phase);
    CHECK_EQ(PB__IMAGE_KIND__IMAGE_DISK, i->kind);
    CHECK_STR(world_digest(42), i->digest);
    CHECK_STR(world_digest(1042), i->kernel->digest);
    CHECK_STR(world_digest(2042), i->initrd->digest);
    CHECK_STR(world_digest(3042), i->disk->digest);
    CHECK_EQ(PB__DISK_FORMAT__DISK_QCOW2, i->disk_format);
    CHECK_EQ(7 << 20, i->size);
    CHECK_STR("6.1.0", i->kernel_release);
    op = world_get_op(&w, WORLD_OP(WORLD_FREE));
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_SUCCEEDED, op->phase);
    CHECK(!op->has_progress && op->progress == 0 && !op->step);
    CHECK(cluster_image_by_digest(w.c, "default", world_digest(42)) != NULL);
    CHECK(cluster_image_by_digest(w.c, "other", world_digest(42)) == NULL);
    world_done(&w);
}

TEST(image_import_is_named_so)
{
    struct world w;
    struct kit_image k;
    world_start(&w);
    kit_image(&k, WORLD_FREE, "new");
    PROTO_SET(&k.m, import, true);
    CHECK_EQ(ST_OK, world_image(&w, &k));
    CHECK_STR("image.created: import on node n1", world_event(&w, 0));
    CHECK_STR("image.import", world_get_op(&w, WORLD_OP(WORLD_FREE))->kind);
    world_done(&w);
}

/* What is set by the system is not taken from a user. */
TEST(image_create_takes_name_labels_and_source_only)
{
    struct world w;
    struct kit_image k;
    world_start(&w);
    kit_image(&k, WORLD_FREE, "new");
    k.image.digest = world_digest(1);
    PROTO_SET(&k.image, phase, PB__IMAGE_PHASE__IMAGE_READY);
    k.image.source = NULL;
    CHECK_EQ(ST_OK, world_image(&w, &k));
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_PENDING, world_get_image(&w, WORLD_FREE)->phase);
    CHECK(world_get_image(&w, WORLD_FREE)->digest == NULL);
    world_done(&w);
}

TEST(image_create_refuses_what_is_not_whole)
{
    struct world w;
    struct kit_image k;
    struct {
        enum status status;
        const char *field;
    } want[] = {
        {ST_INVALID, "image"},       {ST_INVALID, "meta"},         {ST_INVALID, "meta.uid"},
        {ST_INVALID, "meta.name"},   {ST_INVALID, "meta.project"}, {ST_NOT_FOUND, "project"},
        {ST_INVALID, "node"},        {ST_NOT_FOUND, "node"},       {ST_INVALID, "operation_id"},
        {ST_EXISTS, "operation_id"}, {ST_EXISTS, "name"},          {ST_EXISTS, "meta.uid"},
    };
    world_start(&w);
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        kit_image(&k, WORLD_FREE, "new");
        switch (i) {
        case 0: k.m.image = NULL; break;
        case 1: k.image.meta = NULL; break;
        case 2: k.meta.uid = NULL; break;
        case 3: k.meta.name = NULL; break;
        case 4: k.meta.project = NULL; break;
        case 5: k.meta.project = world_text("nowhere"); break;
        case 6: k.m.node = 0; break;
        case 7: k.m.node = 2; break;
        case 8: k.m.operation_id = NULL; break;
        case 9: k.m.operation_id = world_uid(WORLD_NODE); break;
        case 10: k.meta.name = world_text("base"); break;
        case 11: k.meta.uid = world_uid(WORLD_IMAGE); break;
        }
        CHECK_EQ(want[i].status, world_image(&w, &k));
        CHECK_STR(want[i].field, w.r.why.field);
    }
    CHECK_EQ(2, cluster_count(w.c, OBJECT_IMAGE));
    world_done(&w);
}

TEST(image_operation_may_not_have_the_uid_of_its_image)
{
    struct world w;
    struct kit_image k;
    world_start(&w);
    kit_image(&k, WORLD_FREE, "new");
    k.m.operation_id = k.meta.uid;
    CHECK_EQ(ST_EXISTS, world_image(&w, &k));
    world_done(&w);
}

TEST(image_source_fields_must_fit_together)
{
    struct world w;
    struct kit_image k;
    char *package = world_text("vim");
    struct {
        const char *root;
        bool size, packages, ok;
    } row[] = {
        {NULL, false, false, true},          {"none", false, false, true},
        {"minbase", true, true, true},       {"/x/root.tar", true, false, true},
        {"/x/root.raw", false, false, true}, {"/x/root.qcow2", false, false, true},
        {NULL, true, false, false},          {"none", true, false, false},
        {"/x/root.raw", true, false, false}, {NULL, false, true, false},
        {"/x/root.tar", false, true, false}, {"/x/root.iso", false, false, false},
        {"root.tar", false, false, false},   {"minbas", false, false, false},
    };
    world_start(&w);
    for (unsigned i = 0; i < ARRAY_COUNT(row); i++) {
        kit_image(&k, WORLD_FREE + i, world_uid(i));
        k.source.root = row[i].root ? world_text(row[i].root) : NULL;
        if (row[i].size)
            PROTO_SET(&k.source, root_size_mib, 100);
        k.source.packages = &package;
        k.source.n_packages = row[i].packages;
        CHECK_EQ(row[i].ok ? ST_OK : ST_INVALID, world_image(&w, &k));
    }
    world_done(&w);
}

TEST(image_report_of_progress_changes_the_operation_alone)
{
    struct world w;
    Pb__CmdImageReport m = PB__CMD_IMAGE_REPORT__INIT;
    Pb__Image image = PB__IMAGE__INIT;
    world_start(&w);
    make_pending(&w, WORLD_FREE, "new");
    m.uid = world_uid(WORLD_FREE);
    m.image = &image;
    PROTO_SET(&image, phase, PB__IMAGE_PHASE__IMAGE_PENDING);
    PROTO_SET(&m, node, 1);
    PROTO_SET(&m, progress, 40);
    m.step = world_text("unpacking");
    Pb__Command cmd[2] = {PB__COMMAND__INIT, PB__COMMAND__INIT};
    for (int i = 0; i < 2; i++) {
        cmd[i].body_case = PB__COMMAND__BODY_IMAGE_REPORT;
        cmd[i].image_report = &m;
        CHECK_EQ(ST_OK, world_run(&w, &cmd[i]));
        CHECK_EQ(1 - i, w.r.change_count); /* the same again is no news */
        CHECK_EQ(0, w.r.event_count);
    }
    const Pb__Operation *op = world_get_op(&w, WORLD_OP(WORLD_FREE));
    CHECK_STR("unpacking", op->step);
    CHECK(op->has_progress && op->progress == 40);
    CHECK_EQ(ST_OK, report(&w, WORLD_FREE, PB__IMAGE_PHASE__IMAGE_PENDING, NULL));
    op = world_get_op(&w, WORLD_OP(WORLD_FREE));
    CHECK_STR("unpacking", op->step);
    CHECK(!op->has_progress);
    CHECK_EQ(ST_OK, report(&w, WORLD_FREE, PB__IMAGE_PHASE__IMAGE_FAILED, "no space"));
    CHECK(world_get_op(&w, WORLD_OP(WORLD_FREE))->step == NULL);
    world_done(&w);
}

TEST(image_report_of_failure_fails_the_operation)
{
    struct world w;
    world_start(&w);
    make_pending(&w, WORLD_FREE, "new");
    CHECK_EQ(ST_OK, report(&w, WORLD_FREE, PB__IMAGE_PHASE__IMAGE_FAILED, "no space"));
    CHECK_STR("image.failed: no space", world_event(&w, 0));
    CHECK_STR("no space", world_get_image(&w, WORLD_FREE)->error);
    const Pb__Operation *op = world_get_op(&w, WORLD_OP(WORLD_FREE));
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_FAILED, op->phase);
    CHECK_STR("failed", op->problem->code);
    CHECK_STR("no space", op->problem->text);
    CHECK(op->ended_ns == cluster_time_ns(w.c));
    CHECK_EQ(ST_CONFLICT, report(&w, WORLD_FREE, PB__IMAGE_PHASE__IMAGE_FAILED, "again"));
    CHECK_STR("image new is failed", w.r.why.text);
    make_pending(&w, WORLD_FREE + 1, "newer");
    CHECK_EQ(ST_OK, report(&w, WORLD_FREE + 1, PB__IMAGE_PHASE__IMAGE_FAILED, NULL));
    CHECK_STR("its node does not say why", world_get_image(&w, WORLD_FREE + 1)->error);
    world_done(&w);
}

TEST(image_that_turns_out_damaged_is_failed)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    CHECK_EQ(ST_OK, report(&w, WORLD_IMAGE, PB__IMAGE_PHASE__IMAGE_FAILED, "bad checksum"));
    kit_vm(&k, WORLD_FREE, "web");
    CHECK_EQ(ST_CONFLICT, world_vm(&w, &k));
    CHECK_STR("spec.image: image base is failed, not ready", w.r.why.text);
    world_done(&w);
}

TEST(image_report_refuses_what_is_not_whole)
{
    struct world w;
    struct kit_ready k;
    const char *field[] = {"uid",          "node",         "image.phase",  "image.phase",
                           "image.digest", "image.kind",   "image.kernel", "image.kernel",
                           "image.kernel", "image.initrd", "image.disk",   "image.disk_format",
                           "image.phase"};
    world_start(&w);
    make_pending(&w, WORLD_FREE, "new");
    for (size_t i = 0; i < ARRAY_COUNT(field); i++) {
        kit_ready(&k, WORLD_FREE, PB__IMAGE_KIND__IMAGE_DISK, 42);
        switch (i) {
        case 0: k.m.uid = NULL; break;
        case 1: k.m.has_node = false; break;
        case 2: k.m.image = NULL; break;
        case 3: k.image.has_phase = false; break;
        case 4: k.image.digest = NULL; break;
        case 5: k.image.has_kind = false; break;
        case 6: k.image.kernel = NULL; break;
        case 7: k.kernel.digest = NULL; break;
        case 8: k.kernel.has_size = false; break;
        case 9: k.image.initrd = NULL; break;
        case 10: k.image.disk = NULL; break;
        case 11: k.image.has_disk_format = false; break;
        case 12: k.image.phase = PB__IMAGE_PHASE__IMAGE_DELETING; break;
        }
        CHECK_EQ(ST_INVALID, world_ready(&w, &k));
        CHECK_STR(field[i], w.r.why.field);
    }
    kit_ready(&k, WORLD_FREE + 1, PB__IMAGE_KIND__IMAGE_DISK, 42);
    CHECK_EQ(ST_NOT_FOUND, world_ready(&w, &k));
    kit_ready(&k, WORLD_FREE, PB__IMAGE_KIND__IMAGE_DISK, 42);
    k.m.node = 2;
    CHECK_EQ(ST_CONFLICT, world_ready(&w, &k));
    CHECK_STR("image new is made by node 1, not by node 2", w.r.why.text);
    /* An initramfs needs no disk, and none is kept. */
    kit_ready(&k, WORLD_FREE, PB__IMAGE_KIND__IMAGE_INITRAMFS, 42);
    k.image.disk = &k.disk;
    CHECK_EQ(ST_OK, world_ready(&w, &k));
    CHECK(world_get_image(&w, WORLD_FREE)->disk == NULL);
    CHECK_EQ(ST_CONFLICT, world_ready(&w, &k));
    CHECK_STR("image new is ready", w.r.why.text);
    world_done(&w);
}

TEST(image_delete_waits_until_its_node_says_gone)
{
    struct world w;
    struct kit_vm vm;
    world_start(&w);
    CHECK_EQ(ST_CONFLICT, world_image_gone(&w, WORLD_IMAGE));
    CHECK_STR("image base is not being deleted", w.r.why.text);
    CHECK_EQ(ST_OK, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(50)));
    CHECK_STR("image.deleting: ", world_event(&w, 0));
    CHECK_STR(world_uid(WORLD_OP(50)), w.r.operation_id);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_DELETING, world_get_image(&w, WORLD_IMAGE)->phase);
    CHECK_STR("image.delete", world_get_op(&w, WORLD_OP(50))->kind);
    kit_vm(&vm, WORLD_FREE, "web");
    CHECK_EQ(ST_CONFLICT, world_vm(&w, &vm));
    /* Asking again waits for the same. */
    CHECK_EQ(ST_OK, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(51)));
    CHECK_STR(world_uid(WORLD_OP(50)), w.r.operation_id);
    CHECK_STR(world_uid(WORLD_IMAGE), w.r.uid);
    CHECK_EQ(0, w.r.change_count);
    CHECK_EQ(ST_CONFLICT, report(&w, WORLD_IMAGE, PB__IMAGE_PHASE__IMAGE_FAILED, "late"));
    CHECK_EQ(ST_OK, world_image_gone(&w, WORLD_IMAGE));
    CHECK_STR("image.deleted: ", world_event(&w, 0));
    CHECK(cluster_find(w.c, OBJECT_IMAGE, world_uid(WORLD_IMAGE)) == NULL);
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_SUCCEEDED, world_op_phase(&w, WORLD_OP(50)));
    CHECK_EQ(ST_NOT_FOUND, world_image_gone(&w, WORLD_IMAGE));
    world_done(&w);
}

TEST(image_delete_needs_an_operation_id)
{
    struct world w;
    world_start(&w);
    CHECK_EQ(ST_INVALID, world_delete(&w, "image", WORLD_IMAGE, 0));
    CHECK_STR("operation_id", w.r.why.field);
    world_done(&w);
}

TEST(image_delete_while_pending_ends_its_build)
{
    struct world w;
    world_start(&w);
    make_pending(&w, WORLD_FREE, "new");
    CHECK_EQ(ST_OK, world_delete(&w, "image", WORLD_FREE, WORLD_OP(50)));
    const Pb__Operation *op = world_get_op(&w, WORLD_OP(WORLD_FREE));
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_CANCELLED, op->phase);
    CHECK_STR("cancelled", op->problem->code);
    CHECK_STR("superseded by image.delete", op->problem->text);
    struct kit_ready late;
    kit_ready(&late, WORLD_FREE, PB__IMAGE_KIND__IMAGE_INITRAMFS, 42);
    CHECK_EQ(ST_CONFLICT, world_ready(&w, &late));
    CHECK_EQ(ST_OK, world_image_gone(&w, WORLD_FREE));
    world_done(&w);
}

TEST(image_in_use_is_not_deleted_and_says_by_whom)
{
    struct world w;
    struct kit_vm vm;
    const char *name[] = {"a", "b", "c", "d", "e", "f"};
    world_start(&w);
    world_vm_stopped(&w, WORLD_FREE, "a");
    CHECK_EQ(ST_IN_USE, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(50)));
    CHECK_STR("image base is in use by vm a", w.r.why.text);
    for (unsigned i = 1; i < ARRAY_COUNT(name); i++)
        world_vm_stopped(&w, WORLD_FREE + i, name[i]);
    CHECK_EQ(ST_IN_USE, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(50)));
    CHECK(strstr(w.r.why.text, " and others") != NULL);
    CHECK_EQ(ST_OK, world_delete(&w, "image", WORLD_DISK, WORLD_OP(50)));
    for (unsigned i = 0; i < ARRAY_COUNT(name); i++) {
        CHECK_EQ(ST_OK, world_delete(&w, "vm", WORLD_FREE + i, WORLD_OP(60 + i)));
        CHECK_EQ(ST_IN_USE, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(51)));
        CHECK_EQ(ST_OK, world_gone(&w, WORLD_FREE + i));
    }
    CHECK_EQ(ST_OK, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(51)));
    /* The same content in another project is another image's. */
    CHECK_EQ(ST_OK, world_project(&w, WORLD_FREE + 40, "shop", "default"));
    kit_vm(&vm, WORLD_FREE + 41, "web");
    vm.meta.project = world_text("shop");
    CHECK_EQ(ST_NOT_FOUND, world_vm(&w, &vm));
    world_done(&w);
}

TEST(image_with_a_twin_may_go_while_used)
{
    struct world w;
    struct kit_ready ready;
    world_start(&w);
    make_pending(&w, WORLD_FREE, "twin");
    kit_ready(&ready, WORLD_FREE, PB__IMAGE_KIND__IMAGE_INITRAMFS, WORLD_IMAGE);
    world_vm_stopped(&w, WORLD_FREE + 1, "web");
    CHECK_EQ(ST_IN_USE, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(50)));
    CHECK_EQ(ST_OK, world_ready(&w, &ready));
    CHECK_EQ(ST_OK, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(50)));
    CHECK_EQ(ST_IN_USE, world_delete(&w, "image", WORLD_FREE, WORLD_OP(51)));
    CHECK_EQ(ST_OK, world_image_gone(&w, WORLD_IMAGE));
    world_done(&w);
}

/* A VM starts from the files on its own machine. */
TEST(image_of_another_node_is_no_twin_and_is_used_by_nobody_here)
{
    struct world w;
    struct kit_node node;
    struct kit_image image;
    struct kit_ready ready;
    world_start(&w);
    kit_node(&node, WORLD_FREE + 9, "n2");
    CHECK_EQ(ST_OK, world_node(&w, &node));
    kit_image(&image, WORLD_FREE, "far");
    image.m.node = 2;
    CHECK_EQ(ST_OK, world_image(&w, &image));
    kit_ready(&ready, WORLD_FREE, PB__IMAGE_KIND__IMAGE_INITRAMFS, WORLD_IMAGE);
    ready.m.node = 2;
    CHECK_EQ(ST_OK, world_ready(&w, &ready));
    for (uint32_t i = 1; i <= 2; i++) {
        const struct object *o =
            cluster_image_on_node(w.c, "default", world_digest(WORLD_IMAGE), i);
        CHECK(o && object_image(o)->node == i);
    }
    CHECK(!cluster_image_on_node(w.c, "default", world_digest(WORLD_IMAGE), 3));
    CHECK(!cluster_image_on_node(w.c, "default", world_digest(42), 1));
    world_vm_stopped(&w, WORLD_FREE + 1, "web");
    CHECK_EQ(ST_IN_USE, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(50)));
    CHECK_EQ(ST_OK, world_delete(&w, "image", WORLD_FREE, WORLD_OP(51)));
    world_done(&w);
}

TEST(image_build_can_be_cancelled)
{
    struct world w;
    world_start(&w);
    make_pending(&w, WORLD_FREE, "new");
    CHECK_EQ(ST_OK, world_cancel(&w, WORLD_OP(WORLD_FREE)));
    CHECK_STR("image.failed: cancelled", world_event(&w, 0));
    CHECK_STR("operation.cancelled: image.build of new", world_event(&w, 1));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK_STR(world_uid(WORLD_OP(WORLD_FREE)), w.r.operation_id);
    CHECK_EQ(PB__IMAGE_PHASE__IMAGE_FAILED, world_get_image(&w, WORLD_FREE)->phase);
    CHECK_STR("cancelled", world_get_image(&w, WORLD_FREE)->error);
    const Pb__Operation *op = world_get_op(&w, WORLD_OP(WORLD_FREE));
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_CANCELLED, op->phase);
    CHECK_STR("cancelled by root", op->problem->text);
    CHECK_EQ(ST_CONFLICT, world_cancel(&w, WORLD_OP(WORLD_FREE)));
    CHECK_EQ(ST_NOT_FOUND, world_cancel(&w, WORLD_OP(99)));
    world_done(&w);
}

TEST(image_delete_cannot_be_cancelled)
{
    struct world w;
    world_start(&w);
    CHECK_EQ(ST_OK, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(50)));
    CHECK_EQ(ST_CONFLICT, world_cancel(&w, WORLD_OP(50)));
    world_done(&w);
}
