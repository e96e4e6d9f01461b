#include <stdlib.h>

#include "journal/files.h"
#include "journal/journal_inline.h"
#include "journal/record.h"
#include "journal/shape.h"
#include "support/loaded.h"
#include "support/memdisk.h"

struct hand {
    struct memdisk *m;
    struct journal *j;
    struct loaded l;
    struct fault why;
    struct journal_report report;
};

static enum status hand_open(struct hand *h)
{
    struct journal_config c = {.segment_size = JOURNAL_SEGMENT_MIN, .new_id = "sixteen bytes id"};
    struct log_load load = loader(&h->l);
    if (!h->m)
        h->m = memdisk_new();
    h->j = NULL;
    memset(&h->why, 0, sizeof h->why);
    return journal_open(memdisk_port(h->m), &c, &load, &h->j, &h->report, &h->why);
}

static void hand_close(struct hand *h)
{
    journal_close(h->j);
    h->j = NULL;
}

static void hand_put(struct hand *h, uint64_t index, uint64_t term, const char *text)
{
    struct log_entry e = {.index = index, .term = term, .data = str_from(text)};
    CHECK_EQ(ST_OK, journal_append(h->j, NULL, &e, 1, &h->why));
}

static void hand_sync(struct hand *h)
{
    CHECK_EQ(ST_OK, journal_sync(h->j, &h->why));
}

static void hand_snapshot(struct hand *h, uint64_t index, uint64_t term, const char *text)
{
    bool complete = false;
    CHECK_EQ(ST_OK,
             journal_snapshot(h->j, index, term, 0, str_from(text), true, &complete, &h->why));
    CHECK(complete);
}

/* Where `text` stands in a file. */
static size_t find_text(struct hand *h, const char *name, const char *text)
{
    size_t len;
    uint8_t *bytes = memdisk_bytes(h->m, name, &len);
    CHECK(bytes != NULL);
    uint8_t *at = memmem(bytes, len, text, strlen(text));
    CHECK(at != NULL);
    return (size_t)(at - bytes);
}

static void flip(struct hand *h, const char *name, size_t at)
{
    size_t len;
    uint8_t *bytes = memdisk_bytes(h->m, name, &len);
    bytes[at] ^= 1;
    struct memdisk *copy = memdisk_copy(h->m); /* so that reads see it too */
    memdisk_free(h->m);
    h->m = copy;
}

static void fill_segments(struct hand *h, uint64_t from, uint64_t to)
{
    static char text[1000];
    memset(text, 'x', sizeof text - 1);
    for (uint64_t i = from; i <= to; i++) {
        hand_put(h, i, 1, text);
        hand_sync(h);
    }
}

#define SEGMENT_1 "segment-0000000000000001"

TEST(journal_new_directory_is_empty_and_keeps_what_it_gets)
{
    struct hand h = {0};
    struct log_hard hard = {.term = 3, .vote = 7};
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK(h.report.created);
    CHECK_EQ(0, h.l.entries + (int)h.l.hard.term + h.l.snapshot_begun);
    CHECK_EQ(ST_OK, journal_append(h.j, &hard, NULL, 0, &h.why));
    hand_put(&h, 1, 3, "");
    hand_put(&h, 2, 3, "two");
    hand_sync(&h);
    hand_close(&h);

    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK(!h.report.created);
    CHECK_EQ(2, h.report.entries);
    CHECK_EQ(3, h.l.hard.term);
    CHECK_EQ(7, h.l.hard.vote);
    CHECK_EQ(2, h.l.last);
    CHECK(h.l.hash[2] == hash_fnv(HASH_FNV_START, "two", 3));
    CHECK_EQ(0, h.report.torn_bytes);
    hand_close(&h);
    memdisk_free(h.m);
}

TEST(journal_a_batch_is_one_write_and_one_sync)
{
    struct hand h = {0};
    CHECK_EQ(ST_OK, hand_open(&h));
    hand_put(&h, 1, 1, "makes room");
    hand_sync(&h);
    uint64_t ops = memdisk_ops(h.m), syncs = memdisk_syncs(h.m);
    for (uint64_t i = 2; i <= 30; i++)
        hand_put(&h, i, 1, "x");
    hand_sync(&h);
    CHECK_EQ(ops + 2, memdisk_ops(h.m));
    CHECK_EQ(syncs + 1, memdisk_syncs(h.m));
    hand_sync(&h); /* nothing to do */
    CHECK_EQ(ops + 2, memdisk_ops(h.m));
    hand_close(&h);
    memdisk_free(h.m);
}

