#include "ops/query.h"

#include <stdlib.h>
#include <string.h>

#include "wire/field.h"
#include "wire/json.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that two hex digits at `at` say, or -1. */
static int hex_byte(struct str text, size_t at)
{
    int high = at < text.len ? hex_digit(text.ptr[at]) : -1;
    int low = at + 1 < text.len ? hex_digit(text.ptr[at + 1]) : -1;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

enum status query_unescape(struct str text, bool plus, char *out, struct fault *why)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int c = (unsigned char)text.ptr[i];
        if (c == '+' && plus)
            c = ' ';
        if (c == '%') {
            c = hex_byte(text, i + 1);
            i += 2;
        }
        if (c < 0)
            return fault_set(why, ST_INVALID, "a %% in an address needs two hex digits after it");
        if (c == 0)
            return fault_set(why, ST_INVALID, "a zero byte is not allowed in an address");
        out[len++] = (char)c;
    }
    out[len] = 0;
    return ST_OK;
}

/* out: where to write; moved past what was written. */
static enum status parse_pair(struct str raw, struct query_pair *ret, char **out, struct fault *why)
{
    struct str name, value = raw;
    (void)str_cut(&value, '=', &name);
    if (name.len == 0)
        return fault_set(why, ST_INVALID, "a parameter of the query has no name");

    char *p = *out;
    enum status s = query_unescape(name, true, p, why);
    if (s != ST_OK)
        return s;
    ret->name = p;
    p += strlen(p) + 1;
    s = query_unescape(value, true, p, why);
    if (s != ST_OK) {
        s = fault_wrap(why, s, "query parameter %s", ret->name);
        fault_field(why, "%s", ret->name);
        return s;
    }
    ret->value = p;
    *out = p + strlen(p) + 1;
    return ST_OK;
}

enum status query_parse(struct query *q, struct str raw, struct fault *why)
{
    *q = (struct query){0};
    if (raw.len > QUERY_LEN_MAX)
        return fault_set(why, ST_TOO_BIG, "the query has %zu bytes, more than %d", raw.len,
                         QUERY_LEN_MAX);
    if (raw.len == 0)
        return ST_OK;

    /* Each pair writes no more than it read: "a" becomes "a" and "", so one byte more for it. */
    q->text = mem_new(raw.len + 2 * (QUERY_PAIRS_MAX + 1));
    q->pair = NEW_ARRAY(struct query_pair, QUERY_PAIRS_MAX);
    char *out = q->text;
    struct str part;
    bool more = true;
    while (more) {
        more = str_cut(&raw, '&', &part);
        if (part.len == 0)
            continue;
        enum status s = ST_OK;
        if (q->count == QUERY_PAIRS_MAX)
            s = fault_set(why, ST_TOO_BIG, "the query has more than %d parameters",
                          QUERY_PAIRS_MAX);
        else
            s = parse_pair(part, &q->pair[q->count], &out, why);
        if (s != ST_OK) {
            query_done(q);
            return s;
        }
        q->count++;
    }
    return ST_OK;
}

void query_done(struct query *q)
{
    free(q->pair);
    free(q->text);
    *q = (struct query){0};
}

const char *query_get(const struct query *q, const char *name)
{
    for (size_t i = 0; i < q->count; i++)
        if (strcmp(q->pair[i].name, name) == 0)
            return q->pair[i].value;
    return NULL;
}

static bool listed(const char *const *names, const char *name)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

enum { KNOWN_MAX = 64 };

/* The parameter that the user may have meant, or NULL. */
static const char *nearest(const ProtobufCMessageDescriptor *desc, const char *const *also,
                           const char *name)
{
    const char *known[KNOWN_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < desc->n_fields && count < KNOWN_MAX; i++)
        known[count++] = desc->fields[i].name;
    for (size_t i = 0; also[i] && count < KNOWN_MAX; i++)
        known[count++] = also[i];
    return str_nearest(str_from(name), known, count);
}

/* A JSON value of what a parameter says. Numbers stay texts: JSON takes these, units and all. */
static json_t *value_of(const ProtobufCFieldDescriptor *f, const char *text)
{
    bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0 || text[0] == 0;
    bool no = strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
    if (f->type == PROTOBUF_C_TYPE_BOOL && (yes || no))
        return json_boolean(yes);
    return json_string(text);
}

static enum status set_field(json_t *object, const ProtobufCFieldDescriptor *f, const char *text,
                             struct fault *why)
{
    json_t *value = value_of(f, text), *old = json_object_get(object, f->name);
    int failed;
    if (!value)
        return fault_set(why, ST_INVALID, "it is not UTF-8");
    if (old && field_is_repeated(f)) {
        failed = json_array_append_new(old, value);
    } else if (old) {
        json_decref(value);
        return fault_set(why, ST_INVALID, "it is given twice");
    } else {
        json_t *whole = field_is_repeated(f) ? json_pack("[o]", value) : value;
        failed = json_object_set_new(object, f->name, whole);
    }
    ensure(!failed);
    return ST_OK;
}

static enum status add_pair(json_t *object, const ProtobufCMessageDescriptor *desc,
                            const struct query_pair *p, const char *const *also, struct fault *why)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(desc, p->name);
    enum status s = ST_OK;
    if (f)
        s = set_field(object, f, p->value, why);
    else if (!listed(also, p->name))
        s = fault_set(why, ST_INVALID, "it is not known here");
    if (s == ST_OK)
        return ST_OK;

    (void)fault_wrap(why, s, "query parameter %s", p->name);
    fault_field(why, "%s", p->name);
    const char *meant = f ? NULL : nearest(desc, also, p->name);
    if (meant)
        fault_hint(why, "did you mean %s?", meant);
    return s;
}

static void auto_json(json_t **v)
{
    json_decref(*v);
}

enum status query_message(const struct query *q, const ProtobufCMessageDescriptor *desc,
                          const char *const *also, ProtobufCMessage **ret, struct fault *why)
{
    AUTO(auto_json) json_t *object = json_object();
    for (size_t i = 0; i < q->count; i++) {
        enum status s = add_pair(object, desc, &q->pair[i], also, why);
        if (s != ST_OK)
            return s;
    }
    return json_to_message(desc, object, JSON_WHOLE, ret, why);
}
