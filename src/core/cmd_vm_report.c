/*
 * vm_report: what the node that owns a VM saw of it.
 *
 * A report of another node, of an earlier epoch or incarnation, or of something that cannot follow is
 * refused: it is late, or its node does not own the VM any more.
 */
#include <string.h>

#include "core/cmd.h"
#include "core/operation.h"
#include "core/vm_life.h"

static enum status check_given(const Pb__VmStatus *r, struct fault *why)
{
    enum status s = cmd_need(r != NULL, "status", why);
    if (s == ST_OK)
        s = cmd_need(r->has_node, "status.node", why);
    if (s == ST_OK)
        s = cmd_need(r->has_epoch, "status.epoch", why);
    return s;
}

static enum status check_owner(const struct object *o, const Pb__VmStatus *r, struct fault *why)
{
    const Pb__VmStatus *is = object_vm(o)->status;
    if (r->node != is->node)
        return fault_set(why, ST_CONFLICT,
                         "vm %s belongs to node %" PRIu32 ", not to node %" PRIu32, object_name(o),
                         is->node, r->node);
    if (r->epoch != is->epoch)
        return fault_set(why, ST_CONFLICT,
                         "vm %s is owned in epoch %" PRIu64 ", not in epoch %" PRIu64,
                         object_name(o), is->epoch, r->epoch);
    return ST_OK;
}

/* Is it a step that can come after what is known? */
static enum status check_step(const struct object *o, const Pb__VmStatus *r, struct fault *why)
{
    const Pb__Vm *vm = object_vm(o);
    const Pb__VmStatus *is = vm->status;
    enum status s = cmd_need(r->has_phase, "status.phase", why);
    if (s == ST_OK)
        s = cmd_need(r->has_incarnation, "status.incarnation", why);
    if (s != ST_OK)
        return s;
    if (r->incarnation < is->incarnation)
        return fault_set(why, ST_CONFLICT,
                         "vm %s is at incarnation %" PRIu64 ", the report is of %" PRIu64,
                         object_name(o), is->incarnation, r->incarnation);
    if (r->generation > vm->generation) {
        s = fault_set(why, ST_INVALID,
                      "status.generation: %" PRIu64 " is beyond the VM's own, %" PRIu64,
                      r->generation, vm->generation);
        fault_field(why, "status.generation");
        return s;
    }
    bool follows = r->incarnation > is->incarnation ? vm_may_begin(r->phase)
                                                    : vm_may_follow(is->phase, r->phase);
    if (!follows || (r->phase == PB__VM_PHASE__VM_DELETING && !vm->deleting))
        return fault_set(why, ST_CONFLICT, "vm %s is %s and cannot become %s", object_name(o),
                         vm_phase_name(is->phase), vm_phase_name(r->phase));
    return ST_OK;
}

/* A start that no user asked for: the one before answered the last wish already. */
static bool is_restart(const Pb__Vm *vm, const Pb__VmStatus *r)
{
    const Pb__VmStatus *is = vm->status;
    return r->incarnation > is->incarnation && is->incarnation > 0 &&
           is->generation >= vm->start_nonce && is->cause != PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN;
}

/* What the report says, and what it leaves out as it was. */
static Pb__VmStatus *next_status(const Pb__Vm *vm, const Pb__VmStatus *r)
{
    const Pb__VmStatus *is = vm->status;
    Pb__VmStatus *st = (Pb__VmStatus *)(void *)proto_copy(&is->base);
    bool later = r->incarnation > is->incarnation;
    PROTO_SET(st, phase, r->phase);
    PROTO_SET(st, incarnation, r->incarnation);
    PROTO_SET(st, restarts, is->restarts + is_restart(vm, r));
    if (later || r->has_generation)
        PROTO_SET(st, generation, r->generation);
    /* Of this incarnation alone: nothing is left of the one before. */
    if (later || r->boot_id)
        proto_set(&st->boot_id, r->boot_id);
    if (later || r->address || !vm_alive(r->phase))
        proto_set(&st->address, vm_alive(r->phase) ? r->address : NULL);
    if (later || r->has_started_ns)
        st->has_started_ns = r->has_started_ns, st->started_ns = r->started_ns;
    if (later || r->has_start_ms)
        st->has_start_ms = r->has_start_ms, st->start_ms = r->start_ms;
    /* How it last ended stays to be read while it runs again. */
    if (r->has_cause && r->cause != PB__EXIT_CAUSE__EXIT_NONE) {
        PROTO_SET(st, cause, r->cause);
        proto_set(&st->detail, r->detail);
        st->has_ended_ns = r->has_ended_ns, st->ended_ns = r->ended_ns;
    }
    return st;
}

