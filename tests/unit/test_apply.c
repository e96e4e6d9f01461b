#include <stdlib.h>

#include "base/rng.h"
#include "core/limits.h"
#include "core/state.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/proto.h"

static Pb__Command init_command(Pb__CmdClusterInit *m)
{
    Pb__Command cmd = PB__COMMAND__INIT;
    pb__cmd_cluster_init__init(m);
    m->uid = world_uid(WORLD_CLUSTER);
    m->name = world_text("c");
    m->tenant_uid = world_uid(WORLD_TENANT);
    m->project_uid = world_uid(WORLD_PROJECT);
    cmd.body_case = PB__COMMAND__BODY_CLUSTER_INIT;
    cmd.cluster_init = m;
    return cmd;
}

TEST(apply_cluster_init_makes_cluster_tenant_and_project)
{
    struct world w;
    Pb__CmdClusterInit m;
    world_init(&w, NULL);
    CHECK_EQ(0, cluster_level(w.c));
    Pb__Command cmd = init_command(&m);
    CHECK_EQ(ST_OK, world_run(&w, &cmd));
    CHECK_EQ(1, cluster_level(w.c));
    CHECK_STR(world_uid(WORLD_CLUSTER), w.r.uid);
    CHECK_EQ(3, w.r.change_count);
    CHECK_STR("cluster.created: feature level 1", world_event(&w, 0));
    CHECK(cluster_find_name(w.c, OBJECT_TENANT, NULL, "default") != NULL);
    struct object *project = cluster_find_name(w.c, OBJECT_PROJECT, NULL, "default");
    CHECK_STR("default", object_project(project)->tenant);
    const Pb__Cluster *c =
        object_cluster(cluster_find(w.c, OBJECT_CLUSTER, world_uid(WORLD_CLUSTER)));
    CHECK_STR("c", c->meta->name);
    CHECK_EQ(1, c->epoch);
    CHECK_EQ(1, c->meta->index);
    CHECK(c->meta->created_ns == cluster_time_ns(w.c) && c->meta->created_ns > 0);
    world_done(&w);
}

TEST(apply_cluster_init_refuses_what_is_not_whole)
{
    Pb__CmdClusterInit m;
    for (int i = 0; i < 9; i++) {
        struct world w;
        world_init(&w, NULL);
        Pb__Command cmd = init_command(&m);
        switch (i) {
        case 0: m.uid = NULL; break;
        case 1: m.name = NULL; break;
        case 2: m.tenant_uid = NULL; break;
        case 3: m.project_uid = NULL; break;
        case 4: m.tenant_uid = m.uid; break;
        case 5: m.project_uid = m.uid; break;
        case 6: m.project_uid = m.tenant_uid; break;
        case 7: m.name = world_text("Not A Name"); break;
        case 8: PROTO_SET(&cmd, level, 0); break;
        }
        CHECK_EQ(ST_INVALID, world_run(&w, &cmd));
        CHECK_EQ(0, cluster_level(w.c));
        world_done(&w);
    }
}

TEST(apply_second_cluster_init_is_refused)
{
    struct world w;
    Pb__CmdClusterInit m;
    world_start(&w);
    Pb__Command cmd = init_command(&m);
    m.uid = world_uid(WORLD_FREE);
    m.tenant_uid = world_uid(WORLD_FREE + 1);
    m.project_uid = world_uid(WORLD_FREE + 2);
    CHECK_EQ(ST_EXISTS, world_run(&w, &cmd));
    CHECK_STR("the cluster exists already", w.r.why.text);
    world_done(&w);
}

TEST(apply_before_there_is_a_cluster_is_refused)
{
    struct world w;
    world_init(&w, NULL);
    CHECK_EQ(ST_PRECONDITION, world_tenant(&w, WORLD_FREE, "t"));
    world_done(&w);
}

TEST(apply_bytes_that_are_no_command_are_refused)
{
    struct world w;
    world_start(&w);
    CHECK_EQ(ST_INVALID, world_apply(&w, STR("\xff\xff\xff")));
    CHECK_EQ(ST_INVALID, world_apply(&w, STR("")));
    char *big = mem_new(LIMIT_COMMAND_BYTES + 1);
    CHECK_EQ(ST_TOO_BIG, world_apply(&w, (struct str){big, LIMIT_COMMAND_BYTES + 1}));
    free(big);
    world_done(&w);
}

