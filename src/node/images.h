/*
 * images: has the images of this node made, given up and removed by the blob port, and reports what
 * becomes of them.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "core/cluster.h"
#include "port/blob.h"

struct node;

enum image_job {
    IMAGE_JOB_NONE,
    IMAGE_JOB_MAKING,
    IMAGE_JOB_CANCELLING,
    IMAGE_JOB_REMOVING,
    IMAGE_JOB_GONE, /* its files are; the state has still to know */
};

struct node_image {
    struct node *node;
    char uid[OBJECT_UID_MAX];
    struct object *object; /* as last applied; NULL: not in the state */
    enum image_job job;
    Pb__Image *outcome;           /* ours; what the job came to, until the state has taken it */
    char step[BLOB_STEP_MAX + 1]; /* of the job, "" none */
    uint8_t percent;
    bool progressed; /* step or percent are news */
    struct list dirty;
    struct heap_item retry; /* report again later */
    bool reporting, reporting_progress;
    uint32_t refusals;
};

struct images {
    struct map all; /* uid -> struct node_image */
    struct list dirty;
    struct heap retries;
    struct blob_events events;
    bool begun;
};

void images_init(struct node *n);
void images_done(struct node *n);

void images_begin(struct node *n); /* this node has its number: once, go on with what was left */
void images_applied(struct node *n, const struct apply_result *r);
void images_restored(struct node *n); /* the whole state is another */
void images_step(struct node *n);
uint64_t images_deadline_ms(const struct node *n);
