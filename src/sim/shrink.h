/*
 * shrink: look for a smaller run of a group that fails in the same way.
 *
 * What may be left out, in this order: faults, one after the other; members and clients; the end of the first phase.
 * Then all of it again, until nothing more can go or the runs are used up. Leaving something out makes the run
 * another one from there on, so what remains need not be what the failure needs; but it does fail.
 */
#pragma once

#include "sim/group.h"

struct shrink_outcome {
    bool failed;
    char why[SIM_WHY_MAX];
    struct group_report report;
};

/* Run it; how it ended. */
typedef void shrink_run(void *ctx, const struct group_options *o, struct shrink_outcome *ret);

struct shrunk {
    struct group_options options;
    struct shrink_outcome outcome; /* theirs: failed */
    unsigned runs;                 /* that it took, <= runs_max */
};

/* false: `from` does not fail; ret is unchanged. */
bool shrink(const struct group_options *from, unsigned runs_max, shrink_run *run, void *ctx,
            struct shrunk *ret);

/* Is it the same kind of failure? That is the name of an invariant if the text begins with one ("LogMatching: ..."),
 * otherwise all its words but those with digits. */
bool shrink_alike(const char *a, const char *b);
