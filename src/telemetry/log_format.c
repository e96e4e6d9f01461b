#include "base/buf.h"
#include "base/units.h"
#include "telemetry/log.h"

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static void put_number(struct buf *out, const struct log_field *f)
{
    switch (f->type) {
    case LOG_F_U64: buf_fmt(out, "%" PRIu64, f->u64); return;
    case LOG_F_I64: buf_fmt(out, "%" PRId64, f->i64); return;
    case LOG_F_BOOL: buf_text(out, f->boolean ? "true" : "false"); return;
    case LOG_F_TEXT: break;
    }
    defs_unreachable("type of a log field");
}

/* In quotes, as JSON has it: also what logfmt readers understand. Bytes that are no UTF-8 become '?'. */
static void put_quoted(struct buf *out, const char *text)
{
    bool utf8 = str_utf8(str_from(text));
    buf_char(out, '"');
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\')
            buf_fmt(out, "\\%c", c);
        else if (c == '\n')
            buf_text(out, "\\n");
        else if (c < 0x20 || c == 0x7f)
            buf_fmt(out, "\\u%04x", c);
        else
            buf_char(out, c >= 0x80 && !utf8 ? '?' : (char)c);
    }
    buf_char(out, '"');
}

static bool is_plain(const char *text)
{
    for (const char *p = text; *p; p++)
        if (*p <= ' ' || *p == '"' || *p == '=' || *p == '\\' || *p == 0x7f || (*p & 0x80))
            return false;
    return text[0] != 0;
}

void log_format_logfmt(struct buf *out, uint64_t now_ns, enum log_level level, const char *name,
                       const struct log_field *fields, size_t count)
{
    char time[UNITS_TEXT_MAX];
    units_time(now_ns, time);
    buf_fmt(out, "time=%s level=%s event=%s", time, level_names[level], name);
    for (size_t i = 0; i < count; i++) {
        const struct log_field *f = &fields[i];
        if (f->type == LOG_F_TEXT && !f->text)
            continue;
        buf_fmt(out, " %s=", f->name);
        if (f->type != LOG_F_TEXT)
            put_number(out, f);
        else if (is_plain(f->text))
            buf_text(out, f->text);
        else
            put_quoted(out, f->text);
    }
    buf_char(out, '\n');
}

void log_format_json(struct buf *out, uint64_t now_ns, enum log_level level, const char *name,
                     const struct log_field *fields, size_t count)
{
    char time[UNITS_TEXT_MAX];
    units_time(now_ns, time);
    buf_fmt(out, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", time, level_names[level],
            name);
    for (size_t i = 0; i < count; i++) {
        const struct log_field *f = &fields[i];
        if (f->type == LOG_F_TEXT && !f->text)
            continue;
        buf_fmt(out, ",\"%s\":", f->name);
        if (f->type == LOG_F_TEXT)
            put_quoted(out, f->text);
        else
            put_number(out, f);
    }
    buf_text(out, "}\n");
}
