#include "core/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "core/limits.h"
#include "core/vm_spec.h"
#include "wire/check.h"
#include "wire/field.h"
#include "wire/proto.h"

static const struct {
    const char *name;
    const ProtobufCMessageDescriptor *desc;
} kinds[] = {
    [OBJECT_CLUSTER] = {"cluster", &pb__cluster__descriptor},
    [OBJECT_TENANT] = {"tenant", &pb__tenant__descriptor},
    [OBJECT_PROJECT] = {"project", &pb__project__descriptor},
    [OBJECT_NODE] = {"node", &pb__node__descriptor},
    [OBJECT_IMAGE] = {"image", &pb__image__descriptor},
    [OBJECT_VM] = {"vm", &pb__vm__descriptor},
    [OBJECT_OPERATION] = {"operation", &pb__operation__descriptor},
    [OBJECT_EVENT] = {"event", &pb__event__descriptor},
    [OBJECT_TOKEN] = {"token", &pb__token__descriptor},
};
_Static_assert(ARRAY_COUNT(kinds) == OBJECT_KIND_COUNT, "every kind has its row");

/* Not a secret: it only spreads. The same on every replica. */
static const uint8_t hash_key[16] = "blixard objects";

struct object *object_new(enum object_kind kind, ProtobufCMessage *msg)
{
    require(msg->descriptor == object_descriptor(kind));
    AUTO(buf_done) struct buf packed;
    buf_init(&packed, UINT32_MAX);
    buf_char(&packed, (char)kind);
    proto_pack(msg, &packed);
    ensure(!packed.full);
    struct object *o = NEW(struct object);
    *o = (struct object){
        .refs = 1,
        .size = (uint32_t)packed.len - 1,
        .kind = kind,
        .hash = hash_sip(hash_key, packed.ptr, packed.len),
        .msg = msg,
    };
    return o;
}

struct object *object_ref(struct object *o)
{
    require(o->refs > 0 && o->refs < UINT32_MAX);
    o->refs++;
    return o;
}

void object_unref(struct object *o)
{
    if (!o)
        return;
    require(o->refs > 0);
    if (--o->refs > 0)
        return;
    proto_free(o->msg);
    free(o);
}

const char *object_kind_name(enum object_kind kind)
{
    require(kind < OBJECT_KIND_COUNT);
    return kinds[kind].name;
}

bool object_kind_from(struct str name, enum object_kind *ret)
{
    for (unsigned i = 0; i < OBJECT_KIND_COUNT; i++)
        if (str_is(name, kinds[i].name)) {
            *ret = (enum object_kind)i;
            return true;
        }
    return false;
}

const ProtobufCMessageDescriptor *object_descriptor(enum object_kind kind)
{
    require(kind < OBJECT_KIND_COUNT);
    return kinds[kind].desc;
}

/* How every noun begins that has a meta. */
struct noun {
    ProtobufCMessage base;
    Pb__Meta *meta;
};
#define HAS_META_FIRST(type) \
    _Static_assert(offsetof(type, meta) == offsetof(struct noun, meta), "meta is field 1")
HAS_META_FIRST(Pb__Cluster);
HAS_META_FIRST(Pb__Tenant);
HAS_META_FIRST(Pb__Project);
HAS_META_FIRST(Pb__Node);
HAS_META_FIRST(Pb__Image);
HAS_META_FIRST(Pb__Vm);
HAS_META_FIRST(Pb__Token);

Pb__Meta *object_msg_meta(enum object_kind kind, ProtobufCMessage *msg)
{
    require(msg->descriptor == object_descriptor(kind));
    if (kind == OBJECT_OPERATION || kind == OBJECT_EVENT)
        return NULL;
    return ((struct noun *)(void *)msg)->meta;
}

const Pb__Meta *object_meta(const struct object *o)
{
    return object_msg_meta(o->kind, o->msg);
}

struct str object_event_key(uint64_t index, uint32_t seq, char room[OBJECT_KEY_MAX])
{
    (void)snprintf(room, OBJECT_KEY_MAX, "%016" PRIx64 ".%08" PRIx32, index, seq);
    return str_from(room);
}

struct str object_key(const struct object *o, char room[OBJECT_KEY_MAX])
{
    if (o->kind == OBJECT_EVENT)
        return object_event_key(object_event(o)->index, object_event(o)->seq, room);
    return str_from(object_uid(o));
}

const char *object_uid(const struct object *o)
{
    if (o->kind == OBJECT_EVENT)
        return "";
    if (o->kind == OBJECT_OPERATION)
        return object_operation(o)->id;
    return object_meta(o)->uid;
}

const char *object_name(const struct object *o)
{
    const Pb__Meta *meta = object_meta(o);
    return meta ? meta->name : "";
}

const char *object_project_name(const struct object *o)
{
    const char *project = NULL;
    if (o->kind == OBJECT_OPERATION)
        project = object_operation(o)->project;
    else if (o->kind == OBJECT_EVENT)
        project = object_event(o)->project;
    else
        project = object_meta(o)->project;
    return project ? project : "";
}

#define OBJECT_AS(verb, kind_, type)         \
    const type *verb(const struct object *o) \
    {                                        \
        require(o->kind == (kind_));         \
        return (const type *)(void *)o->msg; \
    }

