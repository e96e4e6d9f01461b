/*
 * links_state: what the files of links share. Nobody outside includes it.
 */
#pragma once

#include "daemon/links.h"
#include "mesh/mesh.h"
#include "rpc/rpc.h"

#define LINKS_RPC  "blixard-rpc/1"
#define LINKS_JOIN "blixard-join/1"

/* Numbers of methods: they never change. */
enum links_method {
    METHOD_CALL = 1,  /* a HandedCall, answered by a HandedAnswer */
    METHOD_RELAY = 2, /* a JoinRelay, answered by a Membership */
    METHOD_JOIN = 1,  /* of LINKS_JOIN: a JoinRequest, answered by a Membership */
};

enum {
    LINKS_CALL_MS = 15000, /* for a call, beyond what its caller waits for */
    LINKS_RELAY_MS = 10000,
    LINKS_DEPOSED_MS = 200,          /* for who leads no more to answer what it was asked */
    LINKS_MEMBERSHIP_MAX = 64 << 10, /* bytes */
    LINKS_HANDS_MAX = 1024,          /* calls to others that are under way */
};

struct links {
    struct links_config config;
    struct mesh *mesh;
    struct mesh_protocol protocols[2];
    struct endpoint_events join_events;
    struct rpc *rpc, *join;
    struct rpc_method rpc_methods[2], join_methods[1];

    struct ops_remote remote;
    struct node *node;
    struct ops *ops;
    Pb__Membership *known; /* as it is in the file; NULL: there is none */
    struct node_watch watch;

    uint32_t leader;   /* as of the last look */
    uint32_t deposed;  /* who led before, until gone_ms: what was asked of it is given up then */
    uint64_t gone_ms;  /* UINT64_MAX: there is none */
    struct list hands; /* struct hand: calls of ours that others carry out */
    size_t hand_count;
    struct list joins; /* struct join_call: of machines that want to join */
};

uint64_t links_now_ms(void);

/* --- links_call.c --- */
void links_call_init(struct links *l);
uint64_t links_call_deadline_ms(const struct links *l); /* of what waits for a connection */
void links_call_step(struct links *l, uint64_t now_ms);
void links_call_end(struct links *l); /* who waits is told ST_UNAVAILABLE */
void links_give_up(struct links *l, uint32_t number, const char *text); /* what was asked of it */
void links_up(void *ctx, uint32_t number, struct quic_conn *c);
void links_down(void *ctx, uint32_t number, const struct quic_end *end);
/* Ask a member something else than a call of the API; told once. bytes are copied. */
typedef void links_answered(void *ctx, const struct rpc_answer *a);
void links_ask(struct links *l, uint32_t number, uint16_t method, uint32_t timeout_ms,
               uint32_t answer_max, struct str bytes, links_answered *answered, void *ctx);
/* Nothing is told any more for this ctx. */
void links_ask_forget(struct links *l, void *ctx);

/* --- links_join.c --- */
void links_join_init(struct links *l);
void links_join_end(struct links *l);
/* Which node `self` is, and where the others are; the caller's, to proto_free(). There is a cluster. */
Pb__Membership *links_membership_of(const struct links *l, const Pb__Node *self);
void links_join_opened(void *ctx, struct quic_conn *c);
void links_join_closed(void *ctx, struct quic_conn *c, const struct quic_end *end);
