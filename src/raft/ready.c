#include "raft/state.h"

static bool hard_eq(struct raft_hard a, struct raft_hard b)
{
    return a.term == b.term && a.vote == b.vote;
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
    out->append_count = raft_batch(r, r->given + 1, raft_log_last(&r->log));
    if (out->append_count)
        out->append = raft_log_at(&r->log, r->given + 1);
    if (!out->hard_changed && !out->append_count)
        return;
    r->hard_given = r->hard;
    r->given += out->append_count;
    out->token = ++r->token_last;
    flight_push(r, (struct raft_given){.token = out->token, .hard = r->hard, .index = r->given});
}

void raft_out(struct raft *r, struct raft_message m)
{
    if (r->out_count == r->out_room) {
        r->out_room = MAX(2 * r->out_room, (size_t)16);
        r->out = mem_grow(r->out, r->out_room, sizeof *r->out);
    }
    r->out[r->out_count++] = m;
}

static void give_messages(struct raft *r, struct raft_ready *out)
{
    r->out_count = 0;
    raft_answer(r);
    if (r->post_count) {
        /* The two arrays change places: what was posted goes out first. */
        struct raft_message *room = r->out;
        size_t size = r->out_room;
        r->out = r->post;
        r->out_room = r->post_room;
        r->out_count = r->post_count;
        r->post = room;
        r->post_room = size;
        r->post_count = 0;
    }
    raft_send_lent(r);
    raft_send_appends(r);
    out->messages = r->out;
    out->message_count = r->out_count;
}

bool raft_ready(struct raft *r, struct raft_ready *out)
{
    *out = (struct raft_ready){0};
    give_durable(r, out);

    out->apply_count = raft_batch(r, r->applying + 1, MIN(r->commit, r->persisted));
    if (out->apply_count)
        out->apply = raft_log_at(&r->log, r->applying + 1);
    r->applying += out->apply_count;

    give_messages(r, out);
    ensure(raft_holds_invariant(r));
    return out->token || out->apply_count || out->message_count;
}

/* The first of the entries up to `index`, of which together there are no more than these. */
static uint64_t trail_first(const struct raft *r, uint64_t index, uint64_t count_max,
                            uint64_t bytes_max)
{
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
    require(index <= r->applied && first_kept <= index + 1 && index >= r->snapshot_index);
    r->snapshot_term = raft_log_term(&r->log, index);
    r->snapshot_index = index;
    raft_configs_compact(r, index);
    raft_log_compact(&r->log, first_kept);
    ensure(raft_holds_invariant(r));
}

uint64_t raft_keep_from(const struct raft *r, uint64_t index, uint64_t count_max,
                        uint64_t bytes_max)
{
    require(index <= r->applied && count_max <= UINT64_MAX / 2 && bytes_max <= UINT64_MAX / 2);
    uint64_t from = trail_first(r, index, count_max, bytes_max);
    uint64_t least = trail_first(r, index, 2 * count_max, 2 * bytes_max);
    for (size_t i = 0; i < r->peer_count; i++)
        if (raft_peer_lately(r, &r->peers[i]) && r->peers[i].number != r->config.self)
            from = MIN(from, r->peers[i].match + 1);
    return MAX(from, least);
}
