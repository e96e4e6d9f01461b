/*
 * links_join: machines that want to become nodes.
 *
 * Whoever is asked binds the request to the session it came in, and has the leader judge it: only the leader's state
 * surely knows the token. What makes it a node is one command, which uses the token up. Who comes again, since the
 * answer was lost, has shown in the handshake to hold the key of a node that is there, and is answered as before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/links_state.h"
#include "quic/udp.h"
#include "wire/check.h"
#include "wire/proto.h"

enum {
    REQUEST_MAX = 16 << 10, /* bytes */
    DIAL_MS = 3000,         /* for one address */
    PAUSE_MS = 300,         /* between two rounds of all */
};

/* A machine that waits to be told. */
struct join_call {
    struct list item;
    struct links *links;
    struct rpc_call *call;
    uint8_t key[KEY_PUBLIC_SIZE];
};

static struct join_call *join_new(struct links *l, struct rpc_call *c)
{
    struct join_call *j = NEW(struct join_call);
    j->links = l;
    j->call = c;
    list_push(&l->joins, &j->item);
    return j;
}

/* It is no more after this. */
static void join_answer(struct join_call *j, enum status s, const struct fault *why,
                        struct str bytes)
{
    struct rpc_call *c = j->call;
    list_cut(&j->item);
    free(j);
    rpc_answer(c, s, why, bytes);
}

static void join_refuse(struct join_call *j, const struct fault *why)
{
    join_answer(j, why->status, why, STR(""));
}

static void join_gone(void *ctx, struct rpc_call *c, enum status why)
{
    struct links *l = ctx;
    (void)why;
    LIST_EACH(it, &l->joins) {
        struct join_call *j = CONTAINER_OF(it, struct join_call, item);
        if (j->call != c)
            continue;
        if (l->node)
            node_forget(l->node, j);
        links_ask_forget(l, j);
        list_cut(&j->item);
        free(j);
    }
}

/* --- as the leader --- */

static const Pb__Cluster *find_cluster(const struct links *l)
{
    MAP_EACH(cluster_table(node_cluster(l->node), OBJECT_CLUSTER), uid, value)
        return object_cluster(value);
    return NULL;
}

static Pb__JoinPeer *peer_of(const Pb__Node *n)
{
    Pb__JoinPeer *p = (Pb__JoinPeer *)(void *)proto_new(&pb__join_peer__descriptor);
    PROTO_SET(p, number, n->number);
    proto_set(&p->key, n->facts->key);
    p->n_addresses = n->facts->n_addresses;
    p->addresses = NEW_ARRAY(char *, MAX(p->n_addresses, 1));
    for (size_t i = 0; i < p->n_addresses; i++)
        p->addresses[i] = mem_strdup(n->facts->addresses[i]);
    return p;
}

Pb__Membership *links_membership_of(const struct links *l, const Pb__Node *self)
{
    const struct map *nodes = cluster_table(node_cluster(l->node), OBJECT_NODE);
    const Pb__Cluster *cluster = find_cluster(l);
    Pb__Membership *m = (Pb__Membership *)(void *)proto_new(&pb__membership__descriptor);
    proto_set(&m->cluster, cluster->meta->uid);
    proto_set(&m->cluster_name, cluster->meta->name);
    PROTO_SET(m, number, self->number);
    m->peers = NEW_ARRAY(Pb__JoinPeer *, MAX(cluster_count(node_cluster(l->node), OBJECT_NODE), 1));
    MAP_EACH(nodes, uid, value) {
        const Pb__Node *n = object_node(value);
        if (n->number != self->number && n->facts)
            m->peers[m->n_peers++] = peer_of(n);
    }
    return m;
}

