#include <string.h>

#include "ops/run.h"

/* "-" is the node that answers. */
static enum status find_node(struct op_run *r, struct object **ret, struct fault *why)
{
    if (strcmp(r->name, "-") != 0)
        return run_target(r, OBJECT_NODE, ret, why);
    *ret = cluster_node(run_cluster(r), node_number(r->ops->node));
    return *ret ? ST_OK : fault_set(why, ST_UNAVAILABLE, "the node is not in the cluster yet");
}

void node_op_show(struct op_run *r)
{
    struct object *o;
    struct fault why;
    if (find_node(r, &o, &why) != ST_OK)
        run_fail(r, &why);
    else
        run_object(r, 200, o);
}

static void shut_down(void *ctx)
{
    struct ops *o = ctx;
    o->shutting_down = false;
    LIST_EACH(it, &o->runs) {
        struct op_run *r = CONTAINER_OF(it, struct op_run, item);
        if (r->awaits_shutdown)
            run_empty(r);
    }
}

enum { LATE_MS = 30000 }; /* for kills, beyond the deadline of graceful stops */

/* Whoever asks while it is under way waits for the same end. */
void node_op_shutdown(struct op_run *r)
{
    const Pb__ShutdownRequest *q = (const Pb__ShutdownRequest *)r->request;
    struct ops *o = r->ops;
    struct object *node;
    struct fault why;
    enum status s = find_node(r, &node, &why);
    if (s == ST_OK && object_node(node)->number != node_number(o->node))
        s = fault_set(&why, ST_UNAVAILABLE, "node %s is not the one that answers", r->name);
    if (s != ST_OK) {
        run_fail(r, &why);
        return;
    }
    r->waits = r->awaits_shutdown = true;
    r->wait_until_ms = run_now_ms(r) + q->timeout_ms + LATE_MS;
    if (o->shutting_down)
        return;
    o->shutting_down = true;
    node_shutdown(o->node, run_now_ms(r) + q->timeout_ms, shut_down, o);
}
