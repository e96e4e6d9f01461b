#include "sim/platter.h"

#include <stdlib.h>

enum request_kind { REQUEST_APPEND, REQUEST_SAVE, REQUEST_COMPACT };

struct request {
    struct list item;
    enum request_kind kind;
    uint64_t token;
    bool hard_changed;
    struct raft_hard hard;
    struct raft_entry *entry;
    size_t count;
    struct platter_snapshot snapshot;
    uint64_t first_kept;
};

void platter_init(struct platter *p)
{
    *p = (struct platter){.first = 1};
    list_init(&p->queue);
}

static void request_free(struct request *q)
{
    list_cut(&q->item);
    for (size_t i = 0; i < q->count; i++)
        raft_data_unref(q->entry[i].data);
    free(q->entry);
    lists_free(q->snapshot.state);
    free(q);
}

static void drop_queue(struct platter *p)
{
    while (!list_empty(&p->queue))
        request_free(CONTAINER_OF(p->queue.next, struct request, item));
    p->queued = 0;
}

static void cut_after(struct platter *p, uint64_t last)
{
    while (p->count && platter_last(p) > last)
        raft_data_unref(p->entry[--p->count].data);
}

static void cut_before(struct platter *p, uint64_t first)
{
    size_t drop = (size_t)MIN(first > p->first ? first - p->first : 0, p->count);
    for (size_t i = 0; i < drop; i++)
        raft_data_unref(p->entry[i].data);
    for (size_t i = drop; i < p->count; i++)
        p->entry[i - drop] = p->entry[i];
    p->count -= drop;
    p->first = MAX(p->first, first);
}

void platter_done(struct platter *p)
{
    drop_queue(p);
    cut_after(p, 0);
    free(p->entry);
    lists_free(p->snapshot.state);
}

uint64_t platter_last(const struct platter *p)
{
    return p->first + p->count - 1;
}

uint64_t platter_term(const struct platter *p, uint64_t index)
{
    if (index >= p->first && index <= platter_last(p))
        return p->entry[index - p->first].term;
    return index && index == p->snapshot.index ? p->snapshot.term : 0;
}

static struct request *put(struct platter *p, enum request_kind kind)
{
    struct request *q = NEW(struct request);
    q->kind = kind;
    list_push(&p->queue, &q->item);
    p->queued++;
    return q;
}

void platter_append(struct platter *p, const struct raft_ready *rd)
{
    struct request *q = put(p, REQUEST_APPEND);
    q->token = rd->token;
    q->hard_changed = rd->hard_changed;
    q->hard = rd->hard;
    q->count = rd->append_count;
    q->entry = q->count ? NEW_ARRAY(struct raft_entry, q->count) : NULL;
    for (size_t i = 0; i < q->count; i++) {
        q->entry[i] = rd->append[i];
        if (q->entry[i].data)
            (void)raft_data_ref(q->entry[i].data);
    }
}

void platter_save(struct platter *p, uint64_t index, uint64_t term, const struct raft_members *m,
                  struct lists *state)
{
    put(p, REQUEST_SAVE)->snapshot = (struct platter_snapshot){index, term, *m, state};
}

void platter_compact(struct platter *p, uint64_t first_kept)
{
    put(p, REQUEST_COMPACT)->first_kept = first_kept;
}

void platter_put(struct platter *p, const struct raft_entry *e)
{
    require(e->index == platter_last(p) + 1);
    if (p->count == p->room) {
        p->room = MAX(2 * p->room, (size_t)64);
        p->entry = mem_grow(p->entry, p->room, sizeof *p->entry);
    }
    p->entry[p->count++] = *e;
    if (e->data)
        (void)raft_data_ref(e->data);
}

static void put_entry(struct platter *p, const struct request *q, size_t i)
{
    if (i == 0)
        cut_after(p, q->entry[0].index - 1);
    platter_put(p, &q->entry[i]);
}

/* Its first `count` entries. */
static void do_append(struct platter *p, const struct request *q, size_t count)
{
    if (q->hard_changed)
        p->hard = q->hard;
    for (size_t i = 0; i < count; i++)
        put_entry(p, q, i);
}

/* s->state is taken. */
static void do_save(struct platter *p, const struct platter_snapshot *s)
{
    if (platter_term(p, s->index) != s->term) {
        cut_after(p, 0);
        p->first = s->index + 1;
    }
    lists_free(p->snapshot.state);
    p->snapshot = *s;
}

