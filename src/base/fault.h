/*
 * fault: what went wrong, for people. A plain value on the caller's stack.
 *
 * The place that knows *what* happened sets it; each caller that knows *why it was asked* wraps it;
 * the outermost logs or shows it, once. `why` may be NULL everywhere: then only the status is kept.
 * Its texts are one line of UTF-8 each, whatever of users' and peers' bytes went into them.
 *
 *     error: create vm web-1: 2 vcpus wanted, 1 left
 *     hint: blixard node show
 */
#pragma once

#include "base/status.h"

enum { FAULT_TEXT_MAX = 512, FAULT_HINT_MAX = 200, FAULT_FIELD_MAX = 96 };

struct fault {
    enum status status;
    char text[FAULT_TEXT_MAX];   /* one sentence, no full stop, cut at the end if too long */
    char hint[FAULT_HINT_MAX];   /* what to do, or "" */
    char field[FAULT_FIELD_MAX]; /* which field of the input, such as "spec.vcpus", or "" */
};

/* Set status and text, clear hint and field. Return s, so that it reads `return fault_set(...)`. */
enum status fault_set(struct fault *why, enum status s, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As fault_set, with the text of `err` (an errno) after it: "open x: No such file or directory". */
enum status fault_errno(struct fault *why, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Put "text: " before what is there. s is the status to return, and is kept in the fault. */
enum status fault_wrap(struct fault *why, enum status s, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* What the user could do about it. */
void fault_hint(struct fault *why, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Which field of the input was wrong. */
void fault_field(struct fault *why, const char *fmt, ...) PRINTF_LIKE(2, 3);
