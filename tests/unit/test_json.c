#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "pb/command.pb-c.h"
#include "pb/event.pb-c.h"
#include "support/draw_message.h"
#include "support/tap.h"
#include "wire/check.h"
#include "wire/field.h"
#include "wire/json.h"
#include "wire/proto.h"
#include "wire/schema.h"

enum { TEXT_MAX = 1 << 20, LARGEST = 20 << 20 /* a message with 8 MiB of bytes, in hex */ };

static json_t *parsed(const char *text)
{
    json_t *v = NULL;
    struct fault why = {0};
    enum status s = json_parse(str_from(text), TEXT_MAX, &v, &why);
    CHECK_STR("", why.text);
    CHECK_EQ(ST_OK, s);
    return v;
}

static void check_text(const char *want, json_t *v) /* v is taken */
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, TEXT_MAX);
    json_dump(v, false, &b);
    CHECK_STR(want, buf_cstr(&b));
    json_decref(v);
}

static ProtobufCMessage *message_of(const ProtobufCMessageDescriptor *desc, const char *text)
{
    json_t *v = parsed(text);
    ProtobufCMessage *m = NULL;
    struct fault why = {0};
    enum status s = json_to_message(desc, v, JSON_WHOLE, &m, &why);
    CHECK_STR("", why.text);
    CHECK_EQ(ST_OK, s);
    json_decref(v);
    return m;
}

static void check_refused(const ProtobufCMessageDescriptor *desc, const char *text,
                          const char *said, const char *hint)
{
    json_t *v = parsed(text);
    ProtobufCMessage *m = NULL;
    struct fault why = {0};
    CHECK_EQ(ST_INVALID, json_to_message(desc, v, JSON_WHOLE, &m, &why));
    CHECK(m == NULL);
    CHECK_STR(said, why.text);
    CHECK_STR(hint, why.hint);
    json_decref(v);
}

/* Text. */

TEST(json_parse_says_where_it_stopped)
{
    json_t *v = NULL;
    struct fault why;
    CHECK_EQ(ST_INVALID, json_parse(STR("{\n  \"a\": 1,\n  oops\n}"), 100, &v, &why));
    CHECK_STR("line 3, column 6: string or '}' expected", why.text);
    CHECK_EQ(ST_INVALID, json_parse(STR(""), 100, &v, &why));
    CHECK_STR("line 1, column 1: '[' or '{' expected", why.text);
    CHECK(v == NULL);
}

TEST(json_parse_refuses_what_is_ambiguous_or_not_json)
{
    const char *bad[] = {"{\"a\":1,\"a\":2}",
                         "[1] 2",
                         "1",
                         "\"text\"",
                         "[1,]",
                         "{'a':1}",
                         "[NaN]",
                         "[1e999]",
                         "[\"\\u0000\"]",
                         "[\"\xff\"]",
                         "[18446744073709551616]",
                         "[\"a\nb\"]"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        json_t *v = NULL;
        CHECK_EQ(ST_INVALID, json_parse(str_from(bad[i]), 100, &v, NULL));
    }
}

TEST(json_parse_bounds_size_and_depth)
{
    char text[3 * JSON_DEPTH_MAX] = "";
    json_t *v = NULL;
    struct fault why;
    CHECK_EQ(ST_TOO_BIG, json_parse(STR("[1,2]"), 4, &v, &why));
    CHECK_STR("5 bytes are more than 4", why.text);

    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    CHECK_EQ(ST_OK, json_parse(str_from(text), TEXT_MAX, &v, &why));
    json_decref(v);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    CHECK_EQ(ST_TOO_BIG, json_parse(str_from(text), TEXT_MAX, &v, &why));
    CHECK_STR("line 1, column 33: more than 32 levels deep", why.text);
}

TEST(json_parse_counts_no_brackets_in_strings)
{
    char text[200] = "[\"\\\"";
    memset(text + strlen(text), '[', 100);
    strcat(text, "\"]");
    json_decref(parsed(text));
}

static size_t held, held_max;

static void *count_alloc(size_t size)
{
    void *p = malloc(size);
    held += malloc_usable_size(p);
    held_max = MAX(held, held_max);
    return p;
}

static void count_free(void *p)
{
    held -= p ? malloc_usable_size(p) : 0;
    free(p);
}

