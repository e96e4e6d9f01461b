#include "ops/run.h"

void tenant_op_create(struct op_run *r)
{
    const Pb__TenantRequest *q = (const Pb__TenantRequest *)r->request;
    char uid[OBJECT_UID_MAX];
    run_uid(r, uid);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = uid;
    meta.name = q->name;
    Pb__Tenant tenant = PB__TENANT__INIT;
    tenant.meta = &meta;
    tenant.title = q->title;
    Pb__CmdTenantPut put = PB__CMD_TENANT_PUT__INIT;
    put.tenant = &tenant;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd.tenant_put = &put;
    run_propose(r, &cmd, run_after_object);
}