TEST(apply_without_a_body_is_refused)
{
    struct world w;
    world_start(&w);
    Pb__Command cmd = PB__COMMAND__INIT;
    CHECK_EQ(ST_INVALID, world_run(&w, &cmd));
    CHECK_STR("the command asks for nothing", w.r.why.text);
    world_done(&w);
}

/* In the id or in the digest of the request: any number of bytes but 16 is refused, and leaves no trace. */
static void check_16_bytes(const char *field)
{
    struct world w;
    uint8_t bytes[17] = {1};
    world_start(&w);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        if (len == 16)
            continue;
        Pb__CmdNodeHello m = PB__CMD_NODE_HELLO__INIT;
        Pb__Command cmd = PB__COMMAND__INIT;
        cmd.body_case = PB__COMMAND__BODY_NODE_HELLO;
        cmd.node_hello = &m;
        cmd.has_id = strcmp(field, "id") == 0;
        cmd.has_request = !cmd.has_id;
        cmd.id = cmd.request = (ProtobufCBinaryData){len, bytes};
        size_t kept = w.c->done.count;
        CHECK_EQ(ST_INVALID, world_run(&w, &cmd));
        CHECK_STR(field, w.r.why.field);
        CHECK_EQ(kept, w.c->done.count);
    }
    world_done(&w);
}

TEST(apply_id_must_have_16_bytes)
{
    check_16_bytes("id");
}

TEST(apply_request_digest_has_16_bytes_or_is_absent)
{
    check_16_bytes("request");
}

TEST(apply_same_id_again_answers_as_before_and_changes_nothing)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK(!w.r.replay);
    uint64_t state = cluster_hash(w.c);
    w.same_id = true;
    kit_vm(&k, WORLD_FREE + 1, "other");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK(w.r.replay);
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK_STR(world_uid(WORLD_OP(WORLD_FREE)), w.r.operation_id);
    CHECK(state == cluster_hash(w.c));
    world_done(&w);
}

TEST(apply_same_id_for_something_else_is_refused)
{
    struct world w;
    struct kit_vm k;
    struct apply_result r;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    w.request = 7;
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    uint64_t state = cluster_hash(w.c);
    w.same_id = true;
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK(w.r.replay);
    for (w.request = 0; w.request < 9; w.request += 8) { /* none, and another */
        w.same_id = true;
        CHECK_EQ(ST_CONFLICT, world_vm(&w, &k));
        CHECK(!w.r.replay);
        CHECK(w.r.why.hint[0]);
        CHECK_STR("", w.r.uid);
        CHECK(state == cluster_hash(w.c));
    }
    struct command_key key = w.c->done.items[w.c->done.first + w.c->done.count - 1]->key;
    CHECK(cluster_answered(w.c, &key, &r));
    CHECK(r.replay);
    CHECK_STR(world_uid(WORLD_FREE), r.uid);
    key.request[15]++;
    CHECK(cluster_answered(w.c, &key, &r));
    CHECK_EQ(ST_CONFLICT, r.status);
    key.id[15]++;
    CHECK(!cluster_answered(w.c, &key, &r));
    world_done(&w);
}

/* Two copies of one command may be in the log; who was told no must not find it done. */
TEST(apply_same_id_after_a_refusal_is_refused_alike)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    world_vm_running(&w, WORLD_FREE, "web");
    kit_vm(&k, WORLD_FREE + 1, "web");
    CHECK_EQ(ST_EXISTS, world_vm(&w, &k));
    struct fault why = w.r.why;
    w.same_id = true;
    kit_vm(&k, WORLD_FREE + 1, "free");
    CHECK_EQ(ST_EXISTS, world_vm(&w, &k));
    CHECK(w.r.replay);
    CHECK_STR(why.text, w.r.why.text);
    CHECK_STR(why.hint, w.r.why.hint);
    CHECK_STR(why.field, w.r.why.field);
    CHECK(why.hint[0] && why.field[0]);
    CHECK_STR("", w.r.uid);
    world_done(&w);
}

