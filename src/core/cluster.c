#include "core/cluster.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "core/plan.h"

struct cluster *cluster_new_limits(const struct limits *l)
{
    struct cluster *c = NEW(struct cluster);
    c->limits = *l;
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        table_init(&c->table[i]);
    index_init(&c->derived);
    done_table_init(&c->done);
    c->next = NEW(struct plan);
    return c;
}

struct cluster *cluster_new(void)
{
    struct limits l;
    limits_default(&l);
    return cluster_new_limits(&l);
}

void cluster_free(struct cluster *c)
{
    if (!c)
        return;
    plan_drop(c->next);
    free(c->next);
    index_done(&c->derived);
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        table_done(&c->table[i]);
    done_table_done(&c->done);
    free(c);
}

static struct object *last_object(const struct cluster *c)
{
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        if (c->table[i].count)
            return c->table[i].items[c->table[i].count - 1];
    return NULL;
}

bool cluster_free_some(struct cluster *c, size_t count)
{
    plan_drop(c->next); /* it points at objects */
    for (struct object *o; (o = last_object(c)); count--) {
        if (count == 0)
            return false;
        object_unref(cluster_take(c, o));
    }
    cluster_free(c);
    return true;
}

/* --- change --- */

struct object *cluster_put(struct cluster *c, struct object *o)
{
    struct object *before = table_put(&c->table[o->kind], o);
    if (before)
        index_swap(&c->derived, before, o);
    else
        index_add(&c->derived, o);
    return before;
}

struct object *cluster_take(struct cluster *c, struct object *o)
{
    char room[OBJECT_KEY_MAX];
    index_cut(&c->derived, o);
    ensure(table_take(&c->table[o->kind], object_key(o, room)) == o);
    return o;
}

static bool drop_first(struct cluster *c, const struct map *m)
{
    struct str key;
    void *value;
    if (!map_seek(m, STR(""), false, &key, &value))
        return false;
    struct object *o = value;
    if (o->kind == OBJECT_EVENT) {
        c->event_dropped_index = object_event(o)->index;
        c->event_dropped_seq = object_event(o)->seq;
    }
    object_unref(cluster_take(c, o));
    return true;
}

void cluster_trim(struct cluster *c)
{
    const struct map *ended = &c->derived.operation_by_age;
    while (ended->count > c->limits.ended || c->derived.ended_bytes > c->limits.ended_bytes)
        ensure(drop_first(c, ended));
    const struct table *events = &c->table[OBJECT_EVENT];
    while (events->count > c->limits.objects[OBJECT_EVENT] ||
           events->bytes > c->limits.events_bytes)
        ensure(drop_first(c, &events->by_key));
}

/* --- read --- */

uint64_t cluster_index(const struct cluster *c)
{
    return c->index;
}

uint64_t cluster_time_ns(const struct cluster *c)
{
    return c->time_ns;
}

uint32_t cluster_level(const struct cluster *c)
{
    const struct table *t = &c->table[OBJECT_CLUSTER];
    return t->count ? object_cluster(t->items[0])->feature_level : 0;
}

uint64_t cluster_bytes(const struct cluster *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        sum += c->table[i].bytes;
    return sum;
}

uint64_t cluster_objects_hash(const struct cluster *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < OBJECT_KIND_COUNT; i++)
        sum += c->table[i].hash; /* an object's hash tells its kind */
    return sum;
}

uint64_t cluster_hash(const struct cluster *c)
{
    uint64_t parts[] = {cluster_objects_hash(c), c->done.hash,           c->time_ns,
                        c->node_number_last,     c->event_dropped_index, c->event_dropped_seq};
    uint64_t h = 0;
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        h = hash_mix(h + parts[i]);
    return h;
}

const struct map *cluster_table(const struct cluster *c, enum object_kind kind)
{
    require(kind < OBJECT_KIND_COUNT);
    return &c->table[kind].by_key;
}

size_t cluster_count(const struct cluster *c, enum object_kind kind)
{
    return cluster_table(c, kind)->count;
}

struct object *cluster_find(const struct cluster *c, enum object_kind kind, const char *uid)
{
    return map_find(cluster_table(c, kind), str_from(uid));
}

static bool in_projects(enum object_kind kind)
{
    return kind == OBJECT_IMAGE || kind == OBJECT_VM;
}

