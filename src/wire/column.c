#include "wire/column.h"

#include <string.h>

#include "base/units.h"
#include "wire/field.h"

enum { DIGEST_SHOWN = 7 + 12 }; /* "sha256:" and as many digits as tell images apart */

static const uint64_t mebibyte = 1048576;

/* The messages on the way to a column, and the columns found so far. */
struct walk {
    struct columns *out;
    size_t depth;
    const ProtobufCFieldDescriptor *path[SCHEMA_DEPTH_MAX];
};

static void add(const struct walk *w, const struct schema_field *about)
{
    require(w->out->count < COLUMN_COUNT_MAX);
    struct column *c = &w->out->at[w->out->count++];
    *c = (struct column){about->column, about->wide, about, w->depth};
    memcpy(c->path, w->path, sizeof c->path);
}

static void walk(struct walk *w, const ProtobufCMessageDescriptor *desc)
{
    require(w->depth < SCHEMA_DEPTH_MAX);
    w->depth++;
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        w->path[w->depth - 1] = f;
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && !field_is_repeated(f))
            walk(w, f->descriptor);
        else if (schema_field(desc, f)->column)
            add(w, schema_field(desc, f));
    }
    w->path[--w->depth] = NULL;
}

void column_list(const ProtobufCMessageDescriptor *desc, struct columns *out)
{
    require(schema_message(desc) && schema_message(desc)->plural);
    out->count = 0;
    struct walk w = {.out = out};
    walk(&w, desc);
    ensure(w.depth == 0);
}

/* What a cell is made from. */
struct cell {
    const struct column *c;
    const ProtobufCMessage *holder; /* the message that has the field */
    enum column_form form;
    uint64_t now_ns;
};

static bool is_headed(const struct cell *cell, const char *heading)
{
    return strcmp(cell->c->heading, heading) == 0;
}

/* Has what began at `since_ns` ended since? */
static bool ended(const ProtobufCMessage *holder, uint64_t since_ns)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(holder->descriptor, "ended_ns");
    return f && field_count(holder, f) > 0 && field_number(f, field_at(holder, f, 0)) >= since_ns;
}

static void put_time(const struct cell *cell, uint64_t ns, struct buf *out)
{
    char text[UNITS_TEXT_MAX];
    bool uptime = is_headed(cell, "UPTIME");
    if (uptime && ended(cell->holder, ns))
        return;
    if (cell->form == COLUMN_EXACT)
        units_time_exact(ns, text);
    else if (uptime || is_headed(cell, "AGE"))
        units_age(cell->now_ns > ns ? (cell->now_ns - ns) / UNITS_NS_PER_MS : 0, text);
    else
        units_time(ns, text);
    buf_text(out, text);
}

static void put_size(const struct cell *cell, uint64_t count, uint64_t unit, struct buf *out)
{
    char text[UNITS_TEXT_MAX];
    uint64_t bytes;
    if (__builtin_mul_overflow(count, unit, &bytes)) {
        buf_fmt(out, "%" PRIu64 "MiB", count);
        return;
    }
    if (cell->form == COLUMN_TABLE && cell->c->about->output)
        units_size_short(bytes, text);
    else
        units_size_exact(bytes, text);
    buf_text(out, text);
}

static void put_number(const struct cell *cell, uint64_t v, struct buf *out)
{
    char text[UNITS_TEXT_MAX];
    switch (cell->c->about->format) {
    case SCHEMA_TIME_NS: put_time(cell, v, out); return;
    case SCHEMA_MEBIBYTES: put_size(cell, v, mebibyte, out); return;
    case SCHEMA_BYTES: put_size(cell, v, 1, out); return;
    case SCHEMA_DURATION_MS:
        units_duration_exact(v, text);
        buf_text(out, text);
        return;
    default: buf_fmt(out, "%" PRIu64, v); return;
    }
}

static void put_text(const struct cell *cell, const char *text, struct buf *out)
{
    if (cell->form == COLUMN_EXACT) {
        buf_text(out, text);
        return;
    }
    AUTO(auto_free) char *line = mem_strdup(text);
    str_tidy(line); /* a row stays one line */
    if (cell->c->about->format == SCHEMA_DIGEST && strlen(line) > DIGEST_SHOWN)
        line[DIGEST_SHOWN] = 0;
    buf_text(out, line);
}

static void put_hex(struct str bytes, struct buf *out)
{
    AUTO(auto_free) char *hex = mem_new(2 * bytes.len + 1);
    str_hex(bytes.ptr, bytes.len, hex);
    buf_text(out, hex);
}

static void put_enum(const ProtobufCEnumDescriptor *desc, int value, struct buf *out)
{
    const char *word = schema_word(desc, value);
    if (word)
        buf_text(out, word);
    else
        buf_fmt(out, "%d", value);
}

static void put_value(const struct cell *cell, const ProtobufCFieldDescriptor *f, const void *at,
                      struct buf *out)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL: buf_text(out, field_number(f, at) ? "yes" : "no"); return;
    case PROTOBUF_C_TYPE_ENUM: put_enum(f->descriptor, field_enum(at), out); return;
    case PROTOBUF_C_TYPE_STRING: put_text(cell, field_text(at), out); return;
    case PROTOBUF_C_TYPE_BYTES: put_hex(field_bytes(at), out); return;
    default: put_number(cell, field_number(f, at), out); return;
    }
}

void column_cell(const struct column *c, const ProtobufCMessage *m, enum column_form form,
                 uint64_t now_ns, struct buf *out)
{
    require(c->depth > 0);
    const ProtobufCFieldDescriptor *f = c->path[c->depth - 1];
    for (size_t i = 0; i + 1 < c->depth && m; i++)
        m = field_count(m, c->path[i]) > 0 ? field_message(field_at(m, c->path[i], 0)) : NULL;
    if (!m)
        return;
    struct cell cell = {c, m, form, now_ns};
    size_t count = field_count(m, f);
    const void *at;
    if (count == 0 && field_default(f, &at))
        put_value(&cell, f, at, out);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_char(out, ',');
        put_value(&cell, f, field_at(m, f, i), out);
    }
}
