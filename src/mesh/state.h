/*
 * state: what the files of a mesh share. Nobody else includes it.
 */
#pragma once

#include "base/list.h"
#include "mesh/mesh.h"
#include "quic/udp.h"

enum { STATE_PROTOCOLS_MAX = MESH_PROTOCOLS_MAX + 1, STATE_RAFT = 0 /* the index of messages */ };

struct peer;

/* A notice of each kind: how many there were since it was told. */
struct state_notice {
    uint64_t told_ns; /* 0: never */
    uint64_t count;
};

/* What the pool knows of a peer in one protocol. */
struct state_link {
    struct peer *peer;
    size_t protocol;
    struct quic_link *link; /* NULL: its protocol is for strangers */
};

struct peer {
    struct mesh_peer is;
    struct state_link link[STATE_PROTOCOLS_MAX];
    struct mesh_peer_view count; /* its counters only */
    struct state_notice notice;
};

/* A connection that a protocol was told of, or dialled. */
struct state_conn {
    struct list item;
    struct quic_conn *c;
    size_t protocol;
    bool guest;
    struct quic_addr from;
    uint64_t since_ns, heard_ns;
};

struct mesh {
    struct mesh_config config;
    uint8_t self[KEY_PUBLIC_SIZE];
    struct endpoint_driver driver;
    struct endpoint *e;
    struct quic_pool *pool;
    struct udp *udp; /* NULL: somebody else drives it */
    struct endpoint_events events, raft_events;
    struct quic_pool_events pool_events;
    struct mesh_protocol raft;
    const struct mesh_protocol *protocol[STATE_PROTOCOLS_MAX];
    uint64_t timed_ns[STATE_PROTOCOLS_MAX]; /* its timer was told last */
    const char *alpn[STATE_PROTOCOLS_MAX];
    size_t protocol_count;
    struct peers port;
    struct peer **peer; /* by number */
    size_t peer_count;
    struct list conns, guests; /* state_conn.item */
    struct list channels;
    struct mesh_view count; /* its counters only */
    uint32_t guest_count;
    struct state_notice stranger_notice, crowded_notice;
};

/* mesh.c */
void state_notice(struct mesh *m, struct state_notice *n, const struct quic_conn *c,
                  uint32_t number, const char *text);

/* table.c */
struct peer *state_peer(const struct mesh *m, uint32_t number); /* NULL: none */
struct peer *state_peer_of(const struct mesh *m, const uint8_t key[KEY_PUBLIC_SIZE]);
/* Its index; protocol_count: none of ours. */
size_t state_protocol(const struct mesh *m, const char *alpn);
void state_table_done(struct mesh *m);

/* messages.c */
void state_messages_init(struct mesh *m);
void state_messages_done(struct mesh *m);
