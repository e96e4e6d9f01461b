#include "ops/filter.h"

#include <string.h>

#include "base/units.h"
#include "wire/column.h"
#include "wire/field.h"

/* --- fields by name --- */

/* "status.phase" */
static bool has_path(const struct column *c, struct str path)
{
    struct str name;
    for (size_t i = 0; i < c->depth; i++) {
        bool more = str_cut(&path, '.', &name);
        if (!str_is(name, c->path[i]->name) || more != (i + 1 < c->depth))
            return false;
    }
    return true;
}

static bool has_leaf(const struct column *c, struct str name)
{
    return str_is(name, c->path[c->depth - 1]->name);
}

/* The column of that path, or the first one whose path ends with that name. */
static const struct column *find_column(const struct columns *all, struct str name)
{
    for (size_t i = 0; i < all->count; i++)
        if (has_path(&all->at[i], name))
            return &all->at[i];
    for (size_t i = 0; i < all->count; i++)
        if (has_leaf(&all->at[i], name))
            return &all->at[i];
    return NULL;
}

static enum status refuse_field(const struct columns *all, struct str name, struct fault *why)
{
    const char *known[COLUMN_COUNT_MAX];
    for (size_t i = 0; i < all->count; i++)
        known[i] = all->at[i].path[all->at[i].depth - 1]->name;
    enum status s =
        fault_set(why, ST_INVALID, "\"" STR_FMT "\" is no field to filter by", STR_ARG(name));
    const char *meant = str_nearest(name, known, all->count);
    if (meant)
        fault_hint(why, "did you mean %s?", meant);
    return s;
}

/* --- values --- */

static enum status parse_number(struct filter_term *t, const struct schema_field *about,
                                struct str value, struct fault *why)
{
    bool small = t->path[t->depth - 1]->type == PROTOBUF_C_TYPE_UINT32;
    enum status s = str_u64(value, 0, small ? UINT32_MAX : UINT64_MAX, &t->number, why);
    bool mebi = about->format == SCHEMA_MEBIBYTES;
    if (s == ST_OK || (!mebi && about->format != SCHEMA_BYTES))
        return s;
    s = units_size(value, &t->number, why);
    if (s == ST_OK && mebi)
        t->number /= 1 << 20;
    return s;
}

enum { WORDS_MAX = 64 };

static enum status parse_enum(struct filter_term *t, const ProtobufCEnumDescriptor *desc,
                              struct str value, struct fault *why)
{
    int n;
    if (schema_value(desc, value, &n)) {
        t->number = (uint64_t)n;
        return ST_OK;
    }
    const struct schema_enum *words = schema_enum(desc);
    const char *known[WORDS_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < desc->n_values && count < WORDS_MAX; i++)
        known[count++] = words->word[i].word;
    enum status s =
        fault_set(why, ST_INVALID, "\"" STR_FMT "\" is not one of its words", STR_ARG(value));
    const char *meant = str_nearest(value, known, count);
    if (meant)
        fault_hint(why, "did you mean %s?", meant);
    return s;
}

static enum status parse_bool(struct filter_term *t, struct str value, struct fault *why)
{
    t->number = str_is(value, "true");
    if (t->number || str_is(value, "false"))
        return ST_OK;
    return fault_set(why, ST_INVALID, "\"" STR_FMT "\" is neither true nor false", STR_ARG(value));
}

static enum status parse_value(struct filter *f, struct filter_term *t,
                               const struct schema_field *about, struct str value,
                               struct fault *why)
{
    const ProtobufCFieldDescriptor *field = t->path[t->depth - 1];
    if (field_is_repeated(field))
        return fault_set(why, ST_INVALID, "it holds no single value");
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64: return parse_number(t, about, value, why);
    case PROTOBUF_C_TYPE_ENUM: return parse_enum(t, field->descriptor, value, why);
    case PROTOBUF_C_TYPE_BOOL: return parse_bool(t, value, why);
    case PROTOBUF_C_TYPE_STRING: {
        char *out = f->text + f->used;
        enum status s = str_copy(value, out, sizeof f->text - f->used, why);
        if (s != ST_OK)
            return s;
        f->used += value.len + 1;
        t->text = out;
        return ST_OK;
    }
    default: defs_unreachable("a column of bytes or messages");
    }
}

/* --- terms --- */

static void skip_space(struct str *rest)
{
    while (rest->len > 0 && rest->ptr[0] == ' ')
        *rest = (struct str){rest->ptr + 1, rest->len - 1};
}

static struct str take(struct str *rest, size_t len)
{
    struct str head = {rest->ptr, len};
    *rest = (struct str){rest->ptr + len, rest->len - len};
    return head;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

static struct str take_name(struct str *rest)
{
    size_t n = 0;
    while (n < rest->len && is_name_char(rest->ptr[n]))
        n++;
    return take(rest, n);
}

static enum status take_value(struct str *rest, struct str *ret, struct fault *why)
{
    char quote = rest->len > 0 ? rest->ptr[0] : 0;
    if (quote == '\'' || quote == '"') {
        struct str inside = {rest->ptr + 1, rest->len - 1};
        if (!str_cut(&inside, quote, ret))
            return fault_set(why, ST_INVALID, "a value's closing %c is missing", quote);
        *rest = inside;
        return ST_OK;
    }
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] != ' ' && rest->ptr[n] != '&')
        n++;
    *ret = take(rest, n);
    if (n == 0)
        return fault_set(why, ST_INVALID, "a value is missing");
    return ST_OK;
}