TEST(json_parse_takes_at_most_the_memory_it_says)
{
    const char *piece[] = {"[],", "{},", "0,", "\"\",", "{\"a\":0},", "[0],", "1e1,"};
    json_set_alloc_funcs(count_alloc, count_free);
    for (size_t i = 0; i < ARRAY_COUNT(piece); i++) {
        AUTO(buf_done) struct buf b;
        buf_init(&b, TEXT_MAX);
        buf_char(&b, '[');
        while (b.len < 100000)
            buf_text(&b, piece[i]);
        b.ptr[b.len - 1] = ']';
        json_t *v;
        held_max = 0;
        CHECK_EQ(ST_OK, json_parse(buf_view(&b), TEXT_MAX, &v, NULL));
        CHECK(held_max <= 100 * b.len);
        json_decref(v);
        CHECK_EQ(0, held);
    }
}

TEST(json_dump_indents_or_not)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 100);
    json_t *v = parsed("{\"b\": [1, 2], \"a\": {}}");
    json_dump(v, false, &b);
    CHECK_STR("{\"b\":[1,2],\"a\":{}}", buf_cstr(&b));
    buf_reset(&b);
    json_dump(v, true, &b);
    CHECK_STR("{\n  \"b\": [\n    1,\n    2\n  ],\n  \"a\": {}\n}", buf_cstr(&b));
    json_decref(v);
}

TEST(json_dump_into_a_full_buffer_is_told)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 5);
    json_t *v = parsed("[1,2,3,4]");
    json_dump(v, false, &b);
    CHECK_EQ(ST_TOO_BIG, buf_status(&b, NULL));
    json_decref(v);
}

