#include "raft/raft.h"

#include <stdlib.h>

#include "raft/state.h"

void raft_config_default(struct raft_config *c, uint32_t self)
{
    *c = (struct raft_config){
        .self = self,
        .uncommitted_bytes_max = 16 << 20,
        .batch_entries_max = 1024,
        .batch_bytes_max = 4 << 20,
    };
}

bool raft_holds_invariant(const struct raft *r)
{
    uint64_t last = raft_log_last(&r->log);
    return r->applied <= r->applying && r->applying <= MIN(r->commit, r->persisted) &&
           r->persisted <= r->given && r->given <= last && r->commit <= last &&
           r->log.first <= r->applied + 1 && raft_log_last_term(&r->log) <= r->hard.term &&
           r->hard_durable.term <= r->hard_given.term && r->hard_given.term <= r->hard.term;
}

static enum status load(struct raft *r, uint64_t snapshot_index, uint64_t snapshot_term,
                        const struct raft_entry *entries, size_t count, struct fault *why)
{
    uint64_t first = count ? entries[0].index : snapshot_index + 1;
    if (first == 0 || first > snapshot_index + 1)
        return fault_set(why, ST_CORRUPT,
                         "the log begins at entry %" PRIu64 ", the snapshot ends at %" PRIu64,
                         first, snapshot_index);
    /* The entry before the first is known only when it is the snapshot's own. */
    raft_log_init(&r->log, first, first == snapshot_index + 1 ? snapshot_term : 0);
    for (size_t i = 0; i < count; i++) {
        const struct raft_entry *e = &entries[i];
        if (e->index != first + i)
            return fault_set(why, ST_CORRUPT, "entry %" PRIu64 " stands where %" PRIu64 " should",
                             e->index, first + i);
        if (e->term == 0 || e->term < raft_log_last_term(&r->log) || e->term > r->hard.term)
            return fault_set(why, ST_CORRUPT,
                             "entry %" PRIu64 " has term %" PRIu64 " after %" PRIu64
                             ", the log's is %" PRIu64,
                             e->index, e->term, raft_log_last_term(&r->log), r->hard.term);
        if (e->index == snapshot_index && e->term != snapshot_term)
            return fault_set(why, ST_CORRUPT,
                             "entry %" PRIu64 " has term %" PRIu64 ", in the snapshot %" PRIu64,
                             e->index, e->term, snapshot_term);
        if (e->type != RAFT_ENTRY_NOOP && e->type != RAFT_ENTRY_COMMAND)
            return fault_set(why, ST_CORRUPT, "entry %" PRIu64 " is of unknown type %d", e->index,
                             (int)e->type);
        if ((e->type == RAFT_ENTRY_COMMAND) != (e->data != NULL))
            return fault_set(why, ST_CORRUPT, "entry %" PRIu64 " has data against its type",
                             e->index);
        struct raft_entry own = *e;
        if (own.data)
            raft_data_ref(own.data);
        raft_log_push(&r->log, own);
    }
    if (raft_log_last(&r->log) < snapshot_index)
        return fault_set(why, ST_CORRUPT,
                         "the log ends at entry %" PRIu64 ", before the snapshot at %" PRIu64,
                         raft_log_last(&r->log), snapshot_index);
    return ST_OK;
}

enum status raft_new(const struct raft_config *c, const struct raft_hard *hard,
                     uint64_t snapshot_index, uint64_t snapshot_term,
                     const struct raft_entry *entries, size_t count, struct raft **ret,
                     struct fault *why)
{
    require(c->self > 0 && c->batch_entries_max > 0);
    if (snapshot_term > hard->term)
        return fault_set(why, ST_CORRUPT,
                         "the snapshot has term %" PRIu64 ", the log's is %" PRIu64, snapshot_term,
                         hard->term);
    struct raft *r = NEW(struct raft);
    r->config = *c;
    r->hard = r->hard_given = r->hard_durable = *hard;
    r->role = RAFT_FOLLOWER;
    r->log.first = 1;
    enum status s = load(r, snapshot_index, snapshot_term, entries, count, why);
    if (s != ST_OK) {
        raft_free(r);
        return s;
    }
    r->given = r->persisted = raft_log_last(&r->log);
    r->commit = r->applying = r->applied = snapshot_index;
    ensure(raft_holds_invariant(r));
    *ret = r;
    return ST_OK;
}

void raft_free(struct raft *r)
{
    if (!r)
        return;
    raft_log_done(&r->log);
    free(r->flight);
    free(r);
}

struct raft_view raft_view(const struct raft *r)
{
    return (struct raft_view){
        .role = r->role,
        .leader = r->leader,
        .term = r->hard.term,
        .first = r->log.first,
        .last = raft_log_last(&r->log),
        .persisted = r->persisted,
        .commit = r->commit,
        .applied = r->applied,
        .uncommitted_bytes = r->uncommitted_bytes,
    };
}
