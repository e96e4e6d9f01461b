/*
 * mesh_net: meshes in memory, on virtual time, over the network of quic_net.h. Each speaks messages, "blixard-rpc/1" with
 * peers and "blixard-join/1" with anybody.
 */
#pragma once

#include "mesh/mesh.h"
#include "support/quic_net.h"

struct mesh_net;
struct mesh_node;

/* What a mesh told of one of its other protocols. */
struct mesh_said {
    struct quic_conn *c; /* opened last; NULL when it ended */
    unsigned opened, closed, up, down, timed;
    enum status end;
    uint64_t code;
    void (*at_down)(struct mesh_node *x); /* NULL: nothing */
    size_t got; /* bytes in streams; each is sent back if a peer opened it */
    uint64_t expiry_ns;
};

struct mesh_node {
    struct mesh_net *net;
    struct net_node *v;
    struct mesh *m; /* NULL: it is down */
    uint32_t number;
    struct mesh_protocol protocol[2];
    struct endpoint_events events[2];
    struct mesh_said rpc, join;
    unsigned notices;
    struct mesh_notice notice; /* the last */
};

struct mesh_net {
    struct quic_net quic;
    struct mesh_node node[NET_NODES];
    size_t count;
    void (*received)(struct mesh_node *to, uint32_t from, struct str bytes);
    void *ctx;
};

/* `count` meshes with numbers from 1, that know nobody. */
void mesh_net_init(struct mesh_net *n, uint64_t seed, size_t count,
                   void (*received)(struct mesh_node *to, uint32_t from, struct str bytes));
void mesh_net_done(struct mesh_net *n);
void mesh_net_stop(struct mesh_node *x);    /* killed */
void mesh_net_restart(struct mesh_node *x); /* with its key and address, and no peers */

struct mesh_peer mesh_net_entry(const struct mesh_node *x);
/* x has for peers those whose bits are set in `who`: bit 0 is number 1. */
void mesh_net_know(struct mesh_node *x, unsigned who);
void mesh_net_know_all(struct mesh_net *n);
void mesh_net_run(struct mesh_net *n, uint64_t ms);
/* Until each has each of its peers connected; false: not within so long. */
bool mesh_net_meet(struct mesh_net *n, uint64_t within_ms);
struct mesh_peer_view mesh_net_view(const struct mesh_node *of, uint32_t number);
