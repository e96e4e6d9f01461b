/*
 * cluster_init: the first command of a cluster: the cluster itself, tenant default, project default.
 */
#include <string.h>

#include "core/cmd.h"
#include "core/names.h"

static Pb__Meta *new_meta(const char *uid, const char *name)
{
    Pb__Meta *meta = (Pb__Meta *)(void *)proto_new(&pb__meta__descriptor);
    proto_set(&meta->uid, uid);
    proto_set(&meta->name, name);
    return meta;
}

static void put_tenant(struct txn *t, const char *uid)
{
    Pb__Tenant *tenant = (Pb__Tenant *)(void *)proto_new(&pb__tenant__descriptor);
    tenant->meta = new_meta(uid, NAME_DEFAULT);
    (void)txn_put(t, OBJECT_TENANT, &tenant->base);
}

static void put_project(struct txn *t, const char *uid)
{
    Pb__Project *project = (Pb__Project *)(void *)proto_new(&pb__project__descriptor);
    project->meta = new_meta(uid, NAME_DEFAULT);
    proto_set(&project->tenant, NAME_DEFAULT);
    (void)txn_put(t, OBJECT_PROJECT, &project->base);
}

static enum status check_uids(const struct txn *t, const Pb__CmdClusterInit *m, struct fault *why)
{
    enum status s = cmd_new_uid(t, m->uid, "uid", why);
    if (s == ST_OK)
        s = cmd_new_uid(t, m->tenant_uid, "tenant_uid", why);
    if (s == ST_OK)
        s = cmd_new_uid(t, m->project_uid, "project_uid", why);
    if (s != ST_OK)
        return s;
    if (strcmp(m->uid, m->tenant_uid) == 0 || strcmp(m->uid, m->project_uid) == 0 ||
        strcmp(m->tenant_uid, m->project_uid) == 0)
        return fault_set(why, ST_INVALID, "uid, tenant_uid, project_uid: two of them are the same");
    return ST_OK;
}

enum status cmd_cluster_init(struct txn *t, const Pb__CmdClusterInit *m, uint32_t level,
                             struct fault *why)
{
    if (cluster_level(t->c) > 0)
        return fault_set(why, ST_EXISTS, "the cluster exists already");
    enum status s = check_uids(t, m, why);
    if (s == ST_OK)
        s = cmd_need(m->name != NULL, "name", why);
    if (s == ST_OK)
        s = cmd_need(level > 0, "level", why);
    if (s != ST_OK)
        return s;

    Pb__Cluster *cluster = (Pb__Cluster *)(void *)proto_new(&pb__cluster__descriptor);
    cluster->meta = new_meta(m->uid, m->name);
    PROTO_SET(cluster, feature_level, level);
    PROTO_SET(cluster, epoch, 1);
    struct object *o = txn_put(t, OBJECT_CLUSTER, &cluster->base);
    put_tenant(t, m->tenant_uid);
    put_project(t, m->project_uid);
    txn_event(t, "cluster.created", o, "feature level %" PRIu32, level);
    txn_result(t, m->uid);
    return ST_OK;
}
