/*
 * give: a peer whose log ends before this one's begins gets the state, as of an entry, in chunks that it asks for.
 *
 * The peer makes up an id, and asks for one offset after the other. The chunk that was given last is kept, for an
 * answer that was lost; older ones are not, since whoever asks for a later one has them. So whatever is lost, doubled or
 * late, at most one chunk is packed in a step, and one is held for each peer.
 */
#include "node/state.h"

enum {
    IDLE_MS = 5000,  /* nothing was asked for so long: it is given up */
    YIELD_MS = 1000, /* ... another transfer of the same peer takes its place */
    PIN_PARTS =
        4, /* of snapshot_log_max: the log is kept for who is given a snapshot, up to so much */
};

static struct node_give *find(struct node *n, uint32_t to)
{
    for (size_t i = 0; i < NODE_GIVES_MAX; i++)
        if (n->give[i].to == to)
            return &n->give[i];
    return NULL;
}

void node_give_done(struct node_give *g)
{
    if (!g->to)
        return;
    cluster_snapshot_free(g->from);
    buf_done(&g->chunk);
    *g = (struct node_give){0};
}

static void renew(struct node *n, uint32_t to, uint64_t id)
{
    struct node_give *g = find(n, to);
    if (g)
        node_give_done(g);
    else
        g = find(n, 0);
    if (!g)
        return; /* others are given one: it will ask again */
    *g = (struct node_give){.to = to, .id = id, .asked = true, .heard_ms = node_now_ms(n)};
    buf_init(&g->chunk, MAIL_CHUNK_MAX);
}

void node_give_asked(struct node *n, uint32_t from, const struct mail_ask *m)
{
    struct node_give *g = find(n, from);
    uint64_t now_ms = node_now_ms(n);
    bool nothing = n->config.witness || n->command_index == 0;
    if (nothing || !raft_members_find(raft_members(n->raft), from))
        return;
    if (!g || g->id != m->id) {
        if (m->offset == 0 && (!g || now_ms >= g->heard_ms + YIELD_MS))
            renew(n, from, m->id);
        return;
    }
    g->heard_ms = now_ms;
    if (m->offset == g->offset) {
        g->asked = true;
    } else if (g->begun && !g->last && m->offset == g->offset + g->chunk.len) {
        g->asked = g->next = true;
    }
}

static void begin(struct node *n, struct node_give *g)
{
    g->begun = true;
    g->head = (struct saved_head){
        .index = n->command_index,
        .term = n->command_term,
        .state = !node_is_witness(n, g->to),
        .members = *raft_members_at(n->raft, n->command_index),
    };
    g->from_bytes = n->command_bytes;
    if (g->head.state)
        g->from = cluster_snapshot_new(n->cluster, n->command_term);
    n->gives++;
}

static void pack(struct node *n, struct node_give *g)
{
    if (g->begun) {
        g->offset += g->chunk.len;
        buf_reset(&g->chunk);
    } else {
        begin(n, g);
        saved_head_encode(&g->head, &g->chunk);
    }
    g->last = !g->from || !cluster_snapshot_next(g->from, NODE_SNAPSHOT_CHUNK, &g->chunk);
    ensure(!g->chunk.full);
    g->next = false;
    if (g->last) {
        cluster_snapshot_free(g->from);
        g->from = NULL;
    }
}

static void send(struct node *n, struct node_give *g)
{
    g->asked = false;
    node_send(n, g->to,
              &(struct mail){.kind = MAIL_CHUNK,
                             .chunk = {.id = g->id,
                                       .index = g->head.index,
                                       .term = g->head.term,
                                       .offset = g->offset,
                                       .last = g->last,
                                       .bytes = buf_view(&g->chunk)}});
}

bool node_give_step(struct node *n)
{
    bool packed = false;
    for (size_t i = 0; i < NODE_GIVES_MAX; i++) {
        struct node_give *g = &n->give[i];
        if (g->to && node_now_ms(n) >= g->heard_ms + IDLE_MS)
            node_give_done(g);
        if (!g->asked)
            continue;
        bool packs = !g->begun || g->next;
        if (packs && packed) {
            n->busy = true;
            continue;
        }
        if (packs)
            pack(n, g);
        packed |= packs;
        send(n, g);
    }
    return packed;
}

uint64_t node_give_deadline_ms(const struct node *n)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < NODE_GIVES_MAX; i++)
        if (n->give[i].to)
            first = MIN(first, n->give[i].asked ? 0 : n->give[i].heard_ms + IDLE_MS);
    return first;
}

uint64_t node_give_first_needed(const struct node *n)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < NODE_GIVES_MAX; i++) {
        const struct node_give *g = &n->give[i];
        uint64_t grown = n->command_bytes - g->from_bytes;
        if (g->begun && grown <= PIN_PARTS * n->config.snapshot_log_max)
            first = MIN(first, g->head.index + 1);
    }
    return first;
}
