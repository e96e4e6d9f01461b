/*
 * group: profiles of many members: the real consensus core in each, on a simulated network, log and clock;
 * what it agrees on is a few lists (lists.h).
 *
 * First a phase in which things go wrong, then one in which nothing does: within bounds there must be a leader,
 * everybody must catch up, and a leader that dies must be replaced.
 */
#pragma once

#include "sim/group_faults.h"
#include "sim/timeline.h"

/* The first phase is at most so many times as long as it was to be. */
enum { GROUP_FAULT_TIMES = 5 };

struct group_options {
    enum group_profile profile;
    uint64_t fault_ms;     /* length of the first phase, of virtual time */
    uint64_t commands_min; /* it goes on until so many were asked, see GROUP_FAULT_TIMES */

    struct timeline *timeline; /* borrowed, is told of the run; NULL: nobody watches */

    /* Instead of what the seed chooses: */
    uint64_t without; /* faults that are off */
    uint32_t members; /* at the beginning, < NET_MEMBERS_MAX; 0: as the seed says */
    uint32_t clients; /* <= LISTS_CLIENTS_MAX; 0: as the seed says */
};

/* What the run was. */
struct group_report {
    uint64_t on; /* faults that were */
    uint32_t members, clients;
    uint64_t fault_ms; /* the first phase took so long; 0: an abort left it unknown */
};

/* false: no profile has that name. */
bool group_profile_find(const char *name, enum group_profile *ret);
const char *group_profile_name(enum group_profile p);

void group_run(struct sim *s, const struct group_options *o, struct group_report *ret);
