/* Messages and snapshots that no sound member sends: refused, counted, and without any effect. */
#include "support/raft_net.h"
#include "support/tap.h"

enum { V = RAFT_VOTES };

/* All that can be seen of a node; the count of refusals is looked at apart. */
static bool same(struct raft_view a, struct raft_view b)
{
    a.refused = b.refused = 0;
    return a.role == b.role && a.leader == b.leader && a.transfer == b.transfer &&
           a.term == b.term && a.first == b.first && a.last == b.last &&
           a.persisted == b.persisted && a.commit == b.commit && a.applied == b.applied &&
           a.kept == b.kept && a.members_index == b.members_index &&
           a.uncommitted_bytes == b.uncommitted_bytes && a.elections == b.elections &&
           a.truncations == b.truncations;
}

static void refuses(struct net *n, uint32_t i, struct raft_message m, const char *text)
{
    struct raft *r = n->node[i].r;
    struct raft_view before = raft_view(r);
    uint64_t due = raft_deadline_ms(r);
    struct raft_ready rd;
    struct fault why;
    CHECK(!raft_ready(r, &rd));
    enum status s = raft_step(r, &m, &why);
    if (s != ST_INVALID)
        tap_fail(__FILE__, __LINE__, "not refused: %s", text);
    if (!strstr(why.text, text))
        tap_fail(__FILE__, __LINE__, "want \"%s\", got \"%s\"", text, why.text);
    CHECK_EQ(ST_INVALID, raft_step(r, &m, NULL)); /* nor is a reason needed */
    CHECK_EQ(before.refused + 2, raft_view(r).refused);
    CHECK(same(before, raft_view(r)));
    CHECK_EQ(due, raft_deadline_ms(r));
    CHECK(!raft_ready(r, &rd));
}

/* 1 leads 2 and 3 in term 1 with three entries, all committed and applied everywhere. */
static struct net *start(void)
{
    struct net *n = net_start_led(3);
    (void)net_propose(n, 1, "a");
    (void)net_propose(n, 1, "b");
    net_settle(n);
    net_pass(n, 200);
    CHECK_EQ(3, net_view(n, 2).applied);
    return n;
}

/* A message of each type that would be fine from 1 to 2. */
static struct raft_message sound(enum raft_message_type type)
{
    struct raft_message m = {.type = type, .from = 1, .to = 2, .term = 1};
    if (type == RAFT_APPEND || type == RAFT_OFFER || type == RAFT_VOTE_ASK || type == RAFT_LEND) {
        m.index = 3;
        m.log_term = 1;
    }
    return m;
}

TEST(bad_type_sender_receiver)
{
    struct net *n = start();
    struct raft_message m = sound(RAFT_APPEND);
    m.type = RAFT_MESSAGE_TYPE_COUNT;
    refuses(n, 2, m, "its type is not known");
    m.type = (enum raft_message_type)0x7fffffff;
    refuses(n, 2, m, "its type is not known");
    for (int type = 0; type < RAFT_MESSAGE_TYPE_COUNT; type++) {
        m = sound((enum raft_message_type)type);
        m.from = 0;
        refuses(n, 2, m, "it is from nobody else");
        m.from = 2;
        refuses(n, 2, m, "it is from nobody else");
        m = sound((enum raft_message_type)type);
        m.to = 3;
        refuses(n, 2, m, "it is to another member");
        m.to = 0;
        refuses(n, 2, m, "it is to another member");
        m = sound((enum raft_message_type)type);
        m.term = 0;
        refuses(n, 2, m, "its numbers cannot be");
    }
    net_free(n);
}

TEST(bad_numbers_that_would_overflow)
{
    struct net *n = start();
    static const uint64_t huge[] = {UINT64_MAX, UINT64_MAX - 1, 1ull << 63, 1ull << 62};
    for (int type = 0; type < RAFT_MESSAGE_TYPE_COUNT; type++)
        for (size_t i = 0; i < ARRAY_COUNT(huge); i++)
            for (int field = 0; field < 8; field++) {
                struct raft_message m = sound((enum raft_message_type)type);
                uint64_t *const at[] = {&m.term, &m.index,   &m.log_term, &m.commit,
                                        &m.read, &m.matched, &m.hint,     &m.kept};
                *at[field] = huge[i];
                refuses(n, 2, m, "its numbers cannot be");
            }
    net_free(n);
}

