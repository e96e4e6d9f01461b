/*
 * sendq: the bytes of a stream from when they are written until the peer has acknowledged them.
 *
 * They never move: what sends them again after a loss points into them. Kept in chunks of one size,
 * which come from a pool and go back to it, since large streams make and drop thousands a second.
 */
#pragma once

#include <sys/uio.h>

#include "base/str.h"

enum { SENDQ_CHUNK = 4096, SENDQ_SPARE_MAX = 512 };

struct sendq_chunk;

struct sendq_pool {
    struct sendq_chunk *spare;
    size_t spare_count; /* at most SENDQ_SPARE_MAX; more are freed */
};

void sendq_pool_done(struct sendq_pool *p);

/* Offsets in the stream: acked <= sent <= end. */
struct sendq {
    struct sendq_chunk *head, *tail; /* oldest that is not acknowledged, newest */
    struct sendq_chunk *next; /* of the first byte that is not sent; NULL when there is none */
    uint64_t acked, sent, end;
};

void sendq_init(struct sendq *q);
void sendq_done(struct sendq *q, struct sendq_pool *p);

void sendq_write(struct sendq *q, struct sendq_pool *p, const void *data, size_t len);

/* Views of what comes next, at most vec_max of them: returns how many. */
size_t sendq_peek(const struct sendq *q, struct iovec *vec, size_t vec_max);
void sendq_sent(struct sendq *q, size_t len);
void sendq_acked(struct sendq *q, struct sendq_pool *p, uint64_t upto);

static inline size_t sendq_held(const struct sendq *q)
{
    return (size_t)(q->end - q->acked);
}
