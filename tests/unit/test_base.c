#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/units.h"
#include "support/prop.h"
#include "support/tap.h"

TEST(status_every_code_is_unique_and_comes_back)
{
    for (unsigned i = 0; i < ST_COUNT; i++)
        CHECK_EQ(i, status_from_code(status_code((enum status)i)));
    CHECK_EQ(ST_INTERNAL, status_from_code("no such word"));
}

TEST(fault_wrap_reads_from_the_outside_in)
{
    struct fault why = {0};
    CHECK_EQ(ST_QUOTA, fault_set(&why, ST_QUOTA, "2 vcpus wanted, 1 left"));
    fault_hint(&why, "ask for less");
    CHECK_EQ(ST_QUOTA, fault_wrap(&why, ST_QUOTA, "create vm %s", "web-1"));
    CHECK_STR("create vm web-1: 2 vcpus wanted, 1 left", why.text);
    CHECK_STR("ask for less", why.hint);
}

/* Then only the status is kept. */
TEST(fault_may_be_none)
{
    CHECK_EQ(ST_QUOTA, fault_set(NULL, ST_QUOTA, "%s", "no room"));
    CHECK_EQ(ST_NOT_FOUND, fault_errno(NULL, ENOENT, "open %s", "x"));
    CHECK_EQ(ST_QUOTA, fault_wrap(NULL, ST_QUOTA, "create vm %s", "web-1"));
    fault_hint(NULL, "ask for %s", "less");
    fault_field(NULL, "spec.%s", "vcpus");
}

TEST(fault_too_long_is_cut_not_spilled)
{
    struct fault why = {0};
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    (void)fault_set(&why, ST_IO, "%s", text);
    for (int i = 0; i < 10; i++)
        (void)fault_wrap(&why, ST_IO, "again");
    CHECK_EQ(FAULT_TEXT_MAX - 1, strlen(why.text));
}

TEST(fault_texts_are_fit_for_a_terminal)
{
    struct fault why = {0};
    char text[FAULT_TEXT_MAX + 10] = "";
    (void)fault_set(&why, ST_INVALID, "\"%s\" is bad", "a\x1b[2J\nb\xc2\x9b\xff\xe2\x82\xac");
    CHECK_STR("\"a?[2J b???\xe2\x82\xac\" is bad", why.text);
    fault_field(&why, "%s", "\x7f");
    CHECK_STR("?", why.field);
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    (void)fault_set(&why, ST_INVALID, "%s", text);
    CHECK(str_utf8(str_from(why.text))); /* though it was cut within a character */
    (void)fault_wrap(&why, ST_INVALID, "x");
    CHECK(str_utf8(str_from(why.text)));
}

TEST(str_hex_is_lower_case_and_of_one_length)
{
    CHECK(str_is_hex(STR("0123456789abcdef"), 16));
    CHECK(str_is_hex(STR(""), 0));
    CHECK(!str_is_hex(STR("0123456789abcdef"), 15));
    CHECK(!str_is_hex(STR("0123456789abcdef"), 17));
    static const char *const bad[] = {"A", "g", "`", "/", ":", " ", "\xff"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        CHECK(!str_is_hex(str_from(bad[i]), 1));
    CHECK(!str_is_hex(STR("a\0"), 2));
}

TEST(str_numbers_refuse_what_is_not_one)
{
    uint64_t u;
    CHECK_EQ(ST_OK, str_u64(STR("18446744073709551615"), 0, UINT64_MAX, &u, NULL));
    CHECK(u == UINT64_MAX);
    const char *bad[] = {"", "-1", "+1", " 1", "1 ", "1x", "18446744073709551616", "0x10"};
    for (size_t k = 0; k < ARRAY_COUNT(bad); k++)
        CHECK_EQ(ST_INVALID, str_u64(str_from(bad[k]), 0, UINT64_MAX, &u, NULL));
}

TEST(str_utf8_refuses_overlong_surrogates_and_cut_sequences)
{
    CHECK(str_utf8(STR("grüße \xf0\x9f\x98\x80")));
    CHECK(!str_utf8(STR("\xc0\xaf")));
    CHECK(!str_utf8(STR("\xed\xa0\x80")));
    CHECK(!str_utf8(STR("\xe2\x82")));
    CHECK(!str_utf8(STR("\xf5\x80\x80\x80")));
}

TEST(str_nearest_finds_the_typing_error)
{
    const char *words[] = {"create", "delete", "start", "stop"};
    CHECK_STR("create", str_nearest(STR("craete"), words, 4));
    CHECK_STR("start", str_nearest(STR("strat"), words, 4));
    CHECK(str_nearest(STR("banana"), words, 4) == NULL);
}

TEST(buf_past_its_maximum_keeps_what_it_had)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, 5);
    buf_text(&b, "abc");
    buf_text(&b, "def");
    buf_text(&b, "g");
    CHECK_STR("abc", buf_cstr(&b));
    CHECK_EQ(ST_TOO_BIG, buf_status(&b, NULL));
}

TEST(hash_known_answers)
{
    CHECK_EQ(0xe3069283u, hash_crc32c(0, "123456789", 9));
    uint32_t half = hash_crc32c(hash_crc32c(0, "1234", 4), "56789", 5);
    CHECK_EQ(0xe3069283u, half);
    uint8_t key[16], data[15];
    for (uint8_t i = 0; i < 16; i++)
        key[i] = i;
    for (uint8_t i = 0; i < 15; i++)
        data[i] = i;
    CHECK(hash_sip(key, data, 15) == UINT64_C(0xa129ca6149be45e5));
}

