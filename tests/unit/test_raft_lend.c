/* A witness gives entries to who campaigns and lacks them. */
#include "raft/raft.h"
#include "support/tap.h"

static const struct raft_members two_and_a_witness = {
    .count = 3, .member = {{1, RAFT_VOTES}, {2, RAFT_VOTES}, {3, RAFT_VOTES | RAFT_WITNESS}}};

/* Member 3, that keeps entries 6 and 7 of term 2 after a snapshot at 5. */
static struct raft *start_witness(void)
{
    struct raft_config c;
    struct raft *r;
    const struct raft_entry e[] = {{6, 2, RAFT_ENTRY_NOOP, NULL}, {7, 2, RAFT_ENTRY_NOOP, NULL}};
    raft_config_default(&c, 3);
    CHECK_EQ(ST_OK, raft_new(&c, 0, &(struct raft_hard){.term = 2},
                             &(struct raft_snapshot){5, 2, &two_and_a_witness}, e, 2, &r, NULL));
    return r;
}

/* What it lends to a candidate whose last entry is (index, term): how many after `from`; 0: nothing. */
static void check_lent(uint64_t index, uint64_t term, uint64_t commit, uint64_t from, size_t count)
{
    struct raft *r = start_witness();
    const struct raft_message ask = {.type = RAFT_VOTE_ASK,
                                     .from = 1,
                                     .to = 3,
                                     .term = 3,
                                     .index = index,
                                     .log_term = term,
                                     .commit = commit,
                                     .pre = true};
    struct raft_ready rd;
    size_t lent = 0;
    CHECK_EQ(ST_OK, raft_step(r, &ask, NULL));
    CHECK(raft_ready(r, &rd));
    CHECK(rd.messages[0].type == RAFT_VOTE && rd.messages[0].refused == (index < 7));
    for (size_t i = 1; i < rd.message_count; i++) {
        CHECK_EQ(RAFT_LEND, rd.messages[i].type);
        CHECK_EQ(from, rd.messages[i].index);
        lent += rd.messages[i].count;
    }
    CHECK_EQ(count, lent);
    raft_free(r);
}

TEST(raft_witness_lends_what_comes_after_the_candidates_last_entry)
{
    check_lent(5, 2, 0, 5, 2);
    check_lent(6, 2, 0, 6, 1);
    check_lent(7, 2, 0, 0, 0);
}

TEST(raft_witness_lends_from_what_the_candidate_knows_to_be_committed)
{
    check_lent(6, 1, 5, 5, 2);
}

/* It no longer has what would come next. */
TEST(raft_witness_lends_nothing_that_cannot_be_used)
{
    check_lent(0, 0, 0, 0, 0);
    check_lent(3, 2, 3, 0, 0);
}

/* The messages that it is given, and how many entries: of a witness that holds all after 5, of these terms. */
static struct raft *start_witness_of(const char *terms, uint64_t term, uint32_t batch)
{
    struct raft_config c;
    struct raft *r;
    struct raft_entry e[8];
    size_t count = 0;
    for (; terms[count]; count++)
        e[count] =
            (struct raft_entry){6 + count, (uint64_t)(terms[count] - '0'), RAFT_ENTRY_NOOP, NULL};
    raft_config_default(&c, 3);
    c.batch_entries_max = batch;
    CHECK_EQ(ST_OK,
             raft_new(&c, 0, &(struct raft_hard){.term = term},
                      &(struct raft_snapshot){5, 1, &two_and_a_witness}, e, count, &r, NULL));
    return r;
}

/* What it lends to a candidate; the caller's until the next call on r. */
static const struct raft_message *lent(struct raft *r, struct raft_message ask)
{
    struct raft_ready rd;
    ask.type = RAFT_VOTE_ASK;
    ask.from = 1;
    ask.to = 3;
    ask.pre = true;
    CHECK_EQ(ST_OK, raft_step(r, &ask, NULL));
    CHECK(raft_ready(r, &rd));
    CHECK_EQ(2, rd.message_count);
    CHECK_EQ(RAFT_LEND, rd.messages[1].type);
    return &rd.messages[1];
}

/* However small a message is to be: entries of the candidate's last term would leave it where it is. */
TEST(raft_witness_lends_so_much_that_the_log_becomes_better)
{
    struct raft *r = start_witness_of("22344", 4, 1);
    const struct raft_message *m =
        lent(r, (struct raft_message){.term = 5, .index = 8, .log_term = 2, .commit = 5});
    CHECK_EQ(5, m->index);
    CHECK_EQ(3, m->count);
    CHECK_EQ(3, m->entries[2].term);
    raft_free(r);
}

