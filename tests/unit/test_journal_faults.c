/*
 * A journal on a disk that fails: crashes at every operation, errors at every operation, a flipped
 * bit in every byte. What is found afterwards is compared with a model of what was asked.
 */
#include "journal/journal_inline.h"
#include "support/log_work.h"
#include "support/memdisk.h"

/* --- a run: requests to a journal, and the steps that they stand for --- */

struct run {
    struct log_work w;
    bool failed;
    struct journal_inline *journal;
};

static void on_appended(void *ctx, uint64_t token)
{
    struct run *r = ctx;
    log_work_appended(&r->w, token);
}

static void on_snapshotted(void *ctx, uint64_t index)
{
    struct run *r = ctx;
    log_work_snapshotted(&r->w, index);
}

static void on_failed(void *ctx, const struct fault *why)
{
    struct run *r = ctx;
    (void)why;
    CHECK(!r->failed);
    r->failed = true;
}

static enum status append(struct run *r, const struct log_entry *e)
{
    uint64_t token = r->w.token_count++;
    r->w.steps_of_token[token] = r->w.step_count;
    return r->w.log->append(r->w.log, NULL, e, 1, token);
}

static void run_all(struct run *r, struct rng *sizes)
{
    while (journal_inline_waiting(r->journal) && !r->failed)
        (void)journal_inline_run(r->journal, (size_t)rng_range(sizes, 1, 4));
}

static void ask_snapshot(struct run *r)
{
    uint64_t index = log_work_snapshot(&r->w);
    if (index == 0)
        return;
    run_all(r, &r->w.rng);
    if (!r->failed && rng_chance(&r->w.rng, 700))
        r->w.log->compact(r->w.log, rng_range(&r->w.rng, 1, index + 1));
}

static enum status open_run(struct run *r, struct memdisk *m, struct loaded *l, struct fault *why)
{
    static struct log_events events;
    struct journal_config c = {.segment_size = JOURNAL_SEGMENT_MIN, .new_id = "sixteen bytes id"};
    struct log_load load = loader(l);
    r->journal = NULL;
    enum status s = journal_inline_open(memdisk_port(m), &c, &load, &r->journal, NULL, why);
    if (s != ST_OK)
        return s;
    events = (struct log_events){on_appended, on_snapshotted, on_failed, r};
    r->w.log = journal_inline_log(r->journal);
    r->w.log->events = &events;
    return ST_OK;
}

/* Ask for this and that until the disk fails or enough was asked. */
static void work(struct run *r, int requests)
{
    for (int i = 0; i < requests && !r->failed; i++) {
        if (rng_chance(&r->w.rng, 120))
            ask_snapshot(r);
        else
            log_work_append(&r->w);
        if (rng_chance(&r->w.rng, 500))
            run_all(r, &r->w.rng);
    }
    if (!r->failed)
        run_all(r, &r->w.rng);
}

