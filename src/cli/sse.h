/*
 * sse: server-sent events out of bytes that come in any pieces. Pure.
 *
 * Comments, `retry` and fields that are not known are read over.
 */
#pragma once

#include "base/buf.h"

enum { SSE_LINE_MAX = 256 << 10, SSE_FEED_MAX = 64 << 10, SSE_ID_MAX = 64 };

struct sse {
    struct buf in; /* not yet used, from in.ptr[at] on */
    size_t at;
    struct buf type, data;
    char id[SSE_ID_MAX]; /* of the last event that had one, or "" */
    bool told;           /* type and data are those of an event that was given out */
};

/* Views until the next call. */
struct sse_event {
    struct str type; /* "" when it has none */
    struct str data; /* lines are joined by line ends */
};

void sse_init(struct sse *s);
void sse_done(struct sse *s);
/* At most SSE_FEED_MAX bytes, after sse_next() has returned false. ST_TOO_BIG when a line or an event is
 * longer than SSE_LINE_MAX: no more can be read then. */
MUST_USE enum status sse_feed(struct sse *s, struct str bytes, struct fault *why);
/* The next event; false: feed more. s->id is its id then. */
bool sse_next(struct sse *s, struct sse_event *ret);
