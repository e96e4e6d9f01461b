#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "daemon/links_state.h"
#include "daemon/member.h"
#include "quic/udp.h"
#include "wire/proto.h"

enum {
    WINDOW = 8 << 20
}; /* bytes that a member may have under way to us in calls; of a stranger the first window */

uint64_t links_now_ms(void)
{
    return udp_now_ns() / UNITS_NS_PER_MS;
}

/* --- who may speak --- */

static bool read_peer(uint32_t number, const char *key, char **addresses, size_t count,
                      struct mesh_peer *ret)
{
    *ret = (struct mesh_peer){.number = number};
    if (!key || str_unhex(str_from(key), ret->key, sizeof ret->key, NULL) != ST_OK)
        return false;
    for (size_t i = 0; i < count && ret->addr_count < QUIC_POOL_ADDRS_MAX; i++)
        ret->addr_count += quic_addr_parse(str_from(addresses[i]), &ret->addrs[ret->addr_count]);
    return true;
}

/* Before the state is as new as the log: those that were known last. */
static size_t list_known(const Pb__Membership *m, struct mesh_peer *ret)
{
    size_t count = 0;
    for (size_t i = 0; m && i < m->n_peers && count < LIMIT_NODES; i++)
        count += read_peer(m->peers[i]->number, m->peers[i]->key, m->peers[i]->addresses,
                           m->peers[i]->n_addresses, &ret[count]);
    return count;
}

static size_t list_nodes(const struct links *l, struct mesh_peer *ret)
{
    size_t count = 0;
    MAP_EACH(cluster_table(node_cluster(l->node), OBJECT_NODE), uid, value) {
        const Pb__Node *n = object_node(value);
        if (count < LIMIT_NODES && n->facts)
            count += read_peer(n->number, n->facts->key, n->facts->addresses, n->facts->n_addresses,
                               &ret[count]);
    }
    return count;
}

/* At its next start the state begins with the log, of which nobody has said yet how much is committed: it must
 * find the others without it. */
static void keep_known(struct links *l)
{
    struct fault why;
    const struct object *self = cluster_node(node_cluster(l->node), node_number(l->node));
    if (!self)
        return;
    Pb__Membership *now = links_membership_of(l, object_node(self));
    if (l->known && proto_equal(&l->known->base, &now->base)) {
        proto_free(&now->base);
        return;
    }
    if (member_write(now, &why) != ST_OK)
        log_fault(l->config.log, LOG_WARN, "member.not_kept", &why);
    proto_free(l->known ? &l->known->base : NULL);
    l->known = now;
}

static void set_peers(struct links *l)
{
    struct mesh_peer *list = NEW_ARRAY(struct mesh_peer, LIMIT_NODES);
    bool current = node_number(l->node) != 0;
    size_t count = l->known && !current ? list_known(l->known, list) : list_nodes(l, list);
    mesh_set_peers(l->mesh, list, count, udp_now_ns());
    free(list);
    if (current)
        keep_known(l);
}

static void on_applied(struct node_watch *w, const struct apply_result *r)
{
    for (size_t i = 0; i < r->change_count; i++)
        if (r->changes[i].kind == OBJECT_NODE) {
            set_peers(CONTAINER_OF(w, struct links, watch));
            return;
        }
}

static void on_restored(struct node_watch *w)
{
    set_peers(CONTAINER_OF(w, struct links, watch));
}

/* --- what the mesh tells --- */

static void on_message(void *ctx, uint32_t from, struct str bytes)
{
    struct links *l = ctx;
    if (l->node)
        node_receive(l->node, from, bytes);
}

static void on_notice(void *ctx, const struct mesh_notice *n)
{
    const struct links *l = ctx;
    char from[QUIC_ADDR_TEXT_MAX];
    quic_addr_format(&n->from, from);
    LOG(l->config.log, LOG_WARN, "peer.refused", F_STR("from", from), F_U64("node", n->number),
        F_STR("protocol", n->alpn), F_U64("times", n->count), F_STR("msg", n->text));
}

static uint64_t rpc_expiry(void *ctx)
{
    const struct links *l = ctx;
    uint64_t at_ms = MIN(MIN(rpc_deadline_ms(l->rpc), rpc_deadline_ms(l->join)),
                         MIN(links_call_deadline_ms(l), l->gone_ms));
    return at_ms > UINT64_MAX / UNITS_NS_PER_MS ? UINT64_MAX : at_ms * UNITS_NS_PER_MS;
}

static void rpc_timer(void *ctx, uint64_t now_ns)
{
    struct links *l = ctx;
    rpc_step(l->rpc, now_ns / UNITS_NS_PER_MS);
    rpc_step(l->join, now_ns / UNITS_NS_PER_MS);
    links_call_step(l, now_ns / UNITS_NS_PER_MS);
    if (now_ns / UNITS_NS_PER_MS < l->gone_ms)
        return;
    l->gone_ms = UINT64_MAX;
    links_give_up(l, l->deposed, "who was asked leads no more; it may have been done");
}

