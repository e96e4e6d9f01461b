#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/state.h"
#include "support/tap.h"
#include "wire/proto.h"

#define TIME_START_NS UINT64_C(1700000000000000000)

char *world_text(const char *text)
{
    return (char *)(uintptr_t)text;
}

char *world_uid(uint64_t n)
{
    static char rooms[256][33];
    static unsigned next;
    char *room = rooms[next++ % 256];
    (void)snprintf(room, 33, "%016" PRIx64 "%016" PRIx64, n * UINT64_C(0x9e3779b97f4a7c15), n);
    return room;
}

char *world_digest(uint64_t n)
{
    static char rooms[64][72];
    static unsigned next;
    char *room = rooms[next++ % 64];
    (void)snprintf(room, 72, "sha256:%064" PRIx64, n);
    return room;
}

/* --- running --- */

void world_init(struct world *w, const struct limits *l)
{
    *w = (struct world){.time_ns = TIME_START_NS, .level = 1, .request = 1};
    w->c = l ? cluster_new_limits(l) : cluster_new();
    buf_init(&w->packed, 1 << 20);
}

void world_done(struct world *w)
{
    apply_result_done(&w->r);
    cluster_free(w->c);
    buf_done(&w->packed);
}

enum status world_apply(struct world *w, struct str bytes)
{
    apply_result_done(&w->r);
    w->hash_before = cluster_objects_hash(w->c);
    cluster_apply(w->c, ++w->index, bytes, &w->r);
    CHECK_EQ(w->index, cluster_index(w->c));
    CHECK_EQ(w->index, w->r.index);
    if (w->r.status != ST_OK || w->r.replay) {
        CHECK(w->hash_before == cluster_objects_hash(w->c));
        CHECK_EQ(0, w->r.change_count);
        CHECK_EQ(0, w->r.event_count);
    }
    return w->r.status;
}

enum status world_run(struct world *w, const Pb__Command *cmd)
{
    Pb__Command c = *cmd;
    for (size_t i = 0; !w->same_id && ++w->id[i] == 0;)
        i++;
    w->same_id = false;
    if (!c.has_id) {
        c.has_id = true;
        c.id = (ProtobufCBinaryData){16, w->id};
    }
    uint8_t request[16] = {w->request};
    if (w->request && !c.has_request) {
        c.has_request = true;
        c.request = (ProtobufCBinaryData){sizeof request, request};
    }
    if (!c.has_time_ns)
        PROTO_SET(&c, time_ns, w->time_ns++);
    if (!c.has_level)
        PROTO_SET(&c, level, w->level);
    if (!c.actor)
        c.actor = world_text("root");
    buf_reset(&w->packed);
    proto_pack(&c.base, &w->packed);
    CHECK(!w->packed.full);
    return world_apply(w, buf_view(&w->packed));
}

/* Run a body: the name of its field and of its case. */
#define RUN(w, field, CASE, message)               \
    do {                                           \
        Pb__Command cmd_ = PB__COMMAND__INIT;      \
        cmd_.body_case = PB__COMMAND__BODY_##CASE; \
        cmd_.field = (message);                    \
        return world_run((w), &cmd_);              \
    } while (0)

static enum status init_cluster(struct world *w)
{
    Pb__CmdClusterInit m = PB__CMD_CLUSTER_INIT__INIT;
    m.uid = world_uid(WORLD_CLUSTER);
    m.name = world_text("c");
    m.tenant_uid = world_uid(WORLD_TENANT);
    m.project_uid = world_uid(WORLD_PROJECT);
    RUN(w, cluster_init, CLUSTER_INIT, &m);
}

static void add_image(struct world *w, uint64_t uid, const char *name, Pb__ImageKind kind)
{
    struct kit_image image;
    struct kit_ready ready;
    kit_image(&image, uid, name);
    CHECK_EQ(ST_OK, world_image(w, &image));
    kit_ready(&ready, uid, kind, uid);
    CHECK_EQ(ST_OK, world_ready(w, &ready));
}

void world_start(struct world *w)
{
    struct kit_node node;
    world_init(w, NULL);
    CHECK_EQ(ST_OK, init_cluster(w));
    kit_node(&node, WORLD_NODE, "n1");
    CHECK_EQ(ST_OK, world_node(w, &node));
    add_image(w, WORLD_IMAGE, "base", PB__IMAGE_KIND__IMAGE_INITRAMFS);
    add_image(w, WORLD_DISK, "disk", PB__IMAGE_KIND__IMAGE_DISK);
}

/* --- nodes, tenants, projects --- */

