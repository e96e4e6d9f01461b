#include "cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/units.h"
#include "cli/yaml.h"
#include "wire/column.h"
#include "wire/field.h"
#include "wire/json.h"
#include "wire/proto.h"

enum { CELL_MAX = 64 << 10 };

enum status output_parse(const char *word, enum output_form *ret, struct fault *why)
{
    static const char *const words[] = {"table", "wide", "json", "jsonl", "yaml", "csv", "name"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strcmp(words[i], word) == 0) {
            *ret = (enum output_form)i;
            return ST_OK;
        }
    enum status s = fault_set(why, ST_INVALID,
                              "-o %.40s: it is table, wide, json, jsonl, yaml, csv or name", word);
    const char *meant = str_nearest(str_from(word), words, ARRAY_COUNT(words));
    if (meant)
        fault_hint(why, "did you mean %s?", meant);
    return s;
}

/* --- objects as messages --- */

/* Take out what a later version may have added: fields and words that we do not know. */
static void prune(const ProtobufCMessageDescriptor *desc, json_t *v);

static bool is_known(const ProtobufCFieldDescriptor *f, const json_t *v)
{
    int ignored;
    if (f->type == PROTOBUF_C_TYPE_ENUM)
        return json_is_string(v) &&
               schema_value(f->descriptor,
                            (struct str){json_string_value(v), json_string_length(v)}, &ignored);
    return true;
}

static void prune_value(const ProtobufCFieldDescriptor *f, json_t *v)
{
    if (f->type != PROTOBUF_C_TYPE_MESSAGE)
        return;
    if (!field_is_repeated(f)) {
        prune(f->descriptor, v);
        return;
    }
    for (size_t i = 0; i < json_array_size(v); i++)
        prune(f->descriptor, json_array_get(v, i));
}

static void prune(const ProtobufCMessageDescriptor *desc, json_t *v)
{
    void *next;
    for (void *it = json_object_iter(v); it; it = next) {
        next = json_object_iter_next(v, it);
        const char *key = json_object_iter_key(it);
        const ProtobufCFieldDescriptor *f =
            protobuf_c_message_descriptor_get_field_by_name(desc, key);
        if (f && is_known(f, json_object_iter_value(it)))
            prune_value(f, json_object_iter_value(it));
        else
            (void)json_object_del(v, key);
    }
}

enum status output_message(const ProtobufCMessageDescriptor *desc, const json_t *object,
                           ProtobufCMessage **ret, struct fault *why)
{
    json_t *known = json_deep_copy(object);
    prune(desc, known);
    enum status s = json_to_message(desc, known, JSON_WHOLE, ret, why);
    json_decref(known);
    if (s != ST_OK)
        return fault_wrap(why, ST_CORRUPT, "the answer is not as expected");
    return ST_OK;
}

/* --- which columns --- */

static bool is_named(const struct column *c, struct str name)
{
    const char *field = c->path[c->depth - 1]->name;
    return (strlen(c->heading) == name.len && strncasecmp(c->heading, name.ptr, name.len) == 0) ||
           str_is(name, field);
}

