#include <string.h>

#include "ops/fields.h"
#include "ops/filter.h"
#include "ops/page.h"
#include "ops/run.h"
#include "wire/json.h"

/* A page ends before its JSON is larger than this: a client asks for the rest. */
enum { LIST_BYTES_MAX = 1 << 20 };

struct list_run {
    enum object_kind kind;
    const char *project; /* NULL: of all */
    struct filter filter;
    struct fields fields;
    struct page page;
    char cursor[PAGE_CURSOR_MAX]; /* what page.after points into */
};

static bool has_project(enum object_kind kind)
{
    return kind == OBJECT_VM || kind == OBJECT_IMAGE || kind == OBJECT_OPERATION;
}

static enum status set_field(struct fault *why, enum status s, const char *field)
{
    (void)fault_wrap(why, s, "%s", field);
    fault_field(why, "%s", field);
    return s;
}

static enum status parse(struct list_run *l, const Pb__ListQuery *q, struct fault *why)
{
    const ProtobufCMessageDescriptor *desc = object_descriptor(l->kind);
    if (q->project && !has_project(l->kind)) {
        (void)fault_set(why, ST_INVALID, "a %s is in no project", object_kind_name(l->kind));
        return set_field(why, ST_INVALID, "project");
    }
    l->project = q->project;
    l->page.limit = q->limit;
    enum status s = filter_parse(&l->filter, desc, str_from(q->filter), why);
    if (s != ST_OK)
        return set_field(why, s, "filter");
    s = fields_parse(&l->fields, desc, str_from(q->fields), why);
    if (s != ST_OK)
        return set_field(why, s, "fields");
    l->page.has_after = q->cursor && q->cursor[0];
    return l->page.has_after ? page_parse_cursor(q->cursor, l->cursor, &l->page.after, why) : ST_OK;
}

static void gather(struct list_run *l, const struct cluster *c)
{
    MAP_EACH(cluster_table(c, l->kind), key, value) {
        struct object *o = value;
        if (l->project && strcmp(object_project_name(o), l->project) != 0)
            continue;
        if (filter_passes(&l->filter, o->msg))
            page_add(&l->page, o);
    }
}

static void write_item(const struct list_run *l, const struct object *o, struct buf *out)
{
    json_t *v = json_from_message(o->msg, JSON_WHOLE);
    v = fields_pick(&l->fields, v);
    json_dump(v, false, out);
    json_decref(v);
}

static void write_page(const struct list_run *l, uint64_t index, struct buf *out)
{
    size_t i = 0;
    buf_text(out, "{\"items\":[");
    for (; i < l->page.count && (i == 0 || out->len < LIST_BYTES_MAX); i++) {
        if (i > 0)
            buf_char(out, ',');
        write_item(l, l->page.item[i], out);
    }
    buf_char(out, ']');
    if (i < l->page.count || l->page.more) {
        struct page_place last = page_place_of(l->page.item[i - 1]);
        char cursor[PAGE_CURSOR_MAX];
        page_cursor(&last, cursor);
        buf_fmt(out, ",\"next\":\"%s\"", cursor);
    }
    buf_fmt(out, ",\"index\":%" PRIu64 "}", index);
}

void object_op_list(struct op_run *r)
{
    struct fault why;
    AUTO(auto_free) struct list_run *l = NEW(struct list_run);
    bool known = run_kind(r->op, &l->kind);
    ensure(known);
    if (parse(l, (const Pb__ListQuery *)r->request, &why) != ST_OK) {
        run_fail(r, &why);
        return;
    }
    gather(l, run_cluster(r));
    write_page(l, cluster_index(run_cluster(r)), &r->answer.body);
    run_body(r, 200, "application/json");
}
