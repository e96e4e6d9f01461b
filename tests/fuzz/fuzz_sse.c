#include "cli/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tell(struct buf *out, struct str text, size_t step)
{
    struct sse s;
    struct sse_event e;
    struct fault why;
    buf_init(out, 1 << 22);
    sse_init(&s);
    while (text.len > 0) {
        size_t n = MIN(MIN(step, text.len), (size_t)SSE_FEED_MAX);
        if (sse_feed(&s, (struct str){text.ptr, n}, &why) != ST_OK)
            break;
        text = (struct str){text.ptr + n, text.len - n};
        while (sse_next(&s, &e))
            buf_fmt(out, "%s|" STR_FMT "|" STR_FMT "\n", s.id, STR_ARG(e.type), STR_ARG(e.data));
    }
    sse_done(&s);
}

/* Events are the same in whatever pieces they come. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct buf a, b;
    struct str text = {(const char *)data + 1, size - 1};
    tell(&a, text, SIZE_MAX);
    tell(&b, text, 1 + data[0]);
    ensure(str_eq(buf_view(&a), buf_view(&b)));
    buf_done(&a);
    buf_done(&b);
    return 0;
}