static enum status find_column(const struct columns *all, struct str name,
                               const struct column **ret, struct fault *why)
{
    for (size_t i = 0; i < all->count; i++)
        if (is_named(&all->at[i], name)) {
            *ret = &all->at[i];
            return ST_OK;
        }
    char lower[COLUMN_COUNT_MAX][32];
    const char *known[COLUMN_COUNT_MAX];
    AUTO(buf_done) struct buf list;
    buf_init(&list, FAULT_TEXT_MAX);
    for (size_t i = 0; i < all->count; i++) {
        size_t len = 0;
        for (const char *p = all->at[i].heading; *p && len < 31; p++)
            lower[i][len++] = (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
        lower[i][len] = 0;
        known[i] = lower[i];
        buf_fmt(&list, "%s%s", i > 0 ? ", " : "", lower[i]);
    }
    enum status s = fault_set(why, ST_INVALID, "there is no column " STR_FMT "; there are %s",
                              (int)MIN(name.len, 40), name.ptr, buf_cstr(&list));
    const char *meant = str_nearest(name, known, all->count);
    if (meant)
        fault_hint(why, "did you mean %s?", meant);
    return s;
}

/* out: the columns to show, in their order. */
static enum status choose(const struct output *o, const ProtobufCMessageDescriptor *desc,
                          struct columns *out, struct fault *why)
{
    struct columns all;
    column_list(desc, &all);
    out->count = 0;
    if (!o->columns) {
        for (size_t i = 0; i < all.count; i++)
            if (!all.at[i].wide || o->form != OUTPUT_TABLE)
                out->at[out->count++] = all.at[i];
        return ST_OK;
    }
    struct str rest = str_from(o->columns), name;
    bool more = true;
    while (more) {
        const struct column *c;
        more = str_cut(&rest, ',', &name);
        enum status s = find_column(&all, str_trim(name), &c, why);
        if (s != ST_OK)
            return fault_wrap(why, s, "--columns");
        if (out->count == COLUMN_COUNT_MAX)
            return fault_set(why, ST_TOO_BIG, "--columns: more than %d", COLUMN_COUNT_MAX);
        out->at[out->count++] = *c;
    }
    return ST_OK;
}

static enum column_form cell_form(const struct output *o)
{
    return o->form == OUTPUT_TABLE || o->form == OUTPUT_WIDE ? COLUMN_TABLE : COLUMN_EXACT;
}

/* The text of a cell; free(3) it. */
static char *cell_text(const struct output *o, const struct column *c, const ProtobufCMessage *m)
{
    struct buf b;
    buf_init(&b, CELL_MAX);
    column_cell(c, m, cell_form(o), o->now_ns, &b);
    return buf_take(&b, NULL);
}

void output_cell(const ProtobufCMessage *m, const char *heading, uint64_t now_ns, struct buf *out)
{
    struct columns all;
    column_list(m->descriptor, &all);
    for (size_t i = 0; i < all.count; i++)
        if (strcmp(all.at[i].heading, heading) == 0)
            column_cell(&all.at[i], m, COLUMN_TABLE, now_ns, out);
}

/* --- ids and names --- */

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

void output_id(const json_t *object, char out[64])
{
    const char *uid = text_at(json_object_get(object, "meta"), "uid");
    const json_t *index = json_object_get(object, "index"), *seq = json_object_get(object, "seq");
    if (!uid)
        uid = text_at(object, "id");
    if (uid)
        (void)snprintf(out, 64, "%s", uid);
    else if (json_is_integer(index))
        (void)snprintf(out, 64, "%" JSON_INTEGER_FORMAT ".%" JSON_INTEGER_FORMAT,
                       json_integer_value(index), json_integer_value(seq));
    else
        out[0] = 0;
}

/* "vm/web-1" */
static void add_name(const struct output *o, const json_t *object, struct buf *out)
{
    char id[64];
    const char *name = text_at(json_object_get(object, "meta"), "name");
    output_id(object, id);
    buf_fmt(out, "%s/%s\n", o->noun, name ? name : id);
}

static void add_id(const json_t *object, struct buf *out)
{
    char id[64];
    output_id(object, id);
    buf_fmt(out, "%s\n", id);
}

/* --- rows --- */

struct row {
    ProtobufCMessage *m;
    const json_t *object; /* borrowed */
    char **cell;          /* of the columns to show; or NULL */
    char *key;            /* to sort by, if it is a text */
    uint64_t number;      /* or a number */
    size_t place;         /* before sorting */
};

struct rows {
    size_t count;
    struct row *at;
    size_t columns;
};

static void rows_done(struct rows *r)
{
    for (size_t i = 0; i < r->count; i++) {
        proto_free(r->at[i].m);
        free(r->at[i].key);
        for (size_t k = 0; r->at[i].cell && k < r->columns; k++)
            free(r->at[i].cell[k]);
        free(r->at[i].cell);
    }
    free(r->at);
}

static enum status read_rows(const ProtobufCMessageDescriptor *desc, const json_t *items,
                             struct rows *out, struct fault *why)
{
    size_t count = json_array_size(items);
    out->at = NEW_ARRAY(struct row, count + 1);
    for (size_t i = 0; i < count; i++) {
        struct row r = {.object = json_array_get(items, i), .place = i};
        enum status s = output_message(desc, r.object, &r.m, why);
        if (s != ST_OK)
            return s;
        out->at[out->count++] = r;
    }
    return ST_OK;
}

/* --- sorting --- */

static bool is_number(const struct column *c)
{
    const ProtobufCFieldDescriptor *f = c->path[c->depth - 1];
    return field_is_number(f) || f->type == PROTOBUF_C_TYPE_BOOL;
}

static uint64_t number_at(const struct column *c, const ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *f = c->path[c->depth - 1];
    const void *at = NULL;
    for (size_t i = 0; i + 1 < c->depth && m; i++)
        m = field_count(m, c->path[i]) > 0 ? field_message(field_at(m, c->path[i], 0)) : NULL;
    if (m && field_count(m, f) > 0)
        at = field_at(m, f, 0);
    else
        (void)field_default(f, &at);
    return at ? field_number(f, at) : 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = x->number < y->number ? -1 : x->number > y->number;
    if (order == 0 && x->key && y->key)
        order = strcmp(x->key, y->key);
    if (order == 0)
        order = x->place < y->place ? -1 : 1;
    return order;
}

static enum status sort_rows(const struct output *o, const ProtobufCMessageDescriptor *desc,
                             struct rows *r, struct fault *why)
{
    if (!o->sort)
        return ST_OK;
    bool down = o->sort[0] == '-';
    struct columns all;
    const struct column *c;
    column_list(desc, &all);
    enum status s = find_column(&all, str_from(o->sort + down), &c, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "--sort");
    const struct output exact = {.form = OUTPUT_CSV};
    for (size_t i = 0; i < r->count; i++) {
        if (is_number(c))
            r->at[i].number = number_at(c, r->at[i].m);
        else
            r->at[i].key = cell_text(&exact, c, r->at[i].m);
    }
    qsort(r->at, r->count, sizeof r->at[0], compare_rows);
    for (size_t i = 0; down && i < r->count / 2; i++) {
        struct row swap = r->at[i];
        r->at[i] = r->at[r->count - 1 - i];
        r->at[r->count - 1 - i] = swap;
    }
    return ST_OK;
}

/* --- tables --- */

/* Characters, as UTF-8 counts them: a terminal's columns, for what names and texts mostly hold. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void pad(size_t from, size_t to, struct buf *out)
{
    for (; from < to; from++)
        buf_char(out, ' ');
}

static void add_line(const struct columns *shown, char *const *cell, const size_t *width,
                     struct buf *out)
{
    size_t last = 0;
    for (size_t i = 0; i < shown->count; i++)
        if (cell[i][0])
            last = i;
    for (size_t i = 0; i <= last && i < shown->count; i++) {
        buf_text(out, cell[i]);
        if (i < last)
            pad(width_of(cell[i]), width[i] + 2, out);
    }
    buf_char(out, '\n');
}

static void add_heading(const struct columns *shown, const size_t *width, struct buf *out)
{
    for (size_t i = 0; i < shown->count; i++) {
        buf_text(out, shown->at[i].heading);
        if (i + 1 < shown->count)
            pad(strlen(shown->at[i].heading), width[i] + 2, out);
    }
    buf_char(out, '\n');
}

static void add_csv_cell(const char *text, struct buf *out)
{
    if (!strpbrk(text, ",\"\r\n")) {
        buf_text(out, text);
        return;
    }
    buf_char(out, '"');
    for (; *text; text++) {
        if (*text == '"')
            buf_char(out, '"');
        buf_char(out, *text);
    }
    buf_char(out, '"');
}

static void add_csv_line(const struct columns *shown, char *const *cell, struct buf *out)
{
    for (size_t i = 0; i < shown->count; i++) {
        if (i > 0)
            buf_char(out, ',');
        add_csv_cell(cell[i], out);
    }
    buf_text(out, "\r\n"); /* as RFC 4180 has it */
}