/* A candidate that is further in terms, though not in its log, would take it for an old message else. */
TEST(raft_witness_lends_in_the_candidates_term)
{
    struct raft *r = start_witness_of("22", 2, 1000);
    const struct raft_message *m =
        lent(r, (struct raft_message){.term = 9, .index = 5, .log_term = 1});
    CHECK_EQ(8, m->term);
    CHECK_EQ(2, m->count);
    raft_free(r);
}

/* Only the snapshot tells that there is an entry before the first one; what it was, nobody knows any more. */
TEST(raft_witness_lends_after_no_entry_that_it_does_not_know)
{
    struct raft_config c;
    struct raft *r;
    const struct raft_entry e[] = {{4, 1, RAFT_ENTRY_NOOP, NULL},
                                   {5, 1, RAFT_ENTRY_NOOP, NULL},
                                   {6, 3, RAFT_ENTRY_NOOP, NULL}};
    raft_config_default(&c, 3);
    CHECK_EQ(ST_OK, raft_new(&c, 0, &(struct raft_hard){.term = 3},
                             &(struct raft_snapshot){5, 1, &two_and_a_witness}, e, 3, &r, NULL));
    const struct raft_message *m =
        lent(r, (struct raft_message){.term = 4, .index = 7, .log_term = 2, .commit = 2});
    CHECK_EQ(4, m->index);
    CHECK_EQ(1, m->log_term);
    CHECK_EQ(2, m->count);
    CHECK_EQ(6, m->entries[1].index);
    raft_free(r);
}

/* Between the question and what is ready the log may be cut, or what is before dropped. */
TEST(raft_witness_lends_only_what_it_still_has)
{
    const struct raft_message ask = {.type = RAFT_VOTE_ASK,
                                     .from = 1,
                                     .to = 3,
                                     .term = 5,
                                     .index = 5,
                                     .log_term = 1,
                                     .commit = 5,
                                     .pre = true};
    const struct raft_entry e = {6, 4, RAFT_ENTRY_NOOP, NULL};
    const struct raft_message append = {.type = RAFT_APPEND,
                                        .from = 2,
                                        .to = 3,
                                        .term = 4,
                                        .index = 5,
                                        .log_term = 1,
                                        .entries = &e,
                                        .count = 1};
    for (int dropped = 0; dropped < 2; dropped++) {
        struct raft *r = start_witness_of("222", 3, 1000);
        struct raft_ready rd;
        CHECK_EQ(ST_OK, raft_step(r, &ask, NULL));
        if (dropped)
            raft_restore(r, &(struct raft_snapshot){7, 2, &two_and_a_witness});
        else
            CHECK_EQ(ST_OK, raft_step(r, &append, NULL));
        CHECK(raft_ready(r, &rd));
        for (size_t i = 0; i < rd.message_count; i++)
            CHECK(rd.messages[i].type != RAFT_LEND);
        raft_free(r);
    }
}

/* --- what a candidate takes --- */

/* Member 1, of which member 2 leads term 5: up to 7 its log was shown to be equal, up to 6 it is committed. */
static struct raft *start_led(void)
{
    struct raft_config c;
    struct raft *r;
    struct raft_ready rd;
    raft_config_default(&c, 1);
    CHECK_EQ(ST_OK, raft_new(&c, 0, &(struct raft_hard){.term = 1},
                             &(struct raft_snapshot){5, 1, &two_and_a_witness}, NULL, 0, &r, NULL));
    const struct raft_entry e[] = {{6, 2, RAFT_ENTRY_NOOP, NULL}, {7, 3, RAFT_ENTRY_NOOP, NULL}};
    const struct raft_message m = {.type = RAFT_APPEND,
                                   .from = 2,
                                   .to = 1,
                                   .term = 5,
                                   .index = 5,
                                   .log_term = 1,
                                   .commit = 6,
                                   .entries = e,
                                   .count = 2};
    CHECK_EQ(ST_OK, raft_step(r, &m, NULL));
    while (raft_ready(r, &rd))
        if (rd.token)
            raft_persisted(r, rd.token);
    CHECK_EQ(6, raft_view(r).commit);
    return r;
}

/* The same when nothing was heard of member 2 for long. */
static struct raft *start_candidate(void)
{
    struct raft *r = start_led();
    struct raft_ready rd;
    raft_tick(r, 5000);
    CHECK_EQ(RAFT_PRECANDIDATE, raft_view(r).role);
    CHECK(raft_ready(r, &rd));
    CHECK_EQ(RAFT_VOTE_ASK, rd.messages[0].type);
    return r;
}

/* The witness lends it, after 5 or 6, entries of these terms. */
static void lend(struct raft *r, uint64_t index, uint64_t log_term, const char *terms)
{
    struct raft_entry e[8];
    struct raft_message m = {
        .type = RAFT_LEND, .from = 3, .to = 1, .term = 5, .index = index, .log_term = log_term};
    for (; terms[m.count]; m.count++)
        e[m.count] = (struct raft_entry){index + 1 + m.count, (uint64_t)(terms[m.count] - '0'),
                                         RAFT_ENTRY_NOOP, NULL};
    m.entries = e;
    CHECK_EQ(ST_OK, raft_step(r, &m, NULL));
}

