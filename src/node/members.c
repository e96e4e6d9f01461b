/*
 * members: who takes part, as the log says, as users ask for it, and as roles.h wants it of the nodes of the state.
 */
#include "node/roles.h"
#include "node/state.h"

enum {
    CHECK_MS = 1000, /* between two looks at who is silent, while something else wakes the leader */
    AGAIN_MS = 50,   /* after a step, or one that consensus did not take */
    REMOVED_MS = 500, /* from being removed to the end */
};

void node_members_step(struct node *n)
{
    uint64_t index = raft_view(n->raft).members_index;
    if (!n->ports.peers || index == n->members_index)
        return;
    n->members_index = index;
    const struct raft_member *self = raft_members_find(raft_members(n->raft), n->config.member);
    if (!self || (self->flags & RAFT_WITNESS) == (n->config.witness ? RAFT_WITNESS : 0))
        return;
    struct fault why;
    (void)fault_set(&why, ST_PRECONDITION,
                    n->config.witness ? "member %" PRIu32 " is a witness, and is to be one no more"
                                      : "member %" PRIu32
                                        " holds the state, and is to be a witness",
                    n->config.member);
    node_die(n, &why);
}

const struct raft_members *node_members(const struct node *n)
{
    return raft_members(n->raft);
}

bool node_peer_view(const struct node *n, uint32_t number, struct raft_peer_view *ret)
{
    return raft_peer_view(n->raft, number, ret);
}

static enum status check_witnesses(const struct raft_members *now,
                                   const struct raft_members *wanted, struct fault *why)
{
    for (uint32_t i = 0; i < wanted->count; i++) {
        const struct raft_member *was = raft_members_find(now, wanted->member[i].number);
        if (was && (was->flags ^ wanted->member[i].flags) & RAFT_WITNESS)
            return fault_set(why, ST_INVALID,
                             "members: %" PRIu32 " cannot become a witness, nor cease to be one",
                             was->number);
    }
    return ST_OK;
}

enum status node_change_members(struct node *n, const struct raft_members *wanted,
                                uint64_t *ret_index, struct fault *why)
{
    require(n->started);
    if (n->dead)
        return fault_set(why, ST_UNAVAILABLE, "the node has stopped: %s", n->why_dead.text);
    if (!n->ports.peers)
        return fault_set(why, ST_UNSUPPORTED, "this node has no peers");
    if (!node_leads(n))
        return node_not_leader(n, why);
    enum status s = check_witnesses(raft_members(n->raft), wanted, why);
    if (s == ST_OK)
        s = raft_change(n->raft, wanted, ret_index, why);
    n->unwritten |= s == ST_OK;
    return s;
}

enum status node_hand_over(struct node *n, uint32_t to, struct fault *why)
{
    require(n->started);
    if (n->dead)
        return fault_set(why, ST_UNAVAILABLE, "the node has stopped: %s", n->why_dead.text);
    if (!node_leads(n))
        return node_not_leader(n, why);
    n->busy = true;
    return raft_transfer(n->raft, to, why);
}

/* --- roles --- */

static uint64_t heard_ms(struct node_roles *o, uint32_t number, bool active, uint64_t now_ms)
{
    struct node_heard *h = o->heard;
    size_t i = 0;
    while (i < o->heard_count && h[i].number != number)
        i++;
    if (i == o->heard_count) {
        if (i == RAFT_MEMBERS_MAX) /* some were removed meanwhile: begin anew */
            i = o->heard_count = 0;
        h[o->heard_count++] = (struct node_heard){number, now_ms};
    }
    if (active)
        h[i].ms = now_ms;
    return h[i].ms;
}

static struct roles_node look_at(struct node *n, uint32_t number)
{
    struct raft_peer_view p;
    uint64_t now_ms = node_now_ms(n);
    bool active = number == n->config.member || (raft_peer_view(n->raft, number, &p) && p.active);
    uint64_t since_ms = heard_ms(&n->roles, number, active, now_ms);
    return (struct roles_node){number, active, now_ms - since_ms >= ROLES_SILENT_MS};
}

_Static_assert((int)LIMIT_NODES <= (int)RAFT_MEMBERS_MAX, "every node can be a member");

/* By number, rising. */
static size_t list_nodes(struct node *n, struct roles_node *ret)
{
    size_t count = 0;
    MAP_EACH(cluster_table(n->cluster, OBJECT_NODE), uid, value) {
        uint32_t number = object_node(value)->number;
        size_t at = count;
        for (; at > 0 && ret[at - 1].number > number; at--)
            ret[at] = ret[at - 1];
        ret[at] = look_at(n, number);
        count++;
    }
    return count;
}

static void take_step(struct node *n)
{
    struct roles_node node[RAFT_MEMBERS_MAX];
    struct raft_members wanted;
    struct node_roles *o = &n->roles;
    uint64_t index;
    size_t count = list_nodes(n, node);
    o->again = false;
    if (count > 0 && roles_next(raft_members(n->raft), node, count, n->config.member, &wanted)) {
        o->again = true;
        IGNORE(node_change_members(n, &wanted, &index, NULL)); /* else it is asked for again */
    }
    o->check_ms = node_now_ms(n) + (o->again ? AGAIN_MS : CHECK_MS);
}

/* A moment later: who asked for it may wait for this node's answer. */
static void removed(struct node *n)
{
    n->roles.removed_ms = node_now_ms(n) + REMOVED_MS;
}

static void die_removed(struct node *n)
{
    struct fault why;
    (void)fault_set(&why, ST_PRECONDITION, "this node was removed from the cluster");
    fault_hint(&why, "it can join again, as a new node, with an empty data directory");
    node_die(n, &why);
}

void node_roles_step(struct node *n)
{
    struct node_roles *o = &n->roles;
    struct raft_view v = raft_view(n->raft);
    if (o->removed_ms && node_now_ms(n) >= o->removed_ms)
        die_removed(n);
    if (!n->config.keep_roles || v.role != RAFT_LEADER || n->fetch.freezes)
        return;
    if (o->term != v.term) {
        o->term = v.term;
        o->heard_count = 0;
        o->changed = true;
    }
    if (!o->changed && node_now_ms(n) < o->check_ms)
        return;
    o->changed = false;
    take_step(n);
}

uint64_t node_roles_deadline_ms(const struct node *n)
{
    uint64_t end_ms = n->roles.removed_ms ? n->roles.removed_ms : UINT64_MAX;
    return MIN(end_ms, n->roles.again && node_leads(n) ? n->roles.check_ms : UINT64_MAX);
}

static void on_applied(struct node_watch *w, const struct apply_result *r)
{
    struct node *n = CONTAINER_OF(w, struct node, roles.watch);
    for (size_t i = 0; i < r->change_count; i++) {
        const struct change *c = &r->changes[i];
        if (c->kind != OBJECT_NODE)
            continue;
        n->roles.changed = true;
        if (c->before && !c->after && object_node(c->before)->number == n->number)
            removed(n);
    }
}

static void on_restored(struct node_watch *w)
{
    struct node *n = CONTAINER_OF(w, struct node, roles.watch);
    n->roles.changed = true;
    if (n->number && !cluster_node(n->cluster, n->number))
        removed(n);
}

void node_roles_init(struct node *n)
{
    n->roles.watch.applied = on_applied;
    n->roles.watch.restored = on_restored;
    node_watch_add(n, &n->roles.watch);
}
