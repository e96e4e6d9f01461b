/*
 * group_faults: what may go wrong in a run of a group of members, and its sizes. As faults.h, each seed
 * turns a random part of them on.
 */
#pragma once

#include "sim/net.h"

enum group_profile {
    GROUP_QUICK,      /* three members, little goes wrong, short */
    GROUP_SWARM,      /* one to seven members, anything goes wrong */
    GROUP_MEMBERSHIP, /* and members come and go */
    GROUP_BYZANTINE,  /* and some say what cannot be */
    GROUP_SCALE,      /* fifty members */
    GROUP_DISK,       /* the log of each is the real journal, on a disk where anything goes wrong */
    GROUP_PROFILE_COUNT,
};

struct group_faults {
    /* Mean time between, in ms; 0: never. */
    uint32_t crash_every_ms;
    uint32_t crash_all_every_ms;
    uint32_t pause_every_ms;
    uint32_t split_every_ms;
    uint32_t transfer_every_ms;
    uint32_t change_every_ms;
    uint32_t bad_every_ms; /* messages that cannot be */
    uint32_t disk_dies_every_ms;
    uint32_t no_space_every_ms;

    uint32_t restart_ms, pause_ms, split_ms; /* how long, at most */
    struct net_faults net;

    uint32_t disk_us;              /* of a usual request */
    uint32_t slow_disk;            /* per mille of requests */
    uint32_t slow_disk_ms;         /* at most */
    uint32_t batch_max;            /* requests made durable at once; 0: all */
    uint32_t clock_min, clock_max; /* speed of the members' clocks, in thousandths */

    uint32_t voters, members_max;
    uint32_t snapshot_entries, trailing_entries;
    uint32_t batch_entries, batch_bytes, window_messages;
    uint32_t election_ms, heartbeat_ms;
    uint32_t clients, think_ms, padding;
};

void group_faults_choose(struct group_faults *f, enum group_profile p, struct rng *r);
/* Of the disks of GROUP_DISK: many are at work at once, so that less goes wrong with each than under one node. */
void group_faults_choose_disk(struct faults *f, struct rng *r);
/* Nothing goes wrong any more, and the network and the disks are as in a room. */
void group_faults_stop(struct group_faults *f);