struct object *cluster_find_name(const struct cluster *c, enum object_kind kind,
                                 const char *project, const char *name)
{
    require(kind < OBJECT_KIND_COUNT);
    struct ikey k;
    index_name_key(&k, in_projects(kind) ? project : NULL, name);
    return ikey_find(&c->derived.name[kind], &k);
}

struct object *cluster_node(const struct cluster *c, uint32_t number)
{
    struct ikey k;
    ikey_init(&k);
    ikey_u32(&k, number);
    return ikey_find(&c->derived.node_by_number, &k);
}

static struct object *find_text(const struct map *m, const char *text)
{
    struct ikey k;
    ikey_init(&k);
    ikey_text(&k, text);
    return ikey_find(m, &k);
}

struct object *cluster_node_by_key(const struct cluster *c, const char *key)
{
    return find_text(&c->derived.node_by_key, key);
}

struct object *cluster_operation_on(const struct cluster *c, const char *target_uid)
{
    return find_text(&c->derived.operation_by_target, target_uid);
}

struct object *cluster_token_by_id(const struct cluster *c, const char *id)
{
    return find_text(&c->derived.token_by_id, id);
}

/* The next entry with this prefix whose last part, a uid, comes after `uid`: any does after "". */
static struct object *next_uid(const struct map *m, const struct ikey *prefix, const char *uid)
{
    struct ikey at = *prefix;
    void *value;
    ikey_text(&at, uid);
    struct str key = ikey_view(&at);
    return !at.full && ikey_next(m, prefix, &key, &value) ? value : NULL;
}

struct object *cluster_image_by_digest(const struct cluster *c, const char *project,
                                       const char *digest)
{
    struct ikey prefix;
    ikey_init(&prefix);
    ikey_text(&prefix, project);
    ikey_text(&prefix, digest);
    return next_uid(&c->derived.image_by_digest, &prefix, "");
}

struct object *cluster_image_on_node(const struct cluster *c, const char *project,
                                     const char *digest, uint32_t node)
{
    struct ikey prefix;
    ikey_init(&prefix);
    ikey_text(&prefix, project);
    ikey_text(&prefix, digest);
    struct object *o = next_uid(&c->derived.image_by_digest, &prefix, "");
    while (o && object_image(o)->node != node)
        o = next_uid(&c->derived.image_by_digest, &prefix, object_uid(o));
    return o;
}

struct object *cluster_vm_on_node(const struct cluster *c, uint32_t node, const char *uid)
{
    struct ikey prefix;
    ikey_init(&prefix);
    ikey_u32(&prefix, node);
    return next_uid(&c->derived.vm_by_node, &prefix, uid);
}

struct object *cluster_vm_of_image(const struct cluster *c, const char *project, const char *digest,
                                   const char *uid)
{
    struct ikey prefix;
    ikey_init(&prefix);
    ikey_text(&prefix, project);
    ikey_text(&prefix, digest);
    return next_uid(&c->derived.vm_by_image, &prefix, uid);
}

enum status cluster_event_after(const struct cluster *c, uint64_t index, uint32_t seq,
                                struct object **ret, struct fault *why)
{
    bool from_start = index == 0 && seq == 0;
    bool gone = index < c->event_dropped_index ||
                (index == c->event_dropped_index && seq < c->event_dropped_seq);
    if (gone && !from_start) {
        enum status s =
            fault_set(why, ST_PRECONDITION,
                      "events after %" PRIu64 ".%" PRIu32 " were dropped already", index, seq);
        fault_hint(why, "read the objects anew, then follow from there");
        return s;
    }
    char room[OBJECT_KEY_MAX];
    struct str key;
    void *value = NULL;
    bool found = map_seek(cluster_table(c, OBJECT_EVENT), object_event_key(index, seq, room), true,
                          &key, &value);
    *ret = found ? value : NULL;
    return ST_OK;
}

static struct usage usage_of(const struct map *m, const struct ikey *k)
{
    const struct usage *u = ikey_find(m, k);
    return u ? *u : (struct usage){0};
}

struct usage cluster_node_usage(const struct cluster *c, uint32_t node)
{
    struct ikey k;
    ikey_init(&k);
    ikey_u32(&k, node);
    return usage_of(&c->derived.usage_node, &k);
}

struct usage cluster_project_usage(const struct cluster *c, const char *project)
{
    struct ikey k;
    ikey_init(&k);
    ikey_text(&k, project);
    return usage_of(&c->derived.usage_project, &k);
}
