/*
 * members: who takes part in consensus, and whose word counts.
 *
 * A change of the voters goes through joint consensus (Ongaro's thesis, section 4.3): while it is under
 * way, what counts needs a majority of the new voters and one of the old. A member is a small number
 * that is never used again.
 *
 * A configuration is in force as soon as it stands in the log, and is taken back if the log is cut. At most
 * one that is not committed exists (change.c).
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

enum { RAFT_MEMBERS_MAX = 128, RAFT_MEMBERS_BYTES_MAX = 3 + 5 * RAFT_MEMBERS_MAX };

enum raft_member_flags {
    RAFT_VOTES = 1,   /* among the new voters */
    RAFT_VOTED = 2,   /* among the old ones, while a change is under way */
    RAFT_WITNESS = 4, /* votes and keeps the log, holds no state, never leads */
    RAFT_JOINS = 8,   /* a learner that is to vote once it has caught up */
    RAFT_LEAVES = 16, /* no member any more once the change is done */
};

/* Without RAFT_VOTES and RAFT_VOTED it is a learner: it gets the log, and no say. */
struct raft_member {
    uint32_t number; /* > 0 */
    uint32_t flags;
};

struct raft_members {
    bool joint; /* a change of the voters is under way */
    uint32_t count;
    struct raft_member member[RAFT_MEMBERS_MAX]; /* by number, rising */
};

/* NULL when it is not one. */
const struct raft_member *raft_members_find(const struct raft_members *m, uint32_t number);
/* Add or replace; false when there is no room. */
bool raft_members_put(struct raft_members *m, uint32_t number, uint32_t flags);
void raft_members_cut(struct raft_members *m, uint32_t number);
bool raft_members_eq(const struct raft_members *a, const struct raft_members *b);

/* Does its word count, in the old set or the new? */
bool raft_members_votes(const struct raft_members *m, uint32_t number);
/* May it lead? */
bool raft_members_leads(const struct raft_members *m, uint32_t number);

/* ST_INVALID unless it can be in force: some new voter could lead, and flags go together. */
MUST_USE enum status raft_members_check(const struct raft_members *m, struct fault *why);

/* From `now` to `wanted`, neither under way: `wanted` itself if the voters are the same, else the
 * joint configuration between them. ST_TOO_BIG. */
MUST_USE enum status raft_members_toward(const struct raft_members *now,
                                         const struct raft_members *wanted,
                                         struct raft_members *ret, struct fault *why);
/* What a joint configuration leads to. */
void raft_members_end_joint(const struct raft_members *joint, struct raft_members *ret);

/* The highest value that a majority has reached: of the new voters, and of the old too if a change is
 * under way. UINT64_MAX without voters. value[i] is of member[i]. */
uint64_t raft_members_quorum(const struct raft_members *m, const uint64_t *value);

/* Little-endian: u8 joint, u16 count, then u32 number and u8 flags of each. */
void raft_members_encode(const struct raft_members *m, struct buf *out);
/* ST_INVALID for anything that raft_members_encode() does not write or raft_members_check() refuses. */
MUST_USE enum status raft_members_decode(struct str bytes, struct raft_members *ret,
                                         struct fault *why);
