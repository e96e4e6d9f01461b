/*
 * state: what the files of rpc share. Nobody else includes it.
 *
 *     rpc.c     events of streams and time, passed on to
 *     call.c    what is asked of us
 *     ask.c     what we ask
 *     pipe.c    what both are: a stream, a deadline, bytes that wait for room
 */
#pragma once

#include "base/heap.h"
#include "rpc/usage.h"

struct rpc {
    struct rpc_config config;
    struct endpoint_events events;
    uint64_t now_ms;
    struct heap due;         /* pipe.due */
    struct list calls, asks; /* pipe.item */
    uint32_t call_count, ask_count;
    size_t call_queued, ask_queued; /* bytes in pipe.out */
    struct usage usage;
    struct buf scratch; /* what is written at once is put together here */
    struct rpc_counters count;
};

struct pipe {
    struct rpc *r;
    struct quic_stream *s; /* NULL once it is not ours any more */
    bool asks;             /* of a struct rpc_ask, else of a struct rpc_call */
    bool over;             /* to be freed, once no event of it is being told */
    bool wants_room;       /* a write was refused, and `room` is to be told */
    bool out_fin;          /* what waits is the last */
    bool out_over;         /* nothing goes out any more: it was ended, or the peer does not read */
    unsigned depth;        /* events of it that are being told */
    struct list item;
    struct heap_item due;
    struct buf out; /* waits for room in the stream */
    size_t out_at;  /* so much of it is gone */
    uint8_t head[MAX(FRAME_HEAD, FRAME_FRAME)];
    size_t head_len; /* what came of a head that is not whole */
    uint32_t left;   /* of the body or frame that is being read */
    size_t unread;   /* given to the application, and not consumed */
};

void pipe_init(struct pipe *p, struct rpc *r, struct quic_stream *s, bool asks);
/* Out of all tables, and away from its stream, which goes on by itself. Freed by pipe_leave(), or by now. */
void pipe_over(struct pipe *p);
void pipe_cut(struct pipe *p, uint64_t code); /* the stream, in both directions */

/* Around each event that is told: the pipe stays until the last pipe_leave(). */
static inline void pipe_enter(struct pipe *p)
{
    p->depth++;
}
void pipe_leave(struct pipe *p);

void pipe_due(struct pipe *p, uint64_t at_ms);

/* --- in --- */

/* Gather `size` bytes of a head. false: more must come. */
bool pipe_take_head(struct pipe *p, struct str *bytes, size_t size);
/* Cut off what belongs to the body or frame that is being read. */
struct str pipe_take(struct pipe *p, struct str *bytes);
void pipe_consume(struct pipe *p, size_t len); /* of `unread` */

/* --- out --- */

/* Send scratch and then bytes, now or as there is room; nothing may be waiting. fin: and then no more. */
void pipe_send(struct pipe *p, struct str bytes, bool fin);
/* A frame, at once or not at all. Returns as rpc_more(). */
MUST_USE enum status pipe_send_piece(struct pipe *p, enum frame_kind kind, struct str bytes,
                                     struct fault *why);
void pipe_send_fin(struct pipe *p);
void pipe_pump(struct pipe *p);    /* there is room */
void pipe_stopped(struct pipe *p); /* the peer reads no more */
static inline bool pipe_waits(const struct pipe *p)
{
    return p->out_at < p->out.len;
}

/* --- what happens to a stream --- */

void call_new(struct rpc *r, struct quic_stream *s);
void call_data(struct pipe *p, struct str bytes, bool fin);
void call_room(struct pipe *p);
void call_cancelled(struct pipe *p);         /* the caller cut it off */
void call_closed(struct pipe *p, bool lost); /* lost: with its connection */
void call_late(struct pipe *p);
void call_drop(struct pipe *p); /* nothing is told */
void call_free(struct pipe *p); /* by pipe.c only */

void ask_data(struct pipe *p, struct str bytes, bool fin);
void ask_room(struct pipe *p);
void ask_reset(struct pipe *p, uint64_t code);
void ask_closed(struct pipe *p, bool lost);
void ask_late(struct pipe *p);
void ask_free(struct pipe *p);
