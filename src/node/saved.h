/*
 * saved: a snapshot, as a node keeps it in its log and gives it to a peer.
 *
 * First a head with the members in force, then the state (core/snapshot.c), none for a witness. Numbers are
 * little-endian:
 *
 *     u32 magic, u8 version (1), u8 has state, u64 index, u64 term,
 *     u32 length and so many bytes: raft_members_encode(), or 0 if none are known; u32 CRC32C of all that
 *
 * A node that has no peers writes no head: it was alone then. The magic is above any length of a record of
 * the state, so the two are told apart.
 */
#pragma once

#include "core/cluster.h"
#include "core/limits.h"
#include "raft/members.h"

enum { SAVED_HEAD_MAX = 30 + RAFT_MEMBERS_BYTES_MAX };

struct saved_head {
    uint64_t index, term;
    bool state; /* follows */
    struct raft_members members;
};

void saved_head_encode(const struct saved_head *h, struct buf *out);

/* One that comes in, in pieces of any size. */
struct saved_in {
    struct limits limits;
    bool has_head, alone; /* alone: it has none */
    struct saved_head head;
    char pending[SAVED_HEAD_MAX]; /* of the head */
    size_t pending_len;
    struct cluster_restore *restore;
};
void saved_in_init(struct saved_in *in, const struct limits *l);

/* ST_CORRUPT, ST_UNSUPPORTED: then only saved_in_drop() may follow. */
MUST_USE enum status saved_in_add(struct saved_in *in, struct str bytes, struct fault *why);

/*
 * All of it came. `in` is as saved_in_drop() leaves it.
 *
 * ret_cluster  NULL if the snapshot has no state; else the caller's.
 *
 * Returns  ST_CORRUPT  not complete, or not of (index, term).
 */
MUST_USE enum status saved_in_end(struct saved_in *in, uint64_t index, uint64_t term,
                                  struct cluster **ret_cluster, struct fault *why);

/* Give it up. What was built is the caller's, to cluster_free(); NULL: nothing was. */
MUST_USE struct cluster *saved_in_drop(struct saved_in *in);
