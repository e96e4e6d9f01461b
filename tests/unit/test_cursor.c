#include "support/prop.h"
#include "support/tap.h"
#include "wire/cursor.h"

TEST(cursor_numbers_are_little_endian)
{
    struct cursor c;
    cursor_init(&c, STR("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"));
    CHECK_EQ(0x01, cursor_u8(&c));
    CHECK_EQ(0x0302, cursor_u16(&c));
    CHECK_EQ(0x07060504, cursor_u32(&c));
    CHECK_EQ(0x0f0e0d0c0b0a0908, cursor_u64(&c));
    CHECK_EQ(ST_OK, cursor_end(&c, ST_CORRUPT, NULL));
}

TEST(cursor_stops_at_its_first_failure)
{
    struct cursor c;
    struct fault why;
    cursor_init(&c, STR("\x01\x02\x03"));
    CHECK_EQ(0x0201, cursor_u16(&c));
    CHECK_EQ(0, cursor_u32(&c));
    CHECK_EQ(0, cursor_u8(&c)); /* one byte is there, but the cursor no longer moves */
    cursor_fail(&c, "a later failure");
    CHECK_EQ(0, cursor_left(&c));
    CHECK_EQ(ST_CORRUPT, cursor_end(&c, ST_CORRUPT, &why));
    CHECK_STR("it ends too early, at byte 2 of 3", why.text);
}

TEST(cursor_end_refuses_what_is_left)
{
    struct cursor c;
    struct fault why;
    cursor_init(&c, STR("ab"));
    (void)cursor_u8(&c);
    CHECK_EQ(ST_OK, cursor_status(&c, ST_INVALID, &why));
    CHECK_EQ(ST_INVALID, cursor_end(&c, ST_INVALID, &why));
    CHECK_STR("more bytes than it should have, at byte 1 of 2", why.text);
}

TEST(cursor_sized_checks_the_limit_before_the_bytes)
{
    struct cursor c;
    struct fault why;
    cursor_init(&c, STR("\x03\0\0\0abc"));
    CHECK(str_is(cursor_sized(&c, 3), "abc"));
    CHECK_EQ(ST_OK, cursor_end(&c, ST_INVALID, &why));

    cursor_init(&c, STR("\x03\0\0\0abc"));
    CHECK_EQ(0, cursor_sized(&c, 2).len);
    CHECK_EQ(ST_INVALID, cursor_status(&c, ST_INVALID, &why));
    CHECK_STR("a length is more than its limit, at byte 4 of 7", why.text);
}

TEST(cursor_text_takes_what_fits_and_has_no_nul)
{
    struct cursor c;
    struct fault why;
    struct buf b;
    char out[4] = "old";
    buf_init(&b, 64);
    cursor_put_text(&b, "abc");
    cursor_init(&c, buf_view(&b));
    cursor_text(&c, out, sizeof out);
    CHECK_EQ(ST_OK, cursor_end(&c, ST_INVALID, &why));
    CHECK_STR("abc", out);
    buf_done(&b);

    cursor_init(&c, STR("\x04\0\0\0abcd"));
    cursor_text(&c, out, sizeof out);
    CHECK_EQ(ST_INVALID, cursor_status(&c, ST_INVALID, &why));
    CHECK_STR("a length is more than its limit, at byte 4 of 8", why.text);
    CHECK_STR("", out);

    cursor_init(&c, STR("\x03\0\0\0a\0c"));
    cursor_text(&c, out, sizeof out);
    CHECK_EQ(ST_INVALID, cursor_status(&c, ST_INVALID, &why));
    CHECK_STR("a text holds a NUL, at byte 7 of 7", why.text);
    CHECK_STR("", out);
}

TEST(cursor_sized_length_near_the_top_does_not_wrap)
{
    struct cursor c;
    cursor_init(&c, STR("\xff\xff\xff\xff"
                        "abc"));
    CHECK_EQ(0, cursor_sized(&c, UINT32_MAX).len);
    CHECK(!cursor_ok(&c));
}

TEST(cursor_varint_takes_the_shortest_form_only)
{
    const struct {
        struct str bytes;
        uint64_t value;
        bool ok;
    } cases[] = {
        {STR("\x00"), 0, true},
        {STR("\x7f"), 127, true},
        {STR("\x80\x01"), 128, true},
        {STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), UINT64_MAX, true},
        {STR("\x80\x00"), 0, false},
        {STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), 0, false},
        {STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01"), 0, false},
        {STR("\x80"), 0, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct cursor c;
        cursor_init(&c, cases[i].bytes);
        CHECK(cursor_varint(&c) == cases[i].value);
        CHECK_EQ(cases[i].ok, cursor_ok(&c));
    }
}

