#include "core/index.h"

#include <stdlib.h>
#include <string.h>

#include "wire/proto.h"

static void each_map(struct index *x, void (*fn)(struct map *))
{
    struct map *maps[] = {&x->node_by_number, &x->node_by_key,         &x->image_by_digest,
                          &x->vm_by_node,     &x->vm_by_image,         &x->vm_by_mac,
                          &x->port,           &x->operation_by_target, &x->operation_by_age,
                          &x->usage_node,     &x->usage_project,       &x->token_by_id};
    for (size_t i = 0; i < ARRAY_COUNT(maps); i++)
        fn(maps[i]);
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        fn(&x->name[i]);
}

void index_init(struct index *x)
{
    *x = (struct index){0};
    each_map(x, map_init);
}

static void free_values(struct map *m)
{
    MAP_EACH(m, key, value)
        free(value);
}

void index_done(struct index *x)
{
    free_values(&x->usage_node);
    free_values(&x->usage_project);
    each_map(x, map_done);
}

/* --- keys --- */

void index_name_key(struct ikey *k, const char *project, const char *name)
{
    ikey_init(k);
    ikey_text(k, project);
    ikey_text(k, name);
}

static bool has_name(const struct object *o)
{
    return o->kind != OBJECT_OPERATION && o->kind != OBJECT_EVENT;
}

/* Only what belongs to a project is named within it. */
static void name_key(struct ikey *k, const struct object *o)
{
    index_name_key(k, object_project_name(o), object_name(o));
}

static void number_key(struct ikey *k, uint32_t number)
{
    ikey_init(k);
    ikey_u32(k, number);
}

static void text_key(struct ikey *k, const char *text)
{
    ikey_init(k);
    ikey_text(k, text);
}

static void digest_key(struct ikey *k, const struct object *o, const char *digest)
{
    ikey_init(k);
    ikey_text(k, object_project_name(o));
    ikey_text(k, digest);
    ikey_text(k, object_uid(o));
}

static void vm_node_key(struct ikey *k, const Pb__Vm *vm)
{
    ikey_init(k);
    ikey_u32(k, vm->status->node);
    ikey_text(k, vm->meta->uid);
}

/* All forwards of one port of a node, whatever their address. */
static void port_prefix(struct ikey *k, uint32_t node, const Pb__PortForward *p)
{
    ikey_init(k);
    ikey_u32(k, node);
    ikey_u32(k, p->protocol);
    ikey_u32(k, p->host_port);
}

static void port_key(struct ikey *k, uint32_t node, const Pb__PortForward *p)
{
    port_prefix(k, node, p);
    ikey_text(k, p->host_address);
}

static void age_key(struct ikey *k, const Pb__Operation *op)
{
    ikey_init(k);
    ikey_u64(k, op->index);
    ikey_text(k, op->id);
}

/* --- admission --- */

static bool other(const struct object *found, const struct object *o)
{
    return found && strcmp(object_uid(found), object_uid(o)) != 0;
}

static bool every_address(const char *address)
{
    return address && strcmp(address, "0.0.0.0") == 0;
}

/* The address of a key made by port_key(). */
static const char *port_key_address(struct str key, const struct ikey *prefix)
{
    return key.ptr + prefix->len; /* its zero byte is part of the key */
}

static enum status port_admits(const struct index *x, const struct object *o,
                               const Pb__PortForward *p, size_t at, struct fault *why)
{
    struct ikey prefix;
    port_prefix(&prefix, object_vm(o)->status->node, p);
    struct str key;
    void *value;
    for (bool more = ikey_first(&x->port, &prefix, &key, &value); more;
         more = ikey_next(&x->port, &prefix, &key, &value)) {
        const char *taken = port_key_address(key, &prefix), *want = p->host_address;
        bool same = strcmp(taken, want ? want : "") == 0;
        if (!other(value, o) || !(same || every_address(taken) || every_address(want)))
            continue;
        enum status s =
            fault_set(why, ST_CONFLICT, "port %" PRIu32 " of the node already leads into vm %s",
                      p->host_port, object_name(value));
        fault_field(why, "spec.ports[%zu].host_port", at);
        fault_hint(why, "choose another host port");
        return s;
    }
    return ST_OK;
}

