#include <stdlib.h>

#include "cli/http_parser.h"
#include "support/tap.h"

/* Feed `text` in steps of `step` bytes, then the end. What is told is written down. */
static const char *story(const char *text, size_t step, bool no_body)
{
    static struct buf out;
    struct http_parser p;
    struct fault why;
    struct str data, rest = str_from(text);
    enum http_piece piece = HTTP_MORE;
    if (out.max == 0)
        buf_init(&out, 1 << 20);
    buf_reset(&out);
    http_parser_init(&p, no_body);
    bool in_data = false;
    while (piece != HTTP_BAD && piece != HTTP_END) {
        piece = http_parser_next(&p, &data, &why);
        if (piece == HTTP_MORE && rest.len == 0) {
            http_parser_close(&p);
        } else if (piece == HTTP_MORE) {
            size_t n = MIN(step, rest.len);
            http_parser_feed(&p, (struct str){rest.ptr, n});
            rest = (struct str){rest.ptr + n, rest.len - n};
        } else if (piece == HTTP_HEAD) {
            buf_fmt(&out, "%u " STR_FMT " %zu|", p.head.status, STR_ARG(p.head.reason),
                    p.head.count);
        } else if (piece == HTTP_DATA) {
            CHECK(data.len > 0);
            buf_str(&out, data);
            in_data = true;
        }
    }
    if (in_data)
        buf_char(&out, '|');
    if (piece == HTTP_BAD)
        buf_fmt(&out, "%s", why.text);
    else
        buf_fmt(&out, "end +%zu", http_parser_rest(&p).len + rest.len);
    http_parser_done(&p);
    return buf_cstr(&out);
}

/* The same whatever the pieces. */
static void check_story(const char *want, const char *text)
{
    for (size_t step = 1; step <= 64; step *= 4)
        CHECK_STR(want, story(text, step, false));
    CHECK_STR(want, story(text, HTTP_FEED_MAX, false));
}

TEST(http_parser_reads_a_body_with_a_length)
{
    check_story("200 OK 2|hello|end +0", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                         "Content-Length: 5\r\n\r\nhello");
    check_story("200 OK 1|end +0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST(http_parser_reads_chunks_and_skips_what_is_beside_them)
{
    check_story("200 OK 1|hello world|end +0",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
                "5\r\nhello\r\n006;a=b\r\n world\r\n0\r\nTrailer: x\r\n\r\n");
}

TEST(http_parser_reads_until_the_end_where_no_length_is_told)
{
    check_story("200  0|all of it|end +0", "HTTP/1.0 200\r\n\r\nall of it");
}

TEST(http_parser_knows_answers_without_a_body)
{
    check_story("204 No Content 0|end +0", "HTTP/1.1 204 No Content\r\n\r\n");
    CHECK_STR("304 Not Modified 1|end +0",
              story("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 9, false));
    CHECK_STR("200 OK 1|end +0", story("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 9, true));
}

TEST(http_parser_passes_interim_answers_by)
{
    check_story("200 OK 1|x|end +0",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\nA: b\r\n\r\n"
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
}

TEST(http_parser_leaves_what_follows_an_upgrade)
{
    check_story("101 Switching Protocols 1|end +3",
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nabc");
}

TEST(http_parser_finds_headers_whatever_their_case)
{
    struct http_parser p;
    struct str data;
    http_parser_init(&p, false);
    http_parser_feed(&p, STR("HTTP/1.1 200 OK\r\nETag:  \"7\" \r\nX-Empty:\r\n\r\n"));
    CHECK_EQ(HTTP_HEAD, http_parser_next(&p, &data, NULL));
    CHECK(str_is(http_head_get(&p.head, "etag"), "\"7\""));
    CHECK(str_is(http_head_get(&p.head, "x-empty"), ""));
    CHECK(str_is(http_head_get(&p.head, "location"), ""));
    http_parser_done(&p);
}

TEST(http_parser_refuses_what_is_no_answer)
{
    static const struct {
        const char *text, *what;
    } bad[] = {
        {"HELLO\r\n\r\n", "no version that we know"},
        {"HTTP/2 200 OK\r\n\r\n", "no version that we know"},
        {"HTTP/1.1 2000 OK\r\n\r\n", "no status"},
        {"HTTP/1.1 099 OK\r\n\r\n", "no status"},
        {"HTTP/1.1 200 O\x01K\r\n\r\n", "a control character"},
        {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "a header without a name"},
        {"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "a header without a name"},
        {"HTTP/1.1 200 OK\r\n: b\r\n\r\n", "a header without a name"},
        {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "a length that is no number"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
         "a length that is no number"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
         "more than one length"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "more than one length"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
         "an encoding that we did not ask for"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char want[200];
        (void)snprintf(want, sizeof want, "the answer is not HTTP/1.1: %s", bad[i].what);
        check_story(want, bad[i].text);
    }
    check_story("200 OK 1|the answer is not HTTP/1.1: a chunk without a size",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
    check_story("200 OK 1|the answer is not HTTP/1.1: a chunk without a size",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11112222333344445\r\n");
    check_story("200 OK 1|abc|the answer is not HTTP/1.1: a line is too long",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n");
}

TEST(http_parser_tells_an_answer_that_ended_in_the_middle)
{
    const char *want = "the connection ended in the middle of an answer";
    CHECK_STR(want, story("", 1, false));
    CHECK_STR(want, story("HTTP/1.1 200 OK\r\n", 1, false));
    check_story("200 OK 1|hel|the connection ended in the middle of an answer",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    check_story("200 OK 1|hello|the connection ended in the middle of an answer",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
}

TEST(http_parser_bounds_heads_trailers_and_interim_answers)
{
    AUTO(buf_done) struct buf long_head, headers, interim, trailers;
    buf_init(&long_head, 1 << 20);
    buf_init(&headers, 1 << 20);
    buf_init(&interim, 1 << 20);
    buf_init(&trailers, 1 << 20);
    buf_text(&long_head, "HTTP/1.1 200 OK\r\nA: ");
    buf_text(&headers, "HTTP/1.1 200 OK\r\n");
    buf_text(&trailers, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    for (int i = 0; i < HTTP_HEAD_MAX; i++)
        buf_char(&long_head, 'x');
    for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
        buf_text(&headers, "A: b\r\n");
    for (int i = 0; i <= HTTP_INTERIM_MAX; i++)
        buf_text(&interim, "HTTP/1.1 100 Continue\r\n\r\n");
    for (int i = 0; i <= HTTP_HEAD_MAX / 6; i++)
        buf_text(&trailers, "A: b\r\n");
    buf_text(&headers, "\r\n");
    CHECK_STR("the answer is not HTTP/1.1: its head is too long",
              story(buf_cstr(&long_head), 1000, false));
    CHECK_STR("the answer is not HTTP/1.1: too many headers",
              story(buf_cstr(&headers), 1000, false));
    CHECK_STR("the answer is not HTTP/1.1: no end of interim answers",
              story(buf_cstr(&interim), 1000, false));
    CHECK_STR("200 OK 1|the answer is not HTTP/1.1: its trailers are too long",
              story(buf_cstr(&trailers), 1000, false));
}
