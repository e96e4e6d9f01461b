#include "cli/request.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/input.h"
#include "wire/check.h"
#include "wire/field.h"
#include "wire/json.h"
#include "wire/proto.h"

static void set_new(json_t *object, const char *key, json_t *value)
{
    int failed = json_object_set_new(object, key, value);
    ensure(!failed);
}

static void auto_json(json_t **v)
{
    json_decref(*v);
}

static json_t *text_value(struct str s)
{
    json_t *v = json_stringn(s.ptr, s.len);
    return v ? v : json_string("\xef\xbf\xbd"); /* not UTF-8: refused by the limits later */
}

/* --- one value --- */

/* "8080:80", "127.0.0.1:8080:80/udp" */
static enum status port_value(struct str text, json_t **ret, struct fault *why)
{
    struct str whole = text, protocol = {"", 0}, first, second, third;
    struct str rest = text;
    if (str_cut(&rest, '/', &text))
        protocol = rest;
    rest = text;
    bool two = str_cut(&rest, ':', &first);
    bool three = str_cut(&rest, ':', &second);
    third = rest;
    if (!two || first.len == 0 || second.len == 0 || (three && third.len == 0))
        return fault_set(why, ST_INVALID,
                         "\"" STR_FMT "\" is not HOST:GUEST, such as 8080:80 or "
                         "127.0.0.1:5353:53/udp",
                         (int)MIN(whole.len, 60), whole.ptr);
    json_t *v = json_object();
    set_new(v, "host_port", text_value(three ? second : first));
    set_new(v, "guest_port", text_value(three ? third : second));
    if (three)
        set_new(v, "host_address", text_value(first));
    if (protocol.len > 0)
        set_new(v, "protocol", text_value(protocol));
    *ret = v;
    return ST_OK;
}

/* "key=value"; "key" alone has the empty value. */
static json_t *label_value(struct str text)
{
    struct str key;
    bool has_value = str_cut(&text, '=', &key);
    json_t *v = json_object();
    set_new(v, "key", text_value(key));
    set_new(v, "value", text_value(has_value ? text : (struct str){"", 0}));
    return v;
}

/* Is `name` what a user calls the field? size, size_mib, read-only, read_only. */
static bool is_called(const ProtobufCFieldDescriptor *f, struct str name)
{
    static const char *const units[] = {"_mib", "_ms", "_ns", "_s"};
    struct str own = str_from(f->name);
    for (size_t i = 0; i < ARRAY_COUNT(units) && own.len > name.len; i++)
        if (str_ends(own, units[i]))
            own.len -= strlen(units[i]);
    if (own.len != name.len)
        return false;
    for (size_t i = 0; i < own.len; i++)
        if (own.ptr[i] != (name.ptr[i] == '-' ? '_' : name.ptr[i]))
            return false;
    return true;
}

static const ProtobufCFieldDescriptor *called(const ProtobufCMessageDescriptor *desc,
                                              struct str name)
{
    for (unsigned i = 0; i < desc->n_fields; i++)
        if (is_called(&desc->fields[i], name))
            return &desc->fields[i];
    return NULL;
}

static enum status refuse_part(const ProtobufCMessageDescriptor *desc, struct str name,
                               struct fault *why)
{
    const char *known[SCHEMA_FIELDS_MAX];
    for (unsigned i = 0; i < desc->n_fields; i++)
        known[i] = desc->fields[i].name;
    enum status s = fault_set(why, ST_INVALID, "\"" STR_FMT "\" is none of its fields",
                              (int)MIN(name.len, 40), name.ptr);
    const char *meant = str_nearest(name, known, desc->n_fields);
    if (meant)
        fault_hint(why, "did you mean %s?", meant);
    return s;
}

static json_t *plain_value(const ProtobufCFieldDescriptor *f, struct str text)
{
    bool yes = str_is(text, "true") || str_is(text, "yes");
    if (f->type == PROTOBUF_C_TYPE_BOOL && (yes || str_is(text, "false") || str_is(text, "no")))
        return json_boolean(yes);
    return text_value(text);
}

/* "name=data,size=1GiB,read-only" */
static enum status parts_value(const ProtobufCMessageDescriptor *desc, struct str text,
                               json_t **ret, struct fault *why)
{
    AUTO(auto_json) json_t *v = json_object();
    struct str part, name;
    bool more = true;
    while (more) {
        more = str_cut(&text, ',', &part);
        bool has_value = str_cut(&part, '=', &name);
        const ProtobufCFieldDescriptor *f = called(desc, name);
        if (!f)
            return refuse_part(desc, name, why);
        if (json_object_get(v, f->name))
            return fault_set(why, ST_INVALID, "%s is given twice", f->name);
        bool alone = !has_value && f->type == PROTOBUF_C_TYPE_BOOL;
        set_new(v, f->name, alone ? json_true() : plain_value(f, part));
    }
    *ret = json_incref(v);
    return ST_OK;
}

