/*
 * peer: who is at the other end of a unix socket.
 */
#pragma once

#include <sys/types.h>

#include "base/fault.h"

enum { PEER_ACTOR_MAX = 64 };

struct peer {
    char actor[PEER_ACTOR_MAX]; /* "uid:0(root)", "uid:4711"; "" when it is not known */
    bool admin;
};

/*
 * owner    this user is an administrator, and so is root.
 * group    so is a member of this group, with its first or a further one; (gid_t)-1: no group is.
 *
 * What the kernel noted when the peer connected counts, not what the process is now. The user's
 * name is taken from /etc/passwd alone: looking elsewhere could take long.
 */
void peer_of(int fd, uid_t owner, gid_t group, struct peer *out);
