#include "node/roles.h"

enum { MAY_VOTE = RAFT_VOTES | RAFT_JOINS };

struct view {
    const struct roles_node *node;
    size_t count;
    uint32_t self;
};

static const struct roles_node *find(const struct view *v, uint32_t number)
{
    for (size_t i = 0; i < v->count; i++)
        if (v->node[i].number == number)
            return &v->node[i];
    return NULL;
}

static uint32_t target(size_t nodes)
{
    return nodes < 3 ? 1 : nodes < 5 ? 3 : 5;
}

static bool is_witness(const struct raft_member *m)
{
    return m->flags & RAFT_WITNESS;
}

static bool stays(const struct view *v, const struct raft_member *m)
{
    return is_witness(m) || find(v, m->number);
}

static bool is_silent(const struct view *v, const struct raft_member *m)
{
    const struct roles_node *n = find(v, m->number);
    return n && n->silent;
}

static bool may_be_promoted(const struct view *v, const struct raft_member *m)
{
    const struct roles_node *n = find(v, m->number);
    return n && n->active && !n->silent && !(m->flags & (MAY_VOTE | RAFT_WITNESS));
}

static uint32_t count_voters(const struct view *v, const struct raft_members *m, bool silent)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct raft_member *x = &m->member[i];
        n += x->flags & MAY_VOTE && stays(v, x) && (silent || !is_silent(v, x));
    }
    return n;
}

static uint32_t count_promotable(const struct view *v, const struct raft_members *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->count; i++)
        n += may_be_promoted(v, &m->member[i]);
    return n;
}

/* Those with the lowest numbers. */
static void promote(const struct view *v, struct raft_members *m, uint32_t count)
{
    for (uint32_t i = 0; i < m->count && count > 0; i++)
        if (may_be_promoted(v, &m->member[i])) {
            m->member[i].flags |= RAFT_VOTES;
            count--;
        }
}

/* --- the steps, in their order --- */

/* New nodes come, as who has no say. */
static bool take_in(const struct view *v, struct raft_members *m)
{
    bool any = false;
    for (size_t i = 0; i < v->count; i++)
        if (!raft_members_find(m, v->node[i].number))
            any |= raft_members_put(m, v->node[i].number, 0);
    return any;
}

/* Who was to vote, has not caught up and fell silent would be waited for in vain. */
static bool give_up(const struct view *v, struct raft_members *m)
{
    bool any = false;
    for (uint32_t i = 0; i < m->count; i++)
        if (m->member[i].flags & RAFT_JOINS && !is_witness(&m->member[i]) &&
            is_silent(v, &m->member[i])) {
            m->member[i].flags &= ~(uint32_t)RAFT_JOINS;
            any = true;
        }
    return any;
}

/* Removed ones go, if a voter that could lead is left; else one is made first. */
static bool let_go(const struct view *v, struct raft_members *m)
{
    uint32_t left = 0, joining = 0, gone = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct raft_member *x = &m->member[i];
        left += x->flags & RAFT_VOTES && !is_witness(x) && stays(v, x);
        joining += x->flags & RAFT_JOINS && !is_witness(x) && stays(v, x);
        gone += !stays(v, x);
    }
    if (gone == 0)
        return false;
    if (left == 0) {
        promote(v, m, joining ? 0 : 1);
        return true;
    }
    for (uint32_t i = m->count; i-- > 0;)
        if (!stays(v, &m->member[i]))
            raft_members_cut(m, m->member[i].number);
    return true;
}

/* Learners take the places that are free, and those of the silent, so that an odd number votes. */
static bool let_vote(const struct view *v, struct raft_members *m)
{
    uint32_t live = count_voters(v, m, false), wanted = target(v->count);
    if (live >= wanted)
        return false;
    uint32_t more = MIN(wanted - live, count_promotable(v, m));
    if ((live + more) % 2 == 0 && more > 0)
        more--;
    promote(v, m, more);
    return more > 0;
}

/* Of too many voters one goes: a silent one, or the newest, but never who leads. */
static bool let_rest(const struct view *v, struct raft_members *m)
{
    struct raft_member *last = NULL;
    if (count_voters(v, m, true) <= target(v->count))
        return false;
    for (uint32_t i = 0; i < m->count; i++) {
        struct raft_member *x = &m->member[i];
        if (!(x->flags & RAFT_VOTES) || is_witness(x) || x->number == v->self)
            continue;
        if (!last || is_silent(v, x) || !is_silent(v, last))
            last = x;
    }
    if (last)
        last->flags &= ~(uint32_t)RAFT_VOTES;
    return last != NULL;
}

bool roles_next(const struct raft_members *now, const struct roles_node *node, size_t count,
                uint32_t self, struct raft_members *ret)
{
    const struct view v = {node, count, self};
    if (now->joint)
        return false;
    *ret = *now;
    bool any = take_in(&v, ret) || give_up(&v, ret) || let_go(&v, ret) || let_vote(&v, ret) ||
               let_rest(&v, ret);
    return any && !raft_members_eq(now, ret);
}
