/*
 * delete: tokens go at once; tenants, projects and nodes too, when nothing is in them; images and VMs
 * when their node has removed their files.
 */
#include <string.h>

#include "core/cmd.h"
#include "core/names.h"

static enum status keep_default(const struct object *o, struct fault *why)
{
    if (strcmp(object_name(o), NAME_DEFAULT) != 0)
        return ST_OK;
    return fault_set(why, ST_CONFLICT, "%s default stays: it is meant by requests that name none",
                     object_kind_name(o->kind));
}

static enum status refuse_in_use(const struct object *o, const struct object *user,
                                 struct fault *why)
{
    enum status s = fault_set(why, ST_IN_USE, "%s %s is in use by %s %s", object_kind_name(o->kind),
                              object_name(o), object_kind_name(user->kind), object_name(user));
    fault_hint(why, "delete what is in it first");
    return s;
}

static void remove_now(struct txn *t, struct object *o, const char *type)
{
    txn_remove(t, o);
    txn_event(t, type, o, "%s", "");
    txn_result(t, object_uid(o));
}

static enum status delete_tenant(struct txn *t, struct object *o, struct fault *why)
{
    enum status s = keep_default(o, why);
    if (s != ST_OK)
        return s;
    MAP_EACH(cluster_table(t->c, OBJECT_PROJECT), uid, value)
        if (strcmp(object_project(value)->tenant, object_name(o)) == 0)
            return refuse_in_use(o, value, why);
    remove_now(t, o, "tenant.deleted");
    return ST_OK;
}

static enum status delete_project(struct txn *t, struct object *o, struct fault *why)
{
    enum status s = keep_default(o, why);
    if (s != ST_OK)
        return s;
    static const enum object_kind inside[] = {OBJECT_VM, OBJECT_IMAGE};
    for (size_t i = 0; i < ARRAY_COUNT(inside); i++) {
        struct ikey prefix;
        struct str key;
        void *user;
        ikey_init(&prefix);
        ikey_text(&prefix, object_name(o));
        if (ikey_first(&t->c->derived.name[inside[i]], &prefix, &key, &user))
            return refuse_in_use(o, user, why);
    }
    remove_now(t, o, "project.deleted");
    return ST_OK;
}

enum status cmd_delete(struct txn *t, const Pb__CmdDelete *m, struct fault *why)
{
    enum object_kind kind = OBJECT_KIND_COUNT;
    struct object *o = NULL;
    enum status s = cmd_need(m->kind != NULL, "kind", why);
    if (s != ST_OK)
        return s;
    if (!object_kind_from(str_from(m->kind), &kind) ||
        !(kind == OBJECT_TENANT || kind == OBJECT_PROJECT || kind == OBJECT_IMAGE ||
          kind == OBJECT_VM || kind == OBJECT_NODE || kind == OBJECT_TOKEN)) {
        s = fault_set(
            why, ST_INVALID,
            "kind: \"%s\" cannot be deleted; tenant, project, image, vm, node and token can",
            m->kind);
        fault_field(why, "kind");
        return s;
    }
    s = cmd_find(t, kind, m->uid, &o, why);
    if (s == ST_OK)
        s = cmd_if_index(o, m->has_if_index, m->if_index, why);
    if (s != ST_OK)
        return s;
    switch (kind) {
    case OBJECT_TENANT: return delete_tenant(t, o, why);
    case OBJECT_PROJECT: return delete_project(t, o, why);
    case OBJECT_TOKEN: remove_now(t, o, "token.revoked"); return ST_OK;
    case OBJECT_NODE: return cmd_delete_node(t, o, m, why);
    case OBJECT_IMAGE: return cmd_delete_image(t, o, m, why);
    default: return cmd_delete_vm(t, o, m, why);
    }
}
