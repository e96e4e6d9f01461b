/*
 * apply: one log entry becomes a change of the state, or a refusal.
 */
#include <string.h>

#include "core/cmd.h"
#include "wire/check.h"

void apply_result_done(struct apply_result *r)
{
    for (size_t i = 0; i < r->change_count; i++) {
        object_unref(r->changes[i].before);
        object_unref(r->changes[i].after);
    }
    for (size_t i = 0; i < r->event_count; i++)
        object_unref(r->events[i]);
    r->change_count = r->event_count = 0;
}

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

/* Change the state, or refuse and leave it as it was. key: to know the command again; NULL: nobody will
 * repeat it. */
static void apply_new(struct cluster *c, const Pb__Command *cmd, const struct command_key *key,
                      struct apply_result *out)
{
    struct txn t;
    txn_init(&t, c, c->index, cmd);
    out->status = stage(&t, cmd, &out->why);
    if (out->status == ST_OK) {
        txn_commit(&t, c, out);
        memcpy(out->uid, t.uid, sizeof out->uid);
        memcpy(out->operation_id, t.operation_id, sizeof out->operation_id);
        cluster_trim(c);
    }
    txn_done(&t);
    if (key)
        done_add(&c->done,
                 done_new(key, c->index, out->status, &out->why, out->uid, out->operation_id),
                 c->limits.done);
}

bool cluster_answered(const struct cluster *c, const struct command_key *key,
                      struct apply_result *out)
{
    const struct done *d = done_find(&c->done, key->id);
    if (!d)
        return false;
    *out = (struct apply_result){.index = c->index};
    out->status = command_key_check(&d->key, key, &out->why);
    if (out->status != ST_OK)
        return true;
    out->replay = true;
    out->status = d->status;
    memcpy(out->uid, d->uid, sizeof out->uid);
    memcpy(out->operation_id, d->operation_id, sizeof out->operation_id);
    if (d->status == ST_OK)
        return true;
    (void)fault_set(&out->why, d->status, "%s", d->text);
    fault_hint(&out->why, "%s", d->hint);
    fault_field(&out->why, "%s", d->field);
    return true;
}

void cluster_apply(struct cluster *c, uint64_t index, struct str command, struct apply_result *out)
{
    require(index > c->index);
    *out = (struct apply_result){.index = index};
    c->index = index;
    AUTO(auto_proto_free) Pb__Command *cmd = NULL;
    out->status = decode(command, &cmd, &out->why);
    if (out->status != ST_OK)
        return;
    struct command_key key;
    bool known = command_key_of(cmd, &key);
    if (!known || !cluster_answered(c, &key, out))
        apply_new(c, cmd, known && cmd->has_request ? &key : NULL, out);
}

void cluster_try(const struct cluster *c, struct str command, struct apply_result *out)
{
    struct txn t;
    *out = (struct apply_result){.index = c->index + 1};
    AUTO(auto_proto_free) Pb__Command *cmd = NULL;
    out->status = decode(command, &cmd, &out->why);
    if (out->status != ST_OK)
        return;
    txn_init(&t, c, out->index, cmd);
    out->status = stage(&t, cmd, &out->why);
    for (size_t i = 0; out->status == ST_OK && i < t.change_count; i++) {
        struct object *before = t.changes[i].before, *after = t.changes[i].after;
        out->changes[out->change_count++] =
            (struct change){t.changes[i].kind, before ? object_ref(before) : NULL,
                            after ? object_ref(after) : NULL};
    }
    memcpy(out->uid, t.uid, sizeof out->uid);
    txn_done(&t);
}