static enum status message_value(const ProtobufCMessageDescriptor *desc, struct str text,
                                 json_t **ret, struct fault *why)
{
    if (desc == &pb__label__descriptor) {
        *ret = label_value(text);
        return ST_OK;
    }
    bool parts = text.len > 0 && memchr(text.ptr, '=', text.len);
    if (desc == &pb__port_forward__descriptor && !parts)
        return port_value(text, ret, why);
    return parts_value(desc, text, ret, why);
}

static enum status file_value(const char *path, const struct schema_field *about, json_t **ret,
                              struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, about->max_len);
    enum status s = input_read(path, &b, why);
    if (s == ST_OK)
        *ret = text_value(buf_view(&b));
    return s;
}

static enum status make_value(const struct flag *f, const char *text, json_t **ret,
                              struct fault *why)
{
    const ProtobufCFieldDescriptor *field = flag_field(f);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return message_value(field->descriptor, str_from(text), ret, why);
    if (flag_takes_file(f) && text[0] == '@')
        return file_value(text + 1, f->about, ret, why);
    *ret = plain_value(field, str_from(text));
    return ST_OK;
}

/* --- the whole --- */

/* The object at the end of the way to a field, made if it is missing; NULL if something else is
 * there. */
static json_t *reach(json_t *at, const struct flag *f)
{
    for (size_t i = 0; i + 1 < f->depth; i++) {
        json_t *next = json_object_get(at, f->path[i]->name);
        if (!next) {
            next = json_object();
            set_new(at, f->path[i]->name, next);
        }
        at = next;
    }
    return json_is_object(at) ? at : NULL;
}

static enum status set_flag(json_t *request, const struct flag *f, const char *text,
                            struct fault *why)
{
    json_t *value = NULL, *holder = reach(request, f);
    const ProtobufCFieldDescriptor *field = flag_field(f);
    enum status s = holder ? make_value(f, text, &value, why)
                           : fault_set(why, ST_INVALID, "the file has no object there");
    if (s != ST_OK) {
        s = fault_wrap(why, s, "--%s", f->name);
        return s;
    }
    json_t *list = json_object_get(holder, field->name);
    if (field_is_repeated(field) && json_is_array(list)) {
        int failed = json_array_append_new(list, value);
        ensure(!failed);
        return ST_OK;
    }
    set_new(holder, field->name, field_is_repeated(field) ? json_pack("[o]", value) : value);
    return ST_OK;
}

/* The first word of "NAME PATH", "[IMAGE]", in small letters: the field it stands for. */
static void first_argument(const char *args, char out[32])
{
    size_t len = 0;
    for (; (*args >= 'A' && *args <= 'Z') || *args == '['; args++)
        if (*args != '[' && len < 31)
            out[len++] = (char)(*args | 0x20);
    out[len] = 0;
}

/* An argument that is no {name} of the path is a field: of the request, or of its spec. */
static void set_argument(const struct command *c, json_t *request, const char *text)
{
    char name[32], path[64];
    first_argument(c->args, name);
    const ProtobufCMessageDescriptor *desc = c->op->request;
    bool top = protobuf_c_message_descriptor_get_field_by_name(desc, name);
    (void)snprintf(path, sizeof path, "%s%s", top ? "" : "spec.", name);
    request_default(request, path, text_value(str_from(text)));
}

void request_default(json_t *request, const char *path, json_t *value)
{
    struct str rest = str_from(path), part;
    json_t *at = request;
    bool more;
    do {
        char key[64];
        more = str_cut(&rest, '.', &part);
        enum status s = str_copy(part, key, sizeof key, NULL);
        ensure(s == ST_OK);
        json_t *next = json_object_get(at, key);
        if (!next) {
            next = more ? json_object() : json_incref(value);
            set_new(at, key, next);
        }
        at = next;
    } while (more && json_is_object(at));
    json_decref(value);
}

/* Faults name fields; the user knows flags. "spec.vcpus: 99 is ..." becomes "--vcpus: 99 is ...". */
static void name_flag(const struct command *c, const struct flags *all, struct fault *why)
{
    char path[FAULT_FIELD_MAX], name[32], text[FAULT_TEXT_MAX];
    size_t len = strlen(why->field);
    if (len == 0 || strncmp(why->text, why->field, len) != 0)
        return;
    (void)snprintf(text, sizeof text, "%s", why->text + len);
    char hint[FAULT_HINT_MAX], field[FAULT_FIELD_MAX];
    (void)snprintf(hint, sizeof hint, "%s", why->hint);
    (void)snprintf(field, sizeof field, "%s", why->field);
    first_argument(c->args, name);
    for (size_t i = 0; i < all->count; i++) {
        flag_path(&all->at[i], path);
        size_t whole = strlen(path);
        if (all->at[i].id != FLAG_FIELD || strncmp(field, path, whole) != 0 ||
            (field[whole] && field[whole] != '[' && field[whole] != '.'))
            continue;
        (void)fault_set(why, why->status, "--%s%s", all->at[i].name, text);
        fault_hint(why, "%s", hint);
        fault_field(why, "%s", field);
        return;
    }
    const char *leaf = strrchr(field, '.');
    if (name[0] && strcmp(leaf ? leaf + 1 : field, name) == 0) {
        const char *word = c->args + (c->args[0] == '[');
        (void)fault_set(why, why->status, "%.*s%s", (int)strcspn(word, " ]"), word, text);
        fault_hint(why, "%s", hint);
        fault_field(why, "%s", field);
    }
}

