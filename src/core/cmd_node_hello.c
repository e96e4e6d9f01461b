/*
 * node_hello: a node says what it is. Its key makes it known, and its number is that of a member of
 * consensus. A new key is one of the members that begin a cluster together, whose numbers were
 * configured, and who say hello in any order; all others come by node_enroll. Once a node was removed, no
 * number that was given until then is taken with a new key: who was removed does not come back so.
 */
#include <string.h>

#include "core/cmd.h"

static uint32_t number_floor(const struct cluster *c)
{
    const struct table *t = &c->table[OBJECT_CLUSTER];
    return t->count ? object_cluster(t->items[0])->node_number_floor : 0;
}

static enum status add_node(struct txn *t, const Pb__CmdNodeHello *m, struct fault *why)
{
    struct object *o = NULL;
    if (m->number <= number_floor(t->c)) {
        enum status s = fault_set(
            why, ST_CONFLICT, "number %" PRIu32 " was given before, and is given to no other key",
            m->number);
        fault_field(why, "number");
        fault_hint(why, "a node that was removed comes back with a ticket: blixard node token");
        return s;
    }
    enum status s = cmd_node_add(t, m->uid, m->name, m->facts, m->number, &o, why);
    if (s == ST_OK)
        txn_event(t, "node.joined", o, "number %" PRIu32, m->number);
    return s;
}

static enum status change_node(struct txn *t, const struct object *known, const Pb__CmdNodeHello *m,
                               struct fault *why)
{
    if (object_node(known)->number != m->number) {
        enum status s =
            fault_set(why, ST_CONFLICT,
                      "this key is that of node %s, which has number %" PRIu32 " and not %" PRIu32,
                      object_name(known), object_node(known)->number, m->number);
        fault_field(why, "number");
        return s;
    }
    const struct object *named = cluster_find_name(t->c, OBJECT_NODE, NULL, m->name);
    bool taken = named && named != known;
    Pb__Node *node = (Pb__Node *)(void *)proto_copy(&object_node(known)->base);
    if (!taken)
        proto_set(&node->meta->name, m->name);
    cmd_node_set_facts(node, m->facts);
    struct object *o = txn_put(t, OBJECT_NODE, &node->base);
    if (!named)
        txn_event(t, "node.renamed", o, "it was %s", object_name(known));
    /* Its machine runs VMs: a name in its configuration that another has does not keep it out. */
    if (taken)
        txn_event(t, "node.not-renamed", o, "it wants to be %s, as another is", m->name);
    txn_event(t, "node.started", o, "version %s",
              m->facts->version ? m->facts->version : "unknown");
    txn_result(t, node->meta->uid);
    return ST_OK;
}

enum status cmd_node_hello(struct txn *t, const Pb__CmdNodeHello *m, struct fault *why)
{
    enum status s = cmd_node_check(t, m->name, m->facts, why);
    if (s == ST_OK)
        s = cmd_need(m->number > 0, "number", why);
    if (s != ST_OK)
        return s;
    struct object *known = cluster_node_by_key(t->c, m->facts->key);
    return known ? change_node(t, known, m, why) : add_node(t, m, why);
}
