#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/toml.h"
#include "support/prop.h"
#include "support/tap.h"

/* ---- the public suite: every case of TOML 1.0, compared with its JSON ---- */

enum { CASE_MAX = 64 * 1024 };

static char *read_file(const char *folder, const char *name, size_t *ret_len)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/tests/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        tap_fail(__FILE__, __LINE__, "no %s", path);
    char *text = mem_new(CASE_MAX);
    *ret_len = fread(text, 1, CASE_MAX - 1, f);
    (void)fclose(f);
    return text;
}

static void unpack_suite(char folder[PATH_MAX])
{
    const char *shared = getenv("SHARED_DIR");
    char archive[PATH_MAX], command[3 * PATH_MAX];
    (void)snprintf(archive, sizeof archive, "%s/toml-test/toml-test.tar.gz", shared ? shared : "");
    if (access(archive, R_OK) != 0)
        tap_skip("the public toml-test suite is not in SHARED_DIR");
    (void)snprintf(folder, PATH_MAX, "/tmp/toml-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(command, sizeof command, "tar -xf '%s' -C '%s'", archive, folder);
    CHECK_EQ(0, system(command));
}

static void remove_suite(const char *folder)
{
    char command[PATH_MAX + 16];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_EQ(0, system(command));
}

static const char *tag(const struct toml *t)
{
    switch (t->type) {
    case TOML_STRING: return "string";
    case TOML_INTEGER: return "integer";
    case TOML_FLOAT: return "float";
    case TOML_BOOL: return "bool";
    case TOML_OFFSET_DATETIME: return "datetime";
    case TOML_LOCAL_DATETIME: return "datetime-local";
    case TOML_LOCAL_DATE: return "date-local";
    case TOML_LOCAL_TIME: return "time-local";
    default: return "";
    }
}

static void format_time(const struct toml *t, struct buf *out)
{
    const struct toml_time *v = &t->time;
    if (t->type != TOML_LOCAL_TIME)
        buf_fmt(out, "%04u-%02u-%02u", v->year, v->month, v->day);
    if (t->type == TOML_OFFSET_DATETIME || t->type == TOML_LOCAL_DATETIME)
        buf_char(out, 'T');
    if (t->type != TOML_LOCAL_DATE)
        buf_fmt(out, "%02u:%02u:%02u.%09u", v->hour, v->minute, v->second, v->ns);
    if (t->type == TOML_OFFSET_DATETIME && v->offset_min == 0)
        buf_char(out, 'Z');
    else if (t->type == TOML_OFFSET_DATETIME)
        buf_fmt(out, "%c%02d:%02d", v->offset_min < 0 ? '-' : '+', abs(v->offset_min) / 60,
                abs(v->offset_min) % 60);
}

/* The same with nine digits of fraction, for times are written with any number of them. */
static void pad_fraction(struct str text, bool has_time, struct buf *out)
{
    size_t at = 0, digits = 0;
    while (at < text.len && text.ptr[at] != '.' && text.ptr[at] != 'Z' && text.ptr[at] != '+' &&
           !(text.ptr[at] == '-' && at > 10))
        at++;
    buf_str(out, (struct str){text.ptr, at});
    if (has_time)
        buf_char(out, '.');
    if (at < text.len && text.ptr[at] == '.')
        for (at++; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++, digits++)
            buf_char(out, text.ptr[at]);
    for (; has_time && digits < 9; digits++)
        buf_char(out, '0');
    buf_str(out, (struct str){text.ptr + at, text.len - at});
}

/* jansson has no keys with NUL: on both sides U+E000 stands for it. */
static void hide_nul_in_json(char *json)
{
    for (char *at = json; *at; at += *at == '\\' ? 2 : 1)
        if (strncmp(at, "\\u0000", 6) == 0)
            memcpy(at, "\\uE000", 6);
}

static void hide_nul(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++)
        buf_add(out, text.ptr[i] ? text.ptr + i : "\xee\x80\x80", text.ptr[i] ? 1 : 3);
}

static json_t *member(json_t *object, struct str key)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, CASE_MAX);
    hide_nul(key, &b);
    return json_object_get(object, buf_cstr(&b));
}

