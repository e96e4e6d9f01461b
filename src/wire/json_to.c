#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "wire/field.h"
#include "wire/json.h"
#include "wire/place.h"
#include "wire/proto.h"
#include "wire/schema.h"

enum { SHOWN_MAX = 40, WORDS_TEXT_MAX = 300 };

static const uint64_t mebibyte = 1048576;

/* What is being read, for the functions below: one field, at its place. */
struct target {
    const ProtobufCFieldDescriptor *f;
    const struct schema_field *about;
    const struct place *at;
    enum json_flags flags;
    struct fault *why;
};

static const char *kind_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "a whole number";
    case JSON_REAL: return "a number with a fraction or exponent";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    case JSON_NULL: return "null";
    }
    defs_unreachable("JSON type");
}

static const char *wanted_number(enum schema_format format)
{
    switch (format) {
    case SCHEMA_TIME_NS: return "a time such as \"2026-11-24T05:47:08Z\"";
    case SCHEMA_MEBIBYTES: return "a whole number of MiB, or a string such as \"512MiB\",";
    case SCHEMA_BYTES: return "a whole number of bytes, or a string such as \"512MiB\",";
    case SCHEMA_DURATION_MS: return "a whole number of milliseconds, or a string such as \"30s\",";
    default: return "a whole number";
    }
}

static const char *wanted(const struct target *t)
{
    switch (t->f->type) {
    case PROTOBUF_C_TYPE_BOOL: return "true or false";
    case PROTOBUF_C_TYPE_ENUM: return "a word";
    case PROTOBUF_C_TYPE_STRING: return "a string";
    case PROTOBUF_C_TYPE_BYTES: return "a string of hex digits";
    case PROTOBUF_C_TYPE_MESSAGE: return "an object";
    default: return wanted_number(t->about->format);
    }
}

static enum status refuse_type(const struct target *t, const json_t *v)
{
    return place_refuse(t->at, t->why, ST_INVALID, "%s is expected, not %s", wanted(t), kind_of(v));
}

