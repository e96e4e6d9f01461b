/*
 * ops_bench: the operations of a node on the ports of support/fake.h, called as the transport calls
 * them.
 */
#pragma once

#include <jansson.h>

#include "ops/ops.h"
#include "support/fake.h"

/* A node and its operations, and what the last call was answered. */
struct bench {
    struct fake f;
    struct ops *ops;
    unsigned answers; /* how often anything was answered */
    struct op_answer last;
    struct buf body;
    json_t *json;
    struct op_call call; /* what the next call has beyond its arguments */
};

void bench_init(struct bench *b);    /* root calls */
void bench_init_vm(struct bench *b); /* with an image, and web-1 that runs */
void bench_done(struct bench *b);

/* Takes an answer in; ctx: the bench. */
void bench_answered(void *ctx, struct op_answer *a);

/* Send it; it may be answered later. */
void bench_send(struct bench *b, const char *method, const char *address, const char *body);
/* Send it, let everything work, and expect that status. */
void bench_call(struct bench *b, const char *method, const char *address, const char *body,
                unsigned http);
/* The text or number at "spec.vcpus" of the last answer; numbers until the next call. */
const char *bench_at(struct bench *b, const char *path);

void bench_image(struct bench *b); /* "debian" */
void bench_vm(struct bench *b, const char *name);