static bool same_scalar(const struct toml *t, struct str want)
{
    char text[64];
    AUTO(buf_done) struct buf a, b;
    buf_init(&a, CASE_MAX);
    buf_init(&b, CASE_MAX);
    switch (t->type) {
    case TOML_STRING: hide_nul(t->string, &a); return str_eq(buf_view(&a), want);
    case TOML_BOOL: return str_is(want, t->boolean ? "true" : "false");
    case TOML_INTEGER:
        (void)snprintf(text, sizeof text, "%" PRId64, t->integer);
        return str_is(want, text);
    case TOML_FLOAT: {
        double d = strtod(want.ptr, NULL);
        return isnan(d) ? isnan(t->real) : memcmp(&d, &t->real, sizeof d) == 0;
    }
    default:
        format_time(t, &a);
        pad_fraction(want, t->type != TOML_LOCAL_DATE, &b);
        return str_eq(buf_view(&a), buf_view(&b));
    }
}

static bool same(const struct toml *t, json_t *want)
{
    size_t i = 0;
    if (t->type == TOML_TABLE) {
        bool ok = json_is_object(want) && json_object_size(want) == t->count;
        TOML_EACH(c, t)
            ok = ok && same(c, member(want, c->key));
        return ok;
    }
    if (t->type == TOML_ARRAY) {
        bool ok = json_is_array(want) && json_array_size(want) == t->count;
        TOML_EACH(c, t)
            ok = ok && same(c, json_array_get(want, i++));
        return ok;
    }
    json_t *type = json_object_get(want, "type"), *value = json_object_get(want, "value");
    return json_is_string(type) && json_is_string(value) &&
           strcmp(json_string_value(type), tag(t)) == 0 &&
           same_scalar(t, (struct str){json_string_value(value), json_string_length(value)});
}

static bool valid_case(const char *folder, const char *name)
{
    char json_name[PATH_MAX];
    size_t len, json_len;
    (void)snprintf(json_name, sizeof json_name, "%.*s.json", (int)strlen(name) - 5, name);
    AUTO(auto_free) char *text = read_file(folder, name, &len);
    AUTO(auto_free) char *json = read_file(folder, json_name, &json_len);
    struct toml *root;
    struct fault why;
    if (toml_parse((struct str){text, len}, &root, &why) != ST_OK) {
        printf("# %s: refused: %s\n", name, why.text);
        return false;
    }
    hide_nul_in_json(json);
    json_t *want = json_loadb(json, json_len, 0, NULL);
    bool ok = want && same(root, want);
    if (!ok)
        printf("# %s: another value than %s\n", name, json_name);
    json_decref(want);
    toml_free(root);
    return ok;
}

static bool invalid_case(const char *folder, const char *name)
{
    size_t len;
    AUTO(auto_free) char *text = read_file(folder, name, &len);
    struct toml *root;
    struct fault why;
    if (toml_parse((struct str){text, len}, &root, &why) == ST_OK) {
        printf("# %s: accepted\n", name);
        toml_free(root);
        return false;
    }
    if (getenv("VERBOSE"))
        printf("# %s: %s\n", name, why.text);
    return why.status == ST_INVALID && strncmp(why.text, "line ", 5) == 0;
}

