#include <stdlib.h>

#include "raft/codec.h"
#include "support/golden.h"
#include "support/prop.h"
#include "support/tap.h"
#include "wire/cursor.h"

static struct buf room(void)
{
    struct buf b;
    buf_init(&b, RAFT_MESSAGE_BYTES_MAX);
    return b;
}

static struct buf encoded(const struct raft_message *m)
{
    struct buf b = room();
    CHECK_EQ(ST_OK, raft_message_encode(m, &b, NULL));
    return b;
}

static bool same_entry(const struct raft_entry *a, const struct raft_entry *b)
{
    if (a->index != b->index || a->term != b->term || a->type != b->type || !a->data != !b->data)
        return false;
    return !a->data || (a->data->len == b->data->len &&
                        memcmp(a->data->bytes, b->data->bytes, a->data->len) == 0);
}

static void check_same(const struct raft_message *a, const struct raft_message *b)
{
    CHECK(a->type == b->type && a->from == b->from && a->to == b->to && a->term == b->term);
    CHECK(a->index == b->index && a->log_term == b->log_term && a->commit == b->commit);
    CHECK(a->read == b->read && a->matched == b->matched && a->hint == b->hint);
    CHECK(a->kept == b->kept && a->pre == b->pre && a->force == b->force);
    CHECK(a->refused == b->refused && a->count == b->count);
    for (size_t i = 0; i < a->count; i++)
        CHECK(same_entry(&a->entries[i], &b->entries[i]));
}

/* What decodes is what is encoded, byte for byte: there is no second way to write a message. */
static void check_refused_or_canonical(struct str bytes)
{
    AUTO(raft_decoded_done) struct raft_decoded d = {0};
    struct fault why;
    enum status s = raft_message_decode(bytes, &d, &why);
    if (s != ST_OK) {
        CHECK(s == ST_INVALID || s == ST_UNSUPPORTED || s == ST_TOO_BIG);
        CHECK(!d.entries && why.text[0]);
        return;
    }
    AUTO(buf_done) struct buf b = encoded(&d.message);
    CHECK(str_eq(bytes, buf_view(&b)));
}

static void check_through(const struct raft_message *m)
{
    AUTO(raft_decoded_done) struct raft_decoded d = {0};
    AUTO(buf_done) struct buf b = encoded(m);
    CHECK_EQ(ST_OK, raft_message_decode(buf_view(&b), &d, NULL));
    check_same(m, &d.message);
}

static enum status decode_status(struct str bytes)
{
    AUTO(raft_decoded_done) struct raft_decoded d = {0};
    return raft_message_decode(bytes, &d, NULL);
}

/* --- any message --- */

enum { DRAWN_MAX = 12 };

struct drawn {
    struct raft_message m;
    struct raft_entry entry[DRAWN_MAX];
};

static struct raft_data *draw_data(struct tape *t)
{
    char bytes[300];
    size_t len = (size_t)draw_below(t, draw_below(t, 4) ? 4 : sizeof bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)draw_below(t, 256);
    return raft_data_new(bytes, len);
}

static void draw_entries(struct tape *t, struct drawn *d)
{
    uint64_t term = d->m.log_term, count = draw_below(t, DRAWN_MAX + 1);
    d->m.entries = d->entry;
    d->m.count = MIN(count, UINT64_MAX - d->m.index);
    for (size_t i = 0; i < d->m.count; i++) {
        enum raft_entry_type type = (enum raft_entry_type)draw_below(t, RAFT_ENTRY_TYPE_COUNT);
        term += draw_edge(t, UINT64_MAX - term);
        d->entry[i] = (struct raft_entry){d->m.index + 1 + i, term, type,
                                          type == RAFT_ENTRY_NOOP ? NULL : draw_data(t)};
    }
}