/* A life: open, work until the crash, and see after the reboot that nothing acknowledged is lost. */
static uint64_t crash_once(uint64_t seed, uint64_t at, enum memdisk_loss loss, int requests)
{
    static struct run r;
    static struct loaded l;
    static struct model state;
    struct fault why = {0};
    struct memdisk *m = memdisk_new();
    memset(&r, 0, sizeof r);
    r.w.rng = (struct rng){seed};
    memdisk_crash_at(m, at);
    if (open_run(&r, m, &l, &why) == ST_OK)
        work(&r, requests);
    uint64_t ops = memdisk_ops(m);
    journal_inline_close(r.journal);

    for (int life = 0; life < 2; life++) {
        if (life == 0 && at % 3 == 2)
            memdisk_kill(m); /* the machine follows in the next life */
        else
            memdisk_reboot(m, loss, seed * 1000 + at + (uint64_t)life);
        static const struct model nothing;
        struct model before = life == 0 ? nothing : state;
        if (life == 1) { /* a crash while recovering, then nothing was asked */
            memdisk_crash_at(m, rng_below(&r.w.rng, 6));
            if (open_run(&r, m, &l, &why) == ST_OK)
                journal_inline_close(r.journal);
            memdisk_reboot(m, loss, seed * 2000 + at);
            log_work_settle(&r.w);
        }
        if (open_run(&r, m, &l, &why) != ST_OK)
            tap_fail(__FILE__, __LINE__, "seed %llu, crash at %llu, loss %d, life %d: %s",
                     (unsigned long long)seed, (unsigned long long)at, (int)loss, life, why.text);
        if (!log_work_find(&r.w, r.w.acked, &before, &l, false, &state))
            tap_fail(__FILE__, __LINE__,
                     "seed %llu, crash at %llu, loss %d, life %d: what was "
                     "found is no state since the last acknowledged one",
                     (unsigned long long)seed, (unsigned long long)at, (int)loss, life);

        /* What was found is durable now, and the log goes on from it. */
        log_work_settle(&r.w);
        r.failed = false;
        before = r.w.now = state;
        work(&r, 4);
        CHECK(!r.failed);
        CHECK_EQ(r.w.step_count, r.w.acked);
        state = r.w.now;
        journal_inline_close(r.journal);
    }
    memdisk_free(m);
    return ops;
}

static void crash_everywhere(enum memdisk_loss loss, uint64_t seeds)
{
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        uint64_t ops = crash_once(seed, UINT64_MAX, loss, 25);
        CHECK(ops > 20);
        for (uint64_t at = 0; at < ops; at++)
            (void)crash_once(seed, at, loss, 25);
    }
}

TEST(journal_crash_at_every_operation_with_all_unsynced_data_lost)
{
    crash_everywhere(MEMDISK_LOSE, 12);
}

TEST(journal_crash_at_every_operation_with_all_unsynced_data_kept)
{
    crash_everywhere(MEMDISK_KEEP, 12);
}

TEST(journal_crash_at_every_operation_with_writes_torn)
{
    crash_everywhere(MEMDISK_TEAR, 40);
}

/* A failed operation is final: nothing is touched any more, and what was acknowledged is there. */
static void fail_everywhere(enum status failure)
{
    static struct run r;
    static struct loaded l;
    static struct model state;
    static const struct model nothing;
    for (uint64_t seed = 1; seed <= 8; seed++)
        for (uint64_t at = 0;; at++) {
            struct fault why = {0};
            struct memdisk *m = memdisk_new();
            memset(&r, 0, sizeof r);
            r.w.rng = (struct rng){seed};
            memdisk_fail_at(m, at, failure);
            enum status s = open_run(&r, m, &l, &why);
            if (s == ST_OK)
                work(&r, 20);
            bool done = !r.failed && s == ST_OK;
            if (s != ST_OK)
                CHECK_EQ(failure, s);
            if (!done)
                CHECK_EQ(0, memdisk_ops_after_failure(m));
            if (r.failed) { /* and stays so */
                CHECK_EQ(0, journal_inline_waiting(r.journal));
                CHECK_EQ(0, journal_inline_run(r.journal, 1));
            }
            journal_inline_close(r.journal);
            if (at % 2) /* only the process ends; what it then finds is acted upon */
                memdisk_kill(m);
            else
                memdisk_reboot(m, MEMDISK_TEAR, seed + at);
            if (open_run(&r, m, &l, &why) != ST_OK)
                tap_fail(__FILE__, __LINE__, "seed %llu, failure at %llu: %s",
                         (unsigned long long)seed, (unsigned long long)at, why.text);
            CHECK(log_work_find(&r.w, r.w.acked, &nothing, &l, false, &state));
            journal_inline_close(r.journal);
            memdisk_reboot(m, MEMDISK_LOSE, 1);
            CHECK_EQ(ST_OK, open_run(&r, m, &l, &why));
            CHECK(model_held(&state, &l, false));
            journal_inline_close(r.journal);
            memdisk_free(m);
            if (done)
                break;
        }
}

