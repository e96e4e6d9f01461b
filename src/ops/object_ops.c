#include "ops/run.h"
#include "wire/proto.h"

/* What every noun does alike: show and delete. */

void object_op_show(struct op_run *r)
{
    enum object_kind kind;
    bool known = run_kind(r->op, &kind);
    ensure(known);
    struct object *o;
    struct fault why;
    if (run_target(r, kind, &o, &why) != ST_OK)
        run_fail(r, &why);
    else
        run_object(r, 200, o);
}

void object_op_delete(struct op_run *r)
{
    enum object_kind kind;
    bool known = run_kind(r->op, &kind);
    ensure(known);
    struct object *o;
    struct fault why;
    if (run_target(r, kind, &o, &why) != ST_OK) {
        run_fail(r, &why);
        return;
    }

    /* What ends at once has nothing to be forced. */
    bool forced = r->op->request == &pb__delete_request__descriptor &&
                  ((const Pb__DeleteRequest *)r->request)->force;
    char kind_name[20], uid[OBJECT_UID_MAX], operation[OBJECT_UID_MAX];
    (void)snprintf(kind_name, sizeof kind_name, "%s", object_kind_name(kind));
    (void)snprintf(uid, sizeof uid, "%s", object_uid(o));
    run_uid(r, operation);
    Pb__CmdDelete delete = PB__CMD_DELETE__INIT;
    delete.kind = kind_name;
    delete.uid = uid;
    delete.has_if_index = r->has_if;
    delete.if_index = r->if_index;
    delete.has_force = 1;
    delete.force = forced;
    delete.operation_id = r->op->flags & OP_SLOW ? operation : NULL;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_DELETE;
    cmd.delete_ = &delete;
    run_propose(r, &cmd, r->op->flags & OP_SLOW ? run_after_operation : run_after_empty);
}
