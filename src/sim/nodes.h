/*
 * nodes: the profile of a few machines that are one cluster. On each runs the real node, with its state, on the real
 * journal and a disk, VMM and image store of its own; between them is a network where anything goes wrong.
 *
 * After every event: the same state after the same entry on all of them, whatever way they came to it; one leader a
 * term; a read sees what was answered before it was asked. First things go wrong; then nothing does any more, and
 * within bounds everybody must have caught up, and everything be as it is wanted. At the end what clients saw must
 * be what one copy of the data could have shown.
 */
#pragma once

#include "sim/sim.h"

struct nodes_options {
    uint64_t fault_ms;     /* length of the first phase, of virtual time */
    uint64_t commands_min; /* it goes on until so many were asked */
    uint64_t calm_ms;      /* bound of the second phase */
};
void nodes_defaults(struct nodes_options *o);

/* Run the seed of s; s->failed and s->why say how it went. */
void nodes_run(struct sim *s, const struct nodes_options *o);