TEST(cursor_copy_gives_zeros_where_bytes_lack)
{
    struct cursor c;
    char out[4] = "xxx";
    cursor_init(&c, STR("ab"));
    CHECK(!cursor_copy(&c, out, 3));
    CHECK(memcmp(out, "\0\0\0", 3) == 0);
}

TEST(cursor_magic_refuses_other_bytes)
{
    struct cursor c;
    cursor_init(&c, STR("BLX1rest"));
    CHECK(cursor_magic(&c, "BLX1", 4));
    CHECK(str_is(cursor_rest(&c), "rest"));
    cursor_init(&c, STR("BLX2"));
    CHECK(!cursor_magic(&c, "BLX1", 4));
    cursor_init(&c, STR("BL"));
    CHECK(!cursor_magic(&c, "BLX1", 4));
}

TEST(cursor_put_sized_writes_all_or_nothing)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 6);
    cursor_put_sized(&b, STR("abc"));
    CHECK_EQ(0, b.len);
    CHECK(b.full);
}

TEST(cursor_store_is_what_load_reads)
{
    uint8_t at[8];
    cursor_store_u64(at, UINT64_C(0x1122334455667788));
    CHECK(cursor_load_u64(at) == UINT64_C(0x1122334455667788));
    CHECK_EQ(0x55667788, cursor_load_u32(at));
    cursor_store_u32(at, 7);
    CHECK(memcmp(at, "\x07\0\0\0\x44\x33\x22\x11", 8) == 0);
}

enum { STEPS_MAX = 40 };

struct step {
    uint64_t kind, value;
    struct str bytes;
};

static struct step draw_step(struct tape *t)
{
    static const char text[] = "some bytes to take views of";
    struct step s = {.kind = draw_below(t, 6)};
    s.value = draw_edge(t, UINT64_MAX);
    s.bytes = (struct str){text, (size_t)draw_below(t, sizeof text)};
    return s;
}

static void write_step(struct buf *b, const struct step *s)
{
    switch (s->kind) {
    case 0: cursor_put_u8(b, (uint8_t)s->value); return;
    case 1: cursor_put_u16(b, (uint16_t)s->value); return;
    case 2: cursor_put_u32(b, (uint32_t)s->value); return;
    case 3: cursor_put_u64(b, s->value); return;
    case 4: cursor_put_varint(b, s->value); return;
    default: cursor_put_sized(b, s->bytes); return;
    }
}

static bool reads_back(struct cursor *c, const struct step *s)
{
    switch (s->kind) {
    case 0: return cursor_u8(c) == (uint8_t)s->value;
    case 1: return cursor_u16(c) == (uint16_t)s->value;
    case 2: return cursor_u32(c) == (uint32_t)s->value;
    case 3: return cursor_u64(c) == s->value;
    case 4: return cursor_varint(c) == s->value;
    default: return str_eq(cursor_sized(c, 64), s->bytes);
    }
}

/* What is written is read back; cut anywhere, it fails and never reads outside. */
static void written_is_read(struct tape *t)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 4096);
    struct step step[STEPS_MAX];
    size_t count = 1 + (size_t)draw_below(t, STEPS_MAX - 1);
    for (size_t i = 0; i < count; i++) {
        step[i] = draw_step(t);
        write_step(&b, &step[i]);
    }
    CHECK_EQ(ST_OK, buf_status(&b, NULL));

    struct cursor c;
    cursor_init(&c, buf_view(&b));
    for (size_t i = 0; i < count; i++)
        CHECK(reads_back(&c, &step[i]));
    CHECK_EQ(ST_OK, cursor_end(&c, ST_CORRUPT, NULL));

    AUTO(auto_free) char *cut = NULL;
    size_t len = (size_t)draw_below(t, b.len);
    cut = mem_new(len + 1);
    memcpy(cut, b.ptr, len);
    cursor_init(&c, (struct str){cut, len});
    for (size_t i = 0; i < count; i++)
        (void)reads_back(&c, &step[i]);
    CHECK_EQ(ST_CORRUPT, cursor_end(&c, ST_CORRUPT, NULL));
}

TEST(cursor_reads_what_was_written)
{
    prop_run(written_is_read, 1, 300);
}