struct platter_done platter_run(struct platter *p, size_t most)
{
    struct platter_done d = {0};
    for (; most && !list_empty(&p->queue); most--) {
        struct request *q = CONTAINER_OF(p->queue.next, struct request, item);
        switch (q->kind) {
        case REQUEST_APPEND:
            do_append(p, q, q->count);
            d.token = q->token;
            break;
        case REQUEST_SAVE:
            d.snapshot_index = q->snapshot.index;
            do_save(p, &q->snapshot);
            q->snapshot.state = NULL;
            break;
        case REQUEST_COMPACT: cut_before(p, q->first_kept); break;
        }
        request_free(q);
        p->queued--;
        if (d.snapshot_index)
            break; /* who asked for it goes on before anything else becomes durable */
    }
    return d;
}

void platter_crash(struct platter *p, struct rng *r)
{
    IGNORE(platter_run(p, (size_t)rng_below(r, p->queued + 1)));
    if (!list_empty(&p->queue)) {
        struct request *q = CONTAINER_OF(p->queue.next, struct request, item);
        if (q->kind == REQUEST_APPEND && rng_chance(r, 500))
            do_append(p, q, (size_t)rng_below(r, q->count + 1));
    }
    drop_queue(p);
}

/* --- what a crash may leave --- */

static struct platter_snapshot copy_snapshot(const struct platter_snapshot *s)
{
    struct platter_snapshot copy = *s;
    copy.state = s->state ? lists_copy(s->state) : NULL;
    return copy;
}

static void copy_durable(const struct platter *p, struct platter *out)
{
    platter_init(out);
    out->hard = p->hard;
    out->first = p->first;
    out->snapshot = copy_snapshot(&p->snapshot);
    for (size_t i = 0; i < p->count; i++)
        platter_put(out, &p->entry[i]);
}

static bool same_snapshot(const struct platter_snapshot *a, const struct platter_snapshot *b)
{
    return a->index == b->index && a->term == b->term &&
           raft_members_eq(&a->members, &b->members) && lists_eq(a->state, b->state);
}

static bool same_entry(const struct raft_entry *a, const struct raft_entry *b)
{
    if (a->index != b->index || a->term != b->term || a->type != b->type || !a->data != !b->data)
        return false;
    return !a->data || str_eq((struct str){a->data->bytes, a->data->len},
                              (struct str){b->data->bytes, b->data->len});
}

/* As far as both tell. */
static bool looks_like(const struct platter *p, const struct platter *found, bool older)
{
    older &= found->snapshot.index < p->snapshot.index;
    if (p->hard.term != found->hard.term || p->hard.vote != found->hard.vote ||
        platter_last(p) != platter_last(found) || (p->first > found->first && !older) ||
        !(older || same_snapshot(&p->snapshot, &found->snapshot)))
        return false;
    for (uint64_t i = platter_last(p); i >= MAX(p->first, found->first); i--)
        if (!same_entry(&p->entry[i - p->first], &found->entry[i - found->first]))
            return false;
    return true;
}

/* Carry out q, bit by bit: does p look like `found` after one of them? */
static bool comes_by(struct platter *p, const struct request *q, const struct platter *found,
                     bool older)
{
    bool yes = false;
    struct platter_snapshot s;
    switch (q->kind) {
    case REQUEST_APPEND:
        do_append(p, q, 0);
        yes = looks_like(p, found, older);
        for (size_t i = 0; !yes && i < q->count; i++) {
            put_entry(p, q, i);
            yes = looks_like(p, found, older);
        }
        return yes;
    case REQUEST_SAVE:
        s = copy_snapshot(&q->snapshot);
        do_save(p, &s);
        return looks_like(p, found, older);
    case REQUEST_COMPACT: cut_before(p, q->first_kept); return false;
    }
    defs_unreachable("request kind");
}

bool platter_may_become(const struct platter *p, const struct platter *found, bool older)
{
    struct platter now;
    copy_durable(p, &now);
    bool yes = looks_like(&now, found, older);
    LIST_EACH(it, &p->queue) {
        if (!yes)
            yes = comes_by(&now, CONTAINER_OF(it, struct request, item), found, older);
    }
    platter_done(&now);
    return yes;
}

void platter_become(struct platter *p, struct platter *found)
{
    platter_done(p);
    *p = *found;
    list_init(&p->queue);
}
