/*
 * recover: from what the log holds to a state that can go on.
 */
#include <stdlib.h>

#include "node/state.h"

enum { SELF = 1 }; /* the number of a node that is the only member */

static void load_hard(void *ctx, const struct log_hard *hard)
{
    struct node *n = ctx;
    n->load.hard = *hard;
}

static enum status load_snapshot(void *ctx, uint64_t index, uint64_t term, struct str chunk,
                                 bool last, struct fault *why)
{
    struct node *n = ctx;
    struct node_load *l = &n->load;
    require(!l->cluster);
    if (!l->restore)
        l->restore = cluster_restore_new_limits(&n->config.limits);
    enum status s = ST_OK;
    l->snapshot_bytes += chunk.len;
    if (chunk.len)
        s = cluster_restore_add(l->restore, chunk, why);
    if (s == ST_OK && last) {
        uint64_t inner_term;
        s = cluster_restore_end(l->restore, &l->cluster, &inner_term, why);
        l->restore = NULL;
        if (s == ST_OK && (inner_term != term || cluster_index(l->cluster) != index))
            s = fault_set(why, ST_CORRUPT, "it says that it is of entry %" PRIu64 ", term %" PRIu64,
                          cluster_index(l->cluster), inner_term);
        l->snapshot_index = index;
        l->snapshot_term = term;
    }
    if (s != ST_OK)
        return fault_wrap(why, s, "snapshot of entry %" PRIu64 ", term %" PRIu64, index, term);
    return ST_OK;
}

static enum status load_entry(void *ctx, const struct log_entry *e, struct fault *why)
{
    struct node_load *l = &((struct node *)ctx)->load;
    if (e->type >= RAFT_ENTRY_TYPE_COUNT)
        return fault_set(why, ST_CORRUPT, "entry %" PRIu64 " is of unknown type %" PRIu32, e->index,
                         e->type);
    if (l->count == l->room) {
        l->room = MAX(2 * l->room, (size_t)64);
        l->entries = mem_grow(l->entries, l->room, sizeof *l->entries);
    }
    l->entries[l->count++] = (struct raft_entry){
        .index = e->index,
        .term = e->term,
        .type = (enum raft_entry_type)e->type,
        .data = e->type == RAFT_ENTRY_NOOP ? NULL : raft_data_new(e->data.ptr, e->data.len),
    };
    return ST_OK;
}

struct log_load node_loader(struct node *n)
{
    require(!n->started);
    return (struct log_load){load_hard, load_snapshot, load_entry, n};
}

void node_load_done(struct node_load *l)
{
    for (size_t i = 0; i < l->count; i++)
        raft_data_unref(l->entries[i].data);
    free(l->entries);
    cluster_free(l->cluster);
    cluster_restore_free(l->restore);
    *l = (struct node_load){0};
}

/* Did this node die twice in a row at the same entry? */
static enum status check_mark(struct node *n, struct fault *why)
{
    struct node_mark *m = n->ports.mark;
    if (!m)
        return ST_OK;
    if (m->applying) {
        m->deaths = m->applying == m->index ? m->deaths + 1 : 1;
        m->index = m->applying;
        m->applying = 0;
    }
    if (m->deaths < 2)
        return ST_OK;
    enum status s = fault_set(why, ST_INTERNAL,
                              "this node died %" PRIu64 " times while it applied log entry %" PRIu64
                              "; it stays down so as not to die again",
                              m->deaths, m->index);
    fault_hint(why, "keep the data directory for a report; a newer version may know better");
    return s;
}

enum status node_start(struct node *n, struct log *log, struct fault *why)
{
    require(!n->started);
    enum status s = check_mark(n, why);
    if (s != ST_OK)
        return s;
    if (n->load.restore)
        return fault_set(why, ST_CORRUPT, "the log's snapshot has no end");
    static const struct raft_members alone = {.count = 1, .member = {{SELF, RAFT_VOTES}}};
    struct raft_config c;
    raft_config_default(&c, SELF);
    c.seed = rng_next(&n->rng);
    c.first = &alone;
    struct raft_hard hard = {n->load.hard.term, n->load.hard.vote};
    struct raft_snapshot snapshot = {n->load.snapshot_index, n->load.snapshot_term, NULL};
    s = raft_new(&c, node_now_ms(n), &hard, &snapshot, n->load.entries, n->load.count, &n->raft,
                 why);
    if (s != ST_OK)
        return fault_wrap(why, s, "start from the log");
    if (n->load.cluster) {
        cluster_free(n->cluster);
        n->cluster = n->load.cluster;
        n->load.cluster = NULL;
    }
    n->snapshot.done_index = n->command_index = n->load.snapshot_index;
    n->command_term = n->load.snapshot_term;
    n->snapshot.done_bytes = n->load.snapshot_bytes;
    node_load_done(&n->load);
    n->log = log;
    log->events = &n->log_events;
    n->started = n->busy = true;
    return ST_OK;
}
