#include "wire/json.h"

#include <stdlib.h>
#include <string.h>

static void *json_alloc(size_t size)
{
    return mem_grow(NULL, size, 1);
}

void json_setup(void)
{
    json_set_alloc_funcs(json_alloc, free);
    json_object_seed(1); /* anything but 0, which means a random one */
}

/* jansson's own bound is far deeper than its recursion and ours should go. What is counted here is
 * exact for JSON, and for anything else up to where jansson stops. */
static enum status check_depth(struct str text, struct fault *why)
{
    size_t depth = 0, line = 1, line_start = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (c == '\n')
            line++, line_start = i + 1;
        else if (!in_string && (c == '[' || c == '{') && ++depth > JSON_DEPTH_MAX)
            return fault_set(why, ST_TOO_BIG, "line %zu, column %zu: more than %d levels deep",
                             line, i - line_start + 1, JSON_DEPTH_MAX);
        else if (!in_string && (c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return ST_OK;
}

enum status json_parse(struct str text, size_t max, json_t **ret, struct fault *why)
{
    if (text.len > max)
        return fault_set(why, ST_TOO_BIG, "%zu bytes are more than %zu", text.len, max);
    enum status s = check_depth(text, why);
    if (s != ST_OK)
        return s;
    json_error_t error;
    json_t *v = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    if (!v) {
        struct str all = str_from(error.text), said = all;
        char *near =
            strstr(error.text, " near "); /* quotes the input; line and column say enough */
        if (near)
            said.len = (size_t)(near - all.ptr);
        return fault_set(why, ST_INVALID, "line %d, column %d: " STR_FMT, MAX(error.line, 1),
                         MAX(error.column, 1), STR_ARG(said));
    }
    *ret = v;
    return ST_OK;
}

static int append(const char *text, size_t len, void *b)
{
    buf_add(b, text, len);
    return ((struct buf *)b)->full ? -1 : 0;
}

void json_dump(const json_t *v, bool indent, struct buf *b)
{
    size_t flags = JSON_ENCODE_ANY | (indent ? JSON_INDENT(2) : JSON_COMPACT);
    int failed = json_dump_callback(v, append, b, flags);
    ensure(!failed || b->full);
}

/* jansson's iterators take a value that they do not change without `const`. */
static json_t *unconst(const json_t *v)
{
    json_t *plain;
    memcpy(&plain, &v, sizeof plain);
    return plain;
}

json_t *json_merge(json_t *target, const json_t *patch)
{
    if (!json_is_object(patch)) {
        json_decref(target);
        return json_deep_copy(patch);
    }
    if (!json_is_object(target)) {
        json_decref(target);
        target = json_object();
    }
    const char *key;
    json_t *value;
    json_object_foreach(unconst(patch), key, value)
    {
        if (json_is_null(value)) {
            (void)json_object_del(target, key);
            continue;
        }
        json_t *merged = json_merge(json_incref(json_object_get(target, key)), value);
        int failed = json_object_set_new(target, key, merged);
        ensure(!failed);
    }
    return target;
}
