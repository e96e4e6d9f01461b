#include <stdlib.h>

#include "node/state.h"

enum status node_read(struct node *n, uint64_t deadline_ms, node_done *done, void *ctx,
                      struct fault *why)
{
    require(n->started);
    if (n->dead)
        return fault_set(why, ST_UNAVAILABLE, "the node has stopped: %s", n->why_dead.text);
    struct raft_read read;
    enum status s = raft_read(n->raft, &read, why);
    if (s != ST_OK)
        return s;
    ensure(raft_confirmed(n->raft, &read) == RAFT_CONFIRMED); /* by the only voter */
    if (raft_view(n->raft).applied >= read.index) {
        done(ctx, ST_OK, NULL, NULL);
        return ST_OK;
    }
    if (n->reads.count >= NODE_WAITING_MAX)
        return fault_set(why, ST_LIMIT, "%zu reads wait already", n->reads.count);
    /* Indexes only grow: the list stays in their order. */
    waiters_add(&n->reads, read.index, 0, deadline_ms, done, ctx);
    n->busy = true;
    return ST_OK;
}

void node_read_step(struct node *n)
{
    uint64_t applied = raft_view(n->raft).applied;
    for (struct waiter *x; (x = waiters_take(&n->reads, applied));) {
        x->done(x->ctx, ST_OK, NULL, NULL);
        free(x);
    }
}
