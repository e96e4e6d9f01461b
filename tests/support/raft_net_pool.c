/*
 * raft_net_pool: the messages between the nodes of a raft_net, in the order they were sent.
 */
#include <stdlib.h>

#include "support/raft_net.h"
#include "support/tap.h"

enum { SETTLE_MAX = 100000 };

/* --- entries --- */

struct raft_entry net_entry_ref(const struct raft_entry *e)
{
    if (e->data)
        (void)raft_data_ref(e->data);
    return *e;
}

struct raft_entry *net_entries_copy(const struct raft_entry *e, size_t count)
{
    struct raft_entry *copy = NEW_ARRAY(struct raft_entry, count + 1);
    for (size_t i = 0; i < count; i++)
        copy[i] = net_entry_ref(&e[i]);
    return copy;
}

void net_entries_free(struct raft_entry *e, size_t count)
{
    for (size_t i = 0; i < count; i++)
        raft_data_unref(e[i].data);
    free(e);
}

/* --- messages --- */

static bool is(const struct raft_message *m, uint32_t from, uint32_t to, int type)
{
    return (!from || m->from == from) && (!to || m->to == to) &&
           (type == NET_ANY || (int)m->type == type);
}

void raft_net_send(struct net *n, const struct raft_message *m)
{
    if (n->pool_count == n->pool_room) {
        n->pool_room = MAX(2 * n->pool_room, (size_t)64);
        n->pool = mem_grow(n->pool, n->pool_room, sizeof *n->pool);
    }
    struct raft_message *own = &n->pool[n->pool_count++];
    *own = *m;
    own->entries = net_entries_copy(m->entries, m->count);
}

static void packet_free(struct raft_message *m)
{
    net_entries_free((struct raft_entry *)(uintptr_t)m->entries, m->count);
}

static struct raft_message take(struct net *n, size_t at)
{
    struct raft_message m = n->pool[at];
    memmove(&n->pool[at], &n->pool[at + 1], (--n->pool_count - at) * sizeof *n->pool);
    return m;
}

static void arrive(struct net *n, size_t at)
{
    struct raft_message m = take(n, at);
    struct net_node *x = &n->node[m.to];
    if (x->r) {
        struct fault why;
        enum status s = raft_step(x->r, &m, &why);
        if (s != ST_OK)
            tap_fail(__FILE__, __LINE__, "node %u refuses: %s", (unsigned)m.to, why.text);
        net_run(n, m.to);
    }
    packet_free(&m);
}

const struct raft_message *net_find(const struct net *n, uint32_t from, uint32_t to, int type)
{
    for (size_t i = 0; i < n->pool_count; i++)
        if (is(&n->pool[i], from, to, type))
            return &n->pool[i];
    return NULL;
}

size_t net_count(const struct net *n, uint32_t from, uint32_t to, int type)
{
    size_t count = 0;
    for (size_t i = 0; i < n->pool_count; i++)
        count += is(&n->pool[i], from, to, type);
    return count;
}

void net_deliver(struct net *n, uint32_t from, uint32_t to, int type)
{
    const struct raft_message *m = net_find(n, from, to, type);
    CHECK(m != NULL);
    arrive(n, (size_t)(m - n->pool));
}

void net_deliver_last(struct net *n, uint32_t from, uint32_t to, int type)
{
    size_t at = n->pool_count;
    while (at > 0 && !is(&n->pool[at - 1], from, to, type))
        at--;
    CHECK(at > 0);
    arrive(n, at - 1);
}

void net_replicate(struct net *n, uint32_t i, uint32_t to)
{
    net_deliver(n, i, to, RAFT_APPEND);
    net_deliver(n, to, i, RAFT_APPENDED);
}

void net_vote(struct net *n, uint32_t i, uint32_t to)
{
    net_deliver(n, i, to, RAFT_VOTE_ASK);
    net_deliver(n, to, i, RAFT_VOTE);
}

void net_double(struct net *n, uint32_t from, uint32_t to, int type)
{
    CHECK(net_find(n, from, to, type) != NULL);
    for (size_t i = 0, count = n->pool_count; i < count; i++)
        if (is(&n->pool[i], from, to, type)) {
            struct raft_message m = n->pool[i];
            raft_net_send(n, &m);
        }
}

size_t net_drop(struct net *n, uint32_t from, uint32_t to, int type)
{
    size_t dropped = 0;
    for (size_t i = 0; i < n->pool_count;) {
        if (!is(&n->pool[i], from, to, type)) {
            i++;
            continue;
        }
        struct raft_message m = take(n, i);
        packet_free(&m);
        dropped++;
    }
    return dropped;
}

void net_settle(struct net *n)
{
    size_t at = 0, steps = 0;
    while (at < n->pool_count) {
        if (n->held[n->pool[at].from][n->pool[at].to]) {
            at++;
            continue;
        }
        arrive(n, at);
        at = 0;
        CHECK(++steps < SETTLE_MAX);
    }
}

static void cut(struct net *n, uint32_t i, bool is_cut)
{
    for (uint32_t j = 1; j <= NET_NODES_MAX; j++)
        n->cut[i][j] = n->cut[j][i] = is_cut;
}

void net_isolate(struct net *n, uint32_t i)
{
    cut(n, i, true);
    (void)net_drop(n, i, 0, NET_ANY);
    (void)net_drop(n, 0, i, NET_ANY);
}

void net_rejoin(struct net *n, uint32_t i)
{
    cut(n, i, false);
}