static enum status vm_admits(const struct index *x, const struct object *o, struct fault *why)
{
    const Pb__Vm *vm = object_vm(o);
    struct ikey k;
    text_key(&k, vm->mac);
    if (other(ikey_find(&x->vm_by_mac, &k), o))
        return fault_set(why, ST_CONFLICT, "hardware address %s is taken", vm->mac);
    for (size_t i = 0; i < vm->spec->n_ports; i++) {
        enum status s = port_admits(x, o, vm->spec->ports[i], i, why);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

static enum status node_admits(const struct index *x, const struct object *o, struct fault *why)
{
    const Pb__Node *node = object_node(o);
    struct ikey k;
    number_key(&k, node->number);
    if (other(ikey_find(&x->node_by_number, &k), o))
        return fault_set(why, ST_CONFLICT, "node number %" PRIu32 " is taken", node->number);
    text_key(&k, node->facts->key);
    if (other(ikey_find(&x->node_by_key, &k), o))
        return fault_set(why, ST_CONFLICT, "another node has the same key");
    return ST_OK;
}

static bool under_way(const struct object *o)
{
    return object_operation(o)->phase == PB__OPERATION_PHASE__OPERATION_RUNNING;
}

static enum status operation_admits(const struct index *x, const struct object *o,
                                    struct fault *why)
{
    struct ikey k;
    text_key(&k, object_operation(o)->target_uid);
    if (under_way(o) && other(ikey_find(&x->operation_by_target, &k), o))
        return fault_set(why, ST_CONFLICT, "another operation on %s is under way",
                         object_operation(o)->target_uid);
    return ST_OK;
}

static enum status token_admits(const struct index *x, const struct object *o, struct fault *why)
{
    struct ikey k;
    text_key(&k, object_token(o)->id);
    if (other(ikey_find(&x->token_by_id, &k), o))
        return fault_set(why, ST_CONFLICT, "another token has the same id");
    return ST_OK;
}

enum status index_admits(const struct index *x, const struct object *o, struct fault *why)
{
    if (has_name(o)) {
        struct ikey k;
        name_key(&k, o);
        if (other(ikey_find(&x->name[o->kind], &k), o)) {
            const char *project = object_project_name(o);
            enum status s =
                fault_set(why, ST_EXISTS, "%s %s exists already%s%s", object_kind_name(o->kind),
                          object_name(o), project[0] ? " in project " : "", project);
            fault_field(why, "name");
            fault_hint(why, "choose another name");
            return s;
        }
    }
    switch (o->kind) {
    case OBJECT_NODE: return node_admits(x, o, why);
    case OBJECT_VM: return vm_admits(x, o, why);
    case OBJECT_OPERATION: return operation_admits(x, o, why);
    case OBJECT_TOKEN: return token_admits(x, o, why);
    default: return ST_OK;
    }
}

/* --- entries --- */

enum change_of_entry { ENTRY_ADD, ENTRY_CUT, ENTRY_SWAP };

/* One entry comes, goes, or has a newer object. Each key has one owner at a time: index_admits() saw
 * to that. */
static void entry(struct map *m, const struct ikey *k, struct object *o, enum change_of_entry how)
{
    switch (how) {
    case ENTRY_ADD: ensure(map_put(m, ikey_view(k), o) == NULL); return;
    case ENTRY_CUT: ensure(map_take(m, ikey_view(k)) == o); return;
    case ENTRY_SWAP: ensure(map_put(m, ikey_view(k), o) != NULL); return;
    }
    defs_unreachable("change of entry");
}

static void usage_apply(struct usage *sum, struct usage u, bool add)
{
    /* Unsigned numbers wrap both ways: the sum is right whatever the order of its parts. */
    sum->vms += add ? u.vms : -u.vms;
    sum->vcpus += add ? u.vcpus : -u.vcpus;
    sum->mem_mib += add ? u.mem_mib : -u.mem_mib;
    sum->disk_mib += add ? u.disk_mib : -u.disk_mib;
}

static void usage_entry(struct map *m, const struct ikey *k, struct usage u, bool add)
{
    struct usage *sum = ikey_find(m, k);
    if (!sum) {
        sum = NEW(struct usage);
        (void)map_put(m, ikey_view(k), sum);
    }
    usage_apply(sum, u, add);
    if (sum->vms == 0)
        free(map_take(m, ikey_view(k)));
}

struct usage index_vm_usage(const Pb__Vm *vm)
{
    struct usage u = {.vms = 1,
                      .vcpus = vm->spec->vcpus,
                      .mem_mib = vm->spec->mem_mib,
                      .disk_mib = vm->spec->root_size_mib};
    for (size_t i = 0; i < vm->spec->n_volumes; i++)
        u.disk_mib += vm->spec->volumes[i]->size_mib;
    return u;
}

static void vm_entries(struct index *x, struct object *o, enum change_of_entry how)
{
    const Pb__Vm *vm = object_vm(o);
    struct ikey k;
    vm_node_key(&k, vm);
    entry(&x->vm_by_node, &k, o, how);
    digest_key(&k, o, vm->image_digest);
    entry(&x->vm_by_image, &k, o, how);
    text_key(&k, vm->mac);
    entry(&x->vm_by_mac, &k, o, how);
    for (size_t i = 0; i < vm->spec->n_ports; i++) {
        port_key(&k, vm->status->node, vm->spec->ports[i]);
        entry(&x->port, &k, o, how);
    }
}

static void node_entries(struct index *x, struct object *o, enum change_of_entry how)
{
    struct ikey k;
    number_key(&k, object_node(o)->number);
    entry(&x->node_by_number, &k, o, how);
    text_key(&k, object_node(o)->facts->key);
    entry(&x->node_by_key, &k, o, how);
}

static void image_entries(struct index *x, struct object *o, enum change_of_entry how)
{
    struct ikey k;
    if (object_image(o)->phase != PB__IMAGE_PHASE__IMAGE_READY)
        return;
    digest_key(&k, o, object_image(o)->digest);
    entry(&x->image_by_digest, &k, o, how);
}

static void token_entries(struct index *x, struct object *o, enum change_of_entry how)
{
    struct ikey k;
    text_key(&k, object_token(o)->id);
    entry(&x->token_by_id, &k, o, how);
}

static void operation_entries(struct index *x, struct object *o, enum change_of_entry how)
{
    struct ikey k;
    if (under_way(o)) {
        text_key(&k, object_operation(o)->target_uid);
        entry(&x->operation_by_target, &k, o, how);
        return;
    }
    age_key(&k, object_operation(o));
    entry(&x->operation_by_age, &k, o, how);
    x->ended_bytes += how == ENTRY_ADD ? o->size : -(size_t)o->size;
}

static void entries(struct index *x, struct object *o, enum change_of_entry how)
{
    if (has_name(o)) {
        struct ikey k;
        name_key(&k, o);
        entry(&x->name[o->kind], &k, o, how);
    }
    switch (o->kind) {
    case OBJECT_NODE: node_entries(x, o, how); return;
    case OBJECT_IMAGE: image_entries(x, o, how); return;
    case OBJECT_VM: vm_entries(x, o, how); return;
    case OBJECT_OPERATION: operation_entries(x, o, how); return;
    case OBJECT_TOKEN: token_entries(x, o, how); return;
    default: return;
    }
}

static void add_usage(struct index *x, const struct object *o, bool add)
{
    const Pb__Vm *vm = object_vm(o);
    struct usage u = index_vm_usage(vm);
    struct ikey k;
    number_key(&k, vm->status->node);
    usage_entry(&x->usage_node, &k, u, add);
    text_key(&k, vm->meta->project);
    usage_entry(&x->usage_project, &k, u, add);
}

void index_add(struct index *x, struct object *o)
{
    entries(x, o, ENTRY_ADD);
    if (o->kind == OBJECT_VM)
        add_usage(x, o, true);
}

void index_cut(struct index *x, struct object *o)
{
    entries(x, o, ENTRY_CUT);
    if (o->kind == OBJECT_VM)
        add_usage(x, o, false);
}

/* Is every key under which the index knows a VM the same for both? Most reports change none. */
static bool same_keys(const Pb__Vm *a, const Pb__Vm *b)
{
    if (strcmp(a->meta->name, b->meta->name) != 0 ||
        strcmp(a->meta->project, b->meta->project) != 0 || a->status->node != b->status->node ||
        strcmp(a->image_digest, b->image_digest) != 0 || strcmp(a->mac, b->mac) != 0 ||
        a->spec->n_ports != b->spec->n_ports)
        return false;
    for (size_t i = 0; i < a->spec->n_ports; i++)
        if (!proto_equal(&a->spec->ports[i]->base, &b->spec->ports[i]->base))
            return false;
    return true;
}

void index_swap(struct index *x, struct object *before, struct object *o)
{
    if (o->kind != OBJECT_VM || !same_keys(object_vm(before), object_vm(o))) {
        index_cut(x, before);
        index_add(x, o);
        return;
    }
    entries(x, o, ENTRY_SWAP);
    add_usage(x, before, false);
    add_usage(x, o, true);
}
