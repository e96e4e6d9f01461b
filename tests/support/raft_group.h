/*
 * raft_group: three members (support/raft_member.h), each a process, with TCP over loopback between each two.
 */
#pragma once

#include "support/raft_member.h"

struct raft_group {
    int control_fd[MEMBER_COUNT + 1];
    int pid[MEMBER_COUNT + 1];
    uint32_t leader;
    unsigned repeats; /* runs that were begun again, since the leader had changed in between */
};

/* After herd_begin(); dir exists. Each member gets a directory in it. */
void raft_group_begin(struct raft_group *g, const char *dir);

/* How many proposals a second are committed, and applied at the leader, while so many are outstanding. All
 * members have applied them all when it returns. */
double raft_group_rate(struct raft_group *g, uint32_t outstanding, uint64_t for_ms);

/* Of all, by number, once each has applied what the leader has. */
void raft_group_look(struct raft_group *g, struct member_report ret[MEMBER_COUNT + 1]);
uint64_t raft_group_cpu_ns(const struct raft_group *g); /* of all members until now */