static void enrolled(void *ctx, enum status s, const struct fault *why,
                     const struct apply_result *r)
{
    struct join_call *j = ctx;
    char hex[KEY_HEX_MAX];
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, LINKS_MEMBERSHIP_MAX);
    if (s != ST_OK || r->status != ST_OK) {
        join_refuse(j, s != ST_OK ? why : &r->why);
        return;
    }
    str_hex(j->key, sizeof j->key, hex);
    struct object *node = cluster_node_by_key(node_cluster(j->links->node), hex);
    struct fault gone;
    if (!node) {
        (void)fault_set(&gone, ST_UNAVAILABLE, "the node was removed again at once");
        join_refuse(j, &gone);
        return;
    }
    AUTO(auto_proto_free) Pb__Membership *m = links_membership_of(j->links, object_node(node));
    proto_pack(&m->base, &bytes);
    struct fault big;
    s = buf_status(&bytes, &big);
    join_answer(j, s, s == ST_OK ? NULL : &big, buf_view(&bytes));
}

static bool is_signature(bool has, ProtobufCBinaryData b)
{
    return has && b.len == KEY_SIGNATURE_SIZE;
}

/* Does it hold the secret of a token that is there? One answer to all that is wrong: who guesses learns nothing. */
static enum status check_proofs(const struct links *l, const Pb__JoinRelay *m, struct fault *why)
{
    const Pb__JoinRequest *q = m->request;
    const struct cluster *c = node_cluster(l->node);
    struct ticket_claim claim = {.name = str_from(q->name)};
    const struct object *token = q->token_id ? cluster_token_by_id(c, q->token_id) : NULL;
    const Pb__Token *t = token ? object_token(token) : NULL;
    if (cluster_node_by_key(c, q->facts->key))
        return ST_OK; /* the handshake has shown that it is that node */
    memcpy(claim.exporter, m->exporter.data, sizeof claim.exporter);
    memcpy(claim.node_key, m->key.data, sizeof claim.node_key);
    enum status s =
        str_unhex(str_from(find_cluster(l)->meta->uid), claim.cluster, sizeof claim.cluster, NULL);
    if (s == ST_OK && t && t->kind == PB__TOKEN_KIND__TOKEN_JOIN &&
        t->join_key.len == KEY_PUBLIC_SIZE &&
        ticket_proven(t->join_key.data, &claim, q->token_proof.data) &&
        ticket_proven(claim.node_key, &claim, q->node_proof.data))
        return ST_OK;
    s = fault_set(why, ST_DENIED,
                  "the ticket is not good: it was used, has expired, or was never made");
    fault_hint(why, "make another: blixard node token");
    return s;
}

static enum status check_relay(const struct links *l, const Pb__JoinRelay *m, struct fault *why)
{
    const Pb__JoinRequest *q = m->request;
    char hex[KEY_HEX_MAX];
    if (!q || !q->name || !q->facts || !q->facts->key || m->exporter.len != TICKET_EXPORTER_SIZE ||
        m->key.len != KEY_PUBLIC_SIZE || !is_signature(q->has_token_proof, q->token_proof) ||
        !is_signature(q->has_node_proof, q->node_proof))
        return fault_set(why, ST_INVALID, "that is no request to join");
    str_hex(m->key.data, m->key.len, hex);
    if (strcmp(hex, q->facts->key) != 0)
        return fault_set(why, ST_INVALID, "it asks for another key than its own to be let in");
    if (!find_cluster(l))
        return fault_set(why, ST_UNAVAILABLE, "there is no cluster yet");
    return check_proofs(l, m, why);
}

static enum status propose(struct join_call *j, const Pb__JoinRequest *q, struct fault *why)
{
    struct links *l = j->links;
    uint8_t dice[(OBJECT_UID_MAX - 1) / 2];
    char uid[OBJECT_UID_MAX], actor[80];
    l->config.entropy->fill(l->config.entropy, dice, sizeof dice);
    str_hex(dice, sizeof dice, uid);
    (void)snprintf(actor, sizeof actor, "node/%s", q->name);
    Pb__CmdNodeEnroll enroll = PB__CMD_NODE_ENROLL__INIT;
    enroll.token_id = q->token_id;
    enroll.uid = uid;
    enroll.name = q->name;
    enroll.facts = q->facts;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_NODE_ENROLL;
    cmd.node_enroll = &enroll;
    cmd.actor = actor;
    return node_propose(l->node, &cmd, l->config.clock->now_ms(l->config.clock) + LINKS_RELAY_MS,
                        enrolled, j, why);
}

