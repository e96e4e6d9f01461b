/*
 * event_ops: the events of the state as a stream of server-sent events.
 *
 * A feed is a place in the log of events, and what of them is wanted. It keeps no events: whoever
 * reads slowly reads later from the state, and is told by `reset` when it came too late.
 */
#pragma once

#include "ops/ops.h"

struct event_feed {
    struct ops *ops;
    uint64_t index; /* all up to this place was given, or is not wanted */
    uint32_t seq;
    uint64_t told_index; /* the place that the reader knows of */
    uint32_t told_seq;
    bool follow;
    char kind[24], name[64]; /* "": all */
};

/* Open a feed; as ops_call(). An answer of 200 has no body: read the feed. `last_event_id` of the
 * call goes before `since`. f is kept until then. */
void ops_watch(struct ops *o, const struct op_call *c, struct event_feed *f, op_done *done,
               void *ctx);

enum event_next {
    EVENT_GIVEN, /* one was appended; ask again */
    EVENT_NONE,  /* there is none yet: ask again when the state has changed */
    EVENT_END,   /* there are no more, and the caller does not want to wait */
};

/* Append the next event, at most EVENT_TEXT_MAX bytes. */
enum { EVENT_TEXT_MAX = 8192 };
enum event_next event_feed_next(struct event_feed *f, struct buf *out);

/* Append what keeps a quiet connection alive, with the place reached if the reader does not know. */
void event_feed_beat(struct event_feed *f, struct buf *out);
