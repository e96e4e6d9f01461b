#include <stdlib.h>

#include "node/state.h"

enum status node_read(struct node *n, uint64_t deadline_ms, node_done *done, void *ctx,
                      struct fault *why)
{
    require(n->started);
    if (n->dead)
        return fault_set(why, ST_UNAVAILABLE, "the node has stopped: %s", n->why_dead.text);
    if (n->ports.peers && !node_leads(n))
        return node_not_leader(n, why);
    struct raft_read read;
    enum status s = raft_read(n->raft, &read, why);
    if (s != ST_OK)
        return s;
    bool confirmed = raft_confirmed(n->raft, &read) == RAFT_CONFIRMED; /* by the only voter */
    if (confirmed && raft_view(n->raft).applied >= read.index) {
        done(ctx, ST_OK, NULL, NULL);
        return ST_OK;
    }
    if (n->reads.count >= NODE_WAITING_MAX)
        return fault_set(why, ST_LIMIT, "%zu reads wait already", n->reads.count);
    /* Indexes only grow: the list stays in their order, and in that of terms and numbers. */
    struct waiter *x = waiters_add(&n->reads, read.index, read.term, deadline_ms, done, ctx);
    x->number = confirmed ? 0 : read.number;
    n->busy = true;
    return ST_OK;
}

/* What was asked as the leader of a term is lost with it, confirmed or not: only that made it certain that
 * nothing newer was committed. */
static enum raft_confirmed confirmed(const struct node *n, const struct waiter *x)
{
    struct raft_read read = {x->term, x->number, x->index};
    return x->number ? raft_confirmed(n->raft, &read) : RAFT_CONFIRMED;
}

void node_read_step(struct node *n)
{
    uint64_t applied = raft_view(n->raft).applied;
    struct fault why;
    for (struct waiter *x; (x = waiters_first(&n->reads));) {
        enum raft_confirmed c = confirmed(n, x);
        if (c == RAFT_CONFIRM_LOST) {
            (void)fault_set(&why, ST_UNAVAILABLE, "this node does not lead any more; ask again");
            waiters_end(&n->reads, x, ST_UNAVAILABLE, &why);
        } else if (c == RAFT_CONFIRMED && applied >= x->index) {
            waiters_end(&n->reads, x, ST_OK, NULL);
        } else {
            return;
        }
    }
}
