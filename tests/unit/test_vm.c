/* VMs: asked for, changed, deleted. */
#include "core/state.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/proto.h"

TEST(vm_create_makes_a_vm_of_generation_1_and_waits_for_it)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    kit_vm_label(&k, "tier", "front");
    kit_vm_label(&k, "team", "a");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK_STR(world_uid(WORLD_OP(WORLD_FREE)), w.r.operation_id);
    const Pb__Vm *vm = world_get_vm(&w, WORLD_FREE);
    CHECK_STR("web", vm->meta->name);
    CHECK_STR("default", vm->meta->project);
    CHECK_STR("front", vm->meta->labels[0]->value);
    CHECK_EQ(PB__POWER__POWER_RUNNING, vm->power);
    CHECK_EQ(1, vm->generation);
    CHECK_EQ(1, vm->start_nonce);
    CHECK(!vm->deleting && !vm->force);
    CHECK(vm->has_deleting && vm->has_force && vm->status->has_incarnation);
    CHECK(vm->status->has_generation && vm->status->has_restarts);
    CHECK_STR(world_digest(WORLD_IMAGE), vm->image_digest);
    CHECK_EQ(PB__VM_PHASE__VM_ABSENT, vm->status->phase);
    CHECK_EQ(1, vm->status->node);
    CHECK_EQ(1, vm->status->epoch);
    CHECK_EQ(0, vm->status->incarnation);
    CHECK_EQ(0, vm->status->generation);
    const Pb__Operation *op = world_get_op(&w, WORLD_OP(WORLD_FREE));
    CHECK_STR("vm.create", op->kind);
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_RUNNING, op->phase);
    CHECK(op->has_phase);
    CHECK_EQ(1, op->generation);
    CHECK(op->created_ns == cluster_time_ns(w.c) && !op->has_ended_ns);
    CHECK(cluster_operation_on(w.c, vm->meta->uid) != NULL);
    world_done(&w);
}

TEST(vm_create_without_start_has_succeeded_at_once)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    k.m.start = false;
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_STR("vm.created: on node n1 from image base, not started", world_event(&w, 0));
    const Pb__Vm *vm = world_get_vm(&w, WORLD_FREE);
    CHECK_EQ(PB__POWER__POWER_STOPPED, vm->power);
    CHECK_EQ(0, vm->start_nonce);
    const Pb__Operation *op = world_get_op(&w, WORLD_OP(WORLD_FREE));
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_SUCCEEDED, op->phase);
    CHECK(op->ended_ns == cluster_time_ns(w.c));
    CHECK(cluster_operation_on(w.c, vm->meta->uid) == NULL);
    world_done(&w);
}

/* A later change of a default must not change a VM that exists. */
TEST(vm_create_makes_every_default_explicit)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    kit_vm_port(&k, 8080, 80);
    kit_vm_volume(&k, "data", 10);
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    const Pb__VmSpec *s = world_get_vm(&w, WORLD_FREE)->spec;
    CHECK(s->has_vcpus && s->vcpus == 1);
    CHECK(s->has_mem_mib && s->mem_mib == 256);
    CHECK(s->has_root_size_mib && s->root_size_mib == 0);
    CHECK(s->has_root && s->root == PB__ROOT_KIND__ROOT_EPHEMERAL);
    CHECK(s->has_failover && s->failover == PB__FAILOVER__FAILOVER_DEFAULT);
    CHECK(s->has_restart && s->restart == PB__RESTART__RESTART_ON_FAILURE);
    CHECK(s->has_priority && s->priority == 500);
    CHECK(s->has_autostart && s->autostart);
    CHECK(s->has_stop_timeout_s && s->stop_timeout_s == 30);
    CHECK(s->ports[0]->has_protocol && s->ports[0]->protocol == PB__PROTOCOL__PROTOCOL_TCP);
    CHECK_STR("127.0.0.1", s->ports[0]->host_address);
    CHECK(s->volumes[0]->has_read_only && !s->volumes[0]->read_only);
    CHECK(s->user_data == NULL);
    world_done(&w);
}