/* Check, and undo units: the API gets plain numbers. */
static enum status settle(const struct command *c, json_t **request, struct fault *why)
{
    AUTO(auto_proto_free) ProtobufCMessage *m = NULL;
    enum status s = json_to_message(c->op->request, *request, JSON_WHOLE, &m, why);
    if (s == ST_OK && strcmp(c->op->method, "PATCH") == 0)
        return ST_OK; /* it is merged with what is there, and null takes something away */
    if (s == ST_OK)
        s = check_message(m, CHECK_REQUEST, why);
    if (s != ST_OK)
        return s;
    json_decref(*request);
    *request = json_from_message(m, JSON_WHOLE);
    return ST_OK;
}

static enum status read_file(const char *path, json_t **ret, struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, REQUEST_BODY_MAX);
    enum status s = input_read(path, &b, why);
    if (s == ST_OK)
        s = json_parse(buf_view(&b), REQUEST_BODY_MAX, ret, why);
    if (s == ST_OK && !json_is_object(*ret)) {
        json_decref(*ret);
        *ret = NULL;
        s = fault_set(why, ST_INVALID, "an object is expected");
    }
    return s == ST_OK ? s : fault_wrap(why, s, "-f %s", path);
}

enum status request_make(const struct command *c, const struct flags *all, const struct given *g,
                         json_t *known, json_t **ret, struct fault *why)
{
    require(c->op);
    const char *file = given_get(g, FLAG_FILE);
    require(!known || !file);
    AUTO(auto_json) json_t *request = known;
    enum status s = file ? read_file(file, &request, why) : ST_OK;
    if (s != ST_OK)
        return s;
    if (!request)
        request = json_object();
    for (size_t i = 0; i < g->flag_count && s == ST_OK; i++)
        if (g->flag[i].flag->id == FLAG_FIELD)
            s = set_flag(request, g->flag[i].flag, g->flag[i].value, why);
    if (s != ST_OK)
        return s;
    if (g->arg_count > 0 && !strstr(c->op->path, "{name}"))
        set_argument(c, request, g->arg[0]);
    if (strcmp(c->name, "run") == 0)
        request_default(request, "spec.image", json_string("default"));
    s = settle(c, &request, why);
    if (s != ST_OK) {
        name_flag(c, all, why);
        return s;
    }
    *ret = json_incref(request);
    return ST_OK;
}

/* --- where it goes --- */

void request_escape(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c != 0 && strchr("-._~", c));
        if (plain)
            buf_char(out, (char)c);
        else
            buf_fmt(out, "%%%02X", c);
    }
}

static void add_pair(const char *name, const json_t *v, struct buf *out, bool *first)
{
    buf_char(out, *first ? '?' : '&');
    *first = false;
    request_escape(str_from(name), out);
    buf_char(out, '=');
    if (json_is_string(v))
        request_escape((struct str){json_string_value(v), json_string_length(v)}, out);
    else if (json_is_boolean(v))
        buf_text(out, json_is_true(v) ? "true" : "false");
    else
        buf_fmt(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
}

void request_target(const struct op *op, const char *name, const json_t *query, struct buf *out)
{
    const char *hole = strstr(op->path, "{name}");
    if (hole) {
        buf_add(out, op->path, (size_t)(hole - op->path));
        request_escape(str_from(name), out);
        buf_text(out, hole + strlen("{name}"));
    } else {
        buf_text(out, op->path);
    }
    bool first = true;
    const char *key;
    json_t *v, *plain;
    memcpy(&plain, &query, sizeof plain); /* jansson's iterators change nothing */
    json_object_foreach(plain, key, v)
    {
        if (!json_is_array(v))
            add_pair(key, v, out, &first);
        for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++)
            add_pair(key, json_array_get(v, i), out, &first);
    }
}

enum status request_read(const char *word, struct buf *out, struct fault *why)
{
    if (strcmp(word, "-") == 0 || word[0] == '@')
        return input_read(word[0] == '@' ? word + 1 : word, out, why);
    buf_text(out, word);
    return buf_status(out, why);
}
