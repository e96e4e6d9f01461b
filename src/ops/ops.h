/*
 * ops: carry out the operations of the table, whoever asked and by whatever transport.
 *
 * Each call goes the same way: who asks, may they, is it well-formed, which object is meant, propose
 * or read, answer. A call is answered once, on the node's thread, perhaps before ops_call()
 * returns. Pure of system calls: what it knows of the world it has from the node's ports.
 */
#pragma once

#include "base/buf.h"
#include "node/node.h"
#include "ops/table.h"

enum {
    OPS_BODY_MAX = 256 << 10, /* of a request */
    OPS_ANSWER_MAX = 8 << 20, /* of an answer; lists end a page earlier */
    OPS_KEY_MAX = 128,        /* Idempotency-Key */
    OPS_ACTOR_MAX = 121,      /* with terminator */
    OPS_WAIT_MAX_MS = 600000, /* Prefer: wait, op.wait */
    OPS_RUNNING_MAX = 2048,   /* calls not yet answered */
};

struct ops;
struct ops_remote;

struct ops_config {
    const char *version;    /* of the program; kept */
    uint32_t feature_level; /* the highest that it understands */
    uint64_t timeout_ms;    /* for consensus to answer a read or a write */
    /* Append all metrics as text; NULL: there are none. */
    void (*metrics)(void *ctx, bool open_metrics, struct buf *out);
    void *metrics_ctx;
    /* How calls that are another node's go there (ops/remote.h); kept. NULL: they are refused. */
    struct ops_remote *remote;
};

/* n was started. */
struct ops *ops_new(struct node *n, const struct ops_config *c);
/* Calls not yet answered are told ST_UNAVAILABLE. The node is freed next, without a step between. */
void ops_free(struct ops *o);

/* Time has passed, or another node leads: who waits for that, or for longer than they may, is answered. */
void ops_step(struct ops *o);
uint64_t ops_deadline_ms(const struct ops *o); /* on the node's clock; UINT64_MAX: never */

struct node *ops_node(struct ops *o);

/* Who asks, as the transport has made sure of. */
struct op_caller {
    const char *actor; /* "uid:0(root)", "token:ci"; at most OPS_ACTOR_MAX - 1 bytes, "" for nobody
                          we know */
    Pb__Role role;     /* root and members of the socket's group are admins */
};

/* May they? The one place that decides, by the role that the operation's row names.
 * ST_UNAUTHENTICATED when it is not known who asks, ST_DENIED when they may not. */
MUST_USE enum status ops_may(const struct op_caller *who, const struct op *op, struct fault *why);

/* Who comes with a token. */
struct op_bearer {
    char actor[OPS_ACTOR_MAX]; /* "token:ci" */
    Pb__Role role;
    char uid[OBJECT_UID_MAX]; /* of the token */
    uint64_t expires_ns;
};

/*
 * Who has this token? Its text is looked at, and never kept or told.
 *
 * Takes as long for one that is not known as for one that is.
 *
 * Returns  ST_OK
 *          ST_UNAUTHENTICATED   it is no token, is mistyped, was revoked or never made, or its time is
 *                               over.
 */
MUST_USE enum status ops_authenticate(const struct ops *o, struct str token, struct op_bearer *ret,
                                      struct fault *why);

#define OPS_OPEN_METRICS "application/openmetrics-text"

/* What a caller sent. All of it is borrowed until the call returns; missing texts are empty. */
struct op_call {
    const struct op *op;
    struct op_caller who;
    struct str name;  /* what stands for {name}, percent-encoded */
    struct str query; /* what stands behind '?', percent-encoded */
    struct str body;
    struct str idempotency_key, if_match, if_none_match, traceparent;
    struct str last_event_id;
    bool open_metrics; /* GET /metrics: rather OPS_OPEN_METRICS than text/plain */
    uint64_t wait_ms;  /* Prefer: wait; 0: a slow operation is answered at once */
    uint32_t asked;    /* number of the node that handed it to this one; 0: nobody did */
};

struct op_answer {
    enum status status;
    unsigned http;     /* 200, 201, 202, 204, 304; of the status when that is not ST_OK */
    const char *type;  /* of the body; NULL: there is none */
    struct buf body;   /* JSON or text; of a failed call: its RFC 9457 problem */
    struct fault why;  /* when it failed */
    uint64_t index;    /* of the state that it speaks of; 0 unknown */
    char etag[32];     /* with its quotes, or "" */
    char location[80]; /* of what was made, or "" */
    char dry_run[200]; /* what a dry run could not check, or "" */
    char trace_id[33]; /* of the caller's traceparent, or "" */
};

/* a is lent; the body may be taken with buf_take(). What is told so must not call back into ops. */
typedef void op_done(void *ctx, struct op_answer *a);

/* For every row that is not a stream of a VM, nor the event stream (ops/event_ops.h). */
void ops_call(struct ops *o, const struct op_call *c, op_done *done, void *ctx);

/* --- streams of a VM: OP_SOCKET, vm.logs, vm.push, vm.pull --- */

/* s is the caller's, to use with the node's vmm and to close, unless its `closed` came. NULL: it was
 * refused, as `a` says. */
typedef void op_opened(void *ctx, struct vmm_stream *s, struct op_answer *a);

/* events   kept until the stream is closed.
 * size     of the content that will be written, for vm.push. */
void ops_open(struct ops *o, const struct op_call *c, const struct vmm_stream_events *events,
              uint64_t size, op_opened *opened, void *ctx);

/* The caller has gone: neither done nor opened is called any more for this ctx. What was proposed
 * goes on. */
void ops_forget(struct ops *o, void *ctx);
