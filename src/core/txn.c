#include "core/txn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENT_TEXT_MAX = 600 };

void txn_init(struct txn *t, const struct cluster *c, uint64_t index, const Pb__Command *cmd)
{
    *t = (struct txn){
        .c = c,
        .index = index,
        .time_ns = MAX(c->time_ns, cmd->time_ns),
        .actor = cmd->actor ? cmd->actor : "",
        .node_number_last = c->node_number_last,
    };
}

void txn_done(struct txn *t)
{
    for (size_t i = 0; i < t->change_count; i++)
        object_unref(t->changes[i].after);
    for (size_t i = 0; i < t->event_count; i++)
        object_unref(t->events[i]);
    t->change_count = t->event_count = 0;
}

static struct object *in_state(const struct txn *t, const struct object *o)
{
    char room[OBJECT_KEY_MAX];
    return table_find(&t->c->table[o->kind], object_key(o, room));
}

static struct change *stage(struct txn *t)
{
    /* How much one command changes is bounded by what commands there are, not by what they say. */
    require(t->change_count < CHANGES_MAX);
    return &t->changes[t->change_count++];
}

static void stamp(const struct txn *t, enum object_kind kind, ProtobufCMessage *msg)
{
    if (kind == OBJECT_OPERATION) {
        PROTO_SET((Pb__Operation *)(void *)msg, index, t->index);
        return;
    }
    Pb__Meta *meta = object_msg_meta(kind, msg);
    if (!cluster_find(t->c, kind, meta->uid))
        PROTO_SET(meta, created_ns, t->time_ns);
    PROTO_SET(meta, modified_ns, t->time_ns);
    PROTO_SET(meta, index, t->index);
}

struct object *txn_put(struct txn *t, enum object_kind kind, ProtobufCMessage *msg)
{
    require(kind != OBJECT_EVENT);
    stamp(t, kind, msg);
    struct object *o = object_new(kind, msg);
    *stage(t) = (struct change){kind, in_state(t, o), o};
    return o;
}

void txn_remove(struct txn *t, struct object *o)
{
    require(in_state(t, o) == o);
    *stage(t) = (struct change){o->kind, o, NULL};
}

void txn_event(struct txn *t, const char *type, const struct object *about, const char *fmt, ...)
{
    require(t->event_count < EVENTS_PER_COMMAND_MAX);
    char text[EVENT_TEXT_MAX + 1];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    str_tidy(text);

    Pb__Event *e = (Pb__Event *)(void *)proto_new(&pb__event__descriptor);
    PROTO_SET(e, index, t->index);
    PROTO_SET(e, seq, (uint32_t)t->event_count);
    PROTO_SET(e, time_ns, t->time_ns);
    proto_set(&e->type, type);
    proto_set(&e->kind, object_kind_name(about->kind));
    proto_set(&e->uid, object_uid(about));
    const char *name = object_name(about), *project = object_project_name(about);
    proto_set(&e->name, name[0] ? name : NULL);
    proto_set(&e->project, project[0] ? project : NULL);
    proto_set(&e->text, text[0] ? text : NULL);
    proto_set(&e->actor, t->actor[0] ? t->actor : NULL);
    t->events[t->event_count++] = object_new(OBJECT_EVENT, &e->base);
}

static void set_id(char out[OBJECT_UID_MAX], const char *id)
{
    size_t len = strlen(id);
    require(len < OBJECT_UID_MAX);
    memcpy(out, id, len + 1);
}

void txn_result(struct txn *t, const char *uid)
{
    set_id(t->uid, uid);
}

void txn_result_operation(struct txn *t, const char *id)
{
    set_id(t->operation_id, id);
}

enum status txn_room_to_grow(const struct txn *t, struct fault *why)
{
    uint64_t bytes = cluster_bytes(t->c), max = t->c->limits.state_bytes;
    if (bytes < max)
        return ST_OK;
    enum status s = fault_set(why, ST_LIMIT,
                              "the state holds %" PRIu64 " bytes, and may not grow beyond %" PRIu64,
                              bytes, max);
    fault_hint(why, "delete what is not needed");
    return s;
}

enum status txn_room(const struct txn *t, enum object_kind kind, struct fault *why)
{
    const struct cluster *c = t->c;
    size_t count =
        kind == OBJECT_OPERATION ? c->derived.operation_by_target.count : c->table[kind].count;
    if (count >= c->limits.objects[kind]) {
        enum status s =
            fault_set(why, ST_LIMIT, "there are %zu %ss%s, and no more may be", count,
                      object_kind_name(kind), kind == OBJECT_OPERATION ? " under way" : "");
        fault_hint(why, kind == OBJECT_OPERATION ? "wait until some have ended"
                                                 : "delete one that is not needed");
        return s;
    }
    return kind == OBJECT_OPERATION ? ST_OK : txn_room_to_grow(t, why);
}

enum status txn_check(const struct txn *t, struct fault *why)
{
    for (size_t i = 0; i < t->change_count; i++) {
        const struct object *o = t->changes[i].after;
        if (!o)
            continue;
        enum status s = object_check(o, why);
        /* That an object has one operation under way is seen to by operation.c: the one before may
         * end in this very command. */
        if (s == ST_OK && o->kind != OBJECT_OPERATION)
            s = index_admits(&t->c->derived, o, why);
        if (s != ST_OK)
            return s;
    }
    for (size_t i = 0; i < t->event_count; i++) {
        enum status s = object_check(t->events[i], why);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

void txn_commit(struct txn *t, struct cluster *c, struct apply_result *out)
{
    require(t->c == c);
    for (size_t i = 0; i < t->change_count; i++) {
        struct change *ch = &t->changes[i];
        struct object *before =
            ch->after ? cluster_put(c, object_ref(ch->after)) : cluster_take(c, ch->before);
        ensure(before == ch->before);
    }
    for (size_t i = 0; i < t->event_count; i++)
        ensure(cluster_put(c, object_ref(t->events[i])) == NULL);
    c->time_ns = t->time_ns;
    c->node_number_last = t->node_number_last;

    memcpy(out->changes, t->changes, sizeof out->changes);
    memcpy(out->events, t->events, sizeof out->events);
    out->change_count = t->change_count;
    out->event_count = t->event_count;
    t->change_count = t->event_count = 0;
}
