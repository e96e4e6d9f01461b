#include <string.h>

#include "ops/names.h"
#include "ops/run.h"
#include "wire/check.h"
#include "wire/field.h"
#include "wire/json.h"
#include "wire/proto.h"

/* Writes that compute from what they read, when others overtake them. */
enum { TRIES_MAX = 8 };

/* --- create --- */

/* A name that nobody in that project has. */
static void make_name(struct op_run *r, const char *project, char out[NAMES_MAX])
{
    struct entropy *e = node_entropy(r->ops->node);
    for (unsigned attempt = 0;; attempt++) {
        uint8_t dice[8];
        e->fill(e, dice, sizeof dice);
        names_make(dice, attempt, out);
        if (!cluster_find_name(run_cluster(r), OBJECT_VM, project, out))
            return;
    }
}

/* On the node that was asked if it has the image; else where the image is. */
static uint32_t place(const struct op_run *r, const char *project, const Pb__VmSpec *spec)
{
    struct object *o = NULL;
    const struct cluster *c = run_cluster(r);
    if (spec && spec->image &&
        cluster_resolve(c, OBJECT_IMAGE, project, spec->image, &o, NULL) != ST_OK)
        o = cluster_image_by_digest(c, project, spec->image);
    if (!o)
        return r->asked; /* apply says what is wrong with it */
    const Pb__Image *image = object_image(o);
    if (!image->digest || image->node == r->asked ||
        cluster_image_on_node(c, project, image->digest, r->asked))
        return r->asked;
    return image->node;
}

void vm_op_create(struct op_run *r)
{
    const Pb__VmCreateRequest *q = (const Pb__VmCreateRequest *)r->request;
    char uid[OBJECT_UID_MAX], operation[OBJECT_UID_MAX], name[NAMES_MAX];
    char project[64];
    (void)snprintf(project, sizeof project, "%s", q->project ? q->project : "default");
    run_uid(r, uid);
    run_uid(r, operation);
    if (!q->name)
        make_name(r, project, name);

    Pb__Meta meta = PB__META__INIT;
    meta.uid = uid;
    meta.name = q->name ? q->name : name;
    meta.project = project;
    meta.labels = q->labels;
    meta.n_labels = q->n_labels;
    Pb__Vm vm = PB__VM__INIT;
    vm.meta = &meta;
    vm.spec = q->spec;
    Pb__CmdVmCreate create = PB__CMD_VM_CREATE__INIT;
    create.vm = &vm;
    PROTO_SET(&create, node, place(r, project, q->spec));
    PROTO_SET(&create, start, q->start);
    create.operation_id = operation;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_VM_CREATE;
    cmd.vm_create = &create;
    run_propose(r, &cmd, run_after_operation);
}

/* --- update --- */

static void auto_json(json_t **v)
{
    json_decref(*v);
}

/* What is wanted of `vm` after the patch, as an update request: spec and labels are whole. */
static enum status merge(const struct op_run *r, const Pb__Vm *vm, ProtobufCMessage **ret,
                         struct fault *why)
{
    AUTO(auto_json) json_t *whole = json_object();
    AUTO(auto_json) json_t *meta = json_from_message(&vm->meta->base, JSON_WHOLE);
    json_t *labels = json_object_get(meta, "labels");
    int failed = json_object_set_new(whole, "spec", json_from_message(&vm->spec->base, JSON_WHOLE));
    if (labels)
        failed |= json_object_set(whole, "labels", labels);
    ensure(!failed);
    whole = json_merge(whole, r->patch);
    enum status s = json_to_message(r->op->request, whole, JSON_WHOLE, ret, why);
    return s == ST_OK ? check_message(*ret, CHECK_REQUEST, why) : s;
}

static void propose_update(struct op_run *r);

/* Somebody was faster. Unless the caller said which version is meant, merge once more. */
static bool update_again(struct op_run *r, const struct fault *why)
{
    if (why->status != ST_PRECONDITION || r->has_if || ++r->tries == TRIES_MAX)
        return false;
    r->key.id[15]++; /* another command; after a retry of the caller's, the same one again */
    propose_update(r);
    return true;
}

static void propose_update(struct op_run *r)
{
    struct object *o;
    struct fault why;
    AUTO(auto_proto_free) ProtobufCMessage *merged = NULL;
    enum status s = run_target(r, OBJECT_VM, &o, &why);
    if (s == ST_OK)
        s = merge(r, object_vm(o), &merged, &why);
    if (s != ST_OK) {
        run_fail(r, &why);
        return;
    }
    const Pb__VmUpdateRequest *q = (const Pb__VmUpdateRequest *)merged;
    char uid[OBJECT_UID_MAX];
    (void)snprintf(uid, sizeof uid, "%s", object_uid(o));
    Pb__CmdVmUpdate update = PB__CMD_VM_UPDATE__INIT;
    update.uid = uid;
    update.spec = q->spec;
    update.labels = q->labels;
    update.n_labels = q->n_labels;
    PROTO_SET(&update, if_index, object_meta(o)->index);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_VM_UPDATE;
    cmd.vm_update = &update;
    run_propose(r, &cmd, run_after_object);
}

void vm_op_update(struct op_run *r)
{
    r->again = update_again;
    propose_update(r);
}

/* --- power --- */

