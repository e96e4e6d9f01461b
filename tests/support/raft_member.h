/*
 * raft_member: a member of a group as a process of its own, with consensus, journal and event loop as a node has
 * them, TCP to its peers, and in it the client of the one that leads.
 *
 * The state is a count of commands and a checksum over them in their order; snapshots of it are taken, and
 * given to a member that fell behind, as they would be of a real one.
 */
#pragma once

#include "base/defs.h"

enum { MEMBER_COUNT = 3, MEMBER_COMMAND_BYTES = 256 };

/* What comes on the control socket, a packet each; a report answers each. */
struct member_order {
    enum member_order_kind {
        MEMBER_LOOK, /* answered at once */
        MEMBER_RUN, /* answered after for_ms, once nothing is under way; at once by one that leads not */
        MEMBER_REACH, /* answered once entry `index` is applied */
    } kind;
    uint32_t outstanding; /* proposals */
    uint64_t for_ms;
    uint64_t index;
};

struct member_report {
    bool leads; /* of MEMBER_RUN: from beginning to end, or the numbers mean nothing */
    /* Of the run: proposals that were committed, and applied here, and how long that took. */
    uint64_t count, took_ns;
    /* Until now. */
    uint64_t applied, commands;
    uint32_t checksum;
    uint64_t snapshots, restores, syncs, messages, elections;
};

struct member_config {
    uint32_t self;                 /* 1..MEMBER_COUNT */
    const char *dir;               /* exists, for the journal */
    int peer_fd[MEMBER_COUNT + 1]; /* connected stream sockets; -1 for itself */
    int control_fd;                /* SOCK_SEQPACKET; the process ends when it is closed */
    uint64_t snapshot_entries, trailing_entries; /* as of base/config.h */
};

_Noreturn void member_run(const struct member_config *c);
