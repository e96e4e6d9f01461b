/*
 * transfer: hand leadership to another (thesis, section 3.10).
 */
#include "raft/state.h"

enum status raft_transfer(struct raft *r, uint32_t to, struct fault *why)
{
    if (r->role != RAFT_LEADER)
        return fault_set(why, ST_NOT_LEADER, "this node does not lead");
    if (r->transfer)
        return fault_set(why, ST_CONFLICT, "leadership is being handed to member %" PRIu32,
                         r->transfer);
    if (to == r->config.self || !raft_members_leads(raft_members(r), to))
        return fault_set(why, ST_INVALID, "member %" PRIu32 " may not lead in its place", to);
    r->transfer = to;
    r->transfer_told = false;
    r->transfer_ms = r->now_ms + r->config.election_ms;
    raft_transfer_step(r);
    return ST_OK;
}

void raft_transfer_step(struct raft *r)
{
    if (r->role != RAFT_LEADER || !r->transfer || r->transfer_told)
        return;
    const struct raft_peer *p = raft_peer_find(r, r->transfer);
    if (!p || p->match < raft_log_last(&r->log))
        return;
    r->transfer_told = true;
    raft_post(r, (struct raft_message){.type = RAFT_TAKE_OVER, .to = r->transfer});
}

void raft_on_take_over(struct raft *r, const struct raft_message *m)
{
    if (r->role == RAFT_FOLLOWER && r->leader == m->from && raft_may_lead(r))
        raft_campaign(r, true);
}
