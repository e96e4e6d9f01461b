#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/apidoc.h"
#include "ops/table.h"
#include "support/tap.h"
#include "wire/json.h"

enum { FILE_MAX = 1 << 20 };

/* The text must be what the file of the tree holds. With UPDATE=1 in the environment it becomes
 * that. */
static void check_file(const char *path, struct str text)
{
    char full[512];
    static char was[FILE_MAX];
    (void)snprintf(full, sizeof full, "%s/%s", getenv("SOURCE_DIR"), path);
    FILE *f = fopen(full, getenv("UPDATE") ? "w" : "r");
    if (!f)
        tap_fail(__FILE__, __LINE__, "%s cannot be opened", path);
    size_t len = getenv("UPDATE") ? fwrite(text.ptr, 1, text.len, f) : fread(was, 1, FILE_MAX, f);
    (void)fclose(f);
    if (len != text.len || (!getenv("UPDATE") && memcmp(was, text.ptr, len) != 0))
        tap_fail(
            __FILE__, __LINE__,
            "%s is not what the table says; run: UPDATE=1 meson test -C build/debug test_apidoc",
            path);
}

static json_t *document(void)
{
    json_setup();
    return apidoc_openapi("0.1.0");
}

static json_t *operation_of(const json_t *doc, const struct op *op)
{
    char method[8] = "";
    for (size_t i = 0; op->method[i]; i++)
        method[i] = (char)(op->method[i] | 0x20);
    return json_object_get(json_object_get(json_object_get(doc, "paths"), op->path), method);
}

TEST(openapi_is_the_one_in_the_tree)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, FILE_MAX);
    json_t *doc = document();
    json_dump(doc, true, &text);
    buf_char(&text, '\n');
    check_file("tests/golden/openapi.json", buf_view(&text));
    json_decref(doc);
}

TEST(openapi_has_every_operation)
{
    size_t count, found = 0;
    const struct op *op = op_table(&count);
    json_t *doc = document(), *paths = json_object_get(doc, "paths");
    for (size_t i = 0; i < count; i++) {
        json_t *o = operation_of(doc, &op[i]);
        printf("# %s\n", op[i].name);
        CHECK(o);
        CHECK_STR(op[i].name, json_string_value(json_object_get(o, "operationId")));
        CHECK_STR(op[i].doc, json_string_value(json_object_get(o, "summary")));
        CHECK(json_object_get(json_object_get(o, "responses"), "default"));
        CHECK(json_object_size(json_object_get(o, "responses")) >= 2);
    }
    const char *path;
    json_t *methods;
    json_object_foreach(paths, path, methods) found += json_object_size(methods);
    CHECK_EQ(count, found);
    json_decref(doc);
}

/* What "#/components/schemas/Vm" points to. */
static json_t *follow(json_t *doc, const char *ref)
{
    struct str rest = str_from(ref), part;
    json_t *v = doc;
    CHECK(str_starts(rest, "#/"));
    rest = (struct str){rest.ptr + 2, rest.len - 2};
    for (bool more = true; more;) {
        more = str_cut(&rest, '/', &part);
        v = json_object_getn(v, part.ptr, part.len);
    }
    return v;
}

static size_t check_refs(json_t *doc, json_t *v)
{
    size_t count = 0, i;
    const char *key;
    json_t *inner;
    if (json_is_array(v))
        json_array_foreach(v, i, inner) count += check_refs(doc, inner);
    json_object_foreach(v, key, inner)
    {
        if (strcmp(key, "$ref") == 0 && json_is_string(inner)) {
            if (!follow(doc, json_string_value(inner)))
                tap_fail(__FILE__, __LINE__, "%s points nowhere", json_string_value(inner));
            count++;
        }
        count += check_refs(doc, inner);
    }
    return count;
}

TEST(openapi_references_resolve)
{
    json_t *doc = document();
    CHECK(check_refs(doc, doc) > 100);
    json_decref(doc);
}

/* Path parameters are declared and required, names of parameters do not repeat. */
TEST(openapi_parameters_are_right)
{
    size_t count, k;
    const struct op *op = op_table(&count);
    json_t *doc = document(), *p;
    for (size_t i = 0; i < count; i++) {
        json_t *list = json_object_get(operation_of(doc, &op[i]), "parameters");
        json_t *names = json_object();
        bool in_path = false;
        json_array_foreach(list, k, p)
        {
            if (json_object_get(p, "$ref"))
                p = follow(doc, json_string_value(json_object_get(p, "$ref")));
            const char *name = json_string_value(json_object_get(p, "name"));
            const char *where = json_string_value(json_object_get(p, "in"));
            CHECK(name && where && json_object_get(p, "schema"));
            CHECK(!json_object_get(names, name));
            CHECK_EQ(0, json_object_set_new(names, name, json_true()));
            if (strcmp(where, "path") == 0)
                in_path = json_is_true(json_object_get(p, "required"));
        }
        CHECK(in_path == (strchr(op[i].path, '{') != NULL));
        json_decref(names);
    }
    json_decref(doc);
}

TEST(api_page_is_the_one_in_the_tree)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, FILE_MAX);
    apidoc_page(&text);
    check_file("docs/reference/api.md", buf_view(&text));
}
