/*
 * read: linearizable reads without a log entry (thesis, section 6.4). Reads have numbers that rise within a
 * term; each append bears the newest, each answer the newest seen. A late answer confirms only what was asked
 * before it was given, whatever else was asked since.
 */
#include "raft/state.h"

enum status raft_read(struct raft *r, struct raft_read *ret, struct fault *why)
{
    if (r->role != RAFT_LEADER)
        return fault_set(why, ST_NOT_LEADER, "this node does not lead");
    /* Before its no-op is committed a leader does not know what was committed before its term. */
    if (r->commit < r->term_start)
        return fault_set(why, ST_UNAVAILABLE, "the new leader has committed nothing yet");
    /* Messages that left before this read say nothing of it. */
    if (r->read_number == 0 || r->read_sent) {
        r->read_number++;
        r->read_sent = false;
        raft_beat(r);
    }
    *ret = (struct raft_read){r->hard.term, r->read_number, r->commit};
    return ST_OK;
}

enum raft_confirmed raft_confirmed(const struct raft *r, const struct raft_read *read)
{
    uint64_t value[RAFT_MEMBERS_MAX];
    if (r->role != RAFT_LEADER || r->hard.term != read->term)
        return RAFT_CONFIRM_LOST;
    for (size_t i = 0; i < r->peer_count; i++)
        value[i] = r->peers[i].number == r->config.self ? UINT64_MAX : r->peers[i].read;
    bool heard = raft_members_quorum(raft_members(r), value) >= read->number;
    return heard ? RAFT_CONFIRMED : RAFT_CONFIRM_WAITS;
}