OBJECT_AS(object_cluster, OBJECT_CLUSTER, Pb__Cluster)
OBJECT_AS(object_tenant, OBJECT_TENANT, Pb__Tenant)
OBJECT_AS(object_project, OBJECT_PROJECT, Pb__Project)
OBJECT_AS(object_node, OBJECT_NODE, Pb__Node)
OBJECT_AS(object_image, OBJECT_IMAGE, Pb__Image)
OBJECT_AS(object_vm, OBJECT_VM, Pb__Vm)
OBJECT_AS(object_operation, OBJECT_OPERATION, Pb__Operation)
OBJECT_AS(object_event, OBJECT_EVENT, Pb__Event)
OBJECT_AS(object_token, OBJECT_TOKEN, Pb__Token)

bool object_unknown(const ProtobufCMessage *m)
{
    if (m->n_unknown_fields > 0)
        return true;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        size_t count = f->type == PROTOBUF_C_TYPE_MESSAGE ? field_count(m, f) : 0;
        for (size_t k = 0; k < count; k++)
            if (object_unknown(field_message(field_at(m, f, k))))
                return true;
    }
    return false;
}

static const char *token_lacking(const Pb__Token *t)
{
    if (!t->id || !t->expires_ns)
        return t->id ? "expires_ns" : "id";
    if (t->kind == PB__TOKEN_KIND__TOKEN_JOIN)
        return t->join_key.len != TOKEN_KEY_SIZE ? "join_key" : NULL;
    if (t->role == PB__ROLE__ROLE_NONE)
        return "role";
    return t->secret_hash.len != TOKEN_HASH_SIZE ? "secret_hash" : NULL;
}

/* What lacks that the core relies on, or NULL. */
static const char *lacking(const struct object *o)
{
    const Pb__Meta *meta = NULL;
    if (o->kind != OBJECT_OPERATION && o->kind != OBJECT_EVENT) {
        meta = object_meta(o);
        if (!meta || !meta->uid || !meta->name || !meta->has_index)
            return "meta";
    }
    if ((o->kind == OBJECT_IMAGE || o->kind == OBJECT_VM) != (meta && meta->project))
        return "meta.project";
    switch (o->kind) {
    case OBJECT_CLUSTER: return object_cluster(o)->has_feature_level ? NULL : "feature_level";
    case OBJECT_TENANT: return NULL;
    case OBJECT_PROJECT: return object_project(o)->tenant ? NULL : "tenant";
    case OBJECT_NODE: {
        const Pb__Node *n = object_node(o);
        return !n->number ? "number" : !n->facts || !n->facts->key ? "facts.key" : NULL;
    }
    case OBJECT_IMAGE: {
        const Pb__Image *i = object_image(o);
        bool ready = i->phase == PB__IMAGE_PHASE__IMAGE_READY;
        return !i->has_phase ? "phase" : !i->node ? "node" : ready && !i->digest ? "digest" : NULL;
    }
    case OBJECT_VM: {
        const Pb__Vm *v = object_vm(o);
        if (!v->spec || !v->spec->image)
            return "spec.image";
        if (!v->status || !v->status->node || !v->status->has_phase)
            return "status";
        return !v->mac ? "mac" : !v->image_digest ? "image_digest" : NULL;
    }
    case OBJECT_OPERATION: {
        const Pb__Operation *p = object_operation(o);
        return !p->id ? "id" : !p->kind ? "kind" : !p->target_uid ? "target_uid" : NULL;
    }
    case OBJECT_EVENT: return object_event(o)->type ? NULL : "type";
    case OBJECT_TOKEN: return token_lacking(object_token(o));
    case OBJECT_KIND_COUNT: break;
    }
    defs_unreachable("object kind");
}

/* What a token of its kind may not have: a role or a secret would make one to join with a credential. */
static enum status token_check(const Pb__Token *t, struct fault *why)
{
    if (t->token || t->ticket)
        return fault_set(why, ST_INVALID, "token: its secret is not for the state");
    bool joins = t->kind == PB__TOKEN_KIND__TOKEN_JOIN;
    if (joins && (t->role != PB__ROLE__ROLE_NONE || t->secret_hash.len > 0))
        return fault_set(why, ST_INVALID, "token: one to join with has neither role nor secret");
    if (!joins && (t->join_key.len > 0 || t->node_name))
        return fault_set(why, ST_INVALID, "token: one of the API has nothing to join with");
    return ST_OK;
}

enum status object_check(const struct object *o, struct fault *why)
{
    const char *name = object_kind_name(o->kind), *lacks = lacking(o);
    if (lacks)
        return fault_set(why, ST_INVALID, "%s: %s is not given", name, lacks);
    enum status s = o->kind == OBJECT_TOKEN ? token_check(object_token(o), why) : ST_OK;
    if (s != ST_OK)
        return s;
    if (object_unknown(o->msg))
        return fault_set(why, ST_INVALID, "%s: it has a field that is not known here", name);
    if (o->size > LIMIT_OBJECT_BYTES)
        return fault_set(why, ST_TOO_BIG, "%s: %" PRIu32 " bytes are more than %d", name, o->size,
                         LIMIT_OBJECT_BYTES);
    s = check_message(o->msg, CHECK_STORED, why);
    if (s == ST_OK && o->kind == OBJECT_VM)
        s = vm_spec_check(object_vm(o)->spec, why);
    return s == ST_OK ? ST_OK : fault_wrap(why, s, "%s", name);
}
