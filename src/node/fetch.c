/*
 * fetch: a leader offers a snapshot, and this node asks for it, chunk by chunk.
 *
 * Each chunk is decoded, a slice each step, and then given to the log; nothing counts before the last one. When all of it came and is
 * what it says it is, and consensus may still take it, the log gets the last chunk. From then until that is
 * durable consensus stands still: it is given no message and no time. Then it takes the place of the state
 * (restore.c).
 *
 * The log holds one unfinished snapshot: none of the own state is taken meanwhile.
 */
#include <stdlib.h>

#include "node/state.h"

enum {
    ASK_MS = 200, /* an answer takes no longer, or is lost */
    ASKS_MAX = 20,
    LOG_RETRY_MS = 5,
    SLICE =
        32 << 10, /* bytes that one step decodes: it takes several times as long as packing them */
};
#define FETCH_BYTES_MAX (UINT64_C(2) * LIMIT_STATE_BYTES)

void node_fetch_done(struct node_fetch *f)
{
    if (!f->from)
        return;
    cluster_free(saved_in_drop(&f->in));
    cluster_free(f->cluster);
    buf_done(&f->chunk);
    *f = (struct node_fetch){0};
}

void node_fetch_end(struct node *n)
{
    struct node_fetch *f = &n->fetch;
    ensure(!n->old);
    n->old = f->cluster ? f->cluster : saved_in_drop(&f->in);
    f->cluster = NULL;
    node_fetch_done(f);
    n->busy = true;
}

void node_fetch_offered(struct node *n, uint32_t from)
{
    struct node_fetch *f = &n->fetch;
    if (f->from || n->old)
        return;
    *f = (struct node_fetch){.from = from, .ask_ms = node_now_ms(n)};
    n->ports.entropy->fill(n->ports.entropy, &f->id, sizeof f->id);
    f->id += f->id == 0;
    saved_in_init(&f->in, &n->config.limits);
    buf_init(&f->chunk, MAIL_CHUNK_MAX);
}

void node_fetch_chunk(struct node *n, uint32_t from, const struct mail_chunk *m)
{
    struct node_fetch *f = &n->fetch;
    if (from != f->from || m->id != f->id || f->has_chunk || m->offset != f->offset)
        return; /* not asked for, or it came before */
    if (f->index && (m->index != f->index || m->term != f->term)) {
        n->mails.refused++;
        return;
    }
    f->index = m->index;
    f->term = m->term;
    f->asks = 0;
    f->has_chunk = true;
    f->checked = false;
    f->decoded = 0;
    f->last = m->last;
    buf_reset(&f->chunk);
    buf_str(&f->chunk, m->bytes);
}

/* Is all of it what it says, and such as this node can use? */
static enum status check_whole(struct node *n, struct fault *why)
{
    struct node_fetch *f = &n->fetch;
    enum status s = saved_in_end(&f->in, f->index, f->term, &f->cluster, why);
    if (s != ST_OK)
        return s;
    const struct saved_head *h = &f->in.head;
    if (!f->in.has_head || h->members.count == 0 || h->state == n->config.witness)
        return fault_set(why, ST_INVALID, "it is not for this member");
    return ST_OK;
}

/* Decode a slice of the chunk; of the last one, see what all of them are. */
static enum status decode(struct node *n, struct fault *why)
{
    struct node_fetch *f = &n->fetch;
    size_t len = MIN(f->chunk.len - f->decoded, (size_t)SLICE);
    if (f->offset + f->chunk.len > FETCH_BYTES_MAX)
        return fault_set(why, ST_TOO_BIG, "it is larger than any state may be");
    enum status s = ST_OK;
    if (len)
        s = saved_in_add(&f->in, (struct str){f->chunk.ptr + f->decoded, len}, why);
    f->decoded += len;
    f->checked = f->decoded == f->chunk.len;
    return s == ST_OK && f->checked && f->last ? check_whole(n, why) : s;
}

/* false: the log has no room for it. */
static bool store(struct node *n)
{
    struct node_fetch *f = &n->fetch;
    enum status s =
        n->log->snapshot(n->log, f->index, f->term, f->offset, buf_view(&f->chunk), f->last);
    ensure(s == ST_OK || s == ST_LIMIT);
    f->retry_ms = s == ST_LIMIT ? node_now_ms(n) + LOG_RETRY_MS : 0;
    return s == ST_OK;
}

/* The log may take what is here. */
static void take_chunk(struct node *n)
{
    struct node_fetch *f = &n->fetch;
    struct fault why;
    if (!f->checked && decode(n, &why) != ST_OK) {
        n->mails.refused++;
        node_fetch_end(n);
        return;
    }
    if (!f->checked) {
        n->busy = true;
        return;
    }
    if (f->last && n->held.any)
        return; /* the log gets its entries first, and this at the next step */
    if (f->last && !raft_may_restore(n->raft, f->index, f->term)) {
        node_fetch_end(n);
        return;
    }
    if (!store(n))
        return;
    f->offset += f->chunk.len;
    f->has_chunk = false;
    f->ask_ms = node_now_ms(n);
    f->freezes = f->last;
}

static void ask(struct node *n)
{
    struct node_fetch *f = &n->fetch;
    if (f->asks == ASKS_MAX) {
        node_fetch_end(n);
        return;
    }
    f->asks++;
    f->ask_ms = node_now_ms(n) + ASK_MS;
    node_send(n, f->from,
              &(struct mail){.kind = MAIL_ASK, .ask = {.id = f->id, .offset = f->offset}});
}

uint64_t node_fetch_deadline_ms(const struct node *n)
{
    const struct node_fetch *f = &n->fetch;
    if (!f->from || n->snapshot.under_way || f->freezes)
        return UINT64_MAX;
    if (f->has_chunk)
        return n->held.any ? n->log_retry_ms : f->retry_ms;
    return f->ask_ms;
}

void node_fetch_step(struct node *n)
{
    struct node_fetch *f = &n->fetch;
    if (!f->from || node_now_ms(n) < node_fetch_deadline_ms(n))
        return;
    if (f->has_chunk)
        take_chunk(n);
    if (f->from && !f->has_chunk && !f->freezes && node_now_ms(n) >= f->ask_ms)
        ask(n);
}

void node_fetch_durable(struct node *n, uint64_t index)
{
    struct node_fetch *f = &n->fetch;
    if (!f->freezes || f->index != index)
        return;
    f->durable = true;
    n->busy = true;
}