static void rpc_wakes(void *ctx)
{
    struct links *l = ctx;
    if (l->mesh)
        mesh_wake(l->mesh);
}

/* --- life --- */

static struct rpc *make_rpc(struct links *l, const struct rpc_method *methods, size_t count)
{
    struct rpc_config c;
    rpc_config_init(&c);
    c.methods = methods;
    c.method_count = count;
    c.wake = rpc_wakes;
    c.wake_ctx = l;
    return rpc_new(&c, links_now_ms());
}

static void make_protocols(struct links *l)
{
    struct mesh_protocol *calls = &l->protocols[0], *joins = &l->protocols[1];
    *calls = (struct mesh_protocol){
        .alpn = LINKS_RPC,
        .grant = {.window = WINDOW, .keep_alive_ms = MESH_KEEP_ALIVE_MS}, /* calls may wait long */
        .events = rpc_events(l->rpc),
        .up = links_up,
        .down = links_down,
        .expiry = rpc_expiry,
        .timer = rpc_timer,
        .ctx = l,
    };
    *joins = (struct mesh_protocol){
        .alpn = LINKS_JOIN,
        .strangers = true,
        .grant = {.window = QUIC_FIRST_WINDOW},
        .events = &l->join_events,
    };
}

static enum status open_mesh(struct links *l, struct fault *why)
{
    struct quic_addr bind = {.ip = l->config.bind->ip, .port = l->config.bind->port};
    struct mesh_config c = {
        .key = l->config.key,
        .entropy = l->config.entropy,
        .protocols = l->protocols,
        .protocol_count = ARRAY_COUNT(l->protocols),
        .received = on_message,
        .notice = on_notice,
        .ctx = l,
    };
    l->config.entropy->fill(l->config.entropy, &c.seed, sizeof c.seed);
    return mesh_open(l->config.loop, &bind, &c, &l->mesh, why);
}

enum status links_open(const struct links_config *c, struct links **ret, struct fault *why)
{
    struct links *l = NEW(struct links);
    l->config = *c;
    l->gone_ms = UINT64_MAX;
    list_init(&l->hands);
    list_init(&l->joins);
    links_call_init(l);
    links_join_init(l);
    l->rpc = make_rpc(l, l->rpc_methods, ARRAY_COUNT(l->rpc_methods));
    l->join = make_rpc(l, l->join_methods, ARRAY_COUNT(l->join_methods));
    l->join_events = *rpc_events(l->join); /* which has no use for these two */
    l->join_events.opened = links_join_opened;
    l->join_events.closed = links_join_closed;
    make_protocols(l);
    enum status s = open_mesh(l, why);
    if (s != ST_OK) {
        links_close(l);
        return fault_wrap(why, s, "cluster.listen");
    }
    *ret = l;
    return ST_OK;
}

void links_stop(struct links *l)
{
    if (!l || !l->node)
        return;
    node_watch_cut(&l->watch);
    l->node = NULL;
    l->ops = NULL;
}

void links_close(struct links *l)
{
    if (!l)
        return;
    links_join_end(l);
    links_call_end(l);
    if (l->mesh)
        mesh_leave(l->mesh, udp_now_ns());
    rpc_free(l->rpc);
    rpc_free(l->join);
    mesh_free(l->mesh);
    proto_free(l->known ? &l->known->base : NULL);
    free(l);
}

struct ip_endpoint links_addr(const struct links *l)
{
    struct quic_addr a = mesh_addr(l->mesh);
    return (struct ip_endpoint){a.ip, a.port};
}

struct peers *links_peers(struct links *l)
{
    return mesh_peers(l->mesh);
}

struct ops_remote *links_remote(struct links *l)
{
    return &l->remote;
}

struct mesh *links_mesh(struct links *l)
{
    return l->mesh;
}

void links_look(struct links *l)
{
    if (!l || !l->node)
        return;
    uint32_t leader = node_view(l->node).raft.leader, self = node_number(l->node);
    if (leader == l->leader)
        return;
    if (l->leader && l->leader != self && l->gone_ms == UINT64_MAX) {
        l->deposed = l->leader;
        l->gone_ms = links_now_ms() + LINKS_DEPOSED_MS;
        mesh_wake(l->mesh);
    }
    l->leader = leader;
}

void links_ready(struct links *l)
{
    if (l)
        set_peers(l);
}

void links_start(struct links *l, struct node *n, struct ops *o, const Pb__Membership *known)
{
    l->node = n;
    l->ops = o;
    l->known = known ? (Pb__Membership *)(void *)proto_copy(&known->base) : NULL;
    l->watch.applied = on_applied;
    l->watch.restored = on_restored;
    node_watch_add(n, &l->watch);
    set_peers(l);
}
