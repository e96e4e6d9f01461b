#include <stdlib.h>

#include "cli/output.h"
#include "cli/yaml.h"
#include "os/child.h"
#include "pb/api.pb-c.h"
#include "pb/event.pb-c.h"
#include "pb/image.pb-c.h"
#include "pb/vm.pb-c.h"
#include "support/draw_message.h"
#include "support/golden.h"
#include "support/tap.h"
#include "wire/json.h"
#include "wire/proto.h"
#include "wire/schema.h"

enum { OUT_MAX = 1 << 20 };

/* 2026-11-24T05:47:08.123Z */
static const uint64_t now_ns = UINT64_C(1795499228123000000);

static const char vms[] =
    "[{\"meta\":{\"uid\":\"0123456789abcdef0123456789abcdef\",\"name\":\"web-1\",\"project\":\"default\","
    "\"labels\":[{\"key\":\"tier\",\"value\":\"a,\\\"b\\\"\"}],\"created_ns\":\"2026-11-24T05:00:00Z\","
    "\"modified_ns\":\"2026-11-24T05:47:00Z\",\"index\":42},"
    "\"spec\":{\"image\":\"debian\",\"vcpus\":2,\"mem_mib\":1536,\"autostart\":true,"
    "\"ports\":[{\"host_port\":8080,\"guest_port\":80,\"protocol\":\"tcp\"}],"
    "\"user_data\":\"#!/bin/sh\\n\\techo hi\\n\"},"
    "\"power\":\"running\","
    "\"status\":{\"phase\":\"running\",\"node\":1,\"address\":\"10.83.0.2\",\"restarts\":0,"
    "\"started_ns\":\"2026-11-24T05:46:08.123Z\",\"start_ms\":1420},"
    "\"later\":{\"than\":\"we\"}},"
    "{\"meta\":{\"uid\":\"fedcba9876543210fedcba9876543210\",\"name\":\"a\",\"project\":\"shop\","
    "\"created_ns\":\"2026-11-23T03:47:08.123Z\",\"index\":7},"
    "\"spec\":{\"image\":\"x,y\",\"mem_mib\":512},\"power\":\"stopped\","
    "\"status\":{\"phase\":\"failed\",\"cause\":\"crashed\",\"restarts\":11,"
    "\"detail\":\"qemu said: \\\"no\\\"\"}}]";

static const char *const words[] = {"table", "wide", "json", "jsonl", "yaml", "csv", "name"};

static json_t *parse(const char *text)
{
    json_t *v;
    struct fault why;
    json_setup();
    CHECK_EQ(ST_OK, json_parse(str_from(text), OUT_MAX, &v, &why));
    return v;
}

static struct output output(enum output_form form)
{
    return (struct output){.form = form, .noun = "vm", .now_ns = now_ns};
}

/* The VMs above, or the fault. */
static const char *list(const struct output *o, struct buf *out)
{
    static char text[FAULT_TEXT_MAX + FAULT_HINT_MAX];
    struct fault why = {0};
    json_t *items = parse(vms);
    buf_reset(out);
    enum status s = output_list(o, &pb__vm__descriptor, items, out, &why);
    json_decref(items);
    (void)snprintf(text, sizeof text, "%.400s; %.150s", why.text, why.hint);
    return s == ST_OK ? buf_cstr(out) : text;
}

TEST(output_of_lists_is_as_it_was)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        char path[100];
        enum output_form form;
        CHECK_EQ(ST_OK, output_parse(words[i], &form, NULL));
        struct output o = output(form);
        (void)list(&o, &out);
        (void)snprintf(path, sizeof path, "tests/golden/cli/list.%s", words[i]);
        golden_check(path, buf_view(&out));
    }
}

