#include "wire/check.h"

#include <string.h>

#include "wire/field.h"
#include "wire/place.h"
#include "wire/proto.h"
#include "wire/schema.h"

enum { SHOWN_MAX = 40, NAME_LEN_MAX = 63, UID_LEN = 32, DIGEST_HEX_LEN = 64 };

struct walk {
    enum check_mode mode;
    struct fault *why;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z');
}

bool check_is_name(const char *text)
{
    size_t len = strlen(text);
    if (len == 0 || len > NAME_LEN_MAX || !is_name_char(text[0]) || !is_name_char(text[len - 1]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_name_char(text[i]) && text[i] != '-')
            return false;
    return true;
}

bool check_is_uid(const char *text)
{
    return str_is_hex(str_from(text), UID_LEN);
}

static bool is_digest(const char *text)
{
    return strncmp(text, "sha256:", 7) == 0 && str_is_hex(str_from(text + 7), DIGEST_HEX_LEN);
}

/* No `..`: a path means the same file whatever it is appended to. */
static bool is_path(const char *text)
{
    if (text[0] != '/')
        return false;
    struct str rest = str_from(text), part;
    bool more = true;
    while (more) {
        more = str_cut(&rest, '/', &part);
        if (str_is(part, ".."))
            return false;
    }
    return true;
}

static bool is_ipv4(const char *text)
{
    struct str rest = str_from(text), part;
    for (int i = 0; i < 4; i++) {
        uint64_t v;
        bool more = str_cut(&rest, '.', &part);
        if (more != (i < 3) || str_u64(part, 0, 255, &v, NULL) != ST_OK)
            return false;
        if (part.len > 1 && part.ptr[0] == '0') /* octal to some, decimal to others */
            return false;
    }
    return true;
}

static bool is_mac(const char *text)
{
    for (int i = 0; i < 6; i++, text += 3) {
        struct str pair = {text, strnlen(text, 2)};
        if (!str_is_hex(pair, 2) || text[2] != (i < 5 ? ':' : '\0'))
            return false;
    }
    return true;
}

/* Control characters of ASCII and, as UTF-8, of Latin-1: both can steer a terminal. */
static bool has_control(const char *text, bool line_end_and_tab)
{
    for (const uint8_t *p = (const uint8_t *)text; *p; p++) {
        if (line_end_and_tab && (*p == '\n' || *p == '\t'))
            continue;
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
            return true;
    }
    return false;
}

/* What a text should be, or NULL if it is that. */
static const char *wrong_format(enum schema_format format, const char *text)
{
    switch (format) {
    case SCHEMA_NAME:
        return check_is_name(text) ? NULL
                                   : "a name of 1 to 63 of a-z, 0-9 and -, with a letter or digit "
                                     "at both ends";
    case SCHEMA_UID: return check_is_uid(text) ? NULL : "a uid of 32 lower-case hex digits";
    case SCHEMA_DIGEST: return is_digest(text) ? NULL : "\"sha256:\" and 64 lower-case hex digits";
    case SCHEMA_PATH: return is_path(text) ? NULL : "an absolute path without \"..\"";
    case SCHEMA_IPV4: return is_ipv4(text) ? NULL : "an IPv4 address such as 192.0.2.1";
    case SCHEMA_MAC: return is_mac(text) ? NULL : "a hardware address such as 52:54:00:12:34:56";
    default: return NULL;
    }
}

static enum status check_text(const struct walk *w, const struct place *at,
                              const struct schema_field *about, const char *text)
{
    size_t len = strlen(text);
    if (len > about->max_len)
        return place_refuse(at, w->why, ST_TOO_BIG, "%zu bytes are more than %" PRIu32, len,
                            about->max_len);
    if (!str_utf8((struct str){text, len}))
        return place_refuse(at, w->why, ST_INVALID, "it is not UTF-8");
    bool lines = about->format == SCHEMA_TEXT;
    if (has_control(text, lines))
        return place_refuse(at, w->why, ST_INVALID, "control characters%s are not allowed",
                            lines ? " other than newline and tab" : "");
    const char *want = wrong_format(about->format, text);
    if (want)
        return place_refuse(at, w->why, ST_INVALID, "\"%.*s\" is not %s", SHOWN_MAX, text, want);
    return ST_OK;
}

static enum status check_bytes(const struct walk *w, const struct place *at,
                               const struct schema_field *about, struct str bytes)
{
    if (bytes.len > about->max_len)
        return place_refuse(at, w->why, ST_TOO_BIG, "%zu bytes are more than %" PRIu32, bytes.len,
                            about->max_len);
    return ST_OK;
}

static enum status check_number(const struct walk *w, const struct place *at,
                                const struct schema_field *about, uint64_t v)
{
    if (about->has_min && v < about->min)
        return place_refuse(at, w->why, ST_INVALID, "%" PRIu64 " is less than %" PRIu64, v,
                            about->min);
    if (about->has_max && v > about->max)
        return place_refuse(at, w->why, ST_INVALID, "%" PRIu64 " is more than %" PRIu64, v,
                            about->max);
    return ST_OK;
}

static enum status check_fields(const struct walk *w, const ProtobufCMessage *m,
                                const struct place *at, size_t depth);

static enum status check_value(const struct walk *w, const ProtobufCFieldDescriptor *f,
                               const struct schema_field *about, const void *value,
                               const struct place *at, size_t depth)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64: return check_number(w, at, about, field_number(f, value));
    case PROTOBUF_C_TYPE_ENUM:
        if (!schema_word(f->descriptor, field_enum(value)))
            return place_refuse(at, w->why, ST_INVALID, "%d is not a known value",
                                field_enum(value));
        return ST_OK;
    case PROTOBUF_C_TYPE_STRING: return check_text(w, at, about, field_text(value));
    case PROTOBUF_C_TYPE_BYTES: return check_bytes(w, at, about, field_bytes(value));
    case PROTOBUF_C_TYPE_MESSAGE: return check_fields(w, field_message(value), at, depth + 1);
    default: return ST_OK; /* a boolean has no limits */
    }
}

