/*
 * sim/blob: an image store behind port/blob.h. Making takes time and may fail; a crash leaves
 * nothing of what was under way, and all of what was done.
 */
#pragma once

#include "base/map.h"
#include "port/blob.h"
#include "sim/sim.h"

struct sim_blob {
    struct blob port;
    struct sim *sim;
    struct map digests; /* of images whose blobs are here */
    struct map jobs;    /* uid -> struct blob_job */
    uint64_t life;      /* of the daemon; 0: it is dead */
    uint64_t numbers;   /* of jobs */
};

void sim_blob_init(struct sim_blob *b, struct sim *s);
void sim_blob_done(struct sim_blob *b);

void sim_blob_daemon_up(struct sim_blob *b, uint64_t life);
void sim_blob_daemon_down(struct sim_blob *b);

bool sim_blob_has(const struct sim_blob *b, const char *digest);
