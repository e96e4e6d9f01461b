/*
 * frame: what a call looks like on its stream. Pure: bytes in, bytes out.
 *
 *     caller   head (45 bytes), body; with FRAME_STREAMS then frames DATA; fin
 *     called   frames MORE, then one END; fin
 *
 *     head     u8 version, u8 flags, u16 method, u32 body length, u64 id, u32 timeout in ms, trace (25 bytes)
 *     frame    u8 kind, u8 status, u32 length, bytes
 *     fault    u32 retry after ms, then text, hint and field, each a u32 length and bytes
 *
 * Numbers are little-endian. There is one encoding of each thing, and a reader takes no other. A head keeps
 * its first byte, and the answers their form, in every version: so whoever speaks another one can be told.
 */
#pragma once

#include "base/buf.h"

enum {
    FRAME_VERSION = 1,
    FRAME_HEAD = 45,         /* bytes of a request's head */
    FRAME_FRAME = 6,         /* bytes of a frame's head */
    FRAME_PIECE_MAX = 65536, /* bytes in a frame DATA or MORE */
    FRAME_FAULT_MAX = 16 + FAULT_TEXT_MAX + FAULT_HINT_MAX + FAULT_FIELD_MAX,
};

enum { FRAME_STREAMS = 1 /* the caller goes on with frames DATA */, FRAME_FLAGS = 1 };

/* W3C Trace Context: who asked whom on behalf of what. All zero: nobody traces it. */
struct rpc_trace {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t flags;
};

struct frame_head {
    uint8_t flags;
    uint16_t method;
    uint32_t body_len;
    uint64_t id;
    uint32_t timeout_ms; /* > 0; from when the request is read */
    struct rpc_trace trace;
};

void frame_put_head(struct buf *out, const struct frame_head *h);
/* bytes: FRAME_HEAD of them. ST_INVALID, or ST_UNSUPPORTED for another version. */
MUST_USE enum status frame_get_head(struct str bytes, struct frame_head *ret, struct fault *why);

enum frame_kind {
    FRAME_MORE = 1, /* bytes of a streaming answer */
    FRAME_END = 2,  /* the last one: an answer, or, when its status is not ST_OK, a fault */
    FRAME_DATA = 3, /* further bytes of the caller */
};

struct frame {
    enum frame_kind kind;
    enum status status; /* ST_OK but for END */
    uint32_t len; /* MORE and DATA: 1 to FRAME_PIECE_MAX; END with a fault: up to FRAME_FAULT_MAX */
};

void frame_put(struct buf *out, const struct frame *f);
/* bytes: FRAME_FRAME of them. A status that we do not know becomes ST_INTERNAL. ST_INVALID. */
MUST_USE enum status frame_get(struct str bytes, struct frame *ret, struct fault *why);

/* The bytes of an END whose status is not ST_OK. */
struct frame_fault {
    uint32_t retry_after_ms; /* 0: nothing is known of it */
    struct fault fault;      /* its status stands in the frame */
};

void frame_put_fault(struct buf *out, const struct frame_fault *f);
/* s is the status of the frame. ST_INVALID. */
MUST_USE enum status frame_get_fault(struct str bytes, enum status s, struct frame_fault *ret,
                                     struct fault *why);
