/*
 * rpc: calls between nodes, each on a QUIC stream of its own.
 *
 * One `struct rpc` asks and is asked, over whatever connections its owner has. It reads no clock: time is
 * told by rpc_step(), which the owner calls before it passes events of the endpoint on, and at
 * rpc_deadline_ms(); what happens in between counts as happening then. All of it belongs to one thread.
 *
 * Every call ends: by its answer, by its deadline, which both sides count, by who asked, or with its
 * connection. Nothing is asked again here, since only the caller knows whether it may be done twice: after
 * ST_UNAVAILABLE and ST_TIMEOUT it may have been done.
 *
 * What a peer may cost is bounded. It has so many calls of each method at once, so many a second, so many
 * bytes a second; one more is answered with ST_LIMIT and with a time after which it may be tried again, and harms no
 * other. Memory is taken for bytes that came, not for bytes that were announced. What the other side sends in a stream
 * waits there until it is consumed.
 *
 * The endpoint has a stream_send_max that holds a piece, RPC_PIECE_MAX and its head. It, and stream_window, are what
 * a stream whose reader is slow takes of all that its connection may hold (conn_send_max, and the window that is
 * granted): the fewer times they go into it, the fewer slow readers stop the other calls of their connection.
 *
 * From within every event told here any call of this header is fine, but rpc_free().
 */
#pragma once

#include "quic/endpoint.h"
#include "rpc/frame.h"

struct rpc;
struct rpc_call; /* that a peer asked of us */
struct rpc_ask;  /* that we asked of a peer */

enum {
    RPC_PIECE_MAX = FRAME_PIECE_MAX, /* bytes of one write in a stream of bytes */
    RPC_METHODS_MAX = 64,
};

/* Application codes with which a stream is cut off. */
enum rpc_code {
    RPC_CODE_DONE = 0,         /* the answer was given: nothing more is read */
    RPC_CODE_CANCELLED = 0xc1, /* whoever asked wants no answer any more */
    RPC_CODE_LATE = 0xc2,      /* the time is over */
    RPC_CODE_BROKEN = 0xc3,    /* what was sent is not a call, or not an answer */
};

/* --- being asked --- */

/* What may be asked. A rate or limit of 0 is none. */
struct rpc_method {
    uint16_t number;     /* unique */
    const char *name;    /* for texts; kept */
    uint32_t body_max;   /* bytes of a request: longer ones are ST_TOO_BIG */
    uint32_t answer_max; /* bytes of an answer: a longer one becomes ST_TOO_BIG */
    /* Calls of one peer at one time, each until its answer is on its way; > 0. */
    uint32_t concurrent_max;
    uint32_t per_s; /* calls of one peer in a second, and as many at once */
    /* Bytes of one peer in a second, and as many at once. One body may be larger: what it owes then is waited for. */
    uint32_t bytes_per_s;
    bool streams; /* the caller sends more, until it says that this was all */

    /* A whole request. It is to be answered by rpc_answer(), now or later, unless it is `gone` before. */
    void (*called)(void *ctx, struct rpc_call *c);
    /* Nobody waits for it any more; the call is no more once this has returned. why: ST_CANCELLED (by the
     * caller), ST_UNAVAILABLE (its connection ended), ST_TIMEOUT, ST_INVALID (it broke the protocol). */
    void (*gone)(void *ctx, struct rpc_call *c, enum status why);
    /* Further bytes of the caller, cut anywhere; fin comes once, with none. Each byte must be handed back by
     * rpc_call_consume(). Set if it `streams`. */
    void (*data)(void *ctx, struct rpc_call *c, struct str bytes, bool fin);
    /* After rpc_more() was refused. May be NULL. */
    void (*room)(void *ctx, struct rpc_call *c);
    void *ctx;
};

struct rpc_config {
    const struct rpc_method *methods; /* kept */
    size_t method_count;              /* at most RPC_METHODS_MAX; 0: we only ask */
    uint64_t stall_ms;                /* of a request something must come at least so often */
    uint32_t peers_max;               /* that have calls here, or had some lately */
    uint32_t asks_max;                /* of ours, at one time */
    size_t queue_max; /* bytes of our requests that wait here for room in their streams */
    /* The deadline is nearer than rpc_deadline_ms() said. May be NULL. Calls nothing of this header. */
    void (*wake)(void *ctx);
    void *wake_ctx;
};
void rpc_config_init(struct rpc_config *c); /* sensible numbers, no methods */

struct rpc *rpc_new(const struct rpc_config *c, uint64_t now_ms);
/* Tells nothing to anybody. Before endpoint_free(); no event is passed on after it. NULL is fine. */
void rpc_free(struct rpc *r);

/* To be passed on, with its own ctx, for the connections that carry calls: all but admit, which lets nobody in.
 * Contexts of streams are ours, those of connections the owner's. */
const struct endpoint_events *rpc_events(struct rpc *r);

void rpc_step(struct rpc *r, uint64_t now_ms); /* now_ms is monotonic */
/* When to call it at the latest; UINT64_MAX: never. */
uint64_t rpc_deadline_ms(const struct rpc *r);

