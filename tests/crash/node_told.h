/*
 * node_told: what crash/node_victim.c tells. A tenant's title is a number, of which there is no
 * second one; number n is of tenant n % NODE_TENANTS.
 */
#pragma once

#include "base/defs.h"

enum { NODE_TENANTS = 16 };

enum node_told {
    NODE_SERVES,  /* struct node_serves: what was found when it began to serve */
    NODE_ASKED,   /* uint64_t: this number will be asked for */
    NODE_DONE,    /* uint64_t: it was answered that it is so */
    NODE_APPLIED, /* struct node_applied, any number of them: also from before it serves */
};

struct node_applied {
    uint64_t index, hash; /* of the whole state after it */
};

struct node_serves {
    uint64_t title[NODE_TENANTS]; /* 0: there is no such tenant */
    struct node_applied last;
    uint64_t snapshot_index;
};
