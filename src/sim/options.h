/*
 * options: the command line of blixard-sim, and the one that runs a seed again.
 */
#pragma once

#include "base/buf.h"
#include "sim/group.h"
#include "sim/nodes.h"
#include "sim/one_node.h"

struct options {
    uint64_t first, count; /* seeds */
    uint64_t steps;        /* commands that each seed asks, at least */
    bool help, trace, hashes, shrink;
    bool group; /* of cores; */
    bool nodes; /* or some real nodes; neither: one of them */
    struct one_node_options one;
    struct nodes_options many_nodes;
    struct group_options many;
    const char *timeline; /* file to write, borrowed from argv; NULL: none */
};

/* ST_INVALID: an unknown flag, a bad value, flags that do not go together; *ret may be half filled then. */
MUST_USE enum status options_parse(int argc, char **argv, struct options *ret, struct fault *why);
void options_usage(struct buf *out);
/* The command that runs this seed again and prints its trace. `many` stands in for o->many. */
void options_replay(const struct options *o, uint64_t seed, const struct group_options *many,
                    struct buf *out);
const char *options_profile(const struct options *o);
