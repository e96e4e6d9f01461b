#include "cli/yaml.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "wire/json.h"

/* --- texts --- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Words of YAML 1.1 and 1.2 that are no texts. */
static bool has_meaning(struct str s)
{
    static const char *const words[] = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strlen(words[i]) == s.len && strncasecmp(words[i], s.ptr, s.len) == 0)
            return true;
    return false;
}

static bool is_plain(struct str s)
{
    if (s.len == 0 || !is_letter(s.ptr[0]) || has_meaning(s))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!is_letter(c) && !(c >= '0' && c <= '9') && !(c != 0 && strchr("_-./", c)))
            return false;
    }
    return true;
}

/* Is there, at p, one of what YAML does not print or some readers take for a line end: C1 controls,
 * U+2028, U+2029, U+FEFF? Returns its bytes, and what stands for it. */
static size_t special(const unsigned char *p, size_t left, char escape[8])
{
    if (left >= 2 && p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
        (void)snprintf(escape, 8, "\\x%02X", p[1]);
        return 2;
    }
    if (left >= 3 && memcmp(p, "\xe2\x80", 2) == 0 && (p[2] == 0xa8 || p[2] == 0xa9)) {
        (void)snprintf(escape, 8, "\\u20%02X", p[2] - 0x80);
        return 3;
    }
    if (left >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        (void)snprintf(escape, 8, "\\uFEFF");
        return 3;
    }
    return 0;
}

static void dump_quoted(struct str s, struct buf *out)
{
    buf_char(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        char escape[8], c = s.ptr[i];
        size_t n = special((const unsigned char *)s.ptr + i, s.len - i, escape);
        if (n > 0) {
            buf_text(out, escape);
            i += n - 1;
        } else if (c == '"' || c == '\\') {
            buf_fmt(out, "\\%c", c);
        } else if (c == '\n') {
            buf_text(out, "\\n");
        } else if (c == '\t') {
            buf_text(out, "\\t");
        } else if ((unsigned char)c < 0x20 || c == 0x7f) {
            buf_fmt(out, "\\x%02X", (unsigned char)c);
        } else {
            buf_char(out, c);
        }
    }
    buf_char(out, '"');
}

static void dump_text(struct str s, struct buf *out)
{
    if (is_plain(s))
        buf_str(out, s);
    else
        dump_quoted(s, out);
}

/* --- structure --- */

static bool is_block(const json_t *v)
{
    return json_object_size(v) > 0 || json_array_size(v) > 0;
}

static void indent(size_t depth, struct buf *out)
{
    for (size_t i = 0; i < depth; i++)
        buf_text(out, "  ");
}

static void dump_scalar(const json_t *v, struct buf *out)
{
    if (json_is_string(v))
        dump_text((struct str){json_string_value(v), json_string_length(v)}, out);
    else
        json_dump(v, false, out);
    buf_char(out, '\n');
}

/* first: its first line is indented already, by the "- " before it. */
static void dump_block(const json_t *v, size_t depth, bool first, struct buf *out);

static void dump_list(const json_t *v, size_t depth, bool first, struct buf *out)
{
    for (size_t i = 0; i < json_array_size(v); i++, first = false) {
        const json_t *item = json_array_get(v, i);
        if (!first)
            indent(depth, out);
        buf_text(out, "- ");
        if (is_block(item))
            dump_block(item, depth + 1, true, out);
        else
            dump_scalar(item, out);
    }
}

static void dump_object(const json_t *v, size_t depth, bool first, struct buf *out)
{
    json_t *plain;
    memcpy(&plain, &v, sizeof plain); /* jansson's iterators change nothing */
    const char *key;
    json_t *item;
    json_object_foreach(plain, key, item)
    {
        if (!first)
            indent(depth, out);
        first = false;
        dump_text(str_from(key), out);
        buf_char(out, ':');
        buf_char(out, is_block(item) ? '\n' : ' ');
        if (is_block(item))
            dump_block(item, depth + 1, false, out);
        else
            dump_scalar(item, out);
    }
}

static void dump_block(const json_t *v, size_t depth, bool first, struct buf *out)
{
    if (json_is_array(v))
        dump_list(v, depth, first, out);
    else
        dump_object(v, depth, first, out);
}

void yaml_dump(const json_t *v, struct buf *out)
{
    if (is_block(v))
        dump_block(v, 0, false, out);
    else
        dump_scalar(v, out);
}
