/*
 * victim: a process that works until it is killed, and tells on a pipe (crash/tell.h) what it asks for
 * and what it was promised.
 */
#pragma once

#include <sys/types.h>

#include "base/buf.h"

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
