/* Reading the state: finding, resolving, events, hashes. */
#include "core/state.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/proto.h"

TEST(cluster_find_by_uid_and_name)
{
    struct world w;
    world_start(&w);
    world_vm_stopped(&w, WORLD_FREE, "web");
    struct object *vm = cluster_find(w.c, OBJECT_VM, world_uid(WORLD_FREE));
    CHECK(vm && cluster_find_name(w.c, OBJECT_VM, "default", "web") == vm);
    CHECK(cluster_find(w.c, OBJECT_VM, world_uid(WORLD_NODE)) == NULL);
    CHECK(cluster_find(w.c, OBJECT_NODE, world_uid(WORLD_NODE)) != NULL);
    CHECK(cluster_find(w.c, OBJECT_VM, "") == NULL);
    CHECK(cluster_find_name(w.c, OBJECT_VM, "default", "we") == NULL);
    CHECK(cluster_find_name(w.c, OBJECT_VM, NULL, "web") == NULL);
    CHECK(cluster_find_name(w.c, OBJECT_NODE, "ignored", "n1") != NULL);
    CHECK_EQ(1, cluster_count(w.c, OBJECT_VM));
    CHECK_EQ(2, cluster_count(w.c, OBJECT_IMAGE));
    world_done(&w);
}

/* What a user types may be longer than any name. */
TEST(cluster_find_of_texts_that_are_too_long)
{
    struct world w;
    struct fault why;
    struct object *o = NULL;
    char text[5000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    world_start(&w);
    world_vm_stopped(&w, WORLD_FREE, "web");
    CHECK(cluster_find(w.c, OBJECT_VM, text) == NULL);
    CHECK(cluster_find_name(w.c, OBJECT_VM, text, text) == NULL);
    CHECK(cluster_find_name(w.c, OBJECT_VM, "default", text) == NULL);
    CHECK(cluster_image_by_digest(w.c, "default", text) == NULL);
    CHECK(cluster_vm_of_image(w.c, text, "", "") == NULL);
    CHECK(cluster_vm_on_node(w.c, 1, text) == NULL);
    CHECK(cluster_operation_on(w.c, text) == NULL);
    CHECK(cluster_node_by_key(w.c, text) == NULL);
    CHECK_EQ(0, cluster_project_usage(w.c, text).vms);
    CHECK_EQ(ST_NOT_FOUND, cluster_resolve(w.c, OBJECT_VM, text, text, &o, &why));
    world_done(&w);
}

TEST(cluster_table_is_sorted_by_key)
{
    struct world w;
    world_start(&w);
    for (unsigned i = 0; i < 20; i++)
        world_vm_stopped(&w, WORLD_FREE + i, world_uid(i));
    char last[OBJECT_KEY_MAX] = "";
    size_t count = 0;
    MAP_EACH(cluster_table(w.c, OBJECT_VM), key, value) {
        CHECK_STR(object_uid(value), object_uid(value));
        CHECK(strcmp(last, object_uid(value)) < 0);
        (void)snprintf(last, sizeof last, "%s", object_uid(value));
        CHECK_EQ(32, key.len);
        count++;
    }
    CHECK_EQ(20, count);
    world_done(&w);
}

TEST(cluster_vms_of_a_node_and_of_an_image_in_order_of_uid)
{
    struct world w;
    struct kit_node node;
    struct kit_vm k;
    world_start(&w);
    kit_node(&node, WORLD_FREE, "n2");
    CHECK_EQ(ST_OK, world_node(&w, &node));
    for (unsigned i = 0; i < 12; i++) {
        kit_vm(&k, WORLD_FREE + 1 + i, world_uid(i));
        k.m.node = 1 + i % 2;
        k.spec.image = world_text(i % 3 ? "base" : "disk");
        CHECK_EQ(ST_OK, world_vm(&w, &k));
    }
    size_t count = 0;
    const char *uid = "";
    for (struct object *o; (o = cluster_vm_on_node(w.c, 2, uid)); uid = object_uid(o)) {
        CHECK(strcmp(uid, object_uid(o)) < 0);
        CHECK_EQ(2, object_vm(o)->status->node);
        count++;
    }
    CHECK_EQ(6, count);
    count = 0;
    uid = "";
    for (struct object *o; (o = cluster_vm_of_image(w.c, "default", world_digest(WORLD_DISK), uid));
         uid = object_uid(o)) {
        CHECK_STR("disk", object_vm(o)->spec->image);
        count++;
    }
    CHECK_EQ(4, count);
    CHECK(cluster_vm_on_node(w.c, 3, "") == NULL);
    world_done(&w);
}

/* --- resolve --- */

static void add_vm(struct world *w, const char *uid, const char *name, const char *project)
{
    struct kit_vm k;
    static unsigned op;
    kit_vm(&k, WORLD_FREE, name);
    k.meta.uid = world_text(uid);
    k.meta.project = world_text(project);
    k.m.operation_id = world_uid(WORLD_OP(50000 + op++));
    CHECK_EQ(ST_OK, world_vm(w, &k));
}

#define UID_A "abcd0000000000000000000000000001"
#define UID_B "abcd0000000000000000000000000002"
#define UID_C "abce0000000000000000000000000003"
#define UID_D "fade0000000000000000000000000004"

static void some_vms(struct world *w)
{
    struct kit_image image;
    struct kit_ready ready;
    world_start(w);
    CHECK_EQ(ST_OK, world_project(w, WORLD_FREE, "shop", "default"));
    kit_image(&image, WORLD_FREE + 1, "base");
    image.meta.project = world_text("shop");
    CHECK_EQ(ST_OK, world_image(w, &image));
    kit_ready(&ready, WORLD_FREE + 1, PB__IMAGE_KIND__IMAGE_INITRAMFS, 1);
    CHECK_EQ(ST_OK, world_ready(w, &ready));
    add_vm(w, UID_A, "web", "default");
    add_vm(w, UID_B, "abce", "default");
    add_vm(w, UID_C, "mail", "default");
    add_vm(w, UID_D, "web", "shop");
}

static const char *resolve(struct world *w, const char *project, const char *word, enum status want)
{
    struct object *o = NULL;
    struct fault why;
    CHECK_EQ(want, cluster_resolve(w->c, OBJECT_VM, project, word, &o, &why));
    CHECK((o != NULL) == (want == ST_OK));
    return o ? object_uid(o) : "";
}

TEST(resolve_uid_name_or_prefix)
{
    struct world w;
    some_vms(&w);
    CHECK_STR(UID_A, resolve(&w, "default", UID_A, ST_OK));
    CHECK_STR(UID_A, resolve(&w, NULL, UID_A, ST_OK));
    CHECK_STR(UID_A, resolve(&w, "default", "web", ST_OK));
    CHECK_STR(UID_D, resolve(&w, "shop", "web", ST_OK));
    CHECK_STR(UID_C, resolve(&w, NULL, "abce", ST_OK));
    CHECK_STR(UID_B, resolve(&w, "default", "abce", ST_OK)); /* a name before a prefix */
    CHECK_STR(UID_D, resolve(&w, "shop", "fade", ST_OK));
    CHECK_STR(UID_D, resolve(&w, NULL, "fade000", ST_OK));
    world_done(&w);
}

TEST(resolve_keeps_to_the_project)
{
    struct world w;
    some_vms(&w);
    (void)resolve(&w, "shop", UID_A, ST_NOT_FOUND);
    (void)resolve(&w, "default", "fade", ST_NOT_FOUND);
    (void)resolve(&w, "shop", "abcd", ST_NOT_FOUND);
    (void)resolve(&w, NULL, "web", ST_NOT_FOUND);
    (void)resolve(&w, "default", "nothing", ST_NOT_FOUND);
    (void)resolve(&w, "default", "", ST_NOT_FOUND);
    world_done(&w);
}

TEST(resolve_prefix_needs_4_digits_and_must_be_unique)
{
    struct world w;
    struct object *o = NULL;
    struct fault why;
    some_vms(&w);
    (void)resolve(&w, "default", "abc", ST_NOT_FOUND);
    (void)resolve(&w, "shop", "fad", ST_NOT_FOUND);
    (void)resolve(&w, "default", "abcd", ST_CONFLICT);
    (void)resolve(&w, "default", "abcd000000000000000000000000000", ST_CONFLICT);
    (void)resolve(&w, "default", "abcg", ST_NOT_FOUND);
    (void)resolve(&w, "default", "ABCD", ST_NOT_FOUND);
    CHECK_EQ(ST_CONFLICT, cluster_resolve(w.c, OBJECT_VM, "default", "abcd", &o, &why));
    CHECK_STR("more than one vm has a uid that begins with abcd", why.text);
    CHECK_STR("give more of its digits, or its name", why.hint);
    world_done(&w);
}

TEST(resolve_says_what_may_have_been_meant)
{
    struct world w;
    struct object *o = NULL;
    struct fault why;
    some_vms(&w);
    CHECK_EQ(ST_NOT_FOUND, cluster_resolve(w.c, OBJECT_VM, "default", "mial", &o, &why));
    CHECK_STR("there is no vm mial", why.text);
    CHECK_STR("did you mean mail?", why.hint);
    CHECK_EQ(ST_NOT_FOUND, cluster_resolve(w.c, OBJECT_VM, "shop", "mial", &o, &why));
    CHECK_STR("", why.hint);
    CHECK_EQ(ST_NOT_FOUND, cluster_resolve(w.c, OBJECT_NODE, NULL, "n2", &o, &why));
    CHECK_STR("did you mean n1?", why.hint);
    world_done(&w);
}

TEST(resolve_other_kinds)
{
    struct world w;
    struct object *o = NULL;
    struct fault why;
    some_vms(&w);
    CHECK_EQ(ST_OK, cluster_resolve(w.c, OBJECT_NODE, NULL, "n1", &o, &why));
    CHECK_EQ(OBJECT_NODE, o->kind);
    CHECK_EQ(ST_OK, cluster_resolve(w.c, OBJECT_NODE, "shop", "n1", &o, &why));
    char prefix[9];
    (void)snprintf(prefix, sizeof prefix, "%.8s", world_uid(WORLD_OP(WORLD_FREE + 1)));
    CHECK_EQ(ST_OK, cluster_resolve(w.c, OBJECT_OPERATION, NULL, prefix, &o, &why));
    CHECK_STR(world_uid(WORLD_OP(WORLD_FREE + 1)), object_uid(o));
    CHECK_EQ(ST_NOT_FOUND, cluster_resolve(w.c, OBJECT_OPERATION, "default", prefix, &o, &why));
    CHECK_EQ(ST_OK, cluster_resolve(w.c, OBJECT_OPERATION, "shop", prefix, &o, &why));
    CHECK_EQ(ST_NOT_FOUND, cluster_resolve(w.c, OBJECT_EVENT, NULL, "0000", &o, &why));
    world_done(&w);
}

/* --- events --- */

TEST(events_come_after_one_another)
{
    struct world w;
    struct object *o = NULL;
    uint64_t index = 0;
    uint32_t seq = 0;
    size_t count = 0;
    world_start(&w);
    struct kit_node node;
    kit_node(&node, WORLD_NODE, "renamed"); /* two events of one index */
    CHECK_EQ(ST_OK, world_node(&w, &node));
    for (;; count++) {
        CHECK_EQ(ST_OK, cluster_event_after(w.c, index, seq, &o, NULL));
        if (!o)
            break;
        const Pb__Event *e = object_event(o);
        CHECK(e->index > index || (e->index == index && e->seq > seq));
        index = e->index;
        seq = e->seq;
    }
    CHECK_EQ(cluster_count(w.c, OBJECT_EVENT), count);
    CHECK_EQ(w.index, index);
    CHECK_EQ(1, seq);
    CHECK_EQ(ST_OK, cluster_event_after(w.c, w.index, 0, &o, NULL));
    CHECK_STR("node.started", object_event(o)->type);
    CHECK_EQ(ST_OK, cluster_event_after(w.c, w.index + 5, 0, &o, NULL));
    CHECK(o == NULL);
    world_done(&w);
}

TEST(events_that_were_dropped_are_missed_loudly)
{
    struct world w;
    struct object *o = NULL;
    struct fault why;
    world_start(&w);
    w.c->limits.objects[OBJECT_EVENT] = 3;
    uint64_t first = w.index + 1;
    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE + i, world_uid(i)));
    CHECK_EQ(ST_PRECONDITION, cluster_event_after(w.c, first, 0, &o, &why));
    CHECK(why.hint[0] != 0);
    CHECK_EQ(ST_PRECONDITION, cluster_event_after(w.c, 0, 1, &o, &why));
    CHECK_EQ(ST_OK,
             cluster_event_after(w.c, first + 1, 0, &o, &why)); /* the last dropped was read */
    CHECK_EQ(first + 2, object_event(o)->index);
    CHECK_EQ(ST_OK, cluster_event_after(w.c, 0, 0, &o, &why)); /* all that there are */
    CHECK_EQ(first + 2, object_event(o)->index);
    world_done(&w);
}

