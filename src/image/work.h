/*
 * work: what long work on images needs from whoever asked for it. It runs on a thread of the pool.
 */
#pragma once

#include "os/child.h"

struct work {
    int cancel_fd; /* readable: stop, return ST_CANCELLED; 0: never */
    /* How far it is; total 0: not known. Called about once a second at most; may be NULL. */
    void (*progress)(void *ctx, const char *step, uint64_t done, uint64_t total);
    void *ctx;
};

void work_tell(const struct work *w, const char *step, uint64_t done, uint64_t total);
/* ST_CANCELLED once it is to stop. */
MUST_USE enum status work_check(const struct work *w, struct fault *why);
/* Run a program as part of the work: with its cancel, and told as `step` every second. */
MUST_USE enum status work_run(const struct work *w, const char *step, const char *const *argv,
                              uint64_t timeout_ms, struct buf *out, struct fault *why);
