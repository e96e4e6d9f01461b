/*
 * net: the simulated network between members. Each direction of each link has its own fate.
 */
#pragma once

#include "base/list.h"
#include "raft/raft.h"
#include "sim/sim.h"

enum { NET_MEMBERS_MAX = 64 /* numbers are below */, STALE_MS_MAX = 20000 };

struct net_faults {
    uint32_t loss, twice, late; /* per mille of messages */
    uint32_t us_min, us_max;    /* of a usual one */
    uint32_t late_ms;           /* at most, of a late one */
    uint32_t in_order;          /* 1: as a stream would give them */
    uint32_t stale; /* per mille of messages that come once more, up to STALE_MS_MAX later */
};

struct net {
    struct sim *sim;
    struct rng rng;
    struct net_faults faults;
    bool cut[NET_MEMBERS_MAX][NET_MEMBERS_MAX];         /* from, to */
    uint32_t slow_us[NET_MEMBERS_MAX][NET_MEMBERS_MAX]; /* what it takes longer */
    uint64_t newest_us[NET_MEMBERS_MAX][NET_MEMBERS_MAX];
    struct list flight;
    void (*deliver)(void *ctx, const struct raft_message *m, uint64_t sent_us);
    /* How each message ends, before that; NULL: nobody wants to know. */
    void (*watch)(void *ctx, const struct raft_message *m, uint64_t sent_us, bool lost);
    void (*deliver_bytes)(void *ctx, uint32_t from, uint32_t to, struct str bytes);
    void *ctx;
};

void net_init(struct net *n, struct sim *s,
              void (*deliver)(void *ctx, const struct raft_message *m, uint64_t sent_us),
              void *ctx);
void net_done(struct net *n);
/* m is copied, its entries referenced. */
void net_send(struct net *n, const struct raft_message *m);
/* The same for bytes, which are copied, and come by deliver_bytes(). */
void net_send_bytes(struct net *n, uint32_t from, uint32_t to, struct str bytes);
/* Is anything on its way, other than what is lost or comes once more, that was sent before then? */
bool net_left(const struct net *n, uint64_t before_us);
/* Cut or mend all links between the two sides: a bit for each member. */
void net_split(struct net *n, uint64_t a, uint64_t b, bool both_ways);
void net_heal(struct net *n);
/* The stream between the two breaks: what is under way there, both ways, is lost, the first of it in the middle of its
 * bytes. */
void net_reset(struct net *n, uint32_t a, uint32_t b);