static void judge(struct join_call *j, const Pb__JoinRelay *m)
{
    struct fault why;
    enum status s = check_relay(j->links, m, &why);
    if (s == ST_OK) {
        memcpy(j->key, m->key.data, sizeof j->key);
        s = propose(j, m->request, &why);
    }
    if (s != ST_OK)
        join_refuse(j, &why);
}

static void relay_called(void *ctx, struct rpc_call *c)
{
    struct links *l = ctx;
    ProtobufCMessage *m = NULL;
    struct fault why;
    enum status s = l->node ? ST_OK : fault_set(&why, ST_UNAVAILABLE, "the node is not ready");
    if (s == ST_OK)
        s = check_unpack(&pb__join_relay__descriptor, rpc_call_body(c), REQUEST_MAX, &m, &why);
    if (s == ST_OK)
        judge(join_new(l, c), (const Pb__JoinRelay *)m);
    else
        rpc_answer(c, s, &why, STR(""));
    proto_free(m);
}

/* --- as who is asked --- */

static void relayed(void *ctx, const struct rpc_answer *a)
{
    join_answer(ctx, a->status, a->fault, a->bytes);
}

static void pass_on(struct join_call *j, const Pb__JoinRelay *m)
{
    struct links *l = j->links;
    struct raft_view v = node_view(l->node).raft;
    struct fault why;
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, REQUEST_MAX);
    proto_pack(&m->base, &bytes);
    if (v.role == RAFT_LEADER) {
        judge(j, m);
    } else if (v.leader == 0) {
        (void)fault_set(&why, ST_UNAVAILABLE, "nobody leads the cluster now");
        join_refuse(j, &why);
    } else if (buf_status(&bytes, &why) != ST_OK) {
        join_refuse(j, &why);
    } else {
        links_ask(l, v.leader, METHOD_RELAY, LINKS_RELAY_MS, LINKS_MEMBERSHIP_MAX, buf_view(&bytes),
                  relayed, j);
    }
}

static void join_called(void *ctx, struct rpc_call *c)
{
    struct links *l = ctx;
    ProtobufCMessage *m = NULL;
    struct fault why;
    uint8_t exporter[TICKET_EXPORTER_SIZE], key[KEY_PUBLIC_SIZE];
    memcpy(key, rpc_call_peer(c), sizeof key);
    enum status s = l->node ? ST_OK : fault_set(&why, ST_UNAVAILABLE, "the node is not ready");
    if (s == ST_OK)
        s = check_unpack(&pb__join_request__descriptor, rpc_call_body(c), REQUEST_MAX, &m, &why);
    if (s == ST_OK)
        s = quic_conn_export(rpc_call_conn(c), STR(TICKET_EXPORTER_LABEL), exporter,
                             sizeof exporter, &why);
    if (s == ST_OK) {
        Pb__JoinRelay relay = PB__JOIN_RELAY__INIT;
        relay.request = (Pb__JoinRequest *)m;
        relay.has_exporter = relay.has_key = true;
        relay.exporter = (ProtobufCBinaryData){sizeof exporter, exporter};
        relay.key = (ProtobufCBinaryData){sizeof key, key};
        pass_on(join_new(l, c), &relay);
    } else {
        rpc_answer(c, s, &why, STR(""));
    }
    proto_free(m);
}

/* --- as who wants to join --- */

struct joining {
    struct quic_conn *conn; /* NULL once it is closed */
    bool open, answered;
    struct fault why;
    enum status status;
    Pb__Membership *told;
};

/* Of connections that others dialled there is none. */
void links_join_opened(void *ctx, struct quic_conn *c)
{
    struct joining *j = quic_conn_ctx(c);
    (void)ctx;
    if (j)
        j->open = true;
}