TEST(output_of_one_object_is_as_it_was)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_MAX);
    json_t *items = parse(vms);
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        char path[100];
        struct output o = output((enum output_form)i);
        struct fault why;
        buf_reset(&out);
        CHECK_EQ(ST_OK,
                 output_object(&o, &pb__vm__descriptor, json_array_get(items, 0), &out, &why));
        (void)snprintf(path, sizeof path, "tests/golden/cli/object.%s", words[i]);
        golden_check(path, buf_view(&out));
    }
    json_decref(items);
}

TEST(output_has_the_columns_that_are_wanted)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_MAX);
    struct output o = output(OUTPUT_TABLE);
    o.columns = "phase, NAME,mem_mib";
    CHECK_STR("PHASE    NAME   MEMORY\n"
              "running  web-1  1536MiB\n"
              "failed   a      512MiB\n",
              list(&o, &out));
    o.no_header = true;
    o.columns = "cause,name";
    CHECK_STR("         web-1\ncrashed  a\n", list(&o, &out));
    o.form = OUTPUT_CSV;
    o.columns = "image,name,age";
    CHECK_STR("debian,web-1,2026-11-24T05:00:00.000Z\r\n\"x,y\",a,2026-11-23T03:47:08.123Z\r\n",
              list(&o, &out));
    o.columns = "name,phse";
    CHECK_STR(
        "--columns: there is no column phse; there are uid, name, project, age, image, vcpus, "
        "memory, wanted, phase, node, address, cause, restarts, uptime; did you mean phase?",
        list(&o, &out));
}

TEST(output_is_sorted_by_what_a_column_means)
{
    static const struct {
        const char *sort, *want;
    } sorts[] = {
        {"name", "vm/a\nvm/web-1\n"},     {"-name", "vm/web-1\nvm/a\n"},
        {"restarts", "vm/web-1\nvm/a\n"}, {"-restarts", "vm/a\nvm/web-1\n"},
        {"memory", "vm/a\nvm/web-1\n"},   {"vcpus", "vm/a\nvm/web-1\n"},
        {"age", "vm/a\nvm/web-1\n"},      {"phase", "vm/a\nvm/web-1\n"},
        {"address", "vm/a\nvm/web-1\n"},
    };
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_MAX);
    for (size_t i = 0; i < ARRAY_COUNT(sorts); i++) {
        struct output o = output(OUTPUT_NAME);
        o.sort = sorts[i].sort;
        printf("# --sort %s\n", o.sort);
        CHECK_STR(sorts[i].want, list(&o, &out));
    }
    struct output o = output(OUTPUT_NAME);
    o.sort = "-";
    CHECK(str_starts(str_from(list(&o, &out)), "--sort: there is no column ; there are uid, name"));
}

TEST(output_of_ids_is_nothing_else)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_MAX);
    struct output o = output(OUTPUT_JSON);
    struct fault why;
    o.ids = true;
    CHECK_STR("0123456789abcdef0123456789abcdef\nfedcba9876543210fedcba9876543210\n",
              list(&o, &out));
    json_t *event = parse("{\"index\":7,\"seq\":2,\"type\":\"vm.started\"}");
    buf_reset(&out);
    CHECK_EQ(ST_OK, output_object(&o, &pb__event__descriptor, event, &out, &why));
    CHECK_STR("7.2\n", buf_cstr(&out));
    json_decref(event);
}

TEST(output_of_an_empty_list)
{
    static const char *const want[] = {"", "", "[]\n", "", "[]\n", "", ""};
    json_t *none = parse("[]");
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        AUTO(buf_done) struct buf out;
        struct fault why;
        struct output o = output((enum output_form)i);
        o.no_header = true;
        buf_init(&out, OUT_MAX);
        CHECK_EQ(ST_OK, output_list(&o, &pb__vm__descriptor, none, &out, &why));
        CHECK_STR(want[i], buf_cstr(&out));
    }
    json_decref(none);
}

