#include "base/toml.h"

#include <stdlib.h>
#include <string.h>

#include "base/toml_scan.h"

/* How a table or array came to be, which decides what may still be added to it. */
enum made {
    MADE_BY_PATH,   /* a step of a [header]: may be defined once, and have tables added */
    MADE_BY_HEADER, /* [header] or [[header]]: may have tables added */
    MADE_BY_DOTS,   /* a step of a dotted.key: may have keys added by more dotted keys */
    MADE_INLINE,    /* { } or [ ]: complete */
};

struct doc {
    struct toml root;
    char text[]; /* all keys and strings */
};

struct parser {
    struct scan in;
    struct doc *doc;
    struct toml *table; /* that of the last header */
    size_t count;       /* values so far */
};

const struct toml *toml_find(const struct toml *table, struct str key)
{
    TOML_EACH(t, table)
        if (str_eq(t->key, key))
            return t;
    return NULL;
}

static struct toml *find(struct toml *table, struct str key)
{
    for (struct toml *t = table->first; t; t = t->next)
        if (str_eq(t->key, key))
            return t;
    return NULL;
}

/* The one place where the tree grows, and so where its limits are kept. */
static struct toml *add(struct parser *p, struct toml *parent, enum toml_type type, enum made made,
                        struct scan_name name)
{
    if (p->count == TOML_VALUES_MAX) {
        (void)scan_fail(&p->in, ST_TOO_BIG, name.at, "more than %d values", TOML_VALUES_MAX);
        return NULL;
    }
    if (parent->depth == TOML_DEPTH_MAX) {
        (void)scan_fail(&p->in, ST_TOO_BIG, name.at, "nested more than %d deep", TOML_DEPTH_MAX);
        return NULL;
    }
    struct toml *t = NEW(struct toml);
    t->type = type;
    t->at = t->key_at = name.at;
    t->key = name.text;
    t->depth = (uint8_t)(parent->depth + 1);
    t->made = (uint8_t)made;
    if (parent->last)
        parent->last->next = t;
    else
        parent->first = t;
    parent->last = t;
    parent->count++;
    p->count++;
    return t;
}

static bool defined_twice(struct parser *p, struct scan_name name, const struct toml *before)
{
    return scan_fail(&p->in, ST_INVALID, name.at,
                     "\"" STR_FMT "\" is already defined, at line %" PRIu32,
                     STR_ARG(toml_shown(name.text)), before->at.line);
}

/* The table that a step of a header (by = MADE_BY_PATH) or of a dotted key (MADE_BY_DOTS) leads to;
 * NULL is failure. */
static struct toml *enter(struct parser *p, struct toml *table, enum made by, struct scan_name name)
{
    struct toml *t = find(table, name.text);
    if (!t)
        return add(p, table, TOML_TABLE, by, name);
    if (by == MADE_BY_PATH && t->type == TOML_ARRAY && t->made == MADE_BY_HEADER)
        return t->last; /* [[a]], then [a.b]: the newest item is meant */
    if (t->type != TOML_TABLE || t->made == MADE_INLINE ||
        (by == MADE_BY_DOTS && t->made == MADE_BY_HEADER)) {
        (void)defined_twice(p, name, t);
        return NULL;
    }
    if (by == MADE_BY_DOTS)
        t->made = MADE_BY_DOTS;
    return t;
}

/* Read a key, enter all of its parts but the last, and return that. */
static bool key_path(struct parser *p, struct toml *table, enum made by, struct toml **ret_table,
                     struct scan_name *ret_name)
{
    for (;;) {
        struct scan_name name;
        scan_blanks(&p->in);
        if (!scan_name(&p->in, &name))
            return false;
        scan_blanks(&p->in);
        if (!scan_skip(&p->in, ".")) {
            *ret_table = table;
            *ret_name = name;
            return true;
        }
        table = enter(p, table, by, name);
        if (!table)
            return false;
    }
}

static bool key_value(struct parser *p, struct toml *table);
static bool value(struct parser *p, struct toml *parent, struct scan_name name);

static bool array(struct parser *p, struct toml *array)
{
    array->type = TOML_ARRAY;
    for (;;) {
        if (!scan_lines(&p->in))
            return false;
        if (scan_skip(&p->in, "]"))
            return true;
        if (!value(p, array, (struct scan_name){{"", 0}, p->in.at}) || !scan_lines(&p->in))
            return false;
        if (!scan_skip(&p->in, ",") && !scan_sees(&p->in, "]"))
            return scan_expected(&p->in, "\",\" or \"]\"");
    }
}

static bool inline_table(struct parser *p, struct toml *table)
{
    table->type = TOML_TABLE;
    scan_blanks(&p->in);
    if (scan_skip(&p->in, "}"))
        return true;
    for (;;) {
        if (!key_value(p, table))
            return false;
        scan_blanks(&p->in);
        if (scan_skip(&p->in, "}"))
            return true;
        if (!scan_skip(&p->in, ","))
            return scan_expected(&p->in, "\",\" or \"}\"");
    }
}

static bool value(struct parser *p, struct toml *parent, struct scan_name name)
{
    struct toml_place at = p->in.at;
    struct toml *t = add(p, parent, TOML_STRING, MADE_INLINE, name);
    if (!t)
        return false;
    t->at = at;
    if (scan_skip(&p->in, "["))
        return array(p, t);
    if (scan_skip(&p->in, "{"))
        return inline_table(p, t);
    return scan_scalar(&p->in, t);
}