/* Also in the place of what its last leader has shown, of which the leader's successor may know nothing; then it asks anew
 * at once, for a term after the one that it leaves. */
TEST(raft_candidate_takes_a_better_log)
{
    struct raft *r = start_candidate();
    struct raft_ready rd;
    lend(r, 6, 2, "4");
    CHECK_EQ(7, raft_view(r).last);
    CHECK_EQ(4, raft_term_at(r, 7));
    CHECK_EQ(1, raft_view(r).truncations);
    CHECK(raft_ready(r, &rd));
    CHECK_EQ(2, rd.message_count);
    CHECK(rd.messages[0].type == RAFT_VOTE_ASK && rd.messages[0].pre);
    CHECK_EQ(7, rd.messages[0].term);
    CHECK_EQ(4, rd.messages[0].log_term);
    raft_free(r);
    r = start_candidate();
    lend(r, 7, 3, "34");
    CHECK_EQ(9, raft_view(r).last);
    CHECK_EQ(0, raft_view(r).truncations);
    CHECK_EQ(5, raft_view(r).term);
    raft_free(r);
}

static void check_takes_nothing(struct raft *r, uint64_t index, uint64_t log_term,
                                const char *terms)
{
    lend(r, index, log_term, terms);
    CHECK_EQ(7, raft_view(r).last);
    CHECK_EQ(3, raft_term_at(r, 7));
    CHECK_EQ(5, raft_view(r).term);
    raft_free(r);
}

/* It comes late: since then somebody led whose entries are more up to date. */
TEST(raft_candidate_takes_no_worse_log)
{
    check_takes_nothing(start_candidate(), 6, 2, "222");
    check_takes_nothing(start_candidate(), 5, 1, "22222");
    check_takes_nothing(start_candidate(), 5, 1, "2");
}

/* Who has a leader gets its log from that, and has acknowledged some of it. */
TEST(raft_follower_takes_nothing_that_is_lent)
{
    check_takes_nothing(start_led(), 6, 2, "4");
}

/* It was lent before that was committed, and comes late: though it ends in a later term. */
TEST(raft_candidate_takes_nothing_against_what_is_committed)
{
    check_takes_nothing(start_candidate(), 5, 1, "144");
    check_takes_nothing(start_candidate(), 6, 1, "44");
}

/* --- who votes, and does not know --- */

/* The next message that is a question for votes; NULL: nothing is ready. */
static const struct raft_message *asks(struct raft *r)
{
    static struct raft_ready rd;
    while (raft_ready(r, &rd)) {
        if (rd.token)
            raft_persisted(r, rd.token);
        for (size_t i = 0; i < rd.message_count; i++)
            if (rd.messages[i].type == RAFT_VOTE_ASK)
                return &rd.messages[i];
    }
    return NULL;
}

/* Member 2 of a group in which only member 1 could lead, as far as it knows. */
static struct raft *start_learner(uint32_t flags)
{
    const struct raft_members m = {
        .count = 3, .member = {{1, RAFT_VOTES}, {2, flags}, {3, RAFT_VOTES | RAFT_WITNESS}}};
    struct raft_config c;
    struct raft *r;
    raft_config_default(&c, 2);
    CHECK_EQ(ST_OK, raft_new(&c, 0, &(struct raft_hard){.term = 2},
                             &(struct raft_snapshot){5, 2, &m}, NULL, 0, &r, NULL));
    raft_tick(r, 2 * (uint64_t)c.election_ms + 1);
    return r;
}

static void grant(struct raft *r, uint32_t from, uint64_t term, bool pre)
{
    const struct raft_message m = {
        .type = RAFT_VOTE, .from = from, .to = 2, .term = term, .pre = pre};
    CHECK_EQ(ST_OK, raft_step(r, &m, NULL));
}