const uint8_t *rpc_call_peer(const struct rpc_call *c);    /* KEY_PUBLIC_SIZE bytes */
struct quic_conn *rpc_call_conn(const struct rpc_call *c); /* while it is told by `called` */
struct str rpc_call_body(const struct rpc_call *c); /* borrowed until it is answered or gone */
uint64_t rpc_call_id(const struct rpc_call *c);     /* as the caller chose it */
uint64_t rpc_call_deadline_ms(const struct rpc_call *c);
const struct rpc_trace *rpc_call_trace(const struct rpc_call *c);
const struct rpc_method *rpc_call_method(const struct rpc_call *c);
void *rpc_call_ctx(const struct rpc_call *c); /* NULL at first */
void rpc_call_set_ctx(struct rpc_call *c, void *ctx);

/*
 * Tell how it ended; the call is no more. bytes are copied, and so is *why.
 *
 * s        ST_OK: bytes are the answer. Otherwise why says more (it may be NULL), and bytes are not sent.
 */
void rpc_answer(struct rpc_call *c, enum status s, const struct fault *why, struct str bytes);

/*
 * Send bytes ahead of the answer; all or none, copied. len is 1 to RPC_PIECE_MAX.
 *
 * Returns  ST_LIMIT         there is no room now: `room` will be told.
 *          ST_UNAVAILABLE   nobody reads any more; `gone` will be told.
 */
MUST_USE enum status rpc_more(struct rpc_call *c, struct str bytes, struct fault *why);
/* So many of the bytes of `data` are done with: the caller may send more. */
void rpc_call_consume(struct rpc_call *c, size_t len);

/* --- asking --- */

struct rpc_request {
    uint16_t method;
    bool streams;        /* we go on with rpc_ask_write() until rpc_ask_end() */
    uint64_t id;         /* ours to choose */
    uint32_t timeout_ms; /* > 0 */
    uint32_t answer_max; /* bytes: a longer one is ST_TOO_BIG */
    struct rpc_trace trace;
    struct str body; /* copied */
};

/* How it ended. Borrowed for the event. */
struct rpc_answer {
    /*
     * ST_OK            bytes are the answer.
     * ST_TIMEOUT       its time is over. It may have been done.
     * ST_UNAVAILABLE   the connection was lost, or the peer gave it up. It may have been done.
     * ST_INTERNAL      what came is not an answer.
     * ST_TOO_BIG       the answer is longer than answer_max. It was done.
     * Others, and these too, may be what the peer answered.
     */
    enum status status;
    bool by_peer;              /* it is the peer's own answer */
    const struct fault *fault; /* NULL with ST_OK */
    uint32_t retry_after_ms;   /* with ST_LIMIT: 0 when unknown */
    struct str bytes;
};

struct rpc_ask_events {
    /* Once; the ask is no more when this has returned. */
    void (*answered)(void *ctx, struct rpc_ask *a, const struct rpc_answer *answer);
    /* Bytes ahead of the answer, cut anywhere. Each must be handed back by rpc_ask_consume(). NULL: none are
     * taken, an answer that has some is ST_INTERNAL. */
    void (*more)(void *ctx, struct rpc_ask *a, struct str bytes);
    void (*room)(void *ctx, struct rpc_ask *a); /* after rpc_ask_write() was refused; may be NULL */
};

/*
 * Ask. events are kept. *ret is set before any event of it is told.
 *
 * Returns  ST_LIMIT         no stream is to be had in this connection, or we have too many asks or bytes
 *                           waiting. Nothing was sent.
 *          ST_UNAVAILABLE   the connection is not open. Nothing was sent.
 */
MUST_USE enum status rpc_ask(struct rpc *r, struct quic_conn *conn, const struct rpc_request *q,
                             const struct rpc_ask_events *events, void *ctx, struct rpc_ask **ret,
                             struct fault *why);
/*
 * Send further bytes; all or none, copied. len is 1 to RPC_PIECE_MAX.
 *
 * Returns  ST_LIMIT         there is no room now: `room` will be told.
 *          ST_UNAVAILABLE   the peer reads no more; how it ended will be told.
 */
MUST_USE enum status rpc_ask_write(struct rpc_ask *a, struct str bytes, struct fault *why);
void rpc_ask_end(struct rpc_ask *a); /* that was all; again: fine */
void rpc_ask_consume(struct rpc_ask *a, size_t len);
/* We want no answer; nothing is told, and the ask is no more. It may have been done. */
void rpc_cancel(struct rpc_ask *a);

/* What became of what, since the start. */
#define RPC_COUNTERS(X)                                                   \
    X(called, "calls that came whole")                                    \
    X(answered, "calls that were answered")                               \
    X(cancelled, "calls given up by who asked, or with their connection") \
    X(late, "calls whose time was over before their answer was out")      \
    X(limited, "calls refused: too many, too often, or too many bytes")   \
    X(too_big, "calls refused: the body is too long")                     \
    X(unknown, "calls refused: no such method, or another version")       \
    X(malformed, "calls cut off: not as they should be")                  \
    X(stalled, "calls cut off: they did not come")                        \
    X(asked, "calls asked of others")                                     \
    X(ask_failed, "of these, without an answer of the peer")

struct rpc_counters {
#define X(name, text) uint64_t name;
    RPC_COUNTERS(X)
#undef X
};

struct rpc_view {
    struct rpc_counters count;
    uint32_t calls; /* that came, or are coming, and are not done with */
    uint32_t asks;
    uint32_t peers; /* that we keep count of */
    size_t queued;  /* bytes of requests and answers that wait for room in their streams */
};
struct rpc_view rpc_view(const struct rpc *r);
