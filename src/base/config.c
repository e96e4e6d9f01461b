#include "base/config.h"

#include <stdio.h>
#include <string.h>

#include "base/config_keys.h"
#include "base/toml.h"

enum { VALUE_MAX = 1024, NAME_MAX = 48 }; /* bytes of a value as text, of a key's name */

#define ENV_PREFIX "BLIXARD_"

/* ---- keys ---- */

static void *field(struct config *c, const struct config_key *k)
{
    return (char *)c + k->at;
}

static const void *field_of(const struct config *c, const struct config_key *k)
{
    return (const char *)c + k->at;
}

static size_t key_index(const struct config_key *k)
{
    return (size_t)(k - config_keys);
}

static const struct config_key *key_find(struct str name)
{
    for (const struct config_key *k = config_keys; k->name; k++)
        if (str_is(name, k->name))
            return k;
    return NULL;
}

/* "log" of "log.level"; empty for a key without section. */
static struct str section_of(const struct config_key *k)
{
    const char *dot = strchr(k->name, '.');
    return (struct str){k->name, dot ? (size_t)(dot - k->name) : 0};
}

static struct str last_part(const struct config_key *k)
{
    size_t n = section_of(k).len;
    return str_from(k->name + (n ? n + 1 : 0));
}

static bool is_section(struct str name)
{
    for (const struct config_key *k = config_keys; k->name; k++)
        if (name.len > 0 && str_eq(section_of(k), name))
            return true;
    return false;
}

/* The spellings of a key: "log.level", "log", "BLIXARD_LOG_LEVEL". */
typedef void spelling(const struct config_key *k, char out[NAME_MAX]);

static void spell_name(const struct config_key *k, char out[NAME_MAX])
{
    (void)snprintf(out, NAME_MAX, "%s", k->name);
}

static void spell_section(const struct config_key *k, char out[NAME_MAX])
{
    (void)snprintf(out, NAME_MAX, STR_FMT, STR_ARG(section_of(k)));
}

static void spell_env(const struct config_key *k, char out[NAME_MAX])
{
    (void)snprintf(out, NAME_MAX, ENV_PREFIX "%s", k->name);
    for (char *c = out; *c; c++)
        *c = *c == '.' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
}

/* The first key whose spelling `word` likely was meant to be, or NULL. */
static const struct config_key *nearest(struct str word, spelling *spell)
{
    char text[CONFIG_KEYS_MAX][NAME_MAX];
    const char *list[CONFIG_KEYS_MAX] = {NULL};
    size_t count = 0;
    for (const struct config_key *k = config_keys; k->name; k++) {
        spell(k, text[count]);
        list[count] = text[count];
        count++;
    }
    const char *near = str_nearest(word, list, count);
    for (const struct config_key *k = config_keys; k->name; k++)
        if (near && list[key_index(k)] == near)
            return k;
    return NULL;
}

/* As nearest, or else a key of this name in another section. */
static const struct config_key *nearest_key(struct str name)
{
    const struct config_key *near = nearest(name, spell_name);
    struct str tail = name, head;
    while (str_cut(&tail, '.', &head))
        continue;
    for (const struct config_key *k = config_keys; k->name; k++)
        if (!near && str_eq(last_part(k), head))
            near = k;
    return near;
}

static enum status wrong_value(const struct config_key *k, const char *found, struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, VALUE_MAX);
    config_value_expects(k, &b);
    (void)fault_set(why, ST_INVALID, "expected %s, found %s", buf_cstr(&b), found);
    fault_field(why, "%s", k->name);
    return ST_INVALID;
}

static enum status set(struct config *c, const struct config_key *k, struct str text,
                       enum config_origin origin, struct fault *why)
{
    if (!config_value_read(k, text, field(c, k))) {
        AUTO(buf_done) struct buf found;
        buf_init(&found, VALUE_MAX);
        if (str_utf8(text))
            toml_quote(&found, toml_shown(text));
        else
            buf_text(&found, "text that is not UTF-8");
        return wrong_value(k, buf_cstr(&found), why);
    }
    c->origin[key_index(k)] = (uint8_t)origin;
    return ST_OK;
}

void config_init(struct config *c)
{
    memset(c, 0, sizeof *c);
    for (const struct config_key *k = config_keys; k->name; k++) {
        enum status s = set(c, k, str_from(k->initial), CONFIG_DEFAULT, NULL);
        ensure(s == ST_OK);
    }
}

/* ---- the file ---- */

static bool text_fits(const struct config_key *k, enum toml_type t)
{
    switch (k->type) {
    case CONFIG_BOOL: return t == TOML_BOOL;
    case CONFIG_INTEGER: return t == TOML_INTEGER;
    case CONFIG_SIZE: return t == TOML_STRING || t == TOML_INTEGER;
    case CONFIG_ADDRESSES: return t == TOML_ARRAY;
    default: return t == TOML_STRING;
    }
}

