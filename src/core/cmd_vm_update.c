/*
 * vm_update: a VM becomes what the new spec says at its next start; labels at once.
 */
#include "core/cmd.h"
#include "core/vm_spec.h"
#include "wire/check.h"

enum status cmd_vm_update(struct txn *t, const Pb__CmdVmUpdate *m, struct fault *why)
{
    struct object *o = NULL;
    enum status s = cmd_find(t, OBJECT_VM, m->uid, &o, why);
    if (s == ST_OK)
        s = cmd_if_index(o, m->has_if_index, m->if_index, why);
    if (s == ST_OK)
        s = cmd_need(m->spec != NULL, "spec", why);
    if (s == ST_OK)
        s = vm_spec_check(m->spec, why);
    if (s == ST_OK)
        s = cmd_check_labels(m->labels, m->n_labels, why);
    if (s == ST_OK && object_vm(o)->deleting)
        s = fault_set(why, ST_CONFLICT, "vm %s is being deleted", object_name(o));
    if (s == ST_OK)
        s = txn_room_to_grow(t, why);
    if (s != ST_OK)
        return s;

    const Pb__Vm *old = object_vm(o);
    AUTO(auto_proto_free) Pb__Vm *vm = (Pb__Vm *)(void *)proto_copy(&old->base);
    proto_free(&vm->spec->base);
    vm->spec = (Pb__VmSpec *)(void *)proto_copy(&m->spec->base);
    vm_spec_fill(vm->spec);
    cmd_set_labels(vm->meta, m->labels, m->n_labels);
    s = check_change(&old->base, &vm->base, why);
    if (s == ST_OK)
        s = vm_spec_change(old->spec, vm->spec, why);
    struct object *node = cluster_node(t->c, old->status->node);
    if (s == ST_OK && node)
        s = vm_spec_fits_node(vm->spec, object_node(node), why);
    if (s != ST_OK)
        return s;
    txn_result(t, object_uid(o));
    if (proto_equal(&old->base, &vm->base))
        return ST_OK;
    PROTO_SET(vm, generation, old->generation + 1);
    struct object *now = txn_put(t, OBJECT_VM, &vm->base);
    vm = NULL;
    txn_event(t, "vm.updated", now, "%s", "its spec holds from its next start");
    return ST_OK;
}
