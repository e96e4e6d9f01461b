#include "support/draw_command.h"

#include <string.h>

#include "core/state.h"
#include "support/draw_message.h"
#include "support/tap.h"
#include "wire/proto.h"

enum { UIDS = 6, IMAGES = 5, MEMBERS = 10, OPS = 250, BYTES_MAX = 40 };

static const char *const names[] = {"a", "b", "c", "d"};
static const char *const projects[] = {"default", "default", "default", "shop", "nowhere"};
static const char *const images[] = {"base", "disk", "base", "disk", "a", "b"};

void draw_limits(struct limits *l)
{
    limits_default(l);
    l->objects[OBJECT_TENANT] = 3;
    l->objects[OBJECT_PROJECT] = 3;
    l->objects[OBJECT_NODE] = 3;
    l->objects[OBJECT_IMAGE] = 5;
    l->objects[OBJECT_VM] = 5;
    l->objects[OBJECT_OPERATION] = 4;
    l->objects[OBJECT_EVENT] = 10;
    l->objects[OBJECT_TOKEN] = 3;
    l->ended = 6;
    l->done = 12;
}

void draw_start(struct world *w)
{
    struct kit_node node;
    struct limits l;
    world_start(w);
    draw_limits(&l);
    w->c->limits = l;
    kit_node(&node, WORLD_NODE + 50, "n2");
    CHECK_EQ(ST_OK, world_node(w, &node));
    CHECK_EQ(ST_OK, world_project(w, WORLD_PROJECT + 50, "shop", "default"));
}

/* Each kind has uids of its own; one in many is of another kind. */
static uint64_t draw_uid(struct tape *t, uint64_t first)
{
    return WORLD_FREE + first + draw_below(t, UIDS);
}

static uint64_t draw_vm(struct tape *t)
{
    return draw_uid(t, 0);
}

static uint64_t draw_op(struct tape *t)
{
    return WORLD_OP(draw_below(t, OPS));
}

/* A VM that is there, if any is. */
static uint64_t draw_some_vm(struct tape *t, const struct world *w)
{
    uint64_t from = draw_below(t, UIDS);
    for (uint64_t i = 0; i < UIDS; i++) {
        uint64_t uid = WORLD_FREE + (from + i) % UIDS;
        if (cluster_find(w->c, OBJECT_VM, world_uid(uid)))
            return uid;
    }
    return WORLD_FREE + from;
}

/* A node that is there; of those that are, which one is drawn. */
static uint64_t draw_some_node(struct tape *t, const struct world *w)
{
    uint64_t from = draw_below(t, UIDS + 2);
    uint64_t uid = from < UIDS ? WORLD_FREE + MEMBERS + from : WORLD_NODE + 50 * (from - UIDS);
    return cluster_find(w->c, OBJECT_NODE, world_uid(uid)) ? uid : WORLD_NODE + 50;
}

#define DRAW_ONE_OF(t, list) ((list)[draw_below((t), ARRAY_COUNT(list))])

static void step_vm_create(struct tape *t, struct world *w, bool update)
{
    struct kit_vm k;
    kit_vm(&k, update ? draw_some_vm(t, w) : draw_vm(t), DRAW_ONE_OF(t, names));
    k.meta.project = world_text(DRAW_ONE_OF(t, projects));
    k.spec.image = world_text(DRAW_ONE_OF(t, images));
    k.m.node = draw_below(t, 8) ? 1 + (uint32_t)draw_below(t, 2) : (uint32_t)draw_below(t, 4);
    k.m.start = (protobuf_c_boolean)draw_below(t, 2);
    k.m.operation_id = world_uid(draw_op(t));
    if (draw_below(t, 3) == 0)
        PROTO_SET(&k.spec, root, PB__ROOT_KIND__ROOT_PERSISTENT);
    for (uint64_t i = draw_below(t, 6); i > 3; i--)
        kit_vm_port(&k, 1 + (uint32_t)draw_below(t, 5), 80);
    for (uint64_t i = draw_below(t, 6); i > 3; i--)
        kit_vm_volume(&k, DRAW_ONE_OF(t, names), 1 + draw_below(t, 3));
    if (draw_below(t, 4) == 0)
        PROTO_SET(&k.spec, restart, (Pb__Restart)draw_below(t, 3));
    (void)(update ? world_update(w, &k) : world_vm(w, &k));
}

static void step_power(struct tape *t, struct world *w)
{
    static const char *const kinds[] = {"vm.start", "vm.stop", "vm.restart", "vm.pause",
                                        "vm.resume"};
    uint64_t uid = draw_some_vm(t, w), op = draw_op(t);
    const char *kind = DRAW_ONE_OF(t, kinds);
    (void)(draw_below(t, 4) ? world_power(w, uid, kind, op) : world_power_force(w, uid, kind, op));
}

static void step_report(struct tape *t, struct world *w)
{
    struct kit_report k;
    uint64_t uid = draw_some_vm(t, w);
    if (!cluster_find(w->c, OBJECT_VM, world_uid(uid))) {
        (void)world_delete(w, "vm", uid, draw_op(t));
        return;
    }
    kit_report(w, &k, uid, (Pb__VmPhase)draw_below(t, 10));
    if (draw_below(t, 3) == 0) {
        k.status.incarnation += draw_below(t, 3);
        PROTO_SET(&k.status, generation, world_get_vm(w, uid)->generation - draw_below(t, 2));
    }
    if (draw_below(t, 4) == 0)
        PROTO_SET(&k.status, cause, (Pb__ExitCause)draw_below(t, 11));
    if (draw_below(t, 8) == 0)
        k.status.node = 2;
    if (draw_below(t, 4) == 0)
        PROTO_SET(&k.m, gone, true);
    (void)world_report(w, &k);
}

