/*
 * cluster members, transfer-leader: who takes part in consensus. Members are no objects of the state: the log says
 * who they are, and the leader how far they have come.
 */
#include <stdio.h>

#include "ops/fields.h"
#include "ops/filter.h"
#include "ops/run.h"
#include "wire/json.h"
#include "wire/proto.h"
#include "wire/schema.h"

/* --- one member --- */

static Pb__MemberRole role_of(const struct raft_member *m)
{
    if (m->flags & RAFT_LEAVES)
        return PB__MEMBER_ROLE__MEMBER_LEAVING;
    if (m->flags & RAFT_WITNESS)
        return PB__MEMBER_ROLE__MEMBER_WITNESS;
    if (m->flags & (RAFT_VOTES | RAFT_VOTED))
        return PB__MEMBER_ROLE__MEMBER_VOTER;
    return m->flags & RAFT_JOINS ? PB__MEMBER_ROLE__MEMBER_JOINING
                                 : PB__MEMBER_ROLE__MEMBER_LEARNER;
}

static void add_progress(const struct op_run *r, const struct raft_view *v, Pb__Member *out)
{
    struct raft_peer_view p = {.match = v->persisted, .active = true}; /* of the leader itself */
    bool known = v->role == RAFT_LEADER &&
                 (v->leader == out->number || node_peer_view(r->ops->node, out->number, &p));
    if (!known)
        return;
    PROTO_SET(out, active, p.active);
    PROTO_SET(out, match, p.match);
    PROTO_SET(out, lag, v->last - MIN(p.match, v->last));
    PROTO_SET(out, snapshot, p.snapshot);
}

/* Its texts are the state's. */
static Pb__Member describe(const struct op_run *r, const struct raft_member *m)
{
    struct raft_view v = node_view(r->ops->node).raft;
    const struct object *node = cluster_node(run_cluster(r), m->number);
    Pb__Member out = PB__MEMBER__INIT;
    PROTO_SET(&out, number, m->number);
    PROTO_SET(&out, role, role_of(m));
    PROTO_SET(&out, leads, v.leader == m->number);
    if (node) {
        out.id = object_meta(node)->uid;
        out.node = object_meta(node)->name;
    }
    add_progress(r, &v, &out);
    return out;
}

/* --- the list --- */

struct member_list {
    struct filter filter;
    struct fields fields;
    uint64_t after; /* number: where the page before ended */
    size_t limit;
};

static enum status set_field(struct fault *why, enum status s, const char *field)
{
    (void)fault_wrap(why, s, "%s", field);
    fault_field(why, "%s", field);
    return s;
}

static enum status parse(struct member_list *l, const Pb__ListQuery *q, struct fault *why)
{
    const ProtobufCMessageDescriptor *desc = &pb__member__descriptor;
    l->limit = q->limit;
    if (q->project) {
        (void)fault_set(why, ST_INVALID, "a member is in no project");
        return set_field(why, ST_INVALID, "project");
    }
    enum status s = filter_parse(&l->filter, desc, str_from(q->filter), why);
    if (s != ST_OK)
        return set_field(why, s, "filter");
    s = fields_parse(&l->fields, desc, str_from(q->fields), why);
    if (s != ST_OK)
        return set_field(why, s, "fields");
    if (!q->cursor || !q->cursor[0])
        return ST_OK;
    s = str_u64(str_from(q->cursor), 1, UINT32_MAX, &l->after, why);
    return s == ST_OK ? s : set_field(why, s, "cursor");
}

static void write_list(struct op_run *r, const struct member_list *l, struct buf *out)
{
    const struct raft_members *all = node_members(r->ops->node);
    size_t count = 0;
    bool more = false;
    uint32_t last = 0;
    buf_text(out, "{\"items\":[");
    for (uint32_t i = 0; i < all->count; i++) {
        Pb__Member m = describe(r, &all->member[i]);
        if (m.number <= l->after || !filter_passes(&l->filter, &m.base))
            continue;
        more = count == l->limit;
        if (more)
            break;
        if (count++ > 0)
            buf_char(out, ',');
        json_t *v = fields_pick(&l->fields, json_from_message(&m.base, JSON_WHOLE));
        json_dump(v, false, out);
        json_decref(v);
        last = m.number;
    }
    buf_char(out, ']');
    if (more)
        buf_fmt(out, ",\"next\":\"%" PRIu32 "\"", last);
    buf_fmt(out, ",\"index\":%" PRIu64 "}", cluster_index(run_cluster(r)));
}

void member_op_list(struct op_run *r)
{
    struct fault why;
    AUTO(auto_free) struct member_list *l = NEW(struct member_list);
    if (parse(l, (const Pb__ListQuery *)r->request, &why) != ST_OK) {
        run_fail(r, &why);
        return;
    }
    write_list(r, l, &r->answer.body);
    run_body(r, 200, "application/json");
}

/* --- handing over --- */

/* As people know it. */
static void name_member(const struct op_run *r, uint32_t number, char out[96])
{
    const struct object *node = cluster_node(run_cluster(r), number);
    if (node)
        (void)snprintf(out, 96, "node %s", object_meta(node)->name);
    else
        (void)snprintf(out, 96, "member %" PRIu32, number);
}