static void draw_any(struct tape *t, struct drawn *d)
{
    *d = (struct drawn){0};
    d->m = (struct raft_message){
        .type = (enum raft_message_type)draw_below(t, RAFT_MESSAGE_TYPE_COUNT),
        .from = (uint32_t)draw_edge(t, UINT32_MAX),
        .to = (uint32_t)draw_edge(t, UINT32_MAX),
        .term = draw_edge(t, UINT64_MAX),
        .index = draw_edge(t, UINT64_MAX),
        .log_term = draw_edge(t, UINT64_MAX),
        .commit = draw_edge(t, UINT64_MAX),
        .read = draw_edge(t, UINT64_MAX),
        .matched = draw_edge(t, UINT64_MAX),
        .hint = draw_edge(t, UINT64_MAX),
        .kept = draw_edge(t, UINT64_MAX),
        .pre = draw_below(t, 2),
        .force = draw_below(t, 2),
        .refused = draw_below(t, 2),
    };
    draw_entries(t, d);
}

static void drawn_done(struct drawn *d)
{
    for (size_t i = 0; i < d->m.count; i++)
        raft_data_unref(d->entry[i].data);
}

static void prop_round_trip(struct tape *t)
{
    struct drawn d;
    draw_any(t, &d);
    check_through(&d.m);
    drawn_done(&d);
}

TEST(raft_codec_any_message_comes_back_as_it_was)
{
    prop_run(prop_round_trip, 1, 200);
}

static void prop_mutated(struct tape *t)
{
    struct drawn d;
    draw_any(t, &d);
    struct buf b = encoded(&d.m);
    for (size_t len = 0; len < b.len; len++)
        CHECK(decode_status((struct str){b.ptr, len}) != ST_OK);
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
        b.ptr[bit / 8] ^= (char)(1 << bit % 8);
        check_refused_or_canonical(buf_view(&b));
        b.ptr[bit / 8] ^= (char)(1 << bit % 8);
    }
    buf_done(&b);
    drawn_done(&d);
}

TEST(raft_codec_cut_is_refused_and_a_flipped_bit_is_refused_or_says_something_else)
{
    prop_run(prop_mutated, 2, 30);
}

static void prop_any_bytes(struct tape *t)
{
    check_refused_or_canonical((struct str){(const char *)t->byte, t->len});
}

TEST(raft_codec_any_bytes_are_refused_or_canonical)
{
    prop_run(prop_any_bytes, 3, 100);
}

/* --- one of each, as it is on the wire --- */

static struct drawn one_append(void)
{
    struct drawn d = {.m = {.type = RAFT_APPEND,
                            .from = 1,
                            .to = 2,
                            .term = 300,
                            .index = 1000,
                            .log_term = 7,
                            .commit = 998,
                            .read = 5,
                            .kept = 990,
                            .count = 3}};
    d.entry[0] = (struct raft_entry){1001, 7, RAFT_ENTRY_COMMAND, raft_data_new("put", 3)};
    d.entry[1] = (struct raft_entry){1002, 300, RAFT_ENTRY_NOOP, NULL};
    d.entry[2] = (struct raft_entry){1003, 300, RAFT_ENTRY_MEMBERS, raft_data_new("\0\0\0", 3)};
    return d;
}

static void add_golden(struct buf *text, const char *name, const struct raft_message *m)
{
    char hex[512];
    struct buf b = encoded(m);
    CHECK(b.len < sizeof hex / 2);
    check_through(m);
    str_hex(b.ptr, b.len, hex);
    buf_fmt(text, "%s %s\n", name, hex);
    buf_done(&b);
}

