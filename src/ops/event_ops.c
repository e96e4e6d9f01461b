#include "ops/event_ops.h"

#include <string.h>

#include "ops/run.h"
#include "wire/json.h"

/* The seq UINT32_MAX stands after all events of its index. */
static void go_to(struct event_feed *f, uint64_t index, uint32_t seq)
{
    f->index = index;
    f->seq = seq;
}

/* "12.3", or "12" for after all of that index; "0" is before the first. */
static enum status parse_place(struct event_feed *f, struct str text, struct fault *why)
{
    uint64_t index, seq = 0;
    struct str head;
    bool has_seq = str_cut(&text, '.', &head);
    enum status s = str_u64(head, 0, UINT64_MAX, &index, why);
    if (s == ST_OK && has_seq)
        s = str_u64(text, 0, UINT32_MAX, &seq, why);
    if (s != ST_OK) {
        (void)fault_set(why, ST_INVALID, "that is no id of an event, such as 12.3");
        fault_field(why, "since");
        return ST_INVALID;
    }
    if (!has_seq && index > 0)
        seq = UINT32_MAX;
    go_to(f, index, (uint32_t)seq);
    return ST_OK;
}

void event_op_watch(struct op_run *r)
{
    const Pb__EventsQuery *q = (const Pb__EventsQuery *)r->request;
    struct event_feed *f = r->feed;
    struct fault why;
    enum status s = ST_OK;
    enum object_kind kind;
    *f = (struct event_feed){.ops = r->ops, .follow = q->follow};
    (void)snprintf(f->kind, sizeof f->kind, "%s", q->kind ? q->kind : "");
    (void)snprintf(f->name, sizeof f->name, "%s", q->name ? q->name : "");
    if (q->kind && !object_kind_from(str_from(q->kind), &kind)) {
        s = fault_set(&why, ST_INVALID, "kind: \"%s\" is no kind of object", q->kind);
        fault_field(&why, "kind");
    }

    const char *since = r->last_event_id[0] ? r->last_event_id : q->since;
    if (s == ST_OK && since)
        s = parse_place(f, str_from(since), &why);
    else if (q->follow)
        go_to(f, cluster_index(run_cluster(r)), UINT32_MAX);
    if (s != ST_OK) {
        run_fail(r, &why);
        return;
    }
    f->told_index = f->index;
    f->told_seq = f->seq;
    run_body(r, 200, "text/event-stream");
}

static void tell_place(struct event_feed *f, struct buf *out)
{
    buf_fmt(out, "id: %" PRIu64 ".%" PRIu32 "\n", f->index, f->seq);
    f->told_index = f->index;
    f->told_seq = f->seq;
}

/* Events that the reader has not seen are gone. It must read everything anew, and may then go on from
 * here. */
static void reset(struct event_feed *f, struct buf *out)
{
    go_to(f, cluster_index(node_cluster(ops_node(f->ops))), UINT32_MAX);
    tell_place(f, out);
    buf_fmt(out, "event: reset\ndata: {\"index\":%" PRIu64 "}\n\n", f->index);
}

static bool wanted(const struct event_feed *f, const Pb__Event *e)
{
    if (f->kind[0] && (!e->kind || strcmp(f->kind, e->kind) != 0))
        return false;
    return !f->name[0] || (e->name && strcmp(f->name, e->name) == 0);
}

enum event_next event_feed_next(struct event_feed *f, struct buf *out)
{
    const struct cluster *c = node_cluster(ops_node(f->ops));
    for (;;) {
        struct object *o = NULL;
        bool ahead = f->index > cluster_index(c); /* of a state that is not ours */
        if (ahead || cluster_event_after(c, f->index, f->seq, &o, NULL) != ST_OK) {
            reset(f, out);
            return EVENT_GIVEN;
        }
        if (!o)
            return f->follow ? EVENT_NONE : EVENT_END;
        const Pb__Event *e = object_event(o);
        go_to(f, e->index, e->seq);
        if (!wanted(f, e))
            continue;
        json_t *v = json_from_message(o->msg, JSON_WHOLE);
        tell_place(f, out);
        buf_fmt(out, "event: %s\ndata: ", e->type ? e->type : "");
        json_dump(v, false, out);
        buf_text(out, "\n\n");
        json_decref(v);
        return EVENT_GIVEN;
    }
}

void event_feed_beat(struct event_feed *f, struct buf *out)
{
    buf_text(out, ":\n");
    if (f->told_index != f->index || f->told_seq != f->seq)
        tell_place(f, out);
    buf_char(out, '\n');
}
