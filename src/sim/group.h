/*
 * group: profiles of many members: the real consensus core in each, on a simulated network, log and clock;
 * what it agrees on is a few lists (lists.h).
 *
 * First a phase in which things go wrong, then one in which nothing does: within bounds there must be a leader,
 * everybody must catch up, and a leader that dies must be replaced.
 */
#pragma once

#include "sim/group_faults.h"

struct group_options {
    enum group_profile profile;
    uint64_t fault_ms;     /* length of the first phase, of virtual time */
    uint64_t commands_min; /* it goes on until so many were asked */
};

/* false: no profile has that name. */
bool group_profile_find(const char *name, enum group_profile *ret);
const char *group_profile_name(enum group_profile p);

void group_run(struct sim *s, const struct group_options *o);
