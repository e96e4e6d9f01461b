/*
 * peer: who is at the other end of a unix socket.
 */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include "base/fault.h"

enum { PEER_ACTOR_MAX = 64, PEER_NAME_MAX = 32, PEER_NAMES_MAX = 16 };

/* The names of the users who came last, so that the file of users is not read for each connection.
 * Starts as zeros. */
struct peer_names {
    const char *file; /* NULL: /etc/passwd */
    struct stat read; /* of the file that the names are from */
    struct {
        uid_t uid;
        char name[PEER_NAME_MAX + 1]; /* or "" */
    } user[PEER_NAMES_MAX];
    size_t count, oldest;
    uint64_t lookups; /* how often the file was read */
};

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
 *
 * names    what is known already, and learned
 */
void peer_of(int fd, uid_t owner, gid_t group, struct peer_names *names, struct peer *out);