void kit_node(struct kit_node *k, uint64_t uid, const char *name)
{
    pb__cmd_node_hello__init(&k->m);
    pb__node_facts__init(&k->facts);
    (void)snprintf(k->key, sizeof k->key, "%064" PRIx64, uid);
    k->facts.key = k->key;
    PROTO_SET(&k->facts, feature_level_max, 1);
    PROTO_SET(&k->facts, mem_mib, 8192);
    k->m.uid = world_uid(uid);
    k->m.name = world_text(name);
    k->m.facts = &k->facts;
    PROTO_SET(&k->m, number, uid == WORLD_NODE ? 1 : 2);
}

static void token_id(uint64_t uid, char out[11])
{
    (void)snprintf(out, 11, "%010" PRIu64, uid % 10000000000);
}

void kit_enroll(struct kit_enroll *k, uint64_t uid, const char *name, uint64_t token)
{
    kit_node(&k->node, uid, name);
    pb__cmd_node_enroll__init(&k->m);
    token_id(token, k->id);
    k->m.token_id = k->id;
    k->m.uid = k->node.m.uid;
    k->m.name = k->node.m.name;
    k->m.facts = &k->node.facts;
}

enum status world_enroll(struct world *w, struct kit_enroll *k)
{
    RUN(w, node_enroll, NODE_ENROLL, &k->m);
}

enum status world_node(struct world *w, struct kit_node *k)
{
    RUN(w, node_hello, NODE_HELLO, &k->m);
}

enum status world_tenant(struct world *w, uint64_t uid, const char *name)
{
    Pb__Meta meta = PB__META__INIT;
    Pb__Tenant tenant = PB__TENANT__INIT;
    Pb__CmdTenantPut m = PB__CMD_TENANT_PUT__INIT;
    meta.uid = world_uid(uid);
    meta.name = world_text(name);
    tenant.meta = &meta;
    m.tenant = &tenant;
    RUN(w, tenant_put, TENANT_PUT, &m);
}

enum status world_project(struct world *w, uint64_t uid, const char *name, const char *tenant)
{
    Pb__Meta meta = PB__META__INIT;
    Pb__Project project = PB__PROJECT__INIT;
    Pb__CmdProjectPut m = PB__CMD_PROJECT_PUT__INIT;
    meta.uid = world_uid(uid);
    meta.name = world_text(name);
    project.meta = &meta;
    project.tenant = world_text(tenant);
    m.project = &project;
    RUN(w, project_put, PROJECT_PUT, &m);
}

/* --- images --- */

void kit_image(struct kit_image *k, uint64_t uid, const char *name)
{
    pb__cmd_image_create__init(&k->m);
    pb__image__init(&k->image);
    pb__meta__init(&k->meta);
    pb__image_source__init(&k->source);
    k->meta.uid = world_uid(uid);
    k->meta.name = world_text(name);
    k->meta.project = world_text("default");
    k->image.meta = &k->meta;
    k->image.source = &k->source;
    k->m.image = &k->image;
    PROTO_SET(&k->m, node, 1);
    k->m.operation_id = world_uid(WORLD_OP(uid));
}

enum status world_image(struct world *w, struct kit_image *k)
{
    RUN(w, image_create, IMAGE_CREATE, &k->m);
}

static void fill_blob(Pb__Blob *b, uint64_t digest, uint64_t size)
{
    pb__blob__init(b);
    b->digest = world_digest(digest);
    PROTO_SET(b, size, size);
}

void kit_ready(struct kit_ready *k, uint64_t uid, Pb__ImageKind kind, uint64_t digest)
{
    pb__cmd_image_report__init(&k->m);
    pb__image__init(&k->image);
    fill_blob(&k->kernel, digest + 1000, 1 << 20);
    fill_blob(&k->initrd, digest + 2000, 2 << 20);
    fill_blob(&k->disk, digest + 3000, 4 << 20);
    k->image.kernel = &k->kernel;
    k->image.initrd = &k->initrd;
    if (kind == PB__IMAGE_KIND__IMAGE_DISK) {
        k->image.disk = &k->disk;
        PROTO_SET(&k->image, disk_format, PB__DISK_FORMAT__DISK_QCOW2);
    }
    PROTO_SET(&k->image, kind, kind);
    PROTO_SET(&k->image, phase, PB__IMAGE_PHASE__IMAGE_READY);
    k->image.digest = world_digest(digest);
    k->m.uid = world_uid(uid);
    k->m.image = &k->image;
    PROTO_SET(&k->m, node, 1);
}

enum status world_ready(struct world *w, struct kit_ready *k)
{
    RUN(w, image_report, IMAGE_REPORT, &k->m);
}

enum status world_image_gone(struct world *w, uint64_t uid)
{
    Pb__CmdImageReport m = PB__CMD_IMAGE_REPORT__INIT;
    m.uid = world_uid(uid);
    PROTO_SET(&m, node, 1);
    PROTO_SET(&m, gone, true);
    RUN(w, image_report, IMAGE_REPORT, &m);
}