static void run_suite(const char *prefix, bool (*run)(const char *, const char *), int at_least)
{
    char folder[PATH_MAX];
    unpack_suite(folder);
    size_t len;
    AUTO(auto_free) char *list = read_file(folder, "files-toml-1.0.0", &len);
    int count = 0, failed = 0;
    char *save = NULL;
    for (char *name = strtok_r(list, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
        if (!str_starts(str_from(name), prefix) || !str_ends(str_from(name), ".toml"))
            continue;
        count++;
        failed += !run(folder, name);
    }
    remove_suite(folder);
    printf("# %s: %d cases, %d failed\n", prefix, count, failed);
    CHECK_EQ(0, failed);
    CHECK(count >= at_least);
}

TEST(toml_suite_valid_texts_give_their_values)
{
    run_suite("valid/", valid_case, 200);
}

TEST(toml_suite_invalid_texts_are_refused)
{
    run_suite("invalid/", invalid_case, 450);
}

/* ---- places and faults ---- */

TEST(toml_every_key_and_value_knows_its_place)
{
    struct toml *root;
    CHECK_EQ(ST_OK, toml_parse(STR("\xef\xbb\xbf# a mark that is no character\n"
                                   "\n"
                                   "[log]\n"
                                   "\tlevel   = 'debug' # why\n"
                                   "[[disk]]\n"
                                   "\"grüße\" = [1,\r\n"
                                   "  {a.b = true}]\n"),
                               &root, NULL));
    const struct toml *level = toml_find(toml_find(root, STR("log")), STR("level"));
    CHECK_EQ(4, level->key_at.line);
    CHECK_EQ(2, level->key_at.column);
    CHECK_EQ(4, level->at.line);
    CHECK_EQ(12, level->at.column);
    const struct toml *list = toml_find(toml_find(root, STR("disk"))->first, STR("grüße"));
    CHECK_EQ(6, list->at.line);
    CHECK_EQ(11, list->at.column); /* ü and ß are one column each */
    const struct toml *b = list->last->first->first;
    CHECK(str_is(b->key, "b") && b->boolean);
    CHECK_EQ(7, b->key_at.line);
    CHECK_EQ(6, b->key_at.column);
    CHECK_EQ(10, b->at.column);
    toml_free(root);
}

TEST(toml_faults_say_where_and_what_was_expected)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"a = 1\n\nlevel = = 2", "line 3, column 9: expected a value, found \"=\""},
        {"a = \"\\q\"",
         "line 1, column 7: expected one of b t n f r u U \" \\ after a backslash, found \"q\""},
        {"a = 'x", "line 1, column 5: a string without its closing '"},
        {"a = \"\"\"x\n", "line 1, column 5: a string without its closing \"\"\""},
        {"a = 1 b = 2", "line 1, column 7: expected the end of the line, found \"b\""},
        {"a", "line 1, column 2: expected \"=\" after the key, found the end of the text"},
        {"a = \n", "line 1, column 5: expected a value, found the end of the line"},
        {"level = debug", "line 1, column 9: expected a value, found \"debug\""},
        {"a = [1 2]", "line 1, column 8: expected \",\" or \"]\", found \"2\""},
        {"a = {b = 1,}", "line 1, column 12: expected a key, found \"}\""},
        {"a = 012", "line 1, column 5: a number must not begin with 0"},
        {"a = 9223372036854775808", "line 1, column 5: \"9223372036854775808\" is out of range"},
        {"a = 1e999", "line 1, column 5: \"1e999\" is out of range"},
        {"a = 2026-02-29", "line 1, column 5: \"2026-02-29\" is not a date"},
        {"a = 25:00:00", "line 1, column 5: \"25:00:00\" is not a time"},
        {"a = 1\n a = 2", "line 2, column 2: \"a\" is already defined, at line 1"},
        {"[a]\n[b]\n[a]", "line 3, column 2: \"a\" is already defined, at line 1"},
        {"'a\tb' = 1\n\"a\\tb\" = 2", "line 2, column 1: \"a?b\" is already defined, at line 1"},
        {"'123456789012345678901234567890123456789ü' = 1\n"
         "'123456789012345678901234567890123456789ü' = 2",
         "line 2, column 1: \"123456789012345678901234567890123456789\" is already defined, at line 1"},
        {"a = '\xc3\xbc' # \xc3", "line 1, column 11: byte 0xc3 is not UTF-8"},
        {"a = 1\rb = 2",
         "line 1, column 6: expected the end of the line, found the control character 0x0d"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct toml *root;
        struct fault why = {0};
        CHECK_EQ(ST_INVALID, toml_parse(str_from(cases[i].text), &root, &why));
        CHECK_STR(cases[i].fault, why.text);
    }
}

static enum status parse_repeated(const char *head, const char *piece, size_t count,
                                  const char *tail)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 1 << 20);
    buf_text(&b, head);
    for (size_t i = 0; i < count; i++)
        buf_text(&b, piece);
    buf_text(&b, tail);
    struct toml *root;
    struct fault why = {0};
    enum status s = toml_parse(buf_view(&b), &root, &why);
    if (s == ST_OK)
        toml_free(root);
    else
        CHECK(why.status == s && why.text[0]);
    return s;
}

