/*
 * vm_power: start, stop, restart, pause, resume.
 *
 * The command changes what is wanted; the node makes it so and reports. What is wanted already
 * changes nothing: its operation has succeeded at once, or joins the one that is under way.
 */
#include <string.h>

#include "core/cmd.h"
#include "core/operation.h"
#include "core/vm_life.h"

/* What a verb makes of a VM: a copy that it may change. */
struct wish {
    const struct object *o;
    Pb__Vm *vm;    /* owned by the caller */
    bool changed;  /* something is wanted that was not wanted before */
    bool escalate; /* only force is new: who waits goes on waiting */
};

static enum status refuse(const struct wish *w, const char *what, const char *hint,
                          struct fault *why)
{
    (void)fault_set(why, ST_CONFLICT, "vm %s is %s", object_name(w->o), what);
    if (hint)
        fault_hint(why, "blixard vm %s %s", hint, object_name(w->o));
    return ST_CONFLICT;
}

static const char *phase_of(const struct wish *w)
{
    return vm_phase_name(w->vm->status->phase);
}

/* Whatever runs now is of an earlier wish: an incarnation of this generation or later is wanted. */
static void want_start(struct wish *w, bool force)
{
    PROTO_SET(w->vm, power, PB__POWER__POWER_RUNNING);
    PROTO_SET(w->vm, force, force);
    PROTO_SET(w->vm, start_nonce, w->vm->generation + 1);
    PROTO_SET(w->vm->status, restarts, 0);
    w->changed = true;
}

static enum status want_running(struct wish *w, const Pb__CmdVmPower *m, struct fault *why)
{
    (void)m;
    bool running = w->vm->power == PB__POWER__POWER_RUNNING;
    Pb__VmPhase phase = w->vm->status->phase;
    if (w->vm->power == PB__POWER__POWER_PAUSED && vm_alive(phase))
        return refuse(w, "paused", "resume", why);
    /* Asked for already, or running, or on its way; a stop on its way was wished before. */
    if (vm_start_asked(w->vm))
        return ST_OK;
    if (running && vm_alive(phase) && phase != PB__VM_PHASE__VM_STOPPING)
        return ST_OK;
    want_start(w, false);
    return ST_OK;
}

static enum status want_restart(struct wish *w, const Pb__CmdVmPower *m, struct fault *why)
{
    (void)why;
    want_start(w, m->force);
    return ST_OK;
}

static enum status want_stopped(struct wish *w, const Pb__CmdVmPower *m, struct fault *why)
{
    (void)why;
    Pb__Vm *vm = w->vm;
    bool stopped = vm->power == PB__POWER__POWER_STOPPED;
    if (stopped && (!m->force || vm->force || !vm_alive(vm->status->phase)))
        return ST_OK;
    /* Its node may be starting it at this very moment: only its next report tells that it does not run. */
    if (vm_start_due(vm))
        PROTO_SET(vm->status, phase, PB__VM_PHASE__VM_STOPPING);
    PROTO_SET(vm, power, PB__POWER__POWER_STOPPED);
    PROTO_SET(vm, force, m->force);
    w->changed = true;
    w->escalate = stopped;
    return ST_OK;
}

static enum status want_paused(struct wish *w, const Pb__CmdVmPower *m, struct fault *why)
{
    (void)m;
    Pb__VmPhase phase = w->vm->status->phase;
    bool runs = phase == PB__VM_PHASE__VM_RUNNING || phase == PB__VM_PHASE__VM_PAUSED;
    if (w->vm->power == PB__POWER__POWER_STOPPED || !runs)
        return refuse(
            w, w->vm->power == PB__POWER__POWER_STOPPED && runs ? "being stopped" : phase_of(w),
            NULL, why);
    if (vm_start_asked(w->vm))
        return refuse(w, "being restarted", NULL, why);
    if (w->vm->power == PB__POWER__POWER_PAUSED)
        return ST_OK;
    PROTO_SET(w->vm, power, PB__POWER__POWER_PAUSED);
    w->changed = true;
    return ST_OK;
}