/* --- VMs --- */

void kit_vm(struct kit_vm *k, uint64_t uid, const char *name)
{
    pb__cmd_vm_create__init(&k->m);
    pb__vm__init(&k->vm);
    pb__meta__init(&k->meta);
    pb__vm_spec__init(&k->spec);
    k->meta.uid = world_uid(uid);
    k->meta.name = world_text(name);
    k->meta.project = world_text("default");
    k->meta.labels = k->labels;
    k->spec.image = world_text("base");
    k->spec.volumes = k->volumes;
    k->spec.ports = k->ports;
    k->vm.meta = &k->meta;
    k->vm.spec = &k->spec;
    k->m.vm = &k->vm;
    PROTO_SET(&k->m, node, 1);
    PROTO_SET(&k->m, start, true);
    k->m.operation_id = world_uid(WORLD_OP(uid));
}

void kit_vm_label(struct kit_vm *k, const char *key, const char *value)
{
    size_t n = k->meta.n_labels++;
    pb__label__init(&k->label[n]);
    k->label[n].key = world_text(key);
    k->label[n].value = world_text(value);
    k->labels[n] = &k->label[n];
}

void kit_vm_volume(struct kit_vm *k, const char *name, uint64_t size_mib)
{
    size_t n = k->spec.n_volumes++;
    pb__volume__init(&k->volume[n]);
    k->volume[n].name = world_text(name);
    PROTO_SET(&k->volume[n], size_mib, size_mib);
    k->volumes[n] = &k->volume[n];
}

void kit_vm_port(struct kit_vm *k, uint32_t host, uint32_t guest)
{
    size_t n = k->spec.n_ports++;
    pb__port_forward__init(&k->port[n]);
    PROTO_SET(&k->port[n], host_port, host);
    PROTO_SET(&k->port[n], guest_port, guest);
    k->ports[n] = &k->port[n];
}

enum status world_vm(struct world *w, struct kit_vm *k)
{
    RUN(w, vm_create, VM_CREATE, &k->m);
}

enum status world_update(struct world *w, struct kit_vm *k)
{
    Pb__CmdVmUpdate m = PB__CMD_VM_UPDATE__INIT;
    m.uid = k->meta.uid;
    m.spec = k->vm.spec;
    m.labels = k->meta.labels;
    m.n_labels = k->meta.n_labels;
    RUN(w, vm_update, VM_UPDATE, &m);
}

void world_vm_running(struct world *w, uint64_t uid, const char *name)
{
    struct kit_vm k;
    kit_vm(&k, uid, name);
    CHECK_EQ(ST_OK, world_vm(w, &k));
    CHECK_EQ(ST_OK, world_says(w, uid, PB__VM_PHASE__VM_STARTING, true));
    CHECK_EQ(ST_OK, world_says(w, uid, PB__VM_PHASE__VM_RUNNING, false));
}

void world_vm_stopped(struct world *w, uint64_t uid, const char *name)
{
    struct kit_vm k;
    kit_vm(&k, uid, name);
    k.m.start = false;
    CHECK_EQ(ST_OK, world_vm(w, &k));
}

static enum status power(struct world *w, uint64_t uid, const char *kind, uint64_t op, bool force)
{
    Pb__CmdVmPower m = PB__CMD_VM_POWER__INIT;
    m.uid = world_uid(uid);
    m.kind = world_text(kind);
    m.operation_id = world_uid(op);
    PROTO_SET(&m, force, force);
    if (strcmp(kind, "vm.restart") == 0)
        PROTO_SET(&m, restart, true);
    PROTO_SET(&m, power,
              strcmp(kind, "vm.stop") == 0    ? PB__POWER__POWER_STOPPED
              : strcmp(kind, "vm.pause") == 0 ? PB__POWER__POWER_PAUSED
                                              : PB__POWER__POWER_RUNNING);
    RUN(w, vm_power, VM_POWER, &m);
}

enum status world_power(struct world *w, uint64_t uid, const char *kind, uint64_t op)
{
    return power(w, uid, kind, op, false);
}

enum status world_power_force(struct world *w, uint64_t uid, const char *kind, uint64_t op)
{
    return power(w, uid, kind, op, true);
}

void kit_report(struct world *w, struct kit_report *k, uint64_t uid, Pb__VmPhase phase)
{
    const Pb__Vm *vm = world_get_vm(w, uid);
    pb__cmd_vm_report__init(&k->m);
    pb__vm_status__init(&k->status);
    PROTO_SET(&k->status, phase, phase);
    PROTO_SET(&k->status, node, vm->status->node);
    PROTO_SET(&k->status, epoch, vm->status->epoch);
    PROTO_SET(&k->status, incarnation, vm->status->incarnation);
    k->m.uid = world_uid(uid);
    k->m.status = &k->status;
}

