#include "ops/run.h"

static char default_tenant[] = "default";

void project_op_create(struct op_run *r)
{
    const Pb__ProjectRequest *q = (const Pb__ProjectRequest *)r->request;
    char uid[OBJECT_UID_MAX];
    run_uid(r, uid);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = uid;
    meta.name = q->name;
    Pb__Project project = PB__PROJECT__INIT;
    project.meta = &meta;
    project.tenant = q->tenant ? q->tenant : default_tenant;
    project.title = q->title;
    Pb__CmdProjectPut put = PB__CMD_PROJECT_PUT__INIT;
    put.project = &project;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_PROJECT_PUT;
    cmd.project_put = &put;
    run_propose(r, &cmd, run_after_object);
}
