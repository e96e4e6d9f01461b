#include "raft/members.h"
#include "support/prop.h"
#include "support/tap.h"
#include "wire/cursor.h"

enum { V = RAFT_VOTES, O = RAFT_VOTED, W = RAFT_WITNESS, J = RAFT_JOINS, L = RAFT_LEAVES };

/* Flags by number from 1 on; NONE leaves a number out. */
enum { NONE = -1, END = -2 };
static struct raft_members make(bool joint, const int *flags)
{
    struct raft_members m = {.joint = joint};
    for (uint32_t i = 0; flags[i] != END; i++)
        if (flags[i] != NONE)
            CHECK(raft_members_put(&m, i + 1, (uint32_t)flags[i]));
    return m;
}
#define MEMBERS(joint, ...) make(joint, (const int[]){__VA_ARGS__, END})

TEST(members_stand_by_number)
{
    struct raft_members m = {0};
    static const uint32_t number[] = {5, 1, 9, 3, 7};
    for (size_t i = 0; i < ARRAY_COUNT(number); i++)
        CHECK(raft_members_put(&m, number[i], V));
    CHECK_EQ(5, m.count);
    for (uint32_t i = 0; i < 5; i++)
        CHECK_EQ(2 * i + 1, m.member[i].number);
    CHECK(raft_members_put(&m, 5, W)); /* in its place */
    CHECK_EQ(5, m.count);
    CHECK_EQ(W, raft_members_find(&m, 5)->flags);
    CHECK(!raft_members_find(&m, 4) && !raft_members_find(&m, 10) && !raft_members_find(&m, 0));
    raft_members_cut(&m, 5);
    raft_members_cut(&m, 4);
    CHECK_EQ(4, m.count);
    CHECK(!raft_members_find(&m, 5) && raft_members_find(&m, 7) && raft_members_find(&m, 9));
}

TEST(members_are_bounded)
{
    struct raft_members m = {0};
    for (uint32_t i = 1; i <= RAFT_MEMBERS_MAX; i++)
        CHECK(raft_members_put(&m, 2 * i, V));
    CHECK(!raft_members_put(&m, 3, V));
    CHECK(raft_members_put(&m, 4, W));
    CHECK_EQ(RAFT_MEMBERS_MAX, m.count);
}

