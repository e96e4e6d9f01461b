/*
 * restore: a peer's snapshot is durable, and takes the place of the state.
 *
 * Whatever was derived from the old one follows the new one. The old one is freed a piece at a time.
 */
#include <stdlib.h>

#include "node/state.h"

enum { FREE_STEP_MAX = 128 };

/* What waits for entries that the snapshot took the place of. */
static void tell_waiters(struct node *n, uint64_t index)
{
    struct fault why;
    inflight_passed(&n->inflight, UINT64_MAX);
    (void)fault_set(&why, ST_UNAVAILABLE,
                    "the node got the state of another; the command may be applied in it");
    for (struct waiter *x; (x = waiters_take(&n->proposals, index));) {
        x->done(x->ctx, ST_UNAVAILABLE, &why, NULL);
        free(x);
    }
    n->truncations = UINT64_MAX; /* and what came after it may be cut */
    node_tell_lost(n);
}

static void tell_watches(struct node *n)
{
    LIST_EACH(it, &n->watches) {
        struct node_watch *w = CONTAINER_OF(it, struct node_watch, item);
        if (w->restored)
            w->restored(w);
    }
}

static void swap(struct node *n)
{
    struct node_fetch *f = &n->fetch;
    if (!f->cluster) /* a witness has none */
        return;
    struct cluster *old = n->cluster;
    n->cluster = f->cluster;
    f->cluster = old;
}

static void restore(struct node *n)
{
    struct node_fetch *f = &n->fetch;
    struct node_snapshot *s = &n->snapshot;
    uint64_t index = f->index;
    raft_restore(n->raft, &(struct raft_snapshot){index, f->term, &f->in.head.members});
    swap(n);
    n->apply_to = index;
    n->command_index = s->done_index = index;
    n->command_term = f->term;
    s->done_bytes = f->offset;
    s->done_from_bytes = n->command_bytes;
    n->restores++;
    node_fetch_end(n);
    node_hash_applied(n, index);
    reconcile_restored(n);
    images_restored(n);
    tell_waiters(n, index);
    tell_watches(n);
}

/* The C library puts small blocks aside, and tidies up all of them when it is next asked for a large one: after so
 * many objects that alone would take a tenth of a second. So it is asked for one each time. */
static void free_some(struct node *n)
{
    enum { LARGE = 4096 };
    if (cluster_free_some(n->old, FREE_STEP_MAX))
        n->old = NULL;
    free(mem_new(LARGE));
}

void node_restore_step(struct node *n)
{
    if (n->old)
        free_some(n);
    if (n->fetch.durable)
        restore(n);
    if (n->old)
        n->busy = true;
}