TEST(journal_damage_before_what_was_durable_is_refused_and_nothing_changed)
{
    struct hand h = {0};
    CHECK_EQ(ST_OK, hand_open(&h));
    hand_put(&h, 1, 1, "first");
    hand_sync(&h);
    hand_put(&h, 2, 1, "second");
    hand_sync(&h);
    hand_put(&h, 3, 1, "third");
    hand_sync(&h);
    hand_close(&h);
    size_t at = find_text(&h, SEGMENT_1, "second");
    flip(&h, SEGMENT_1, at);

    size_t len;
    uint8_t *before = mem_dup(memdisk_bytes(h.m, SEGMENT_1, &len), JOURNAL_SEGMENT_MIN);
    CHECK_EQ(ST_CORRUPT, hand_open(&h));
    memdisk_reboot(h.m, MEMDISK_KEEP, 1);
    CHECK(memcmp(memdisk_bytes(h.m, SEGMENT_1, &len), before, JOURNAL_SEGMENT_MIN) == 0);
    CHECK_EQ(JOURNAL_SEGMENT_MIN, len);
    free(before);
    char want[200];
    (void)snprintf(want, sizeof want,
                   SEGMENT_1 " is damaged at offset %zu, after index 1: no true record stands "
                             "here, and a later one says that one did",
                   at - RECORD_HEAD_SIZE);
    CHECK_STR(want, h.why.text);
    CHECK(strstr(h.why.hint, "join again") != NULL);

    flip(&h, SEGMENT_1, at); /* well again; now the padding behind it */
    flip(&h, SEGMENT_1, at + strlen("second"));
    CHECK_EQ(ST_CORRUPT, hand_open(&h));
    memdisk_free(h.m);
}

/* The first of two records of one write is lost, the second one is there. Later a record equal to
 * the first is written in its place: the second one must not come back. */
TEST(journal_cut_tail_does_not_come_back)
{
    struct hand h = {0};
    CHECK_EQ(ST_OK, hand_open(&h));
    hand_put(&h, 1, 1, "first");
    hand_sync(&h);
    hand_put(&h, 2, 1, "second");
    hand_put(&h, 3, 1, "ghost");
    hand_sync(&h);
    hand_close(&h);
    flip(&h, SEGMENT_1, find_text(&h, SEGMENT_1, "second"));

    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(1, h.l.last);
    CHECK(h.report.torn_bytes > 2 * RECORD_HEAD_SIZE);
    CHECK_STR(SEGMENT_1, h.report.torn_file);
    hand_put(&h, 2, 1, "second");
    hand_sync(&h);
    hand_close(&h);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(2, h.l.last);
    hand_close(&h);
    memdisk_free(h.m);
}

/* The same, where the write that was cut off had begun a new segment. */
TEST(journal_segment_that_never_came_to_be_does_not_come_back)
{
    const char *name = "segment-0000000000000002";
    struct hand h = {0};
    size_t len;
    CHECK_EQ(ST_OK, hand_open(&h));
    fill_segments(&h, 1, 4);
    hand_put(&h, 5, 1, "second");
    hand_put(&h, 6, 1, "ghost");
    hand_sync(&h);
    hand_close(&h);
    CHECK(memdisk_bytes(h.m, name, &len) != NULL);
    flip(&h, name, 3);

    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(4, h.l.last);
    CHECK_STR(name, h.report.torn_file);
    hand_put(&h, 5, 1, "second");
    hand_sync(&h);
    hand_close(&h);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(5, h.l.last);
    hand_close(&h);
    memdisk_free(h.m);
}

/* A disk that forgets a write may show what stood there before a cut: true in itself, but the
 * records after it know better. */
