#include "mesh/frames.h"

#include <string.h>

enum { KEPT_ROOM = 64 << 10 }; /* what a large message took goes back */

void frames_init(struct frames *f)
{
    *f = (struct frames){0};
    buf_init(&f->body, PEERS_MESSAGE_MAX);
}

void frames_done(struct frames *f)
{
    buf_done(&f->body);
}

void frames_head(size_t len, uint8_t out[FRAMES_HEAD_SIZE])
{
    require(len > 0 && len <= PEERS_MESSAGE_MAX);
    for (size_t i = 0; i < FRAMES_HEAD_SIZE; i++)
        out[i] = (uint8_t)(len >> 8 * i);
}

static struct str eat(struct str *in, size_t len)
{
    struct str front = {in->ptr, len};
    if (len == 0)
        return STR("");
    *in = (struct str){in->ptr + len, in->len - len};
    return front;
}

static void forget_told(struct frames *f)
{
    if (!f->told)
        return;
    f->told = false;
    if (f->body.room > KEPT_ROOM)
        buf_done(&f->body);
    else
        buf_reset(&f->body);
}

static size_t length(const struct frames *f)
{
    size_t len = 0;
    for (size_t i = 0; i < FRAMES_HEAD_SIZE; i++)
        len |= (size_t)f->head[i] << 8 * i;
    return len;
}

enum frames_says frames_next(struct frames *f, struct str *in, struct str *ret)
{
    forget_told(f);
    struct str head = eat(in, MIN(in->len, FRAMES_HEAD_SIZE - f->head_len));
    if (head.len > 0)
        memcpy(f->head + f->head_len, head.ptr, head.len);
    f->head_len += head.len;
    if (f->head_len < FRAMES_HEAD_SIZE)
        return FRAMES_NONE;
    size_t len = length(f);
    if (len == 0 || len > PEERS_MESSAGE_MAX)
        return FRAMES_BAD;
    if (f->body.len == 0 && in->len >= len) {
        *ret = eat(in, len);
    } else {
        buf_str(&f->body, eat(in, MIN(in->len, len - f->body.len)));
        if (f->body.len < len)
            return FRAMES_NONE;
        *ret = buf_view(&f->body);
        f->told = true;
    }
    f->head_len = 0;
    return FRAMES_ONE;
}