TEST(rng_first_outputs_are_those_of_splitmix64)
{
    struct rng r = {0};
    CHECK(rng_next(&r) == UINT64_C(0xe220a8397b1dcdaf));
    CHECK(rng_next(&r) == UINT64_C(0x6e789e6aa1b965f4));
}

TEST(list_items_leave_in_any_order)
{
    struct list head, a, b, c;
    list_init(&head);
    list_push(&head, &a);
    list_push(&head, &b);
    list_push(&head, &c);
    list_cut(&b);
    CHECK(head.next == &a && a.next == &c && c.next == &head);
    list_cut(&a);
    list_cut(&c);
    CHECK(list_empty(&head));
}

/* The map against the plainest model: an array indexed by key. */
static void map_like_array(struct tape *t)
{
    struct map m;
    uint64_t *model[64] = {0};
    static uint64_t values[256];
    size_t count = 0;
    map_init(&m);
    for (int step = 0; step < 200; step++) {
        uint64_t k = draw_below(t, 64);
        char key[3] = {(char)('a' + k / 8), (char)('a' + k % 8), 0};
        if (draw_below(t, 3)) {
            uint64_t *v = &values[draw_below(t, 256)];
            CHECK(map_put(&m, str_from(key), v) == model[k]);
            count += model[k] == NULL;
            model[k] = v;
        } else {
            CHECK(map_take(&m, str_from(key)) == model[k]);
            count -= model[k] != NULL;
            model[k] = NULL;
        }
        CHECK_EQ(count, m.count);
    }
    size_t at = 0;
    MAP_EACH(&m, key, value) {
        while (at < 64 && !model[at])
            at++;
        CHECK(at < 64);
        char want[3] = {(char)('a' + at / 8), (char)('a' + at % 8), 0};
        CHECK(str_is(key, want));
        CHECK(value == model[at]);
        at++;
    }
    map_done(&m);
}

TEST(map_behaves_as_its_model)
{
    prop_run(map_like_array, 1, 100);
}

TEST(units_sizes_and_durations_round_trip)
{
    uint64_t v;
    char text[UNITS_TEXT_MAX];
    CHECK_EQ(ST_OK, units_size(STR("2GiB"), &v, NULL));
    CHECK_EQ(2147483648, v);
    units_size_exact(v, text);
    CHECK_STR("2GiB", text);
    CHECK_EQ(ST_OK, units_size(STR("4096"), &v, NULL));
    CHECK_EQ(4096, v);
    CHECK_EQ(ST_INVALID, units_size(STR("2gb"), &v, NULL));
    CHECK_EQ(ST_INVALID, units_size(STR("99999999999TiB"), &v, NULL));
    CHECK_EQ(ST_OK, units_duration(STR("5m"), &v, NULL));
    CHECK_EQ(300000, v);
    CHECK_EQ(ST_INVALID, units_duration(STR("5"), &v, NULL));
    units_size_short(1536 * UINT64_C(1048576), text);
    CHECK_STR("1.5GiB", text);
    units_age(90061000, text);
    CHECK_STR("1d1h", text);
}

TEST(units_times_round_trip_and_refuse_nonsense)
{
    uint64_t ns;
    char text[UNITS_TEXT_MAX];
    CHECK_EQ(ST_OK, units_parse_time(STR("2026-11-24T05:47:08.123Z"), &ns, NULL));
    units_time(ns, text);
    CHECK_STR("2026-11-24T05:47:08.123Z", text);
    CHECK_EQ(ST_OK, units_parse_time(STR("1970-01-01T01:00:00+01:00"), &ns, NULL));
    CHECK_EQ(0, ns);
    const char *bad[] = {"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01",
                         "2026-01-01T24:00:00Z", "1969-12-31T23:59:59Z", "2026-01-01T00:00:00",
                         "2026-01-01T00:00:00.Z"};
    for (size_t k = 0; k < ARRAY_COUNT(bad); k++)
        CHECK_EQ(ST_INVALID, units_parse_time(str_from(bad[k]), &ns, NULL));
    static const char good[] = "2026-11-24T05:47:08+01:00";
    for (size_t at = 0; at < sizeof good - 1; at++) { /* no byte may be NUL instead */
        char with_nul[sizeof good];
        memcpy(with_nul, good, sizeof good);
        with_nul[at] = 0;
        CHECK_EQ(ST_INVALID, units_parse_time((struct str){with_nul, sizeof good - 1}, &ns, NULL));
    }
}

TEST_ABORTS(require_stops_the_program)
{
    struct rng r = {0};
    (void)rng_below(&r, 0);
}

TEST(units_time_exact_keeps_every_nanosecond)
{
    const uint64_t times[] = {
        0, 1, 999999, 1000000, 1795499228123000000, 1795499228123456789, UINT64_MAX};
    char text[UNITS_TEXT_MAX];
    for (size_t k = 0; k < ARRAY_COUNT(times); k++) {
        uint64_t ns;
        units_time_exact(times[k], text);
        CHECK_EQ(ST_OK, units_parse_time(str_from(text), &ns, NULL));
        CHECK(ns == times[k]);
    }
    units_time_exact(1795499228123000000, text);
    CHECK_STR("2026-11-24T05:47:08.123Z", text);
    units_time_exact(1795499228123000001, text);
    CHECK_STR("2026-11-24T05:47:08.123000001Z", text);
}
