/*
 * links: a daemon's ways to the other nodes of its cluster.
 *
 * Under one UDP socket: messages of consensus, calls, and machines that want to join. Who may speak is read from the
 * state after each change of its nodes, and kept in a file (member.h) for the time before there is a state.
 */
#pragma once

#include "base/config.h"
#include "crypto/ticket.h"
#include "node/node.h"
#include "ops/remote.h"
#include "os/loop.h"
#include "pb/join.pb-c.h"
#include "telemetry/log.h"

struct links;

struct links_config {
    struct loop *loop;
    struct clock *clock;
    struct entropy *entropy;
    struct logger *log;
    const struct key *key;          /* of this node; kept */
    const struct ip_endpoint *bind; /* where to listen */
};

MUST_USE enum status links_open(const struct links_config *c, struct links **ret,
                                struct fault *why);
/* The operations are freed, the node is next: it is not called any more. NULL is fine. */
void links_stop(struct links *l);
void links_close(struct links *l); /* after the node; NULL is fine */

struct ip_endpoint links_addr(const struct links *l); /* where it listens */

/*
 * Become a node of the ticket's cluster: ask each of its addresses in turn until one answers. Turns the loop
 * meanwhile, for at most LINKS_JOIN_MS.
 *
 * ret      the caller's, to proto_free().
 *
 * Returns  ST_DENIED        the ticket is not good, or who answered has another key than it says.
 *          ST_EXISTS        the name is taken.
 *          ST_UNAVAILABLE   nobody answered, or nobody leads.
 */
enum { LINKS_JOIN_MS = 20000 };
MUST_USE enum status links_join(struct links *l, const struct ticket *t, const char *name,
                                const Pb__NodeFacts *facts, Pb__Membership **ret,
                                struct fault *why);

struct peers *links_peers(struct links *l);       /* for the node */
struct ops_remote *links_remote(struct links *l); /* for its operations */

/* Speak with the others from now on. known: those that were known last, or NULL; copied. */
void links_start(struct links *l, struct node *n, struct ops *o, const Pb__Membership *known);
void links_ready(
    struct links *l); /* the node is in the state, which is as new as the log; NULL is fine */

/* After each step of the node: who leads may be another. NULL is fine. */
void links_look(struct links *l);

struct mesh *links_mesh(struct links *l);
