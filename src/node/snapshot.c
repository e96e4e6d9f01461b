/*
 * snapshot: the state as of one entry, packed a chunk each step so that the loop never stalls, and
 * handed to the log. When it is durable, what it covers leaves the log.
 *
 * A witness has no state: its snapshot is a head with the members. It covers no more than what all full voters
 * hold (raft_view.kept): a log that is opened tells nothing of what its snapshot covers, and a witness may have to
 * lend the rest.
 */
#include "node/state.h"

enum {
    LOG_RETRY_MS = 5,
    TRAIL_PART = 4, /* of snapshot_log_max: so much of the log stays behind a snapshot, at most */
};

/* The entry that a snapshot now would be of. */
static uint64_t next_index(const struct node *n)
{
    if (!n->config.witness)
        return n->command_index;
    struct raft_view v = raft_view(n->raft);
    return MIN(v.applied, v.kept);
}

/* A snapshot costs what the whole state does, however little has changed. It waits until the log has
 * grown by as much, so that snapshots never cost more than the log does; but no longer than the limit,
 * by however few entries it was reached, since all of the log is in memory, and read at each start. */
static bool due(const struct node *n)
{
    const struct node_snapshot *s = &n->snapshot;
    uint64_t bytes = n->command_bytes - s->done_from_bytes;
    uint64_t index = next_index(n);
    if (n->fetch.from || (n->config.witness && index <= s->done_index))
        return false;
    return bytes >= n->config.snapshot_log_max ||
           (bytes >= s->done_bytes && index >= s->done_index + n->config.snapshot_entries);
}

static struct saved_head head_of(const struct node *n)
{
    const struct node_snapshot *s = &n->snapshot;
    return (struct saved_head){
        .index = s->index,
        .term = s->term,
        .state = s->from != NULL,
        .members = *raft_members_at(n->raft, s->index),
    };
}

static void begin(struct node *n)
{
    struct node_snapshot *s = &n->snapshot;
    s->under_way = true;
    s->index = next_index(n);
    s->term = n->config.witness ? raft_term_at(n->raft, s->index) : n->command_term;
    buf_init(&s->chunk, LOG_CHUNK_MAX);
    s->packed = s->last = s->sent = false;
    s->bytes = s->retry_ms = 0;
    s->from_bytes = n->command_bytes;
    if (!n->config.witness) {
        s->from = cluster_snapshot_new(n->cluster, n->command_term);
        ensure(s->index == cluster_snapshot_index(s->from));
    }
}

void node_snapshot_done(struct node_snapshot *s)
{
    if (!s->under_way)
        return;
    cluster_snapshot_free(s->from);
    buf_done(&s->chunk);
    s->from = NULL;
    s->under_way = false;
}

static void pack(struct node *n)
{
    struct node_snapshot *s = &n->snapshot;
    buf_reset(&s->chunk);
    if (n->ports.peers && s->bytes == 0) {
        struct saved_head h = head_of(n);
        saved_head_encode(&h, &s->chunk);
    }
    s->last = !s->from || !cluster_snapshot_next(s->from, NODE_SNAPSHOT_CHUNK, &s->chunk);
    ensure(!s->chunk.full);
    s->packed = true;
}

bool node_snapshot_step(struct node *n)
{
    struct node_snapshot *s = &n->snapshot;
    if (!s->under_way) {
        if (!due(n))
            return false;
        begin(n);
    }
    if (node_now_ms(n) < node_snapshot_deadline_ms(n))
        return false;
    bool packs = !s->packed;
    if (packs)
        pack(n);
    enum status st =
        n->log->snapshot(n->log, s->index, s->term, s->bytes, buf_view(&s->chunk), s->last);
    ensure(st == ST_OK || st == ST_LIMIT);
    if (st == ST_LIMIT) {
        s->retry_ms = node_now_ms(n) + LOG_RETRY_MS;
        return packs;
    }
    s->retry_ms = 0;
    s->bytes += s->chunk.len;
    s->packed = false;
    s->sent = s->last;
    return packs;
}

uint64_t node_snapshot_deadline_ms(const struct node *n)
{
    const struct node_snapshot *s = &n->snapshot;
    if (!s->under_way)
        return due(n) ? 0 : UINT64_MAX;
    if (s->sent)
        return UINT64_MAX;
    return n->held.any ? n->log_retry_ms : s->retry_ms; /* entries go first */
}

void node_snapshot_durable(struct node *n, uint64_t index)
{
    struct node_snapshot *s = &n->snapshot;
    if (!s->under_way || s->index != index)
        return;
    node_snapshot_done(s);
    s->done_index = index;
    s->done_bytes = s->bytes;
    s->done_from_bytes = s->from_bytes;
    n->snapshots++;
    uint64_t first_kept = raft_keep_from(n->raft, index, n->config.trailing_entries,
                                         n->config.snapshot_log_max / TRAIL_PART);
    first_kept = MIN(first_kept, node_give_first_needed(n));
    first_kept = MAX(first_kept, raft_view(n->raft).first);
    raft_compact(n->raft, index, first_kept);
    n->log->compact(n->log, first_kept);
    n->busy = true;
}