TEST(vm_create_keeps_what_was_asked)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "db");
    k.spec.image = world_text("disk");
    PROTO_SET(&k.spec, vcpus, 4);
    PROTO_SET(&k.spec, mem_mib, 1024);
    PROTO_SET(&k.spec, root_size_mib, 5000);
    PROTO_SET(&k.spec, root, PB__ROOT_KIND__ROOT_PERSISTENT);
    PROTO_SET(&k.spec, restart, PB__RESTART__RESTART_NEVER);
    PROTO_SET(&k.spec, autostart, false);
    k.spec.user_data = world_text("#!/bin/sh\necho hi\n");
    kit_vm_port(&k, 5432, 5432);
    k.port[0].host_address = world_text("0.0.0.0");
    PROTO_SET(&k.port[0], protocol, PB__PROTOCOL__PROTOCOL_UDP);
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    const Pb__VmSpec *s = world_get_vm(&w, WORLD_FREE)->spec;
    CHECK_EQ(4, s->vcpus);
    CHECK_EQ(1024, s->mem_mib);
    CHECK_EQ(5000, s->root_size_mib);
    CHECK_EQ(PB__ROOT_KIND__ROOT_PERSISTENT, s->root);
    CHECK_EQ(PB__RESTART__RESTART_NEVER, s->restart);
    CHECK(!s->autostart);
    CHECK_STR("#!/bin/sh\necho hi\n", s->user_data);
    CHECK_STR("0.0.0.0", s->ports[0]->host_address);
    CHECK_EQ(PB__PROTOCOL__PROTOCOL_UDP, s->ports[0]->protocol);
    world_done(&w);
}

/* What is set by the system is not taken from a user. */
TEST(vm_create_takes_meta_and_spec_only)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    PROTO_SET(&k.vm, generation, 77);
    PROTO_SET(&k.vm, deleting, true);
    k.vm.mac = world_text("52:54:00:00:00:01");
    PROTO_SET(&k.meta, index, 99);
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    const Pb__Vm *vm = world_get_vm(&w, WORLD_FREE);
    CHECK_EQ(1, vm->generation);
    CHECK(!vm->deleting);
    CHECK(strcmp(vm->mac, "52:54:00:00:00:01") != 0);
    CHECK_EQ(w.index, vm->meta->index);
    world_done(&w);
}

TEST(vm_create_finds_its_image_by_name_or_digest)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "a");
    k.spec.image = world_digest(WORLD_DISK);
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_STR(world_digest(WORLD_DISK), world_get_vm(&w, WORLD_FREE)->image_digest);
    kit_vm(&k, WORLD_FREE + 1, "b");
    k.spec.image = world_digest(12345);
    CHECK_EQ(ST_NOT_FOUND, world_vm(&w, &k));
    CHECK_STR("spec.image", w.r.why.field);
    CHECK_STR("blixard image ls", w.r.why.hint);
    k.spec.image = world_text("nothing");
    CHECK_EQ(ST_NOT_FOUND, world_vm(&w, &k));
    CHECK_STR("spec.image: there is no image nothing in project default", w.r.why.text);
    world_done(&w);
}

TEST(vm_create_needs_a_ready_image)
{
    struct world w;
    struct kit_vm k;
    struct kit_image image;
    world_start(&w);
    kit_image(&image, WORLD_FREE, "new");
    CHECK_EQ(ST_OK, world_image(&w, &image));
    kit_vm(&k, WORLD_FREE + 1, "web");
    k.spec.image = world_text("new");
    CHECK_EQ(ST_CONFLICT, world_vm(&w, &k));
    CHECK_STR("spec.image: image new is pending, not ready", w.r.why.text);
    CHECK_STR("spec.image", w.r.why.field);
    CHECK_STR("blixard image show new", w.r.why.hint);
    world_done(&w);
}

