/*
 * child: run a program to its end, without a shell.
 *
 * Blocks the calling thread; meant for the worker pool and for tools, not for the event loop. Thread-safe.
 * The program gets its own process group, no descriptors but 0, 1 and 2, default signals, and dies
 * with the calling thread.
 */
#pragma once

#include "base/buf.h"

enum { CHILD_STDERR_TAIL = 2048, CHILD_PASS_MAX = 4 };

/* In the optional descriptors 0 means: not given. All are borrowed. */
struct child_run {
    const char *const *argv; /* ends with NULL; argv[0] is looked for in PATH and sbin */
    const char *const
        *env;        /* ends with NULL; NAME=value, added to PATH, HOME, LC_ALL=C. May be NULL */
    const char *cwd; /* NULL: ours */
    uint64_t
        timeout_ms; /* then it is ended: SIGTERM to the group, SIGKILL 2 s later; 0 is no time at all */
    int cancel_fd;   /* readable: end it likewise */
    int stdin_fd;    /* else /dev/null */
    int stdout_fd;   /* else into `out`, else /dev/null */
    struct buf *out; /* stdout; when it is full the program is ended and ST_TOO_BIG returned */
    int pass_fd
        [CHILD_PASS_MAX]; /* also given to the program, as 3, 4, ... ; the first 0 ends the list */
    void (*progress)(void *ctx,
                     uint64_t elapsed_ms); /* called at least once a second; may be NULL */
    void *progress_ctx;
};

struct child_result {
    int exit_code; /* -1 when a signal ended it */
    int signal;    /* or 0 */
    char tail[CHILD_STDERR_TAIL +
              1]; /* the end of its stderr, whole lines if possible, control characters as '?' */
};

/*
 * ret      filled whenever the program could be started; may be NULL.
 *
 * Returns  ST_OK            it exited with 0.
 *          ST_NOT_FOUND     there is no such program; the hint names argv[0].
 *          ST_IO            it exited otherwise, or could not be started: "mkfs.ext4: exit 1: <last line of stderr>".
 *          ST_TIMEOUT, ST_CANCELLED, ST_TOO_BIG   it was ended, for that reason.
 */
MUST_USE enum status child_run(const struct child_run *run, struct child_result *ret,
                               struct fault *why);
