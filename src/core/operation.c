#include "core/operation.h"

#include <stdio.h>
#include <string.h>

#include "core/cmd.h"
#include "core/vm_life.h"

enum { PROBLEM_TEXT_MAX = 600 };

enum operation_goal operation_goal(const char *kind)
{
    if (strcmp(kind, OPERATION_VM_PAUSE) == 0)
        return GOAL_PAUSED;
    if (strcmp(kind, OPERATION_VM_STOP) == 0)
        return GOAL_STOPPED;
    if (strcmp(kind, OPERATION_VM_DELETE) == 0)
        return GOAL_GONE;
    return GOAL_RUNNING;
}

enum operation_verdict operation_judge(enum operation_goal goal, const Pb__Vm *vm)
{
    Pb__VmPhase phase = vm->status->phase;
    switch (goal) {
    case GOAL_RUNNING:
        if (vm_start_asked(vm))
            return VERDICT_WAIT; /* what is reported is of an earlier start */
        if (phase == PB__VM_PHASE__VM_RUNNING)
            return VERDICT_REACHED;
        return vm_ended(phase) ? VERDICT_MISSED : VERDICT_WAIT;
    case GOAL_PAUSED:
        if (phase == PB__VM_PHASE__VM_PAUSED)
            return VERDICT_REACHED;
        return vm_ended(phase) ? VERDICT_MISSED : VERDICT_WAIT;
    case GOAL_STOPPED:
        return vm_alive(phase) || phase == PB__VM_PHASE__VM_DELETING ? VERDICT_WAIT
                                                                     : VERDICT_REACHED;
    case GOAL_GONE: return VERDICT_WAIT; /* ends with the VM itself */
    }
    defs_unreachable("operation goal");
}

static Pb__Operation *copy_of(const struct object *op)
{
    return (Pb__Operation *)(void *)proto_copy(&object_operation(op)->base);
}

static void set_end(const struct txn *t, Pb__Operation *p, Pb__OperationPhase phase)
{
    PROTO_SET(p, phase, phase);
    PROTO_SET(p, ended_ns, t->time_ns);
    proto_set(&p->step, NULL);
    p->has_progress = false;
    p->progress = 0;
}

PRINTF_LIKE(5, 0)
static void end_badly(struct txn *t, const struct object *op, Pb__OperationPhase phase,
                      enum status code, const char *fmt, va_list ap)
{
    char text[PROBLEM_TEXT_MAX + 1];
    (void)vsnprintf(text, sizeof text, fmt, ap);
    str_tidy(text);
    Pb__Operation *p = copy_of(op);
    set_end(t, p, phase);
    p->problem = (Pb__Problem *)(void *)proto_new(&pb__problem__descriptor);
    proto_set(&p->problem->code, status_code(code));
    proto_set(&p->problem->text, text);
    (void)txn_put(t, OBJECT_OPERATION, &p->base);
}

void operation_succeed(struct txn *t, const struct object *op)
{
    Pb__Operation *p = copy_of(op);
    set_end(t, p, PB__OPERATION_PHASE__OPERATION_SUCCEEDED);
    (void)txn_put(t, OBJECT_OPERATION, &p->base);
}

void operation_fail(struct txn *t, const struct object *op, enum status code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    end_badly(t, op, PB__OPERATION_PHASE__OPERATION_FAILED, code, fmt, ap);
    va_end(ap);
}

void operation_cancel(struct txn *t, const struct object *op, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    end_badly(t, op, PB__OPERATION_PHASE__OPERATION_CANCELLED, ST_CANCELLED, fmt, ap);
    va_end(ap);
}

void operation_step(struct txn *t, const struct object *op, const char *step, bool has_progress,
                    uint32_t progress)
{
    const Pb__Operation *old = object_operation(op);
    AUTO(auto_proto_free) Pb__Operation *p = copy_of(op);
    if (step)
        proto_set(&p->step, step);
    p->has_progress = has_progress;
    p->progress = has_progress ? progress : 0;
    if (proto_equal(&old->base, &p->base))
        return;
    (void)txn_put(t, OBJECT_OPERATION, &p->base);
    p = NULL;
}

enum status operation_begin(struct txn *t, const char *id, const char *kind,
                            const struct object *target, uint64_t generation, bool ended,
                            struct fault *why)
{
    enum status s = cmd_new_uid(t, id, "operation_id", why);
    if (s == ST_OK && strcmp(id, object_uid(target)) == 0) {
        s = fault_set(why, ST_EXISTS, "operation_id: it is the uid of the %s itself",
                      object_kind_name(target->kind));
        fault_field(why, "operation_id");
    }
    struct object *before = cluster_operation_on(t->c, object_uid(target));
    if (s == ST_OK && !ended && !before)
        s = txn_room(t, OBJECT_OPERATION, why);
    if (s != ST_OK)
        return s;
    if (before)
        operation_cancel(t, before, "superseded by %s", kind);

    Pb__Operation *p = (Pb__Operation *)(void *)proto_new(&pb__operation__descriptor);
    proto_set(&p->id, id);
    proto_set(&p->kind, kind);
    proto_set(&p->target_kind, object_kind_name(target->kind));
    proto_set(&p->target_uid, object_uid(target));
    proto_set(&p->target_name, object_name(target));
    proto_set(&p->project, object_project_name(target));
    proto_set(&p->actor, t->actor[0] ? t->actor : NULL);
    PROTO_SET(p, phase, PB__OPERATION_PHASE__OPERATION_RUNNING);
    PROTO_SET(p, created_ns, t->time_ns);
    PROTO_SET(p, generation, generation);
    if (ended)
        set_end(t, p, PB__OPERATION_PHASE__OPERATION_SUCCEEDED);
    (void)txn_put(t, OBJECT_OPERATION, &p->base);
    txn_result_operation(t, id);
    return ST_OK;
}
