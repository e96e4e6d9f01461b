#include "wire/cursor.h"

#include <string.h>

static const char too_short[] = "it ends too early";

void cursor_init(struct cursor *c, struct str bytes)
{
    require(bytes.ptr || bytes.len == 0);
    *c = (struct cursor){.ptr = (const uint8_t *)bytes.ptr, .len = bytes.len};
}

size_t cursor_left(const struct cursor *c)
{
    return c->bad ? 0 : c->len - c->at;
}

bool cursor_ok(const struct cursor *c)
{
    return !c->bad;
}

void cursor_fail(struct cursor *c, const char *bad)
{
    require(bad);
    if (!c->bad)
        c->bad = bad;
}

/* The next len bytes, or NULL after a failure. */
static const uint8_t *take(struct cursor *c, size_t len)
{
    if (c->bad)
        return NULL;
    if (len > c->len - c->at) {
        c->bad = too_short;
        return NULL;
    }
    const uint8_t *p = c->ptr + c->at;
    c->at += len;
    ensure(c->at <= c->len);
    return p;
}

static uint64_t number(const uint8_t *p, size_t len)
{
    uint64_t v = 0;
    for (size_t i = len; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static uint64_t read_number(struct cursor *c, size_t len)
{
    const uint8_t *p = take(c, len);
    return p ? number(p, len) : 0;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)read_number(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
    return (uint16_t)read_number(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
    return (uint32_t)read_number(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
    return read_number(c, 8);
}

uint64_t cursor_varint(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t *p = take(c, 1);
        if (!p)
            return 0;
        uint64_t bits = *p & 0x7f;
        bool longer_than_needed = *p == 0 && shift > 0;
        bool past_64_bits = shift == 63 && *p > 1;
        if (longer_than_needed || past_64_bits) {
            cursor_fail(c, "a number is not in its shortest form");
            return 0;
        }
        v |= bits << shift;
        if (!(*p & 0x80))
            return v;
    }
    defs_unreachable("the tenth byte ends a number or is refused");
}

struct str cursor_bytes(struct cursor *c, size_t len)
{
    const uint8_t *p = take(c, len);
    return p ? (struct str){(const char *)p, len} : (struct str){"", 0};
}

struct str cursor_sized(struct cursor *c, uint32_t max)
{
    uint32_t len = cursor_u32(c);
    if (len > max)
        cursor_fail(c, "a length is more than its limit");
    return cursor_bytes(c, len);
}

void cursor_text(struct cursor *c, char *out, size_t size)
{
    require(size > 0 && size - 1 <= UINT32_MAX);
    struct str s = cursor_sized(c, (uint32_t)(size - 1));
    out[0] = 0;
    if (cursor_ok(c) && str_copy(s, out, size, NULL) != ST_OK)
        cursor_fail(c, "a text holds a NUL");
}

bool cursor_copy(struct cursor *c, void *out, size_t len)
{
    const uint8_t *p = take(c, len);
    if (len == 0)
        return p != NULL || cursor_ok(c);
    if (p)
        memcpy(out, p, len);
    else
        memset(out, 0, len);
    return p != NULL;
}

struct str cursor_rest(struct cursor *c)
{
    return cursor_bytes(c, cursor_left(c));
}

bool cursor_magic(struct cursor *c, const void *want, size_t len)
{
    struct str got = cursor_bytes(c, len);
    if (cursor_ok(c) && memcmp(got.ptr, want, len) != 0)
        cursor_fail(c, "it does not begin as it should");
    return cursor_ok(c);
}

enum status cursor_status(const struct cursor *c, enum status bad, struct fault *why)
{
    require(bad != ST_OK);
    if (c->bad)
        return fault_set(why, bad, "%s, at byte %zu of %zu", c->bad, c->at, c->len);
    return ST_OK;
}

enum status cursor_end(struct cursor *c, enum status bad, struct fault *why)
{
    if (cursor_left(c) > 0)
        cursor_fail(c, "more bytes than it should have");
    return cursor_status(c, bad, why);
}

static void store(uint8_t *p, uint64_t v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void put_number(struct buf *b, uint64_t v, size_t len)
{
    uint8_t p[8];
    store(p, v, len);
    buf_add(b, p, len);
}

void cursor_put_u8(struct buf *b, uint8_t v)
{
    put_number(b, v, 1);
}

void cursor_put_u16(struct buf *b, uint16_t v)
{
    put_number(b, v, 2);
}

void cursor_put_u32(struct buf *b, uint32_t v)
{
    put_number(b, v, 4);
}

void cursor_put_u64(struct buf *b, uint64_t v)
{
    put_number(b, v, 8);
}

void cursor_put_varint(struct buf *b, uint64_t v)
{
    uint8_t p[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    buf_add(b, p, n);
}

void cursor_put_sized(struct buf *b, struct str bytes)
{
    require(bytes.len <= UINT32_MAX);
    /* Both or neither: a length without its bytes would make what follows read as something else. */
    if (!buf_space(b, 4 + bytes.len))
        return;
    cursor_put_u32(b, (uint32_t)bytes.len);
    buf_str(b, bytes);
}

void cursor_put_text(struct buf *b, const char *text)
{
    cursor_put_sized(b, str_from(text));
}

void cursor_store_u32(void *at, uint32_t v)
{
    store(at, v, 4);
}

void cursor_store_u64(void *at, uint64_t v)
{
    store(at, v, 8);
}

uint32_t cursor_load_u32(const void *at)
{
    return (uint32_t)number(at, 4);
}

uint64_t cursor_load_u64(const void *at)
{
    return number(at, 8);
}