/* It was made a voter, which the witness alone is left to tell. */
TEST(raft_member_that_does_not_know_that_it_votes_asks_and_is_lent_it)
{
    const uint32_t flags[] = {RAFT_JOINS, 0};
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        struct raft *r = start_learner(flags[i]);
        const struct raft_message *m = asks(r);
        CHECK(m && m->pre && m->term == 3 && m->index == 5);

        const struct raft_members now = {
            .count = 3,
            .member = {{1, RAFT_VOTES}, {2, RAFT_VOTES}, {3, RAFT_VOTES | RAFT_WITNESS}}};
        AUTO(buf_done) struct buf b;
        buf_init(&b, RAFT_MEMBERS_BYTES_MAX);
        raft_members_encode(&now, &b);
        const struct raft_entry e = {6, 2, RAFT_ENTRY_MEMBERS, raft_data_new(b.ptr, b.len)};
        const struct raft_message lent = {.type = RAFT_LEND,
                                          .from = 3,
                                          .to = 2,
                                          .term = 2,
                                          .index = 5,
                                          .log_term = 2,
                                          .entries = &e,
                                          .count = 1};
        CHECK_EQ(ST_OK, raft_step(r, &lent, NULL));
        raft_data_unref(e.data);
        CHECK_EQ(6, raft_view(r).members_index);

        (void)asks(r); /* the entry is made durable */
        CHECK(raft_deadline_ms(r) < UINT64_MAX);
        raft_tick(r, raft_deadline_ms(r));
        m = asks(r);
        CHECK(m && m->pre && m->index == 6);
        grant(r, 3, 3, true);
        m = asks(r);
        CHECK(m && !m->pre && m->term == 3);
        grant(r, 3, 3, false);
        CHECK_EQ(RAFT_LEADER, raft_view(r).role);
        raft_free(r);
    }
}

/* By its own log it may not lead. */
TEST(raft_member_that_may_not_lead_only_asks)
{
    const uint32_t flags[] = {RAFT_JOINS, 0};
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        struct raft *r = start_learner(flags[i]);
        CHECK(asks(r) != NULL);
        grant(r, 1, 3, true);
        grant(r, 3, 3, true);
        CHECK(asks(r) == NULL);
        CHECK_EQ(2, raft_view(r).term);
        CHECK_EQ(RAFT_PRECANDIDATE, raft_view(r).role);
        raft_tick(r, raft_deadline_ms(r));
        const struct raft_message *m = asks(r);
        CHECK(m && m->pre && m->term == 3);
        raft_free(r);
    }
}

/* Nothing that it lacks could make it lead. */
TEST(raft_witness_asks_for_nothing)
{
    struct raft *r = start_learner(RAFT_JOINS | RAFT_WITNESS);
    CHECK(asks(r) == NULL);
    CHECK_EQ(UINT64_MAX, raft_deadline_ms(r));
    raft_free(r);
}

/* --- what a leader says that all hold --- */

/* Do all that is ready; the highest `kept` that was sent. */
static uint64_t run(struct raft *r)
{
    struct raft_ready rd;
    uint64_t kept = 0;
    while (raft_ready(r, &rd)) {
        uint64_t token = rd.token,
                 applied = rd.apply_count ? rd.apply[rd.apply_count - 1].index : 0;
        for (size_t i = 0; i < rd.message_count; i++)
            kept = MAX(kept, rd.messages[i].kept);
        if (token)
            raft_persisted(r, token);
        if (applied)
            raft_applied(r, applied);
    }
    return kept;
}

/* Member 3 answers. */
static void answer(struct raft *r, struct raft_message m)
{
    m.from = 3;
    m.to = 1;
    CHECK_EQ(ST_OK, raft_step(r, &m, NULL));
}

/* Member 1 leads term 3 while it is under way that member 2, which is not to be reached, votes no more. */
static struct raft *start_leader(void)
{
    static const struct raft_members joint = {
        .joint = true,
        .count = 3,
        .member = {{1, RAFT_VOTES | RAFT_VOTED},
                   {2, RAFT_VOTED},
                   {3, RAFT_VOTES | RAFT_VOTED | RAFT_WITNESS}}};
    struct raft_config c;
    struct raft *r;
    raft_config_default(&c, 1);
    CHECK_EQ(ST_OK, raft_new(&c, 0, &(struct raft_hard){.term = 2},
                             &(struct raft_snapshot){5, 2, &joint}, NULL, 0, &r, NULL));
    raft_tick(r, 2 * (uint64_t)c.election_ms + 1);
    (void)run(r);
    answer(r, (struct raft_message){.type = RAFT_VOTE, .term = 3, .pre = true});
    (void)run(r);
    answer(r, (struct raft_message){.type = RAFT_VOTE, .term = 3});
    CHECK_EQ(0, run(r));
    CHECK_EQ(RAFT_LEADER, raft_view(r).role);
    return r;
}

/* Until it is certain that member 2 votes no more it may have to lead: so a witness must keep what it lacks. */
TEST(raft_witness_keeps_what_a_voter_lacks_whose_end_is_not_committed)
{
    struct raft *r = start_leader();
    struct raft_message held = {.type = RAFT_APPENDED, .term = 3, .index = 6, .matched = 6};
    answer(r, held); /* the joint configuration is committed, and the one after it begins */
    CHECK_EQ(0, run(r));
    CHECK_EQ(7, raft_view(r).members_index);
    held.index = held.matched = 7;
    answer(r, held);
    (void)run(r);
    CHECK_EQ(7, raft_view(r).commit);
    raft_tick(r, 2000);
    CHECK_EQ(7, run(r));
    raft_free(r);
}
