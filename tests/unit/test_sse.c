#include "cli/sse.h"
#include "support/tap.h"

static void feed(struct sse *s, const char *text)
{
    struct fault why;
    CHECK_EQ(ST_OK, sse_feed(s, str_from(text), &why));
}

TEST(sse_gives_events_as_their_lines_come)
{
    struct sse s;
    struct sse_event e;
    sse_init(&s);
    feed(&s, "id: 7.1\nevent: vm.sta");
    CHECK(!sse_next(&s, &e));
    feed(&s, "rted\ndata: {\"a\":1}\n");
    CHECK(!sse_next(&s, &e));
    feed(&s, "\nid: 7.2\ndata: x\n\n");
    CHECK(sse_next(&s, &e));
    CHECK(str_is(e.type, "vm.started") && str_is(e.data, "{\"a\":1}"));
    CHECK_STR("7.1", s.id);
    CHECK(sse_next(&s, &e));
    CHECK(str_is(e.type, "") && str_is(e.data, "x"));
    CHECK_STR("7.2", s.id);
    CHECK(!sse_next(&s, &e));
    feed(&s, "data: in two\n");
    CHECK(!sse_next(&s, &e));
    feed(&s, "data: pieces\n\n");
    CHECK(sse_next(&s, &e));
    CHECK(str_is(e.data, "in two\npieces"));
    sse_done(&s);
}

TEST(sse_joins_lines_and_reads_over_the_rest)
{
    struct sse s;
    struct sse_event e;
    sse_init(&s);
    feed(&s,
         ": a comment\r\n\r\nretry: 10\r\nid: 3\r\n\r\ndata: one\r\ndata:\r\ndata:  two\r\nwhat: "
         "ever\r\n\r\n");
    CHECK(sse_next(&s, &e));
    CHECK(str_is(e.data, "one\n\n two"));
    CHECK_STR("3", s.id);
    CHECK(!sse_next(&s, &e));
    sse_done(&s);
}

TEST(sse_bounds_lines_and_events)
{
    static char much[SSE_FEED_MAX + 1];
    memset(much, 'x', SSE_FEED_MAX);
    struct sse s;
    struct sse_event e;
    struct fault why;
    enum status st = ST_OK;
    sse_init(&s);
    feed(&s, "data: ");
    for (int i = 0; i < 8 && st == ST_OK; i++) {
        st = sse_feed(&s, str_from(much), &why);
        CHECK(!sse_next(&s, &e));
    }
    CHECK_EQ(ST_TOO_BIG, st);
    sse_done(&s);

    sse_init(&s);
    much[SSE_FEED_MAX - 1] = '\n';
    memcpy(much, "data: ", 6);
    st = ST_OK;
    for (int i = 0; i < 8 && st == ST_OK; i++) {
        st = sse_feed(&s, str_from(much), &why);
        CHECK(!sse_next(&s, &e));
    }
    CHECK_EQ(ST_TOO_BIG, st);
    sse_done(&s);
}
