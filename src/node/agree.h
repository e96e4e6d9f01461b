/*
 * agree: do all members hold the same state after the same entry?
 *
 * At some entries, its points, each member that holds a state notes the hash of it, and says it to the leader,
 * who judges. Pure.
 *
 * Who differs from the most is wrong. That is known once more than half of those that hold a state agree; or,
 * by the next point, whoever spoke by then. If those who spoke are divided evenly, nobody can tell, and none
 * of them may go on.
 */
#pragma once

#include "raft/members.h"

enum {
    AGREE_POINTS = 16, /* kept */
    AGREE_AHEAD = 4,   /* of them, such as only others have come to */
};

struct agree_word {
    uint32_t member;
    uint64_t hash;
    bool told; /* that it is wrong */
};

struct agree_point {
    uint64_t index;
    bool own; /* this member has come there, and has: */
    uint64_t hash;
    uint32_t count;
    struct agree_word word[RAFT_MEMBERS_MAX]; /* of the others, by number */
};

struct agree {
    size_t count;
    struct agree_point point[AGREE_POINTS]; /* by index, rising */
};

void agree_init(struct agree *a);
/* The newest point of this member's; 0: none. */
uint64_t agree_newest(const struct agree *a);
/* The own state has this hash after the entry of this index, which is above agree_newest(). */
void agree_note(struct agree *a, uint64_t index, uint64_t hash);
/* What was noted; false: nothing, or it is forgotten. */
bool agree_find(const struct agree *a, uint64_t index, uint64_t *ret_hash);
/* Another says so. Forgotten if this member passed that point long ago or never, or is far from it. */
void agree_hear(struct agree *a, uint64_t index, uint32_t member, uint64_t hash);

enum agree_verdict {
    AGREE_NOTHING,     /* to say */
    AGREE_OTHER_WRONG, /* this member is: tell it, once */
    AGREE_SELF_WRONG,
    AGREE_UNKNOWN, /* one of the two is: tell it, and stop as well */
};
/* The next thing to be said, of `holders` members that hold a state, this one included. */
enum agree_verdict agree_judge(struct agree *a, uint32_t holders, uint64_t *ret_index,
                               uint32_t *ret_member);
