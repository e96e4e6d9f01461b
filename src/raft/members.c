#include "raft/members.h"

#include <string.h>

#include "wire/cursor.h"

enum { FLAGS_ALL = RAFT_VOTES | RAFT_VOTED | RAFT_WITNESS | RAFT_JOINS | RAFT_LEAVES };

/* Where the number stands, or would. */
static uint32_t place(const struct raft_members *m, uint32_t number)
{
    uint32_t low = 0, high = m->count;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (m->member[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct raft_member *raft_members_find(const struct raft_members *m, uint32_t number)
{
    uint32_t at = place(m, number);
    return at < m->count && m->member[at].number == number ? &m->member[at] : NULL;
}

bool raft_members_put(struct raft_members *m, uint32_t number, uint32_t flags)
{
    uint32_t at = place(m, number);
    if (at < m->count && m->member[at].number == number) {
        m->member[at].flags = flags;
        return true;
    }
    if (m->count == RAFT_MEMBERS_MAX)
        return false;
    memmove(&m->member[at + 1], &m->member[at], (m->count - at) * sizeof m->member[0]);
    m->member[at] = (struct raft_member){number, flags};
    m->count++;
    return true;
}

void raft_members_cut(struct raft_members *m, uint32_t number)
{
    uint32_t at = place(m, number);
    if (at == m->count || m->member[at].number != number)
        return;
    m->count--;
    memmove(&m->member[at], &m->member[at + 1], (m->count - at) * sizeof m->member[0]);
}

bool raft_members_eq(const struct raft_members *a, const struct raft_members *b)
{
    if (a->joint != b->joint || a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (a->member[i].number != b->member[i].number || a->member[i].flags != b->member[i].flags)
            return false;
    return true;
}

bool raft_members_votes(const struct raft_members *m, uint32_t number)
{
    const struct raft_member *x = raft_members_find(m, number);
    return x && x->flags & (RAFT_VOTES | RAFT_VOTED);
}

bool raft_members_leads(const struct raft_members *m, uint32_t number)
{
    const struct raft_member *x = raft_members_find(m, number);
    return x && x->flags & (RAFT_VOTES | RAFT_VOTED) && !(x->flags & RAFT_WITNESS);
}

static bool flags_fit(uint32_t flags, bool joint)
{
    bool votes = flags & RAFT_VOTES, voted = flags & RAFT_VOTED;
    if (flags & ~(uint32_t)FLAGS_ALL || (!joint && (voted || flags & RAFT_LEAVES)))
        return false;
    if (flags & RAFT_JOINS && (votes || voted || flags & RAFT_LEAVES))
        return false;
    return !(flags & RAFT_LEAVES && votes);
}

enum status raft_members_check(const struct raft_members *m, struct fault *why)
{
    bool leads = false, voted = false;
    uint32_t before = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct raft_member *x = &m->member[i];
        if (x->number <= before)
            return fault_set(why, ST_INVALID, "members: their numbers do not rise");
        if (!flags_fit(x->flags, m->joint))
            return fault_set(why, ST_INVALID, "member %" PRIu32 ": 0x%" PRIx32 " cannot be",
                             x->number, x->flags);
        leads |= x->flags & RAFT_VOTES && !(x->flags & RAFT_WITNESS);
        voted |= x->flags & RAFT_VOTED;
        before = x->number;
    }
    if (m->joint && !voted)
        return fault_set(why, ST_INVALID, "members: a change without old voters");
    if (!leads)
        return fault_set(why, ST_INVALID, "members: none of them could lead");
    return ST_OK;
}

static bool same_voters(const struct raft_members *a, const struct raft_members *b)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (a->member[i].flags & RAFT_VOTES && !raft_members_votes(b, a->member[i].number))
            return false;
    for (uint32_t i = 0; i < b->count; i++)
        if (b->member[i].flags & RAFT_VOTES && !raft_members_votes(a, b->member[i].number))
            return false;
    return true;
}

enum status raft_members_toward(const struct raft_members *now, const struct raft_members *wanted,
                                struct raft_members *ret, struct fault *why)
{
    require(!now->joint && !wanted->joint);
    struct raft_members to = *wanted;
    if (same_voters(now, wanted)) {
        *ret = to;
        return ST_OK;
    }
    to.joint = true;
    for (uint32_t i = 0; i < now->count; i++) {
        uint32_t number = now->member[i].number, was = now->member[i].flags;
        const struct raft_member *x = raft_members_find(wanted, number);
        uint32_t flags = x ? x->flags : (was & RAFT_WITNESS) | RAFT_LEAVES;
        if (was & RAFT_VOTES)
            flags = (flags | RAFT_VOTED) & ~(uint32_t)RAFT_JOINS;
        if (!raft_members_put(&to, number, flags))
            return fault_set(why, ST_TOO_BIG, "there can be %d members", RAFT_MEMBERS_MAX);
    }
    *ret = to;
    return ST_OK;
}

void raft_members_end_joint(const struct raft_members *joint, struct raft_members *ret)
{
    require(joint->joint);
    struct raft_members to = {0};
    for (uint32_t i = 0; i < joint->count; i++) {
        const struct raft_member *x = &joint->member[i];
        if (!(x->flags & RAFT_LEAVES))
            to.member[to.count++] =
                (struct raft_member){x->number, x->flags & ~(uint32_t)RAFT_VOTED};
    }
    *ret = to;
}

/* The highest value that more than half of those with the flag have reached. */
static uint64_t majority(const struct raft_members *m, uint32_t flag, const uint64_t *value)
{
    uint64_t sorted[RAFT_MEMBERS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        if (!(m->member[i].flags & flag))
            continue;
        uint32_t at = count++;
        for (; at > 0 && sorted[at - 1] < value[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = value[i];
    }
    return count ? sorted[count / 2] : UINT64_MAX;
}

uint64_t raft_members_quorum(const struct raft_members *m, const uint64_t *value)
{
    uint64_t of_new = majority(m, RAFT_VOTES, value);
    return m->joint ? MIN(of_new, majority(m, RAFT_VOTED, value)) : of_new;
}

void raft_members_encode(const struct raft_members *m, struct buf *out)
{
    cursor_put_u8(out, m->joint);
    cursor_put_u16(out, (uint16_t)m->count);
    for (uint32_t i = 0; i < m->count; i++) {
        cursor_put_u32(out, m->member[i].number);
        cursor_put_u8(out, (uint8_t)m->member[i].flags);
    }
}

enum status raft_members_decode(struct str bytes, struct raft_members *ret, struct fault *why)
{
    struct raft_members m = {0};
    struct cursor c;
    cursor_init(&c, bytes);
    uint8_t joint = cursor_u8(&c);
    uint32_t count = cursor_u16(&c);
    if (joint > 1 || count > RAFT_MEMBERS_MAX)
        cursor_fail(&c, "that is no list of members");
    m.joint = joint;
    for (; m.count < count && cursor_ok(&c); m.count++) {
        m.member[m.count].number = cursor_u32(&c);
        m.member[m.count].flags = cursor_u8(&c);
    }
    enum status s = cursor_end(&c, ST_INVALID, why);
    if (s == ST_OK)
        s = raft_members_check(&m, why);
    if (s == ST_OK)
        *ret = m;
    return s;
}
