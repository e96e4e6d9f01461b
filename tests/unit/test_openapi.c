#include <regex.h>

#include "pb/command.pb-c.h"
#include "support/draw_message.h"
#include "support/tap.h"
#include "wire/json.h"
#include "wire/openapi.h"
#include "wire/proto.h"
#include "wire/schema.h"

static void check_text(const char *want, const json_t *v)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    json_dump(v, false, &b);
    CHECK_STR(want, buf_cstr(&b));
}

static const json_t *dig(const json_t *v, const char *const *path)
{
    for (; *path; path++) {
        v = json_object_get(v, *path);
        if (!v)
            tap_fail(__FILE__, __LINE__, "no %s", *path);
    }
    return v;
}
#define DIG(v, ...) dig(v, (const char *const[]){__VA_ARGS__, NULL})

TEST(openapi_schema_tells_limits_units_and_defaults)
{
    json_t *s = openapi_schema(&pb__vm_spec__descriptor, OPENAPI_OBJECT);
    check_text(
        "{\"type\":\"integer\",\"format\":\"int64\",\"minimum\":96,\"maximum\":1048576,"
        "\"default\":256,\"description\":\"Memory, in MiB; a string such as \\\"512MiB\\\" is "
        "taken as well\"}",
        DIG(s, "properties", "mem_mib"));
    check_text("{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Volume\"},"
               "\"maxItems\":8,\"description\":\"Further disks\"}",
               DIG(s, "properties", "volumes"));
    check_text("{\"type\":\"boolean\",\"default\":true,\"description\":\"Start it again when the "
               "host boots\"}",
               DIG(s, "properties", "autostart"));
    check_text(
        "{\"type\":\"string\",\"maxLength\":71,\"description\":\"Image name or digest; fixed "
        "once the object exists\"}",
        DIG(s, "properties", "image"));
    check_text("[\"image\"]", DIG(s, "required"));
    check_text("\"What a VM should be\"", DIG(s, "description"));
    json_decref(s);
}

TEST(openapi_schema_marks_output_fields_read_only)
{
    json_t *s = openapi_schema(&pb__meta__descriptor, OPENAPI_OBJECT);
    check_text("{\"type\":\"string\",\"format\":\"date-time\",\"description\":\"When it was made\","
               "\"readOnly\":true}",
               DIG(s, "properties", "created_ns"));
    check_text("{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{32}$\",\"maxLength\":32,"
               "\"description\":\"Unique id, never used again\",\"readOnly\":true}",
               DIG(s, "properties", "uid"));
    json_decref(s);
}

TEST(openapi_patch_requires_nothing_and_takes_null)
{
    json_t *s = openapi_schema(&pb__vm__descriptor, OPENAPI_PATCH);
    CHECK(json_object_get(s, "required") == NULL);
    CHECK(json_object_get(json_object_get(s, "properties"), "status") == NULL);
    check_text("{\"anyOf\":[{\"$ref\":\"#/components/schemas/VmSpecPatch\"},{\"type\":\"null\"}],"
               "\"description\":\"What a VM should be\"}",
               DIG(s, "properties", "spec"));
    json_decref(s);
    s = openapi_schema(&pb__vm_spec__descriptor, OPENAPI_PATCH);
    check_text("[\"integer\",\"null\"]", DIG(s, "properties", "vcpus", "type"));
    check_text("{\"$ref\":\"#/components/schemas/Volume\"}",
               DIG(s, "properties", "volumes", "items"));
    json_decref(s);
}

TEST(openapi_enums_are_words_with_their_meaning)
{
    json_t *all = json_object();
    openapi_add(all, &pb__vm_spec__descriptor, OPENAPI_OBJECT);
    check_text("[\"ephemeral\",\"persistent\"]", DIG(all, "RootKind", "enum"));
    check_text("\"- `ephemeral`: The root is made new from the image at every start\\n"
               "- `persistent`: The root keeps what was written to it\"",
               DIG(all, "RootKind", "description"));
    json_decref(all);
}

/* Every reference in `v` leads to a component. */
static void check_refs(const json_t *components, json_t *v)
{
    const char *key, *to = json_string_value(json_object_get(v, "$ref"));
    json_t *inner;
    size_t i;
    if (to) {
        CHECK(strncmp(to, "#/components/schemas/", 21) == 0);
        CHECK(json_object_get(components, to + 21) != NULL);
    }
    json_object_foreach(v, key, inner) check_refs(components, inner);
    json_array_foreach(v, i, inner) check_refs(components, inner);
}