static struct str text_of(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

static enum status size_in_mib(struct str text, uint64_t *ret, struct fault *why)
{
    uint64_t bytes;
    enum status s = units_size(text, &bytes, why);
    if (s != ST_OK)
        return s;
    if (bytes % mebibyte != 0)
        return fault_set(why, ST_INVALID, "\"" STR_FMT "\" is not a whole number of MiB",
                         (int)MIN(text.len, SHOWN_MAX), text.ptr);
    *ret = bytes / mebibyte;
    return ST_OK;
}

static enum status number_of_text(const struct target *t, struct str text, uint64_t *ret)
{
    enum schema_format format = t->about->format;
    enum status s;
    if (format != SCHEMA_TIME_NS && str_u64(text, 0, UINT64_MAX, ret, NULL) == ST_OK)
        return ST_OK;
    switch (format) {
    case SCHEMA_TIME_NS: s = units_parse_time(text, ret, t->why); break;
    case SCHEMA_MEBIBYTES: s = size_in_mib(text, ret, t->why); break;
    case SCHEMA_BYTES: s = units_size(text, ret, t->why); break;
    case SCHEMA_DURATION_MS: s = units_duration(text, ret, t->why); break;
    default:
        return place_refuse(t->at, t->why, ST_INVALID, "\"" STR_FMT "\" is not a whole number",
                            (int)MIN(text.len, SHOWN_MAX), text.ptr);
    }
    return s == ST_OK ? s : place_wrap(t->at, t->why, s);
}

static enum status read_number(const struct target *t, const json_t *v, uint64_t *ret)
{
    uint64_t n;
    if (json_is_string(v)) {
        enum status s = number_of_text(t, text_of(v), &n);
        if (s != ST_OK)
            return s;
    } else if (json_is_integer(v) && t->about->format != SCHEMA_TIME_NS) {
        if (json_integer_value(v) < 0)
            return place_refuse(t->at, t->why, ST_INVALID, "%lld is less than 0",
                                (long long)json_integer_value(v));
        n = (uint64_t)json_integer_value(v);
    } else {
        return refuse_type(t, v);
    }
    if (t->f->type == PROTOBUF_C_TYPE_UINT32 && n > UINT32_MAX)
        return place_refuse(t->at, t->why, ST_INVALID, "%" PRIu64 " is more than %" PRIu32, n,
                            UINT32_MAX);
    *ret = n;
    return ST_OK;
}

static enum status refuse_word(const struct target *t, struct str text)
{
    const struct schema_enum *e = schema_enum(t->f->descriptor);
    AUTO(buf_done) struct buf all;
    buf_init(&all, WORDS_TEXT_MAX);
    const char **words = NEW_ARRAY(const char *, e->desc->n_values);
    for (unsigned i = 0; i < e->desc->n_values; i++) {
        words[i] = e->word[i].word;
        buf_fmt(&all, "%s%s", i ? ", " : "", words[i]);
    }
    enum status s = place_refuse(t->at, t->why, ST_INVALID, "\"" STR_FMT "\" is not one of %s%s",
                                 (int)MIN(text.len, SHOWN_MAX), text.ptr, buf_cstr(&all),
                                 all.full ? ", ..." : "");
    const char *near = str_nearest(text, words, e->desc->n_values);
    if (near)
        fault_hint(t->why, "did you mean %s?", near);
    free(words);
    return s;
}

static enum status read_enum(const struct target *t, const json_t *v, int *ret)
{
    if (!json_is_string(v))
        return refuse_type(t, v);
    if (!schema_value(t->f->descriptor, text_of(v), ret))
        return refuse_word(t, text_of(v));
    return ST_OK;
}

static enum status read_text(const struct target *t, const json_t *v, char **ret)
{
    if (!json_is_string(v))
        return refuse_type(t, v);
    struct str text = text_of(v);
    if (text.len > 0 && memchr(text.ptr, 0, text.len))
        return place_refuse(t->at, t->why, ST_INVALID, "a zero byte is not allowed");
    *ret = mem_strdup(text.ptr);
    return ST_OK;
}

static enum status read_bytes(const struct target *t, const json_t *v, ProtobufCBinaryData *ret)
{
    if (!json_is_string(v))
        return refuse_type(t, v);
    struct str hex = text_of(v);
    size_t len = hex.len / 2;
    if (hex.len % 2 != 0)
        return place_refuse(t->at, t->why, ST_INVALID, "an odd number of hex digits");
    uint8_t *data = len ? mem_new(len) : NULL;
    enum status s = len ? str_unhex(hex, data, len, t->why) : ST_OK;
    if (s != ST_OK) {
        free(data);
        return place_wrap(t->at, t->why, s);
    }
    *ret = (ProtobufCBinaryData){len, data};
    return ST_OK;
}

static enum status read_fields(ProtobufCMessage *m, const json_t *v, const struct place *at,
                               enum json_flags flags, struct fault *why);

/* One value into m: each kind is read whole before the field is set. */
static enum status read_value(const struct target *t, const json_t *v, ProtobufCMessage *m)
{
    uint64_t number;
    int value;
    char *text = NULL;
    ProtobufCBinaryData bytes;
    ProtobufCMessage *child;
    enum status s;
    switch (t->f->type) {
    case PROTOBUF_C_TYPE_UINT32:
        s = read_number(t, v, &number);
        if (s == ST_OK)
            *(uint32_t *)field_add(m, t->f) = (uint32_t)number;
        return s;
    case PROTOBUF_C_TYPE_UINT64:
        s = read_number(t, v, &number);
        if (s == ST_OK)
            *(uint64_t *)field_add(m, t->f) = number;
        return s;
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(v))
            return refuse_type(t, v);
        *(protobuf_c_boolean *)field_add(m, t->f) = json_is_true(v);
        return ST_OK;
    case PROTOBUF_C_TYPE_ENUM:
        s = read_enum(t, v, &value);
        if (s == ST_OK)
            memcpy(field_add(m, t->f), &value, sizeof value);
        return s;
    case PROTOBUF_C_TYPE_STRING:
        s = read_text(t, v, &text);
        if (s == ST_OK)
            field_put(field_add(m, t->f), text);
        return s;
    case PROTOBUF_C_TYPE_BYTES:
        s = read_bytes(t, v, &bytes);
        if (s == ST_OK)
            *(ProtobufCBinaryData *)field_add(m, t->f) = bytes;
        return s;
    case PROTOBUF_C_TYPE_MESSAGE:
        child = proto_new(t->f->descriptor);
        field_put(field_add(m, t->f), child); /* m frees it, also after a failure */
        return read_fields(child, v, t->at, t->flags, t->why);
    default: defs_unreachable("a type that tools/gen_schema refuses");
    }
}

