#include "support/answer.h"

#include <stdio.h>

void answer_told(void *ctx, enum status s, const struct fault *why, const struct apply_result *r)
{
    struct answer *a = ctx;
    (void)why;
    a->count++;
    a->s = s;
    a->applied = r ? r->status : ST_COUNT;
    a->index = r ? r->index : 0;
}

void bench_uid(char out[OBJECT_UID_MAX], unsigned number)
{
    (void)snprintf(out, OBJECT_UID_MAX, "%032x", number);
}