/* A value of the file as the environment would give it; false if it is of the wrong type. */
static bool toml_text(const struct config_key *k, const struct toml *t, struct buf *out)
{
    if (!text_fits(k, t->type))
        return false;
    if (t->type == TOML_STRING)
        buf_str(out, t->string);
    if (t->type == TOML_BOOL)
        buf_text(out, t->boolean ? "true" : "false");
    if (t->type == TOML_INTEGER)
        buf_fmt(out, "%" PRId64, t->integer);
    TOML_EACH(item, t) {
        if (item->type != TOML_STRING || memchr(item->string.ptr, ',', item->string.len + 1) ||
            item->string.len == 0)
            return false;
        buf_fmt(out, "%s", item == t->first ? "" : ",");
        buf_str(out, item->string);
    }
    return true;
}

static enum status wrong_type(const struct config_key *k, const struct toml *t, struct fault *why)
{
    enum status s = wrong_value(k, toml_type_name(t->type), why);
    if (k->type == CONFIG_DURATION && t->type == TOML_INTEGER)
        fault_hint(why, "write it with its unit and in quotes: \"30s\"");
    else if (t->type == TOML_STRING && (k->type == CONFIG_BOOL || k->type == CONFIG_INTEGER))
        fault_hint(why, "write it without quotes");
    else if (t->type == TOML_STRING && k->type == CONFIG_ADDRESSES)
        fault_hint(why, "write it in brackets: [\"10.0.0.1\"]");
    return s;
}

static enum status load_value(struct config *c, const struct config_key *k, const struct toml *t,
                              struct fault *why)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, VALUE_MAX);
    if (!toml_text(k, t, &text) || text.full)
        return wrong_type(k, t, why);
    return set(c, k, buf_view(&text), CONFIG_FROM_FILE, why);
}

static enum status unknown(const char *what, struct str name, const struct config_key *near,
                           spelling *spell, struct fault *why)
{
    (void)fault_set(why, ST_INVALID, "unknown %s", what);
    fault_field(why, STR_FMT, STR_ARG(toml_shown(name)));
    if (near) {
        char text[NAME_MAX];
        spell(near, text);
        fault_hint(why, "did you mean %s?", text);
    }
    return ST_INVALID;
}

struct loader {
    struct config *c;
    const char *file;
    struct fault *why;
};

static enum status wrap_place(const struct loader *l, enum status s, struct toml_place at,
                              struct str name)
{
    return fault_wrap(l->why, s, "%s: line %" PRIu32 ", column %" PRIu32 ": " STR_FMT, l->file,
                      at.line, at.column, STR_ARG(name));
}

/* An entry of a section, or of the root if the section is "". */
static enum status load_key(const struct loader *l, struct str section, const struct toml *t)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 2 * TOML_SIZE_MAX);
    buf_str(&b, section);
    buf_text(&b, section.len ? "." : "");
    buf_str(&b, t->key);
    struct str name = buf_view(&b);
    bool quoted_dot = memchr(t->key.ptr, '.', t->key.len) != NULL;
    const struct config_key *k = quoted_dot ? NULL : key_find(name);
    if (k) {
        enum status s = load_value(l->c, k, t, l->why);
        return s == ST_OK ? s : wrap_place(l, s, t->at, name);
    }
    enum status s =
        t->type == TOML_TABLE
            ? unknown("section", name, nearest(name, spell_section), spell_section, l->why)
            : unknown("key", name, nearest_key(name), spell_name, l->why);
    return wrap_place(l, s, t->key_at, toml_shown(name));
}