TEST(journal_no_space_at_any_operation_stops_it_for_good)
{
    fail_everywhere(ST_NO_SPACE);
}

TEST(journal_error_at_any_operation_stops_it_for_good)
{
    fail_everywhere(ST_IO);
}

/* --- damage --- */

static void collect_name(void *ctx, const char *name)
{
    char(*names)[DISK_NAME_MAX + 1] = ctx;
    while (**names)
        names++;
    strcpy(*names, name);
}

enum { NAMES_MAX = 40 };

struct names {
    char name[NAMES_MAX][DISK_NAME_MAX + 1]; /* "" after the last one */
};

static struct names list(struct memdisk *m)
{
    static const struct names none;
    struct names n = none;
    struct disk *d = memdisk_port(m);
    CHECK_EQ(ST_OK, d->list(d, collect_name, n.name, NULL));
    return n;
}

static size_t used(struct memdisk *m, const char *name)
{
    size_t len;
    const uint8_t *bytes = memdisk_bytes(m, name, &len);
    while (bytes && len > 0 && bytes[len - 1] == 0)
        len--;
    return bytes ? len : 0;
}

/* A log of many batches, closed well; the last batch begins after step *ret_floor. With `before`,
 * that is the log without the last batch. */
static struct memdisk *make_log(struct run *r, uint64_t seed, size_t *ret_floor,
                                struct memdisk **before)
{
    static struct loaded l;
    struct memdisk *m = memdisk_new();
    memset(r, 0, sizeof *r);
    r->w.rng = (struct rng){seed};
    CHECK_EQ(ST_OK, open_run(r, m, &l, NULL));
    work(r, 25);
    *ret_floor = r->w.step_count;
    if (before)
        *before = memdisk_copy(m);
    while (r->w.step_count < *ret_floor + 3)
        log_work_append(&r->w);
    CHECK(journal_inline_run(r->journal, SIZE_MAX) > 0);
    CHECK_EQ(r->w.step_count, r->w.acked);
    journal_inline_close(r->journal);
    r->journal = NULL;
    return m;
}

/* Open a copy of the damaged disk. What is told is true: all, or all but the last batch, or nothing
 * because it was refused. */
static enum status open_damaged(const struct run *r, size_t floor, struct memdisk *m)
{
    static struct run again;
    static struct loaded l;
    static struct model state;
    static const struct model nothing;
    struct fault why = {0};
    struct memdisk *copy = memdisk_copy(m);
    enum status s = open_run(&again, copy, &l, &why);
    if (s == ST_OK)
        CHECK(log_work_find(&r->w, floor, &nothing, &l, true, &state));
    else
        CHECK((s == ST_CORRUPT || s == ST_UNSUPPORTED) && why.hint[0]);
    journal_inline_close(again.journal);
    memdisk_free(copy);
    return s;
}

TEST(journal_flipped_bit_anywhere_is_refused_or_was_in_the_last_batch)
{
    static struct run r;
    int refused = 0, taken = 0;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        size_t floor, len;
        struct memdisk *m = make_log(&r, seed, &floor, NULL);
        struct names names = list(m);
        for (size_t n = 0; names.name[n][0]; n++) {
            uint8_t *bytes = memdisk_bytes(m, names.name[n], &len);
            for (size_t i = 0; i < len; i++) {
                uint8_t bit = (uint8_t)(1u << rng_below(&r.w.rng, 8));
                bytes[i] ^= bit;
                if (open_damaged(&r, floor, m) == ST_OK)
                    taken++;
                else
                    refused++;
                bytes[i] ^= bit;
            }
        }
        memdisk_free(m);
    }
    printf("# %d refused, %d taken\n", refused, taken);
    CHECK(refused > 1000 && taken > 100);
}

