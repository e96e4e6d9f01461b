/*
 * run: one call under way, for the files of ops/ alone.
 *
 * ops.c takes a call apart, checks it, waits until the state may be read and hands it to the code of
 * its noun. That ends it, now or later, by exactly one of the run_ functions that answer; the run is
 * gone then.
 */
#pragma once

#include <jansson.h>

#include "base/list.h"
#include "crypto/secret.h"
#include "ops/event_ops.h"
#include "ops/ops.h"
#include "ops/query.h"

enum { RUN_NAME_MAX = 128 };

struct ops {
    struct node *node;
    struct ops_config config;
    struct list runs; /* all calls under way */
    size_t run_count;
    struct node_watch watch;
    bool shutting_down; /* node_shutdown() was called and has not answered */
};

struct op_run;
typedef void run_after(struct op_run *r, const struct apply_result *result);
/* Was the refusal taken care of? Then the run goes on, or has ended. */
typedef bool run_again(struct op_run *r, const struct fault *why);

struct op_run {
    struct list item; /* of ops->runs */
    struct ops *ops;
    const struct op *op;
    char actor[OPS_ACTOR_MAX];

    op_done *done; /* or */
    op_opened *opened;
    void *ctx;
    const struct vmm_stream_events *events;
    uint64_t size;
    struct event_feed *feed; /* of ops_watch() */

    char name[RUN_NAME_MAX];   /* {name}, or "" */
    char project[64];          /* of {name} */
    ProtobufCMessage *request; /* of op->request, checked */
    json_t *patch;             /* the body as it came: what a merge patch needs */
    struct query query;
    bool local;  /* consistency=local */
    bool has_if; /* If-Match: an index */
    uint64_t if_index;
    char if_none_match[128];
    bool open_metrics;
    char last_event_id[64];
    char traceparent[56];
    bool has_key;           /* Idempotency-Key */
    struct command_key key; /* then: of the command; its request is of what the caller sent */
    uint64_t wait_ms;

    uint32_t asked;   /* number of the node that was asked first */
    bool handed;      /* another node carries it out */
    bool asks;        /* the node will tell us something */
    run_after *after; /* of the command that was proposed */
    run_again *again; /* asked first when that was refused; may be NULL */
    unsigned tries;
    bool awaits_shutdown;
    bool waits; /* for an operation's end */
    char wait_id[OBJECT_UID_MAX];
    uint64_t wait_until_ms;
    unsigned late; /* what it is answered with when that time is over */

    bool awaits_leader; /* for the end of a hand-over, until wait_until_ms */
    uint32_t heir;      /* whom leadership is handed to */
    bool any_heir;      /* whoever leads then is fine */

    struct secret secret; /* the text of a token that is made */

    struct op_answer answer;
};

/* --- what every noun needs --- */

const struct cluster *run_cluster(const struct op_run *r);
uint64_t run_now_ms(const struct op_run *r);
void run_uid(struct op_run *r, char out[OBJECT_UID_MAX]); /* a new random one */

/* The kind of what a row is about; false when it has none. */
bool run_kind(const struct op *op, enum object_kind *ret);
/* The object that {name} means, or a fault that names its kind. Also checks If-Match. */
MUST_USE enum status run_target(struct op_run *r, enum object_kind kind, struct object **ret,
                                struct fault *why);

/* End a call whose Idempotency-Key is known: as the first was answered, though what it named may be
 * gone or changed since, or refused if the first asked for something else. false: go on. */
bool run_answered(struct op_run *r);
/* Propose cmd, whose body is set; `after` is called once it was applied. cmd is borrowed. A refusal
 * is the answer, without `after`. In a dry run the answer is the object as it would be. */
void run_propose(struct op_run *r, Pb__Command *cmd, run_after *after);

/* --- answers: each ends the run --- */

void run_fail(struct op_run *r, const struct fault *why);
void run_told(struct op_run *r, struct op_answer *a);      /* by another node */
void run_empty(struct op_run *r);                          /* 204 */
void run_json(struct op_run *r, unsigned http, json_t *v); /* v is taken */
/* A text that was appended to r->answer.body. */
void run_body(struct op_run *r, unsigned http, const char *type);
/* An object as it is now, with its ETag; or 304 if that is what the caller has. */
void run_object(struct op_run *r, unsigned http, const struct object *o);
/* Say where an object that was made is found, and which version of it the answer shows. */
void run_set_place(struct op_run *r, const struct object *o);
/* An operation: 202 while it runs, after waiting as long as the caller prefers; 200 once it ended. */
void run_operation(struct op_run *r, const struct object *operation);
void run_opened(struct op_run *r, struct vmm_stream *s);

/* Usual ends of a write. */
run_after run_after_empty, run_after_object, run_after_operation;

/* Wait for the end of an operation, at most wait_ms; then answer it with 200, or with `late`. */
void run_wait(struct op_run *r, const struct object *operation, uint64_t wait_ms, unsigned late);

/* --- the nouns: one for each row --- */

/* Of the node's watch: ends the runs that wait for what has changed. */
void run_applied(struct node_watch *w, const struct apply_result *result);
void run_restored(struct node_watch *w);

typedef void run_handler(struct op_run *r);

run_handler vm_op_create, vm_op_update, vm_op_power, vm_op_stream, vm_op_stats;
run_handler image_op_create;
run_handler node_op_show, node_op_shutdown, node_op_token;
run_handler cluster_op_show, cluster_op_version;
run_handler member_op_list, member_op_transfer;
/* Has the hand-over that r waits for ended? Then member_transfer_end() answers r, as also when its time is over. */
bool member_transfer_ended(const struct op_run *r);
void member_transfer_end(struct op_run *r);
run_handler tenant_op_create, project_op_create;
run_handler token_op_create;
/* Make a token of this name, which ends so long from now; its secret is in r->secret, and shown in the answer. What else
 * there is of it is set. */
void token_propose(struct op_run *r, Pb__Token *token, const char *name, uint64_t ttl_ms);
run_handler event_op_watch;
run_handler operation_op_show, operation_op_wait, operation_op_cancel;
run_handler object_op_show, object_op_list, object_op_delete;
run_handler openapi_op_show, health_op_live, health_op_ready, health_op_metrics;
