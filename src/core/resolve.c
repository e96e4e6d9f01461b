/*
 * resolve: what a person means by a name, a uid, or the beginning of a uid.
 */
#include <string.h>

#include "core/state.h"

enum { PREFIX_MIN = 4, NEAR_MAX = 1000, SHOWN_MAX = 40 };

static bool belongs(const struct object *o, const char *project)
{
    const char *of = object_project_name(o);
    return !project || !of[0] || strcmp(of, project) == 0;
}

/* The objects whose uid begins so: the first one and how many there are, up to two. */
static size_t match_prefix(const struct cluster *c, enum object_kind kind, const char *project,
                           const char *prefix, struct object **ret)
{
    size_t count = 0;
    struct str key = str_from(prefix);
    void *value;
    for (bool more = map_seek(cluster_table(c, kind), key, false, &key, &value);
         more && count < 2 && str_starts(key, prefix);
         more = map_seek(cluster_table(c, kind), key, true, &key, &value)) {
        if (!belongs(value, project))
            continue;
        if (count++ == 0)
            *ret = value;
    }
    return count;
}

/* A name that is much like it, of the first so many of the project. */
static const char *nearest_name(const struct cluster *c, enum object_kind kind, const char *project,
                                const char *word)
{
    const char *names[NEAR_MAX];
    size_t count = 0;
    struct ikey prefix;
    struct str key;
    void *value;
    bool scoped = kind == OBJECT_VM || kind == OBJECT_IMAGE;
    ikey_init(&prefix);
    ikey_text(&prefix, scoped ? project : NULL);
    const struct map *m = &c->derived.name[kind];
    for (bool more = ikey_first(m, &prefix, &key, &value); more && count < NEAR_MAX;
         more = ikey_next(m, &prefix, &key, &value))
        names[count++] = object_name(value);
    return str_nearest(str_from(word), names, count);
}

static enum status refuse(const struct cluster *c, enum object_kind kind, const char *project,
                          const char *word, struct fault *why)
{
    const char *near = nearest_name(c, kind, project, word);
    enum status s = fault_set(why, ST_NOT_FOUND, "there is no %s %.*s", object_kind_name(kind),
                              SHOWN_MAX, word);
    if (near)
        fault_hint(why, "did you mean %s?", near);
    return s;
}

enum status cluster_resolve(const struct cluster *c, enum object_kind kind, const char *project,
                            const char *name_or_uid, struct object **ret, struct fault *why)
{
    struct object *o = NULL;
    size_t len = strlen(name_or_uid);
    if (kind == OBJECT_EVENT || len == 0)
        return refuse(c, kind, project, name_or_uid, why);
    o = cluster_find(c, kind, name_or_uid);
    if (!o || !belongs(o, project))
        o = cluster_find_name(c, kind, project, name_or_uid);
    if (o) {
        *ret = o;
        return ST_OK;
    }
    size_t count = 0;
    if (len >= PREFIX_MIN && str_is_hex(str_from(name_or_uid), len))
        count = match_prefix(c, kind, project, name_or_uid, &o);
    if (count == 0)
        return refuse(c, kind, project, name_or_uid, why);
    if (count > 1) {
        enum status s =
            fault_set(why, ST_CONFLICT, "more than one %s has a uid that begins with %s",
                      object_kind_name(kind), name_or_uid);
        fault_hint(why, "give more of its digits, or its name");
        return s;
    }
    *ret = o;
    return ST_OK;
}