static enum status want_resumed(struct wish *w, const Pb__CmdVmPower *m, struct fault *why)
{
    (void)m;
    Pb__VmPhase phase = w->vm->status->phase;
    bool paused = w->vm->power == PB__POWER__POWER_PAUSED;
    if (!vm_alive(phase))
        return refuse(w, phase_of(w), "start", why);
    if (w->vm->power == PB__POWER__POWER_STOPPED)
        return refuse(w, "being stopped", "start", why);
    if (!paused && phase != PB__VM_PHASE__VM_RUNNING && phase != PB__VM_PHASE__VM_PAUSED)
        return refuse(w, phase_of(w), NULL, why);
    if (!paused)
        return ST_OK;
    PROTO_SET(w->vm, power, PB__POWER__POWER_RUNNING);
    w->changed = true;
    return ST_OK;
}

static const struct verb {
    const char *kind;
    Pb__Power power;
    bool restart;
    enum status (*want)(struct wish *w, const Pb__CmdVmPower *m, struct fault *why);
} verbs[] = {
    {OPERATION_VM_START, PB__POWER__POWER_RUNNING, false, want_running},
    {OPERATION_VM_STOP, PB__POWER__POWER_STOPPED, false, want_stopped},
    {OPERATION_VM_RESTART, PB__POWER__POWER_RUNNING, true, want_restart},
    {OPERATION_VM_PAUSE, PB__POWER__POWER_PAUSED, false, want_paused},
    {OPERATION_VM_RESUME, PB__POWER__POWER_RUNNING, false, want_resumed},
};

/* The verb that the kind of the operation names; power and restart must say the same. */
static enum status find_verb(const Pb__CmdVmPower *m, const struct verb **ret, struct fault *why)
{
    enum status s = cmd_need(m->kind != NULL, "kind", why);
    if (s == ST_OK)
        s = cmd_need(m->has_power, "power", why);
    if (s != ST_OK)
        return s;
    for (size_t i = 0; i < ARRAY_COUNT(verbs); i++) {
        const struct verb *v = &verbs[i];
        if (strcmp(v->kind, m->kind) != 0)
            continue;
        if (v->power != m->power || v->restart != (bool)m->restart) {
            s = fault_set(why, ST_INVALID, "power: it is not what %s wants", m->kind);
            fault_field(why, "power");
            return s;
        }
        *ret = v;
        return ST_OK;
    }
    s = fault_set(why, ST_INVALID, "kind: there is no \"%s\"", m->kind);
    fault_field(why, "kind");
    return s;
}

/* May who asks now wait for the operation that is under way? It must lead to the same. */
static bool joins(const struct wish *w, const struct object *before, const char *kind)
{
    if (!before || (w->changed && !w->escalate))
        return false;
    return operation_goal(object_operation(before)->kind) == operation_goal(kind);
}

enum status cmd_vm_power(struct txn *t, const Pb__CmdVmPower *m, struct fault *why)
{
    const struct verb *verb = NULL;
    struct object *o = NULL;
    enum status s = find_verb(m, &verb, why);
    if (s == ST_OK)
        s = cmd_find(t, OBJECT_VM, m->uid, &o, why);
    if (s == ST_OK)
        s = cmd_if_index(o, m->has_if_index, m->if_index, why);
    if (s != ST_OK)
        return s;
    if (object_vm(o)->deleting)
        return fault_set(why, ST_CONFLICT, "vm %s is being deleted", object_name(o));

    AUTO(auto_proto_free) Pb__Vm *vm = (Pb__Vm *)(void *)proto_copy(&object_vm(o)->base);
    struct wish w = {.o = o, .vm = vm};
    s = verb->want(&w, m, why);
    if (s != ST_OK)
        return s;
    const struct object *before = cluster_operation_on(t->c, object_uid(o));
    const struct object *now = o;
    bool reached = operation_judge(operation_goal(verb->kind), vm) == VERDICT_REACHED;
    if (w.changed) {
        PROTO_SET(vm, generation, vm->generation + 1);
        now = txn_put(t, OBJECT_VM, &vm->base);
        vm = NULL;
        txn_event(t, "vm.asked", now, "%s%s", verb->kind + strlen("vm."),
                  m->force ? " without grace" : "");
    }
    txn_result(t, object_uid(o));
    if (joins(&w, before, verb->kind)) {
        txn_result_operation(t, object_operation(before)->id);
        return ST_OK;
    }
    return operation_begin(t, m->operation_id, verb->kind, now, object_vm(now)->generation, reached,
                           why);
}
