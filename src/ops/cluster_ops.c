#include "ops/run.h"
#include "wire/json.h"

/* There is one cluster, or none yet. */
static struct object *find_cluster(const struct op_run *r)
{
    MAP_EACH(cluster_table(run_cluster(r), OBJECT_CLUSTER), key, value)
        return value;
    return NULL;
}

void cluster_op_show(struct op_run *r)
{
    struct object *o = find_cluster(r);
    struct fault why;
    if (o) {
        run_object(r, 200, o);
        return;
    }
    (void)fault_set(&why, ST_UNAVAILABLE, "there is no cluster yet");
    run_fail(r, &why);
}

static void put(json_t *v, const char *key, json_t *value)
{
    int failed = json_object_set_new(v, key, value);
    ensure(!failed);
}

void cluster_op_version(struct op_run *r)
{
    struct object *cluster = find_cluster(r);
    struct object *node = cluster_node(run_cluster(r), node_number(r->ops->node));
    json_t *v = json_object();
    put(v, "version", json_string(r->ops->config.version));
    put(v, "feature_level", json_integer(r->ops->config.feature_level));
    if (node)
        put(v, "node", json_string(object_meta(node)->name));
    if (cluster)
        put(v, "cluster", json_string(object_meta(cluster)->uid));
    run_json(r, 200, v);
}