/* A node of a later version may say more. */
TEST(output_leaves_out_what_it_does_not_know)
{
    AUTO(buf_done) struct buf out;
    struct fault why;
    buf_init(&out, OUT_MAX);
    json_t *v =
        parse("{\"meta\":{\"name\":\"a\",\"colour\":\"red\"},\"status\":{\"phase\":\"dreaming\"}}");
    struct output o = output(OUTPUT_TABLE);
    CHECK_EQ(ST_OK, output_object(&o, &pb__vm__descriptor, v, &out, &why));
    CHECK_STR("meta.name  a\n", buf_cstr(&out));
    buf_reset(&out);
    o.form = OUTPUT_JSONL;
    CHECK_EQ(ST_OK, output_object(&o, &pb__vm__descriptor, v, &out, &why));
    CHECK(strstr(buf_cstr(&out), "dreaming") != NULL);
    json_decref(v);
    v = parse("{\"meta\":[]}");
    o.form = OUTPUT_TABLE;
    CHECK_EQ(ST_CORRUPT, output_object(&o, &pb__vm__descriptor, v, &out, &why));
    json_decref(v);
}

TEST(output_streams_events_a_line_each)
{
    AUTO(buf_done) struct buf out;
    struct fault why;
    buf_init(&out, OUT_MAX);
    json_t *v = parse(
        "{\"index\":7,\"seq\":0,\"time_ns\":\"2026-11-24T05:47:08.123Z\",\"type\":\"vm.started\","
        "\"name\":\"web-1\",\"text\":\"it\\u001b[31m runs\\nnow\"}");
    struct output o = output(OUTPUT_TABLE);
    CHECK_EQ(ST_OK, output_stream_head(&o, &pb__event__descriptor, &out, &why));
    CHECK_EQ(ST_OK, output_stream(&o, &pb__event__descriptor, v, &out, &why));
    CHECK_STR("TIME                      TYPE                NAME              TEXT\n"
              "2026-11-24T05:47:08.123Z  vm.started          web-1             it?[31m runs now\n",
              buf_cstr(&out));
    buf_reset(&out);
    o.form = OUTPUT_JSON;
    CHECK_EQ(ST_OK, output_stream_head(&o, &pb__event__descriptor, &out, &why));
    CHECK_EQ(ST_OK, output_stream(&o, &pb__event__descriptor, v, &out, &why));
    CHECK(str_starts(buf_view(&out), "{\"index\":7,") && str_ends(buf_view(&out), "}\n"));
    buf_reset(&out);
    o.form = OUTPUT_YAML;
    CHECK_EQ(ST_OK, output_stream(&o, &pb__event__descriptor, v, &out, &why));
    CHECK(str_starts(buf_view(&out), "---\nindex: 7\n"));
    json_decref(v);
}

TEST(output_of_what_is_no_noun)
{
    AUTO(buf_done) struct buf out;
    struct fault why;
    buf_init(&out, OUT_MAX);
    json_t *v = parse("{\"cpu_ns\":12,\"rss_bytes\":43123456}");
    struct output o = output(OUTPUT_TABLE);
    CHECK_EQ(ST_OK, output_object(&o, &pb__vm_stats__descriptor, v, &out, &why));
    CHECK_STR("cpu_ns     12\nrss_bytes  41.1MiB\n", buf_cstr(&out));
    json_decref(v);
}

/* Whatever a node says that has the shape of a noun, every form can be made of it. */
static void any_object_has_every_form(struct tape *t)
{
    const ProtobufCMessageDescriptor *desc = draw_type(t);
    if (!schema_message(desc)->plural)
        return;
    AUTO(auto_proto_free) ProtobufCMessage *m = draw_message(t, desc);
    json_t *v = json_from_message(m, JSON_WHOLE), *items = json_pack("[O,O]", v, v);
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        AUTO(buf_done) struct buf out;
        struct fault why;
        struct output o = output((enum output_form)i);
        buf_init(&out, 64 << 20);
        CHECK_EQ(ST_OK, output_object(&o, desc, v, &out, &why));
        CHECK(out.len == 0 || str_ends(buf_view(&out), "\n"));
        CHECK_EQ(ST_OK, output_list(&o, desc, items, &out, &why));
        CHECK(str_utf8(buf_view(&out)));
    }
    json_decref(items);
    json_decref(v);
}

