/*
 * roles: which nodes vote.
 *
 * Of one node or two, one votes; of three or four, three; of more, five: an even number of voters stands no more
 * failures than the odd one below it, and each more makes every commit slower. The others get the log, and take the
 * place of a voter that is silent for long or removed.
 *
 * Pure. It is asked again after each step that was taken, until there is none.
 */
#pragma once

#include "raft/members.h"

enum { ROLES_SILENT_MS = 30000 }; /* so long may a voter be silent before another one votes */

struct roles_node {
    uint32_t number;
    bool active; /* heard from lately */
    bool silent; /* for ROLES_SILENT_MS */
};

/*
 * The next step from the members in force to what they should be.
 *
 * node   all nodes of the cluster, rising by number; `self`, who leads, is active.
 * ret    differs from `now`: members come, go, vote, or vote no more. Who is to vote and was not heard from is
 *        never among them. Witnesses stay as they are.
 *
 * Returns whether there is one.
 */
bool roles_next(const struct raft_members *now, const struct roles_node *node, size_t count,
                uint32_t self, struct raft_members *ret);
