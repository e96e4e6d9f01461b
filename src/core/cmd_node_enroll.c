/*
 * node_enroll: a machine becomes a node with the token of a ticket, which is used up by it: both in one
 * apply, so that no second one can. Who asks again with the same key and name, since the answer was
 * lost, is answered as before.
 */
#include <string.h>

#include "core/cmd.h"

/* The same words whatever is wrong with it: who guesses learns nothing. */
static enum status find_token(const struct txn *t, const char *id, struct object **ret,
                              struct fault *why)
{
    struct object *o = id ? cluster_token_by_id(t->c, id) : NULL;
    if (!o || object_token(o)->kind != PB__TOKEN_KIND__TOKEN_JOIN ||
        object_token(o)->expires_ns <= t->time_ns) {
        enum status s = fault_set(
            why, ST_DENIED, "the ticket is not good: it was used, has expired, or was never made");
        fault_hint(why, "make another: blixard node token");
        return s;
    }
    *ret = o;
    return ST_OK;
}

static enum status check_name(const Pb__Token *token, const char *name, struct fault *why)
{
    if (!token->node_name || strcmp(token->node_name, name) == 0)
        return ST_OK;
    enum status s =
        fault_set(why, ST_DENIED, "the ticket is for a node named %s", token->node_name);
    fault_field(why, "name");
    return s;
}

static enum status answer_again(struct txn *t, const struct object *node, const char *name,
                                struct fault *why)
{
    if (strcmp(object_name(node), name) == 0) {
        txn_result(t, object_uid(node));
        return ST_OK;
    }
    enum status s = fault_set(why, ST_EXISTS, "this machine is in the cluster already, as node %s",
                              object_name(node));
    fault_field(why, "name");
    return s;
}

enum status cmd_node_enroll(struct txn *t, const Pb__CmdNodeEnroll *m, struct fault *why)
{
    struct object *token = NULL, *node = NULL;
    enum status s = cmd_node_check(t, m->name, m->facts, why);
    if (s != ST_OK)
        return s;
    const struct object *known = cluster_node_by_key(t->c, m->facts->key);
    if (known)
        return answer_again(t, known, m->name, why);
    s = find_token(t, m->token_id, &token, why);
    if (s == ST_OK)
        s = check_name(object_token(token), m->name, why);
    if (s == ST_OK && t->node_number_last == UINT32_MAX)
        s = fault_set(why, ST_LIMIT, "all node numbers were given");
    if (s == ST_OK)
        s = cmd_node_add(t, m->uid, m->name, m->facts, t->node_number_last + 1, &node, why);
    if (s != ST_OK)
        return s;
    txn_remove(t, token);
    txn_event(t, "node.enrolled", node, "number %" PRIu32 ", with token %s",
              object_node(node)->number, object_name(token));
    return ST_OK;
}
