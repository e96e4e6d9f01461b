#include "support/state_check.h"

#include <string.h>

#include "base/hash.h"
#include "core/state.h"
#include "support/tap.h"
#include "wire/proto.h"

static void same_map(const struct map *a, const struct map *b, const char *what)
{
    if (a->count != b->count)
        tap_fail(__FILE__, __LINE__, "%s: %zu entries, want %zu", what, a->count, b->count);
    MAP_EACH(a, key, value)
        if (map_find(b, key) != value)
            tap_fail(__FILE__, __LINE__, "%s: an entry is not as it should be", what);
}

static void same_usage(const struct map *a, const struct map *b, const char *what)
{
    if (a->count != b->count)
        tap_fail(__FILE__, __LINE__, "%s: %zu sums, want %zu", what, a->count, b->count);
    MAP_EACH(a, key, value) {
        const struct usage *x = value, *y = map_find(b, key);
        if (!y || x->vms != y->vms || x->vcpus != y->vcpus || x->mem_mib != y->mem_mib ||
            x->disk_mib != y->disk_mib)
            tap_fail(__FILE__, __LINE__, "%s: a sum is wrong", what);
    }
}

static void same_index(const struct index *a, const struct index *b)
{
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        same_map(&a->name[i], &b->name[i], "name");
    same_map(&a->node_by_number, &b->node_by_number, "node_by_number");
    same_map(&a->node_by_key, &b->node_by_key, "node_by_key");
    same_map(&a->image_by_digest, &b->image_by_digest, "image_by_digest");
    same_map(&a->vm_by_node, &b->vm_by_node, "vm_by_node");
    same_map(&a->vm_by_image, &b->vm_by_image, "vm_by_image");
    same_map(&a->vm_by_mac, &b->vm_by_mac, "vm_by_mac");
    same_map(&a->port, &b->port, "port");
    same_map(&a->token_by_id, &b->token_by_id, "token_by_id");
    same_map(&a->operation_by_target, &b->operation_by_target, "operation_by_target");
    same_map(&a->operation_by_age, &b->operation_by_age, "operation_by_age");
    same_usage(&a->usage_node, &b->usage_node, "usage_node");
    same_usage(&a->usage_project, &b->usage_project, "usage_project");
    CHECK_EQ(b->ended_bytes, a->ended_bytes);
}

static void check_table(const struct table *t, enum object_kind kind)
{
    uint64_t bytes = 0, hash = 0;
    CHECK_EQ(t->by_key.count, t->count);
    for (size_t i = 0; i < t->count; i++) {
        struct object *o = t->items[i];
        char room[OBJECT_KEY_MAX];
        CHECK(o->kind == kind && o->slot == i && o->refs > 0);
        CHECK(table_find(t, object_key(o, room)) == o);
        struct fault why;
        if (object_check(o, &why) != ST_OK)
            tap_fail(__FILE__, __LINE__, "unfit object: %s", why.text);
        CHECK_EQ(protobuf_c_message_get_packed_size(o->msg), o->size);
        bytes += o->size;
        hash += hash_mix(o->hash);
    }
    CHECK(bytes == t->bytes && hash == t->hash);
}

static void check_done(const struct done_table *t)
{
    uint64_t hash = 0, last = 0;
    CHECK_EQ(t->by_id.count, t->count);
    for (size_t i = 0; i < t->count; i++) {
        const struct done *d = t->items[t->first + i];
        CHECK(done_find(t, d->key.id) == d && d->index > last);
        last = d->index;
        hash += hash_mix(d->hash);
    }
    CHECK(hash == t->hash);
}

static void check_sums(const struct cluster *c)
{
    uint64_t all = 0, ended = 0;
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        all += c->table[i].bytes;
    MAP_EACH(&c->derived.operation_by_age, key, op)
        ended += ((const struct object *)op)->size;
    CHECK(all == cluster_bytes(c));
    CHECK(ended == c->derived.ended_bytes);
}

