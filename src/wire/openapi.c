#include "wire/openapi.h"

#include "base/buf.h"
#include "wire/field.h"
#include "wire/schema.h"

enum { NAME_MAX_LEN = 128, TEXT_MAX = 4096 };

static void set(json_t *object, const char *key, json_t *value) /* value is taken */
{
    int failed = json_object_set_new(object, key, value);
    ensure(!failed);
}

static void set_number(json_t *object, const char *key, uint64_t v)
{
    set(object, key, json_integer((json_int_t)MIN(v, (uint64_t)INT64_MAX)));
}

static void append(json_t *list, json_t *value) /* value is taken */
{
    int failed = json_array_append_new(list, value);
    ensure(!failed);
}

static const char *suffix(enum openapi_mode mode)
{
    return mode == OPENAPI_PATCH ? "Patch" : "";
}

static json_t *ref(const char *name, const char *after)
{
    json_t *r = json_object();
    set(r, "$ref", json_sprintf("#/components/schemas/%s%s", name, after));
    return r;
}

json_t *openapi_ref(const ProtobufCMessageDescriptor *desc, enum openapi_mode mode)
{
    return ref(desc->short_name, suffix(mode));
}

static const char *pattern(enum schema_format format)
{
    switch (format) {
    case SCHEMA_NAME: return "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
    case SCHEMA_UID: return "^[0-9a-f]{32}$";
    case SCHEMA_DIGEST: return "^sha256:[0-9a-f]{64}$";
    case SCHEMA_PATH: return "^/";
    case SCHEMA_MAC: return "^([0-9a-f]{2}:){5}[0-9a-f]{2}$";
    default: return NULL;
    }
}

/* The longest text that a format admits. */
static uint64_t format_len(enum schema_format format)
{
    switch (format) {
    case SCHEMA_NAME: return 63;
    case SCHEMA_UID: return 32;
    case SCHEMA_DIGEST: return 71;
    case SCHEMA_IPV4: return 15;
    case SCHEMA_MAC: return 17;
    default: return UINT64_MAX;
    }
}

static json_t *text_schema(const struct schema_field *about)
{
    json_t *s = json_object();
    set(s, "type", json_string("string"));
    if (about->format == SCHEMA_IPV4)
        set(s, "format", json_string("ipv4"));
    if (pattern(about->format))
        set(s, "pattern", json_string(pattern(about->format)));
    set_number(s, "maxLength", MIN(about->max_len, format_len(about->format)));
    return s;
}

static json_t *bytes_schema(const struct schema_field *about)
{
    json_t *s = json_object();
    set(s, "type", json_string("string"));
    set(s, "pattern", json_string("^([0-9a-f]{2})*$"));
    set_number(s, "maxLength", 2 * (uint64_t)about->max_len);
    return s;
}

static json_t *number_schema(const ProtobufCFieldDescriptor *f, const struct schema_field *about)
{
    json_t *s = json_object();
    if (about->format == SCHEMA_TIME_NS) {
        set(s, "type", json_string("string"));
        set(s, "format", json_string("date-time"));
        return s;
    }
    uint64_t max = f->type == PROTOBUF_C_TYPE_UINT32 ? UINT32_MAX : INT64_MAX;
    const void *at;
    set(s, "type", json_string("integer"));
    set(s, "format", json_string("int64"));
    set_number(s, "minimum", about->has_min ? about->min : 0);
    set_number(s, "maximum", about->has_max ? MIN(about->max, max) : max);
    if (field_default(f, &at))
        set_number(s, "default", field_number(f, at));
    return s;
}

static json_t *bool_schema(const ProtobufCFieldDescriptor *f)
{
    json_t *s = json_object();
    const void *at;
    set(s, "type", json_string("boolean"));
    if (field_default(f, &at))
        set(s, "default", json_boolean(field_number(f, at)));
    return s;
}

static json_t *value_schema(const ProtobufCFieldDescriptor *f, const struct schema_field *about,
                            enum openapi_mode mode)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL: return bool_schema(f);
    case PROTOBUF_C_TYPE_STRING: return text_schema(about);
    case PROTOBUF_C_TYPE_BYTES: return bytes_schema(about);
    case PROTOBUF_C_TYPE_ENUM:
        return ref(((const ProtobufCEnumDescriptor *)f->descriptor)->short_name, "");
    case PROTOBUF_C_TYPE_MESSAGE: return openapi_ref(f->descriptor, mode);
    default: return number_schema(f, about);
    }
}

