#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t max)
{
    require(max > 0 && max < SIZE_MAX / 2);
    *b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->full = false;
    if (b->ptr)
        b->ptr[0] = 0;
}

char *buf_space(struct buf *b, size_t len)
{
    require(b->max > 0);
    if (b->full || len > b->max - b->len) {
        b->full = true;
        return NULL;
    }
    size_t need = b->len + len + 1;
    if (need > b->room) {
        size_t room = MAX(need, MIN(b->room * 2, b->max + 1));
        b->ptr = mem_grow(b->ptr, MAX(room, 64), 1);
        b->room = MAX(room, 64);
    }
    return b->ptr + b->len;
}

void buf_wrote(struct buf *b, size_t len)
{
    require(b->ptr && len < b->room - b->len);
    b->len += len;
    b->ptr[b->len] = 0;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    char *p = buf_space(b, len);
    if (!p)
        return;
    if (len)
        memcpy(p, data, len);
    buf_wrote(b, len);
}

void buf_str(struct buf *b, struct str s)
{
    buf_add(b, s.ptr, s.len);
}

void buf_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    require(n >= 0);
    char *p = buf_space(b, (size_t)n);
    if (p) {
        (void)vsnprintf(p, (size_t)n + 1, fmt, again);
        buf_wrote(b, (size_t)n);
    }
    va_end(again);
}

void buf_eat(struct buf *b, size_t len)
{
    require(len <= b->len);
    if (len == 0)
        return;
    memmove(b->ptr, b->ptr + len, b->len - len);
    b->len -= len;
    b->ptr[b->len] = 0;
}

struct str buf_view(const struct buf *b)
{
    return (struct str){b->ptr ? b->ptr : "", b->len};
}

const char *buf_cstr(const struct buf *b)
{
    return b->ptr ? b->ptr : "";
}

enum status buf_status(const struct buf *b, struct fault *why)
{
    if (b->full)
        return fault_set(why, ST_TOO_BIG, "more than %zu bytes", b->max);
    return ST_OK;
}

char *buf_take(struct buf *b, size_t *ret_len)
{
    if (!b->ptr)
        (void)buf_space(b, 0);
    char *p = b->ptr ? b->ptr : mem_new(1);
    p[b->len] = 0;
    if (ret_len)
        *ret_len = b->len;
    *b = (struct buf){.max = b->max};
    return p;
}
