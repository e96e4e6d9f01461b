#include "core/plan.h"

#include <stdlib.h>
#include <string.h>

#include "core/cmd.h"
#include "wire/check.h"

static enum status decode(struct str bytes, Pb__Command **ret, struct fault *why)
{
    ProtobufCMessage *m = NULL;
    enum status s = proto_unpack(&pb__command__descriptor, bytes, LIMIT_COMMAND_BYTES, &m, why);
    if (s == ST_OK)
        *ret = (Pb__Command *)(void *)m;
    return s;
}

/* What every command must be, whatever it asks for. */
static enum status check_command(const struct cluster *c, const Pb__Command *cmd, struct fault *why)
{
    uint32_t known = cluster_level(c);
    struct command_key key;
    if ((cmd->has_id || cmd->has_request) && !command_key_of(cmd, &key)) {
        bool is_id = !cmd->has_id || cmd->id.len != COMMAND_ID_SIZE;
        enum status s = fault_set(why, ST_INVALID, "it must have %d bytes",
                                  is_id ? COMMAND_ID_SIZE : COMMAND_REQUEST_SIZE);
        fault_field(why, is_id ? "id" : "request");
        return s;
    }
    if (cmd->level > (known ? known : (uint32_t)CLUSTER_LEVEL_MAX)) {
        enum status s = fault_set(why, ST_UNSUPPORTED,
                                  "it needs feature level %" PRIu32 ", the cluster is at %" PRIu32,
                                  cmd->level, known);
        fault_hint(why, "upgrade all nodes, then raise the level");
        return s;
    }
    if (object_unknown(&cmd->base))
        return fault_set(why, ST_UNSUPPORTED, "it has a field that is not known here");
    if (!known && cmd->body_case != PB__COMMAND__BODY_CLUSTER_INIT)
        return fault_set(why, ST_PRECONDITION, "there is no cluster yet");
    return check_message(&cmd->base, CHECK_STORED, why);
}

static enum status run(struct txn *t, const Pb__Command *cmd, struct fault *why)
{
    switch (cmd->body_case) {
    case PB__COMMAND__BODY_CLUSTER_INIT:
        return cmd_cluster_init(t, cmd->cluster_init, cmd->level, why);
    case PB__COMMAND__BODY_NODE_HELLO: return cmd_node_hello(t, cmd->node_hello, why);
    case PB__COMMAND__BODY_TENANT_PUT: return cmd_tenant_put(t, cmd->tenant_put, why);
    case PB__COMMAND__BODY_PROJECT_PUT: return cmd_project_put(t, cmd->project_put, why);
    case PB__COMMAND__BODY_DELETE: return cmd_delete(t, cmd->delete_, why);
    case PB__COMMAND__BODY_IMAGE_CREATE: return cmd_image_create(t, cmd->image_create, why);
    case PB__COMMAND__BODY_IMAGE_REPORT: return cmd_image_report(t, cmd->image_report, why);
    case PB__COMMAND__BODY_VM_CREATE: return cmd_vm_create(t, cmd->vm_create, why);
    case PB__COMMAND__BODY_VM_UPDATE: return cmd_vm_update(t, cmd->vm_update, why);
    case PB__COMMAND__BODY_VM_POWER: return cmd_vm_power(t, cmd->vm_power, why);
    case PB__COMMAND__BODY_VM_REPORT: return cmd_vm_report(t, cmd->vm_report, why);
    case PB__COMMAND__BODY_OPERATION_CANCEL:
        return cmd_operation_cancel(t, cmd->operation_cancel, why);
    case PB__COMMAND__BODY_TOKEN_CREATE: return cmd_token_create(t, cmd->token_create, why);
    case PB__COMMAND__BODY_NODE_ENROLL: return cmd_node_enroll(t, cmd->node_enroll, why);
    default: return fault_set(why, ST_INVALID, "the command asks for nothing");
    }
}

/* Stage all that the command changes, or refuse it. */
static enum status stage(struct txn *t, const Pb__Command *cmd, struct fault *why)
{
    enum status s = check_command(t->c, cmd, why);
    if (s == ST_OK)
        s = run(t, cmd, why);
    return s == ST_OK ? txn_check(t, why) : s;
}

bool plan_is_of(const struct plan *p, uint64_t index, struct str command)
{
    return p->index == index && str_eq((struct str){p->command, p->command_len}, command);
}

void plan_drop(struct plan *p)
{
    if (p->index == 0)
        return;
    txn_done(&p->txn);
    if (p->cmd)
        proto_free(&p->cmd->base);
    free(p->command);
    *p = (struct plan){0};
}

void plan_make(struct plan *p, const struct cluster *c, uint64_t index, struct str command)
{
    require(index > 0);
    plan_drop(p);
    p->index = index;
    p->command = command.len ? mem_dup(command.ptr, command.len) : NULL;
    p->command_len = command.len;
    p->status = decode(command, &p->cmd, &p->why);
    if (p->status != ST_OK)
        return;
    p->has_key = command_key_of(p->cmd, &p->key);
    txn_init(&p->txn, c, index, p->cmd);
    p->status = stage(&p->txn, p->cmd, &p->why);
}
