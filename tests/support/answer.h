/*
 * answer: what a node said of a command or a read.
 */
#pragma once

#include "node/node.h"

/* What became of a command. */
struct answer {
    unsigned count;
    enum status s;
    enum status applied; /* of the command; ST_COUNT: it was not */
    uint64_t index;
};

void answer_told(void *ctx, enum status s, const struct fault *why, const struct apply_result *r);

/* A uid of that number. */
void bench_uid(char out[OBJECT_UID_MAX], unsigned number);
