/*
 * recover: from what the log holds to a state that can go on.
 */
#include <stdlib.h>

#include "node/state.h"

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
    require(!l->whole);
    if (!l->coming) {
        l->coming = true;
        saved_in_init(&l->in, &n->config.limits);
    }
    enum status s = ST_OK;
    l->snapshot_bytes += chunk.len;
    if (chunk.len)
        s = saved_in_add(&l->in, chunk, why);
    if (s == ST_OK && last) {
        s = saved_in_end(&l->in, index, term, &l->cluster, why);
        l->whole = s == ST_OK;
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
    cluster_free(saved_in_drop(&l->in));
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

/* Is the snapshot such as this node would have written? */
static enum status check_snapshot(const struct node *n, struct fault *why)
{
    const struct node_load *l = &n->load;
    if (l->coming && !l->whole)
        return fault_set(why, ST_CORRUPT, "the log's snapshot has no end");
    if (l->whole && (l->cluster == NULL) != n->config.witness)
        return fault_set(why, ST_PRECONDITION,
                         n->config.witness ? "the log's snapshot is not that of a witness"
                                           : "the log's snapshot is that of a witness");
    return ST_OK;
}

static enum status start_raft(struct node *n, struct fault *why)
{
    const struct raft_members alone = {.count = 1, .member = {{n->config.member, RAFT_VOTES}}};
    const struct node_load *l = &n->load;
    struct raft_config c;
    raft_config_default(&c, n->config.member);
    c.seed = rng_next(&n->rng);
    c.election_ms = n->config.election_ms;
    c.heartbeat_ms = n->config.heartbeat_ms;
    c.first = n->first ? n->first : &alone;
    struct raft_hard hard = {l->hard.term, l->hard.vote};
    struct raft_snapshot snapshot = {l->snapshot_index, l->snapshot_term, NULL};
    if (l->whole)
        snapshot.members = l->in.has_head ? &l->in.head.members : &alone;
    enum status s =
        raft_new(&c, node_now_ms(n), &hard, &snapshot, l->entries, l->count, &n->raft, why);
    return s == ST_OK ? s : fault_wrap(why, s, "start from the log");
}

enum status node_start(struct node *n, struct log *log, struct fault *why)
{
    require(!n->started);
    enum status s = check_mark(n, why);
    if (s == ST_OK)
        s = check_snapshot(n, why);
    if (s == ST_OK)
        s = start_raft(n, why);
    if (s != ST_OK)
        return s;
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
