/*
 * node token: a ticket with which one machine may join. The state gets the public key alone; the seed is
 * in the answer, and nowhere else.
 */
#include <string.h>

#include "crypto/ticket.h"
#include "ops/run.h"
#include "wire/proto.h"

_Static_assert((int)KEY_PUBLIC_SIZE == (int)TOKEN_KEY_SIZE, "what is kept is the public key");

/* Is this a place that another machine can dial? A node may say that it listens on all addresses. */
static bool can_dial(const struct ip_endpoint *at)
{
    static const uint8_t all[sizeof at->ip.byte] = {0};
    return memcmp(at->ip.byte, all, sizeof all) != 0;
}

/* Add what the node says of where it is reached, so many of its addresses at most. */
static void add_node(struct ticket *t, const Pb__Node *node, size_t max)
{
    for (size_t i = 0; i < node->facts->n_addresses && max > 0; i++) {
        struct ticket_address a;
        if (t->address_count == TICKET_ADDRESSES_MAX)
            return;
        if (!ip_endpoint_parse(str_from(node->facts->addresses[i]), &a.at) || !can_dial(&a.at) ||
            str_unhex(str_from(node->facts->key), a.key, sizeof a.key, NULL) != ST_OK)
            continue;
        t->address[t->address_count++] = a;
        max--;
    }
}

/* This node first, then others, so that the ticket is good for something when this one is down. */
static enum status add_addresses(const struct op_run *r, struct ticket *t, struct fault *why)
{
    const struct object *self = cluster_node(run_cluster(r), node_number(r->ops->node));
    if (!self)
        return fault_set(why, ST_UNAVAILABLE, "the node is not in the cluster yet");
    add_node(t, object_node(self), 1);
    if (t->address_count == 0)
        return fault_set(why, ST_PRECONDITION,
                         "this node listens on no address for nodes; set cluster.listen");
    MAP_EACH(cluster_table(run_cluster(r), OBJECT_NODE), uid, other)
        if (other != self)
            add_node(t, object_node(other), 1);
    return ST_OK;
}

static void name_cluster(const struct op_run *r, struct ticket *t)
{
    MAP_EACH(cluster_table(run_cluster(r), OBJECT_CLUSTER), uid, cluster) {
        (void)cluster;
        enum status s = str_unhex(uid, t->cluster, sizeof t->cluster, NULL);
        ensure(s == ST_OK);
    }
}

/* Draw id and seed; ret_key is of the seed. */
static void draw(struct op_run *r, struct ticket *t, struct key *ret_key)
{
    struct entropy *e = node_entropy(r->ops->node);
    uint8_t id[TOKEN_ID_RANDOM_SIZE];
    e->fill(e, id, sizeof id);
    token_make_id(id, t->token_id);
    secret_init(&t->seed, KEY_SEED_SIZE);
    e->fill(e, t->seed.ptr, KEY_SEED_SIZE);
    key_init(ret_key, t->seed.ptr);
}

void node_op_token(struct op_run *r)
{
    const Pb__NodeTokenRequest *q = (const Pb__NodeTokenRequest *)r->request;
    AUTO(ticket_done) struct ticket t = {0};
    AUTO(key_done) struct key key = {0};
    char uid[OBJECT_UID_MAX], name[32];
    struct fault why;
    if (add_addresses(r, &t, &why) != ST_OK) {
        run_fail(r, &why);
        return;
    }
    name_cluster(r, &t);
    draw(r, &t, &key);
    ticket_encode(&t, &r->secret);
    run_uid(r, uid);
    (void)snprintf(name, sizeof name, "join-%.12s", uid);
    Pb__Token token = PB__TOKEN__INIT;
    token.id = t.token_id;
    token.node_name = q->name;
    PROTO_SET(&token, kind, PB__TOKEN_KIND__TOKEN_JOIN);
    token.has_join_key = true;
    token.join_key = (ProtobufCBinaryData){sizeof key.public, key.public};
    token_propose(r, &token, name, q->ttl_ms);
}