TEST(journal_record_of_before_a_cut_does_not_pass_for_the_one_after_it)
{
    struct hand h = {0};
    size_t len;
    CHECK_EQ(ST_OK, hand_open(&h));
    hand_put(&h, 1, 1, "first");
    hand_sync(&h);
    hand_put(&h, 2, 1, "older");
    hand_sync(&h);
    hand_close(&h);
    size_t at = find_text(&h, SEGMENT_1, "older") - RECORD_HEAD_SIZE;
    uint8_t *older = mem_dup(memdisk_bytes(h.m, SEGMENT_1, &len) + at, record_size(5));
    flip(&h, SEGMENT_1, at);
    CHECK_EQ(ST_OK, hand_open(&h));
    hand_put(&h, 2, 1, "newer");
    hand_sync(&h);
    hand_put(&h, 3, 1, "third");
    hand_sync(&h);
    hand_close(&h);
    memcpy(memdisk_bytes(h.m, SEGMENT_1, &len) + at, older, record_size(5));
    free(older);
    flip(&h, SEGMENT_1, len - 1); /* only so that reads see it: a byte far behind the end */
    CHECK_EQ(ST_CORRUPT, hand_open(&h));
    memdisk_free(h.m);
}

/* Whoever stores bytes of a journal in a journal does not make its torn tail look like damage. */
TEST(journal_records_within_an_entry_prove_nothing)
{
    struct hand h = {0};
    size_t len;
    CHECK_EQ(ST_OK, hand_open(&h));
    for (uint64_t i = 1; i <= 4; i++) {
        hand_put(&h, i, 1, "some");
        hand_sync(&h);
    }
    uint8_t *bytes = memdisk_bytes(h.m, SEGMENT_1, &len);
    struct log_entry e = {.index = 5, .term = 1, .data = {(char *)bytes, 700}};
    CHECK_EQ(ST_OK, journal_append(h.j, NULL, &e, 1, NULL));
    hand_put(&h, 6, 1, "last");
    hand_sync(&h);
    hand_close(&h);
    size_t at = find_text(&h, SEGMENT_1, "last");
    flip(&h, SEGMENT_1, at - RECORD_HEAD_SIZE - 708); /* in the head of entry 5 */
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(4, h.l.last);
    hand_close(&h);
    memdisk_free(h.m);
}

TEST(journal_what_a_killed_process_left_unsynced_is_synced_before_it_counts)
{
    struct hand h = {0};
    CHECK_EQ(ST_OK, hand_open(&h));
    hand_put(&h, 1, 1, "first");
    hand_sync(&h);
    hand_put(&h, 2, 1, "second");
    memdisk_crash_at(h.m, memdisk_ops(h.m) + 1); /* written, not synced */
    CHECK_EQ(ST_IO, journal_sync(h.j, NULL));
    hand_close(&h);
    memdisk_kill(h.m);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(2, h.l.last); /* seen, so perhaps acted upon */
    hand_close(&h);
    memdisk_reboot(h.m, MEMDISK_LOSE, 1);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(2, h.l.last);
    hand_close(&h);
    memdisk_free(h.m);
}

TEST(journal_compaction_drops_whole_segments_and_keeps_the_hard_state)
{
    struct hand h = {0};
    struct log_hard hard = {.term = 1, .vote = 2};
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(ST_OK, journal_append(h.j, &hard, NULL, 0, NULL));
    fill_segments(&h, 1, 20);
    CHECK_EQ(5, journal_view(h.j).segment_count); /* of four entries each */
    hand_snapshot(&h, 3, 1, "state at 3");
    CHECK_EQ(ST_OK, journal_compact(h.j, 4, NULL)); /* the first segment ends with entry 4 */
    CHECK_EQ(5, journal_view(h.j).segment_count);
    hand_snapshot(&h, 15, 1, "state at 15");
    CHECK_EQ(ST_OK, journal_compact(h.j, 13, NULL));
    struct journal_view v = journal_view(h.j);
    CHECK_EQ(2, v.segment_count);
    CHECK_EQ(12, v.base_index);
    hand_close(&h);

    CHECK(memdisk_bytes(h.m, SEGMENT_1, &(size_t){0}) == NULL);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(1, h.l.hard.term);
    CHECK_EQ(2, h.l.hard.vote);
    CHECK_EQ(15, h.l.snapshot);
    CHECK_EQ(16, h.l.first);
    CHECK_EQ(20, h.l.last);
    hand_close(&h);
    memdisk_free(h.m);
}

