/* Any bytes as a stream of messages: the same messages in whatever pieces, and never more than came. */
#include "mesh/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t tell(struct buf *out, struct str text, size_t step)
{
    struct frames f;
    size_t count = 0;
    enum frames_says says = FRAMES_NONE;
    buf_init(out, 1 << 22);
    frames_init(&f);
    while (text.len > 0 && says != FRAMES_BAD) {
        struct str piece = {text.ptr, MIN(step, text.len)}, message;
        text = (struct str){text.ptr + piece.len, text.len - piece.len};
        while ((says = frames_next(&f, &piece, &message)) == FRAMES_ONE) {
            ensure(message.len > 0 && message.len <= PEERS_MESSAGE_MAX);
            buf_fmt(out, "%zu:", message.len);
            buf_str(out, message);
            count++;
        }
    }
    ensure(f.body.room <= 2 * PEERS_MESSAGE_MAX);
    buf_fmt(out, says == FRAMES_BAD ? "bad" : "%zu", f.body.len);
    frames_done(&f);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct buf a, b;
    struct str text = {(const char *)data + 1, size - 1};
    ensure(tell(&a, text, SIZE_MAX) == tell(&b, text, 1 + data[0]));
    ensure(str_eq(buf_view(&a), buf_view(&b)));
    buf_done(&a);
    buf_done(&b);
    return 0;
}