static void event_restart(struct txn *t, const struct object *now, const Pb__VmStatus *is)
{
    const char *detail = is->detail ? is->detail : "";
    txn_event(t, "vm.restarting", now, "restart %" PRIu32 " after %s%s%s",
              object_vm(now)->status->restarts, vm_cause_name(is->cause), detail[0] ? ": " : "",
              detail);
}

/* The cause of an end, in words. */
static void event_end(struct txn *t, const struct object *now, const char *type)
{
    const Pb__VmStatus *st = object_vm(now)->status;
    const char *detail = st->detail ? st->detail : "";
    txn_event(t, type, now, "%s%s%s", vm_cause_name(st->cause), detail[0] ? ": " : "", detail);
}

static void event_phase(struct txn *t, const struct object *now)
{
    const Pb__VmStatus *st = object_vm(now)->status;
    switch (st->phase) {
    case PB__VM_PHASE__VM_PREPARED:
        txn_event(t, "vm.prepared", now, "incarnation %" PRIu64, st->incarnation);
        return;
    case PB__VM_PHASE__VM_STARTING:
        txn_event(t, "vm.starting", now, "incarnation %" PRIu64, st->incarnation);
        return;
    case PB__VM_PHASE__VM_RUNNING:
        if (st->has_start_ms)
            txn_event(t, "vm.running", now, "its guest answered after %" PRIu64 " ms",
                      st->start_ms);
        else
            txn_event(t, "vm.running", now, "incarnation %" PRIu64, st->incarnation);
        return;
    case PB__VM_PHASE__VM_PAUSED: txn_event(t, "vm.paused", now, "%s", ""); return;
    case PB__VM_PHASE__VM_STOPPING: txn_event(t, "vm.stopping", now, "%s", ""); return;
    case PB__VM_PHASE__VM_STOPPED: event_end(t, now, "vm.stopped"); return;
    case PB__VM_PHASE__VM_FAILED: event_end(t, now, "vm.failed"); return;
    case PB__VM_PHASE__VM_ABSENT:
    case PB__VM_PHASE__VM_DELETING:
    case PB__VM_PHASE__VM_UNKNOWN: return; /* nothing that people wait for */
    default: defs_unreachable("phase beyond the check");
    }
}

/* Tell what changed, and what that means for who waits. */
static void settle(struct txn *t, const struct object *now, const struct object *op)
{
    const Pb__Vm *vm = object_vm(now);
    const char *detail = vm->status->detail ? vm->status->detail : "";
    const char *kind = object_operation(op)->kind;
    switch (operation_judge(operation_goal(kind), vm)) {
    case VERDICT_WAIT: operation_step(t, op, vm_phase_name(vm->status->phase), false, 0); return;
    case VERDICT_REACHED: operation_succeed(t, op); return;
    case VERDICT_MISSED:
        operation_fail(t, op, ST_FAILED, "vm %s ended: %s%s%s", object_name(now),
                       vm_cause_name(vm->status->cause), detail[0] ? ": " : "", detail);
        return;
    }
    defs_unreachable("operation verdict");
}

static void take_report(struct txn *t, const struct object *o, const Pb__VmStatus *r)
{
    const Pb__Vm *old = object_vm(o);
    AUTO(auto_proto_free) Pb__Vm *vm = (Pb__Vm *)(void *)proto_copy(&old->base);
    proto_free(&vm->status->base);
    vm->status = next_status(old, r);
    if (proto_equal(&old->base, &vm->base))
        return; /* said before */
    bool restart = is_restart(old, r);
    bool news = r->phase != old->status->phase || r->incarnation != old->status->incarnation;
    struct object *now = txn_put(t, OBJECT_VM, &vm->base);
    vm = NULL;
    if (restart)
        event_restart(t, now, old->status);
    if (news)
        event_phase(t, now);
    const struct object *op = cluster_operation_on(t->c, object_uid(o));
    if (op)
        settle(t, now, op);
}

static enum status take_end(struct txn *t, struct object *o, struct fault *why)
{
    if (!object_vm(o)->deleting)
        return fault_set(why, ST_CONFLICT, "vm %s is not being deleted", object_name(o));
    const struct object *op = cluster_operation_on(t->c, object_uid(o));
    txn_remove(t, o);
    txn_event(t, "vm.deleted", o, "%s", "");
    if (op)
        operation_succeed(t, op);
    return ST_OK;
}

enum status cmd_vm_report(struct txn *t, const Pb__CmdVmReport *m, struct fault *why)
{
    struct object *o = NULL;
    enum status s = cmd_find(t, OBJECT_VM, m->uid, &o, why);
    if (s == ST_OK)
        s = check_given(m->status, why);
    if (s == ST_OK)
        s = check_owner(o, m->status, why);
    if (s != ST_OK)
        return s;
    txn_result(t, m->uid);
    if (m->gone)
        return take_end(t, o, why);
    s = check_step(o, m->status, why);
    if (s == ST_OK)
        take_report(t, o, m->status);
    return s;
}
