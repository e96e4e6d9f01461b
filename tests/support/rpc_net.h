/*
 * rpc_net: nodes that call each other, on the virtual time and the bad network of quic_net.
 */
#pragma once

#include "rpc/rpc.h"
#include "support/quic_net.h"

struct rpc_net_node {
    struct net_node *v;
    struct rpc *r;
    struct rpc_config config; /* to start it again with */
    unsigned wakes;           /* times that its deadline came nearer */
};

struct rpc_net {
    struct quic_net net;
    struct rpc_net_node node[NET_NODES];
};

void rpc_net_init(struct rpc_net *n, uint64_t seed);
void rpc_net_done(struct rpc_net *n);

/* methods are kept. `change` and `limit` may change what it is configured with. */
struct rpc_net_node *rpc_net_add(struct rpc_net *n, const struct rpc_method *methods, size_t count,
                                 void (*change)(struct endpoint_config *c),
                                 void (*limit)(struct rpc_config *c));
void rpc_net_restart(struct rpc_net_node *v); /* it forgets all but its key and address */
