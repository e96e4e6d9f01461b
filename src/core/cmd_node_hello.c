/*
 * node_hello: a node says what it is. Its key makes it known: a new key is a new node and gets the
 * next number, which is never used again.
 */
#include <string.h>

#include "core/cmd.h"

enum { KEY_HEX_LEN = 64 };

/* In lower case only: one key has one spelling. */
static bool is_key(const char *key)
{
    uint8_t bytes[KEY_HEX_LEN / 2];
    char hex[KEY_HEX_LEN + 1];
    if (!key || str_unhex(str_from(key), bytes, sizeof bytes, NULL) != ST_OK)
        return false;
    str_hex(bytes, sizeof bytes, hex);
    return strcmp(key, hex) == 0;
}

static enum status check_facts(const struct txn *t, const Pb__NodeFacts *facts, struct fault *why)
{
    enum status s = cmd_need(facts != NULL, "facts", why);
    if (s == ST_OK && !is_key(facts->key)) {
        s = fault_set(why, ST_INVALID,
                      "facts.key: an Ed25519 public key is %d lower-case hex digits", KEY_HEX_LEN);
        fault_field(why, "facts.key");
    }
    if (s == ST_OK && facts->feature_level_max < cluster_level(t->c)) {
        s = fault_set(why, ST_UNSUPPORTED,
                      "the cluster is at feature level %" PRIu32 ", the node knows up to %" PRIu32,
                      cluster_level(t->c), facts->feature_level_max);
        fault_field(why, "facts.feature_level_max");
        fault_hint(why, "install a newer blixard on the node");
    }
    return s;
}

static void set_facts(Pb__Node *node, const Pb__NodeFacts *facts)
{
    if (node->facts)
        proto_free(&node->facts->base);
    node->facts = (Pb__NodeFacts *)(void *)proto_copy(&facts->base);
}

static enum status add_node(struct txn *t, const Pb__CmdNodeHello *m, struct fault *why)
{
    enum status s = cmd_new_uid(t, m->uid, "uid", why);
    if (s == ST_OK)
        s = txn_room(t, OBJECT_NODE, why);
    if (s == ST_OK && t->node_number_last == UINT32_MAX)
        s = fault_set(why, ST_LIMIT, "all node numbers were given");
    if (s != ST_OK)
        return s;
    Pb__Node *node = (Pb__Node *)(void *)proto_new(&pb__node__descriptor);
    node->meta = (Pb__Meta *)(void *)proto_new(&pb__meta__descriptor);
    proto_set(&node->meta->uid, m->uid);
    proto_set(&node->meta->name, m->name);
    PROTO_SET(node, number, ++t->node_number_last);
    set_facts(node, m->facts);
    struct object *o = txn_put(t, OBJECT_NODE, &node->base);
    txn_event(t, "node.joined", o, "number %" PRIu32, node->number);
    txn_result(t, m->uid);
    return ST_OK;
}

static void change_node(struct txn *t, const struct object *known, const Pb__CmdNodeHello *m)
{
    Pb__Node *node = (Pb__Node *)(void *)proto_copy(&object_node(known)->base);
    bool renamed = strcmp(node->meta->name, m->name) != 0;
    proto_set(&node->meta->name, m->name);
    set_facts(node, m->facts);
    struct object *o = txn_put(t, OBJECT_NODE, &node->base);
    if (renamed)
        txn_event(t, "node.renamed", o, "it was %s", object_name(known));
    txn_event(t, "node.started", o, "version %s",
              m->facts->version ? m->facts->version : "unknown");
    txn_result(t, node->meta->uid);
}

enum status cmd_node_hello(struct txn *t, const Pb__CmdNodeHello *m, struct fault *why)
{
    enum status s = cmd_need(m->name != NULL, "name", why);
    if (s == ST_OK)
        s = check_facts(t, m->facts, why);
    if (s != ST_OK)
        return s;
    struct object *known = cluster_node_by_key(t->c, m->facts->key);
    if (!known)
        return add_node(t, m, why);
    change_node(t, known, m);
    return ST_OK;
}