TEST(apply_above_the_feature_level_is_refused)
{
    struct world w;
    world_start(&w);
    w.level = 2;
    CHECK_EQ(ST_UNSUPPORTED, world_tenant(&w, WORLD_FREE, "t"));
    w.level = 0;
    CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE, "t"));
    world_done(&w);
    Pb__CmdClusterInit m;
    world_init(&w, NULL);
    Pb__Command cmd = init_command(&m);
    PROTO_SET(&cmd, level, CLUSTER_LEVEL_MAX + 1);
    CHECK_EQ(ST_UNSUPPORTED, world_run(&w, &cmd));
    world_done(&w);
}

static void add_unknown(ProtobufCMessage *m, ProtobufCMessageUnknownField *f)
{
    static uint8_t one = 1;
    *f = (ProtobufCMessageUnknownField){999, PROTOBUF_C_WIRE_TYPE_VARINT, 1, &one};
    m->unknown_fields = f;
    m->n_unknown_fields = 1;
}

TEST(apply_fields_that_are_not_known_are_refused_at_any_depth)
{
    struct world w;
    struct kit_vm k;
    ProtobufCMessageUnknownField f;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    kit_vm_port(&k, 80, 80);
    ProtobufCMessage *at[] = {&k.m.base, &k.spec.base, &k.port[0].base};
    for (size_t i = 0; i < ARRAY_COUNT(at); i++) {
        add_unknown(at[i], &f);
        CHECK_EQ(ST_UNSUPPORTED, world_vm(&w, &k));
        at[i]->n_unknown_fields = 0;
    }
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    world_done(&w);
}

TEST(apply_limits_of_the_fields_are_checked)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    PROTO_SET(&k.spec, vcpus, 65);
    CHECK_EQ(ST_INVALID, world_vm(&w, &k));
    CHECK_STR("vm_create.vm.spec.vcpus", w.r.why.field);
    world_done(&w);
}

TEST(apply_time_never_goes_back_and_moves_only_when_something_is_done)
{
    struct world w;
    world_start(&w);
    w.time_ns = UINT64_C(1800000000000000000);
    CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE, "t"));
    CHECK(cluster_time_ns(w.c) == UINT64_C(1800000000000000000));
    w.time_ns = 5;
    CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE + 1, "u"));
    CHECK(cluster_time_ns(w.c) == UINT64_C(1800000000000000000));
    const Pb__Tenant *t =
        object_tenant(cluster_find(w.c, OBJECT_TENANT, world_uid(WORLD_FREE + 1)));
    CHECK(t->meta->created_ns == UINT64_C(1800000000000000000));
    w.time_ns = UINT64_C(1900000000000000000);
    CHECK_EQ(ST_EXISTS, world_tenant(&w, WORLD_FREE + 2, "t"));
    CHECK(cluster_time_ns(w.c) == UINT64_C(1800000000000000000));
    world_done(&w);
}

TEST_ABORTS(apply_of_an_index_that_is_not_later_is_our_error)
{
    struct world w;
    world_start(&w);
    w.index--;
    (void)world_tenant(&w, WORLD_FREE, "t");
}

TEST(apply_objects_carry_index_and_times_of_their_change)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, WORLD_FREE, "web");
    const Pb__Vm *vm = world_get_vm(&w, WORLD_FREE);
    CHECK_EQ(w.index, vm->meta->index);
    CHECK(vm->meta->modified_ns == cluster_time_ns(w.c));
    CHECK(vm->meta->created_ns < vm->meta->modified_ns);
    CHECK_EQ(w.index, world_get_op(&w, WORLD_OP(WORLD_FREE))->index);
    world_done(&w);
}