/* Every case of RFC 7396, appendix A. Values that are no objects are wrapped in "v". */
TEST(json_merge_does_what_the_rfc_shows)
{
    const char *cases[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {"{\"v\":{\"a\":\"foo\"}}", "{\"v\":null}", "{}"},
        {"{\"v\":{\"a\":\"foo\"}}", "{\"v\":\"bar\"}", "{\"v\":\"bar\"}"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        json_t *patch = parsed(cases[i][1]);
        check_text(cases[i][2], json_merge(parsed(cases[i][0]), patch));
        check_text(cases[i][1], patch); /* unchanged */
    }
    json_t *patch = parsed("{\"a\":null,\"b\":1}");
    check_text("{\"b\":1}", json_merge(NULL, patch));
    json_decref(patch);
}

/* Messages. */

TEST(json_of_a_message_has_words_times_and_units)
{
    AUTO(auto_proto_free) Pb__Vm *vm = (Pb__Vm *)proto_new(&pb__vm__descriptor);
    vm->meta = (Pb__Meta *)proto_new(&pb__meta__descriptor);
    proto_set(&vm->meta->name, "web-1");
    PROTO_SET(vm->meta, created_ns, UINT64_C(1795499228123456789));
    vm->spec = (Pb__VmSpec *)proto_new(&pb__vm_spec__descriptor);
    PROTO_SET(vm->spec, mem_mib, 512);
    PROTO_SET(vm->spec, failover, PB__FAILOVER__FAILOVER_RESTART_ELSEWHERE);
    PROTO_SET(vm->spec, autostart, 0);
    PROTO_SET(vm, generation, UINT64_MAX);
    check_text("{\"meta\":{\"name\":\"web-1\",\"created_ns\":\"2026-11-24T05:47:08.123456789Z\"},"
               "\"spec\":{\"mem_mib\":512,\"failover\":\"restart-elsewhere\",\"autostart\":false},"
               "\"generation\":\"18446744073709551615\"}",
               json_from_message(&vm->base, JSON_WHOLE));
    check_text("{\"meta\":{\"name\":\"web-1\"},"
               "\"spec\":{\"mem_mib\":512,\"failover\":\"restart-elsewhere\",\"autostart\":false}}",
               json_from_message(&vm->base, JSON_SKIP_OUTPUT));
}

TEST(json_bytes_are_hex)
{
    AUTO(auto_proto_free)
    Pb__Command *c = (Pb__Command *)message_of(&pb__command__descriptor, "{\"id\":\"00Ff10\"}");
    CHECK_EQ(3, c->id.len);
    CHECK(memcmp(c->id.data, "\x00\xff\x10", 3) == 0);
    check_text("{\"id\":\"00ff10\"}", json_from_message(&c->base, JSON_WHOLE));
    const ProtobufCMessageDescriptor *d = &pb__command__descriptor;
    check_refused(d, "{\"id\":\"0\"}", "id: an odd number of hex digits", "");
    check_refused(d, "{\"id\":\"0x\"}", "id: not a hex digit at 0", "");
    check_refused(d, "{\"id\":7}", "id: a string of hex digits is expected, not a whole number",
                  "");
}

TEST(json_null_is_as_if_it_were_not_there)
{
    AUTO(auto_proto_free)
    Pb__Vm *vm = (Pb__Vm *)message_of(&pb__vm__descriptor,
                                      "{\"meta\":{\"name\":null},\"spec\":null,\"power\":null}");
    CHECK(vm->meta->name == NULL && vm->spec == NULL && !vm->has_power);
    check_refused(&pb__vm_spec__descriptor, "{\"volumes\":[null]}",
                  "volumes[0]: an object is expected, not null", "");
}

TEST(json_numbers_with_units)
{
    const struct {
        const char *text;
        uint64_t mib;
    } cases[] = {{"512", 512}, {"\"512\"", 512}, {"\"512MiB\"", 512}, {"\"2GiB\"", 2048}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[60];
        (void)snprintf(text, sizeof text, "{\"mem_mib\":%s}", cases[i].text);
        AUTO(auto_proto_free)
        Pb__VmSpec *spec = (Pb__VmSpec *)message_of(&pb__vm_spec__descriptor, text);
        CHECK_EQ(cases[i].mib, spec->mem_mib);
    }
    AUTO(auto_proto_free)
    Pb__VmStatus *status =
        (Pb__VmStatus *)message_of(&pb__vm_status__descriptor, "{\"start_ms\":\"2s\"}");
    CHECK_EQ(2000, status->start_ms);
    AUTO(auto_proto_free)
    Pb__Blob *blob = (Pb__Blob *)message_of(&pb__blob__descriptor, "{\"size\":\"3KiB\"}");
    CHECK_EQ(3072, blob->size);

    const ProtobufCMessageDescriptor *d = &pb__vm_spec__descriptor;
    check_refused(d, "{\"mem_mib\":\"512MB\"}",
                  "mem_mib: \"512MB\" is not a size such as 4096, 512MiB or 2GiB", "");
    check_refused(d, "{\"mem_mib\":\"1KiB\"}", "mem_mib: \"1KiB\" is not a whole number of MiB",
                  "");
    check_refused(
        d, "{\"mem_mib\":true}",
        "mem_mib: a whole number of MiB, or a string such as \"512MiB\", is expected, not "
        "true or false",
        "");
    check_refused(&pb__meta__descriptor, "{\"created_ns\":\"yesterday\"}",
                  "created_ns: \"yesterday\" is not a time such as 2026-11-24T05:47:08Z", "");
    check_refused(&pb__meta__descriptor, "{\"created_ns\":1}",
                  "created_ns: a time such as \"2026-11-24T05:47:08Z\" is expected, not a whole "
                  "number",
                  "");
}

TEST(json_numbers_out_of_their_type)
{
    const ProtobufCMessageDescriptor *d = &pb__vm_spec__descriptor;
    check_refused(d, "{\"vcpus\":-1}", "vcpus: -1 is less than 0", "");
    check_refused(d, "{\"vcpus\":4294967296}", "vcpus: 4294967296 is more than 4294967295", "");
    check_refused(d, "{\"vcpus\":1.0}",
                  "vcpus: a whole number is expected, not a number with a fraction or exponent",
                  "");
    check_refused(d, "{\"vcpus\":\"two\"}", "vcpus: \"two\" is not a whole number", "");
    check_refused(d, "{\"vcpus\":\"18446744073709551616\"}",
                  "vcpus: \"18446744073709551616\" is not a whole number", "");
}

TEST(json_wrong_types_name_field_and_type)
{
    const ProtobufCMessageDescriptor *d = &pb__vm__descriptor;
    check_refused(d, "[]", "an object is expected, not an array", "");
    check_refused(d, "{\"spec\":[]}", "spec: an object is expected, not an array", "");
    check_refused(d, "{\"spec\":{\"image\":7}}",
                  "spec.image: a string is expected, not a whole number", "");
    check_refused(d, "{\"spec\":{\"autostart\":\"yes\"}}",
                  "spec.autostart: true or false is expected, not a string", "");
    check_refused(d, "{\"spec\":{\"restart\":2}}",
                  "spec.restart: a word is expected, not a whole number", "");
    check_refused(d, "{\"spec\":{\"volumes\":{}}}",
                  "spec.volumes: an array is expected, not an object", "");
    check_refused(
        d, "{\"spec\":{\"volumes\":[{},{\"size_mib\":{}}]}}",
        "spec.volumes[1].size_mib: a whole number of MiB, or a string such as \"512MiB\", "
        "is expected, not an object",
        "");
}

TEST(json_typing_errors_get_a_hint)
{
    const ProtobufCMessageDescriptor *d = &pb__vm__descriptor;
    check_refused(d, "{\"spec\":{\"vcpsu\":1}}", "spec.vcpsu: there is no such field",
                  "did you mean vcpus?");
    check_refused(d, "{\"banana\":1}", "banana: there is no such field", "");
    check_refused(d, "{\"spec\":{\"restart\":\"alwys\"}}",
                  "spec.restart: \"alwys\" is not one of on-failure, never, always",
                  "did you mean always?");
    check_refused(d, "{\"\\u001b[2J\":1}", "?[2J: there is no such field", "");
}

TEST(json_refuses_two_of_a_oneof)
{
    check_refused(&pb__command__descriptor, "{\"vm_power\":{},\"operation_cancel\":{}}",
                  "operation_cancel: it cannot be given together with vm_power", "");
}

TEST(json_skips_output_fields_when_told_so)
{
    json_t *v = parsed("{\"meta\":{\"name\":\"a\",\"uid\":\"x\",\"index\":7},\"status\":{\"phase\":"
                       "\"no such phase\"}}");
    ProtobufCMessage *m;
    CHECK_EQ(ST_OK, json_to_message(&pb__vm__descriptor, v, JSON_SKIP_OUTPUT, &m, NULL));
    json_decref(v);
    check_text("{\"meta\":{\"name\":\"a\"}}", json_from_message(m, JSON_WHOLE));
    proto_free(m);
}

TEST(json_of_what_was_not_checked_does_not_abort)
{
    AUTO(auto_proto_free) Pb__Vm *vm = (Pb__Vm *)proto_new(&pb__vm__descriptor);
    PROTO_SET(vm, power, (Pb__Power)77);
    proto_set(&vm->mac, "\xff");
    check_text("{\"power\":77,\"mac\":\"\xef\xbf\xbd\"}", json_from_message(&vm->base, JSON_WHOLE));
}

/* Unset what JSON does not show. */
static void drop_hidden(ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        for (size_t k = 0; f->type == PROTOBUF_C_TYPE_MESSAGE && k < field_count(m, f); k++) {
            const ProtobufCMessage *inner = field_message(field_at(m, f, k));
            ProtobufCMessage *ours; /* all of m is */
            memcpy(&ours, &inner, sizeof ours);
            drop_hidden(ours);
        }
        if (!schema_field(m->descriptor, f)->hidden || field_count(m, f) == 0)
            continue;
        if (f->type == PROTOBUF_C_TYPE_BYTES) {
            ProtobufCBinaryData *bytes = (void *)((char *)m + f->offset);
            free(bytes->data);
            *bytes = (ProtobufCBinaryData){0};
        } else {
            CHECK_EQ(PROTOBUF_C_TYPE_UINT32, f->type);
            *(uint32_t *)(void *)((char *)m + f->offset) = 0;
        }
        *(protobuf_c_boolean *)((char *)m + f->quantifier_offset) = false;
    }
}

/* Message to text and back: nothing is lost but what is hidden, and the second text is the first. */
static void message_survives(struct tape *t)
{
    json_setup();
    const ProtobufCMessageDescriptor *desc = draw_type(t);
    AUTO(auto_proto_free) ProtobufCMessage *m = draw_message(t, desc);
    AUTO(buf_done) struct buf one, two;
    buf_init(&one, LARGEST);
    buf_init(&two, LARGEST);
    json_t *v = json_from_message(m, JSON_WHOLE);
    drop_hidden(m);
    json_dump(v, draw_below(t, 2), &one);
    json_decref(v);

    ProtobufCMessage *back;
    CHECK_EQ(ST_OK, json_parse(buf_view(&one), LARGEST, &v, NULL));
    CHECK_EQ(ST_OK, json_to_message(desc, v, JSON_WHOLE, &back, NULL));
    CHECK(proto_equal(m, back));
    json_dump(v, one.len > 2 && one.ptr[1] == '\n', &two);
    CHECK_STR(buf_cstr(&one), buf_cstr(&two));
    json_decref(v);
    proto_free(back);
}

TEST(json_gives_back_every_message)
{
    prop_run(message_survives, 1, 300);
}
