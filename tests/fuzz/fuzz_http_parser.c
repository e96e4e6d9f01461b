#include <string.h>

#include "cli/http_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 1 << 20 };

struct told {
    struct buf body;
    unsigned status;
    size_t headers, rest;
    enum http_piece last;
};

static void tell(struct told *t, struct str text, size_t step, bool no_body)
{
    struct http_parser p;
    struct fault why = {0};
    struct str data;
    *t = (struct told){.last = HTTP_MORE};
    buf_init(&t->body, BODY_MAX);
    http_parser_init(&p, no_body);
    while (t->last != HTTP_BAD && t->last != HTTP_END) {
        t->last = http_parser_next(&p, &data, &why);
        if (t->last == HTTP_MORE && text.len == 0) {
            http_parser_close(&p);
        } else if (t->last == HTTP_MORE) {
            size_t n = MIN(MIN(step, text.len), (size_t)HTTP_FEED_MAX);
            http_parser_feed(&p, (struct str){text.ptr, n});
            text = (struct str){text.ptr + n, text.len - n};
        } else if (t->last == HTTP_HEAD) {
            t->status = p.head.status;
            t->headers = p.head.count;
            ensure(t->status == 101 || t->status >= 200);
            ensure(t->headers <= HTTP_HEADERS_MAX);
        } else if (t->last == HTTP_DATA) {
            ensure(data.len > 0);
            buf_str(&t->body, data);
        }
    }
    ensure(t->last != HTTP_BAD || (why.status != ST_OK && why.text[0]));
    t->rest = http_parser_rest(&p).len + text.len;
    http_parser_done(&p);
}

/* An answer is the same in whatever pieces it comes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct told a, b;
    struct str text = {(const char *)data + 1, size - 1};
    tell(&a, text, SIZE_MAX, data[0] & 1);
    tell(&b, text, 1 + (data[0] >> 1), data[0] & 1);
    ensure(a.last == b.last && a.status == b.status && a.headers == b.headers);
    ensure(str_eq(buf_view(&a.body), buf_view(&b.body)) || a.last == HTTP_BAD);
    ensure(a.last == HTTP_BAD || a.rest == b.rest);
    ensure(a.body.len <= size);
    buf_done(&a.body);
    buf_done(&b.body);
    return 0;
}