static void add_csv_heading(const struct columns *shown, struct buf *out)
{
    for (size_t i = 0; i < shown->count; i++)
        buf_fmt(out, "%s%s", i > 0 ? "," : "", shown->at[i].heading);
    buf_text(out, "\r\n");
}

static char **make_cells(const struct output *o, const struct columns *shown,
                         const ProtobufCMessage *m)
{
    char **cell = NEW_ARRAY(char *, shown->count + 1);
    for (size_t i = 0; i < shown->count; i++)
        cell[i] = cell_text(o, &shown->at[i], m);
    return cell;
}

static void add_table(const struct output *o, const struct columns *shown, struct rows *r,
                      struct buf *out)
{
    size_t width[COLUMN_COUNT_MAX];
    r->columns = shown->count;
    for (size_t i = 0; i < shown->count; i++)
        width[i] = o->no_header ? 0 : strlen(shown->at[i].heading);
    for (size_t i = 0; i < r->count; i++) {
        r->at[i].cell = make_cells(o, shown, r->at[i].m);
        for (size_t k = 0; k < shown->count; k++)
            width[k] = MAX(width[k], width_of(r->at[i].cell[k]));
    }
    if (!o->no_header && o->form == OUTPUT_CSV)
        add_csv_heading(shown, out);
    else if (!o->no_header)
        add_heading(shown, width, out);
    for (size_t i = 0; i < r->count; i++) {
        if (o->form == OUTPUT_CSV)
            add_csv_line(shown, r->at[i].cell, out);
        else
            add_line(shown, r->at[i].cell, width, out);
    }
}