static void step_image(struct tape *t, struct world *w)
{
    struct kit_image k;
    struct kit_ready r;
    uint64_t uid = draw_uid(t, IMAGES);
    switch (draw_below(t, 3)) {
    case 0:
        kit_image(&k, uid, DRAW_ONE_OF(t, names));
        k.meta.project = world_text(DRAW_ONE_OF(t, projects));
        k.m.operation_id = world_uid(draw_op(t));
        (void)world_image(w, &k);
        return;
    case 1:
        kit_ready(&r, uid, (Pb__ImageKind)draw_below(t, 2), draw_below(t, 3));
        r.image.phase = (Pb__ImagePhase)draw_below(t, 4);
        (void)world_ready(w, &r);
        return;
    default: (void)world_image_gone(w, uid); return;
    }
}

static void step_delete(struct tape *t, struct world *w)
{
    uint64_t op = draw_op(t);
    switch (draw_below(t, 6)) {
    case 5: (void)world_delete(w, "token", draw_uid(t, MEMBERS), op); return;
    case 0: (void)world_delete(w, "image", draw_uid(t, IMAGES), op); return;
    case 1: (void)world_delete(w, "project", draw_uid(t, MEMBERS), op); return;
    case 2: (void)world_delete(w, "tenant", draw_uid(t, MEMBERS), op); return;
    case 3: (void)world_delete(w, "node", draw_some_node(t, w), op); return;
    default: (void)world_delete(w, "vm", draw_some_vm(t, w), op); return;
    }
}

/* Often one whose time is over soon, so that a full table has some to drop. */
static void step_token(struct tape *t, struct world *w, uint64_t uid)
{
    struct kit_token k;
    kit_token(w, &k, uid, DRAW_ONE_OF(t, names));
    PROTO_SET(&k.token, role, (Pb__Role)draw_below(t, 4));
    if (draw_below(t, 2))
        k.token.expires_ns = w->time_ns + draw_below(t, 100);
    if (draw_below(t, 8) == 0)
        k.token.secret_hash.len = draw_below(t, TOKEN_HASH_SIZE);
    (void)world_token(w, &k);
}

static void step_join_token(struct tape *t, struct world *w, uint64_t uid)
{
    struct kit_token k;
    kit_join(w, &k, uid, DRAW_ONE_OF(t, names));
    if (draw_below(t, 4) == 0)
        k.token.expires_ns = w->time_ns + draw_below(t, 100);
    if (draw_below(t, 4) == 0)
        k.token.node_name = world_text(DRAW_ONE_OF(t, names));
    if (draw_below(t, 16) == 0)
        k.token.join_key.len = draw_below(t, TOKEN_KEY_SIZE);
    (void)world_token(w, &k);
}

static void step_node(struct tape *t, struct world *w, uint64_t uid)
{
    static char address[] = "10.0.0.1:7001", *addresses[] = {address};
    struct kit_enroll k;
    const char *name = DRAW_ONE_OF(t, names);
    kit_enroll(&k, uid, name, draw_uid(t, MEMBERS));
    k.node.m.number = (uint32_t)draw_below(t, 5);
    if (draw_below(t, 2)) {
        k.node.facts.addresses = addresses;
        k.node.facts.n_addresses = 1;
    }
    (void)(draw_below(t, 3) ? world_enroll(w, &k) : world_node(w, &k.node));
}

static void step_member(struct tape *t, struct world *w)
{
    uint64_t uid = draw_uid(t, MEMBERS);
    switch (draw_below(t, 6)) {
    case 3: step_token(t, w, uid); return;
    case 4: step_join_token(t, w, uid); return;
    case 0: (void)world_tenant(w, uid, DRAW_ONE_OF(t, names)); return;
    case 1: (void)world_project(w, uid, DRAW_ONE_OF(t, names), DRAW_ONE_OF(t, names)); return;
    default: step_node(t, w, uid); return;
    }
}

/* Whatever the limits of the fields allow; mostly with an id and level that are taken. */
static void step_any_message(struct tape *t, struct world *w)
{
    Pb__Command *cmd = (Pb__Command *)(void *)draw_message(t, &pb__command__descriptor);
    bool own_id = cmd->has_id && !draw_below(t, 8);
    cmd->has_id = own_id;
    if (!own_id)
        PROTO_SET(cmd, level, 1);
    (void)world_run(w, cmd);
    proto_free(&cmd->base);
}

static void step_any_bytes(struct tape *t, struct world *w)
{
    buf_reset(&w->packed);
    for (uint64_t i = draw_below(t, BYTES_MAX); i > 0; i--)
        buf_char(&w->packed, (char)draw_below(t, 256));
    (void)world_apply(w, buf_view(&w->packed));
}

void draw_step(struct tape *t, struct world *w)
{
    w->same_id = draw_below(t, 16) == 15;
    uint64_t request = draw_below(t, 64);
    w->request = request < 48 ? 1 : request < 62 ? 0 : 2;
    switch (draw_below(t, 16)) {
    case 0:
    case 1:
    case 2: step_vm_create(t, w, false); return;
    case 3: step_vm_create(t, w, true); return;
    case 4:
    case 5:
    case 6: step_power(t, w); return;
    case 7:
    case 8:
    case 9: step_report(t, w); return;
    case 10: step_image(t, w); return;
    case 11: step_delete(t, w); return;
    case 12: step_member(t, w); return;
    case 13: (void)world_cancel(w, draw_op(t)); return;
    case 14: step_any_message(t, w); return;
    default: step_any_bytes(t, w); return;
    }
}