TEST(vm_create_refuses_what_is_not_whole)
{
    struct world w;
    struct kit_vm k;
    struct {
        enum status status;
        const char *field;
    } want[] = {
        {ST_INVALID, "vm"},
        {ST_INVALID, "meta"},
        {ST_INVALID, "meta.uid"},
        {ST_INVALID, "meta.name"},
        {ST_INVALID, "meta.project"},
        {ST_NOT_FOUND, "project"},
        {ST_INVALID, "spec"},
        {ST_INVALID, "spec.image"},
        {ST_INVALID, "node"},
        {ST_NOT_FOUND, "node"},
        {ST_INVALID, "operation_id"},
        {ST_EXISTS, "operation_id"},
        {ST_EXISTS, "name"},
        {ST_EXISTS, "meta.uid"},
        {ST_INVALID, "spec.root"},
        {ST_INVALID, "spec.root_size_mib"},
        {ST_CAPACITY, "spec.mem_mib"},
        {ST_INVALID, "spec.volumes[1].name"},
        {ST_INVALID, "spec.volumes[0].name"},
        {ST_INVALID, "spec.volumes[0].size_mib"},
        {ST_INVALID, "spec.ports[0].host_port"},
        {ST_INVALID, "spec.ports[0].guest_port"},
        {ST_INVALID, "spec.ports[1].host_port"},
        {ST_INVALID, "labels[1].key"},
        {ST_INVALID, "labels[0].key"},
    };
    world_start(&w);
    world_vm_stopped(&w, WORLD_FREE, "taken");
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        kit_vm(&k, WORLD_FREE + 1, "web");
        switch (i) {
        case 0: k.m.vm = NULL; break;
        case 1: k.vm.meta = NULL; break;
        case 2: k.meta.uid = NULL; break;
        case 3: k.meta.name = NULL; break;
        case 4: k.meta.project = NULL; break;
        case 5: k.meta.project = world_text("nowhere"); break;
        case 6: k.vm.spec = NULL; break;
        case 7: k.spec.image = NULL; break;
        case 8: k.m.node = 0; break;
        case 9: k.m.node = 2; break;
        case 10: k.m.operation_id = NULL; break;
        case 11: k.m.operation_id = world_uid(WORLD_NODE); break;
        case 12: k.meta.name = world_text("taken"); break;
        case 13: k.meta.uid = world_uid(WORLD_OP(WORLD_FREE)); break;
        case 14: PROTO_SET(&k.spec, root, PB__ROOT_KIND__ROOT_PERSISTENT); break;
        case 15: PROTO_SET(&k.spec, root_size_mib, 1000); break;
        case 16: PROTO_SET(&k.spec, mem_mib, 8193); break;
        case 17: kit_vm_volume(&k, "data", 1), kit_vm_volume(&k, "data", 2); break;
        case 18: kit_vm_volume(&k, "data", 1), k.volume[0].name = NULL; break;
        case 19: kit_vm_volume(&k, "data", 1), k.volume[0].has_size_mib = false; break;
        case 20: kit_vm_port(&k, 1, 1), k.port[0].has_host_port = false; break;
        case 21: kit_vm_port(&k, 1, 1), k.port[0].has_guest_port = false; break;
        case 22: kit_vm_port(&k, 80, 1), kit_vm_port(&k, 80, 2); break;
        case 23: kit_vm_label(&k, "a", "1"), kit_vm_label(&k, "a", "2"); break;
        case 24: kit_vm_label(&k, "", "1"); break;
        }
        CHECK_EQ(want[i].status, world_vm(&w, &k));
        CHECK_STR(want[i].field, w.r.why.field);
    }
    CHECK_EQ(1, cluster_count(w.c, OBJECT_VM));
    world_done(&w);
}

TEST(vm_create_takes_as_much_memory_as_the_node_has_if_it_said)
{
    struct world w;
    struct kit_vm k;
    struct kit_node node;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    PROTO_SET(&k.spec, mem_mib, 8192);
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    kit_node(&node, WORLD_NODE, "n1");
    node.facts.has_mem_mib = false;
    CHECK_EQ(ST_OK, world_node(&w, &node));
    kit_vm(&k, WORLD_FREE + 1, "big");
    PROTO_SET(&k.spec, mem_mib, 1048576);
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    world_done(&w);
}