TEST(apply_tells_what_changed_from_what_to_what)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(2, w.r.change_count);
    CHECK_EQ(OBJECT_VM, w.r.changes[0].kind);
    CHECK(!w.r.changes[0].before && w.r.changes[0].after);
    CHECK_EQ(OBJECT_OPERATION, w.r.changes[1].kind);
    struct object *first = object_ref(w.r.changes[0].after);
    CHECK_EQ(ST_OK, world_says(&w, WORLD_FREE, PB__VM_PHASE__VM_STARTING, true));
    CHECK(w.r.changes[0].before == first);
    CHECK_EQ(PB__VM_PHASE__VM_STARTING, object_vm(w.r.changes[0].after)->status->phase);
    object_unref(first);
    CHECK_EQ(ST_OK, world_delete(&w, "vm", WORLD_FREE, WORLD_OP(7)));
    CHECK_EQ(ST_OK, world_gone(&w, WORLD_FREE));
    CHECK_EQ(OBJECT_VM, w.r.changes[0].kind);
    CHECK(w.r.changes[0].before && !w.r.changes[0].after);
    world_done(&w);
}

TEST(apply_events_carry_who_when_and_what)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(1, w.r.event_count);
    const Pb__Event *e = object_event(w.r.events[0]);
    CHECK_EQ(w.index, e->index);
    CHECK_EQ(0, e->seq);
    CHECK(e->time_ns == cluster_time_ns(w.c));
    CHECK_STR("vm.created", e->type);
    CHECK_STR("vm", e->kind);
    CHECK_STR("web", e->name);
    CHECK_STR("default", e->project);
    CHECK_STR("root", e->actor);
    CHECK_STR(world_uid(WORLD_FREE), e->uid);
    CHECK_STR("on node n1 from image base", e->text);
    world_done(&w);
}

/* --- bounds --- */

TEST(apply_command_ids_are_dropped_by_age)
{
    struct world w;
    struct limits l;
    Pb__CmdClusterInit m;
    limits_default(&l);
    l.done = 3;
    world_init(&w, &l);
    Pb__Command cmd = init_command(&m);
    CHECK_EQ(ST_OK, world_run(&w, &cmd));
    for (unsigned i = 0; i < 200; i++) {
        CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE + i, world_uid(i)));
        CHECK_EQ(i < 2 ? i + 2 : 3, w.c->done.count);
        CHECK_EQ(w.c->done.count, w.c->done.by_id.count);
    }
    w.same_id = true;
    CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE + 500, "new"));
    CHECK(w.r.replay);
    world_done(&w);
}

/* Reports of nodes come by the thousand under ids that nobody repeats; refused ones too. */
TEST(apply_what_nodes_report_pushes_no_command_id_out)
{
    struct world w;
    struct kit_vm k;
    struct kit_report report;
    struct kit_ready ready;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    w.c->limits.done = 3;
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    uint8_t id[COMMAND_ID_SIZE];
    memcpy(id, w.id, sizeof id);
    uint8_t request = w.request;
    w.request = 0;
    kit_ready(&ready, WORLD_FREE + 1, PB__IMAGE_KIND__IMAGE_DISK, 1);
    size_t kept = w.c->done.count;
    for (unsigned i = 0; i < 20; i++) {
        kit_report(&w, &report, WORLD_FREE, PB__VM_PHASE__VM_STARTING);
        CHECK_EQ(ST_OK, world_report(&w, &report));
        CHECK_EQ(ST_NOT_FOUND, world_ready(&w, &ready));
        CHECK_EQ(kept, w.c->done.count);
    }
    memcpy(w.id, id, sizeof id);
    w.request = request;
    w.same_id = true;
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK(w.r.replay);
    world_done(&w);
}

/* Which ids are known is the same on every replica, however its program words or stores a refusal. */
TEST(apply_command_ids_are_kept_by_count_whatever_was_answered)
{
    struct done_table brief, wordy;
    struct command_key key = {0};
    struct fault no, why;
    done_table_init(&brief);
    done_table_init(&wordy);
    (void)fault_set(&no, ST_EXISTS, "no");
    (void)fault_set(&why, ST_EXISTS, "%*s", FAULT_TEXT_MAX - 1, "no");
    fault_hint(&why, "%*s", FAULT_HINT_MAX - 1, "none");
    for (uint64_t i = 1; i <= 3 * LIMIT_DONE; i++) {
        memcpy(key.id, &i, sizeof i);
        done_add(&brief, done_new(&key, i, ST_EXISTS, &no, "", ""), LIMIT_DONE);
        done_add(&wordy, done_new(&key, i, ST_EXISTS, &why, "", ""), LIMIT_DONE);
        CHECK_EQ(MIN(i, (uint64_t)LIMIT_DONE), wordy.count);
        CHECK_EQ(i, done_last_index(&wordy));
        CHECK(brief.count == wordy.count && brief.hash == wordy.hash);
    }
    done_table_done(&brief);
    done_table_done(&wordy);
}

