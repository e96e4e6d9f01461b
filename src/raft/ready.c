#include "raft/state.h"

static bool hard_eq(struct raft_hard a, struct raft_hard b)
{
    return a.term == b.term && a.vote == b.vote;
}

/* How many entries from `from` to `to` make one batch. */
static size_t batch(const struct raft *r, uint64_t from, uint64_t to)
{
    size_t count = 0, bytes = 0;
    for (uint64_t i = from; i <= to && count < r->config.batch_entries_max; i++, count++) {
        size_t len = raft_entry_len(raft_log_at(&r->log, i));
        if (count > 0 &&
            (bytes >= r->config.batch_bytes_max || len > r->config.batch_bytes_max - bytes))
            break;
        bytes += len;
    }
    return count;
}

static void flight_push(struct raft *r, struct raft_given g)
{
    if (r->flight_head + r->flight_count == r->flight_room) {
        /* Move to the front if that frees half, else grow. */
        if (r->flight_head > r->flight_room / 2) {
            for (size_t i = 0; i < r->flight_count; i++)
                r->flight[i] = r->flight[r->flight_head + i];
            r->flight_head = 0;
        } else {
            r->flight_room = MAX(2 * r->flight_room, (size_t)16);
            r->flight = mem_grow(r->flight, r->flight_room, sizeof *r->flight);
        }
    }
    r->flight[r->flight_head + r->flight_count++] = g;
}

/* What is to be made durable. */
static void give_durable(struct raft *r, struct raft_ready *out)
{
    out->hard_changed = !hard_eq(r->hard, r->hard_given);
    out->hard = r->hard;
    out->append_count = batch(r, r->given + 1, raft_log_last(&r->log));
    if (out->append_count)
        out->append = raft_log_at(&r->log, r->given + 1);
    if (!out->hard_changed && !out->append_count)
        return;
    r->hard_given = r->hard;
    r->given += out->append_count;
    out->token = ++r->token_last;
    flight_push(r, (struct raft_given){
                       .token = out->token,
                       .hard = r->hard,
                       .index = r->given,
                       .term = raft_log_term(&r->log, r->given),
                   });
}

bool raft_ready(struct raft *r, struct raft_ready *out)
{
    *out = (struct raft_ready){0};
    give_durable(r, out);

    out->apply_count = batch(r, r->applying + 1, MIN(r->commit, r->persisted));
    if (out->apply_count)
        out->apply = raft_log_at(&r->log, r->applying + 1);
    r->applying += out->apply_count;

    ensure(raft_holds_invariant(r));
    return out->token || out->apply_count;
}

void raft_persisted(struct raft *r, uint64_t token)
{
    require(token <= r->token_last);
    while (r->flight_count && r->flight[r->flight_head].token <= token) {
        struct raft_given g = r->flight[r->flight_head++];
        if (--r->flight_count == 0)
            r->flight_head = 0;
        r->hard_durable = g.hard;
        if (g.index > r->persisted && raft_log_term(&r->log, g.index) == g.term)
            r->persisted = g.index;
    }
    raft_count_votes(r);
    raft_advance_commit(r);
    ensure(raft_holds_invariant(r));
}

void raft_applied(struct raft *r, uint64_t index)
{
    require(index >= r->applied && index <= r->applying);
    r->applied = index;
}

uint64_t raft_trail_first(const struct raft *r, uint64_t index, uint64_t count_max,
                          uint64_t bytes_max)
{
    require(index <= r->applied);
    uint64_t first = index + 1;
    for (; first > r->log.first && count_max > 0; first--, count_max--) {
        size_t len = raft_entry_len(raft_log_at(&r->log, first - 1));
        if (len > bytes_max)
            break;
        bytes_max -= len;
    }
    return first;
}

void raft_compact(struct raft *r, uint64_t index, uint64_t first_kept)
{
    require(index <= r->applied && first_kept <= index + 1);
    raft_log_compact(&r->log, first_kept);
    ensure(raft_holds_invariant(r));
}