TEST(vm_names_are_unique_in_a_project_only)
{
    struct world w;
    struct kit_vm k;
    struct kit_image image;
    struct kit_ready ready;
    world_start(&w);
    CHECK_EQ(ST_OK, world_project(&w, WORLD_FREE, "shop", "default"));
    kit_image(&image, WORLD_FREE + 1, "base");
    image.meta.project = world_text("shop");
    CHECK_EQ(ST_OK, world_image(&w, &image));
    kit_ready(&ready, WORLD_FREE + 1, PB__IMAGE_KIND__IMAGE_INITRAMFS, 1);
    CHECK_EQ(ST_OK, world_ready(&w, &ready));
    world_vm_stopped(&w, WORLD_FREE + 2, "web");
    kit_vm(&k, WORLD_FREE + 3, "web");
    CHECK_EQ(ST_EXISTS, world_vm(&w, &k));
    CHECK_STR("vm web exists already in project default", w.r.why.text);
    CHECK_STR("choose another name", w.r.why.hint);
    k.meta.project = world_text("shop");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK(cluster_find_name(w.c, OBJECT_VM, "shop", "web") !=
          cluster_find_name(w.c, OBJECT_VM, "default", "web"));
    world_done(&w);
}

static enum status vm_with_port(struct world *w, uint64_t uid, uint32_t port, const char *address,
                                Pb__Protocol protocol, uint32_t node)
{
    struct kit_vm k;
    kit_vm(&k, uid, world_uid(uid));
    kit_vm_port(&k, port, 80);
    PROTO_SET(&k.port[0], protocol, protocol);
    k.port[0].host_address = address ? world_text(address) : NULL;
    k.m.node = node;
    return world_vm(w, &k);
}

TEST(vm_ports_of_a_node_lead_into_one_vm_each)
{
    struct world w;
    struct kit_node node;
    Pb__Protocol tcp = PB__PROTOCOL__PROTOCOL_TCP, udp = PB__PROTOCOL__PROTOCOL_UDP;
    world_start(&w);
    kit_node(&node, WORLD_FREE, "n2");
    CHECK_EQ(ST_OK, world_node(&w, &node));
    CHECK_EQ(ST_OK, vm_with_port(&w, 201, 8080, NULL, tcp, 1));
    CHECK_EQ(ST_CONFLICT, vm_with_port(&w, 202, 8080, NULL, tcp, 1));
    CHECK_STR("spec.ports[0].host_port", w.r.why.field);
    CHECK(strstr(w.r.why.text, "port 8080 of the node already leads into vm ") != NULL);
    CHECK_EQ(ST_CONFLICT, vm_with_port(&w, 202, 8080, "127.0.0.1", tcp, 1));
    CHECK_EQ(ST_CONFLICT, vm_with_port(&w, 202, 8080, "0.0.0.0", tcp, 1));
    CHECK_EQ(ST_OK, vm_with_port(&w, 202, 8080, "192.0.2.1", tcp, 1));
    CHECK_EQ(ST_OK, vm_with_port(&w, 203, 8081, NULL, tcp, 1));
    CHECK_EQ(ST_OK, vm_with_port(&w, 204, 8080, NULL, udp, 1));
    CHECK_EQ(ST_OK, vm_with_port(&w, 205, 8080, NULL, tcp, 2));
    CHECK_EQ(ST_OK, vm_with_port(&w, 206, 9000, "0.0.0.0", tcp, 1));
    CHECK_EQ(ST_CONFLICT, vm_with_port(&w, 207, 9000, "192.0.2.1", tcp, 1));
    /* A VM that is gone gives its port back. */
    CHECK_EQ(ST_OK, world_delete(&w, "vm", 206, WORLD_OP(50)));
    CHECK_EQ(ST_CONFLICT, vm_with_port(&w, 207, 9000, "192.0.2.1", tcp, 1));
    CHECK_EQ(ST_OK, world_gone(&w, 206));
    CHECK_EQ(ST_OK, vm_with_port(&w, 207, 9000, "192.0.2.1", tcp, 1));
    world_done(&w);
}