/* --- lists --- */

static void add_objects(const struct output *o, const struct rows *r, struct buf *out)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->count; i++) {
        json_t *item;
        memcpy(&item, &r->at[i].object, sizeof item); /* it is only counted */
        int failed = json_array_append(list, item);
        ensure(!failed);
    }
    if (o->form == OUTPUT_YAML) {
        yaml_dump(list, out);
    } else {
        json_dump(list, true, out);
        buf_char(out, '\n');
    }
    json_decref(list);
}

static enum status add_list(const struct output *o, const ProtobufCMessageDescriptor *desc,
                            struct rows *r, struct buf *out, struct fault *why)
{
    struct columns shown;
    enum status s = sort_rows(o, desc, r, why);
    if (s == ST_OK)
        s = choose(o, desc, &shown, why);
    if (s != ST_OK)
        return s;
    bool whole = o->form == OUTPUT_JSON || o->form == OUTPUT_YAML;
    bool lines = o->ids || o->form == OUTPUT_NAME || o->form == OUTPUT_JSONL;
    if (!lines && whole)
        add_objects(o, r, out);
    else if (!lines)
        add_table(o, &shown, r, out);
    for (size_t i = 0; lines && i < r->count; i++) {
        if (o->ids) {
            add_id(r->at[i].object, out);
        } else if (o->form == OUTPUT_NAME) {
            add_name(o, r->at[i].object, out);
        } else {
            json_dump(r->at[i].object, false, out);
            buf_char(out, '\n');
        }
    }
    return buf_status(out, why);
}

enum status output_list(const struct output *o, const ProtobufCMessageDescriptor *desc,
                        const json_t *items, struct buf *out, struct fault *why)
{
    AUTO(rows_done) struct rows r = {0};
    enum status s = read_rows(desc, items, &r, why);
    return s == ST_OK ? add_list(o, desc, &r, out, why) : s;
}

/* --- one object, field by field --- */

struct field_line {
    char path[FAULT_FIELD_MAX];
    char *text;
};

struct field_lines {
    size_t count, room;
    struct field_line *at;
};

static void lines_done(struct field_lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->at[i].text);
    free(l->at);
}

static void add_field(struct field_lines *l, const char *path, char *text)
{
    if (l->count == l->room) {
        l->room = MAX(l->room * 2, (size_t)32);
        l->at = mem_grow(l->at, l->room, sizeof l->at[0]);
    }
    (void)snprintf(l->at[l->count].path, FAULT_FIELD_MAX, "%s", path);
    l->at[l->count++].text = text;
}

static char *field_shown(const struct output *o, const ProtobufCMessage *m,
                         const ProtobufCFieldDescriptor *f)
{
    struct column c = {.heading = f->name, .about = schema_field(m->descriptor, f), .depth = 1};
    c.path[0] = f;
    if (c.about->format != SCHEMA_TIME_NS || field_is_repeated(f))
        return cell_text(o, &c, m);
    char age[UNITS_TEXT_MAX];
    struct buf b;
    buf_init(&b, CELL_MAX);
    uint64_t then = field_number(f, field_at(m, f, 0));
    column_cell(&c, m, COLUMN_TABLE, o->now_ns, &b);
    units_age(o->now_ns > then ? (o->now_ns - then) / UNITS_NS_PER_MS : 0, age);
    buf_fmt(&b, " (%s ago)", age);
    return buf_take(&b, NULL);
}

static void walk_fields(const struct output *o, const ProtobufCMessage *m, const char *above,
                        struct field_lines *l)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        size_t count = field_count(m, f);
        char path[FAULT_FIELD_MAX];
        (void)snprintf(path, sizeof path, "%s%s%s", above, above[0] ? "." : "", f->name);
        if (f->type != PROTOBUF_C_TYPE_MESSAGE && count > 0)
            add_field(l, path, field_shown(o, m, f));
        for (size_t k = 0; f->type == PROTOBUF_C_TYPE_MESSAGE && k < count; k++) {
            size_t len = strlen(path);
            if (field_is_repeated(f))
                (void)snprintf(path + len, sizeof path - len, "[%zu]", k);
            walk_fields(o, field_message(field_at(m, f, k)), path, l);
            path[len] = 0;
        }
    }
}