static bool key_value(struct parser *p, struct toml *table)
{
    struct scan_name name;
    if (!key_path(p, table, MADE_BY_DOTS, &table, &name))
        return false;
    if (!scan_skip(&p->in, "="))
        return scan_expected(&p->in, "\"=\" after the key");
    scan_blanks(&p->in);
    const struct toml *before = find(table, name.text);
    if (before)
        return defined_twice(p, name, before);
    return value(p, table, name);
}

static bool table_header(struct parser *p)
{
    struct toml *parent;
    struct scan_name name;
    if (!key_path(p, &p->doc->root, MADE_BY_PATH, &parent, &name))
        return false;
    if (!scan_skip(&p->in, "]"))
        return scan_expected(&p->in, "\"]\"");
    struct toml *t = find(parent, name.text);
    if (!t) {
        p->table = add(p, parent, TOML_TABLE, MADE_BY_HEADER, name);
        return p->table != NULL;
    }
    if (t->type != TOML_TABLE || t->made != MADE_BY_PATH)
        return defined_twice(p, name, t);
    t->made = MADE_BY_HEADER;
    t->at = t->key_at = name.at;
    p->table = t;
    return true;
}

static bool array_header(struct parser *p)
{
    struct toml *parent;
    struct scan_name name;
    if (!key_path(p, &p->doc->root, MADE_BY_PATH, &parent, &name))
        return false;
    if (!scan_skip(&p->in, "]]"))
        return scan_expected(&p->in, "\"]]\"");
    struct toml *t = find(parent, name.text);
    if (t && (t->type != TOML_ARRAY || t->made != MADE_BY_HEADER))
        return defined_twice(p, name, t);
    if (!t)
        t = add(p, parent, TOML_ARRAY, MADE_BY_HEADER, name);
    if (!t)
        return false;
    p->table = add(p, t, TOML_TABLE, MADE_BY_HEADER, (struct scan_name){{"", 0}, name.at});
    return p->table != NULL;
}

static bool statement(struct parser *p)
{
    if (scan_skip(&p->in, "[["))
        return array_header(p);
    if (scan_skip(&p->in, "["))
        return table_header(p);
    return key_value(p, p->table);
}

static bool document(struct parser *p)
{
    for (;;) {
        if (!scan_lines(&p->in))
            return false;
        if (scan_end(&p->in))
            return true;
        if (!statement(p) || !scan_line_end(&p->in))
            return false;
    }
}

static void free_children(struct toml *parent)
{
    for (struct toml *t = parent->first, *next; t; t = next) {
        next = t->next;
        free_children(t);
        free(t);
    }
}

void toml_free(struct toml *root)
{
    if (!root)
        return;
    free_children(root);
    free(CONTAINER_OF(root, struct doc, root));
}

enum status toml_parse(struct str text, struct toml **ret_root, struct fault *why)
{
    if (text.len > TOML_SIZE_MAX)
        return fault_set(why, ST_TOO_BIG, "%zu bytes of TOML where %d are allowed", text.len,
                         TOML_SIZE_MAX);
    struct doc *doc = mem_new(sizeof *doc + text.len + 1);
    doc->root = (struct toml){.type = TOML_TABLE, .at = {1, 1}, .key_at = {1, 1}, .key = STR("")};
    struct parser p = {.doc = doc, .table = &doc->root};
    if (!scan_init(&p.in, text, doc->text, why) || !document(&p)) {
        toml_free(&doc->root);
        return p.in.status;
    }
    *ret_root = &doc->root;
    return ST_OK;
}

const char *toml_type_name(enum toml_type type)
{
    static const char *const names[] = {
        [TOML_STRING] = "a string",
        [TOML_INTEGER] = "an integer",
        [TOML_FLOAT] = "a float",
        [TOML_BOOL] = "true or false",
        [TOML_OFFSET_DATETIME] = "a date and time with offset",
        [TOML_LOCAL_DATETIME] = "a date and time",
        [TOML_LOCAL_DATE] = "a date",
        [TOML_LOCAL_TIME] = "a time",
        [TOML_ARRAY] = "an array",
        [TOML_TABLE] = "a table",
    };
    require(type < ARRAY_COUNT(names));
    return names[type];
}

void toml_quote(struct buf *out, struct str text)
{
    static const char from[] = "\b\t\n\f\r\"\\", to[] = "btnfr\"\\";
    buf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        const char *found = c ? strchr(from, c) : NULL;
        if (found)
            buf_fmt(out, "\\%c", to[found - from]);
        else if ((uint8_t)c < 0x20 || c == 0x7f)
            buf_fmt(out, "\\u%04X", (unsigned)(uint8_t)c);
        else
            buf_char(out, c);
    }
    buf_char(out, '"');
}

struct str toml_shown(struct str text)
{
    enum { SHOWN_MAX = 40 };
    if (text.len <= SHOWN_MAX)
        return text;
    size_t n = SHOWN_MAX;
    while (n > 0 && ((uint8_t)text.ptr[n] & 0xc0) == 0x80)
        n--;
    return (struct str){text.ptr, n};
}