TEST(events_dropped_in_the_midst_of_an_index)
{
    struct world w;
    struct object *o = NULL;
    struct kit_node node;
    world_start(&w);
    w.c->limits.objects[OBJECT_EVENT] = 1;
    kit_node(&node, WORLD_NODE, "renamed");
    CHECK_EQ(ST_OK, world_node(&w, &node));
    CHECK_EQ(ST_OK, cluster_event_after(w.c, w.index, 0, &o, NULL));
    CHECK_STR("node.started", object_event(o)->type);
    CHECK_EQ(ST_PRECONDITION, cluster_event_after(w.c, w.index - 1, 0, &o, NULL));
    world_done(&w);
}

TEST(events_dropped_up_to_one_in_the_midst_of_an_index)
{
    struct world w;
    struct object *o = NULL;
    struct kit_node node;
    world_start(&w);
    w.c->limits.objects[OBJECT_EVENT] = 1;
    kit_node(&node, WORLD_NODE, "renamed");
    CHECK_EQ(ST_OK, world_node(&w, &node));
    uint64_t index = w.index;
    CHECK_EQ(ST_OK, world_tenant(&w, WORLD_FREE, "t"));
    CHECK_EQ(1, w.c->event_dropped_seq);
    CHECK_EQ(ST_PRECONDITION, cluster_event_after(w.c, index, 0, &o, NULL));
    CHECK_EQ(ST_OK, cluster_event_after(w.c, index, 1, &o, NULL));
    CHECK_STR("tenant.created", object_event(o)->type);
    CHECK_EQ(ST_OK, cluster_event_after(w.c, index + 1, 0, &o, NULL));
    CHECK(o == NULL);
    world_done(&w);
}

