/*
 * commit: what enters a leader's log, and when it counts.
 */
#include "raft/state.h"

void raft_lead_append(struct raft *r, enum raft_entry_type type, struct raft_data *data)
{
    require(r->role == RAFT_LEADER);
    struct raft_entry e = {raft_log_last(&r->log) + 1, r->hard.term, type, data};
    r->uncommitted_bytes += raft_entry_len(&e);
    raft_log_push(&r->log, e);
}

void raft_count_uncommitted(struct raft *r)
{
    r->uncommitted_bytes = 0;
    for (uint64_t i = r->commit + 1; i <= raft_log_last(&r->log); i++)
        r->uncommitted_bytes += raft_entry_len(raft_log_at(&r->log, i));
}

size_t raft_batch(const struct raft *r, uint64_t from, uint64_t to)
{
    if (from > to)
        return 0;
    const struct raft_entry *e = raft_log_at(&r->log, from);
    size_t most = (size_t)MIN(to - from + 1, (uint64_t)r->config.batch_entries_max);
    size_t count = 0, bytes = 0;
    for (; count < most; count++) {
        size_t len = raft_entry_len(&e[count]);
        if (count > 0 &&
            (bytes >= r->config.batch_bytes_max || len > r->config.batch_bytes_max - bytes))
            break;
        bytes += len;
    }
    return count;
}

void raft_commit_to(struct raft *r, uint64_t index)
{
    r->commit = MAX(r->commit, index);
}

/* The highest index that is durable on a quorum. */
static uint64_t quorum_index(const struct raft *r)
{
    uint64_t value[RAFT_MEMBERS_MAX];
    for (size_t i = 0; i < r->peer_count; i++)
        value[i] = r->peers[i].number == r->config.self ? r->persisted : r->peers[i].match;
    return raft_members_quorum(raft_members(r), value);
}

void raft_advance_commit(struct raft *r)
{
    if (r->role != RAFT_LEADER)
        return;
    uint64_t index = quorum_index(r);
    /* Counting copies says nothing of an older term's entries (the thesis, figure 3.7). */
    if (index <= r->commit || raft_log_term(&r->log, index) != r->hard.term)
        return;
    const struct raft_entry *e = raft_log_at(&r->log, r->commit + 1);
    for (uint64_t i = 0; i < index - r->commit; i++)
        r->uncommitted_bytes -= raft_entry_len(&e[i]);
    raft_commit_to(r, index);
    raft_change_step(r);
}

static enum status check_leads(const struct raft *r, struct fault *why)
{
    if (r->role != RAFT_LEADER)
        return fault_set(why, ST_NOT_LEADER, "this node does not lead");
    if (r->transfer)
        return fault_set(why, ST_UNAVAILABLE, "leadership is being handed over");
    return ST_OK;
}

enum status raft_propose(struct raft *r, struct raft_data *data, uint64_t *ret_index,
                         uint64_t *ret_term, struct fault *why)
{
    require(data != NULL);
    enum status s = check_leads(r, why);
    /* One that alone is too large is let in when nothing waits; else it could never be. */
    size_t max = r->config.uncommitted_bytes_max, held = r->uncommitted_bytes;
    if (s == ST_OK && held > 0 && (held >= max || data->len > max - held))
        s = fault_set(why, ST_LIMIT, "%zu bytes wait for the log already", held);
    if (s != ST_OK) {
        raft_data_unref(data);
        return s;
    }
    raft_lead_append(r, RAFT_ENTRY_COMMAND, data);
    *ret_index = raft_log_last(&r->log);
    *ret_term = r->hard.term;
    ensure(raft_holds_invariant(r));
    return ST_OK;
}