TEST(vm_own_ports_may_differ_in_protocol_or_address)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "a");
    kit_vm_port(&k, 80, 80), kit_vm_port(&k, 80, 80);
    PROTO_SET(&k.port[1], protocol, PB__PROTOCOL__PROTOCOL_UDP);
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    kit_vm(&k, WORLD_FREE + 1, "b");
    kit_vm_port(&k, 81, 80), kit_vm_port(&k, 81, 80);
    k.port[0].host_address = world_text("192.0.2.1");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    kit_vm(&k, WORLD_FREE + 2, "c");
    kit_vm_port(&k, 82, 80), kit_vm_port(&k, 82, 80);
    k.port[0].host_address = world_text("0.0.0.0");
    CHECK_EQ(ST_INVALID, world_vm(&w, &k));
    CHECK_STR("spec.ports[1].host_port: 82 is forwarded twice", w.r.why.text);
    kit_vm(&k, WORLD_FREE + 2, "c");
    kit_vm_port(&k, 82, 80), kit_vm_port(&k, 82, 80);
    k.port[1].host_address = world_text("0.0.0.0");
    CHECK_EQ(ST_INVALID, world_vm(&w, &k));
    kit_vm(&k, WORLD_FREE + 2, "c");
    kit_vm_port(&k, 82, 80), kit_vm_port(&k, 82, 80);
    k.port[1].host_address = world_text("127.0.0.1"); /* what the other one means */
    CHECK_EQ(ST_INVALID, world_vm(&w, &k));
    world_done(&w);
}

TEST(vm_mac_follows_from_the_uid_and_is_local_and_unicast)
{
    struct world w, v;
    struct kit_vm k;
    world_start(&w);
    world_start(&v);
    kit_vm(&k, WORLD_FREE, "a");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_OK, world_vm(&v, &k));
    CHECK_STR(world_get_vm(&w, WORLD_FREE)->mac, world_get_vm(&v, WORLD_FREE)->mac);
    CHECK_EQ(17, strlen(world_get_vm(&w, WORLD_FREE)->mac));
    CHECK(strncmp(world_get_vm(&w, WORLD_FREE)->mac, "02:", 3) == 0);
    kit_vm(&k, WORLD_FREE + 1, "b");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK(strcmp(world_get_vm(&w, WORLD_FREE)->mac, world_get_vm(&w, WORLD_FREE + 1)->mac) != 0);
    world_done(&w);
    world_done(&v);
}

TEST(vm_mac_that_is_taken_gives_way_to_the_next)
{
    struct world w, v;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "a");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    char first[18];
    memcpy(first, world_get_vm(&w, WORLD_FREE)->mac, sizeof first);
    world_done(&w);
    /* Another VM got that address by chance: put one there that has it. */
    world_start(&v);
    kit_vm(&k, WORLD_FREE + 1, "b");
    CHECK_EQ(ST_OK, world_vm(&v, &k));
    struct object *o = cluster_find(v.c, OBJECT_VM, world_uid(WORLD_FREE + 1));
    Pb__Vm *vm = (Pb__Vm *)(void *)proto_copy(o->msg);
    proto_set(&vm->mac, first);
    object_unref(cluster_put(v.c, object_new(OBJECT_VM, &vm->base)));
    kit_vm(&k, WORLD_FREE, "a");
    CHECK_EQ(ST_OK, world_vm(&v, &k));
    CHECK(strcmp(first, world_get_vm(&v, WORLD_FREE)->mac) != 0);
    world_done(&v);
}

/* --- update --- */

TEST(vm_update_raises_the_generation_and_holds_from_the_next_start)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    world_vm_running(&w, WORLD_FREE, "web");
    kit_vm(&k, WORLD_FREE, "web");
    PROTO_SET(&k.spec, vcpus, 2);
    kit_vm_label(&k, "tier", "front");
    CHECK_EQ(ST_OK, world_update(&w, &k));
    CHECK_STR("vm.updated: its spec holds from its next start", world_event(&w, 0));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK_STR("", w.r.operation_id);
    const Pb__Vm *vm = world_get_vm(&w, WORLD_FREE);
    CHECK_EQ(2, vm->spec->vcpus);
    CHECK(vm->spec->has_mem_mib && vm->spec->mem_mib == 256);
    CHECK_EQ(2, vm->generation);
    CHECK_EQ(1, vm->start_nonce);
    CHECK_EQ(1, vm->status->generation);
    CHECK_EQ(1, vm->meta->n_labels);
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, vm->status->phase);
    /* The same again is no change. */
    CHECK_EQ(ST_OK, world_update(&w, &k));
    CHECK_EQ(0, w.r.change_count);
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    world_done(&w);
}

