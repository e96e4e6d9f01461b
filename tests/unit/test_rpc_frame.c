/* What calls look like on the wire: one encoding, and nothing else is read. */
#include "rpc/frame.h"
#include "support/tap.h"

static const struct frame_head plain = {
    .method = 0x0102, .body_len = 5, .id = 0x1112131415161718, .timeout_ms = 1000};

static enum status read_head(struct buf *b, struct frame_head *ret, struct fault *why)
{
    return frame_get_head(buf_view(b), ret, why);
}

/* The bytes are fixed: nodes of different versions speak with each other. */
TEST(a_head_has_its_bytes)
{
    static const uint8_t want[FRAME_HEAD] = {
        1,    1,    2, 1, 5, 0, 0, 0, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12,
        0x11, 0xe8, 3, 0, 0, 7, 7, 7, 7,    7,    7,    7,    7,    7,    7,
        7,    7,    7, 7, 7, 7, 8, 8, 8,    8,    8,    8,    8,    8,    1};
    struct frame_head h = plain, got;
    struct buf b;
    buf_init(&b, 100);
    h.flags = FRAME_STREAMS;
    memset(h.trace.trace_id, 7, sizeof h.trace.trace_id);
    memset(h.trace.span_id, 8, sizeof h.trace.span_id);
    h.trace.flags = 1;
    frame_put_head(&b, &h);
    CHECK_EQ(FRAME_HEAD, b.len);
    CHECK(memcmp(want, b.ptr, sizeof want) == 0);
    CHECK_EQ(ST_OK, read_head(&b, &got, NULL));
    CHECK_EQ(0x0102, got.method);
    CHECK_EQ(5, got.body_len);
    CHECK_EQ(1000, got.timeout_ms);
    CHECK(got.id == h.id && got.flags == FRAME_STREAMS);
    CHECK(memcmp(&got.trace, &h.trace, sizeof h.trace) == 0);
    buf_done(&b);
}

static void refuses_head(size_t at, uint8_t byte, enum status want, const char *text)
{
    struct frame_head got;
    struct fault why = {0};
    struct buf b;
    buf_init(&b, 100);
    frame_put_head(&b, &plain);
    b.ptr[at] = (char)byte;
    CHECK_EQ(want, read_head(&b, &got, &why));
    CHECK(str_starts(str_from(why.text), text));
    buf_done(&b);
}

TEST(a_head_that_is_not_so_is_refused)
{
    refuses_head(0, 2, ST_UNSUPPORTED, "calls of version 2, version 1 is spoken here");
    refuses_head(1, 2, ST_INVALID, "the head of a call: a flag is not known");
    refuses_head(20, 1, ST_INVALID, "the head of a call: an id of its trace is zero");
    refuses_head(36, 1, ST_INVALID, "the head of a call: an id of its trace is zero");
    refuses_head(44, 1, ST_INVALID, "the head of a call: an id of its trace is zero");
    struct frame_head got, h = plain;
    struct fault why;
    struct buf b;
    buf_init(&b, 100);
    frame_put_head(&b, &h);
    memset(b.ptr + 16, 0, 4);
    CHECK_EQ(ST_INVALID, read_head(&b, &got, &why));
    CHECK(str_starts(str_from(why.text), "the head of a call: it has no time"));
    for (size_t len = 0; len < FRAME_HEAD; len++)
        CHECK_EQ(ST_INVALID, frame_get_head((struct str){b.ptr, len}, &got, NULL));
    buf_done(&b);
}

static enum status frame_of(uint8_t kind, uint8_t status, uint32_t len, struct frame *ret)
{
    char bytes[FRAME_FRAME] = {(char)kind, (char)status};
    for (int i = 0; i < 4; i++)
        bytes[2 + i] = (char)(len >> 8 * i);
    return frame_get((struct str){bytes, sizeof bytes}, ret, NULL);
}