static json_t *list_schema(const ProtobufCFieldDescriptor *f, const struct schema_field *about)
{
    json_t *s = json_object();
    set(s, "type", json_string("array"));
    set(s, "items", value_schema(f, about, OPENAPI_OBJECT)); /* a patch gives a list as a whole */
    set_number(s, "maxItems", about->max_items);
    return s;
}

static json_t *or_null(json_t *s) /* s is taken */
{
    json_t *type = json_object_get(s, "type");
    json_t *both = json_array();
    if (type) {
        append(both, json_incref(type));
        append(both, json_string("null"));
        set(s, "type", both);
        return s;
    }
    json_t *null = json_object(), *any = json_object();
    set(null, "type", json_string("null"));
    append(both, s);
    append(both, null);
    set(any, "anyOf", both);
    return any;
}

static const char *unit(enum schema_format format)
{
    switch (format) {
    case SCHEMA_MEBIBYTES: return ", in MiB; a string such as \"512MiB\" is taken as well";
    case SCHEMA_BYTES: return ", in bytes; a string such as \"512MiB\" is taken as well";
    case SCHEMA_DURATION_MS: return ", in milliseconds; a string such as \"30s\" is taken as well";
    default: return "";
    }
}

static json_t *description(const struct schema_field *about)
{
    return json_sprintf("%s%s%s", about->doc, about->output ? "" : unit(about->format),
                        about->immutable ? "; fixed once the object exists" : "");
}

static json_t *field_schema(const ProtobufCFieldDescriptor *f, const struct schema_field *about,
                            enum openapi_mode mode)
{
    json_t *s = field_is_repeated(f) ? list_schema(f, about) : value_schema(f, about, mode);
    if (mode == OPENAPI_PATCH)
        s = or_null(s);
    if (about->doc[0])
        set(s, "description", description(about));
    if (about->output)
        set(s, "readOnly", json_true());
    return s;
}

json_t *openapi_schema(const ProtobufCMessageDescriptor *desc, enum openapi_mode mode)
{
    const struct schema_message *about = schema_message(desc);
    require(about);
    json_t *s = json_object(), *properties = json_object(), *required = json_array();
    set(s, "type", json_string("object"));
    if (about->doc[0])
        set(s, "description", json_string(about->doc));
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const struct schema_field *field = &about->field[i];
        if (field->hidden || (mode == OPENAPI_PATCH && field->output))
            continue;
        set(properties, desc->fields[i].name, field_schema(&desc->fields[i], field, mode));
        if (mode == OPENAPI_OBJECT && field->required)
            append(required, json_string(desc->fields[i].name));
    }
    set(s, "properties", properties);
    if (json_array_size(required) > 0)
        set(s, "required", json_incref(required));
    json_decref(required);
    if (mode == OPENAPI_PATCH)
        set(s, "additionalProperties", json_false());
    return s;
}

static json_t *enum_schema(const ProtobufCEnumDescriptor *desc)
{
    const struct schema_enum *about = schema_enum(desc);
    require(about);
    json_t *s = json_object(), *words = json_array();
    AUTO(buf_done) struct buf text;
    buf_init(&text, TEXT_MAX);
    buf_text(&text, about->doc);
    for (unsigned i = 0; i < desc->n_values; i++) {
        append(words, json_string(about->word[i].word));
        if (about->word[i].doc[0])
            buf_fmt(&text, "%s- `%s`: %s", text.len ? "\n" : "", about->word[i].word,
                    about->word[i].doc);
    }
    set(s, "type", json_string("string"));
    set(s, "enum", words);
    if (text.len > 0)
        set(s, "description", json_string(buf_cstr(&text)));
    return s;
}

static void add_enum(json_t *schemas, const ProtobufCEnumDescriptor *desc)
{
    if (!json_object_get(schemas, desc->short_name))
        set(schemas, desc->short_name, enum_schema(desc));
}

void openapi_add(json_t *schemas, const ProtobufCMessageDescriptor *desc, enum openapi_mode mode)
{
    AUTO(buf_done) struct buf name;
    buf_init(&name, NAME_MAX_LEN);
    buf_fmt(&name, "%s%s", desc->short_name, suffix(mode));
    if (json_object_get(schemas, buf_cstr(&name)))
        return;
    set(schemas, buf_cstr(&name), openapi_schema(desc, mode));
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &desc->fields[i];
        const struct schema_field *field = schema_field(desc, f);
        if (field->hidden || (mode == OPENAPI_PATCH && field->output))
            continue;
        if (f->type == PROTOBUF_C_TYPE_ENUM)
            add_enum(schemas, f->descriptor);
        if (f->type == PROTOBUF_C_TYPE_MESSAGE)
            openapi_add(schemas, f->descriptor, field_is_repeated(f) ? OPENAPI_OBJECT : mode);
    }
}
