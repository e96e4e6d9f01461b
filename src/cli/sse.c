#include "cli/sse.h"

#include <string.h>

void sse_init(struct sse *s)
{
    *s = (struct sse){0};
    buf_init(&s->in, SSE_LINE_MAX + SSE_FEED_MAX);
    buf_init(&s->type, SSE_LINE_MAX);
    buf_init(&s->data, SSE_LINE_MAX);
}

void sse_done(struct sse *s)
{
    buf_done(&s->in);
    buf_done(&s->type);
    buf_done(&s->data);
}

enum status sse_feed(struct sse *s, struct str bytes, struct fault *why)
{
    require(bytes.len <= SSE_FEED_MAX);
    buf_eat(&s->in, s->at);
    s->at = 0;
    if (s->in.len > SSE_LINE_MAX || s->data.full || s->type.full)
        return fault_set(why, ST_TOO_BIG, "an event is longer than %d bytes", SSE_LINE_MAX);
    buf_str(&s->in, bytes);
    ensure(!s->in.full);
    return ST_OK;
}

/* A line ends with LF, or CR LF. (A CR alone ends one too, by the book; our server sends none.) */
static bool take_line(struct sse *s, struct str *ret)
{
    const char *from = buf_cstr(&s->in) + s->at;
    const char *end = memchr(from, '\n', s->in.len - s->at);
    if (!end)
        return false;
    *ret = (struct str){from, (size_t)(end - from)};
    s->at += ret->len + 1;
    if (str_ends(*ret, "\r"))
        ret->len--;
    return true;
}

static void take_field(struct sse *s, struct str line)
{
    struct str name;
    (void)str_cut(&line, ':', &name);
    if (str_starts(line, " "))
        line = (struct str){line.ptr + 1, line.len - 1};
    if (str_is(name, "data")) {
        buf_str(&s->data, line);
        buf_char(&s->data, '\n');
    } else if (str_is(name, "event")) {
        buf_reset(&s->type);
        buf_str(&s->type, line);
    } else if (str_is(name, "id") && line.len < SSE_ID_MAX && !memchr(line.ptr, 0, line.len)) {
        memcpy(s->id, line.ptr, line.len);
        s->id[line.len] = 0;
    }
}

bool sse_next(struct sse *s, struct sse_event *ret)
{
    struct str line;
    if (s->told) {
        buf_reset(&s->type);
        buf_reset(&s->data);
        s->told = false;
    }
    while (take_line(s, &line)) {
        if (line.len > 0) {
            take_field(s, line);
            continue;
        }
        if (s->data.full || s->type.full) /* sse_feed() tells */
            return false;
        if (s->data.len > 0) {
            *ret = (struct sse_event){buf_view(&s->type), buf_view(&s->data)};
            ret->data.len--; /* the last line end */
            s->told = true;
            return true;
        }
        buf_reset(&s->type); /* an event without data is none */
    }
    return false;
}