void links_join_closed(void *ctx, struct quic_conn *c, const struct quic_end *end)
{
    struct joining *j = quic_conn_ctx(c);
    (void)ctx;
    if (!j)
        return;
    j->conn = NULL;
    if (!j->answered)
        j->status = fault_set(&j->why, end->status == ST_OK ? ST_UNAVAILABLE : end->status, "%s",
                              end->text);
}

static void join_told(void *ctx, struct rpc_ask *a, const struct rpc_answer *answer)
{
    struct joining *j = ctx;
    ProtobufCMessage *m = NULL;
    (void)a;
    j->answered = true;
    j->status = answer->status;
    if (answer->status != ST_OK) {
        j->why = *answer->fault;
        return;
    }
    j->status =
        check_unpack(&pb__membership__descriptor, answer->bytes, LINKS_MEMBERSHIP_MAX, &m, &j->why);
    j->told = (Pb__Membership *)m;
}

static void prove(const struct links *l, const struct ticket *t, const uint8_t *exporter,
                  Pb__JoinRequest *q, uint8_t proofs[2][KEY_SIGNATURE_SIZE])
{
    AUTO(key_done) struct key secret = {0};
    struct ticket_claim claim = {.name = str_from(q->name)};
    key_init(&secret, t->seed.ptr);
    memcpy(claim.exporter, exporter, sizeof claim.exporter);
    memcpy(claim.node_key, l->config.key->public, sizeof claim.node_key);
    memcpy(claim.cluster, t->cluster, sizeof claim.cluster);
    ticket_prove(&secret, &claim, proofs[0]);
    ticket_prove(l->config.key, &claim, proofs[1]);
    q->has_token_proof = q->has_node_proof = true;
    q->token_proof = (ProtobufCBinaryData){KEY_SIGNATURE_SIZE, proofs[0]};
    q->node_proof = (ProtobufCBinaryData){KEY_SIGNATURE_SIZE, proofs[1]};
}

static enum status ask(struct links *l, struct joining *j, const struct ticket *t,
                       Pb__JoinRequest *q, struct fault *why)
{
    static const struct rpc_ask_events events = {.answered = join_told};
    uint8_t exporter[TICKET_EXPORTER_SIZE], proofs[2][KEY_SIGNATURE_SIZE];
    struct rpc_ask *a;
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, REQUEST_MAX);
    enum status s =
        quic_conn_export(j->conn, STR(TICKET_EXPORTER_LABEL), exporter, sizeof exporter, why);
    if (s != ST_OK)
        return s;
    prove(l, t, exporter, q, proofs);
    proto_pack(&q->base, &bytes);
    s = buf_status(&bytes, why);
    rpc_step(l->join, links_now_ms());
    return s != ST_OK ? s
                      : rpc_ask(l->join, j->conn,
                                &(struct rpc_request){.method = METHOD_JOIN,
                                                      .timeout_ms = LINKS_RELAY_MS,
                                                      .answer_max = LINKS_MEMBERSHIP_MAX,
                                                      .body = buf_view(&bytes)},
                                &events, j, &a, why);
}

/* Let things happen until `done`, it failed, or the time is over. */
static enum status turn_until(struct links *l, const bool *done, const struct joining *j,
                              uint64_t until_ms, struct fault *why)
{
    while (!*done && j->conn) {
        uint64_t now_ms = links_now_ms();
        if (now_ms >= until_ms)
            return fault_set(why, ST_TIMEOUT, "no answer in time");
        enum status s = loop_turn(l->config.loop, until_ms - now_ms, why);
        if (s != ST_OK)
            return s;
    }
    if (*done)
        return ST_OK;
    *why = j->why;
    return j->status;
}