/* What lacks in a message that lacks as a whole: its first required field, as deep as it goes. */
static enum status refuse_missing(const struct walk *w, const ProtobufCFieldDescriptor *f,
                                  const struct place *at)
{
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && !field_is_repeated(f)) {
        const struct schema_message *s = schema_message(f->descriptor);
        for (unsigned i = 0; i < s->desc->n_fields; i++) {
            struct place here = {at, s->desc->fields[i].name, PLACE_NO_INDEX};
            if (s->field[i].required)
                return refuse_missing(w, &s->desc->fields[i], &here);
        }
    }
    return place_refuse(at, w->why, ST_INVALID, "it must be given");
}

static enum status check_field(const struct walk *w, const ProtobufCMessage *m,
                               const ProtobufCFieldDescriptor *f, const struct schema_field *about,
                               const struct place *above, size_t depth)
{
    struct place at = {above, f->name, PLACE_NO_INDEX};
    size_t count = field_count(m, f);
    if (w->mode == CHECK_REQUEST && about->output && count > 0)
        return place_refuse(&at, w->why, ST_INVALID, "it is set by the system");
    if (w->mode == CHECK_REQUEST && about->required && count == 0)
        return refuse_missing(w, f, &at);
    if (field_is_repeated(f) && count > about->max_items)
        return place_refuse(&at, w->why, ST_TOO_BIG, "%zu items are more than %" PRIu32, count,
                            about->max_items);
    for (size_t i = 0; i < count; i++) {
        if (field_is_repeated(f))
            at.index = i;
        enum status s = check_value(w, f, about, field_at(m, f, i), &at, depth);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

static enum status check_fields(const struct walk *w, const ProtobufCMessage *m,
                                const struct place *at, size_t depth)
{
    require(depth < SCHEMA_DEPTH_MAX);
    const struct schema_message *about = schema_message(m->descriptor);
    require(about);
    if (w->mode == CHECK_REQUEST && m->n_unknown_fields > 0)
        return place_refuse(at, w->why, ST_INVALID,
                            "it has a field of number %" PRIu32 ", which is not known here",
                            m->unknown_fields[0].tag);
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        enum status s = check_field(w, m, &m->descriptor->fields[i], &about->field[i], at, depth);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

enum status check_message(const ProtobufCMessage *m, enum check_mode mode, struct fault *why)
{
    struct walk w = {mode, why};
    return check_fields(&w, m, NULL, 0);
}

/* `now` is NULL where it lacks what `was` has: then all its fields lack. */
static enum status check_changes(const ProtobufCMessage *was, const ProtobufCMessage *now,
                                 const struct place *above, struct fault *why)
{
    for (unsigned i = 0; i < was->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &was->descriptor->fields[i];
        struct place at = {above, f->name, PLACE_NO_INDEX};
        bool immutable = schema_field(was->descriptor, f)->immutable;
        if (field_count(was, f) == 0)
            continue;
        if (immutable && !(now && proto_equal_field(was, now, f)))
            return place_refuse(&at, why, ST_INVALID, "it cannot be changed");
        if (immutable || f->type != PROTOBUF_C_TYPE_MESSAGE || field_is_repeated(f))
            continue;
        bool kept = now && field_count(now, f) > 0;
        enum status s = check_changes(field_message(field_at(was, f, 0)),
                                      kept ? field_message(field_at(now, f, 0)) : NULL, &at, why);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

enum status check_change(const ProtobufCMessage *was, const ProtobufCMessage *now,
                         struct fault *why)
{
    require(was->descriptor == now->descriptor);
    return check_changes(was, now, NULL, why);
}

enum status check_unpack(const ProtobufCMessageDescriptor *desc, struct str bytes, size_t max,
                         ProtobufCMessage **ret, struct fault *why)
{
    enum status s = proto_unpack(desc, bytes, max, ret, why);
    if (s != ST_OK)
        return s;
    s = check_message(*ret, CHECK_STORED, why);
    if (s != ST_OK) {
        proto_free(*ret);
        *ret = NULL;
    }
    return s;
}
