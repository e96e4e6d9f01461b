/*
 * one_node: the profile of one machine: its daemon is the real node with the real journal, on a
 * simulated disk, VMM, image store and clock; clients ask for random things.
 *
 * First a phase in which things go wrong, then one in which nothing does any more: within bounds,
 * everything must become what is wanted.
 */
#pragma once

#include "sim/sim.h"

struct one_node_options {
    uint64_t fault_ms;     /* length of the first phase, of virtual time */
    uint64_t commands_min; /* it goes on until so many were asked */
    uint64_t calm_ms;      /* bound of the second phase */
};
void one_node_defaults(struct one_node_options *o);

/* Run the seed of s; s->failed and s->why say how it went. */
void one_node_run(struct sim *s, const struct one_node_options *o);