TEST(a_frame_is_what_its_kind_allows)
{
    struct frame f;
    CHECK_EQ(ST_OK, frame_of(FRAME_MORE, 0, FRAME_PIECE_MAX, &f));
    CHECK_EQ(ST_OK, frame_of(FRAME_DATA, 0, 1, &f));
    CHECK_EQ(ST_OK, frame_of(FRAME_END, 0, UINT32_MAX, &f));
    CHECK_EQ(ST_INVALID, frame_of(0, 0, 1, &f));
    CHECK_EQ(ST_INVALID, frame_of(4, 0, 1, &f));
    CHECK_EQ(ST_INVALID, frame_of(FRAME_MORE, 0, 0, &f));
    CHECK_EQ(ST_INVALID, frame_of(FRAME_MORE, 1, 1, &f));
    CHECK_EQ(ST_INVALID, frame_of(FRAME_DATA, 0, FRAME_PIECE_MAX + 1, &f));
    CHECK_EQ(ST_INVALID, frame_of(FRAME_END, 1, FRAME_FAULT_MAX + 1, &f));
}

/* Numbers of statuses never change; one of a later version is some failure. */
TEST(a_status_has_its_number)
{
    struct frame f;
    CHECK_EQ(ST_OK, frame_of(FRAME_END, 9, 1, &f));
    CHECK_EQ(ST_NOT_FOUND, f.status);
    CHECK_EQ(ST_OK, frame_of(FRAME_END, 20, 1, &f));
    CHECK_EQ(ST_NOT_LEADER, f.status);
    CHECK_EQ(ST_OK, frame_of(FRAME_END, 200, 1, &f));
    CHECK_EQ(ST_INTERNAL, f.status);
    for (unsigned s = 0; s < ST_COUNT; s++) {
        struct frame put = {FRAME_END, (enum status)s, 3};
        struct buf b;
        buf_init(&b, 100);
        frame_put(&b, &put);
        CHECK_EQ(ST_OK, frame_get(buf_view(&b), &f, NULL));
        CHECK_EQ(s, f.status);
        buf_done(&b);
    }
}

TEST(a_fault_arrives_with_all_it_has)
{
    struct frame_fault f = {.retry_after_ms = 250}, got;
    struct buf b;
    buf_init(&b, FRAME_FAULT_MAX);
    IGNORE(fault_set(&f.fault, ST_QUOTA, "2 vcpus wanted, 1 left"));
    fault_hint(&f.fault, "blixard quota show");
    fault_field(&f.fault, "spec.vcpus");
    frame_put_fault(&b, &f);
    CHECK_EQ(ST_OK, frame_get_fault(buf_view(&b), ST_QUOTA, &got, NULL));
    CHECK_EQ(ST_QUOTA, got.fault.status);
    CHECK_EQ(250, got.retry_after_ms);
    CHECK_STR(f.fault.text, got.fault.text);
    CHECK_STR(f.fault.hint, got.fault.hint);
    CHECK_STR(f.fault.field, got.fault.field);
    for (size_t len = 0; len < b.len; len++)
        CHECK_EQ(ST_INVALID, frame_get_fault((struct str){b.ptr, len}, ST_QUOTA, &got, NULL));
    buf_done(&b);
}

/* The longest one fits, and a character that was cut in the middle does no harm. */
TEST(the_longest_fault_fits)
{
    struct frame_fault f = {0}, got;
    struct buf b;
    buf_init(&b, FRAME_FAULT_MAX);
    memset(f.fault.text, 'x', sizeof f.fault.text - 1);
    memset(f.fault.hint, 'x', sizeof f.fault.hint - 1);
    memset(f.fault.field, 'x', sizeof f.fault.field - 1);
    f.fault.text[sizeof f.fault.text - 2] = (char)0xc3;
    frame_put_fault(&b, &f);
    CHECK(!b.full);
    CHECK_EQ(ST_OK, frame_get_fault(buf_view(&b), ST_FAILED, &got, NULL));
    CHECK_EQ('?', got.fault.text[sizeof got.fault.text - 2]);
    buf_done(&b);
}

TEST(a_text_of_two_lines_is_refused)
{
    struct frame_fault f = {0}, got;
    struct buf b;
    buf_init(&b, FRAME_FAULT_MAX);
    IGNORE(fault_set(&f.fault, ST_FAILED, "one two"));
    frame_put_fault(&b, &f);
    b.ptr[8 + 3] = '\n';
    CHECK_EQ(ST_INVALID, frame_get_fault(buf_view(&b), ST_FAILED, &got, NULL));
    buf_done(&b);
}
