/* A snapshot that a peer offered takes the place of the log; its numbers are the peer's words. */
#include "raft/raft.h"
#include "support/tap.h"

static const struct raft_members three = {
    .count = 3, .member = {{1, RAFT_VOTES}, {2, RAFT_VOTES}, {3, RAFT_VOTES}}};

static void settle(struct raft *r)
{
    struct raft_ready rd;
    while (raft_ready(r, &rd)) {
        if (rd.token)
            raft_persisted(r, rd.token);
        if (rd.apply_count)
            raft_applied(r, rd.apply[rd.apply_count - 1].index);
    }
}

/* Member 1, of which member 2 leads term 5: entries 1 to 4 came, of terms 4 4 5 5, and 2 are applied. */
static struct raft *start_follower(void)
{
    struct raft_config c;
    struct raft *r;
    const struct raft_snapshot none = {0};
    raft_config_default(&c, 1);
    c.first = &three;
    CHECK_EQ(ST_OK, raft_new(&c, 0, &(struct raft_hard){0}, &none, NULL, 0, &r, NULL));
    const struct raft_entry e[] = {{1, 4, RAFT_ENTRY_NOOP, NULL},
                                   {2, 4, RAFT_ENTRY_NOOP, NULL},
                                   {3, 5, RAFT_ENTRY_NOOP, NULL},
                                   {4, 5, RAFT_ENTRY_NOOP, NULL}};
    const struct raft_message m = {
        .type = RAFT_APPEND, .from = 2, .to = 1, .term = 5, .commit = 2, .entries = e, .count = 4};
    CHECK_EQ(ST_OK, raft_step(r, &m, NULL));
    settle(r);
    CHECK_EQ(2, raft_view(r).applied);
    return r;
}

static void restore(struct raft *r, uint64_t index, uint64_t term)
{
    CHECK(raft_may_restore(r, index, term));
    raft_restore(r, &(struct raft_snapshot){index, term, &three});
}

static void check_refused(uint64_t index, uint64_t term)
{
    struct raft *r = start_follower();
    CHECK(!raft_may_restore(r, index, term));
    raft_free(r);
}

TEST(raft_restore_beyond_the_log_takes_its_place)
{
    struct raft *r = start_follower();
    restore(r, 9, 5);
    struct raft_view v = raft_view(r);
    CHECK(v.first == 10 && v.last == 9 && v.commit == 9 && v.applied == 9 && v.persisted == 9);
    raft_free(r);
}

TEST(raft_restore_within_the_log_keeps_what_is_after_it)
{
    struct raft *r = start_follower();
    restore(r, 3, 5);
    struct raft_view v = raft_view(r);
    CHECK(v.first == 4 && v.last == 4 && v.commit == 3 && v.applied == 3 && v.persisted == 4);
    raft_free(r);
}

TEST(raft_restore_refuses_what_is_not_newer)
{
    check_refused(2, 4);
    check_refused(0, 0);
}

TEST(raft_restore_refuses_a_term_that_cannot_be)
{
    check_refused(9, 0);
    check_refused(9, 3); /* what is committed has term 4 */
    check_refused(9, 6); /* a term that this node has not heard of */
}

/* Its node has heard of the term, and not told its log yet: after a crash the snapshot would be of a term to come. */
TEST(raft_restore_refuses_a_term_that_the_log_was_not_told_of)
{
    struct raft *r = start_follower();
    const struct raft_message m = {
        .type = RAFT_OFFER, .from = 3, .to = 1, .term = 6, .index = 9, .log_term = 6};
    CHECK_EQ(ST_OK, raft_step(r, &m, NULL));
    CHECK_EQ(6, raft_view(r).term);
    CHECK(!raft_may_restore(r, 9, 6));
    settle(r);
    CHECK(raft_may_restore(r, 9, 6));
    raft_free(r);
}

TEST(raft_restore_refuses_what_contradicts_the_leader)
{
    check_refused(3, 4);
    check_refused(4, 4);
}

TEST(raft_restore_refuses_an_index_near_the_end_of_numbers)
{
    check_refused(UINT64_MAX, 5);
    check_refused(1ULL << 62, 5);
}

/* Entries were under way to the disk; a new leader's snapshot took their place before that was done. */
TEST(raft_restore_makes_nothing_durable_of_what_it_replaced)
{
    struct raft *r = start_follower();
    const struct raft_entry e[] = {{5, 5, RAFT_ENTRY_NOOP, NULL}, {6, 5, RAFT_ENTRY_NOOP, NULL}};
    const struct raft_message more = {.type = RAFT_APPEND,
                                      .from = 2,
                                      .to = 1,
                                      .term = 5,
                                      .index = 4,
                                      .log_term = 5,
                                      .entries = e,
                                      .count = 2};
    const struct raft_message other = {
        .type = RAFT_APPEND, .from = 3, .to = 1, .term = 6, .index = 2, .log_term = 4};
    struct raft_ready rd;
    CHECK_EQ(ST_OK, raft_step(r, &more, NULL));
    CHECK_EQ(ST_OK, raft_step(r, &other, NULL));
    CHECK(raft_ready(r, &rd));
    CHECK_EQ(2, rd.append_count);
    uint64_t token = rd.token;
    restore(r, 5, 6);
    raft_persisted(r, token);
    struct raft_view v = raft_view(r);
    CHECK(v.first == 6 && v.last == 5 && v.commit == 5 && v.persisted == 5);
    raft_free(r);
}

/* Likewise when the first of several writes was done before. */
TEST(raft_restore_counts_for_every_write_that_is_still_under_way)
{
    struct raft *r = start_follower();
    struct raft_ready rd;
    uint64_t token[3];
    for (uint64_t i = 0; i < 2; i++) {
        const struct raft_entry e = {5 + i, 5, RAFT_ENTRY_NOOP, NULL};
        const struct raft_message more = {.type = RAFT_APPEND,
                                          .from = 2,
                                          .to = 1,
                                          .term = 5,
                                          .index = 4 + i,
                                          .log_term = 5,
                                          .entries = &e,
                                          .count = 1};
        CHECK_EQ(ST_OK, raft_step(r, &more, NULL));
        CHECK(raft_ready(r, &rd));
        token[i] = rd.token;
    }
    raft_persisted(r, token[0]);
    CHECK_EQ(5, raft_view(r).persisted);
    const struct raft_message other = {
        .type = RAFT_APPEND, .from = 3, .to = 1, .term = 6, .index = 2, .log_term = 4};
    CHECK_EQ(ST_OK, raft_step(r, &other, NULL));
    CHECK(raft_ready(r, &rd));
    token[2] = rd.token;
    restore(r, 5, 6);
    for (uint64_t i = 1; i < 3; i++) {
        raft_persisted(r, token[i]);
        CHECK_EQ(5, raft_view(r).persisted);
    }
    raft_free(r);
}
