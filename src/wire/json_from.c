#include <string.h>

#include "base/units.h"
#include "wire/field.h"
#include "wire/json.h"
#include "wire/schema.h"

static json_t *string(const char *text)
{
    json_t *v = json_string(text);
    /* Not UTF-8, so it was not checked: say that there is something, without aborting on content. */
    return v ? v : json_string("\xef\xbf\xbd");
}

static json_t *from_number(const struct schema_field *about, uint64_t v)
{
    char text[UNITS_TEXT_MAX];
    if (about->format == SCHEMA_TIME_NS) {
        units_time_exact(v, text);
        return string(text);
    }
    if (v > INT64_MAX)
        return json_sprintf("%" PRIu64, v);
    return json_integer((json_int_t)v);
}

static json_t *from_enum(const ProtobufCEnumDescriptor *desc, int value)
{
    const char *word = schema_word(desc, value);
    return word ? string(word)
                : json_integer(value); /* a newer peer's: its number is all we know */
}

static json_t *from_bytes(struct str bytes)
{
    AUTO(auto_free) char *hex = mem_new(2 * bytes.len + 1);
    str_hex(bytes.ptr, bytes.len, hex);
    return string(hex);
}

static json_t *from_value(const ProtobufCFieldDescriptor *f, const struct schema_field *about,
                          const void *at, enum json_flags flags)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64: return from_number(about, field_number(f, at));
    case PROTOBUF_C_TYPE_BOOL: return json_boolean(field_number(f, at));
    case PROTOBUF_C_TYPE_ENUM: return from_enum(f->descriptor, field_enum(at));
    case PROTOBUF_C_TYPE_STRING: return string(field_text(at));
    case PROTOBUF_C_TYPE_BYTES: return from_bytes(field_bytes(at));
    case PROTOBUF_C_TYPE_MESSAGE: return json_from_message(field_message(at), flags);
    default: defs_unreachable("a type that tools/gen_schema refuses");
    }
}

static json_t *from_field(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                          const struct schema_field *about, enum json_flags flags)
{
    if (!field_is_repeated(f))
        return from_value(f, about, field_at(m, f, 0), flags);
    json_t *list = json_array();
    for (size_t i = 0; i < field_count(m, f); i++) {
        int failed = json_array_append_new(list, from_value(f, about, field_at(m, f, i), flags));
        ensure(!failed);
    }
    return list;
}

json_t *json_from_message(const ProtobufCMessage *m, enum json_flags flags)
{
    const struct schema_message *about = schema_message(m->descriptor);
    require(about);
    json_t *object = json_object();
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        bool skip =
            about->field[i].hidden || ((flags & JSON_SKIP_OUTPUT) && about->field[i].output);
        if (skip || field_count(m, f) == 0)
            continue;
        int failed =
            json_object_set_new(object, f->name, from_field(m, f, &about->field[i], flags));
        ensure(!failed);
    }
    return object;
}