TEST(vm_update_refuses_what_cannot_change)
{
    struct world w;
    struct kit_vm k;
    struct {
        enum status status;
        const char *field;
    } want[] = {
        {ST_INVALID, "spec.image"},
        {ST_INVALID, "spec.root"},
        {ST_INVALID, "spec.root_size_mib"},
        {ST_INVALID, "spec"},
        {ST_INVALID, "spec.volumes"},
        {ST_INVALID, "spec.volumes"},
        {ST_INVALID, "spec.volumes"},
        {ST_CAPACITY, "spec.mem_mib"},
        {ST_INVALID, "labels[0].key"},
        {ST_INVALID, "spec.ports[1].host_port"},
        {ST_CONFLICT, "spec.ports[0].host_port"},
        {ST_INVALID, "spec.image"},
        {ST_INVALID, "uid"},
        {ST_INVALID, "spec.volumes[0].name"},
        {ST_INVALID, "spec.volumes"},
    };
    world_start(&w);
    CHECK_EQ(ST_OK, vm_with_port(&w, WORLD_FREE + 1, 8080, NULL, PB__PROTOCOL__PROTOCOL_TCP, 1));
    kit_vm(&k, WORLD_FREE, "db");
    k.spec.image = world_text("disk");
    kit_vm_volume(&k, "data", 10);
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        kit_vm(&k, WORLD_FREE, "db");
        k.spec.image = world_text("disk");
        kit_vm_volume(&k, "data", 10);
        switch (i) {
        case 0: k.spec.image = world_text("base"); break;
        case 1: PROTO_SET(&k.spec, root, PB__ROOT_KIND__ROOT_PERSISTENT); break;
        case 2: PROTO_SET(&k.spec, root_size_mib, 9999); break;
        case 3: k.vm.spec = NULL; break;
        case 4: k.spec.n_volumes = 0; break;
        case 5: k.volume[0].size_mib = 11; break;
        case 6: k.volume[0].name = world_text("other"); break;
        case 7: PROTO_SET(&k.spec, mem_mib, 9000); break;
        case 8: kit_vm_label(&k, "", ""); break;
        case 9: kit_vm_port(&k, 1, 1), kit_vm_port(&k, 1, 2); break;
        case 10: kit_vm_port(&k, 8080, 1); break;
        case 11: k.spec.image = NULL; break;
        case 12: k.meta.uid = NULL; break;
        case 13: k.volume[0].name = NULL; break;
        case 14: k.volume[0].size_mib = 9; break;
        }
        CHECK_EQ(want[i].status, world_update(&w, &k));
        CHECK_STR(want[i].field, w.r.why.field);
    }
    kit_vm(&k, WORLD_FREE + 9, "no");
    CHECK_EQ(ST_NOT_FOUND, world_update(&w, &k));
    /* Adding is fine. */
    kit_vm(&k, WORLD_FREE, "db");
    k.spec.image = world_text("disk");
    kit_vm_volume(&k, "more", 5);
    kit_vm_volume(&k, "data", 10);
    kit_vm_port(&k, 8081, 1);
    CHECK_EQ(ST_OK, world_update(&w, &k));
    CHECK_EQ(15, cluster_node_usage(w.c, 1).disk_mib);
    CHECK_EQ(ST_CONFLICT,
             vm_with_port(&w, WORLD_FREE + 2, 8081, NULL, PB__PROTOCOL__PROTOCOL_TCP, 1));
    world_done(&w);
}