TEST(toml_limits_are_kept_and_typed)
{
    CHECK_EQ(ST_OK, parse_repeated("a=[", "1,", TOML_VALUES_MAX - 1, "]"));
    CHECK_EQ(ST_TOO_BIG, parse_repeated("a=[", "1,", TOML_VALUES_MAX, "]"));
    CHECK_EQ(ST_TOO_BIG, parse_repeated("", "[[a]]\n", TOML_VALUES_MAX, ""));
    CHECK_EQ(ST_OK, parse_repeated("", "#", TOML_SIZE_MAX, ""));
    CHECK_EQ(ST_TOO_BIG, parse_repeated("", "#", TOML_SIZE_MAX + 1, ""));
    CHECK_EQ(ST_OK, parse_repeated("", "a.", TOML_DEPTH_MAX - 1, "a=1"));
    CHECK_EQ(ST_TOO_BIG, parse_repeated("", "a.", TOML_DEPTH_MAX, "a=1"));
    CHECK_EQ(ST_TOO_BIG, parse_repeated("a=", "[", TOML_SIZE_MAX - 2, ""));
    CHECK_EQ(ST_TOO_BIG, parse_repeated("a=", "{b=", 60000, ""));
    CHECK_EQ(ST_TOO_BIG, parse_repeated("[", "a.", 60000, "a]"));
}

TEST(toml_find_in_nothing_is_nothing)
{
    CHECK(toml_find(NULL, STR("a")) == NULL);
    toml_free(NULL);
}

/* ---- what is written is what is read ---- */

static void draw_string(struct tape *t, struct buf *out)
{
    static const char *const pieces[] = {
        "a",     "\"", "\\", "'", "\n", "\r", "\t", "\x01", "\x7f", "ü", "\xf0\x9f\x98\x80",
        "u0041", "#",  " "};
    for (uint64_t n = draw_below(t, 20); n > 0; n--) {
        uint64_t pick = draw_below(t, ARRAY_COUNT(pieces) + 1);
        if (pick == ARRAY_COUNT(pieces))
            buf_char(out, 0);
        else
            buf_text(out, pieces[pick]);
    }
}

static void quoted_string_comes_back(struct tape *t)
{
    AUTO(buf_done) struct buf key, text, doc;
    buf_init(&key, 1000);
    buf_init(&text, 1000);
    buf_init(&doc, 10000);
    draw_string(t, &key);
    draw_string(t, &text);
    toml_quote(&doc, buf_view(&key));
    buf_text(&doc, " = [ ");
    toml_quote(&doc, buf_view(&text));
    buf_text(&doc, " ]");
    struct toml *root;
    CHECK_EQ(ST_OK, toml_parse(buf_view(&doc), &root, NULL));
    const struct toml *list = toml_find(root, buf_view(&key));
    CHECK(list && list->count == 1 && str_eq(list->first->string, buf_view(&text)));
    toml_free(root);
}

TEST(toml_quoted_strings_come_back)
{
    prop_run(quoted_string_comes_back, 1, 200);
}

static void number_comes_back(struct tape *t)
{
    uint64_t bits = draw_edge(t, UINT64_MAX);
    int64_t whole;
    double real;
    memcpy(&whole, &bits, sizeof whole);
    memcpy(&real, &bits, sizeof real);
    bool finite = isfinite(real);
    AUTO(buf_done) struct buf doc;
    buf_init(&doc, 1000);
    buf_fmt(&doc, "i = %" PRId64 "\nx = 0x%" PRIx64 "\nr = %.17e", whole, bits >> 1,
            finite ? real : 0);
    struct toml *root;
    CHECK_EQ(ST_OK, toml_parse(buf_view(&doc), &root, NULL));
    CHECK(toml_find(root, STR("i"))->integer == whole);
    CHECK(toml_find(root, STR("x"))->integer == (int64_t)(bits >> 1));
    CHECK(!finite || memcmp(&toml_find(root, STR("r"))->real, &real, sizeof real) == 0);
    toml_free(root);
}

TEST(toml_numbers_come_back)
{
    prop_run(number_comes_back, 1, 200);
}