static enum status load_section(const struct loader *l, const struct toml *t)
{
    if (t->type != TOML_TABLE) {
        enum status s =
            fault_set(l->why, ST_INVALID, "expected a section, found %s", toml_type_name(t->type));
        fault_field(l->why, STR_FMT, STR_ARG(t->key));
        return wrap_place(l, s, t->at, t->key);
    }
    TOML_EACH(e, t) {
        enum status s = load_key(l, t->key, e);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

static enum status load_root(const struct loader *l, const struct toml *root)
{
    TOML_EACH(t, root) {
        enum status s = is_section(t->key) ? load_section(l, t) : load_key(l, STR(""), t);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

enum status config_load(struct config *c, const char *file, struct str text, struct fault *why)
{
    struct toml *root;
    enum status s = toml_parse(text, &root, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "%s", file);
    struct config next = *c;
    s = load_root(&(struct loader){&next, file, why}, root);
    toml_free(root);
    if (s == ST_OK)
        *c = next;
    return s;
}

/* ---- the environment ---- */

static const struct config_key *key_of_env(struct str env)
{
    for (const struct config_key *k = config_keys; k->name; k++) {
        char name[NAME_MAX];
        spell_env(k, name);
        if (str_is(env, name))
            return k;
    }
    return NULL;
}

static bool begins_as_section(struct str env)
{
    for (const struct config_key *k = config_keys; k->name; k++) {
        char prefix[NAME_MAX];
        spell_env(k, prefix);
        prefix[strlen(ENV_PREFIX) + section_of(k).len + 1] = 0;
        if (section_of(k).len > 0 && str_starts(env, prefix))
            return true;
    }
    return false;
}

static enum status load_env(struct config *c, struct str variable, struct fault *why)
{
    struct str name, value = variable;
    if (!str_starts(variable, ENV_PREFIX) || !str_cut(&value, '=', &name))
        return ST_OK;
    const struct config_key *k = key_of_env(name);
    enum status s = ST_OK;
    if (k)
        s = set(c, k, value, CONFIG_FROM_ENV, why);
    else if (begins_as_section(name))
        s = unknown("variable", name, nearest(name, spell_env), spell_env, why);
    return s == ST_OK ? s : fault_wrap(why, s, "environment: " STR_FMT, STR_ARG(toml_shown(name)));
}

enum status config_env(struct config *c, char *const *env, struct fault *why)
{
    struct config next = *c;
    for (; *env; env++) {
        enum status s = load_env(&next, str_from(*env), why);
        if (s != ST_OK)
            return s;
    }
    *c = next;
    return ST_OK;
}

/* ---- what follows, and what contradicts ---- */

static void derive(struct config *c, const char *key, struct str value)
{
    const struct config_key *k = key_find(str_from(key));
    if (*(const char *)field_of(c, k) == 0)
        (void)set(c, k, value, CONFIG_DERIVED, NULL); /* else it stays unset, and check says so */
}

static void derive_path(struct config *c, const char *key, const char *folder, const char *name)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 2 * CONFIG_PATH_MAX);
    buf_fmt(&b, "%s%s%s", folder, str_ends(str_from(folder), "/") ? "" : "/", name);
    derive(c, key, buf_view(&b));
}

void config_derive(struct config *c, struct str hostname)
{
    char name[CONFIG_NAME_MAX] = "";
    struct str first;
    (void)str_cut(&hostname, '.', &first);
    for (size_t i = 0; i < MIN(first.len, sizeof name - 1); i++)
        name[i] = first.ptr[i] >= 'A' && first.ptr[i] <= 'Z' ? (char)(first.ptr[i] - 'A' + 'a')
                                                             : first.ptr[i];
    derive(c, "name", str_from(name));
    derive_path(c, "api.socket", c->run_dir, "api.sock");
    derive_path(c, "image.cache_dir", c->data_dir, "cache");
}

static enum status contradicts(struct fault *why, const char *key, const char *text)
{
    (void)fault_set(why, ST_INVALID, "configuration: %s: %s", key, text);
    fault_field(why, "%s", key);
    return ST_INVALID;
}

enum status config_check(const struct config *c, struct fault *why)
{
    enum { NOBODY = 65534, NO_UID_16 = 65535 };
    uint64_t uid_end = (uint64_t)c->vm.uid_base + c->vm.uid_count;
    if (c->name[0] == 0)
        return contradicts(why, "name", "not set, and the host's name cannot serve as one");
    if (c->api.socket[0] == 0)
        return contradicts(why, "api.socket",
                           "not set, and run_dir is too long for a socket in it");
    if (c->image.cache_dir[0] == 0)
        return contradicts(why, "image.cache_dir", "not set, and data_dir is too long to hold it");
    if (strcmp(c->data_dir, c->run_dir) == 0)
        return contradicts(why, "run_dir", "the same as data_dir");
    if (uid_end > UINT32_MAX)
        return contradicts(why, "vm.uid_count", "passes the largest user id");
    if (c->vm.uid_base <= NO_UID_16 && uid_end > NOBODY)
        return contradicts(why, "vm.uid_base",
                           "its range holds 65534 or 65535, which are nobody's");
    return ST_OK;
}

enum status config_read(struct config *c, const char *file, struct str text, char *const *env,
                        struct str hostname, struct fault *why)
{
    struct config next;
    config_init(&next);
    enum status s = config_load(&next, file, text, why);
    if (s == ST_OK)
        s = config_env(&next, env, why);
    if (s != ST_OK)
        return s;
    config_derive(&next, hostname);
    s = config_check(&next, why);
    if (s == ST_OK)
        *c = next;
    return s;
}

void config_adopt(struct config *c, const struct config *fresh, struct buf *ret_restart)
{
    for (const struct config_key *k = config_keys; k->name; k++) {
        AUTO(buf_done) struct buf was, is;
        buf_init(&was, VALUE_MAX);
        buf_init(&is, VALUE_MAX);
        config_value_write(k, field_of(c, k), &was);
        config_value_write(k, field_of(fresh, k), &is);
        if (k->live) {
            memcpy(field(c, k), field_of(fresh, k), k->size);
            c->origin[key_index(k)] = fresh->origin[key_index(k)];
        } else if (!str_eq(buf_view(&was), buf_view(&is))) {
            buf_fmt(ret_restart, "%s%s", ret_restart->len ? ", " : "", k->name);
        }
    }
}

/* ---- showing ---- */

static void write_toml(const struct config_key *k, const void *value, struct buf *out)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, VALUE_MAX);
    config_value_write(k, value, &text);
    struct str rest = buf_view(&text), item;
    if (k->type == CONFIG_BOOL || k->type == CONFIG_INTEGER) {
        buf_str(out, rest);
    } else if (k->type != CONFIG_ADDRESSES) {
        toml_quote(out, rest);
    } else {
        buf_char(out, '[');
        for (bool first = true; rest.len > 0; first = false) {
            (void)str_cut(&rest, ',', &item);
            buf_text(out, first ? "" : ", ");
            toml_quote(out, item);
        }
        buf_char(out, ']');
    }
}

