#include "sim/net.h"

#include <stdlib.h>
#include <string.h>

#include "raft/codec.h"

struct envelope {
    struct list item;
    struct net *net;
    uint64_t sent_us;
    uint32_t from, to;
    bool lost;   /* its stream broke */
    bool stale;  /* it came once already */
    char *bytes; /* or NULL, and: */
    size_t len;
    struct raft_message m;
    struct raft_entry entry[]; /* m.entries */
};

void net_init(struct net *n, struct sim *s,
              void (*deliver)(void *ctx, const struct raft_message *m, uint64_t sent_us), void *ctx)
{
    *n = (struct net){.sim = s, .deliver = deliver, .ctx = ctx};
    n->rng = rng_fork(&s->world);
    list_init(&n->flight);
}

/* What it holds; the block itself belongs to the event. */
static void open_envelope(struct envelope *e)
{
    list_cut(&e->item);
    for (size_t i = 0; i < e->m.count; i++)
        raft_data_unref(e->entry[i].data);
    free(e->bytes);
}

void net_done(struct net *n)
{
    while (!list_empty(&n->flight))
        open_envelope(CONTAINER_OF(n->flight.next, struct envelope, item));
}

static void arrive(void *payload, uint64_t arg)
{
    struct envelope *e = payload;
    struct net *n = e->net;
    (void)arg;
    bool lost = e->lost || n->cut[e->from][e->to] || (e->stale && !n->faults.stale);
    if (n->watch && !e->bytes)
        n->watch(n->ctx, &e->m, e->sent_us, lost);
    if (!lost && e->bytes)
        n->deliver_bytes(n->ctx, e->from, e->to, (struct str){e->bytes, e->len});
    else if (!lost)
        n->deliver(n->ctx, &e->m, e->sent_us);
    open_envelope(e);
}

static uint64_t delay(struct net *n, uint32_t from, uint32_t to)
{
    uint64_t us = sim_between(&n->rng, n->faults.us_min, n->faults.us_max);
    if (rng_chance(&n->rng, n->faults.late))
        us += rng_below(&n->rng, UINT64_C(1000) * n->faults.late_ms + 1);
    us += n->slow_us[from][to];
    uint64_t at = n->sim->now_us + us, *newest = &n->newest_us[from][to];
    if (n->faults.in_order)
        at = MAX(at, *newest);
    *newest = MAX(at, *newest);
    return at - n->sim->now_us;
}

static void post(struct net *n, const struct raft_message *m, uint64_t us, bool stale)
{
    struct envelope *e = mem_new(sizeof *e + m->count * sizeof e->entry[0]);
    *e = (struct envelope){
        .net = n, .from = m->from, .to = m->to, .sent_us = n->sim->now_us, .stale = stale, .m = *m};
    e->m.entries = e->entry;
    for (size_t i = 0; i < m->count; i++) {
        e->entry[i] = m->entries[i];
        if (e->entry[i].data)
            (void)raft_data_ref(e->entry[i].data);
    }
    list_push(&n->flight, &e->item);
    sim_after_owned(n->sim, us, arrive, e);
}

static void post_bytes(struct net *n, uint32_t from, uint32_t to, struct str bytes)
{
    struct envelope *e = NEW(struct envelope);
    *e = (struct envelope){
        .net = n, .from = from, .to = to, .sent_us = n->sim->now_us, .len = bytes.len};
    e->bytes = mem_dup(bytes.ptr, bytes.len);
    list_push(&n->flight, &e->item);
    sim_after_owned(n->sim, delay(n, from, to), arrive, e);
}

static bool is_lost(struct net *n, uint32_t from, uint32_t to)
{
    require(from < NET_MEMBERS_MAX && to < NET_MEMBERS_MAX);
    return n->cut[from][to] || rng_chance(&n->rng, n->faults.loss);
}

void net_send_bytes(struct net *n, uint32_t from, uint32_t to, struct str bytes)
{
    if (is_lost(n, from, to))
        return;
    post_bytes(n, from, to, bytes);
    if (rng_chance(&n->rng, n->faults.twice))
        post_bytes(n, from, to, bytes);
}

void net_send(struct net *n, const struct raft_message *m)
{
    if (is_lost(n, m->from, m->to)) {
        if (n->watch)
            n->watch(n->ctx, m, n->sim->now_us, true);
        return;
    }
    post(n, m, delay(n, m->from, m->to), false);
    if (rng_chance(&n->rng, n->faults.twice))
        post(n, m, delay(n, m->from, m->to), false);
    if (rng_chance(&n->sim->extra, n->faults.stale))
        post(n, m, 1000 * rng_below(&n->sim->extra, STALE_MS_MAX) + 1, true);
}

bool net_left(const struct net *n, uint64_t before_us)
{
    LIST_EACH(it, &n->flight) {
        const struct envelope *e = CONTAINER_OF(it, struct envelope, item);
        if (e->sent_us < before_us && !e->lost && !e->stale)
            return true;
    }
    return false;
}

void net_split(struct net *n, uint64_t a, uint64_t b, bool both_ways)
{
    for (unsigned i = 0; i < NET_MEMBERS_MAX; i++)
        for (unsigned j = 0; j < NET_MEMBERS_MAX; j++)
            if (a >> i & 1 && b >> j & 1) {
                n->cut[i][j] = true;
                n->cut[j][i] |= both_ways;
            }
}

void net_heal(struct net *n)
{
    memset(n->cut, 0, sizeof n->cut);
}

/* Who has but a part of its bytes has no message. */
static void cut_in_the_middle(struct net *n, const struct raft_message *m)
{
    AUTO(buf_done) struct buf b;
    struct raft_decoded d;
    buf_init(&b, RAFT_MESSAGE_BYTES_MAX);
    if (raft_message_encode(m, &b, NULL) != ST_OK)
        return;
    size_t len = (size_t)rng_below(&n->sim->extra, b.len);
    if (raft_message_decode((struct str){b.ptr, len}, &d, NULL) == ST_OK) {
        sim_fail(n->sim, "%zu of the %zu bytes of a message pass for one", len, b.len);
        raft_decoded_done(&d);
    }
    n->sim->stats.cut_frames++;
}

void net_reset(struct net *n, uint32_t a, uint32_t b)
{
    bool first = true;
    n->newest_us[a][b] = n->newest_us[b][a] = 0;
    LIST_EACH(it, &n->flight) {
        struct envelope *e = CONTAINER_OF(it, struct envelope, item);
        bool there = (e->from == a && e->to == b) || (e->from == b && e->to == a);
        if (!there || e->lost || e->stale)
            continue;
        e->lost = true;
        if (first && !e->bytes)
            cut_in_the_middle(n, &e->m);
        first = false;
    }
}
