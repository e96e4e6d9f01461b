/*
 * hash: the hash of the state is said to the leader at every so many entries, and once more when a node falls quiet.
 * Whose state is another than that of the most stops: what it would answer, and do to its VMs, is not what was agreed.
 */
#include "node/state.h"

enum { EVERY = 64, QUIET_MS = 1000 };

static bool takes_part(const struct node *n)
{
    return n->ports.peers && !n->config.witness;
}

static void differs(struct node *n, uint64_t index, const char *how)
{
    struct fault why;
    (void)fault_set(&why, ST_CORRUPT,
                    "the state of this node differs from that of other members after entry %" PRIu64
                    "%s; it stops so as to do no harm",
                    index, how);
    fault_hint(&why,
               "keep the data directory for a report; let the node join anew, under a new number");
    node_die(n, &why);
}

static uint32_t holders(const struct node *n)
{
    const struct raft_members *m = raft_members(n->raft);
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->count; i++)
        count += (m->member[i].flags & RAFT_WITNESS) == 0;
    return count;
}

static void send(struct node *n, uint32_t to, uint64_t index, bool verdict)
{
    struct mail m = {.kind = MAIL_HASH, .hash = {.index = index, .verdict = verdict}};
    if (to && to != n->config.member && agree_find(&n->agree, index, &m.hash.hash))
        node_send(n, to, &m);
}

static void judge(struct node *n)
{
    uint64_t index;
    uint32_t member;
    while (!n->dead && node_leads(n)) {
        switch (agree_judge(&n->agree, holders(n), &index, &member)) {
        case AGREE_NOTHING: return;
        case AGREE_OTHER_WRONG: send(n, member, index, true); break;
        case AGREE_SELF_WRONG: differs(n, index, ""); break;
        case AGREE_UNKNOWN:
            send(n, member, index, true);
            differs(n, index, ", and it is not known which is right");
            break;
        }
    }
}

static void note(struct node *n, uint64_t index)
{
    if (index <= agree_newest(&n->agree))
        return;
    agree_note(&n->agree, index, cluster_hash(n->cluster));
    if (node_leads(n))
        judge(n);
    else
        send(n, raft_view(n->raft).leader, index, false);
}

void node_hash_applied(struct node *n, uint64_t index)
{
    if (!takes_part(n))
        return;
    if (index % EVERY == 0)
        note(n, index);
    n->agree_ms = node_now_ms(n) + QUIET_MS;
}

void node_hash_received(struct node *n, uint32_t from, const struct mail_hash *m)
{
    struct raft_view v = raft_view(n->raft);
    uint64_t own;
    bool holds = raft_members_find(raft_members(n->raft), from) && !node_is_witness(n, from);
    if (!takes_part(n) || !holds)
        return;
    if (m->verdict) {
        if (from == v.leader && agree_find(&n->agree, m->index, &own) && own != m->hash)
            differs(n, m->index, "");
        return;
    }
    if (v.role != RAFT_LEADER)
        return;
    agree_hear(&n->agree, m->index, from, m->hash);
    if (m->index == v.applied)
        note(n, m->index);
    judge(n);
}

void node_hash_step(struct node *n)
{
    if (n->agree_ms == UINT64_MAX || node_now_ms(n) < n->agree_ms)
        return;
    n->agree_ms = UINT64_MAX;
    note(n, raft_view(n->raft).applied);
}

uint64_t node_hash_deadline_ms(const struct node *n)
{
    return n->agree_ms;
}