TEST(openapi_add_brings_all_that_is_referred_to)
{
    json_t *all = json_object();
    for (size_t i = 0; i < schema_message_count; i++) {
        if (!schema_message_table[i].plural)
            continue;
        openapi_add(all, schema_message_table[i].desc, OPENAPI_OBJECT);
        openapi_add(all, schema_message_table[i].desc, OPENAPI_PATCH);
        json_t *r = openapi_ref(schema_message_table[i].desc, OPENAPI_PATCH);
        check_refs(all, r);
        json_decref(r);
    }
    check_refs(all, all);
    CHECK(json_object_get(all, "Vm") && json_object_get(all, "VmPatch"));
    CHECK(json_object_get(all, "VmStatus") && !json_object_get(all, "VmStatusPatch"));
    CHECK(json_object_get(all, "Volume") && !json_object_get(all, "VolumePatch"));
    CHECK(!json_object_get(all, "Command"));
    json_decref(all);
}

/* As much of a JSON Schema validator as our schemas need. */
static bool valid(const json_t *components, const json_t *schema, json_t *v);

/* Numbers above 2^63-1 are strings: the one thing the schemas leave out, as wire/openapi.h says. */
static bool is_big_number(const json_t *v)
{
    uint64_t n;
    return json_is_string(v) && str_u64(str_from(json_string_value(v)), (uint64_t)INT64_MAX + 1,
                                        UINT64_MAX, &n, NULL) == ST_OK;
}

static bool is_type(const char *type, const json_t *v)
{
    return strcmp(type, "object") == 0    ? json_is_object(v)
           : strcmp(type, "array") == 0   ? json_is_array(v)
           : strcmp(type, "string") == 0  ? json_is_string(v)
           : strcmp(type, "integer") == 0 ? json_is_integer(v) || is_big_number(v)
           : strcmp(type, "boolean") == 0 ? json_is_boolean(v)
                                          : false;
}

static bool valid_text(const json_t *schema, const json_t *v)
{
    const json_t *pattern = json_object_get(schema, "pattern");
    const json_t *words = json_object_get(schema, "enum");
    const json_t *max = json_object_get(schema, "maxLength");
    if (max && json_string_length(v) > (size_t)json_integer_value(max))
        return false;
    bool ok = !words;
    for (size_t i = 0; i < json_array_size(words); i++)
        ok = ok || json_equal(json_array_get(words, i), v);
    if (ok && pattern) {
        regex_t re;
        CHECK_EQ(0, regcomp(&re, json_string_value(pattern), REG_EXTENDED | REG_NOSUB));
        ok = regexec(&re, json_string_value(v), 0, NULL, 0) == 0;
        regfree(&re);
    }
    return ok;
}

static bool valid_object(const json_t *components, const json_t *schema, json_t *v)
{
    const char *key;
    json_t *inner;
    json_object_foreach(v, key, inner)
    {
        const json_t *s = json_object_get(json_object_get(schema, "properties"), key);
        if (!s || !valid(components, s, inner))
            return false;
    }
    return true;
}

static bool valid_array(const json_t *components, const json_t *schema, const json_t *v)
{
    bool ok = json_array_size(v) <= (size_t)json_integer_value(json_object_get(schema, "maxItems"));
    for (size_t i = 0; i < json_array_size(v); i++)
        ok = ok && valid(components, json_object_get(schema, "items"), json_array_get(v, i));
    return ok;
}

static bool valid(const json_t *components, const json_t *schema, json_t *v)
{
    const char *to = json_string_value(json_object_get(schema, "$ref"));
    if (to)
        return valid(components, json_object_get(components, to + 21), v);
    if (!is_type(json_string_value(json_object_get(schema, "type")), v))
        return false;
    if (json_is_object(v))
        return valid_object(components, schema, v);
    if (json_is_array(v))
        return valid_array(components, schema, v);
    if (json_is_string(v))
        return is_big_number(v) || valid_text(schema, v);
    if (!json_is_integer(v))
        return true;
    json_int_t n = json_integer_value(v);
    return n >= json_integer_value(json_object_get(schema, "minimum")) &&
           n <= json_integer_value(json_object_get(schema, "maximum"));
}

static void message_is_valid(struct tape *t)
{
    json_t *all = json_object();
    const ProtobufCMessageDescriptor *desc = draw_type(t);
    openapi_add(all, desc, OPENAPI_OBJECT);
    AUTO(auto_proto_free) ProtobufCMessage *m = draw_message(t, desc);
    json_t *v = json_from_message(m, JSON_WHOLE), *r = openapi_ref(desc, OPENAPI_OBJECT);
    CHECK(valid(all, r, v));
    json_decref(v);
    json_decref(r);
    json_decref(all);
}

TEST(openapi_schema_admits_what_we_write)
{
    prop_run(message_is_valid, 1, 300);
}
