/*
 * delete of a VM: its node stops it, removes its files and reports that nothing is left; then the
 * object goes.
 */
#include "core/cmd.h"
#include "core/operation.h"

enum status cmd_delete_vm(struct txn *t, struct object *o, const Pb__CmdDelete *m,
                          struct fault *why)
{
    const Pb__Vm *old = object_vm(o);
    const struct object *before = cluster_operation_on(t->c, object_uid(o));
    bool force = m->force && !old->force;
    txn_result(t, object_uid(o));
    if (old->deleting && !force && before) {
        txn_result_operation(t, object_operation(before)->id);
        return ST_OK;
    }
    Pb__Vm *vm = (Pb__Vm *)(void *)proto_copy(&old->base);
    PROTO_SET(vm, deleting, true);
    PROTO_SET(vm, power, PB__POWER__POWER_STOPPED);
    PROTO_SET(vm, force, m->force || (old->deleting && old->force));
    PROTO_SET(vm, generation, old->generation + 1);
    struct object *now = txn_put(t, OBJECT_VM, &vm->base);
    txn_event(t, "vm.deleting", now, "%s", m->force ? "without grace" : "");
    if (old->deleting && before) {
        txn_result_operation(t, object_operation(before)->id);
        return ST_OK;
    }
    return operation_begin(t, m->operation_id, OPERATION_VM_DELETE, now, vm->generation, false,
                           why);
}