/* A voter besides the leader, which this node is; *ret is what it knows of it. */
static bool is_other_voter(const struct op_run *r, const struct raft_member *m,
                           struct raft_peer_view *ret)
{
    return role_of(m) == PB__MEMBER_ROLE__MEMBER_VOTER &&
           node_peer_view(r->ops->node, m->number, ret);
}

/* The other voter that lacks least, of those that were heard from lately. */
static enum status pick(struct op_run *r, struct fault *why)
{
    const struct raft_members *all = node_members(r->ops->node);
    uint64_t most = 0;
    bool others = false;
    for (uint32_t i = 0; i < all->count; i++) {
        struct raft_peer_view p;
        if (!is_other_voter(r, &all->member[i], &p))
            continue;
        others = true;
        if (p.active && (r->heir == 0 || p.match > most)) {
            r->heir = all->member[i].number;
            most = p.match;
        }
    }
    if (r->heir)
        return ST_OK;
    if (others)
        return fault_set(why, ST_UNAVAILABLE, "no other voter was heard from lately");
    (void)fault_set(why, ST_PRECONDITION, "there is no other voter that could lead");
    fault_hint(why, "three nodes make a cluster that outlives one of them");
    return ST_PRECONDITION;
}

/* What is asked for may be seen to fail: then writes are not held up for it. */
static enum status check_heir(const struct op_run *r, struct fault *why)
{
    char name[96];
    struct raft_peer_view p;
    const struct raft_member *m = raft_members_find(node_members(r->ops->node), r->heir);
    name_member(r, r->heir, name);
    if (!m)
        return fault_set(why, ST_PRECONDITION, "%s takes no part in consensus yet", name);
    Pb__MemberRole role = role_of(m);
    if (role != PB__MEMBER_ROLE__MEMBER_VOTER)
        return fault_set(why, ST_PRECONDITION, "%s is %s, and only a voter can lead", name,
                         role == PB__MEMBER_ROLE__MEMBER_WITNESS   ? "a witness"
                         : role == PB__MEMBER_ROLE__MEMBER_JOINING ? "still joining"
                         : role == PB__MEMBER_ROLE__MEMBER_LEAVING ? "leaving"
                                                                   : "a learner");
    if (node_peer_view(r->ops->node, r->heir, &p) && !p.active)
        return fault_set(why, ST_UNAVAILABLE, "%s was not heard from lately", name);
    return ST_OK;
}

static enum status find_heir(struct op_run *r, const char *to, struct fault *why)
{
    struct object *node;
    r->any_heir = !to;
    if (!to)
        return pick(r, why);
    enum status s = cluster_resolve(run_cluster(r), OBJECT_NODE, NULL, to, &node, why);
    if (s != ST_OK) {
        fault_field(why, "to");
        return s;
    }
    r->heir = object_node(node)->number;
    return check_heir(r, why);
}

static void answer_leader(struct op_run *r, const struct raft_member *m)
{
    Pb__Member now = describe(r, m);
    run_json(r, 200, json_from_message(&now.base, JSON_WHOLE));
}

/* Who leads already has nothing to do, and whoever asks for the same hand-over waits for the same end. */
void member_op_transfer(struct op_run *r)
{
    const Pb__TransferLeaderRequest *q = (const Pb__TransferLeaderRequest *)r->request;
    struct node *n = r->ops->node;
    struct raft_view v = node_view(n).raft;
    struct fault why;
    /* One that does not lead is refused as such, whatever was asked. */
    enum status s = v.role == RAFT_LEADER ? find_heir(r, q->to, &why) : ST_OK;
    if (s == ST_OK && v.role == RAFT_LEADER && r->heir == v.leader) {
        answer_leader(r, raft_members_find(node_members(n), r->heir));
        return;
    }
    if (s == ST_OK && v.transfer && r->any_heir)
        r->heir = v.transfer;
    if (s == ST_OK && (r->heir == 0 || v.transfer != r->heir))
        s = node_hand_over(n, r->heir, &why);
    if (s != ST_OK) {
        run_fail(r, &why);
        return;
    }
    r->awaits_leader = true;
    r->wait_until_ms = run_now_ms(r) + r->ops->config.timeout_ms;
}

bool member_transfer_ended(const struct op_run *r)
{
    struct raft_view v = node_view(r->ops->node).raft;
    return v.role == RAFT_LEADER ? v.transfer != r->heir : v.leader != 0;
}

void member_transfer_end(struct op_run *r)
{
    struct raft_view v = node_view(r->ops->node).raft;
    const struct raft_member *m = raft_members_find(node_members(r->ops->node), v.leader);
    char heir[96], leader[96];
    struct fault why;
    if (m && v.role != RAFT_LEADER && (r->any_heir || v.leader == r->heir)) {
        answer_leader(r, m);
        return;
    }
    name_member(r, r->heir, heir);
    name_member(r, v.leader, leader);
    if (v.leader)
        (void)fault_set(&why, ST_FAILED, "%s did not take over in time: %s leads", heir, leader);
    else
        (void)fault_set(&why, ST_TIMEOUT, "it is not known yet whether %s leads", heir);
    fault_hint(&why, "blixard cluster members tells who leads, and who lacks how much");
    run_fail(r, &why);
}