TEST(journal_missing_files_are_named)
{
    struct hand h = {0};
    CHECK_EQ(ST_OK, hand_open(&h));
    fill_segments(&h, 1, 12);
    hand_close(&h);

    struct memdisk *whole = h.m;
    h.m = memdisk_copy(whole);
    memdisk_remove(h.m, "segment-0000000000000002");
    CHECK_EQ(ST_CORRUPT, hand_open(&h));
    CHECK(strstr(h.why.text, "segment-0000000000000002 is damaged") &&
          strstr(h.why.text, "missing"));
    memdisk_free(h.m);

    h.m = memdisk_copy(whole);
    memdisk_remove(h.m, SEGMENT_1);
    CHECK_EQ(ST_CORRUPT, hand_open(&h));
    CHECK(strstr(h.why.text, "no snapshot holds what was before the beginning of the log"));
    memdisk_free(h.m);

    h.m = memdisk_copy(whole);
    memdisk_remove(h.m, FILES_FORMAT);
    CHECK_EQ(ST_CORRUPT, hand_open(&h));
    CHECK(strstr(h.why.text, "format is damaged") && strstr(h.why.text, "missing"));
    memdisk_free(h.m);

    h.m = memdisk_new(); /* all but the format file */
    size_t len;
    uint8_t *format = memdisk_bytes(whole, FILES_FORMAT, &len);
    memdisk_put(h.m, FILES_FORMAT, format, len);
    CHECK_EQ(ST_CORRUPT, hand_open(&h));
    memdisk_free(h.m);
    memdisk_free(whole);
}

TEST(journal_newer_format_is_refused_with_what_to_do)
{
    struct hand h = {.m = memdisk_new()};
    const char *text = "blixard-journal 2\nid 00\nmore to come\n";
    char file[100];
    (void)snprintf(file, sizeof file, "%scrc %08" PRIx32 "\n", text,
                   hash_crc32c(0, text, strlen(text)));
    memdisk_put(h.m, FILES_FORMAT, file, strlen(file));
    CHECK_EQ(ST_UNSUPPORTED, hand_open(&h));
    CHECK_STR("this log has format 2, and this program knows up to 1", h.why.text);
    CHECK(strstr(h.why.hint, "install") != NULL);
    memdisk_free(h.m);
}

TEST(journal_damaged_snapshot_is_replaced_by_the_older_one_if_the_log_covers_it)
{
    struct hand h = {0};
    size_t len;
    char older[DISK_NAME_MAX + 1], newer[DISK_NAME_MAX + 1];
    files_snapshot_name(4, 1, older);
    files_snapshot_name(9, 1, newer);
    CHECK_EQ(ST_OK, hand_open(&h));
    fill_segments(&h, 1, 12);
    hand_snapshot(&h, 4, 1, "state at 4");
    uint8_t *bytes = memdisk_bytes(h.m, older, &len);
    uint8_t *kept = mem_dup(bytes, len);
    hand_snapshot(&h, 9, 1, "state at 9");
    CHECK(memdisk_bytes(h.m, older, &(size_t){0}) == NULL ||
          memdisk_ops(h.m) > 0); /* gone, or its removal is not durable yet */
    hand_close(&h);
    memdisk_reboot(h.m, MEMDISK_KEEP, 1);
    CHECK(memdisk_bytes(h.m, older, &(size_t){0}) == NULL);

    memdisk_put(h.m, older, kept, len); /* as after a crash before its removal */
    free(kept);
    flip(&h, newer, find_text(&h, newer, "state at 9"));
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_STR(newer, h.report.bad_snapshot);
    CHECK_EQ(4, h.l.snapshot);
    CHECK_EQ(12, h.l.last);

    /* A new snapshot puts an end to both. */
    hand_snapshot(&h, 10, 1, "state at 10");
    CHECK_EQ(ST_OK, journal_compact(h.j, 11, NULL));
    hand_close(&h);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_STR("", h.report.bad_snapshot);
    CHECK_EQ(10, h.l.snapshot);
    hand_close(&h);

    /* The log does not reach back any more: there is nothing to fall back on. */
    memdisk_reboot(h.m, MEMDISK_KEEP, 1);
    files_snapshot_name(10, 1, newer);
    flip(&h, newer, find_text(&h, newer, "state at 10"));
    CHECK_EQ(ST_CORRUPT, hand_open(&h));
    CHECK(strstr(h.why.text, newer) && strstr(h.why.text, "not in the log any more"));
    memdisk_free(h.m);
}

