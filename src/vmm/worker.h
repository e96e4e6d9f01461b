/*
 * worker: one thread for what blocks: disks, digests, removal of trees. Jobs are done one after the
 * other, and told on the loop's thread.
 */
#pragma once

#include "base/list.h"
#include "os/mailbox.h"

struct worker;

/* A piece of work; a part of the caller's own struct, which must live until `done`. */
struct job {
    struct list item;
    void (*run)(struct job *j);  /* on the worker's thread */
    void (*done)(struct job *j); /* on the loop's; j is the caller's again */
    void (*drop)(struct job *j); /* instead of `done`, when the worker is closed before that */
};

MUST_USE enum status worker_open(struct loop *l, struct worker **ret, struct fault *why);
/* Finishes the job under way; those that still wait are not run. All are dropped, in
 * order. NULL is fine. */
void worker_close(struct worker *w);
void worker_add(struct worker *w, struct job *j);
