#include "rpc/frame.h"

#include <string.h>

#include "wire/cursor.h"

/* What a status is called between nodes. A number is given once, and never again to another one. */
static const uint8_t wire_status[] = {
    [ST_OK] = 0,
    [ST_INTERNAL] = 1,
    [ST_FAILED] = 2,
    [ST_IO] = 3,
    [ST_CORRUPT] = 4,
    [ST_NO_SPACE] = 5,
    [ST_UNSUPPORTED] = 6,
    [ST_INVALID] = 7,
    [ST_TOO_BIG] = 8,
    [ST_NOT_FOUND] = 9,
    [ST_EXISTS] = 10,
    [ST_CONFLICT] = 11,
    [ST_PRECONDITION] = 12,
    [ST_IN_USE] = 13,
    [ST_QUOTA] = 14,
    [ST_CAPACITY] = 15,
    [ST_LIMIT] = 16,
    [ST_DENIED] = 17,
    [ST_UNAUTHENTICATED] = 18,
    [ST_UNAVAILABLE] = 19,
    [ST_NOT_LEADER] = 20,
    [ST_TIMEOUT] = 21,
    [ST_PARTIAL] = 22,
    [ST_CANCELLED] = 23,
};
_Static_assert(ARRAY_COUNT(wire_status) == ST_COUNT && ST_CANCELLED == ST_COUNT - 1,
               "a new status wants a number here");

static enum status status_of(uint8_t code)
{
    for (unsigned i = 0; i < ST_COUNT; i++)
        if (wire_status[i] == code)
            return (enum status)i;
    return ST_INTERNAL;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

/* Neither id may be zero, unless there is no trace at all. */
static bool trace_ok(const struct rpc_trace *t)
{
    bool no_trace = is_zero(t->trace_id, sizeof t->trace_id);
    bool no_span = is_zero(t->span_id, sizeof t->span_id);
    return no_trace ? no_span && t->flags == 0 : !no_span;
}

void frame_put_head(struct buf *out, const struct frame_head *h)
{
    require((h->flags & ~FRAME_FLAGS) == 0 && h->timeout_ms > 0 && trace_ok(&h->trace));
    cursor_put_u8(out, FRAME_VERSION);
    cursor_put_u8(out, h->flags);
    cursor_put_u16(out, h->method);
    cursor_put_u32(out, h->body_len);
    cursor_put_u64(out, h->id);
    cursor_put_u32(out, h->timeout_ms);
    buf_add(out, h->trace.trace_id, sizeof h->trace.trace_id);
    buf_add(out, h->trace.span_id, sizeof h->trace.span_id);
    cursor_put_u8(out, h->trace.flags);
}

enum status frame_get_head(struct str bytes, struct frame_head *ret, struct fault *why)
{
    struct cursor c;
    struct frame_head h;
    cursor_init(&c, bytes);
    uint8_t version = cursor_u8(&c);
    if (cursor_ok(&c) && version != FRAME_VERSION)
        return fault_set(why, ST_UNSUPPORTED, "calls of version %u, version %d is spoken here",
                         version, FRAME_VERSION);
    h.flags = cursor_u8(&c);
    h.method = cursor_u16(&c);
    h.body_len = cursor_u32(&c);
    h.id = cursor_u64(&c);
    h.timeout_ms = cursor_u32(&c);
    (void)cursor_copy(&c, h.trace.trace_id, sizeof h.trace.trace_id);
    (void)cursor_copy(&c, h.trace.span_id, sizeof h.trace.span_id);
    h.trace.flags = cursor_u8(&c);
    if (h.flags & ~FRAME_FLAGS)
        cursor_fail(&c, "a flag is not known");
    if (h.timeout_ms == 0)
        cursor_fail(&c, "it has no time");
    if (!trace_ok(&h.trace))
        cursor_fail(&c, "an id of its trace is zero");
    enum status s = cursor_end(&c, ST_INVALID, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "the head of a call");
    *ret = h;
    return ST_OK;
}

static uint32_t len_max(enum frame_kind kind, enum status s)
{
    if (kind != FRAME_END)
        return FRAME_PIECE_MAX;
    return s == ST_OK ? UINT32_MAX : FRAME_FAULT_MAX;
}

void frame_put(struct buf *out, const struct frame *f)
{
    require(f->kind == FRAME_END || (f->status == ST_OK && f->len > 0));
    require(f->len <= len_max(f->kind, f->status));
    cursor_put_u8(out, (uint8_t)f->kind);
    cursor_put_u8(out, wire_status[f->status]);
    cursor_put_u32(out, f->len);
}

enum status frame_get(struct str bytes, struct frame *ret, struct fault *why)
{
    struct cursor c;
    cursor_init(&c, bytes);
    uint8_t kind = cursor_u8(&c), code = cursor_u8(&c);
    struct frame f = {(enum frame_kind)kind, status_of(code), cursor_u32(&c)};
    if (kind < FRAME_MORE || kind > FRAME_DATA)
        cursor_fail(&c, "its kind is not known");
    if (kind != FRAME_END && code != wire_status[ST_OK])
        cursor_fail(&c, "it has a status, and is not the last");
    if (kind != FRAME_END && f.len == 0)
        cursor_fail(&c, "it is empty");
    if (f.len > len_max(f.kind, f.status))
        cursor_fail(&c, "it is too long");
    enum status s = cursor_end(&c, ST_INVALID, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "a frame");
    *ret = f;
    return ST_OK;
}

/* A text may have been cut in the middle of a character: what is sent is always one line of UTF-8. */
static void put_line(struct buf *out, const char *text)
{
    char line[FAULT_TEXT_MAX];
    size_t len = strnlen(text, sizeof line - 1);
    memcpy(line, text, len);
    line[len] = 0;
    str_tidy(line);
    cursor_put_text(out, line);
}

static void get_line(struct cursor *c, char *out, size_t size)
{
    char line[FAULT_TEXT_MAX];
    cursor_text(c, out, size);
    memcpy(line, out, size);
    str_tidy(line);
    if (strcmp(line, out) != 0)
        cursor_fail(c, "a text is not one line of UTF-8");
}

void frame_put_fault(struct buf *out, const struct frame_fault *f)
{
    cursor_put_u32(out, f->retry_after_ms);
    put_line(out, f->fault.text);
    put_line(out, f->fault.hint);
    put_line(out, f->fault.field);
}

enum status frame_get_fault(struct str bytes, enum status s, struct frame_fault *ret,
                            struct fault *why)
{
    struct cursor c;
    struct frame_fault f = {.fault.status = s};
    require(s != ST_OK);
    cursor_init(&c, bytes);
    f.retry_after_ms = cursor_u32(&c);
    get_line(&c, f.fault.text, sizeof f.fault.text);
    get_line(&c, f.fault.hint, sizeof f.fault.hint);
    get_line(&c, f.fault.field, sizeof f.fault.field);
    enum status read = cursor_end(&c, ST_INVALID, why);
    if (read != ST_OK)
        return fault_wrap(why, read, "a fault");
    *ret = f;
    return ST_OK;
}