void vm_op_power(struct op_run *r)
{
    const Pb__VmPowerRequest *q = (const Pb__VmPowerRequest *)r->request;
    struct object *o;
    struct fault why;
    if (run_target(r, OBJECT_VM, &o, &why) != ST_OK) {
        run_fail(r, &why);
        return;
    }
    char uid[OBJECT_UID_MAX], operation[OBJECT_UID_MAX], kind[40];
    (void)snprintf(uid, sizeof uid, "%s", object_uid(o));
    (void)snprintf(kind, sizeof kind, "%s", r->op->name);
    run_uid(r, operation);
    Pb__CmdVmPower power = PB__CMD_VM_POWER__INIT;
    power.uid = uid;
    power.kind = kind;
    power.operation_id = operation;
    power.has_if_index = r->has_if;
    power.if_index = r->if_index;
    PROTO_SET(&power, force, q->force);
    PROTO_SET(&power, restart, r->op->id == OP_VM_RESTART);
    Pb__Power wanted = PB__POWER__POWER_RUNNING;
    if (r->op->id == OP_VM_STOP)
        wanted = PB__POWER__POWER_STOPPED;
    else if (r->op->id == OP_VM_PAUSE)
        wanted = PB__POWER__POWER_PAUSED;
    PROTO_SET(&power, power, wanted);
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_VM_POWER;
    cmd.vm_power = &power;
    run_propose(r, &cmd, run_after_operation);
}

/* --- measurements and streams --- */

/* Both are of the node that the VM is on. */
static enum status here(struct op_run *r, struct object **ret, struct fault *why)
{
    enum status s = run_target(r, OBJECT_VM, ret, why);
    if (s != ST_OK)
        return s;
    const Pb__VmStatus *status = object_vm(*ret)->status;
    uint32_t node = status ? status->node : 0;
    if (node == node_number(r->ops->node))
        return ST_OK;
    return fault_set(why, ST_UNAVAILABLE, "vm %s is on node %" PRIu32 ", not on this one", r->name,
                     node);
}

static void put_known(json_t *v, const char *key, uint64_t value)
{
    if (value == UINT64_MAX)
        return;
    int failed = json_object_set_new(v, key, json_integer((json_int_t)value));
    ensure(!failed);
}

void vm_op_stats(struct op_run *r)
{
    struct object *o;
    struct fault why;
    struct vmm *v = node_vmm(r->ops->node);
    struct vmm_stats m;
    if (here(r, &o, &why) != ST_OK) {
        run_fail(r, &why);
        return;
    }
    if (v->stats(v, object_uid(o), &m) != ST_OK) {
        (void)fault_set(&why, ST_CONFLICT, "vm %s does not run", r->name);
        run_fail(r, &why);
        return;
    }
    json_t *out = json_object();
    put_known(out, "cpu_ns", m.cpu_ns);
    put_known(out, "rss_bytes", m.rss_bytes);
    put_known(out, "read_bytes", m.read_bytes);
    put_known(out, "write_bytes", m.write_bytes);
    put_known(out, "rx_bytes", m.rx_bytes);
    put_known(out, "tx_bytes", m.tx_bytes);
    put_known(out, "guest_mem_total", m.guest_mem_total);
    put_known(out, "guest_mem_available", m.guest_mem_available);
    run_json(r, 200, out);
}

/* Argument lists end with NULL. */
static const char **with_end(char **text, size_t count)
{
    const char **all = NEW_ARRAY(const char *, count + 1);
    for (size_t i = 0; i < count; i++)
        all[i] = text[i];
    all[count] = NULL;
    return all;
}

static enum status open_exec(struct op_run *r, struct vmm *v, const char *uid,
                             struct vmm_stream **ret, struct fault *why)
{
    const Pb__VmExecQuery *q = (const Pb__VmExecQuery *)r->request;
    AUTO(auto_free) const char **argv = with_end(q->argv, q->n_argv);
    AUTO(auto_free) const char **env = with_end(q->env, q->n_env);
    struct vmm_stream_open open = {
        .kind = VMM_STREAM_EXEC,
        .argv = argv,
        .env = env,
        .cwd = q->cwd,
        .tty = q->tty,
        .rows = (uint16_t)q->rows,
        .cols = (uint16_t)q->cols,
    };
    return v->open(v, uid, &open, r->events, ret, why);
}

enum { CONSOLE_TAIL_BYTES = 16384 };

static enum status open_stream(struct op_run *r, struct vmm *v, const char *uid,
                               struct vmm_stream **ret, struct fault *why)
{
    const Pb__VmLogsQuery *logs = (const Pb__VmLogsQuery *)r->request;
    const Pb__VmFileQuery *file = (const Pb__VmFileQuery *)r->request;
    struct vmm_stream_open open = {0};
    switch (r->op->id) {
    case OP_VM_EXEC: return open_exec(r, v, uid, ret, why);
    case OP_VM_CONSOLE:
        open.kind = VMM_STREAM_CONSOLE;
        open.tail = CONSOLE_TAIL_BYTES;
        break;
    case OP_VM_LOGS:
        open.kind = VMM_STREAM_LOG;
        open.tail = logs->tail;
        open.follow = logs->follow;
        break;
    case OP_VM_PUSH:
        open.kind = VMM_STREAM_PUSH;
        open.path = file->path;
        open.mode = file->mode;
        open.size = r->size;
        break;
    case OP_VM_PULL:
        open.kind = VMM_STREAM_PULL;
        open.path = file->path;
        break;
    default: defs_unreachable("a stream of a VM");
    }
    return v->open(v, uid, &open, r->events, ret, why);
}

void vm_op_stream(struct op_run *r)
{
    struct object *o;
    struct fault why;
    struct vmm *v = node_vmm(r->ops->node);
    struct vmm_stream *stream = NULL;
    enum status s = here(r, &o, &why);
    if (s == ST_OK) {
        s = open_stream(r, v, object_uid(o), &stream, &why);
        if (s != ST_OK)
            (void)fault_wrap(&why, s, "vm %s", r->name);
    }
    if (s != ST_OK)
        run_fail(r, &why);
    else
        run_opened(r, stream);
}
