#include "ops/run.h"

/* --- checks --- */

struct check {
    const char *name;
    bool (*holds)(const struct ops *o, struct buf *why); /* why: what is lacking */
};

static bool not_dead(const struct ops *o, struct buf *why)
{
    const struct fault *dead = node_dead(o->node);
    if (dead)
        buf_text(why, dead->text);
    return !dead;
}

static bool has_leader(const struct ops *o, struct buf *why)
{
    struct node_view v = node_view(o->node);
    if (v.raft.leader == 0)
        buf_text(why, "no leader is known");
    return v.raft.leader != 0;
}

static bool is_member(const struct ops *o, struct buf *why)
{
    bool member = node_number(o->node) != 0;
    if (!member)
        buf_text(why, "the node is not in the cluster yet");
    return member;
}

static bool has_looked(const struct ops *o, struct buf *why)
{
    struct node_view v = node_view(o->node);
    if (!v.reconciled)
        buf_fmt(why, "VMs of before are still being looked for%s%s", v.look_trouble[0] ? ": " : "",
                v.look_trouble);
    return v.reconciled;
}

static const struct check live[] = {{"node", not_dead}};
static const struct check ready[] = {
    {"node", not_dead}, {"leader", has_leader}, {"member", is_member}, {"vms", has_looked}};

/* "ok", or what fails; with ?verbose a line for each check. */
static void answer(struct op_run *r, const struct check *check, size_t count)
{
    bool verbose = query_get(&r->query, "verbose") != NULL, all = true;
    struct buf *out = &r->answer.body;
    for (size_t i = 0; i < count; i++) {
        AUTO(buf_done) struct buf why;
        buf_init(&why, FAULT_TEXT_MAX);
        bool holds = check[i].holds(r->ops, &why);
        all = all && holds;
        if (verbose || !holds)
            buf_fmt(out, "[%c] %s%s%s\n", holds ? '+' : '-', check[i].name, holds ? "" : ": ",
                    buf_cstr(&why));
    }
    buf_text(out, all ? "ok\n" : "not ok\n");
    run_body(r, all ? 200 : 503, "text/plain; charset=utf-8");
}

void health_op_live(struct op_run *r)
{
    answer(r, live, ARRAY_COUNT(live));
}

void health_op_ready(struct op_run *r)
{
    answer(r, ready, ARRAY_COUNT(ready));
}

/* --- metrics --- */

void health_op_metrics(struct op_run *r)
{
    const struct ops_config *c = &r->ops->config;
    struct fault why;
    if (!c->metrics) {
        (void)fault_set(&why, ST_UNSUPPORTED, "this node has no metrics");
        run_fail(r, &why);
        return;
    }
    c->metrics(c->metrics_ctx, r->open_metrics, &r->answer.body);
    run_body(r, 200,
             r->open_metrics ? OPS_OPEN_METRICS "; version=1.0.0; charset=utf-8"
                             : "text/plain; version=0.0.4; charset=utf-8");
}