TEST(journal_snapshot_of_a_peer_replaces_a_log_that_does_not_hold_its_end)
{
    struct hand h = {0};
    CHECK_EQ(ST_OK, hand_open(&h));
    fill_segments(&h, 1, 6);
    hand_snapshot(&h, 4, 2, "of another term"); /* entry 4 has term 1 here */
    CHECK_EQ(0, journal_unsynced(h.j));
    hand_put(&h, 5, 2, "five");
    hand_sync(&h);
    hand_close(&h);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(4, h.l.snapshot);
    CHECK_EQ(5, h.l.first);
    CHECK_EQ(5, h.l.last);
    CHECK_EQ(2, h.l.item[5].term);
    hand_snapshot(&h, 100, 3, "far ahead");
    hand_put(&h, 101, 3, "next");
    hand_sync(&h);
    hand_close(&h);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(101, h.l.first);
    hand_close(&h);
    memdisk_free(h.m);
}

TEST(journal_snapshot_under_way_is_dropped_by_another_and_by_a_restart)
{
    struct hand h = {0};
    bool complete = true;
    CHECK_EQ(ST_OK, hand_open(&h));
    fill_segments(&h, 1, 5);
    CHECK_EQ(ST_OK, journal_snapshot(h.j, 2, 1, 0, STR("half"), false, &complete, NULL));
    CHECK(!complete);
    hand_snapshot(&h, 3, 1, ""); /* an empty state is one, too */
    CHECK_EQ(ST_OK, journal_snapshot(h.j, 5, 1, 0, STR("half"), false, &complete, NULL));
    hand_close(&h);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(3, h.l.snapshot);
    CHECK(h.l.snapshot_ended);
    hand_close(&h);
    memdisk_free(h.m);
}

TEST(journal_snapshot_begun_anew_has_nothing_of_the_one_before_it)
{
    struct hand h = {0};
    bool complete = true;
    CHECK_EQ(ST_OK, hand_open(&h));
    hand_put(&h, 1, 1, "x");
    CHECK_EQ(ST_OK, journal_snapshot(h.j, 1, 1, 0, STR("half"), false, &complete, NULL));
    CHECK_EQ(ST_OK, journal_snapshot(h.j, 1, 1, 0, STR("all "), false, &complete, NULL));
    CHECK_EQ(ST_OK,
             journal_snapshot(h.j, 1, 1, strlen("all "), STR("of it"), true, &complete, NULL));
    CHECK(complete);
    hand_close(&h);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(hash_fnv(HASH_FNV_START, "all of it", strlen("all of it")), h.l.snapshot_hash);
    hand_close(&h);
    memdisk_free(h.m);
}

TEST_ABORTS(journal_snapshot_with_a_gap_is_not_taken)
{
    struct hand h = {0};
    bool complete;
    CHECK_EQ(ST_OK, hand_open(&h));
    hand_put(&h, 1, 1, "x");
    CHECK_EQ(ST_OK, journal_snapshot(h.j, 1, 1, 0, STR("half"), false, &complete, NULL));
    (void)!journal_snapshot(h.j, 1, 1, strlen("half") + 1, STR("rest"), true, &complete, NULL);
}

TEST(journal_large_entries_and_batches_pass)
{
    struct hand h = {0};
    static char bytes[LOG_ENTRY_MAX];
    fill(1, sizeof bytes, bytes);
    CHECK_EQ(ST_OK, hand_open(&h));
    for (uint64_t i = 1; i <= 3; i++) {
        struct log_entry e = {.index = i, .term = 1, .data = {bytes, sizeof bytes}};
        CHECK_EQ(ST_OK, journal_append(h.j, NULL, &e, 1, NULL));
    }
    hand_sync(&h);
    hand_put(&h, 4, 1, "small");
    hand_sync(&h);
    hand_close(&h);
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(4, h.l.last);
    CHECK(h.l.hash[3] == hash_fnv(HASH_FNV_START, bytes, sizeof bytes));
    hand_close(&h);
    memdisk_free(h.m);
}

static enum status refuse_entry(void *ctx, const struct log_entry *e, struct fault *why)
{
    (void)ctx, (void)e;
    return fault_set(why, ST_INVALID, "the node does not like it");
}

