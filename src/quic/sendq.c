#include "quic/sendq.h"

#include <stdlib.h>
#include <string.h>

struct sendq_chunk {
    struct sendq_chunk *next;
    uint64_t from; /* offset of its first byte */
    size_t len;
    uint8_t data[SENDQ_CHUNK];
};

static struct sendq_chunk *chunk_get(struct sendq_pool *p)
{
    struct sendq_chunk *c = p->spare;
    if (!c)
        return mem_grow(NULL, 1, sizeof *c); /* not zeroed: it is written before it is read */
    p->spare = c->next;
    p->spare_count--;
    return c;
}

static void chunk_put(struct sendq_pool *p, struct sendq_chunk *c)
{
    if (p->spare_count >= SENDQ_SPARE_MAX) {
        free(c);
        return;
    }
    c->next = p->spare;
    p->spare = c;
    p->spare_count++;
}

void sendq_pool_done(struct sendq_pool *p)
{
    while (p->spare) {
        struct sendq_chunk *c = p->spare;
        p->spare = c->next;
        free(c);
    }
    p->spare_count = 0;
}

void sendq_init(struct sendq *q)
{
    *q = (struct sendq){0};
}

static void drop_head(struct sendq *q, struct sendq_pool *p)
{
    struct sendq_chunk *c = q->head;
    q->head = c->next;
    if (!q->head)
        q->tail = NULL;
    chunk_put(p, c);
}

void sendq_done(struct sendq *q, struct sendq_pool *p)
{
    while (q->head)
        drop_head(q, p);
    sendq_init(q);
}

static void add_chunk(struct sendq *q, struct sendq_pool *p)
{
    struct sendq_chunk *c = chunk_get(p);
    c->next = NULL;
    c->from = q->end;
    c->len = 0;
    if (q->tail)
        q->tail->next = c;
    else
        q->head = c;
    q->tail = c;
}

void sendq_write(struct sendq *q, struct sendq_pool *p, const void *data, size_t len)
{
    const uint8_t *from = data;
    while (len > 0) {
        if (!q->tail || q->tail->len == SENDQ_CHUNK)
            add_chunk(q, p);
        struct sendq_chunk *c = q->tail;
        size_t n = MIN(len, SENDQ_CHUNK - c->len);
        memcpy(c->data + c->len, from, n);
        c->len += n;
        q->end += n;
        from += n;
        len -= n;
        if (!q->next)
            q->next = c;
    }
}

size_t sendq_peek(const struct sendq *q, struct iovec *vec, size_t vec_max)
{
    size_t count = 0;
    uint64_t at = q->sent;
    for (struct sendq_chunk *c = q->next; c && count < vec_max; c = c->next) {
        size_t skip = (size_t)(at - c->from);
        vec[count++] = (struct iovec){c->data + skip, c->len - skip};
        at = c->from + c->len;
    }
    return count;
}

void sendq_sent(struct sendq *q, size_t len)
{
    require(len <= q->end - q->sent);
    q->sent += len;
    while (q->next && q->sent >= q->next->from + q->next->len)
        q->next = q->next->next;
}

void sendq_acked(struct sendq *q, struct sendq_pool *p, uint64_t upto)
{
    require(upto >= q->acked && upto <= q->sent);
    q->acked = upto;
    while (q->head && q->head->from + q->head->len <= upto)
        drop_head(q, p);
    ensure(q->head || q->acked == q->end);
}
