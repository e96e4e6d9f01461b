/*
 * blob: the image store of this machine. Blobs are files known by the SHA-256 of their content.
 *
 * Long work runs elsewhere and comes back as events on the node's thread.
 */
#pragma once

#include "base/str.h"
#include "pb/image.pb-c.h"

enum { BLOB_STEP_MAX = 120 };

enum blob_event_type {
    BLOB_PROGRESS, /* step, percent (or BLOB_PERCENT_UNKNOWN) */
    BLOB_READY,    /* image: the output fields kind, digest, kernel, initrd, disk, ... are set */
    BLOB_FAILED,   /* why; nothing half-made is left */
    BLOB_REMOVED,
};

enum { BLOB_PERCENT_UNKNOWN = 255 };

struct blob_event {
    enum blob_event_type type;
    const char *uid; /* of the image */
    const char *step;
    uint8_t percent;
    const Pb__Image *image;
    struct fault why;
};

struct blob_events {
    void (*event)(void *ctx, const struct blob_event *e);
    void *ctx;
};

struct blob {
    const struct blob_events *events; /* set by the node before the first request */

    /* Build or import, by what the source says. Asking again for the same uid while it is under way
     * changes nothing. Restarts from nothing after a crash. */
    void (*make)(struct blob *b, const Pb__Image *image);
    void (*cancel)(struct blob *b, const char *uid); /* BLOB_FAILED with ST_CANCELLED follows */
    /* Remove blobs of the image that are in no image of `keep`, and that no job has made whose
     * BLOB_READY is still to come. */
    void (*remove)(struct blob *b, const Pb__Image *image, const Pb__Image *const *keep,
                   size_t keep_count);
    /* Remove all blobs but those of `keep`: what an earlier life made and could not report any more.
     * Asked once, before anything is made. */
    void (*sweep)(struct blob *b, const Pb__Image *const *keep, size_t keep_count);
};
