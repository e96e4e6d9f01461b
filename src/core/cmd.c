#include "core/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/check.h"

enum status cmd_need(bool given, const char *field, struct fault *why)
{
    if (given)
        return ST_OK;
    enum status s = fault_set(why, ST_INVALID, "%s: it must be given", field);
    fault_field(why, "%s", field);
    return s;
}

enum status cmd_new_uid(const struct txn *t, const char *uid, const char *field, struct fault *why)
{
    enum status s = cmd_need(uid && check_is_uid(uid), field, why);
    if (s != ST_OK)
        return s;
    for (unsigned kind = 0; kind < OBJECT_KIND_COUNT; kind++)
        if (kind != OBJECT_EVENT && /* events have none */
            cluster_find(t->c, (enum object_kind)kind, uid)) {
            s = fault_set(why, ST_EXISTS, "%s: %s is the uid of another %s", field, uid,
                          object_kind_name((enum object_kind)kind));
            fault_field(why, "%s", field);
            return s;
        }
    return ST_OK;
}

enum status cmd_find(const struct txn *t, enum object_kind kind, const char *uid,
                     struct object **ret, struct fault *why)
{
    enum status s = cmd_need(uid != NULL, "uid", why);
    if (s != ST_OK)
        return s;
    struct object *o = cluster_find(t->c, kind, uid);
    if (!o)
        return fault_set(why, ST_NOT_FOUND, "there is no %s with uid %s", object_kind_name(kind),
                         uid);
    *ret = o;
    return ST_OK;
}

enum status cmd_find_project(const struct txn *t, const char *name, struct fault *why)
{
    if (cluster_find_name(t->c, OBJECT_PROJECT, NULL, name))
        return ST_OK;
    enum status s = fault_set(why, ST_NOT_FOUND, "there is no project %s", name);
    fault_field(why, "project");
    return s;
}

enum status cmd_find_node(const struct txn *t, uint32_t number, struct object **ret,
                          struct fault *why)
{
    enum status s = cmd_need(number > 0, "node", why);
    if (s != ST_OK)
        return s;
    struct object *o = cluster_node(t->c, number);
    if (!o) {
        s = fault_set(why, ST_NOT_FOUND, "there is no node of number %" PRIu32, number);
        fault_field(why, "node");
        return s;
    }
    *ret = o;
    return ST_OK;
}

enum status cmd_if_index(const struct object *o, bool has_if_index, uint64_t if_index,
                         struct fault *why)
{
    uint64_t index = o ? object_meta(o)->index : 0;
    if (!has_if_index || if_index == index)
        return ST_OK;
    enum status s =
        o ? fault_set(why, ST_PRECONDITION,
                      "%s %s was last changed at index %" PRIu64 ", not %" PRIu64,
                      object_kind_name(o->kind), object_name(o), index, if_index)
          : fault_set(why, ST_PRECONDITION,
                      "it does not exist, and so was not changed at index %" PRIu64, if_index);
    fault_field(why, "if_index");
    fault_hint(why, "look at it again, then decide");
    return s;
}

enum status cmd_check_labels(Pb__Label *const *labels, size_t count, struct fault *why)
{
    for (size_t i = 0; i < count; i++) {
        const char *wrong = labels[i]->key && labels[i]->key[0] ? NULL : "it must be given";
        for (size_t k = 0; !wrong && k < i; k++)
            if (strcmp(labels[k]->key, labels[i]->key) == 0)
                wrong = "there are two labels of this key";
        if (!wrong)
            continue;
        enum status s = fault_set(why, ST_INVALID, "labels[%zu].key: %s", i, wrong);
        fault_field(why, "labels[%zu].key", i);
        return s;
    }
    return ST_OK;
}

enum status cmd_new_meta(const struct txn *t, const Pb__Meta *meta, bool in_project,
                         struct fault *why)
{
    enum status s = cmd_need(meta != NULL, "meta", why);
    if (s == ST_OK)
        s = cmd_new_uid(t, meta->uid, "meta.uid", why);
    if (s == ST_OK)
        s = cmd_need(meta->name != NULL, "meta.name", why);
    if (s == ST_OK && in_project)
        s = cmd_need(meta->project != NULL, "meta.project", why);
    if (s == ST_OK && in_project)
        s = cmd_find_project(t, meta->project, why);
    if (s == ST_OK)
        s = cmd_check_labels(meta->labels, meta->n_labels, why);
    return s;
}

void cmd_set_labels(Pb__Meta *meta, Pb__Label *const *labels, size_t count)
{
    Pb__Label **copies = count ? NEW_ARRAY(Pb__Label *, count) : NULL;
    for (size_t i = 0; i < count; i++)
        copies[i] = (Pb__Label *)(void *)proto_copy(&labels[i]->base);
    for (size_t i = 0; i < meta->n_labels; i++)
        proto_free(&meta->labels[i]->base);
    free(meta->labels);
    meta->labels = copies;
    meta->n_labels = count;
}

Pb__Meta *cmd_copy_meta(const Pb__Meta *from)
{
    Pb__Meta *meta = (Pb__Meta *)(void *)proto_new(&pb__meta__descriptor);
    proto_set(&meta->uid, from->uid);
    proto_set(&meta->name, from->name);
    proto_set(&meta->project, from->project);
    cmd_set_labels(meta, from->labels, from->n_labels);
    return meta;
}

const char *cmd_node_name(const struct txn *t, uint32_t number, char room[64])
{
    struct object *o = cluster_node(t->c, number);
    if (o)
        return object_name(o);
    (void)snprintf(room, 64, "%" PRIu32, number);
    return room;
}