static void check_bounds(const struct cluster *c)
{
    const struct limits *l = &c->limits;
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        if (i != OBJECT_OPERATION)
            CHECK(c->table[i].count <= l->objects[i]);
    CHECK(c->derived.operation_by_target.count <= l->objects[OBJECT_OPERATION]);
    CHECK(c->derived.operation_by_age.count <= l->ended);
    CHECK(c->derived.ended_bytes <= l->ended_bytes);
    CHECK(c->table[OBJECT_EVENT].bytes <= l->events_bytes);
    CHECK(c->done.count <= l->done);
}

/* What names something else finds it. */
static void check_references(const struct cluster *c)
{
    MAP_EACH(cluster_table(c, OBJECT_PROJECT), pk, project)
        CHECK(cluster_find_name(c, OBJECT_TENANT, NULL, object_project(project)->tenant));
    MAP_EACH(cluster_table(c, OBJECT_IMAGE), ik, image) {
        CHECK(cluster_find_name(c, OBJECT_PROJECT, NULL, object_project_name(image)));
        CHECK(cluster_node(c, object_image(image)->node));
    }
    MAP_EACH(cluster_table(c, OBJECT_VM), vk, value) {
        const Pb__Vm *vm = object_vm(value);
        CHECK(cluster_find_name(c, OBJECT_PROJECT, NULL, vm->meta->project));
        CHECK(cluster_node(c, vm->status->node));
        CHECK(vm->start_nonce <= vm->generation && vm->status->generation <= vm->generation);
        CHECK(!vm->deleting || cluster_operation_on(c, vm->meta->uid));
    }
    MAP_EACH(&c->derived.operation_by_target, tk, op) {
        const Pb__Operation *p = object_operation(op);
        CHECK(cluster_find(c, OBJECT_VM, p->target_uid) ||
              cluster_find(c, OBJECT_IMAGE, p->target_uid));
    }
}

void state_check(const struct cluster *c)
{
    struct index again;
    index_init(&again);
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++) {
        check_table(&c->table[i], (enum object_kind)i);
        for (size_t k = 0; k < c->table[i].count; k++)
            index_add(&again, c->table[i].items[k]);
    }
    same_index(&c->derived, &again);
    index_done(&again);
    check_done(&c->done);
    check_sums(c);
    check_bounds(c);
    check_references(c);
}

static void same_objects(const struct table *a, const struct table *b)
{
    CHECK_EQ(a->count, b->count);
    MAP_EACH(&a->by_key, key, value) {
        const struct object *x = value, *y = table_find(b, key);
        CHECK(y && x->hash == y->hash && x->size == y->size && proto_equal(x->msg, y->msg));
    }
}

static void same_done(const struct done_table *a, const struct done_table *b)
{
    CHECK_EQ(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct done *x = a->items[a->first + i], *y = b->items[b->first + i];
        CHECK(memcmp(&x->key, &y->key, sizeof x->key) == 0);
        CHECK(x->index == y->index && x->status == y->status && x->hash == y->hash);
        CHECK_STR(x->text, y->text);
        CHECK_STR(x->hint, y->hint);
        CHECK_STR(x->field, y->field);
        CHECK_STR(x->uid, y->uid);
        CHECK_STR(x->operation_id, y->operation_id);
    }
}

void state_check_equal(const struct cluster *a, const struct cluster *b)
{
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        same_objects(&a->table[i], &b->table[i]);
    same_done(&a->done, &b->done);
    CHECK_EQ(a->index, b->index);
    CHECK(a->time_ns == b->time_ns);
    CHECK_EQ(a->node_number_last, b->node_number_last);
    CHECK_EQ(a->event_dropped_index, b->event_dropped_index);
    CHECK_EQ(a->event_dropped_seq, b->event_dropped_seq);
    CHECK(cluster_hash(a) == cluster_hash(b));
}
