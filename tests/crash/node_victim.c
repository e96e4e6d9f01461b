/*
 * node_victim: a whole node on the real journal and disk that gives tenants other titles until it is
 * killed.
 *
 * usage: node_victim DIRECTORY FIRST    the first number to be asked for
 */
#include <stdio.h>
#include <stdlib.h>

#include "crash/node_told.h"
#include "crash/tell.h"
#include "support/real_node.h"

enum { OUTSTANDING_MAX = 16, EARLY_MAX = 4096, SNAPSHOT_ENTRIES = 60, TRAILING_ENTRIES = 20 };

struct life {
    struct real_node real;
    struct node_watch watch;
    uint64_t number; /* the next one */
    uint64_t asked[OUTSTANDING_MAX];
    bool serves;
    struct node_applied early[EARLY_MAX]; /* before it serves: told together */
    size_t early_count;
};

static struct life life;

static void check(enum status s, const struct fault *why)
{
    if (s != ST_OK)
        tell_refused(why);
}

static struct node_applied state_after(uint64_t index)
{
    return (struct node_applied){index, cluster_hash(node_cluster(life.real.node))};
}

static void tell_applied(void)
{
    tell(NODE_APPLIED, life.early, life.early_count * sizeof life.early[0]);
    life.early_count = 0;
}

static void on_applied(struct node_watch *w, const struct apply_result *r)
{
    (void)w;
    life.early[life.early_count++] = state_after(r->index);
    if (life.serves || life.early_count == EARLY_MAX)
        tell_applied();
}

static void uid_of(uint64_t tenant, char out[OBJECT_UID_MAX])
{
    (void)snprintf(out, OBJECT_UID_MAX, "%032" PRIx64, tenant + 1);
}

static void on_done(void *ctx, enum status s, const struct fault *why,
                    const struct apply_result *r);

static void ask(uint64_t *slot)
{
    char uid[OBJECT_UID_MAX], title[24];
    *slot = life.number++;
    tell(NODE_ASKED, slot, sizeof *slot);
    uid_of(*slot % NODE_TENANTS, uid);
    (void)snprintf(title, sizeof title, "%" PRIu64, *slot);
    real_node_put_tenant(&life.real, uid, title, on_done, slot);
}

static void on_done(void *ctx, enum status s, const struct fault *why, const struct apply_result *r)
{
    uint64_t *slot = ctx;
    check(s, why);
    check(r->status, &r->why);
    tell(NODE_DONE, slot, sizeof *slot);
    ask(slot);
}

static void tell_titles(void)
{
    struct node_serves told = {
        .last = state_after(cluster_index(node_cluster(life.real.node))),
        .snapshot_index = node_view(life.real.node).snapshot_index,
    };
    for (uint64_t i = 0; i < NODE_TENANTS; i++) {
        char uid[OBJECT_UID_MAX];
        uid_of(i, uid);
        struct object *o = cluster_find(node_cluster(life.real.node), OBJECT_TENANT, uid);
        if (o)
            told.title[i] = strtoull(object_tenant(o)->title, NULL, 10);
    }
    tell(NODE_SERVES, &told, sizeof told);
}

int main(int argc, char **argv)
{
    struct fault why;
    if (argc != 3)
        return 2;
    life.number = strtoull(argv[2], NULL, 10);
    life.watch.applied = on_applied;
    struct real_node_config c = {
        .segment_size = JOURNAL_SEGMENT_MIN,
        .snapshot_entries = SNAPSHOT_ENTRIES,
        .trailing_entries = TRAILING_ENTRIES,
        .watch = &life.watch,
        .check = check,
    };
    real_node_open(&life.real, argv[1], &c);
    tell_applied();
    tell_titles();
    life.serves = true;
    for (size_t i = 0; i < OUTSTANDING_MAX; i++)
        ask(&life.asked[i]);
    real_node_wake(&life.real);
    check(loop_run(life.real.loop, &why), &why);
    return 1;
}
