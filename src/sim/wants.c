#include "sim/wants.h"

#include <stdio.h>

#include "wire/proto.h"

/* In C the order in which arguments are evaluated is the compiler's: one draw a statement. */
static uint64_t draw(struct sim *s, uint64_t bound)
{
    return rng_below(&s->client, bound);
}

static void random_uid(struct sim *s, char **field)
{
    uint8_t bytes[16];
    char hex[OBJECT_UID_MAX];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)rng_next(&s->client);
    str_hex(bytes, sizeof bytes, hex);
    proto_set(field, hex);
}

static Pb__Meta *new_meta(struct sim *s, const char *kind, uint64_t name, bool in_project)
{
    Pb__Meta *meta = (Pb__Meta *)(void *)proto_new(&pb__meta__descriptor);
    char text[40];
    (void)snprintf(text, sizeof text, "%s-%" PRIu64, kind, name);
    random_uid(s, &meta->uid);
    proto_set(&meta->name, text);
    if (in_project)
        proto_set(&meta->project, "default");
    return meta;
}

/* Any object of a kind, or NULL. */
static struct object *any(struct sim *s, const struct cluster *state, enum object_kind kind)
{
    size_t count = cluster_count(state, kind);
    if (!count)
        return NULL;
    uint64_t which = draw(s, count);
    MAP_EACH(cluster_table(state, kind), uid, value)
        if (which-- == 0)
            return value;
    return NULL;
}

static Pb__VmSpec *new_spec(struct sim *s, const char *image)
{
    Pb__VmSpec *spec = (Pb__VmSpec *)(void *)proto_new(&pb__vm_spec__descriptor);
    proto_set(&spec->image, image);
    PROTO_SET(spec, vcpus, 1);
    PROTO_SET(spec, mem_mib, 128);
    PROTO_SET(spec, restart, (Pb__Restart)draw(s, 3));
    PROTO_SET(spec, autostart, draw(s, 3) > 0);
    PROTO_SET(spec, priority, (uint32_t)draw(s, 1001));
    PROTO_SET(spec, stop_timeout_s, (uint32_t)draw(s, 4));
    return spec;
}

static bool want_image(struct sim *s, const struct cluster *state, uint32_t node, uint64_t name,
                       Pb__Command *cmd)
{
    (void)state;
    Pb__CmdImageCreate *m =
        (Pb__CmdImageCreate *)(void *)proto_new(&pb__cmd_image_create__descriptor);
    m->image = (Pb__Image *)(void *)proto_new(&pb__image__descriptor);
    m->image->meta = new_meta(s, "image", name, true);
    PROTO_SET(m, node, node);
    random_uid(s, &m->operation_id);
    cmd->body_case = PB__COMMAND__BODY_IMAGE_CREATE;
    cmd->image_create = m;
    return true;
}

static bool want_vm(struct sim *s, const struct cluster *state, uint32_t node, uint64_t name,
                    Pb__Command *cmd)
{
    (void)node;
    struct object *image = any(s, state, OBJECT_IMAGE);
    if (!image || cluster_count(state, OBJECT_VM) >= s->faults.vms_max)
        return false;
    Pb__CmdVmCreate *m = (Pb__CmdVmCreate *)(void *)proto_new(&pb__cmd_vm_create__descriptor);
    m->vm = (Pb__Vm *)(void *)proto_new(&pb__vm__descriptor);
    m->vm->meta = new_meta(s, "vm", name, true);
    m->vm->spec = new_spec(s, object_meta(image)->name);
    PROTO_SET(m, node, object_image(image)->node); /* it starts only where its image is */
    PROTO_SET(m, start, draw(s, 4) > 0);
    random_uid(s, &m->operation_id);
    cmd->body_case = PB__COMMAND__BODY_VM_CREATE;
    cmd->vm_create = m;
    return true;
}

static bool want_power(struct sim *s, const struct cluster *state, uint32_t node, uint64_t name,
                       Pb__Command *cmd)
{
    (void)node, (void)name;
    static const struct {
        const char *kind;
        Pb__Power power;
        bool restart;
    } verbs[] = {
        {"vm.start", PB__POWER__POWER_RUNNING, false},
        {"vm.start", PB__POWER__POWER_RUNNING, false},
        {"vm.stop", PB__POWER__POWER_STOPPED, false},
        {"vm.restart", PB__POWER__POWER_RUNNING, true},
        {"vm.pause", PB__POWER__POWER_PAUSED, false},
        {"vm.resume", PB__POWER__POWER_RUNNING, false},
    };
    struct object *vm = any(s, state, OBJECT_VM);
    if (!vm)
        return false;
    uint64_t verb = draw(s, ARRAY_COUNT(verbs));
    Pb__CmdVmPower *m = (Pb__CmdVmPower *)(void *)proto_new(&pb__cmd_vm_power__descriptor);
    proto_set(&m->uid, object_meta(vm)->uid);
    proto_set(&m->kind, verbs[verb].kind);
    PROTO_SET(m, power, verbs[verb].power);
    PROTO_SET(m, restart, verbs[verb].restart);
    PROTO_SET(m, force, draw(s, 4) == 0);
    random_uid(s, &m->operation_id);
    cmd->body_case = PB__COMMAND__BODY_VM_POWER;
    cmd->vm_power = m;
    return true;
}