static enum status read_list(struct target t, const json_t *v, ProtobufCMessage *m)
{
    if (!json_is_array(v))
        return place_refuse(t.at, t.why, ST_INVALID, "an array is expected, not %s", kind_of(v));
    struct place at = *t.at;
    t.at = &at;
    for (at.index = 0; at.index < json_array_size(v); at.index++) {
        enum status s = read_value(&t, json_array_get(v, at.index), m);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

static enum status refuse_unknown(const ProtobufCMessageDescriptor *desc, const struct place *at,
                                  struct fault *why)
{
    enum status s = place_refuse(at, why, ST_INVALID, "there is no such field");
    const char **names = NEW_ARRAY(const char *, MAX(desc->n_fields, 1));
    size_t count = 0;
    for (unsigned i = 0; i < desc->n_fields; i++)
        if (!schema_field(desc, &desc->fields[i])->hidden)
            names[count++] = desc->fields[i].name;
    const char *near = str_nearest(str_from(at->name), names, count);
    if (near)
        fault_hint(why, "did you mean %s?", near);
    free(names);
    return s;
}

static enum status read_field(ProtobufCMessage *m, const char *key, const json_t *v,
                              const struct place *above, enum json_flags flags, struct fault *why)
{
    struct place at = {above, key, PLACE_NO_INDEX};
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(m->descriptor, key);
    if (!f || schema_field(m->descriptor, f)->hidden)
        return refuse_unknown(m->descriptor, &at, why);
    struct target t = {f, schema_field(m->descriptor, f), &at, flags, why};
    if (json_is_null(v) || ((flags & JSON_SKIP_OUTPUT) && t.about->output))
        return ST_OK;
    const ProtobufCFieldDescriptor *rival = field_rival(m, f);
    if (rival)
        return place_refuse(&at, why, ST_INVALID, "it cannot be given together with %s",
                            rival->name);
    return field_is_repeated(f) ? read_list(t, v, m) : read_value(&t, v, m);
}

static enum status read_fields(ProtobufCMessage *m, const json_t *v, const struct place *at,
                               enum json_flags flags, struct fault *why)
{
    if (!json_is_object(v))
        return place_refuse(at, why, ST_INVALID, "an object is expected, not %s", kind_of(v));
    /* jansson's iterators take a value that they do not change without `const`. */
    json_t *object;
    memcpy(&object, &v, sizeof object);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        enum status s = read_field(m, key, value, at, flags, why);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

enum status json_to_message(const ProtobufCMessageDescriptor *desc, const json_t *v,
                            enum json_flags flags, ProtobufCMessage **ret, struct fault *why)
{
    require(schema_message(desc));
    ProtobufCMessage *m = proto_new(desc);
    enum status s = read_fields(m, v, NULL, flags, why);
    if (s != ST_OK) {
        proto_free(m);
        return s;
    }
    *ret = m;
    return ST_OK;
}
