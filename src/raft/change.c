/*
 * change: other members, by joint consensus (thesis, section 4.3), and what follows by itself.
 */
#include <string.h>

#include "raft/state.h"

static bool change_under_way(const struct raft *r)
{
    return raft_members(r)->joint || r->configs[r->config_count - 1].index > r->commit;
}

static void append_members(struct raft *r, const struct raft_members *m)
{
    ensure(raft_members_check(m, NULL) ==
           ST_OK); /* nobody would take it, and no log open with it */
    AUTO(buf_done) struct buf b;
    buf_init(&b, RAFT_MEMBERS_BYTES_MAX);
    raft_members_encode(m, &b);
    raft_lead_append(r, RAFT_ENTRY_MEMBERS, raft_data_new(b.ptr, b.len));
    raft_configs_add(r, raft_log_last(&r->log), m);
    raft_peers_renew(r);
}

static enum status check_change(const struct raft *r, const struct raft_members *wanted,
                                struct fault *why)
{
    if (r->role != RAFT_LEADER)
        return fault_set(why, ST_NOT_LEADER, "this node does not lead");
    if (change_under_way(r))
        return fault_set(why, ST_CONFLICT, "another change of the members is under way");
    /* Before, an older leader's change may stand in logs without this one knowing of it. */
    if (r->commit < r->term_start || r->transfer)
        return fault_set(why, ST_UNAVAILABLE, "the leader is new, or hands over");
    if (wanted->joint)
        return fault_set(why, ST_INVALID, "members: a joint configuration is nobody's wish");
    return raft_members_check(wanted, why);
}

/* Does it lack little, nothing that a witness may have dropped, and know who the members are? Who votes and does not
 * know of it may be the only one left that could lead, and would not ask for what it lacks. */
static bool has_caught_up(const struct raft *r, uint32_t number)
{
    const struct raft_peer *p = raft_peer_find(r, number);
    return p && raft_peer_lately(r, p) && p->flow == RAFT_REPLICATE &&
           p->match >= MAX(r->kept, r->configs[r->config_count - 1].index) &&
           p->match + r->config.join_lag >= raft_log_last(&r->log);
}

/* Who is to vote and lags behind joins first: as a voter it would only hold up the others. Was there one? */
static bool let_wait(const struct raft *r, struct raft_members *wanted)
{
    bool waits = false;
    for (uint32_t i = 0; i < wanted->count; i++) {
        struct raft_member *x = &wanted->member[i];
        if (x->flags & RAFT_VOTES && !raft_members_votes(raft_members(r), x->number) &&
            !has_caught_up(r, x->number)) {
            x->flags = (x->flags & ~(uint32_t)RAFT_VOTES) | RAFT_JOINS;
            waits = true;
        }
    }
    return waits;
}

/* Or one who could lead: then what is left might be none. */
static bool loses_a_voter(const struct raft_members *now, const struct raft_members *wanted)
{
    for (uint32_t i = 0; i < now->count; i++) {
        uint32_t number = now->member[i].number;
        if ((raft_members_votes(now, number) && !raft_members_votes(wanted, number)) ||
            (raft_members_leads(now, number) && !raft_members_leads(wanted, number)))
            return true;
    }
    return false;
}

enum status raft_change(struct raft *r, const struct raft_members *asked, uint64_t *ret_index,
                        struct fault *why)
{
    struct raft_members next, wanted = *asked;
    enum status s = check_change(r, asked, why);
    if (s == ST_OK && let_wait(r, &wanted) && loses_a_voter(raft_members(r), &wanted))
        s = fault_set(why, ST_UNAVAILABLE,
                      "members: some are to vote that have not caught up; let no voter go before");
    if (s == ST_OK)
        s = raft_members_toward(raft_members(r), &wanted, &next, why);
    if (s != ST_OK)
        return s;
    if (!raft_members_eq(raft_members(r), &next))
        append_members(r, &next);
    *ret_index = r->configs[r->config_count - 1].index;
    ensure(raft_holds_invariant(r));
    return ST_OK;
}

static void let_join(struct raft *r)
{
    struct raft_members wanted = *raft_members(r);
    uint64_t index;
    for (uint32_t i = 0; i < wanted.count; i++)
        if (wanted.member[i].flags & RAFT_JOINS && has_caught_up(r, wanted.member[i].number))
            wanted.member[i].flags = (wanted.member[i].flags & RAFT_WITNESS) | RAFT_VOTES;
    if (!raft_members_eq(&wanted, raft_members(r)))
        IGNORE(raft_change(r, &wanted, &index, NULL)); /* if not now, then at the next tick */
}

/* The leader is a voter no more: it hands over to who knows everything, and goes. */
static void step_down(struct raft *r)
{
    const struct raft_members *m = raft_members(r);
    for (size_t i = 0; i < r->peer_count; i++)
        if (raft_members_leads(m, r->peers[i].number) &&
            r->peers[i].match == raft_log_last(&r->log)) {
            raft_post(r, (struct raft_message){.type = RAFT_TAKE_OVER, .to = r->peers[i].number});
            break;
        }
    raft_follow(r, r->hard.term, 0);
}

void raft_change_step(struct raft *r)
{
    const struct raft_config_at *now = &r->configs[r->config_count - 1];
    if (r->role != RAFT_LEADER || now->index > r->commit || r->commit < r->term_start)
        return;
    if (now->members.joint) {
        struct raft_members next;
        raft_members_end_joint(&now->members, &next);
        append_members(r, &next);
    } else if (!raft_members_leads(&now->members, r->config.self)) {
        step_down(r);
    } else if (!r->transfer) {
        let_join(r);
    }
}
