/*
 * raft/state: what the files of this folder share. Nobody outside includes it.
 */
#pragma once

#include "raft/log.h"

/* What one ready gave to be made durable. */
struct raft_given {
    uint64_t token;
    struct raft_hard hard;
    uint64_t index, term; /* of its last entry, or of the last one given before */
};

struct raft {
    struct raft_config config;

    /* What the driver was told to make durable, and what it said is. */
    struct raft_hard hard;         /* as of now */
    struct raft_hard hard_given;   /* by the last ready */
    struct raft_hard hard_durable; /* on the platter */

    enum raft_role role;
    uint32_t leader;
    uint64_t term_start; /* leader: index of the no-op that opened its term */

    struct raft_log log;
    uint64_t given;     /* entries up to here were given for the log */
    uint64_t persisted; /* entries up to here are durable */
    uint64_t commit;
    uint64_t applying; /* entries up to here were given to be applied */
    uint64_t applied;
    size_t uncommitted_bytes;

    struct raft_given *flight; /* given and not yet durable, oldest first */
    size_t flight_head, flight_count, flight_room;
    uint64_t token_last;
};

/* applied <= applying <= min(commit, persisted), persisted <= given <= last, and so on. */
bool raft_holds_invariant(const struct raft *r);

/* --- election.c --- */
void raft_campaign(struct raft *r);
void raft_count_votes(struct raft *r); /* after the own vote became durable */

/* --- commit.c --- */
/* Append to the own log as its leader; data's reference is taken. */
void raft_lead_append(struct raft *r, enum raft_entry_type type, struct raft_data *data);
void raft_advance_commit(struct raft *r); /* after more became durable */
void raft_count_uncommitted(struct raft *r);