TEST(apply_command_ids_are_found_while_others_come_and_go)
{
    enum { KEPT_MAX = 150, ADDED = 3000 };
    static struct command_key key[ADDED];
    struct done_table t;
    struct rng r = {1};
    done_table_init(&t);
    for (size_t i = 0, first = 0; i < ADDED; i++) {
        uint64_t id = rng_next(&r);
        memcpy(key[i].id, &id, sizeof id);
        size_t kept = 1 + (size_t)rng_below(&r, KEPT_MAX);
        done_add(&t, done_new(&key[i], i + 1, ST_OK, NULL, "", ""), kept);
        first = MAX(first, i + 1 > kept ? i + 1 - kept : 0);
        CHECK_EQ(i + 1 - first, t.count);
        CHECK_EQ(t.count, t.by_id.count);
        for (size_t j = 0; j <= i; j++) {
            const struct done *d = done_find(&t, key[j].id);
            CHECK_EQ(j >= first, d != NULL);
            CHECK(!d || d->index == j + 1);
        }
    }
    done_table_done(&t);
}

static void start_with(struct world *w, const struct limits *l)
{
    Pb__CmdClusterInit m;
    struct kit_node node;
    struct kit_image image;
    struct kit_ready ready;
    world_init(w, l);
    Pb__Command cmd = init_command(&m);
    CHECK_EQ(ST_OK, world_run(w, &cmd));
    kit_node(&node, WORLD_NODE, "n1");
    CHECK_EQ(ST_OK, world_node(w, &node));
    kit_image(&image, WORLD_IMAGE, "base");
    CHECK_EQ(ST_OK, world_image(w, &image));
    kit_ready(&ready, WORLD_IMAGE, PB__IMAGE_KIND__IMAGE_INITRAMFS, 1);
    CHECK_EQ(ST_OK, world_ready(w, &ready));
}

TEST(apply_full_tables_refuse_and_say_so)
{
    struct world w;
    struct limits l;
    limits_default(&l);
    l.objects[OBJECT_TENANT] = 2;
    l.objects[OBJECT_PROJECT] = 2;
    l.objects[OBJECT_NODE] = 1;
    l.objects[OBJECT_IMAGE] = 1;
    l.objects[OBJECT_VM] = 1;
    start_with(&w, &l);
    CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE, "t"));
    CHECK_EQ(ST_LIMIT, world_tenant(&w, WORLD_FREE + 1, "u"));
    CHECK_STR("there are 2 tenants, and no more may be", w.r.why.text);
    CHECK_STR("delete one that is not needed", w.r.why.hint);
    CHECK_EQ(ST_OK, world_project(&w, WORLD_FREE + 1, "p", "t"));
    CHECK_EQ(ST_LIMIT, world_project(&w, WORLD_FREE + 2, "q", "t"));
    struct kit_node node;
    kit_node(&node, WORLD_FREE + 3, "n2");
    CHECK_EQ(ST_LIMIT, world_node(&w, &node));
    struct kit_image image;
    kit_image(&image, WORLD_FREE + 4, "other");
    CHECK_EQ(ST_LIMIT, world_image(&w, &image));
    world_vm_running(&w, WORLD_FREE + 5, "web");
    struct kit_vm vm;
    kit_vm(&vm, WORLD_FREE + 6, "other");
    CHECK_EQ(ST_LIMIT, world_vm(&w, &vm));
    world_done(&w);
}

