#include "sim/timeline.h"
#include "support/tap.h"

enum { BEGAN_US = 1000000, END_US = 11000000 };

static const struct timeline_state follows = {.up = true, .role = RAFT_FOLLOWER, .term = 1};
static const struct timeline_state leads = {.up = true, .role = RAFT_LEADER, .term = 2};
static const struct timeline_state down;

static uint64_t at_ms(uint64_t ms)
{
    return BEGAN_US + ms * 1000;
}

/* Draw it, and give it back; the text lives until the next one is drawn. */
static const char *draw(struct timeline *t, const char *why)
{
    static struct buf b;
    buf_done(&b);
    buf_init(&b, 1 << 24);
    timeline_svg(t, END_US, "a title", why, &b);
    timeline_free(t);
    CHECK(!b.full);
    return buf_cstr(&b);
}

static bool has(const char *svg, const char *text)
{
    return strstr(svg, text) != NULL;
}

static size_t count(const char *svg, const char *text)
{
    size_t n = 0;
    while ((svg = strstr(svg, text)))
        n++, svg++;
    return n;
}

TEST(timeline_tells_who_led_and_how_long)
{
    struct timeline *t = timeline_new(BEGAN_US);
    timeline_member(t, at_ms(0), 1, &follows);
    timeline_member(t, at_ms(1500), 1, &leads);
    timeline_member(t, at_ms(1600), 1, &leads);
    timeline_member(t, at_ms(4250), 1, &follows);
    const char *svg = draw(t, NULL);
    CHECK(has(svg, "member 1 follows in term 1, 0.000 to 1.500 s"));
    CHECK(has(svg, "member 1 leads term 2, 1.500 to 4.250 s"));
    CHECK(has(svg, "member 1 follows in term 1, 4.250 to 10.000 s"));
    CHECK_EQ(1, count(svg, "class=\"term\""));
}

TEST(timeline_draws_no_bar_while_a_member_is_down)
{
    struct timeline *t = timeline_new(BEGAN_US);
    timeline_member(t, at_ms(0), 3, &follows);
    timeline_member(t, at_ms(1000), 3, &down);
    timeline_member(t, at_ms(2000), 3, &down);
    timeline_member(t, at_ms(3000), 3, &follows);
    const char *svg = draw(t, NULL);
    CHECK_EQ(2, count(svg, "member 3 follows"));
    CHECK(has(svg, "member 3 crashes, 1.000 s"));
    CHECK_EQ(1, count(svg, "class=\"crash\""));
}

TEST(timeline_tells_of_pauses_and_snapshots)
{
    struct timeline *t = timeline_new(BEGAN_US);
    struct timeline_state s = follows;
    timeline_member(t, at_ms(0), 1, &s);
    s.paused = true;
    timeline_member(t, at_ms(1000), 1, &s);
    s.paused = false;
    s.installing = true;
    timeline_member(t, at_ms(2000), 1, &s);
    s.installing = false;
    s.snapshot = 77;
    timeline_member(t, at_ms(3000), 1, &s);
    const char *svg = draw(t, NULL);
    CHECK(has(svg, "member 1 is paused in term 1, 1.000 to 2.000 s"));
    CHECK(has(svg, "member 1 installs a snapshot in term 1, 2.000 to 3.000 s"));
    CHECK(has(svg, "member 1 has installed a snapshot of entry 77, 3.000 s"));
}

/* Who dies while it installs has installed nothing. */
TEST(timeline_crash_ends_an_installation)
{
    struct timeline *t = timeline_new(BEGAN_US);
    struct timeline_state s = follows;
    s.installing = true;
    timeline_member(t, at_ms(0), 1, &s);
    timeline_member(t, at_ms(1000), 1, &down);
    timeline_member(t, at_ms(2000), 1, &follows);
    const char *svg = draw(t, NULL);
    CHECK(!has(svg, "has installed"));
    CHECK(has(svg, "member 1 crashes"));
}

TEST(timeline_tells_commits)
{
    struct timeline *t = timeline_new(BEGAN_US);
    struct timeline_state s = follows;
    for (s.commit = 0; s.commit < 50; s.commit++)
        timeline_member(t, at_ms(s.commit * 100), 2, &s);
    const char *svg = draw(t, NULL);
    CHECK(has(svg, "member 2: committed up to 49"));
    CHECK_EQ(1, count(svg, "member 2 follows"));
}

TEST(timeline_tells_who_does_not_hear_whom)
{
    struct timeline *t = timeline_new(BEGAN_US);
    uint64_t cut[TIMELINE_MEMBERS_MAX] = {0};
    for (uint32_t n = 1; n <= 3; n++)
        timeline_member(t, at_ms(0), n, &follows);
    timeline_cuts(t, at_ms(0), cut);
    cut[1] = 1 << 2 | 1 << 3;
    timeline_cuts(t, at_ms(1000), cut);
    timeline_cuts(t, at_ms(1500), cut);
    cut[2] = 1 << 1;
    timeline_cuts(t, at_ms(2000), cut);
    cut[1] = cut[2] = 0;
    timeline_cuts(t, at_ms(3000), cut);
    const char *svg = draw(t, NULL);
    CHECK_EQ(2, count(svg, "class=\"cut\""));
    CHECK(has(svg, "cut, 1.000 to 2.000 s\n1 is not heard by 2 3</title>"));
    CHECK(has(svg, "cut, 2.000 to 3.000 s\n1 is not heard by 2 3\n2 is not heard by 1</title>"));
}

TEST(timeline_draws_few_messages_and_counts_many)
{
    struct raft_message m = {.type = RAFT_APPEND, .from = 1, .to = 2, .term = 5, .index = 9};
    for (unsigned many = 0; many < 2; many++) {
        struct timeline *t = timeline_new(BEGAN_US);
        timeline_member(t, at_ms(0), 1, &follows);
        timeline_member(t, at_ms(0), 2, &follows);
        for (unsigned i = 0; i < TIMELINE_MESSAGES_MAX + many; i++)
            timeline_message(t, at_ms(i), at_ms(i + 2), &m, i == 0);
        const char *svg = draw(t, NULL);
        CHECK_EQ(many ? 0 : 1, count(svg, "class=\"lost\""));
        CHECK_EQ(many ? 0 : TIMELINE_MESSAGES_MAX - 1, count(svg, "class=\"message\""));
        CHECK(has(svg, many ? "2001 messages, too many to be drawn" : "2000 messages<"));
    }
}

TEST(timeline_marks_the_failure)
{
    struct timeline *t = timeline_new(BEGAN_US);
    timeline_member(t, at_ms(0), 1, &follows);
    timeline_calm(t, at_ms(5000));
    timeline_calm(t, at_ms(6000));
    const char *svg = draw(t, "Broken: \"<&>\" \xff.");
    CHECK(has(svg, ">Broken: &quot;&lt;&amp;&gt;&quot; ?.</text>"));
    CHECK_EQ(1, count(svg, "class=\"failed\""));
    CHECK_EQ(1, count(svg, "class=\"calm\""));
    CHECK(has(svg, "all is well, 5.000 s"));
}

TEST(timeline_of_nothing_is_a_picture)
{
    const char *svg = draw(timeline_new(END_US), NULL);
    CHECK(has(svg, "</svg>"));
    CHECK(!has(svg, "class=\"failed\""));
}