TEST(bad_entries)
{
    struct net *n = start();
    struct raft_data *d = raft_data_new("x", 1), *nobody = raft_data_new("\0\0\0", 3);
    const struct {
        struct raft_entry e[2];
        size_t count;
        const char *text;
    } row[] = {
        {{{5, 1, RAFT_ENTRY_NOOP, NULL}}, 1, "not in a row"},
        {{{3, 1, RAFT_ENTRY_NOOP, NULL}}, 1, "not in a row"},
        {{{UINT64_MAX, 1, RAFT_ENTRY_NOOP, NULL}}, 1, "not in a row"},
        {{{4, 1, RAFT_ENTRY_NOOP, NULL}, {6, 1, RAFT_ENTRY_NOOP, NULL}}, 2, "not in a row"},
        {{{4, 0, RAFT_ENTRY_NOOP, NULL}}, 1, "terms of its entries"},
        {{{4, 3, RAFT_ENTRY_NOOP, NULL}}, 1, "terms of its entries"}, /* above the message's */
        {{{4, 2, RAFT_ENTRY_NOOP, NULL}, {5, 1, RAFT_ENTRY_NOOP, NULL}}, 2, "terms of its entries"},
        {{{4, 1, RAFT_ENTRY_TYPE_COUNT, NULL}}, 1, "unknown type"},
        {{{4, 1, (enum raft_entry_type)77, d}}, 1, "unknown type"},
        {{{4, 1, RAFT_ENTRY_NOOP, d}}, 1, "data against its type"},
        {{{4, 1, RAFT_ENTRY_COMMAND, NULL}}, 1, "data against its type"},
        {{{4, 1, RAFT_ENTRY_MEMBERS, NULL}}, 1, "data against its type"},
        {{{4, 1, RAFT_ENTRY_MEMBERS, d}}, 1, "message of member 1"},
        {{{4, 1, RAFT_ENTRY_MEMBERS, nobody}}, 1, "none of them could lead"},
        /* The first is fine and would be taken. */
        {{{4, 1, RAFT_ENTRY_COMMAND, d}, {5, 1, RAFT_ENTRY_MEMBERS, d}}, 2, "message of member 1"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++)
        for (int lent = 0; lent < 2; lent++) {
            struct raft_message m = sound(lent ? RAFT_LEND : RAFT_APPEND);
            m.term = 2; /* a new leader's, so that only the entries are wrong */
            m.entries = row[i].e;
            m.count = row[i].count;
            refuses(n, 2, m, row[i].text);
        }
    for (int type = 0; type < RAFT_MESSAGE_TYPE_COUNT; type++) {
        if (type == RAFT_APPEND || type == RAFT_LEND)
            continue;
        struct raft_message m = sound((enum raft_message_type)type);
        m.entries = row[0].e;
        m.count = 1;
        refuses(n, 2, m, "it has entries against its type");
    }
    struct raft_message m = sound(RAFT_APPEND);
    m.entries = row[0].e;
    m.count = (size_t)UINT32_MAX + 1;
    refuses(n, 2, m, "its numbers cannot be");
    raft_data_unref(d);
    raft_data_unref(nobody);
    net_free(n);
}

TEST(bad_index_and_term_that_do_not_go_together)
{
    struct net *n = start();
    static const int type[] = {RAFT_APPEND, RAFT_OFFER, RAFT_VOTE_ASK, RAFT_LEND};
    static const uint64_t row[][2] = {{0, 1}, {3, 0}, {3, 3}}; /* index, log_term; the term is 2 */
    for (size_t k = 0; k < ARRAY_COUNT(type); k++)
        for (size_t i = 0; i < ARRAY_COUNT(row); i++) {
            struct raft_message m = sound((enum raft_message_type)type[k]);
            m.term = 2;
            m.index = row[i][0];
            m.log_term = row[i][1];
            refuses(n, 2, m, "its index and term do not go together");
        }
    net_free(n);
}

TEST(bad_second_leader_in_a_term)
{
    struct net *n = start();
    struct raft_entry e = {4, 1, RAFT_ENTRY_NOOP, NULL};
    static const int type[] = {RAFT_APPEND, RAFT_OFFER};
    for (size_t k = 0; k < ARRAY_COUNT(type); k++) {
        struct raft_message m = sound((enum raft_message_type)type[k]);
        m.from = 3;
        if (m.type == RAFT_APPEND) {
            m.entries = &e;
            m.count = 1;
        }
        refuses(n, 2, m, "its term has another leader");
        m.to = 1;
        refuses(n, 1, m, "another leader");
    }
    net_free(n);
}

/* What is committed here nobody can have otherwise, of whatever term it is. */
TEST(bad_append_against_what_is_committed)
{
    struct net *n = start();
    struct raft_entry e[] = {{3, 2, RAFT_ENTRY_NOOP, NULL}, {4, 2, RAFT_ENTRY_NOOP, NULL}};
    struct raft_message m = {.type = RAFT_APPEND, .from = 3, .to = 2, .term = 9};
    m.index = 2;
    m.log_term = 1;
    m.entries = e;
    m.count = 2;
    refuses(n, 2, m, "it contradicts what is committed");
    m = (struct raft_message){.type = RAFT_APPEND, .from = 3, .to = 2, .term = 9};
    m.index = 3;
    m.log_term = 2;
    refuses(n, 2, m, "it contradicts what is committed");
    net_free(n);
}

/* Nor can a leader have another entry where its own log was seen to match. */
TEST(bad_append_against_what_its_leader_sent_before)
{
    struct net *n = net_start_led(3);
    n->held[2][1] = n->held[3][1] = true;
    (void)net_propose(n, 1, "a");
    net_settle(n);
    CHECK(net_view(n, 2).last == 2 && net_view(n, 2).commit == 1);
    struct raft_message m = {.type = RAFT_APPEND, .from = 1, .to = 2, .term = 2};
    struct raft_entry e = {2, 2, RAFT_ENTRY_NOOP, NULL};
    m.index = m.log_term = 1;
    m.entries = &e;
    m.count = 1;
    raft_net_send(n, &m);
    net_deliver(n, 1, 2, RAFT_APPEND); /* of a later term it may */
    CHECK_EQ(1, net_view(n, 2).truncations);
    struct raft_entry other = {2, 1, RAFT_ENTRY_NOOP, NULL};
    m.entries = &other;
    refuses(n, 2, m, "it contradicts");
    m.index = 2;
    m.log_term = 1;
    m.count = 0;
    refuses(n, 2, m, "it contradicts");
    net_free(n);
}

TEST(bad_acknowledgements)
{
    struct net *n = start();
    struct raft_message m = {.type = RAFT_APPENDED, .from = 2, .to = 1, .term = 1};
    m.matched = 4;
    refuses(n, 1, m, "it acknowledges what was never sent");
    m.index = 4;
    refuses(n, 1, m, "it acknowledges what was never sent");
    m.index = 3;
    m.matched = 2;
    refuses(n, 1, m, "it acknowledges what was never sent"); /* durable, and not equal */
    m.matched = 3;
    m.read = 1;
    refuses(n, 1, m, "it confirms a read that nobody asked for");
    net_free(n);
}

/* Answers that nobody asked for are dropped: they can be late ones. Some leave no trace at all. */
TEST(bad_answers_never_asked_for_change_nothing)
{
    struct net *n = start();
    struct raft_message m = {.from = 3, .to = 2, .term = 1};
    static const int type[] = {RAFT_VOTE, RAFT_APPENDED, RAFT_TAKE_OVER};
    for (size_t k = 0; k < ARRAY_COUNT(type); k++)
        for (int variant = 0; variant < 4; variant++) {
            m.type = (enum raft_message_type)type[k];
            m.pre = variant & 1;
            m.refused = variant & 2;
            m.index = m.matched = 3;
            struct raft_view before = net_view(n, 2);
            raft_net_send(n, &m);
            net_deliver(n, 3, 2, type[k]);
            CHECK(same(before, net_view(n, 2)));
            CHECK_EQ(0, n->pool_count);
        }
    /* To a leader, from who is no member. */
    m = (struct raft_message){.type = RAFT_APPENDED, .from = 7, .to = 1, .term = 1};
    m.index = m.matched = 3;
    struct raft_view before = net_view(n, 1);
    raft_net_send(n, &m);
    net_deliver(n, 7, 1, RAFT_APPENDED);
    CHECK(same(before, net_view(n, 1)));
    net_free(n);
}

/* What a message says of the commit index and of what all keep goes no further than the log. */
TEST(bad_commit_beyond_the_log_is_bounded)
{
    struct net *n = start();
    struct raft_message m = sound(RAFT_APPEND);
    m.commit = m.kept = 1000;
    raft_net_send(n, &m);
    net_deliver(n, 1, 2, RAFT_APPEND);
    CHECK_EQ(3, net_view(n, 2).commit);
    CHECK_EQ(3, net_view(n, 2).kept);
    net_free(n);
}
