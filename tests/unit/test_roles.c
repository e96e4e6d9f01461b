/* Who votes, and in which steps it comes to that. */
#include "node/roles.h"
#include "support/prop.h"
#include "support/tap.h"

enum { MANY = 9, STEPS_MAX = 40 };

static struct raft_members m;
static struct roles_node node[MANY];
static size_t count;

static void begin(size_t nodes)
{
    m = (struct raft_members){0};
    CHECK(raft_members_put(&m, 1, RAFT_VOTES));
    for (count = 0; count < nodes; count++)
        node[count] = (struct roles_node){(uint32_t)count + 1, true, false};
}

/* What consensus makes of it once all have caught up: who joins votes. */
static bool step(uint32_t self)
{
    struct raft_members next;
    if (!roles_next(&m, node, count, self, &next))
        return false;
    CHECK_EQ(ST_OK, raft_members_check(&next, NULL));
    m = next;
    return true;
}

static unsigned settle(uint32_t self)
{
    unsigned steps = 0;
    while (step(self))
        CHECK(++steps < STEPS_MAX);
    return steps;
}

static uint32_t voters(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m.count; i++)
        n += (m.member[i].flags & RAFT_VOTES) != 0;
    return n;
}

static bool votes(uint32_t number)
{
    return raft_members_votes(&m, number);
}

static void remove_node(uint32_t number)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        if (node[i].number != number)
            node[left++] = node[i];
    count = left;
}

TEST(roles_of_the_first_nodes)
{
    static const uint32_t wanted[] = {0, 1, 1, 3, 3, 5, 5, 5};
    for (size_t n = 1; n < ARRAY_COUNT(wanted); n++) {
        begin(n);
        CHECK_EQ(n > 1, settle(1) > 0);
        CHECK_EQ(wanted[n], voters());
        CHECK_EQ(n, m.count);
        for (uint32_t i = 1; i <= wanted[n]; i++)
            CHECK(votes(i));
    }
}

TEST(roles_new_nodes_come_first_as_learners)
{
    begin(3);
    CHECK(step(1));
    CHECK_EQ(3, m.count);
    CHECK_EQ(1, voters());
}

TEST(roles_wait_for_two_that_are_there)
{
    begin(3);
    node[2].active = false;
    (void)settle(1);
    CHECK_EQ(1, voters()); /* two would stand no failure at all */
    node[2].active = true;
    (void)settle(1);
    CHECK_EQ(3, voters());
}

TEST(roles_a_learner_takes_the_place_of_a_silent_voter)
{
    begin(4);
    (void)settle(1);
    CHECK(!votes(4));
    node[1].active = false;
    CHECK_EQ(0, settle(1)); /* it may be back soon */
    node[1].silent = true;
    CHECK(step(1));
    CHECK(votes(4) && votes(2)); /* first another one more */
    (void)settle(1);
    CHECK(votes(4) && !votes(2));
    CHECK_EQ(3, voters());
    node[1] = (struct roles_node){2, true, false};
    CHECK_EQ(0, settle(1)); /* it is no reason for another change */
}

TEST(roles_without_a_learner_a_silent_voter_stays)
{
    begin(3);
    (void)settle(1);
    node[2] = (struct roles_node){3, false, true};
    CHECK_EQ(0, settle(1));
    CHECK_EQ(3, voters());
}

TEST(roles_removed_nodes_go_and_an_odd_number_votes)
{
    begin(5);
    (void)settle(1);
    remove_node(5);
    (void)settle(1);
    CHECK_EQ(4, m.count);
    CHECK_EQ(3, voters());
    remove_node(2);
    (void)settle(1);
    CHECK_EQ(3, voters());
    CHECK(!raft_members_find(&m, 2));
    remove_node(3);
    (void)settle(1);
    CHECK_EQ(1, voters());
    CHECK(votes(1));
}

TEST(roles_who_leads_is_not_the_one_that_rests)
{
    begin(5);
    (void)settle(1);
    remove_node(2);
    (void)settle(5);
    CHECK(votes(5));
    CHECK_EQ(3, voters());
}

TEST(roles_the_only_voter_goes_when_another_one_votes)
{
    begin(2);
    (void)settle(1);
    remove_node(1);
    CHECK(step(1));
    CHECK(votes(1) && votes(2));
    CHECK(step(1));
    CHECK(!raft_members_find(&m, 1));
    CHECK_EQ(0, settle(2));
}

TEST(roles_the_only_voter_stays_while_nobody_could_follow)
{
    begin(2);
    (void)settle(1);
    remove_node(1);
    node[0].active = false;
    CHECK_EQ(0, settle(1));
    CHECK(votes(1));
}

TEST(roles_who_was_to_vote_and_fell_silent_is_given_up)
{
    begin(3);
    (void)settle(1);
    for (uint32_t i = 1; i < 3; i++)
        m.member[i].flags = RAFT_JOINS;
    CHECK_EQ(0, settle(1)); /* they are on their way */
    node[2] = (struct roles_node){3, false, true};
    CHECK(step(1));
    CHECK_EQ(0, m.member[2].flags);
    CHECK_EQ(RAFT_JOINS, m.member[1].flags);
}

TEST(roles_change_nothing_while_a_change_is_under_way)
{
    struct raft_members next;
    begin(3);
    m.joint = true;
    CHECK(!roles_next(&m, node, count, 1, &next));
}

TEST(roles_leave_witnesses_alone)
{
    begin(2);
    CHECK(raft_members_put(&m, 7, RAFT_VOTES | RAFT_WITNESS));
    CHECK(raft_members_put(&m, 8, RAFT_VOTES | RAFT_WITNESS));
    (void)settle(1);
    CHECK(raft_members_find(&m, 7) && raft_members_find(&m, 8));
    CHECK(votes(7) && votes(8) && votes(1));
}

/* Whatever happens to whom: each step can be in force, and in the end an odd number votes, of those that are there. */
static void any_history(struct tape *t)
{
    begin(1 + draw_below(t, MANY - 1));
    for (unsigned round = 0; round < 6; round++) {
        for (size_t i = 1; i < count; i++) {
            unsigned how = (unsigned)draw_below(t, 4);
            node[i].active = how < 2;
            node[i].silent = how == 3;
        }
        if (count > 2 && draw_below(t, 3) == 1)
            remove_node(node[1 + draw_below(t, count - 1)].number);
        for (unsigned steps = 0; step(1); steps++)
            CHECK(steps < STEPS_MAX);
        CHECK(votes(1));
    }
    for (size_t i = 0; i < count; i++)
        node[i] = (struct roles_node){node[i].number, true, false};
    (void)settle(1);
    CHECK_EQ(count, m.count);
    CHECK_EQ(count < 3 ? 1 : count < 5 ? 3 : 5, voters());
}

TEST(roles_come_to_what_they_should_be)
{
    prop_run(any_history, 5, 3000);
}
