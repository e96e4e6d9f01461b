#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal/journal_thread.h"
#include "os/disk_os.h"
#include "support/loaded.h"
#include "support/memdisk.h"
#include "support/scratch.h"

enum { DEADLINE_TURNS = 2000 }; /* of 10 ms at most */

struct bench {
    struct loop *loop;
    struct disk *disk;
    struct journal_thread *journal;
    struct log_events events;
    struct loaded loaded;
    uint64_t told, last_token, snapshot;
    int failed;
    struct fault why;
    uint64_t batches, batched;
};

static void on_appended(void *ctx, uint64_t token)
{
    struct bench *b = ctx;
    CHECK(b->told == 0 || token == b->last_token + 1);
    b->last_token = token;
    b->told++;
}

static void on_snapshotted(void *ctx, uint64_t index)
{
    struct bench *b = ctx;
    b->snapshot = index;
}

static void on_failed(void *ctx, const struct fault *why)
{
    struct bench *b = ctx;
    b->failed++;
    b->why = *why;
}

static void on_batch(void *ctx, const struct journal_batch *batch)
{
    struct bench *b = ctx;
    CHECK(batch->requests > 0 && batch->took_ns > 0);
    b->batches++;
    b->batched += batch->requests;
}

static void start(struct bench *b, struct disk *disk)
{
    static struct journal_meter meter;
    struct journal_config c = {.segment_size = JOURNAL_SEGMENT_MIN, .new_id = "sixteen bytes id"};
    struct log_load load = loader(&b->loaded);
    struct fault why = {0};
    meter = (struct journal_meter){on_batch, b};
    b->disk = disk;
    CHECK_EQ(ST_OK, loop_open(&b->loop, &why));
    if (journal_thread_open(b->loop, disk, &c, &load, &meter, &b->journal, NULL, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    b->events = (struct log_events){on_appended, on_snapshotted, on_failed, b};
    journal_thread_log(b->journal)->events = &b->events;
}

static void stop(struct bench *b)
{
    journal_thread_close(b->journal);
    loop_close(b->loop);
}

static enum status put(struct bench *b, uint64_t index, const char *text)
{
    struct log *l = journal_thread_log(b->journal);
    struct log_entry e = {.index = index, .term = 1, .data = str_from(text)};
    return l->append(l, NULL, &e, 1, index);
}

static void turn_until_told(struct bench *b, uint64_t count)
{
    for (int i = 0; b->told < count && !b->failed && i < DEADLINE_TURNS; i++)
        CHECK_EQ(ST_OK, loop_turn(b->loop, 10, NULL));
}

TEST(journal_thread_tells_each_request_in_order_and_batches_them)
{
    struct bench b = {0};
    struct memdisk *m = memdisk_new();
    start(&b, memdisk_port(m));
    for (uint64_t i = 1; i <= 300; i++)
        CHECK_EQ(ST_OK, put(&b, i, "x"));
    CHECK(journal_thread_queued(b.journal) > 0);
    turn_until_told(&b, 300);
    CHECK_EQ(300, b.told);
    CHECK_EQ(300, b.batched);
    CHECK_EQ(0, journal_thread_queued(b.journal));
    struct journal_view v = journal_thread_view(b.journal);
    CHECK_EQ(300, v.last_index);
    CHECK_EQ(b.batches + 1, v.syncs); /* one each, and one when the log was made */
    stop(&b);
    memdisk_free(m);
}

TEST(journal_thread_tells_of_snapshots_among_appends)
{
    struct bench b = {0};
    struct memdisk *m = memdisk_new();
    start(&b, memdisk_port(m));
    struct log *l = journal_thread_log(b.journal);
    CHECK_EQ(ST_OK, put(&b, 1, "x"));
    CHECK_EQ(ST_OK, l->snapshot(l, 1, 1, 0, STR("state"), false));
    CHECK_EQ(ST_OK, put(&b, 2, "y"));
    CHECK_EQ(ST_OK, l->snapshot(l, 1, 1, strlen("state"), STR(" more"), true));
    l->compact(l, 2);
    CHECK_EQ(ST_OK, put(&b, 3, "z"));
    turn_until_told(&b, 3);
    CHECK_EQ(1, b.snapshot);
    stop(&b);
    start(&b, memdisk_port(m));
    CHECK_EQ(1, b.loaded.snapshot);
    CHECK(b.loaded.snapshot_hash == hash_fnv(HASH_FNV_START, "state more", 10));
    CHECK_EQ(3, b.loaded.last);
    stop(&b);
    memdisk_free(m);
}

TEST(journal_thread_carries_out_what_was_asked_before_it_ends)
{
    struct bench b = {0};
    struct memdisk *m = memdisk_new();
    start(&b, memdisk_port(m));
    for (uint64_t i = 1; i <= 50; i++)
        CHECK_EQ(ST_OK, put(&b, i, "x"));
    stop(&b);
    start(&b, memdisk_port(m));
    CHECK_EQ(50, b.loaded.last);
    stop(&b);
    memdisk_free(m);
}

TEST(journal_thread_says_once_that_it_failed)
{
    struct bench b = {0};
    struct memdisk *m = memdisk_new();
    start(&b, memdisk_port(m));
    CHECK_EQ(ST_OK, put(&b, 1, "x"));
    turn_until_told(&b, 1);
    memdisk_fail_at(m, memdisk_ops(m) + 1, ST_NO_SPACE); /* its sync; the thread waits now */
    for (uint64_t i = 2; i <= 20; i++)
        CHECK_EQ(ST_OK, put(&b, i, "x"));
    for (int i = 0; !b.failed && i < DEADLINE_TURNS; i++)
        CHECK_EQ(ST_OK, loop_turn(b.loop, 10, NULL));
    CHECK_EQ(1, b.failed);
    CHECK_EQ(ST_NO_SPACE, b.why.status);
    CHECK_EQ(1, b.told);
    CHECK_EQ(ST_OK, put(&b, 21, "x")); /* taken, and nothing comes of it */
    CHECK_EQ(ST_OK, loop_turn(b.loop, 10, NULL));
    CHECK_EQ(1, b.failed);
    CHECK_EQ(1, b.told);
    CHECK_EQ(0, memdisk_ops_after_failure(m));
    stop(&b);
    memdisk_free(m);
}

TEST(journal_thread_queue_is_bounded)
{
    struct bench b = {0};
    static char bytes[LOG_ENTRY_MAX];
    struct memdisk *m = memdisk_new();
    start(&b, memdisk_port(m));
    struct log *l = journal_thread_log(b.journal);
    uint64_t taken = 0;
    for (;; taken++) { /* nothing is told while the loop does not turn, so nothing is given back */
        struct log_entry e = {.index = taken + 1, .term = 1, .data = {bytes, sizeof bytes}};
        if (l->append(l, NULL, &e, 1, e.index) == ST_LIMIT)
            break;
    }
    CHECK_EQ(LOG_QUEUE_MAX / LOG_ENTRY_MAX - 1, taken);
    turn_until_told(&b, taken);
    CHECK_EQ(ST_OK, put(&b, taken + 1, "room again"));
    stop(&b);
    memdisk_free(m);
}

TEST(journal_thread_snapshot_takes_little_of_the_queue)
{
    struct bench b = {0};
    static char bytes[128 << 10];
    struct memdisk *m = memdisk_new();
    start(&b, memdisk_port(m));
    struct log *l = journal_thread_log(b.journal);
    CHECK_EQ(ST_OK, put(&b, 1, "x"));
    turn_until_told(&b, 1);
    size_t sent = 0; /* nothing is given back while the loop does not turn */
    while (l->snapshot(l, 1, 1, sent, (struct str){bytes, sizeof bytes}, false) == ST_OK)
        sent += sizeof bytes;
    CHECK(sent > 0 && sent <= LOG_CHUNKS_MAX);
    CHECK_EQ(ST_OK, put(&b, 2, "y"));
    turn_until_told(&b, 2);
    CHECK_EQ(ST_OK, l->snapshot(l, 1, 1, sent, (struct str){bytes, sizeof bytes}, true));
    CHECK_EQ(ST_OK, put(&b, 3, "z"));
    turn_until_told(&b, 3);
    CHECK_EQ(1, b.snapshot);
    stop(&b);
    memdisk_free(m);
}

/* --- on a real disk --- */

TEST(journal_on_a_real_disk_is_there_again)
{
    struct bench b = {0};
    struct disk *disk;
    CHECK_EQ(ST_OK, disk_os_open(scratch_dir(), &disk, NULL));
    start(&b, disk);
    struct log *l = journal_thread_log(b.journal);
    static char large[20000];
    memset(large, 'x', sizeof large - 1);
    for (uint64_t i = 1; i <= 200; i++)
        CHECK_EQ(ST_OK, put(&b, i, i % 20 == 0 ? large : "small"));
    CHECK_EQ(ST_OK, l->snapshot(l, 150, 1, 0, STR("state at 150"), true));
    l->compact(l, 140);
    turn_until_told(&b, 200);
    CHECK_EQ(200, b.told);
    stop(&b);
    start(&b, disk);
    CHECK_EQ(150, b.loaded.snapshot);
    CHECK_EQ(151, b.loaded.first);
    CHECK_EQ(200, b.loaded.last);
    CHECK(b.loaded.hash[200] == hash_fnv(HASH_FNV_START, large, sizeof large - 1));
    stop(&b);
    disk_os_close(disk);
}

/* A child appends until it is killed, and says on a pipe what it was told is durable. */
static _Noreturn void append_for_ever(int out)
{
    struct bench b = {0};
    struct disk *disk;
    CHECK_EQ(ST_OK, disk_os_open(scratch_dir(), &disk, NULL));
    start(&b, disk);
    struct log *l = journal_thread_log(b.journal);
    uint64_t next = MAX(b.loaded.last, b.loaded.snapshot) + 1, base = next - 1;
    for (;;) {
        for (; next - base - 1 < b.told + 8; next++)
            CHECK_EQ(ST_OK, put(&b, next, "some bytes of an entry"));
        uint64_t before = b.told;
        turn_until_told(&b, before + 1);
        uint64_t durable = base + b.told;
        if (durable / 100 != (base + before) / 100) { /* now and then a snapshot */
            CHECK_EQ(ST_OK, l->snapshot(l, durable, 1, 0, STR("state"), true));
            l->compact(l, durable - 20);
        }
        if (write(out, &durable, sizeof durable) != sizeof durable)
            _exit(1);
    }
}

TEST(journal_killed_at_any_moment_keeps_what_it_told)
{
    uint64_t durable = 0;
    (void)scratch_dir();
    for (int round = 0; round < 8 && durable < ENTRIES_MAX - 100; round++) {
        int out[2];
        CHECK(pipe(out) == 0);
        pid_t pid = fork();
        if (pid == 0) {
            (void)close(out[0]);
            append_for_ever(out[1]);
        }
        (void)close(out[1]);
        uint64_t told, want = durable + 1 + (uint64_t)round * 7;
        while (durable < want && read(out[0], &told, sizeof told) == sizeof told)
            durable = told;
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
        while (read(out[0], &told, sizeof told) == sizeof told)
            durable = told;
        (void)close(out[0]);
        CHECK(durable >= want);

        struct bench b = {0};
        struct disk *disk;
        CHECK_EQ(ST_OK, disk_os_open(scratch_dir(), &disk, NULL));
        start(&b, disk);
        CHECK(MAX(b.loaded.last, b.loaded.snapshot) >= durable);
        stop(&b);
        disk_os_close(disk);
    }
}