TEST(journal_open_ends_with_what_the_loader_says)
{
    struct hand h = {0};
    CHECK_EQ(ST_OK, hand_open(&h));
    hand_put(&h, 1, 1, "x");
    hand_sync(&h);
    hand_close(&h);
    struct journal_config c = {.segment_size = JOURNAL_SEGMENT_MIN};
    struct log_load load = loader(&h.l);
    load.entry = refuse_entry;
    CHECK_EQ(ST_INVALID, journal_open(memdisk_port(h.m), &c, &load, &h.j, NULL, &h.why));
    CHECK_STR("the node does not like it", h.why.text);
    memdisk_free(h.m);
}

TEST_ABORTS(journal_vote_is_not_taken_back)
{
    struct hand h = {0};
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(ST_OK, journal_append(h.j, &(struct log_hard){.term = 1, .vote = 1}, NULL, 0, NULL));
    CHECK_EQ(ST_OK, journal_append(h.j, &(struct log_hard){.term = 1, .vote = 2}, NULL, 0, NULL));
}

TEST_ABORTS(journal_entries_leave_no_gap)
{
    struct hand h = {0};
    CHECK_EQ(ST_OK, hand_open(&h));
    hand_put(&h, 2, 1, "x");
}

/* Whoever changes the format changes this, JOURNAL_FORMAT, and the reference page. */
TEST(journal_bytes_are_those_of_format_1)
{
    struct hand h = {0};
    size_t len;
    CHECK_EQ(ST_OK, hand_open(&h));
    CHECK_EQ(ST_OK, journal_append(h.j, &(struct log_hard){.term = 1, .vote = 2}, NULL, 0, NULL));
    hand_put(&h, 1, 1, "abc");
    hand_sync(&h);
    hand_snapshot(&h, 1, 1, "snap");
    hand_close(&h);
    uint8_t *b = memdisk_bytes(h.m, SEGMENT_1, &len);
    CHECK(hash_fnv(HASH_FNV_START, b, 88 + 48 + 56) == UINT64_C(0xad5976fcb76d4119));
    b = memdisk_bytes(h.m, "snapshot-0000000000000001-0000000000000001", &len);
    CHECK_EQ(32 + 24, len);
    CHECK(hash_fnv(HASH_FNV_START, b, len) == UINT64_C(0xd8377bcc07bbd67a));
    b = memdisk_bytes(h.m, FILES_FORMAT, &len);
    CHECK(strncmp((char *)b, "blixard-journal 1\nid 7369787465656e20", 37) == 0);
    memdisk_free(h.m);
}

TEST(shape_knows_the_terms_of_what_is_kept)
{
    struct shape s;
    shape_init(&s);
    for (uint64_t i = 1; i <= 9; i++)
        CHECK(shape_entry(&s, i, (i + 2) / 3) == NULL); /* terms 1 1 1 2 2 2 3 3 3 */
    for (uint64_t i = 1; i <= 9; i++)
        CHECK_EQ((i + 2) / 3, shape_term(&s, i));
    shape_forget(&s, 5);
    CHECK_EQ(0, shape_term(&s, 3));
    CHECK_EQ(2, shape_term(&s, 4)); /* the one before the first */
    CHECK_EQ(2, shape_term(&s, 5));
    CHECK_EQ(3, shape_term(&s, 9));
    CHECK(shape_entry(&s, 11, 3) != NULL);
    CHECK(shape_entry(&s, 8, 2) != NULL); /* less than the term of 7 */
    CHECK(shape_entry(&s, 7, 4) == NULL);
    CHECK_EQ(7, s.last_index);
    CHECK_EQ(4, shape_term(&s, 7));
    CHECK_EQ(2, shape_term(&s, 6));
    shape_forget(&s, 8);
    CHECK_EQ(4, shape_term(&s, 7));
    CHECK_EQ(0, s.run_count);
    CHECK(shape_entry(&s, 8, 4) == NULL);
    CHECK(shape_entry(&s, 3, 1) == NULL); /* before what is known: as after a snapshot of a peer */
    CHECK_EQ(2, s.base_index);
    CHECK_EQ(0, shape_term(&s, 2));
    CHECK(shape_restart(&s, UINT64_MAX, 1) != NULL);
    shape_done(&s);
}
