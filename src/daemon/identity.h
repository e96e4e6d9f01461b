/*
 * identity: which user the daemon is, and gives itself up to.
 */
#pragma once

#include <sys/types.h>

#include "base/config.h"

struct identity {
    bool root; /* started as root: there will be a privileged helper */
    uid_t uid; /* as which the daemon runs */
    gid_t gid;
    gid_t api_group; /* of the API's socket; (gid_t)-1: nobody but root and the daemon's own user */
    char note[200];  /* what is not as configured, for the log; or "" */
};

/* Started by root: the configured user, or, where there is no such user, the first id of the range
 * that is kept for VMs. Otherwise whoever started it. */
void identity_find(const struct config *c, struct identity *ret);

/* Become it, for good: groups, ids, and no way back. Not root: nothing. */
MUST_USE enum status identity_assume(const struct identity *i, struct fault *why);