/* A write that the disk lost, or put into the place of another one. */
TEST(journal_lost_or_misplaced_sector_is_refused_or_was_in_the_last_batch)
{
    static struct run r;
    enum { SECTOR = 512 };
    int refused = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        size_t floor;
        struct memdisk *before, *m = make_log(&r, seed, &floor, &before);
        struct names names = list(m);
        for (size_t n = 0; names.name[n][0]; n++) {
            size_t end = used(before, names.name[n]), len;
            uint8_t *bytes = memdisk_bytes(m, names.name[n], &len), was[SECTOR];
            for (size_t at = 0; at + SECTOR < end; at += SECTOR) {
                size_t other = (size_t)rng_below(&r.w.rng, len / SECTOR) * SECTOR;
                memcpy(was, bytes + at, SECTOR);
                memset(bytes + at, 0, SECTOR);
                enum status lost = open_damaged(&r, floor, m);
                CHECK(lost == ST_CORRUPT || !str_starts(str_from(names.name[n]), "segment"));
                memcpy(bytes + at, other == at ? was : bytes + other, SECTOR);
                refused += open_damaged(&r, floor, m) != ST_OK;
                memcpy(bytes + at, was, SECTOR);
            }
        }
        memdisk_free(before);
        memdisk_free(m);
    }
    CHECK(refused > 200);
}

TEST(journal_inline_queue_has_a_limit)
{
    static struct run r;
    static struct loaded l;
    static char bytes[LOG_ENTRY_MAX];
    struct memdisk *m = memdisk_new();
    CHECK_EQ(ST_OK, open_run(&r, m, &l, NULL));
    struct log_entry e = {.index = 1, .term = 1, .data = {bytes, sizeof bytes}};
    int taken = 0;
    while (append(&r, &e) == ST_OK)
        taken++, e.index++;
    CHECK_EQ(LOG_QUEUE_MAX / LOG_ENTRY_MAX - 1, taken);
    /* As the thread would: no more than a batch of bytes at a time, and then there is room again. */
    CHECK_EQ(1, journal_inline_run(r.journal, SIZE_MAX));
    CHECK_EQ(ST_OK, append(&r, &e));
    journal_inline_close(r.journal);
    memdisk_free(m);
}

/* A large state must not put itself before what users write. */
TEST(journal_inline_snapshot_takes_little_of_the_queue)
{
    static struct run r;
    static struct loaded l;
    static char bytes[128 << 10];
    struct memdisk *m = memdisk_new();
    CHECK_EQ(ST_OK, open_run(&r, m, &l, NULL));
    struct log_entry e = {.index = 1, .term = 1, .data = STR("x")};
    CHECK_EQ(ST_OK, append(&r, &e));
    while (journal_inline_run(r.journal, SIZE_MAX) > 0)
        continue;
    struct log *log = journal_inline_log(r.journal);
    size_t sent = 0;
    while (log->snapshot(log, 1, 1, sent, (struct str){bytes, sizeof bytes}, false) == ST_OK)
        sent += sizeof bytes;
    CHECK(sent > 0 && sent <= LOG_CHUNKS_MAX);
    e.index++;
    CHECK_EQ(ST_OK, append(&r, &e)); /* behind at most so much */
    CHECK_EQ(1, journal_inline_run(r.journal, SIZE_MAX));
    CHECK_EQ(ST_OK, log->snapshot(log, 1, 1, sent, (struct str){bytes, sizeof bytes}, false));
    sent += sizeof bytes;
    while (journal_inline_run(r.journal, SIZE_MAX) > 0)
        continue;
    static char whole[LOG_CHUNK_MAX]; /* there is always room for one */
    CHECK_EQ(ST_OK, log->snapshot(log, 1, 1, sent, (struct str){whole, sizeof whole}, true));
    journal_inline_close(r.journal);
    memdisk_free(m);
}