TEST(raft_codec_bytes_of_each_type_stay_what_they_are)
{
    struct buf text;
    buf_init(&text, 4096);
    add_golden(&text, "vote_ask",
               &(struct raft_message){.type = RAFT_VOTE_ASK,
                                      .from = 3,
                                      .to = 200,
                                      .term = 12,
                                      .index = 128,
                                      .log_term = 11,
                                      .pre = true,
                                      .force = true});
    add_golden(&text, "vote",
               &(struct raft_message){
                   .type = RAFT_VOTE, .from = 200, .to = 3, .term = 12, .refused = true});
    struct drawn d = one_append();
    d.m.entries = d.entry;
    add_golden(&text, "append", &d.m);
    drawn_done(&d);
    add_golden(&text, "appended",
               &(struct raft_message){.type = RAFT_APPENDED,
                                      .from = 2,
                                      .to = 1,
                                      .term = 300,
                                      .index = 1002,
                                      .matched = 1003,
                                      .read = 5});
    add_golden(&text, "appended_refused",
               &(struct raft_message){.type = RAFT_APPENDED,
                                      .from = 2,
                                      .to = 1,
                                      .term = 300,
                                      .index = 1000,
                                      .log_term = 6,
                                      .hint = 900,
                                      .refused = true});
    add_golden(&text, "offer",
               &(struct raft_message){.type = RAFT_OFFER,
                                      .from = 1,
                                      .to = 4294967295,
                                      .term = UINT64_MAX,
                                      .index = 500,
                                      .log_term = 7,
                                      .read = 6});
    add_golden(&text, "take_over",
               &(struct raft_message){.type = RAFT_TAKE_OVER, .from = 1, .to = 2, .term = 300});
    d = one_append();
    d.m.entries = d.entry;
    d.m.type = RAFT_LEND;
    d.m.commit = d.m.read = d.m.kept = 0;
    add_golden(&text, "lend", &d.m);
    drawn_done(&d);
    golden_check("tests/golden/raft/messages", buf_view(&text));
    buf_done(&text);
}

/* --- refusals, one reason each: mostly of a message from 1 to 2, of term 3 --- */

