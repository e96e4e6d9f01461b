#include "ops/run.h"

void operation_op_show(struct op_run *r)
{
    struct object *o;
    struct fault why;
    if (run_target(r, OBJECT_OPERATION, &o, &why) != ST_OK)
        run_fail(r, &why);
    else
        run_object(r, 200, o);
}

void operation_op_wait(struct op_run *r)
{
    const Pb__OperationWaitQuery *q = (const Pb__OperationWaitQuery *)r->request;
    struct object *o;
    struct fault why;
    if (run_target(r, OBJECT_OPERATION, &o, &why) != ST_OK)
        run_fail(r, &why);
    else
        run_wait(r, o, MIN(q->timeout_ms, OPS_WAIT_MAX_MS), 200);
}

static void cancelled(struct op_run *r, const struct apply_result *result)
{
    (void)result;
    operation_op_show(r);
}

void operation_op_cancel(struct op_run *r)
{
    struct object *o;
    struct fault why;
    if (run_target(r, OBJECT_OPERATION, &o, &why) != ST_OK) {
        run_fail(r, &why);
        return;
    }
    char id[OBJECT_UID_MAX];
    (void)snprintf(id, sizeof id, "%s", object_operation(o)->id);
    Pb__CmdOperationCancel cancel = PB__CMD_OPERATION_CANCEL__INIT;
    cancel.id = id;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_OPERATION_CANCEL;
    cmd.operation_cancel = &cancel;
    r->has_if = false; /* it was checked; the end of the operation would not match it */
    run_propose(r, &cmd, cancelled);
}