/* Longer ones first: "<" begins "<=". */
static const struct {
    const char *text;
    enum filter_comparison comparison;
} comparisons[] = {
    {"==", FILTER_SAME}, {"!=", FILTER_DIFFERS}, {">=", FILTER_LEAST},
    {"<=", FILTER_MOST}, {">", FILTER_MORE},     {"<", FILTER_LESS},
};

static bool take_comparison(struct str *rest, enum filter_comparison *ret)
{
    for (size_t i = 0; i < ARRAY_COUNT(comparisons); i++)
        if (str_starts(*rest, comparisons[i].text)) {
            (void)take(rest, strlen(comparisons[i].text));
            *ret = comparisons[i].comparison;
            return true;
        }
    return false;
}

static enum status parse_term(struct filter *f, const struct columns *all, struct str *rest,
                              struct fault *why)
{
    struct filter_term *t = &f->term[f->count];
    struct str name = take_name(rest), value;
    const struct column *c = find_column(all, name);
    if (!c)
        return refuse_field(all, name, why);
    *t = (struct filter_term){.depth = c->depth};
    memcpy(t->path, c->path, sizeof t->path);

    skip_space(rest);
    if (!take_comparison(rest, &t->comparison))
        return fault_set(why, ST_INVALID, "==, !=, <, <=, > or >= must follow " STR_FMT,
                         STR_ARG(name));
    if (t->comparison > FILTER_DIFFERS && !field_is_number(t->path[t->depth - 1]))
        return fault_set(why, ST_INVALID, STR_FMT " is no number: only == and != compare it",
                         STR_ARG(name));
    skip_space(rest);
    enum status s = take_value(rest, &value, why);
    if (s != ST_OK)
        return s;

    s = parse_value(f, t, c->about, value, why);
    if (s != ST_OK)
        return fault_wrap(why, s, STR_FMT, STR_ARG(name));
    f->count++;
    return ST_OK;
}

enum status filter_parse(struct filter *f, const ProtobufCMessageDescriptor *desc, struct str text,
                         struct fault *why)
{
    struct columns all;
    f->count = f->used = 0;
    if (text.len > FILTER_LEN_MAX)
        return fault_set(why, ST_TOO_BIG, "%zu bytes are more than %d", text.len, FILTER_LEN_MAX);
    skip_space(&text);
    if (text.len == 0)
        return ST_OK;
    column_list(desc, &all);
    for (;;) {
        if (f->count == FILTER_TERMS_MAX)
            return fault_set(why, ST_TOO_BIG, "more than %d terms", FILTER_TERMS_MAX);
        enum status s = parse_term(f, &all, &text, why);
        if (s != ST_OK)
            return s;
        skip_space(&text);
        if (text.len == 0)
            return ST_OK;
        if (!str_starts(text, "&&"))
            return fault_set(why, ST_INVALID, "&& must stand between terms");
        (void)take(&text, 2);
        skip_space(&text);
    }
}

/* --- match --- */

/* Where the value lies, or that of the default; NULL when there is neither: then it is 0 or "". */
static const void *reach(const struct filter_term *t, const ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *last = t->path[t->depth - 1];
    for (size_t i = 0; m && i + 1 < t->depth; i++)
        m = field_count(m, t->path[i]) > 0 ? field_message(field_at(m, t->path[i], 0)) : NULL;
    if (m && field_count(m, last) > 0)
        return field_at(m, last, 0);
    const void *unset = NULL;
    (void)field_default(last, &unset);
    return unset;
}

static bool term_passes(const struct filter_term *t, const ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *f = t->path[t->depth - 1];
    const void *at = reach(t, m);
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = at ? field_text(at) : NULL;
        return (strcmp(text ? text : "", t->text) == 0) == (t->comparison == FILTER_SAME);
    }
    uint64_t v = 0;
    if (at)
        v = f->type == PROTOBUF_C_TYPE_ENUM ? (uint64_t)field_enum(at) : field_number(f, at);
    switch (t->comparison) {
    case FILTER_SAME: return v == t->number;
    case FILTER_DIFFERS: return v != t->number;
    case FILTER_LEAST: return v >= t->number;
    case FILTER_MOST: return v <= t->number;
    case FILTER_MORE: return v > t->number;
    case FILTER_LESS: return v < t->number;
    }
    defs_unreachable("comparison of a filter");
}

bool filter_passes(const struct filter *f, const ProtobufCMessage *m)
{
    for (size_t i = 0; i < f->count; i++)
        if (!term_passes(&f->term[i], m))
            return false;
    return true;
}