static enum status refused(const char *want, const uint8_t *byte, size_t len)
{
    struct raft_decoded d = {0};
    struct fault why;
    enum status s = raft_message_decode((struct str){(const char *)byte, len}, &d, &why);
    CHECK(s != ST_OK && !d.entries);
    if (!strstr(why.text, want))
        tap_fail(__FILE__, __LINE__, "want \"%s\" in \"%s\"", want, why.text);
    return s;
}
#define REFUSE(want, ...) \
    refused((want), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

TEST(raft_codec_refuses_what_encode_does_not_write)
{
    enum { A = RAFT_APPEND, E = 0x80 };
    CHECK_EQ(ST_UNSUPPORTED, REFUSE("version 2", 2, A, 0, 0, 1, 2, 3));
    CHECK_EQ(ST_UNSUPPORTED, REFUSE("version 0", 0));
    CHECK_EQ(ST_INVALID, REFUSE("too early", 1));
    CHECK_EQ(ST_INVALID, REFUSE("type is not known", 1, RAFT_MESSAGE_TYPE_COUNT, 0, 0, 1, 2, 3));
    CHECK_EQ(ST_INVALID, REFUSE("flag is not known", 1, A, 8, 0, 1, 2, 3));
    CHECK_EQ(ST_INVALID, REFUSE("and is 0", 1, A, 0, 1, 1, 2, 3, 0));
    CHECK_EQ(ST_INVALID, REFUSE("member's number", 1, A, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x10, 2, 3));
    CHECK_EQ(ST_INVALID, REFUSE("shortest form", 1, A, 0, 0, 0x81, 0, 2, 3));
    CHECK_EQ(ST_INVALID, REFUSE("more bytes", 1, A, 0, 0, 1, 2, 3, 0));
    CHECK_EQ(ST_INVALID, REFUSE("so many entries", 1, A, 0, E, 1, 2, 3, 0));
    CHECK_EQ(ST_INVALID, REFUSE("so many entries", 1, A, 0, E, 1, 2, 3, 2, 0, 0, 0));
    CHECK_EQ(ST_INVALID, REFUSE("entry's type", 1, A, 0, E, 1, 2, 3, 1, 0, RAFT_ENTRY_TYPE_COUNT));
    CHECK_EQ(ST_INVALID, REFUSE("too early", 1, A, 0, E, 1, 2, 3, 1, 0, 1, 1, 0, 0, 0));
    CHECK_EQ(ST_INVALID, REFUSE("length is more", 1, A, 0, E, 1, 2, 3, 1, 0, 1, 1, 0, 0x40, 0));
}

TEST(raft_codec_refuses_an_index_or_a_term_that_wraps)
{
    enum { A = RAFT_APPEND, INDEX = 1, LOG_TERM = 2, E = 0x80 };
#define ALL_ONES 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01
    CHECK_EQ(ST_INVALID, REFUSE("index is too large", 1, A, 0, E | INDEX, 1, 2, 3, ALL_ONES, 1, 0,
                                RAFT_ENTRY_NOOP));
    CHECK_EQ(ST_INVALID, REFUSE("term is too large", 1, A, 0, E | LOG_TERM, 1, 2, 3, ALL_ONES, 1, 1,
                                RAFT_ENTRY_NOOP));
}

/* --- limits --- */

static void check_too_big(const struct raft_message *m)
{
    struct buf b = room();
    buf_text(&b, "before");
    CHECK_EQ(ST_TOO_BIG, raft_message_encode(m, &b, NULL));
    CHECK(str_is(buf_view(&b), "before") && !b.full);
    buf_done(&b);
}

static struct raft_message of_entries(struct raft_entry *e, size_t count, uint64_t term)
{
    for (size_t i = 0; i < count; i++)
        e[i] = (struct raft_entry){i + 1, term, RAFT_ENTRY_NOOP, NULL};
    return (struct raft_message){
        .type = RAFT_APPEND, .from = 1, .to = 2, .term = term, .entries = e, .count = count};
}

TEST(raft_codec_most_entries_and_most_bytes_fit_and_no_more)
{
    static struct raft_entry e[RAFT_MESSAGE_ENTRIES_MAX + 1];
    static char bytes[RAFT_MESSAGE_DATA_MAX + 1];
    struct raft_message m = of_entries(e, RAFT_MESSAGE_ENTRIES_MAX, UINT64_MAX);
    e[0].type = RAFT_ENTRY_COMMAND;
    e[0].data = raft_data_new(bytes, RAFT_MESSAGE_DATA_MAX);
    check_through(&m);

    raft_data_unref(e[0].data);
    e[0].data = raft_data_new(bytes, RAFT_MESSAGE_DATA_MAX + 1);
    check_too_big(&m);
    raft_data_unref(e[0].data);

    m = of_entries(e, RAFT_MESSAGE_ENTRIES_MAX + 1, 1);
    check_too_big(&m);
}

TEST(raft_codec_entries_of_too_many_bytes_together_are_refused)
{
    static char half[RAFT_MESSAGE_DATA_MAX / 2 + 1];
    struct buf b;
    buf_init(&b, 2 * RAFT_MESSAGE_BYTES_MAX);
    const uint8_t head[] = {1, RAFT_APPEND, 0, 0x80, 1, 2, 3, 2};
    buf_add(&b, head, sizeof head);
    for (int i = 0; i < 2; i++) {
        cursor_put_u8(&b, 0);
        cursor_put_u8(&b, RAFT_ENTRY_COMMAND);
        cursor_put_sized(&b, (struct str){half, sizeof half});
    }
    CHECK_EQ(ST_INVALID, decode_status(buf_view(&b)));
    while (b.len <= RAFT_MESSAGE_BYTES_MAX)
        buf_add(&b, half, sizeof half);
    CHECK_EQ(ST_TOO_BIG, decode_status(buf_view(&b)));
    buf_done(&b);
}

TEST(raft_codec_full_buffer_is_left_as_it_was)
{
    struct raft_message m = {.type = RAFT_TAKE_OVER, .from = 1, .to = 2, .term = 3};
    struct buf b;
    buf_init(&b, 8);
    CHECK_EQ(ST_TOO_BIG, raft_message_encode(&m, &b, NULL));
    CHECK(b.len == 0 && !b.full);
    buf_done(&b);
}

TEST_ABORTS(raft_codec_entries_out_of_order_are_the_callers_error)
{
    struct raft_entry e[] = {{2, 5, RAFT_ENTRY_NOOP, NULL}, {3, 4, RAFT_ENTRY_NOOP, NULL}};
    struct raft_message m = {.type = RAFT_APPEND, .index = 1, .entries = e, .count = 2};
    struct buf b = room();
    (void)!raft_message_encode(&m, &b, NULL);
}