TEST(vm_update_asks_if_index)
{
    struct world w;
    Pb__CmdVmUpdate m = PB__CMD_VM_UPDATE__INIT;
    struct kit_vm k;
    world_start(&w);
    world_vm_stopped(&w, WORLD_FREE, "web");
    kit_vm(&k, WORLD_FREE, "web");
    PROTO_SET(&k.spec, vcpus, 2);
    m.uid = world_uid(WORLD_FREE);
    m.spec = &k.spec;
    PROTO_SET(&m, if_index, w.index - 1);
    for (int i = 0; i < 2; i++) {
        Pb__Command cmd = PB__COMMAND__INIT;
        cmd.body_case = PB__COMMAND__BODY_VM_UPDATE;
        cmd.vm_update = &m;
        CHECK_EQ(i == 0 ? ST_PRECONDITION : ST_OK, world_run(&w, &cmd));
        m.if_index++;
    }
    world_done(&w);
}

/* --- delete --- */

TEST(vm_delete_waits_until_its_node_says_gone)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    world_vm_running(&w, WORLD_FREE, "web");
    CHECK_EQ(ST_CONFLICT, world_gone(&w, WORLD_FREE));
    CHECK_STR("vm web is not being deleted", w.r.why.text);
    world_vm_stopped(&w, WORLD_FREE + 5, "idle");
    CHECK_EQ(ST_CONFLICT, world_gone(&w, WORLD_FREE + 5));
    CHECK_EQ(ST_OK, world_delete(&w, "vm", WORLD_FREE, WORLD_OP(50)));
    CHECK_STR("vm.deleting: ", world_event(&w, 0));
    CHECK_STR(world_uid(WORLD_OP(50)), w.r.operation_id);
    const Pb__Vm *vm = world_get_vm(&w, WORLD_FREE);
    CHECK(vm->deleting && !vm->force);
    CHECK_EQ(PB__POWER__POWER_STOPPED, vm->power);
    CHECK_EQ(2, vm->generation);
    CHECK_STR("vm.delete", world_get_op(&w, WORLD_OP(50))->kind);
    CHECK_EQ(2, world_get_op(&w, WORLD_OP(50))->generation);
    CHECK_EQ(ST_CONFLICT, world_power(&w, WORLD_FREE, "vm.start", WORLD_OP(51)));
    kit_vm(&k, WORLD_FREE, "web");
    CHECK_EQ(ST_CONFLICT, world_update(&w, &k));
    CHECK_STR("vm web is being deleted", w.r.why.text);
    /* Reports go on until the end, and the operation waits for that alone. */
    CHECK_EQ(ST_OK, world_says(&w, WORLD_FREE, PB__VM_PHASE__VM_STOPPING, false));
    CHECK_EQ(ST_OK, world_says(&w, WORLD_FREE, PB__VM_PHASE__VM_STOPPED, false));
    CHECK_EQ(ST_OK, world_says(&w, WORLD_FREE, PB__VM_PHASE__VM_DELETING, false));
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_RUNNING, world_op_phase(&w, WORLD_OP(50)));
    CHECK_EQ(ST_OK, world_gone(&w, WORLD_FREE));
    CHECK_STR("vm.deleted: ", world_event(&w, 0));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK(cluster_find(w.c, OBJECT_VM, world_uid(WORLD_FREE)) == NULL);
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_SUCCEEDED, world_op_phase(&w, WORLD_OP(50)));
    CHECK_EQ(1, cluster_node_usage(w.c, 1).vms);
    /* The name is free again. */
    world_vm_stopped(&w, WORLD_FREE + 1, "web");
    world_done(&w);
}

TEST(vm_delete_ends_what_was_waited_for)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "web");
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    CHECK_EQ(ST_OK, world_delete(&w, "vm", WORLD_FREE, WORLD_OP(50)));
    const Pb__Operation *op = world_get_op(&w, WORLD_OP(WORLD_FREE));
    CHECK_EQ(PB__OPERATION_PHASE__OPERATION_CANCELLED, op->phase);
    CHECK_STR("superseded by vm.delete", op->problem->text);
    CHECK_EQ(ST_CONFLICT, world_cancel(&w, WORLD_OP(50)));
    world_done(&w);
}

