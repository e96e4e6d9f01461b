/*
 * delete of a node: refused while a VM or an image is on it, and of the last one. Force changes nothing: as
 * long as nobody can end what a silent machine runs, a VM of a node that was removed would run on,
 * known to nobody. The number is not given again.
 */
#include "core/cmd.h"

static const struct object *image_on(const struct cluster *c, uint32_t number)
{
    MAP_EACH(cluster_table(c, OBJECT_IMAGE), uid, value)
        if (object_image(value)->node == number)
            return value;
    return NULL;
}

static enum status check_empty(const struct txn *t, const struct object *o, bool force,
                               struct fault *why)
{
    uint32_t number = object_node(o)->number;
    const struct object *on = cluster_vm_on_node(t->c, number, "");
    if (!on)
        on = image_on(t->c, number);
    if (!on)
        return ST_OK;
    enum status s = fault_set(why, ST_PRECONDITION, "node %s still has %s %s%s", object_name(o),
                              object_kind_name(on->kind), object_name(on),
                              force ? ", which force cannot end from here" : "");
    fault_hint(why, "delete its VMs and images first, while it runs");
    return s;
}

/* From now on no new key may have a number that was given. */
static void raise_floor(struct txn *t)
{
    const struct object *old = t->c->table[OBJECT_CLUSTER].items[0];
    Pb__Cluster *cluster = (Pb__Cluster *)(void *)proto_copy(&object_cluster(old)->base);
    PROTO_SET(cluster, node_number_floor, t->node_number_last);
    (void)txn_put(t, OBJECT_CLUSTER, &cluster->base);
}

enum status cmd_delete_node(struct txn *t, struct object *o, const Pb__CmdDelete *m,
                            struct fault *why)
{
    if (cluster_count(t->c, OBJECT_NODE) == 1)
        return fault_set(why, ST_PRECONDITION, "node %s is the last one of the cluster",
                         object_name(o));
    enum status s = check_empty(t, o, m->force, why);
    if (s != ST_OK)
        return s;
    txn_remove(t, o);
    raise_floor(t);
    txn_event(t, "node.removed", o, "number %" PRIu32, object_node(o)->number);
    txn_result(t, object_uid(o));
    return ST_OK;
}