/* Call `begin` for each section as it begins. Keys are in the order of their sections. */
static bool begins_section(const struct config_key *k)
{
    return section_of(k).len > 0 && !str_eq(section_of(k), section_of(k - 1));
}

void config_show(const struct config *c, struct buf *out)
{
    static const char *const origins[] = {"default", "derived", "file", "environment"};
    for (const struct config_key *k = config_keys; k->name; k++) {
        AUTO(buf_done) struct buf line;
        buf_init(&line, 2 * VALUE_MAX);
        if (begins_section(k))
            buf_fmt(out, "\n[" STR_FMT "]\n", STR_ARG(section_of(k)));
        buf_fmt(&line, STR_FMT " = ", STR_ARG(last_part(k)));
        write_toml(k, field_of(c, k), &line);
        buf_fmt(out, "%-40s # %s", buf_cstr(&line), origins[c->origin[key_index(k)]]);
        if (k->unset && c->origin[key_index(k)] == CONFIG_DEFAULT)
            buf_fmt(out, ": %s", k->unset);
        buf_char(out, '\n');
    }
}

static const char docs_head[] =
    "# Configuration\n"
    "\n"
    "<!-- Made by `blixard config docs` from src/base/config_keys.c. -->\n"
    "\n"
    "The daemon reads `" CONFIG_FILE
    "`, which is [TOML 1.0](https://toml.io/en/v1.0.0) and may be\n"
    "absent: every key has a default. An environment variable overrides the file. `blixard config check`\n"
    "tells what is wrong with a file and where, `blixard config show` which values are in effect and\n"
    "where each comes from.\n"
    "\n"
    "A key that is not listed here, a value of another type and one out of range are errors; the daemon\n"
    "does not start with them. So is a variable that begins like those of a section, such as\n"
    "`BLIXARD_LOG_`, and is none of them.\n"
    "\n"
    "Sizes are texts with a binary unit (`\"512MiB\"`, `\"2GiB\"`) or plain numbers of bytes; durations are\n"
    "texts with a unit (`\"250ms\"`, `\"30s\"`, `\"5m\"`, `\"2h\"`). Where a key may be unset, `\"\"` leaves\n"
    "it so. A list in a variable has commas between its items.\n"
    "\n"
    "What takes effect at a reload changes when the running daemon is told to reload; all else when it\n"
    "starts.\n";

static void write_key_docs(const struct config_key *k, const void *initial, struct buf *out)
{
    char env[NAME_MAX];
    spell_env(k, env);
    buf_fmt(out, "\n### `%s`\n\n%s\n\n- Value: ", k->name, k->doc);
    config_value_expects(k, out);
    buf_text(out, "\n- Default: ");
    if (k->unset) {
        buf_fmt(out, "unset: %s", k->unset);
    } else {
        buf_char(out, '`');
        write_toml(k, initial, out);
        buf_char(out, '`');
    }
    buf_fmt(out, "\n- Variable: `%s`\n- Takes effect: %s\n", env,
            k->live ? "at a reload" : "at the next start");
}

void config_docs(struct buf *out)
{
    struct config c;
    config_init(&c);
    buf_text(out, docs_head);
    buf_text(out, "\n## Without a section\n");
    for (const struct config_key *k = config_keys; k->name; k++) {
        if (begins_section(k))
            buf_fmt(out, "\n## `[" STR_FMT "]`\n", STR_ARG(section_of(k)));
        write_key_docs(k, field_of(&c, k), out);
    }
}