static enum status delete_force(struct world *w, uint64_t uid, uint64_t op)
{
    Pb__CmdDelete m = PB__CMD_DELETE__INIT;
    Pb__Command cmd = PB__COMMAND__INIT;
    m.kind = world_text("vm");
    m.uid = world_uid(uid);
    m.operation_id = world_uid(op);
    PROTO_SET(&m, force, true);
    cmd.body_case = PB__COMMAND__BODY_DELETE;
    cmd.delete_ = &m;
    return world_run(w, &cmd);
}

TEST(vm_delete_again_joins_and_may_add_force)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, WORLD_FREE, "web");
    CHECK_EQ(ST_OK, world_delete(&w, "vm", WORLD_FREE, WORLD_OP(50)));
    CHECK_EQ(ST_OK, world_delete(&w, "vm", WORLD_FREE, WORLD_OP(51)));
    CHECK_STR(world_uid(WORLD_OP(50)), w.r.operation_id);
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK_EQ(0, w.r.change_count);
    CHECK_EQ(ST_OK, delete_force(&w, WORLD_FREE, WORLD_OP(52)));
    CHECK_STR(world_uid(WORLD_OP(50)), w.r.operation_id);
    CHECK_STR("vm.deleting: without grace", world_event(&w, 0));
    CHECK(world_get_vm(&w, WORLD_FREE)->force);
    CHECK_EQ(3, world_get_vm(&w, WORLD_FREE)->generation);
    CHECK_EQ(ST_OK, delete_force(&w, WORLD_FREE, WORLD_OP(53)));
    CHECK_EQ(0, w.r.change_count);
    CHECK_EQ(ST_OK, world_delete(&w, "vm", WORLD_FREE, WORLD_OP(54)));
    CHECK(world_get_vm(&w, WORLD_FREE)->force);
    world_done(&w);
}

TEST(vm_delete_by_force_of_a_vm_that_was_stopped_by_force)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, WORLD_FREE, "web");
    CHECK_EQ(ST_OK, world_power_force(&w, WORLD_FREE, "vm.stop", WORLD_OP(49)));
    CHECK_EQ(ST_OK, world_delete(&w, "vm", WORLD_FREE, WORLD_OP(50)));
    CHECK(!world_get_vm(&w, WORLD_FREE)->force);
    CHECK(world_get_vm(&w, WORLD_FREE)->deleting);
    CHECK_STR(world_uid(WORLD_OP(50)), w.r.operation_id);
    CHECK_EQ(ST_NOT_FOUND, world_delete(&w, "vm", WORLD_FREE + 1, WORLD_OP(51)));
    world_done(&w);
}

TEST(vm_delete_needs_an_operation_id)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, WORLD_FREE, "web");
    CHECK_EQ(ST_INVALID, world_delete(&w, "vm", WORLD_FREE, 0));
    CHECK_STR("operation_id", w.r.why.field);
    world_done(&w);
}

/* --- sums --- */

TEST(vm_usage_is_the_sum_of_what_vms_hold)
{
    struct world w;
    struct kit_vm k;
    world_start(&w);
    kit_vm(&k, WORLD_FREE, "a");
    PROTO_SET(&k.spec, vcpus, 2);
    PROTO_SET(&k.spec, mem_mib, 1000);
    kit_vm_volume(&k, "x", 30);
    kit_vm_volume(&k, "y", 40);
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    kit_vm(&k, WORLD_FREE + 1, "b");
    k.spec.image = world_text("disk");
    PROTO_SET(&k.spec, root_size_mib, 500);
    CHECK_EQ(ST_OK, world_vm(&w, &k));
    struct usage u = cluster_node_usage(w.c, 1), p = cluster_project_usage(w.c, "default");
    CHECK_EQ(2, u.vms);
    CHECK_EQ(3, u.vcpus);
    CHECK_EQ(1256, u.mem_mib);
    CHECK_EQ(570, u.disk_mib);
    CHECK(p.vms == 2 && p.vcpus == 3 && p.mem_mib == 1256 && p.disk_mib == 570);
    CHECK_EQ(0, cluster_node_usage(w.c, 2).vms);
    CHECK_EQ(0, cluster_project_usage(w.c, "other").vms);
    world_done(&w);
}
