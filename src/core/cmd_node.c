/* What node_hello and node_enroll share. */
#include <string.h>

#include "base/ip.h"
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

/* One address has one spelling, too. */
static bool is_address(const char *text)
{
    struct ip_endpoint at;
    char again[IP_ENDPOINT_TEXT_MAX];
    if (!ip_endpoint_parse(str_from(text), &at))
        return false;
    ip_endpoint_format(&at, again);
    return strcmp(text, again) == 0;
}

static enum status check_addresses(const Pb__NodeFacts *facts, struct fault *why)
{
    for (size_t i = 0; i < facts->n_addresses; i++)
        if (!is_address(facts->addresses[i])) {
            enum status s = fault_set(
                why, ST_INVALID, "facts.addresses[%zu]: it is not IP:port in its short form", i);
            fault_field(why, "facts.addresses[%zu]", i);
            return s;
        }
    return ST_OK;
}

static enum status check_level(const struct txn *t, const Pb__NodeFacts *facts, struct fault *why)
{
    if (facts->feature_level_max >= cluster_level(t->c))
        return ST_OK;
    enum status s =
        fault_set(why, ST_UNSUPPORTED,
                  "the cluster is at feature level %" PRIu32 ", the node knows up to %" PRIu32,
                  cluster_level(t->c), facts->feature_level_max);
    fault_field(why, "facts.feature_level_max");
    fault_hint(why, "install a newer blixard on the node");
    return s;
}

enum status cmd_node_check(const struct txn *t, const char *name, const Pb__NodeFacts *facts,
                           struct fault *why)
{
    enum status s = cmd_need(name != NULL, "name", why);
    if (s == ST_OK)
        s = cmd_need(facts != NULL, "facts", why);
    if (s == ST_OK && !is_key(facts->key)) {
        s = fault_set(why, ST_INVALID,
                      "facts.key: an Ed25519 public key is %d lower-case hex digits", KEY_HEX_LEN);
        fault_field(why, "facts.key");
    }
    if (s == ST_OK)
        s = check_addresses(facts, why);
    return s == ST_OK ? check_level(t, facts, why) : s;
}

void cmd_node_set_facts(Pb__Node *node, const Pb__NodeFacts *facts)
{
    if (node->facts)
        proto_free(&node->facts->base);
    node->facts = (Pb__NodeFacts *)(void *)proto_copy(&facts->base);
}

enum status cmd_node_add(struct txn *t, const char *uid, const char *name,
                         const Pb__NodeFacts *facts, uint32_t number, struct object **ret,
                         struct fault *why)
{
    require(number > 0);
    enum status s = cmd_new_uid(t, uid, "uid", why);
    if (s == ST_OK)
        s = txn_room(t, OBJECT_NODE, why);
    if (s != ST_OK)
        return s;
    Pb__Node *node = (Pb__Node *)(void *)proto_new(&pb__node__descriptor);
    node->meta = (Pb__Meta *)(void *)proto_new(&pb__meta__descriptor);
    proto_set(&node->meta->uid, uid);
    proto_set(&node->meta->name, name);
    PROTO_SET(node, number, number);
    cmd_node_set_facts(node, facts);
    t->node_number_last = MAX(t->node_number_last, number);
    *ret = txn_put(t, OBJECT_NODE, &node->base);
    txn_result(t, uid);
    return ST_OK;
}
