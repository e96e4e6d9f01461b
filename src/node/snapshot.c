/*
 * snapshot: the state as of one entry, packed a chunk each step so that the loop never stalls, and
 * handed to the log. When it is durable, what it covers leaves the log.
 */
#include "node/state.h"

enum {
    LOG_RETRY_MS = 5,
    TRAIL_PART = 4, /* of snapshot_log_max: so much of the log stays behind a snapshot, at most */
};

/* A snapshot costs what the whole state does, however little has changed. It waits until the log has
 * grown by as much, so that snapshots never cost more than the log does; but no longer than the limit,
 * by however few entries it was reached, since all of the log is in memory, and read at each start. */
static bool due(const struct node *n)
{
    const struct node_snapshot *s = &n->snapshot;
    uint64_t bytes = n->command_bytes - s->done_from_bytes;
    return bytes >= n->config.snapshot_log_max ||
           (bytes >= s->done_bytes &&
            n->command_index >= s->done_index + n->config.snapshot_entries);
}

static void begin(struct node *n)
{
    struct node_snapshot *s = &n->snapshot;
    s->from = cluster_snapshot_new(n->cluster, n->command_term);
    s->index = cluster_snapshot_index(s->from);
    s->term = n->command_term;
    ensure(s->index == n->command_index);
    buf_init(&s->chunk, LOG_CHUNK_MAX);
    s->packed = s->last = s->sent = false;
    s->bytes = s->retry_ms = 0;
    s->from_bytes = n->command_bytes;
}

void node_snapshot_done(struct node_snapshot *s)
{
    if (!s->from)
        return;
    cluster_snapshot_free(s->from);
    buf_done(&s->chunk);
    s->from = NULL;
}

void node_snapshot_step(struct node *n)
{
    struct node_snapshot *s = &n->snapshot;
    if (!s->from) {
        if (!due(n))
            return;
        begin(n);
    }
    if (node_now_ms(n) < node_snapshot_deadline_ms(n))
        return;
    if (!s->packed) {
        buf_reset(&s->chunk);
        s->last = !cluster_snapshot_next(s->from, NODE_SNAPSHOT_CHUNK, &s->chunk);
        ensure(!s->chunk.full);
        s->packed = true;
    }
    enum status st = n->log->snapshot(n->log, s->index, s->term, buf_view(&s->chunk), s->last);
    ensure(st == ST_OK || st == ST_LIMIT);
    if (st == ST_LIMIT) {
        s->retry_ms = node_now_ms(n) + LOG_RETRY_MS;
        return;
    }
    s->retry_ms = 0;
    s->bytes += s->chunk.len;
    s->packed = false;
    s->sent = s->last;
}

uint64_t node_snapshot_deadline_ms(const struct node *n)
{
    const struct node_snapshot *s = &n->snapshot;
    if (!s->from)
        return due(n) ? 0 : UINT64_MAX;
    if (s->sent)
        return UINT64_MAX;
    return n->held.any ? n->log_retry_ms : s->retry_ms; /* entries go first */
}

void node_snapshot_durable(struct node *n, uint64_t index)
{
    struct node_snapshot *s = &n->snapshot;
    if (!s->from || s->index != index)
        return;
    node_snapshot_done(s);
    s->done_index = index;
    s->done_bytes = s->bytes;
    s->done_from_bytes = s->from_bytes;
    n->snapshots++;
    uint64_t first_kept = raft_keep_from(n->raft, index, n->config.trailing_entries,
                                         n->config.snapshot_log_max / TRAIL_PART);
    raft_compact(n->raft, index, first_kept);
    n->log->compact(n->log, first_kept);
    n->busy = true;
}
