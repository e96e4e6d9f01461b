/*
 * victim: a process that works until it is killed, and tells on a pipe what it asked for and what it
 * was promised.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"

/* --- in that process --- */

enum { VICTIM_OUT = 3 }; /* the descriptor on which it tells */

/* One message, whole or not at all as long as nobody kills us. Ends the process when it cannot. */
void victim_tell(uint32_t kind, const void *data, size_t len);
/* The log could not be opened, or failed: that is all. */
enum { VICTIM_REFUSED = UINT32_MAX };
_Noreturn void victim_refused(const struct fault *why);

/* --- in its parent --- */

struct victim {
    pid_t pid;
    int in;
    struct buf text; /* what was read and not taken */
    size_t taken;
};

/* argv[0] is the name of a program that lies beside this one. env: NAME=VALUE of what it gets beside
 * ours; argv and env end with NULL. It dies with us. */
void victim_start(struct victim *v, const char *const *argv, const char *const *env);

/* The next message; *ret is valid until the next call. False when there is none any more. */
bool victim_next(struct victim *v, uint32_t *ret_kind, struct str *ret);

/* SIGKILL, and wait for it to be gone; what it had told can still be read. Returns false if it was
 * gone before, and says why. */
bool victim_kill(struct victim *v, struct fault *why);
void victim_done(struct victim *v);

/* The path of what lies beside this program. */
void victim_beside(const char *name, char out[512]);
