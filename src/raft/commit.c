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

/* The highest index that is durable on a quorum: with one voter, its own. */
static uint64_t quorum_index(const struct raft *r)
{
    return r->persisted;
}

void raft_advance_commit(struct raft *r)
{
    if (r->role != RAFT_LEADER)
        return;
    uint64_t index = quorum_index(r);
    /* Counting copies says nothing of an older term's entries (the thesis, figure 3.7). */
    if (index <= r->commit || raft_log_term(&r->log, index) != r->hard.term)
        return;
    for (uint64_t i = r->commit + 1; i <= index; i++)
        r->uncommitted_bytes -= raft_entry_len(raft_log_at(&r->log, i));
    r->commit = index;
}

enum status raft_propose(struct raft *r, struct raft_data *data, uint64_t *ret_index,
                         uint64_t *ret_term, struct fault *why)
{
    require(data != NULL);
    if (r->role != RAFT_LEADER) {
        raft_data_unref(data);
        return fault_set(why, ST_NOT_LEADER, "this node does not lead");
    }
    /* One that alone is too large is let in when nothing waits; else it could never be. */
    size_t max = r->config.uncommitted_bytes_max, held = r->uncommitted_bytes;
    if (held > 0 && (held >= max || data->len > max - held)) {
        raft_data_unref(data);
        return fault_set(why, ST_LIMIT, "%zu bytes wait for the log already", held);
    }
    raft_lead_append(r, RAFT_ENTRY_COMMAND, data);
    *ret_index = raft_log_last(&r->log);
    *ret_term = r->hard.term;
    ensure(raft_holds_invariant(r));
    return ST_OK;
}

enum status raft_read(const struct raft *r, uint64_t *ret_index, struct fault *why)
{
    if (r->role != RAFT_LEADER)
        return fault_set(why, ST_NOT_LEADER, "this node does not lead");
    /* Before its no-op is committed a leader does not know what was committed before its term. */
    if (r->commit < r->term_start)
        return fault_set(why, ST_UNAVAILABLE, "the new leader has committed nothing yet");
    *ret_index = r->commit;
    return ST_OK;
}