/* --- hashes --- */

TEST(hash_of_objects_does_not_tell_how_they_came_to_be)
{
    struct world a, b;
    world_start(&a);
    world_start(&b);
    CHECK(cluster_hash(a.c) == cluster_hash(b.c));
    CHECK_EQ(ST_OK, world_tenant(&a, WORLD_FREE, "t"));
    CHECK(cluster_objects_hash(a.c) != cluster_objects_hash(b.c));
    CHECK_EQ(ST_NOT_FOUND, world_delete(&b, "tenant", WORLD_FREE, 0));
    /* Two objects put in another order give the same sum. */
    struct object *o = object_ref(cluster_find(a.c, OBJECT_TENANT, world_uid(WORLD_FREE)));
    object_unref(cluster_take(a.c, o));
    object_unref(cluster_put(a.c, o));
    world_done(&a);
    world_done(&b);
}

TEST(hash_covers_ids_counters_and_time)
{
    struct world w;
    world_start(&w);
    uint64_t h = cluster_hash(w.c);
    CHECK_EQ(ST_EXISTS, world_tenant(&w, WORLD_FREE, "default")); /* its id is kept */
    CHECK(cluster_hash(w.c) != h);
    uint64_t *part[] = {&w.c->time_ns, &w.c->event_dropped_index};
    for (size_t i = 0; i < ARRAY_COUNT(part); i++) {
        h = cluster_hash(w.c);
        ++*part[i];
        CHECK(cluster_hash(w.c) != h);
    }
    h = cluster_hash(w.c);
    w.c->node_number_last++;
    CHECK(cluster_hash(w.c) != h);
    h = cluster_hash(w.c);
    w.c->event_dropped_seq++;
    CHECK(cluster_hash(w.c) != h);
    h = cluster_hash(w.c);
    w.c->index++; /* compared at equal index, so it says nothing */
    CHECK(cluster_hash(w.c) == h);
    world_done(&w);
}