static bool want_update(struct sim *s, const struct cluster *state, uint32_t node, uint64_t name,
                        Pb__Command *cmd)
{
    (void)node, (void)name;
    struct object *vm = any(s, state, OBJECT_VM);
    if (!vm)
        return false;
    Pb__CmdVmUpdate *m = (Pb__CmdVmUpdate *)(void *)proto_new(&pb__cmd_vm_update__descriptor);
    proto_set(&m->uid, object_meta(vm)->uid);
    m->spec = new_spec(s, object_vm(vm)->spec->image);
    if (draw(s, 2))
        PROTO_SET(m, if_index, object_meta(vm)->index - draw(s, 2));
    cmd->body_case = PB__COMMAND__BODY_VM_UPDATE;
    cmd->vm_update = m;
    return true;
}

static bool want_delete(struct sim *s, const struct cluster *state, uint32_t node, uint64_t name,
                        Pb__Command *cmd)
{
    (void)node, (void)name;
    static const enum object_kind kinds[] = {OBJECT_VM, OBJECT_VM, OBJECT_IMAGE, OBJECT_TENANT};
    enum object_kind kind = kinds[draw(s, ARRAY_COUNT(kinds))];
    struct object *o = any(s, state, kind);
    if (!o)
        return false;
    Pb__CmdDelete *m = (Pb__CmdDelete *)(void *)proto_new(&pb__cmd_delete__descriptor);
    proto_set(&m->kind, object_kind_name(kind));
    proto_set(&m->uid, object_meta(o)->uid);
    PROTO_SET(m, force, draw(s, 2) == 1);
    random_uid(s, &m->operation_id);
    cmd->body_case = PB__COMMAND__BODY_DELETE;
    cmd->delete_ = m;
    return true;
}

static bool want_cancel(struct sim *s, const struct cluster *state, uint32_t node, uint64_t name,
                        Pb__Command *cmd)
{
    (void)node, (void)name;
    struct object *op = any(s, state, OBJECT_OPERATION);
    if (!op)
        return false;
    Pb__CmdOperationCancel *m =
        (Pb__CmdOperationCancel *)(void *)proto_new(&pb__cmd_operation_cancel__descriptor);
    proto_set(&m->id, object_operation(op)->id);
    cmd->body_case = PB__COMMAND__BODY_OPERATION_CANCEL;
    cmd->operation_cancel = m;
    return true;
}

static bool want_tenant(struct sim *s, const struct cluster *state, uint32_t node, uint64_t name,
                        Pb__Command *cmd)
{
    (void)state, (void)node;
    Pb__CmdTenantPut *m = (Pb__CmdTenantPut *)(void *)proto_new(&pb__cmd_tenant_put__descriptor);
    m->tenant = (Pb__Tenant *)(void *)proto_new(&pb__tenant__descriptor);
    m->tenant->meta = new_meta(s, "tenant", name, false);
    cmd->body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd->tenant_put = m;
    return true;
}

Pb__Command *want_any(struct sim *s, const struct cluster *state, uint32_t node, uint64_t name)
{
    static const struct {
        unsigned weight;
        bool (*want)(struct sim *s, const struct cluster *state, uint32_t node, uint64_t name,
                     Pb__Command *cmd);
    } wants[] = {
        {6, want_image},   {16, want_vm},    {50, want_power}, {8, want_update},
        {12, want_delete}, {3, want_cancel}, {5, want_tenant},
    };
    unsigned sum = 0;
    for (size_t i = 0; i < ARRAY_COUNT(wants); i++)
        sum += wants[i].weight;
    uint64_t at = draw(s, sum);
    size_t which = 0;
    while (at >= wants[which].weight)
        at -= wants[which++].weight;
    Pb__Command *cmd = (Pb__Command *)(void *)proto_new(&pb__command__descriptor);
    if (!wants[which].want(s, state, node, name, cmd))
        (void)want_image(s, state, node, name, cmd);
    proto_set(&cmd->actor, "user/sim");
    uint8_t id[16];
    for (size_t i = 0; i < sizeof id; i++)
        id[i] = (uint8_t)rng_next(&s->client);
    cmd->has_id = 1;
    cmd->id = (ProtobufCBinaryData){sizeof id, mem_dup(id, sizeof id)};
    /* As with a key: a retry is the same command, whatever its digest is of. */
    cmd->has_request = 1;
    cmd->request = (ProtobufCBinaryData){sizeof id, mem_dup(id, sizeof id)};
    return cmd;
}
