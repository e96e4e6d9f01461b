/*
 * shim_link: the talk with the shim of one VM (wire/shim.h), on one loop.
 */
#pragma once

#include "os/loop.h"
#include "wire/shim.h"

struct shim_link;

struct shim_link_events {
    /* It answered, or told unasked that the monitor ended. Borrowed. */
    void (*told)(void *ctx, const struct shim_answer *a);
    /* The connection ended; the shim may live on. Nothing more comes. */
    void (*closed)(void *ctx);
    void *ctx;
};

/* dir      the VM's directory.
 * Returns  ST_UNAVAILABLE   no shim listens there. */
MUST_USE enum status shim_link_open(struct loop *l, int dir, const char *name,
                                    const struct shim_link_events *ev, struct shim_link **ret,
                                    struct fault *why);
void shim_link_close(struct shim_link *s); /* NULL is fine; may be called in a callback */
/* False: it cannot be asked now, and `closed` follows. */
bool shim_link_ask(struct shim_link *s, enum shim_type type, uint64_t value);