TEST(members_whose_word_counts_and_who_may_lead)
{
    static const struct {
        uint32_t flags;
        bool votes, leads;
    } row[] = {
        {0, false, false},    {V, true, true},       {O, true, true},          {V | O, true, true},
        {V | W, true, false}, {J, false, false},     {L, false, false},        {O | L, true, true},
        {W, false, false},    {J | W, false, false}, {O | W | L, true, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        struct raft_members m = {.count = 1, .member = {{4, row[i].flags}}};
        CHECK_EQ(row[i].votes, raft_members_votes(&m, 4));
        CHECK_EQ(row[i].leads, raft_members_leads(&m, 4));
        CHECK(!raft_members_votes(&m, 5) && !raft_members_leads(&m, 5));
    }
}

TEST(members_check)
{
    const struct {
        struct raft_members m;
        bool fine;
    } row[] = {
        {{0}, false},
        {MEMBERS(false, V), true},
        {MEMBERS(false, V, V, 0, J, V | W, J | W, W), true},
        {MEMBERS(false, V | W), false}, /* nobody could lead */
        {MEMBERS(false, 0, J), false},
        {MEMBERS(false, V, O), false}, /* old voters outside of a change */
        {MEMBERS(false, V, L), false},
        {MEMBERS(false, V, V | J), false},
        {MEMBERS(false, V, 32), false},
        {MEMBERS(true, V, O), true},
        {MEMBERS(true, V | O, V, O | L, L, 0, O, J), true},
        {MEMBERS(true, V), false},     /* no old voters */
        {MEMBERS(true, O | L), false}, /* no new ones */
        {MEMBERS(true, V | W, O), false},
        {MEMBERS(true, V | O, V | L), false},
        {MEMBERS(true, V | O, V | O | L), false},
        {MEMBERS(true, V | O, J | O), false},
        {MEMBERS(true, V | O, J | L), false},
        {{.count = 2, .member = {{2, V}, {1, V}}}, false},
        {{.count = 2, .member = {{2, V}, {2, V}}}, false},
        {{.count = 1, .member = {{0, V}}}, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        enum status s = raft_members_check(&row[i].m, NULL);
        if (s != (row[i].fine ? ST_OK : ST_INVALID))
            tap_fail(__FILE__, __LINE__, "row %zu: %d", i, (int)s);
    }
}

TEST(members_toward)
{
    const struct {
        struct raft_members now, wanted, step, end;
    } row[] = {
        /* The same voters: no detour. */
        {MEMBERS(false, V), MEMBERS(false, V), MEMBERS(false, V), {0}},
        {MEMBERS(false, V), MEMBERS(false, V, 0, J), MEMBERS(false, V, 0, J), {0}},
        {MEMBERS(false, V, 0), MEMBERS(false, V), MEMBERS(false, V), {0}},
        {MEMBERS(false, V, V), MEMBERS(false, V, V | W), MEMBERS(false, V, V | W), {0}},
        /* One more, one less, one for another, one that becomes a learner. */
        {MEMBERS(false, V, J), MEMBERS(false, V, V), MEMBERS(true, V | O, V), MEMBERS(false, V, V)},
        {MEMBERS(false, V, V, V), MEMBERS(false, NONE, V, V), MEMBERS(true, O | L, V | O, V | O),
         MEMBERS(false, NONE, V, V)},
        {MEMBERS(false, V, V, V, 0), MEMBERS(false, V, V, NONE, V),
         MEMBERS(true, V | O, V | O, O | L, V), MEMBERS(false, V, V, NONE, V)},
        {MEMBERS(false, V, V, V), MEMBERS(false, V, V, 0), MEMBERS(true, V | O, V | O, O),
         MEMBERS(false, V, V, 0)},
        /* All others. */
        {MEMBERS(false, V), MEMBERS(false, NONE, V), MEMBERS(true, O | L, V),
         MEMBERS(false, NONE, V)},
        /* A learner goes in the same change; a voter would rather join again: as a learner first. */
        {MEMBERS(false, V, 0), MEMBERS(false, V, NONE, V), MEMBERS(true, V | O, L, V),
         MEMBERS(false, V, NONE, V)},
        {MEMBERS(false, V, V), MEMBERS(false, V, J), MEMBERS(true, V | O, O), MEMBERS(false, V, 0)},
        /* What a witness is stays told while it leaves. */
        {MEMBERS(false, V, V | W), MEMBERS(false, V), MEMBERS(true, V | O, O | W | L),
         MEMBERS(false, V)},
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        struct raft_members step, end = {0};
        CHECK_EQ(ST_OK, raft_members_toward(&row[i].now, &row[i].wanted, &step, NULL));
        if (step.joint)
            raft_members_end_joint(&step, &end);
        if (!raft_members_eq(&row[i].step, &step) || !raft_members_eq(&row[i].end, &end))
            tap_fail(__FILE__, __LINE__, "row %zu", i);
        CHECK_EQ(ST_OK, raft_members_check(&step, NULL));
    }
}

TEST(members_toward_more_than_there_can_be)
{
    struct raft_members now = {0}, wanted = {0}, step;
    for (uint32_t i = 1; i <= RAFT_MEMBERS_MAX; i++) {
        CHECK(raft_members_put(&now, i, V));
        CHECK(raft_members_put(&wanted, i + 1, V));
    }
    CHECK_EQ(ST_TOO_BIG, raft_members_toward(&now, &wanted, &step, NULL));
}

TEST(members_quorum)
{
    const struct {
        struct raft_members m;
        uint64_t value[8], want;
    } row[] = {
        {MEMBERS(false, V), {7}, 7},
        {MEMBERS(false, V, V), {7, 3}, 3},
        {MEMBERS(false, V, V, V), {7, 3, 5}, 5},
        {MEMBERS(false, V, V, V, V), {1, 2, 3, 4}, 2},
        {MEMBERS(false, V, V, V, V, V), {5, 1, 4, 2, 3}, 3},
        {MEMBERS(false, V, V, V, V, V), {9, 9, 0, 0, 0}, 0},
        {MEMBERS(false, V, 0, J, V, V), {4, 9, 9, 5, 3}, 4}, /* learners have no say */
        {MEMBERS(false, V, V | W, V), {8, 8, 0}, 8},         /* witnesses do */
        /* Both quorums: of V, and of O. */
        {MEMBERS(true, V | O, V | O, O, V), {9, 8, 1, 2}, 8},
        {MEMBERS(true, O, O, O, V, V, V), {1, 2, 3, 7, 8, 9}, 2},
        {MEMBERS(true, O, O, O, V, V, V), {7, 8, 9, 1, 2, 3}, 2},
        {MEMBERS(true, O | L, V), {3, 9}, 3},
        {MEMBERS(false, 0, J), {1, 2}, UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
        uint64_t got = raft_members_quorum(&row[i].m, row[i].value);
        if (got != row[i].want)
            tap_fail(__FILE__, __LINE__, "row %zu: %llu", i, (unsigned long long)got);
    }
}

/* --- on the wire --- */

static struct str encode(const struct raft_members *m, struct buf *b)
{
    buf_init(b, RAFT_MEMBERS_BYTES_MAX);
    raft_members_encode(m, b);
    return (struct str){b->ptr, b->len};
}

TEST(members_encoding)
{
    struct raft_members m = MEMBERS(true, V | O, O | L), back;
    raft_members_cut(&m, 2);
    CHECK(raft_members_put(&m, 0x01020304, O | L));
    AUTO(buf_done) struct buf b;
    struct str s = encode(&m, &b);
    CHECK_EQ(13, s.len);
    CHECK(!memcmp("\1\2\0\1\0\0\0\3\4\3\2\1\22", s.ptr, 13));
    CHECK_EQ(ST_OK, raft_members_decode(s, &back, NULL));
    CHECK(raft_members_eq(&m, &back));
}

TEST(members_decoding_refuses_what_is_not_written_so)
{
    static const struct {
        const char *bytes;
        size_t len;
    } row[] = {
        {"", 0},
        {"\0\1\0\1\0\0\0", 7},              /* cut short */
        {"\0\1\0\1\0\0\0\1\0", 9},          /* something left over */
        {"\2\1\0\1\0\0\0\1", 8},            /* no truth value */
        {"\0\0\0", 3},                      /* nobody */
        {"\0\x81\0\1\0\0\0\1", 8},          /* more than there can be */
        {"\0\1\0\0\0\0\0\1", 8},            /* number 0 */
        {"\0\1\0\1\0\0\0\x21", 8},          /* a flag that is not known */
        {"\0\2\0\2\0\0\0\1\1\0\0\0\1", 13}, /* out of order */
        {"\1\1\0\1\0\0\0\1", 8},            /* a change without old voters */
    };
    struct raft_members m;
    struct fault why;
    for (size_t i = 0; i < ARRAY_COUNT(row); i++)
        if (raft_members_decode((struct str){row[i].bytes, row[i].len}, &m, &why) != ST_INVALID)
            tap_fail(__FILE__, __LINE__, "row %zu", i);
    CHECK_EQ(ST_OK, raft_members_decode((struct str){"\0\1\0\1\0\0\0\1", 8}, &m, &why));
}

/* --- for any members --- */

static struct raft_members draw_members(struct tape *t, uint32_t max)
{
    static const uint32_t flags[] = {V, 0, J, V | W, W};
    struct raft_members m = {0};
    uint32_t count = 1 + (uint32_t)draw_below(t, max);
    for (uint32_t i = 0; i < count; i++)
        CHECK(raft_members_put(&m, 1 + (uint32_t)draw_below(t, 2 * (uint64_t)max),
                               flags[draw_below(t, ARRAY_COUNT(flags))]));
    CHECK(raft_members_put(&m, 2 * max + 1 + (uint32_t)draw_below(t, 3), V));
    return m;
}

/* Is the set of those with a 1 a quorum? Told from the definition, not from the code. */
static bool is_quorum(const struct raft_members *m, const uint64_t *in)
{
    for (uint32_t flag = V; flag <= (m->joint ? O : V); flag <<= 1) {
        uint32_t all = 0, some = 0;
        for (uint32_t i = 0; i < m->count; i++)
            if (m->member[i].flags & flag) {
                all++;
                some += in[i] > 0;
            }
        if (2 * some <= all)
            return false;
    }
    return true;
}

/* Who of these numbers is in, as values by position. */
static void choose(const struct raft_members *m, uint32_t bits, uint64_t *value)
{
    for (uint32_t i = 0; i < m->count; i++)
        value[i] = bits >> (m->member[i].number % 32) & 1;
}

static void members_change_safely(struct tape *t)
{
    struct raft_members now = draw_members(t, 5), wanted = draw_members(t, 5), step, end;
    CHECK_EQ(ST_OK, raft_members_toward(&now, &wanted, &step, NULL));
    CHECK_EQ(ST_OK, raft_members_check(&step, NULL));
    end = step;
    if (step.joint)
        raft_members_end_joint(&step, &end);
    CHECK_EQ(ST_OK, raft_members_check(&end, NULL));
    for (uint32_t i = 0; i < wanted.count; i++)
        CHECK_EQ(raft_members_votes(&wanted, wanted.member[i].number),
                 raft_members_votes(&end, wanted.member[i].number));
    CHECK_EQ(wanted.count, end.count);

    AUTO(buf_done) struct buf b;
    struct raft_members back;
    CHECK_EQ(ST_OK, raft_members_decode(encode(&step, &b), &back, NULL));
    CHECK(raft_members_eq(&step, &back));

    /* Any two quorums of neighbours share a member; here: no set and its complement are both one. */
    const struct raft_members *chain[] = {&now, &step, &end};
    uint32_t bits = (uint32_t)draw_below(t, UINT32_MAX);
    for (size_t k = 0; k < ARRAY_COUNT(chain); k++) {
        uint64_t value[RAFT_MEMBERS_MAX], others[RAFT_MEMBERS_MAX];
        choose(chain[k], bits, value);
        CHECK_EQ(is_quorum(chain[k], value), raft_members_quorum(chain[k], value) == 1);
        for (size_t j = k ? k - 1 : 0; j < ARRAY_COUNT(chain) && j <= k + 1; j++) {
            choose(chain[j], ~bits, others);
            CHECK(!(raft_members_quorum(chain[k], value) == 1 &&
                    raft_members_quorum(chain[j], others) == 1));
        }
    }
}

TEST(members_any_change_keeps_quorums_that_meet)
{
    prop_run(members_change_safely, 1, 400);
}

static void members_decode_anything(struct tape *t)
{
    struct raft_members m;
    size_t len = MIN(t->len, (size_t)RAFT_MEMBERS_BYTES_MAX + 1);
    if (raft_members_decode((struct str){(const char *)t->byte, len}, &m, NULL) != ST_OK)
        return;
    AUTO(buf_done) struct buf b;
    struct str s = encode(&m, &b);
    CHECK(s.len == len && !memcmp(s.ptr, t->byte, len));
}

TEST(members_decoding_refuses_more_than_there_can_be)
{
    for (uint32_t count = RAFT_MEMBERS_MAX; count <= RAFT_MEMBERS_MAX + 1; count++) {
        AUTO(buf_done) struct buf b;
        struct raft_members m;
        buf_init(&b, 2 * RAFT_MEMBERS_BYTES_MAX);
        cursor_put_u8(&b, false);
        cursor_put_u16(&b, (uint16_t)count);
        for (uint32_t i = 1; i <= count; i++) {
            cursor_put_u32(&b, i);
            cursor_put_u8(&b, RAFT_VOTES);
        }
        CHECK_EQ(count > RAFT_MEMBERS_MAX ? ST_INVALID : ST_OK,
                 raft_members_decode((struct str){b.ptr, b.len}, &m, NULL));
    }
}

TEST(members_decoding_of_any_bytes)
{
    prop_run(members_decode_anything, 2, 200);
}
