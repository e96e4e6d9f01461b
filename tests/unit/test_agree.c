/* Who is wrong, when states differ. */
#include "node/agree.h"
#include "support/tap.h"

static struct agree a;
static uint64_t at;
static uint32_t who;

TEST(agree_has_nothing_to_say_while_all_agree)
{
    agree_init(&a);
    CHECK_EQ(0, agree_newest(&a));
    agree_note(&a, 64, 7);
    agree_hear(&a, 64, 2, 7);
    agree_hear(&a, 64, 3, 7);
    CHECK_EQ(AGREE_NOTHING, agree_judge(&a, 3, &at, &who));
    uint64_t hash = 0;
    CHECK(agree_find(&a, 64, &hash));
    CHECK_EQ(7, hash);
    CHECK(!agree_find(&a, 65, &hash));
    CHECK_EQ(64, agree_newest(&a));
}

TEST(agree_waits_until_more_than_half_agree_then_tells_the_other_once)
{
    agree_init(&a);
    agree_note(&a, 64, 7);
    agree_hear(&a, 64, 2, 8);
    CHECK_EQ(AGREE_NOTHING, agree_judge(&a, 3, &at, &who)); /* 3 may agree with either */
    agree_hear(&a, 64, 3, 7);
    CHECK_EQ(AGREE_OTHER_WRONG, agree_judge(&a, 3, &at, &who));
    CHECK_EQ(64, at);
    CHECK_EQ(2, who);
    CHECK_EQ(AGREE_NOTHING, agree_judge(&a, 3, &at, &who));
    agree_hear(&a, 64, 2, 8); /* it says so again */
    CHECK_EQ(AGREE_NOTHING, agree_judge(&a, 3, &at, &who));
    agree_hear(&a, 64, 2, 9); /* it was repaired, and not well */
    CHECK_EQ(AGREE_OTHER_WRONG, agree_judge(&a, 3, &at, &who));
}

TEST(agree_that_most_others_differ_says_that_this_one_is_wrong)
{
    agree_init(&a);
    agree_note(&a, 64, 7);
    agree_hear(&a, 64, 2, 8);
    agree_hear(&a, 64, 3, 8);
    CHECK_EQ(AGREE_SELF_WRONG, agree_judge(&a, 3, &at, &who));
}

TEST(agree_of_two_cannot_tell_who_is_wrong)
{
    agree_init(&a);
    agree_note(&a, 64, 7);
    agree_hear(&a, 64, 2, 8);
    CHECK_EQ(AGREE_UNKNOWN, agree_judge(&a, 2, &at, &who));
    CHECK_EQ(2, who);
}

TEST(agree_judges_by_the_next_point_by_whoever_spoke)
{
    agree_init(&a);
    agree_note(&a, 64, 7);
    agree_hear(&a, 64, 2, 8);
    CHECK_EQ(AGREE_NOTHING, agree_judge(&a, 5, &at, &who));
    agree_hear(&a, 64, 3, 7);
    CHECK_EQ(AGREE_NOTHING, agree_judge(&a, 5, &at, &who)); /* two of five, and two to come */
    agree_note(&a, 128, 9);
    CHECK_EQ(AGREE_OTHER_WRONG, agree_judge(&a, 5, &at, &who));
    CHECK_EQ(64, at);

    agree_init(&a);
    agree_note(&a, 64, 7);
    agree_hear(&a, 64, 2, 8);
    agree_note(&a, 128, 9);
    CHECK_EQ(AGREE_UNKNOWN, agree_judge(&a, 5, &at, &who));

    agree_init(&a);
    agree_note(&a, 64, 7);
    agree_hear(&a, 64, 2, 8);
    agree_hear(&a, 64, 3, 8);
    agree_note(&a, 128, 9);
    CHECK_EQ(AGREE_SELF_WRONG, agree_judge(&a, 5, &at, &who));
}

TEST(agree_keeps_the_word_of_who_is_ahead_until_this_one_comes_there)
{
    agree_init(&a);
    agree_note(&a, 64, 7);
    agree_hear(&a, 128, 2, 8);
    CHECK_EQ(AGREE_NOTHING, agree_judge(&a, 2, &at, &who));
    agree_note(&a, 128, 9);
    CHECK_EQ(AGREE_UNKNOWN, agree_judge(&a, 2, &at, &who));
    CHECK_EQ(128, at);
}

TEST(agree_keeps_some_points_whatever_is_said)
{
    uint64_t hash;
    agree_init(&a);
    agree_note(&a, 1000, 1);
    for (uint64_t i = 1; i < 1000; i++)
        agree_hear(&a, i, 2, i); /* long past */
    for (uint64_t i = 1001; i < 3000; i++)
        agree_hear(&a, i, 2, i); /* far ahead */
    CHECK_EQ(1 + AGREE_AHEAD, a.count);
    CHECK(agree_find(&a, 1000, &hash));
    for (uint64_t i = 3000; i < 3100; i++)
        agree_note(&a, i, i);
    CHECK_EQ(AGREE_POINTS, a.count);
    CHECK(!agree_find(&a, 1000, &hash));
    CHECK(agree_find(&a, 3099, &hash));
    for (uint32_t m = 2; m < 500; m++)
        agree_hear(&a, 3099, m, 3099); /* of members that never were */
    CHECK_EQ(AGREE_NOTHING, agree_judge(&a, 3, &at, &who));
}
