/*
 * tenant_put: a new tenant, or other words for one that exists; its uid tells which.
 */
#include <string.h>

#include "core/cmd.h"

static enum status change(struct txn *t, const struct object *old, const Pb__Tenant *want,
                          struct fault *why)
{
    if (want->meta->name && strcmp(want->meta->name, object_name(old)) != 0) {
        enum status s =
            fault_set(why, ST_INVALID, "meta.name: it cannot be changed from %s", object_name(old));
        fault_field(why, "meta.name");
        return s;
    }
    enum status s = cmd_check_labels(want->meta->labels, want->meta->n_labels, why);
    if (s != ST_OK)
        return s;
    Pb__Tenant *tenant = (Pb__Tenant *)(void *)proto_copy(&object_tenant(old)->base);
    proto_set(&tenant->title, want->title);
    cmd_set_labels(tenant->meta, want->meta->labels, want->meta->n_labels);
    txn_event(t, "tenant.updated", txn_put(t, OBJECT_TENANT, &tenant->base), "%s", "");
    return ST_OK;
}

static enum status make(struct txn *t, const Pb__Tenant *want, struct fault *why)
{
    enum status s = cmd_new_meta(t, want->meta, false, why);
    if (s == ST_OK)
        s = txn_room(t, OBJECT_TENANT, why);
    if (s != ST_OK)
        return s;
    Pb__Tenant *tenant = (Pb__Tenant *)(void *)proto_new(&pb__tenant__descriptor);
    tenant->meta = cmd_copy_meta(want->meta);
    proto_set(&tenant->meta->project, NULL);
    proto_set(&tenant->title, want->title);
    txn_event(t, "tenant.created", txn_put(t, OBJECT_TENANT, &tenant->base), "%s", "");
    return ST_OK;
}

enum status cmd_tenant_put(struct txn *t, const Pb__CmdTenantPut *m, struct fault *why)
{
    enum status s = cmd_need(m->tenant != NULL, "tenant", why);
    if (s == ST_OK)
        s = cmd_need(m->tenant->meta && m->tenant->meta->uid, "meta.uid", why);
    if (s != ST_OK)
        return s;
    const char *uid = m->tenant->meta->uid;
    struct object *old = cluster_find(t->c, OBJECT_TENANT, uid);
    s = cmd_if_index(old, m->has_if_index, m->if_index, why);
    if (s == ST_OK)
        s = old ? change(t, old, m->tenant, why) : make(t, m->tenant, why);
    if (s == ST_OK)
        txn_result(t, uid);
    return s;
}