static enum status try_address(struct links *l, const struct ticket *t,
                               const struct ticket_address *at, Pb__JoinRequest *q,
                               Pb__Membership **ret, struct fault *why)
{
    struct quic_addr remote = {.ip = at->at.ip, .port = at->at.port};
    struct joining j = {0};
    uint64_t now_ns = udp_now_ns();
    enum status s = mesh_dial(l->mesh, LINKS_JOIN, at->key, &remote, &j, now_ns, &j.conn, why);
    if (s == ST_OK)
        s = turn_until(l, &j.open, &j, links_now_ms() + DIAL_MS, why);
    if (s == ST_OK)
        s = ask(l, &j, t, q, why);
    if (s == ST_OK)
        s = turn_until(l, &j.answered, &j, links_now_ms() + LINKS_RELAY_MS, why);
    if (s == ST_OK && j.status != ST_OK) {
        *why = j.why;
        s = j.status;
    }
    if (j.conn) {
        quic_conn_set_ctx(j.conn, NULL);
        quic_conn_close(j.conn, 0);
    }
    *ret = j.told;
    return s;
}

/* Another address, or a later moment, may answer otherwise. */
static bool may_pass(enum status s)
{
    return s == ST_UNAVAILABLE || s == ST_TIMEOUT || s == ST_NOT_LEADER || s == ST_LIMIT;
}

static enum status check_cluster(const struct ticket *t, Pb__Membership *m, struct fault *why)
{
    uint8_t uid[TICKET_CLUSTER_SIZE];
    if (m->cluster && m->number > 0 &&
        str_unhex(str_from(m->cluster), uid, sizeof uid, NULL) == ST_OK &&
        memcmp(uid, t->cluster, sizeof uid) == 0)
        return ST_OK;
    return fault_set(why, ST_INVALID, "what answered is not of the ticket's cluster");
}

enum status links_join(struct links *l, const struct ticket *t, const char *name,
                       const Pb__NodeFacts *facts, Pb__Membership **ret, struct fault *why)
{
    char token_id[TOKEN_ID_LEN + 1], own_name[TICKET_NAME_MAX + 1];
    uint64_t until_ms = links_now_ms() + LINKS_JOIN_MS;
    (void)snprintf(token_id, sizeof token_id, "%s", t->token_id);
    (void)snprintf(own_name, sizeof own_name, "%s", name);
    AUTO(auto_proto_free)
    Pb__NodeFacts *own_facts = (Pb__NodeFacts *)(void *)proto_copy(&facts->base);
    Pb__JoinRequest q = PB__JOIN_REQUEST__INIT;
    q.token_id = token_id;
    q.name = own_name;
    q.facts = own_facts;
    for (size_t i = 0;; i = (i + 1) % t->address_count) {
        enum status s = try_address(l, t, &t->address[i], &q, ret, why);
        if (s == ST_OK)
            return check_cluster(t, *ret, why);
        if (!may_pass(s) || links_now_ms() >= until_ms)
            return s;
        if (i + 1 == t->address_count && loop_turn(l->config.loop, PAUSE_MS, why) != ST_OK)
            return why->status;
    }
}

/* --- life --- */

void links_join_init(struct links *l)
{
    l->rpc_methods[1] = (struct rpc_method){
        .number = METHOD_RELAY,
        .name = "join relay",
        .body_max = REQUEST_MAX,
        .answer_max = LINKS_MEMBERSHIP_MAX,
        .concurrent_max = 16,
        .called = relay_called,
        .gone = join_gone,
        .ctx = l,
    };
    l->join_methods[0] = (struct rpc_method){
        .number = METHOD_JOIN,
        .name = "join",
        .body_max = REQUEST_MAX,
        .answer_max = LINKS_MEMBERSHIP_MAX,
        .concurrent_max = 1,
        .per_s = 5,
        .called = join_called,
        .gone = join_gone,
        .ctx = l,
    };
}

void links_join_end(struct links *l)
{
    struct fault why;
    (void)fault_set(&why, ST_UNAVAILABLE, "the daemon stops");
    while (!list_empty(&l->joins)) {
        struct join_call *j = CONTAINER_OF(l->joins.next, struct join_call, item);
        links_ask_forget(l, j);
        join_refuse(j, &why);
    }
}
