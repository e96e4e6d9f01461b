/*
 * apply: what raft has ready goes to the log; what is committed and durable goes into the state.
 */
#include <stdlib.h>

#include "node/state.h"

enum {
    /* Entries of one step. Few: who is answered proposes anew, and the log has that to write while
     * the next are applied. */
    APPLY_STEP_MAX = 16,
    LOG_RETRY_MS = 5,
};

/* false: the log has no room. */
static bool append(struct node *n, const struct log_hard *hard, const struct raft_entry *e,
                   size_t count, uint64_t token)
{
    struct log_entry *out = count ? NEW_ARRAY(struct log_entry, count) : NULL;
    for (size_t i = 0; i < count; i++)
        out[i] = (struct log_entry){
            .index = e[i].index,
            .term = e[i].term,
            .type = (uint32_t)e[i].type,
            .data = {e[i].data ? e[i].data->bytes : "", e[i].data ? e[i].data->len : 0},
        };
    enum status s = n->log->append(n->log, hard, out, count, token);
    free(out);
    ensure(s == ST_OK || s == ST_LIMIT);
    if (s == ST_OK)
        n->token = token;
    n->log_retry_ms = s == ST_OK ? UINT64_MAX : node_now_ms(n) + LOG_RETRY_MS;
    return s == ST_OK;
}

static void hold(struct node *n, const struct raft_ready *rd)
{
    struct node_held *h = &n->held;
    h->any = true;
    h->hard_changed = rd->hard_changed;
    h->hard = (struct log_hard){rd->hard.term, rd->hard.vote};
    h->token = rd->token;
    h->count = rd->append_count;
    h->entry = h->count ? mem_dup(rd->append, h->count * sizeof *h->entry) : NULL;
    for (size_t i = 0; i < h->count; i++)
        if (h->entry[i].data)
            (void)raft_data_ref(h->entry[i].data);
}

void node_held_done(struct node_held *h)
{
    for (size_t i = 0; i < h->count; i++)
        raft_data_unref(h->entry[i].data);
    free(h->entry);
    *h = (struct node_held){0};
}

static bool append_held(struct node *n)
{
    struct node_held *h = &n->held;
    if (!h->any)
        return true;
    if (!append(n, h->hard_changed ? &h->hard : NULL, h->entry, h->count, h->token))
        return false;
    node_held_done(h);
    return true;
}

void node_write_out(struct node *n)
{
    struct raft_ready rd;
    n->unwritten = false;
    while (!n->dead && append_held(n) && raft_ready(n->raft, &rd)) {
        struct log_hard hard = {rd.hard.term, rd.hard.vote};
        if (rd.apply_count)
            n->apply_to = rd.apply[rd.apply_count - 1].index;
        for (size_t i = 0; i < rd.message_count; i++)
            node_send_raft(n, &rd.messages[i]);
        if (rd.token &&
            !append(n, rd.hard_changed ? &hard : NULL, rd.append, rd.append_count, rd.token))
            hold(n, &rd);
    }
}

/* The mark must be in memory before the entry is touched, whatever the compiler would like. */
static void mark(struct node *n, uint64_t index)
{
    struct node_mark *m = n->ports.mark;
    if (!m)
        return;
    __atomic_store_n(&m->applying, index, __ATOMIC_SEQ_CST);
    if (index == 0 && m->deaths && m->index <= n->command_index)
        m->deaths = 0;
}

static void tell_watches(struct node *n, const struct apply_result *r)
{
    if (!r->change_count && !r->event_count)
        return;
    LIST_EACH(it, &n->watches)
        CONTAINER_OF(it, struct node_watch, item)
            ->applied(CONTAINER_OF(it, struct node_watch, item), r);
}

static void apply_command(struct node *n, const struct raft_entry *e)
{
    struct apply_result *r = &n->result;
    if (n->config.witness) { /* it holds no state */
        n->command_bytes += e->data->len;
        raft_applied(n->raft, e->index);
        return;
    }
    apply_result_done(r);
    n->command_index = e->index;
    n->command_term = e->term;
    n->command_bytes += e->data->len;
    mark(n, e->index);
    cluster_apply(n->cluster, e->index, (struct str){e->data->bytes, e->data->len}, r);
    mark(n, 0);
    raft_applied(n->raft, e->index);
    n->proposals_refused += r->status != ST_OK;
    n->commands_replayed += r->replay;
    reconcile_applied(n, r);
    images_applied(n, r);
    tell_watches(n, r);
    node_tell(n, e, r);
}

/* Until the next entry is committed and durable, there is time to see what it will do. */
void node_foresee(struct node *n)
{
    apply_result_done(&n->result);
    struct raft_view v = raft_view(n->raft);
    uint64_t index = v.applied + 1;
    if (n->dead || n->config.witness || index <= n->apply_to || index > v.last)
        return;
    const struct raft_entry *e = raft_entry_at(n->raft, index);
    if (e->type != RAFT_ENTRY_COMMAND)
        return;
    mark(n, index);
    cluster_foresee(n->cluster, index, (struct str){e->data->bytes, e->data->len});
    mark(n, 0);
}

void node_apply(struct node *n)
{
    uint64_t index = raft_view(n->raft).applied;
    for (size_t i = 0; i < APPLY_STEP_MAX && index < n->apply_to && !n->dead; i++) {
        /* Who is told may propose, which moves the log's entries. */
        struct raft_entry e = *raft_entry_at(n->raft, ++index);
        if (e.type == RAFT_ENTRY_COMMAND) {
            (void)raft_data_ref(e.data);
            apply_command(n, &e);
            raft_data_unref(e.data);
        } else {
            raft_applied(n->raft, e.index);
            node_tell(n, &e, NULL);
        }
        node_hash_applied(n, index);
    }
}