TEST(apply_operations_under_way_are_bounded_and_those_that_ended_dropped)
{
    struct world w;
    struct limits l;
    struct kit_vm k;
    limits_default(&l);
    l.objects[OBJECT_OPERATION] = 2;
    l.ended = 3;
    start_with(&w, &l);
    for (unsigned i = 0; i < 3; i++) {
        kit_vm(&k, WORLD_FREE + i, i == 0 ? "a" : i == 1 ? "b" : "c");
        CHECK_EQ(i < 2 ? ST_OK : ST_LIMIT, world_vm(&w, &k));
    }
    CHECK_STR("there are 2 operations under way, and no more may be", w.r.why.text);
    CHECK_STR("wait until some have ended", w.r.why.hint);
    /* One that takes the place of another is not one more. */
    CHECK_EQ(ST_OK, world_power(&w, WORLD_FREE, "vm.stop", WORLD_OP(50)));
    /* Nor is one that has succeeded at once. */
    k.m.start = false;
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    for (unsigned i = 60; i < 70; i++)
        CHECK_EQ(ST_OK, world_power(&w, WORLD_FREE + 2, "vm.stop", WORLD_OP(i)));
    CHECK_EQ(3, w.c->derived.operation_by_age.count);
    CHECK_EQ(5, cluster_count(w.c, OBJECT_OPERATION));
    CHECK(cluster_find(w.c, OBJECT_OPERATION, world_uid(WORLD_OP(66))) == NULL);
    CHECK(cluster_find(w.c, OBJECT_OPERATION, world_uid(WORLD_OP(67))) != NULL);
    CHECK(cluster_find(w.c, OBJECT_OPERATION, world_uid(WORLD_OP(69))) != NULL);
    world_done(&w);
}

TEST(apply_ended_operations_are_bounded_in_bytes)
{
    struct world w;
    struct limits l;
    limits_default(&l);
    l.ended_bytes = 1500;
    start_with(&w, &l);
    world_vm_stopped(&w, WORLD_FREE, "web");
    for (unsigned i = 60; i < 90; i++) {
        CHECK_EQ(ST_OK, world_power(&w, WORLD_FREE, "vm.stop", WORLD_OP(i)));
        CHECK(w.c->derived.ended_bytes <= 1500 && w.c->derived.operation_by_age.count > 0);
    }
    world_done(&w);
}

TEST(apply_events_are_bounded_in_count_and_bytes)
{
    struct world w;
    struct limits l;
    limits_default(&l);
    l.objects[OBJECT_EVENT] = 5;
    start_with(&w, &l);
    for (unsigned i = 0; i < 20; i++) {
        CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE + i, world_uid(i)));
        CHECK(cluster_count(w.c, OBJECT_EVENT) <= 5);
    }
    CHECK_EQ(5, cluster_count(w.c, OBJECT_EVENT));
    world_done(&w);
    limits_default(&l);
    l.events_bytes = 1000;
    start_with(&w, &l);
    for (unsigned i = 0; i < 20; i++) {
        CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE + i, world_uid(i)));
        CHECK(w.c->table[OBJECT_EVENT].bytes <= 1000 && cluster_count(w.c, OBJECT_EVENT) > 0);
    }
    world_done(&w);
}

TEST(apply_full_state_takes_no_new_thing_but_reports_and_deletions)
{
    struct world w;
    struct limits l;
    struct kit_vm k;
    limits_default(&l);
    start_with(&w, &l);
    world_vm_running(&w, WORLD_FREE, "web");
    w.c->limits.state_bytes = cluster_bytes(w.c);
    kit_vm(&k, WORLD_FREE + 1, "other");
    CHECK_EQ(ST_LIMIT, world_vm(&w, &k));
    CHECK_EQ(ST_LIMIT, world_tenant(&w, WORLD_FREE + 1, "t"));
    kit_vm(&k, WORLD_FREE, "web");
    CHECK_EQ(ST_LIMIT, world_update(&w, &k));
    CHECK_EQ(ST_OK, world_power(&w, WORLD_FREE, "vm.stop", WORLD_OP(50)));
    CHECK_EQ(ST_OK, world_says(&w, WORLD_FREE, PB__VM_PHASE__VM_STOPPED, false));
    CHECK_EQ(ST_OK, world_delete(&w, "vm", WORLD_FREE, WORLD_OP(51)));
    CHECK_EQ(ST_OK, world_gone(&w, WORLD_FREE));
    world_done(&w);
}

