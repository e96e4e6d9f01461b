/*
 * apart: call a function in a process of its own, so that an abort there is an answer here.
 *
 * What it finds out it leaves in memory from apart_new(); all else that it changes is lost. It dies with its caller.
 */
#pragma once

#include "base/str.h"

void *apart_new(size_t size); /* zeroed, shared with the processes that are begun later */
void apart_free(void *memory, size_t size);

/*
 * Call fn(ctx) and wait for its end. What it prints to stderr is held back.
 *
 * say_errors  if it dies, all that it printed there is then printed here.
 *
 * Returns     ST_OK      it came back.
 *             ST_FAILED  it died; why tells the first line that it printed to stderr, or by which signal.
 *             another    no process or file could be had.
 */
MUST_USE enum status apart_call(void (*fn)(void *ctx), void *ctx, bool say_errors,
                                struct fault *why);