static void add_fields(const struct output *o, const ProtobufCMessage *m, struct buf *out)
{
    AUTO(lines_done) struct field_lines l = {0};
    size_t width = 0;
    walk_fields(o, m, "", &l);
    for (size_t i = 0; i < l.count; i++)
        width = MAX(width, strlen(l.at[i].path));
    for (size_t i = 0; i < l.count; i++) {
        buf_text(out, l.at[i].path);
        pad(strlen(l.at[i].path), width + 2, out);
        buf_fmt(out, "%s\n", l.at[i].text);
    }
}

enum status output_object(const struct output *o, const ProtobufCMessageDescriptor *desc,
                          const json_t *object, struct buf *out, struct fault *why)
{
    bool noun = schema_message(desc)->plural != NULL;
    if (o->ids || o->form == OUTPUT_NAME || (noun && o->form == OUTPUT_CSV)) {
        json_t *item, *list;
        memcpy(&item, &object, sizeof item); /* it is only counted */
        list = json_pack("[O]", item);
        enum status s = output_list(o, desc, list, out, why);
        json_decref(list);
        return s;
    }
    if (o->form == OUTPUT_YAML) {
        yaml_dump(object, out);
        return buf_status(out, why);
    }
    if (o->form == OUTPUT_JSON || o->form == OUTPUT_JSONL) {
        json_dump(object, o->form == OUTPUT_JSON, out);
        buf_char(out, '\n');
        return buf_status(out, why);
    }
    AUTO(auto_proto_free) ProtobufCMessage *m = NULL;
    enum status s = output_message(desc, object, &m, why);
    if (s != ST_OK)
        return s;
    add_fields(o, m, out);
    return buf_status(out, why);
}

/* --- objects as they come --- */

/* What mostly fits, for a column that cannot be measured in advance. */
static size_t usual_width(const struct column *c)
{
    switch (c->about->format) {
    case SCHEMA_TIME_NS: return 24;
    case SCHEMA_NAME: return 16;
    default: return 18;
    }
}

static void usual_widths(const struct columns *shown, size_t *width)
{
    for (size_t i = 0; i < shown->count; i++)
        width[i] = MAX(usual_width(&shown->at[i]), strlen(shown->at[i].heading));
}

enum status output_stream_head(const struct output *o, const ProtobufCMessageDescriptor *desc,
                               struct buf *out, struct fault *why)
{
    struct columns shown;
    size_t width[COLUMN_COUNT_MAX];
    enum status s = choose(o, desc, &shown, why);
    if (s != ST_OK || o->no_header || o->ids)
        return s;
    usual_widths(&shown, width);
    if (o->form == OUTPUT_CSV)
        add_csv_heading(&shown, out);
    else if (o->form == OUTPUT_TABLE || o->form == OUTPUT_WIDE)
        add_heading(&shown, width, out);
    return ST_OK;
}

enum status output_stream(const struct output *o, const ProtobufCMessageDescriptor *desc,
                          const json_t *object, struct buf *out, struct fault *why)
{
    struct output one = *o;
    one.no_header = true;
    one.sort = NULL;
    if (o->form == OUTPUT_JSON)
        one.form = OUTPUT_JSONL;
    if (o->form == OUTPUT_YAML)
        buf_text(out, "---\n");
    if (o->ids || (o->form != OUTPUT_TABLE && o->form != OUTPUT_WIDE))
        return output_object(&one, desc, object, out, why);
    struct columns shown;
    size_t width[COLUMN_COUNT_MAX];
    AUTO(rows_done) struct rows r = {.at = NEW_ARRAY(struct row, 1)};
    struct row row = {.object = object};
    enum status s = choose(o, desc, &shown, why);
    if (s == ST_OK)
        s = output_message(desc, object, &row.m, why);
    if (s != ST_OK)
        return s;
    usual_widths(&shown, width);
    r.columns = shown.count;
    row.cell = make_cells(o, &shown, row.m);
    r.at[r.count++] = row;
    add_line(&shown, row.cell, width, out);
    return buf_status(out, why);
}
