/*
 * store: the images of this machine as port/blob.h.
 *
 *     <dir>/blobs/<hex>      finished parts, read-only, named by the SHA-256 of their content
 *     <dir>/staging/<uid>/       what a job is making; removed when the job or the daemon ends
 *
 * Parts get into VMs as hard links, so that removing an image takes nothing from a VM that has it.
 */
#pragma once

#include "os/loop.h"
#include "port/blob.h"

enum { STORE_JOBS_MAX = 2, STORE_WAITING_MAX = 256, STORE_PATH_MAX = 512 };

struct store_config {
    const char *dir;     /* made if it is missing */
    const char *program; /* run for a job: this very program */
    const char *cache_dir;
    const char *guest;   /* path of blixard-guest */
    const char *busybox; /* path of a static busybox, or "" */
};

struct store;

/* Texts are copied. Removes what an earlier daemon left half-made. */
MUST_USE enum status store_open(struct loop *l, const struct store_config *c, struct store **ret,
                                struct fault *why);
void store_close(struct store *s); /* ends its jobs; NULL is fine */
struct blob *store_blob(struct store *s);

/* Where a part is; it need not be there. */
void store_path(const char *dir, const Pb__Blob *part, char out[STORE_PATH_MAX]);