TEST(hash_of_a_kept_refusal_does_not_tell_its_words)
{
    struct command_key key = {.id = {1}};
    struct fault a = {.status = ST_EXISTS, .text = "this", .hint = "h", .field = "f"};
    struct fault b = {.status = ST_EXISTS, .text = "that"};
    struct done *x = done_new(&key, 5, ST_EXISTS, &a, "u", "o");
    struct done *y = done_new(&key, 5, ST_EXISTS, &b, "u", "o");
    struct done *other[] = {
        done_new(&key, 6, ST_EXISTS, &a, "u", "o"), done_new(&key, 5, ST_QUOTA, &a, "u", "o"),
        done_new(&key, 5, ST_EXISTS, &a, "v", "o"), done_new(&key, 5, ST_EXISTS, &a, "u", "p")};
    CHECK(x->hash == y->hash);
    for (size_t i = 0; i < ARRAY_COUNT(other); i++) {
        CHECK(x->hash != other[i]->hash);
        done_unref(other[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        (i ? key.request : key.id)[3] = 9;
        struct done *z = done_new(&key, 5, ST_EXISTS, &a, "u", "o");
        CHECK(x->hash != z->hash);
        done_unref(z);
        key = (struct command_key){.id = {1}};
    }
    done_unref(x), done_unref(y);
}

TEST(ikey_is_full_only_when_a_part_does_not_fit)
{
    struct ikey k;
    char text[MAP_KEY_MAX + 1];
    memset(text, 'a', sizeof text);
    text[MAP_KEY_MAX - 5] = 0;
    ikey_init(&k);
    ikey_text(&k, text);
    ikey_u32(&k, 7);
    CHECK(!k.full && k.len == MAP_KEY_MAX && ikey_view(&k).len == MAP_KEY_MAX);
    ikey_text(&k, "");
    CHECK(k.full && ikey_view(&k).len == 0);
    ikey_init(&k);
    CHECK(!k.full);
}

/* --- objects --- */

TEST(object_kinds_have_names_that_come_back)
{
    enum object_kind kind;
    for (unsigned i = 0; i < OBJECT_KIND_COUNT; i++) {
        CHECK(object_kind_from(str_from(object_kind_name((enum object_kind)i)), &kind));
        CHECK_EQ(i, kind);
    }
    CHECK(!object_kind_from(STR("banana"), &kind));
    CHECK(!object_kind_from(STR(""), &kind));
}

static Pb__Tenant *new_tenant(const char *uid, const char *name)
{
    Pb__Tenant *t = (Pb__Tenant *)(void *)proto_new(&pb__tenant__descriptor);
    t->meta = (Pb__Meta *)(void *)proto_new(&pb__meta__descriptor);
    proto_set(&t->meta->uid, uid);
    proto_set(&t->meta->name, name);
    PROTO_SET(t->meta, index, 1);
    return t;
}

TEST(object_hash_is_of_kind_and_content)
{
    struct object *a = object_new(OBJECT_TENANT, &new_tenant(world_uid(1), "x")->base);
    struct object *b = object_new(OBJECT_TENANT, &new_tenant(world_uid(1), "x")->base);
    struct object *c = object_new(OBJECT_TENANT, &new_tenant(world_uid(1), "y")->base);
    CHECK(a->hash == b->hash && a->hash != c->hash);
    CHECK_EQ(ST_OK, object_check(a, NULL));
    /* The same bytes as a project are another object. */
    Pb__Project *p = (Pb__Project *)(void *)proto_new(&pb__project__descriptor);
    p->meta = (Pb__Meta *)(void *)proto_copy(&object_tenant(a)->meta->base);
    struct object *d = object_new(OBJECT_PROJECT, &p->base);
    CHECK(a->size == d->size && a->hash != d->hash);
    CHECK_EQ(ST_INVALID, object_check(d, NULL)); /* no tenant */
    object_unref(a), object_unref(b), object_unref(c), object_unref(d);
}

TEST(object_lives_until_its_last_reference)
{
    struct object *o = object_new(OBJECT_TENANT, &new_tenant(world_uid(1), "x")->base);
    CHECK(object_ref(o) == o);
    object_unref(o);
    CHECK_STR("x", object_name(o));
    object_unref(o);
    object_unref(NULL);
}

TEST_ABORTS(object_of_another_kind_is_our_error)
{
    struct object *o = object_new(OBJECT_TENANT, &new_tenant(world_uid(1), "x")->base);
    (void)object_vm(o);
}

/* Take each thing away that the core relies on. */
TEST(object_check_refuses_what_lacks)
{
    struct world w;
    world_start(&w);
    world_vm_running(&w, WORLD_FREE, "web");
    for (int i = 0; i < 26; i++) {
        struct object *o = NULL;
#define BREAK(kind_, uid_, Type, stmt)                                             \
    do {                                                                           \
        Type *m = (Type *)(void *)proto_copy(cluster_find(w.c, kind_, uid_)->msg); \
        stmt;                                                                      \
        o = object_new(kind_, &m->base);                                           \
    } while (0)
        char *vm = world_uid(WORLD_FREE), *image = world_uid(WORLD_IMAGE);
        char *node = world_uid(WORLD_NODE), *op = world_uid(WORLD_OP(WORLD_FREE));
        char *cluster = world_uid(WORLD_CLUSTER), *project = world_uid(WORLD_PROJECT);
        switch (i) {
        case 0: BREAK(OBJECT_VM, vm, Pb__Vm, proto_free(&m->meta->base); m->meta = NULL); break;
        case 1: BREAK(OBJECT_VM, vm, Pb__Vm, proto_set(&m->meta->uid, NULL)); break;
        case 2: BREAK(OBJECT_VM, vm, Pb__Vm, proto_set(&m->meta->name, NULL)); break;
        case 3: BREAK(OBJECT_VM, vm, Pb__Vm, proto_set(&m->meta->project, NULL)); break;
        case 4: BREAK(OBJECT_VM, vm, Pb__Vm, m->meta->has_index = false); break;
        case 5: BREAK(OBJECT_VM, vm, Pb__Vm, proto_free(&m->spec->base); m->spec = NULL); break;
        case 6: BREAK(OBJECT_VM, vm, Pb__Vm, proto_set(&m->spec->image, NULL)); break;
        case 7: BREAK(OBJECT_VM, vm, Pb__Vm, proto_free(&m->status->base); m->status = NULL); break;
        case 8: BREAK(OBJECT_VM, vm, Pb__Vm, m->status->node = 0); break;
        case 9: BREAK(OBJECT_VM, vm, Pb__Vm, m->status->has_phase = false); break;
        case 10: BREAK(OBJECT_VM, vm, Pb__Vm, proto_set(&m->mac, NULL)); break;
        case 11: BREAK(OBJECT_VM, vm, Pb__Vm, proto_set(&m->image_digest, NULL)); break;
        case 12: BREAK(OBJECT_VM, vm, Pb__Vm, m->spec->vcpus = 999); break;
        case 13: BREAK(OBJECT_IMAGE, image, Pb__Image, m->has_phase = false); break;
        case 14: BREAK(OBJECT_IMAGE, image, Pb__Image, m->node = 0); break;
        case 15: BREAK(OBJECT_IMAGE, image, Pb__Image, proto_set(&m->digest, NULL)); break;
        case 16: BREAK(OBJECT_NODE, node, Pb__Node, m->number = 0); break;
        case 17:
            BREAK(OBJECT_NODE, node, Pb__Node, proto_free(&m->facts->base); m->facts = NULL);
            break;
        case 18: BREAK(OBJECT_NODE, node, Pb__Node, proto_set(&m->facts->key, NULL)); break;
        case 19: BREAK(OBJECT_NODE, node, Pb__Node, proto_set(&m->meta->project, "default")); break;
        case 20: BREAK(OBJECT_OPERATION, op, Pb__Operation, proto_set(&m->kind, NULL)); break;
        case 21: BREAK(OBJECT_OPERATION, op, Pb__Operation, proto_set(&m->target_uid, NULL)); break;
        case 22: BREAK(OBJECT_OPERATION, op, Pb__Operation, proto_set(&m->id, NULL)); break;
        case 23: BREAK(OBJECT_CLUSTER, cluster, Pb__Cluster, m->has_feature_level = false); break;
        case 24: BREAK(OBJECT_PROJECT, project, Pb__Project, proto_set(&m->tenant, NULL)); break;
        case 25: BREAK(OBJECT_VM, vm, Pb__Vm, proto_set(&m->meta->uid, "")); break;
        }
        if (object_check(o, NULL) != ST_INVALID)
            tap_fail(__FILE__, __LINE__, "case %d is taken", i);
        object_unref(o);
    }
    /* What proto/ cannot tell. */
    static uint8_t one = 1;
    struct fault why;
    const struct object *fit = cluster_find(w.c, OBJECT_VM, world_uid(WORLD_FREE));
    Pb__Vm *odd = (Pb__Vm *)(void *)proto_copy(fit->msg);
    odd->spec->volumes = NEW_ARRAY(Pb__Volume *, 1);
    odd->spec->volumes[0] = (Pb__Volume *)(void *)proto_new(&pb__volume__descriptor);
    odd->spec->n_volumes = 1;
    struct object *unnamed = object_new(OBJECT_VM, &odd->base);
    CHECK_EQ(ST_INVALID, object_check(unnamed, &why));
    CHECK_STR("spec.volumes[0].name", why.field);
    object_unref(unnamed);

    odd = (Pb__Vm *)(void *)proto_copy(fit->msg);
    ProtobufCMessageUnknownField *f = NEW(ProtobufCMessageUnknownField);
    *f = (ProtobufCMessageUnknownField){999, PROTOBUF_C_WIRE_TYPE_VARINT, 1, mem_dup(&one, 1)};
    odd->status->base.unknown_fields = f;
    odd->status->base.n_unknown_fields = 1;
    struct object *unknown = object_new(OBJECT_VM, &odd->base);
    CHECK_EQ(ST_INVALID, object_check(unknown, NULL));
    object_unref(unknown);

    odd = (Pb__Vm *)(void *)proto_copy(fit->msg);
    odd->spec->user_data = mem_new(LIMIT_OBJECT_BYTES + 1);
    memset(odd->spec->user_data, 'x', LIMIT_OBJECT_BYTES);
    struct object *big = object_new(OBJECT_VM, &odd->base);
    CHECK_EQ(ST_TOO_BIG, object_check(big, &why));
    CHECK(strstr(why.text, " are more than 81920") != NULL);
    object_unref(big);

    Pb__Event *e = (Pb__Event *)(void *)proto_new(&pb__event__descriptor);
    struct object *o = object_new(OBJECT_EVENT, &e->base);
    CHECK_EQ(ST_INVALID, object_check(o, NULL)); /* no type */
    object_unref(o);
    world_done(&w);
}