enum status world_report(struct world *w, struct kit_report *k)
{
    RUN(w, vm_report, VM_REPORT, &k->m);
}

enum status world_says(struct world *w, uint64_t uid, Pb__VmPhase phase, bool later)
{
    struct kit_report k;
    kit_report(w, &k, uid, phase);
    if (later) {
        k.status.incarnation++;
        PROTO_SET(&k.status, generation, world_get_vm(w, uid)->generation);
    }
    return world_report(w, &k);
}

enum status world_says_end(struct world *w, uint64_t uid, Pb__VmPhase phase, Pb__ExitCause cause,
                           const char *detail)
{
    struct kit_report k;
    kit_report(w, &k, uid, phase);
    PROTO_SET(&k.status, cause, cause);
    k.status.detail = world_text(detail);
    return world_report(w, &k);
}

enum status world_gone(struct world *w, uint64_t uid)
{
    struct kit_report k;
    kit_report(w, &k, uid, PB__VM_PHASE__VM_ABSENT);
    PROTO_SET(&k.m, gone, true);
    return world_report(w, &k);
}

/* --- the rest --- */

enum status world_delete_force(struct world *w, const char *kind, uint64_t uid)
{
    Pb__CmdDelete m = PB__CMD_DELETE__INIT;
    m.kind = world_text(kind);
    m.uid = world_uid(uid);
    PROTO_SET(&m, force, true);
    RUN(w, delete_, DELETE, &m);
}

enum status world_delete(struct world *w, const char *kind, uint64_t uid, uint64_t op)
{
    Pb__CmdDelete m = PB__CMD_DELETE__INIT;
    m.kind = world_text(kind);
    m.uid = world_uid(uid);
    m.operation_id = op ? world_uid(op) : NULL;
    RUN(w, delete_, DELETE, &m);
}

void kit_token(struct world *w, struct kit_token *k, uint64_t uid, const char *name)
{
    pb__cmd_token_create__init(&k->m);
    pb__token__init(&k->token);
    pb__meta__init(&k->meta);
    memset(k->hash, 0, sizeof k->hash);
    token_id(uid, k->id);
    k->m.token = &k->token;
    k->token.meta = &k->meta;
    k->meta.uid = world_uid(uid);
    k->meta.name = world_text(name);
    k->token.id = k->id;
    PROTO_SET(&k->token, role, PB__ROLE__ROLE_VIEWER);
    PROTO_SET(&k->token, expires_ns, w->time_ns + UINT64_C(86400000000000));
    k->token.has_secret_hash = true;
    k->token.secret_hash = (ProtobufCBinaryData){sizeof k->hash, k->hash};
}

void kit_join(struct world *w, struct kit_token *k, uint64_t uid, const char *name)
{
    kit_token(w, k, uid, name);
    PROTO_SET(&k->token, kind, PB__TOKEN_KIND__TOKEN_JOIN);
    k->token.has_role = k->token.has_secret_hash = false;
    k->token.role = PB__ROLE__ROLE_NONE;
    k->token.join_key = k->token.secret_hash;
    k->token.secret_hash = (ProtobufCBinaryData){0};
    k->token.has_join_key = true;
}

enum status world_token(struct world *w, struct kit_token *k)
{
    RUN(w, token_create, TOKEN_CREATE, &k->m);
}

enum status world_cancel(struct world *w, uint64_t op)
{
    Pb__CmdOperationCancel m = PB__CMD_OPERATION_CANCEL__INIT;
    m.id = world_uid(op);
    RUN(w, operation_cancel, OPERATION_CANCEL, &m);
}

static struct object *get(const struct world *w, enum object_kind kind, uint64_t uid)
{
    struct object *o = cluster_find(w->c, kind, world_uid(uid));
    CHECK(o != NULL);
    return o;
}

const Pb__Vm *world_get_vm(const struct world *w, uint64_t uid)
{
    return object_vm(get(w, OBJECT_VM, uid));
}

const Pb__Image *world_get_image(const struct world *w, uint64_t uid)
{
    return object_image(get(w, OBJECT_IMAGE, uid));
}

const Pb__Operation *world_get_op(const struct world *w, uint64_t uid)
{
    return object_operation(get(w, OBJECT_OPERATION, uid));
}

Pb__OperationPhase world_op_phase(const struct world *w, uint64_t uid)
{
    return world_get_op(w, uid)->phase;
}

const char *world_event(const struct world *w, size_t n)
{
    static char text[800];
    if (n >= w->r.event_count)
        return "";
    const Pb__Event *e = object_event(w->r.events[n]);
    (void)snprintf(text, sizeof text, "%s: %s", e->type, e->text ? e->text : "");
    return text;
}