TEST(output_of_any_object_has_every_form)
{
    json_setup();
    prop_run(any_object_has_every_form, 1, 200);
}

/* --- yaml --- */

static const char *yaml(const char *text)
{
    static struct buf out;
    if (out.max == 0)
        buf_init(&out, OUT_MAX);
    buf_reset(&out);
    json_t *v = parse(text);
    yaml_dump(v, &out);
    json_decref(v);
    return buf_cstr(&out);
}

TEST(yaml_nests_in_block_style)
{
    CHECK_STR("a: 1\nb:\n  - x\n  - c: null\n    d: []\n  - - 1\n    - 2\n  - {}\ne:\n  f: true\n",
              yaml("{\"a\":1,\"b\":[\"x\",{\"c\":null,\"d\":[]},[1,2],{}],\"e\":{\"f\":true}}"));
    CHECK_STR("[]\n", yaml("[]"));
}

TEST(yaml_quotes_what_would_be_something_else)
{
    CHECK_STR("- web-1\n- a_b/c.d\n", yaml("[\"web-1\",\"a_b/c.d\"]"));
    CHECK_STR(
        "- \"\"\n- \"yes\"\n- \"No\"\n- \"NULL\"\n- \"true\"\n- \"y\"\n- \"123\"\n- \"5e3\"\n- \"-x\"\n- \"a: "
        "b\"\n- \"a #b\"\n- \"a b\"\n- \"@x\"\n- \"sha256:ab\"\n",
        yaml(
            "[\"\",\"yes\",\"No\",\"NULL\",\"true\",\"y\",\"123\",\"5e3\",\"-x\",\"a: b\",\"a #b\",\"a b\","
            "\"@x\",\"sha256:ab\"]"));
    CHECK_STR("- \"a\\nb\\t\\\"\\\\\\x1B\\x7F\\x85\\u2028\\uFEFF\xc3\xa4\"\n",
              yaml("[\"a\\nb\\t\\\"\\\\\\u001b\\u007f\\u0085\\u2028\\ufeff\xc3\xa4\"]"));
}

/* Another reader of YAML, if the machine has one, finds what was said. */
TEST(yaml_is_read_back_by_others)
{
    static const char script[] = "import json,sys\n"
                                 "try: import yaml\n"
                                 "except ImportError: sys.exit(77)\n"
                                 "want, got = sys.argv[1], sys.argv[2]\n"
                                 "a, b = json.loads(want), yaml.safe_load(got)\n"
                                 "sys.exit(0 if a == b else 1)\n";
    static const char text[] =
        "{\"a\":[\"\",\"yes\",\"~\",\"0x1f\",\"1_000\",\"12:30\",\"2026-11-24\",\"=\",\"<<\",\"a\\nb\",\"\\u001b\","
        "\"\\u007f\\u0085\\u00a0\\u2028\\ufeff\",\"\\ud83d\\ude00\",\" x \",\"- x\",\"? x\",\"x:\",\"%x\",\"!x\","
        "\"&x\",\"*x\",\"|\",\">\",\"'x'\",\"nan\",\".inf\",\"on\"],\"on\":{\"1\":[[],{},[[1]],{\"x\":[{\"y\":1}]}]},"
        "\"big\":9223372036854775807,\"n\":null,\"t\":true}";
    AUTO(auto_free) char *dumped = mem_strdup(yaml(text));
    const char *const argv[] = {"/usr/bin/python3", "-c", script, text, dumped, NULL};
    struct child_result r = {0};
    struct fault why;
    const struct child_run run = {.argv = argv, .timeout_ms = 20000};
    enum status s = child_run(&run, &r, &why);
    if (s == ST_NOT_FOUND || r.exit_code == 77)
        tap_skip("python3-yaml is not there");
    CHECK_EQ(ST_OK, s);
}
