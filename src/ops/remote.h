/*
 * remote: calls that another node carries out.
 *
 * A node that does not lead, or is not the one that a VM is on, hands the whole call on, together with who asks: it has
 * made sure of that, and nodes believe each other. The other one answers as if it had been asked itself, and hands
 * nothing on again. What is sent is a HandedCall and a HandedAnswer (proto/call.proto).
 */
#pragma once

#include "ops/ops.h"

enum {
    REMOTE_CALL_MAX = OPS_BODY_MAX + (32 << 10),    /* bytes */
    REMOTE_ANSWER_MAX = OPS_ANSWER_MAX + (4 << 10), /* bytes */
};

/* How calls reach other nodes. */
struct ops_remote {
    /* Answered once, perhaps before this returns; c is borrowed until then. `c->asked` is set. */
    void (*call)(struct ops_remote *r, uint32_t number, const struct op_call *c, op_done *done,
                 void *ctx);
    /* done is not called any more for this ctx. */
    void (*forget)(struct ops_remote *r, void *ctx);
};

/* Append it; `out` has room for REMOTE_CALL_MAX. ST_TOO_BIG. */
MUST_USE enum status remote_call_encode(const struct op_call *c, struct buf *out,
                                        struct fault *why);

/* A call that was handed to this node. */
struct remote_call {
    struct op_call call; /* its texts are views into msg */
    ProtobufCMessage *msg;
};
/* ST_INVALID, ST_TOO_BIG: no node of ours wrote it. ST_UNSUPPORTED: an operation that is not known here. */
MUST_USE enum status remote_call_decode(struct str bytes, struct remote_call *ret,
                                        struct fault *why);
void remote_call_done(struct remote_call *c);

/* As above; `out` has room for REMOTE_ANSWER_MAX. */
MUST_USE enum status remote_answer_encode(const struct op_answer *a, struct buf *out,
                                          struct fault *why);
/* ret is to be given to remote_answer_done(); its `type` lives as long. */
struct remote_answer {
    struct op_answer answer;
    ProtobufCMessage *msg;
};
MUST_USE enum status remote_answer_decode(struct str bytes, struct remote_answer *ret,
                                          struct fault *why);
void remote_answer_done(struct remote_answer *a);

/* The answer of a call that did not get one, as this node gives it. `a` is to be given to remote_answer_done(). */
void remote_answer_fail(const struct fault *why, struct remote_answer *ret);
