/*
 * state: what struct cluster is, for the files of core/ alone.
 */
#pragma once

#include "core/cluster.h"
#include "core/done.h"
#include "core/index.h"
#include "core/limits.h"
#include "core/table.h"

struct plan;

struct cluster {
    struct limits limits;
    uint64_t index;
    uint64_t time_ns;
    uint32_t node_number_last;    /* highest ever given */
    uint64_t event_dropped_index; /* events up to (index, seq) are gone; 0: none is */
    uint32_t event_dropped_seq;
    struct table table[OBJECT_KIND_COUNT];
    struct index derived;
    struct done_table done;
    struct plan *next; /* of what may be applied next */
};

/* Put an object that index_admits(), in place of one of its key if there is one; o's reference is
 * taken. Returns what it replaced, whose reference is the caller's, or NULL. */
struct object *cluster_put(struct cluster *c, struct object *o);
/* Take out what is there; its reference is the caller's. */
struct object *cluster_take(struct cluster *c, struct object *o);

/* Drop the oldest of what is kept to look back, until the limits hold. */
void cluster_trim(struct cluster *c);

uint64_t cluster_bytes(const struct cluster *c); /* of all objects, packed */
