/*
 * project_put: a new project, or other words for one that exists; its uid tells which.
 */
#include <string.h>

#include "core/cmd.h"

static enum status refuse_change(const char *field, const char *was, struct fault *why)
{
    enum status s = fault_set(why, ST_INVALID, "%s: it cannot be changed from %s", field, was);
    fault_field(why, "%s", field);
    return s;
}

static enum status change(struct txn *t, const struct object *old, const Pb__Project *want,
                          struct fault *why)
{
    const char *tenant = object_project(old)->tenant;
    if (want->meta->name && strcmp(want->meta->name, object_name(old)) != 0)
        return refuse_change("meta.name", object_name(old), why);
    if (want->tenant && strcmp(want->tenant, tenant) != 0)
        return refuse_change("tenant", tenant, why);
    enum status s = cmd_check_labels(want->meta->labels, want->meta->n_labels, why);
    if (s != ST_OK)
        return s;
    Pb__Project *project = (Pb__Project *)(void *)proto_copy(&object_project(old)->base);
    proto_set(&project->title, want->title);
    cmd_set_labels(project->meta, want->meta->labels, want->meta->n_labels);
    txn_event(t, "project.updated", txn_put(t, OBJECT_PROJECT, &project->base), "%s", "");
    return ST_OK;
}

static enum status make(struct txn *t, const Pb__Project *want, struct fault *why)
{
    enum status s = cmd_new_meta(t, want->meta, false, why);
    if (s == ST_OK)
        s = cmd_need(want->tenant != NULL, "tenant", why);
    if (s == ST_OK && !cluster_find_name(t->c, OBJECT_TENANT, NULL, want->tenant)) {
        s = fault_set(why, ST_NOT_FOUND, "there is no tenant %s", want->tenant);
        fault_field(why, "tenant");
    }
    if (s == ST_OK)
        s = txn_room(t, OBJECT_PROJECT, why);
    if (s != ST_OK)
        return s;
    Pb__Project *project = (Pb__Project *)(void *)proto_new(&pb__project__descriptor);
    project->meta = cmd_copy_meta(want->meta);
    proto_set(&project->meta->project, NULL);
    proto_set(&project->tenant, want->tenant);
    proto_set(&project->title, want->title);
    txn_event(t, "project.created", txn_put(t, OBJECT_PROJECT, &project->base), "tenant %s",
              want->tenant);
    return ST_OK;
}

enum status cmd_project_put(struct txn *t, const Pb__CmdProjectPut *m, struct fault *why)
{
    enum status s = cmd_need(m->project != NULL, "project", why);
    if (s == ST_OK)
        s = cmd_need(m->project->meta && m->project->meta->uid, "meta.uid", why);
    if (s != ST_OK)
        return s;
    const char *uid = m->project->meta->uid;
    struct object *old = cluster_find(t->c, OBJECT_PROJECT, uid);
    s = cmd_if_index(old, m->has_if_index, m->if_index, why);
    if (s == ST_OK)
        s = old ? change(t, old, m->project, why) : make(t, m->project, why);
    if (s == ST_OK)
        txn_result(t, uid);
    return s;
}
