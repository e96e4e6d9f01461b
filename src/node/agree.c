#include "node/agree.h"

#include <string.h>

void agree_init(struct agree *a)
{
    a->count = 0;
}

uint64_t agree_newest(const struct agree *a)
{
    for (size_t i = a->count; i > 0; i--)
        if (a->point[i - 1].own)
            return a->point[i - 1].index;
    return 0;
}

static struct agree_point *find(const struct agree *a, uint64_t index)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->point[i].index == index)
            return (struct agree_point *)(uintptr_t)&a->point[i];
    return NULL;
}

/* Make room in its place for a point that is not there; the oldest goes if there is none. */
static struct agree_point *insert(struct agree *a, uint64_t index)
{
    if (a->count == AGREE_POINTS)
        memmove(&a->point[0], &a->point[1], --a->count * sizeof a->point[0]);
    size_t at = a->count++;
    for (; at > 0 && a->point[at - 1].index > index; at--)
        a->point[at] = a->point[at - 1];
    a->point[at] = (struct agree_point){.index = index};
    return &a->point[at];
}

void agree_note(struct agree *a, uint64_t index, uint64_t hash)
{
    require(index > agree_newest(a));
    struct agree_point *p = find(a, index);
    if (!p)
        p = insert(a, index);
    p->own = true;
    p->hash = hash;
}

bool agree_find(const struct agree *a, uint64_t index, uint64_t *ret_hash)
{
    const struct agree_point *p = find(a, index);
    if (!p || !p->own)
        return false;
    *ret_hash = p->hash;
    return true;
}

static size_t count_ahead(const struct agree *a)
{
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++)
        count += !a->point[i].own && a->point[i].index > agree_newest(a);
    return count;
}

void agree_hear(struct agree *a, uint64_t index, uint32_t member, uint64_t hash)
{
    struct agree_point *p = find(a, index);
    if (!p && (index < agree_newest(a) || count_ahead(a) == AGREE_AHEAD))
        return;
    if (!p)
        p = insert(a, index);
    uint32_t at = 0;
    while (at < p->count && p->word[at].member != member)
        at++;
    if (at == RAFT_MEMBERS_MAX)
        return;
    if (at == p->count)
        p->count++;
    else if (p->word[at].hash == hash)
        return;
    p->word[at] = (struct agree_word){.member = member, .hash = hash};
}

/* Who is wrong at p, if it is known by now who is? */
static enum agree_verdict judge(const struct agree_point *p, uint32_t holders, bool late)
{
    uint32_t same = 1, differ = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        same += p->word[i].hash == p->hash;
        differ += p->word[i].hash != p->hash;
    }
    late |= same + differ >= holders;
    if (differ == 0)
        return AGREE_NOTHING;
    if (2 * same > holders || (late && same > differ))
        return AGREE_OTHER_WRONG;
    if (2 * differ > holders || (late && differ > same))
        return AGREE_SELF_WRONG;
    return late ? AGREE_UNKNOWN : AGREE_NOTHING;
}

static struct agree_word *untold(struct agree_point *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->word[i].hash != p->hash && !p->word[i].told)
            return &p->word[i];
    return NULL;
}

enum agree_verdict agree_judge(struct agree *a, uint32_t holders, uint64_t *ret_index,
                               uint32_t *ret_member)
{
    uint64_t newest = agree_newest(a);
    for (size_t i = 0; i < a->count; i++) {
        struct agree_point *p = &a->point[i];
        struct agree_word *w = p->own ? untold(p) : NULL;
        enum agree_verdict v = w ? judge(p, holders, p->index < newest) : AGREE_NOTHING;
        if (v == AGREE_NOTHING)
            continue;
        w->told = true;
        *ret_index = p->index;
        *ret_member = w->member;
        return v;
    }
    return AGREE_NOTHING;
}