TEST(apply_history_that_just_fits_is_kept)
{
    struct world w;
    world_start(&w);
    world_vm_stopped(&w, WORLD_FREE, "web");
    size_t events = cluster_count(w.c, OBJECT_EVENT), ended = w.c->derived.operation_by_age.count;
    CHECK(events > 3 && ended > 2);
    w.c->limits.objects[OBJECT_EVENT] = events;
    w.c->limits.events_bytes = (size_t)w.c->table[OBJECT_EVENT].bytes;
    w.c->limits.ended = ended;
    w.c->limits.ended_bytes = w.c->derived.ended_bytes;
    cluster_trim(w.c);
    CHECK_EQ(events, cluster_count(w.c, OBJECT_EVENT));
    CHECK_EQ(ended, w.c->derived.operation_by_age.count);
    w.c->limits.events_bytes--;
    w.c->limits.ended_bytes--;
    cluster_trim(w.c);
    CHECK_EQ(events - 1, cluster_count(w.c, OBJECT_EVENT));
    CHECK_EQ(ended - 1, w.c->derived.operation_by_age.count);
    world_done(&w);
}

/* The default limits stand as documented. */
TEST(apply_default_limits_are_those_of_the_header)
{
    struct limits l;
    limits_default(&l);
    CHECK_EQ(1, l.objects[OBJECT_CLUSTER]);
    CHECK_EQ(1000, l.objects[OBJECT_TENANT]);
    CHECK_EQ(10000, l.objects[OBJECT_PROJECT]);
    CHECK_EQ(128, l.objects[OBJECT_NODE]);
    CHECK_EQ(10000, l.objects[OBJECT_IMAGE]);
    CHECK_EQ(100000, l.objects[OBJECT_VM]);
    CHECK_EQ(10000, l.objects[OBJECT_OPERATION]);
    CHECK_EQ(LIMIT_EVENTS, l.objects[OBJECT_EVENT]);
    CHECK_EQ(LIMIT_ENDED, l.ended);
    CHECK_EQ(10000, l.done);
    CHECK(l.state_bytes == LIMIT_STATE_BYTES);
    CHECK_EQ(LIMIT_ENDED_BYTES, l.ended_bytes);
    CHECK_EQ(LIMIT_EVENTS_BYTES, l.events_bytes);
}

/* A dry run says all that a real one would, and leaves no trace. */
TEST(apply_try_says_what_would_be)
{
    struct world w;
    struct kit_vm k;
    struct apply_result r;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web-1");
    uint64_t before = cluster_hash(w.c), count = cluster_count(w.c, OBJECT_VM);

    Pb__Command cmd = PB__COMMAND__INIT;
    uint8_t id[16] = {1};
    cmd.has_id = 1;
    cmd.id = (ProtobufCBinaryData){sizeof id, id};
    cmd.body_case = PB__COMMAND__BODY_VM_CREATE;
    cmd.vm_create = &k.m;
    AUTO(buf_done) struct buf packed;
    buf_init(&packed, LIMIT_COMMAND_BYTES);
    proto_pack(&cmd.base, &packed);
    cluster_try(w.c, buf_view(&packed), &r);
    CHECK_EQ(ST_OK, r.status);
    CHECK_EQ(cluster_index(w.c) + 1, r.index);
    CHECK_STR(world_uid(WORLD_FREE), r.uid);
    CHECK(r.change_count > 0);
    CHECK_STR("web-1", object_name(r.changes[0].after));
    apply_result_done(&r);
    CHECK(cluster_hash(w.c) == before);
    CHECK_EQ(count, cluster_count(w.c, OBJECT_VM));

    k.spec.image = world_text("nowhere");
    buf_reset(&packed);
    proto_pack(&cmd.base, &packed);
    cluster_try(w.c, buf_view(&packed), &r);
    CHECK_EQ(ST_NOT_FOUND, r.status);
    CHECK_STR("spec.image", r.why.field);
    CHECK_EQ(0, r.change_count);
    CHECK(cluster_hash(w.c) == before);
    world_done(&w);
}
