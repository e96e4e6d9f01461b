/*
 * bench_journal: durable commits per second, through the journal's thread and its loop, with 1 and 64
 * outstanding, beside what the same disk does with plain preallocated writes and fdatasync.
 *
 * usage: bench_journal [DIRECTORY [ROUNDS]]
 *
 * Disk and journal take turns, and each turn of the journal is compared with those of the disk around
 * it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "journal/journal_thread.h"
#include "os/clock_os.h"
#include "os/disk_os.h"
#include "support/bench.h"
#include "support/scratch.h"

enum {
    ENTRY_BYTES = 256,
    WRITE_BYTES = ENTRY_BYTES + 48, /* as large as its record */
    SLICE_MS = 100,
    ROUNDS = 25,
    WIDE = 64,
};

/* --- the journal --- */

struct bench {
    struct loop *loop;
    struct journal_thread *journal;
    uint64_t index, durable, outstanding;
    uint64_t end_ns;
};

static void ask(struct bench *b)
{
    static char bytes[ENTRY_BYTES];
    struct log_entry e = {.index = ++b->index, .term = 1, .data = {bytes, sizeof bytes}};
    struct log *l = journal_thread_log(b->journal);
    struct fault why = {.text = "the queue is full"};
    bench_check(l->append(l, NULL, &e, 1, e.index), &why);
    b->outstanding++;
}

static void on_appended(void *ctx, uint64_t token)
{
    struct bench *b = ctx;
    (void)token;
    b->durable++;
    b->outstanding--;
    if (clock_os_ns(CLOCK_MONOTONIC) < b->end_ns)
        ask(b);
    else if (b->outstanding == 0)
        loop_stop(b->loop);
}

static void on_snapshotted(void *ctx, uint64_t index)
{
    (void)ctx, (void)index;
}

static void on_failed(void *ctx, const struct fault *why)
{
    (void)ctx;
    bench_check(why->status, why);
}

static double journal_rate(struct bench *b, int outstanding)
{
    struct fault why;
    uint64_t from = clock_os_ns(CLOCK_MONOTONIC), before = b->durable;
    b->end_ns = from + SLICE_MS * UNITS_NS_PER_MS;
    for (int i = 0; i < outstanding; i++)
        ask(b);
    bench_check(loop_run(b->loop, &why), &why);
    return (double)(b->durable - before) /
           ((double)(clock_os_ns(CLOCK_MONOTONIC) - from) / UNITS_NS_PER_S);
}

static void no_hard(void *ctx, const struct log_hard *h)
{
    (void)ctx, (void)h;
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : scratch_dir();
    int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
    struct disk *raw_disk, *disk;
    struct fault why;
    if (rounds < 1 || rounds > BENCH_ROUNDS_MAX) {
        fprintf(stderr, "usage: %s [DIRECTORY [ROUNDS]]\n", argv[0]);
        return 2;
    }
    bench_check(disk_os_open(dir, &raw_disk, &why), &why);
    bench_check(disk_os_open(dir, &disk, &why), &why);

    struct bench b = {0};
    struct journal_config c = {.segment_size = JOURNAL_SEGMENT_DEFAULT, .new_id = "bench"};
    struct log_load load = {.hard = no_hard};
    struct log_events events = {on_appended, on_snapshotted, on_failed, &b};
    bench_check(loop_open(&b.loop, &why), &why);
    bench_check(journal_thread_open(b.loop, disk, &c, &load, NULL, &b.journal, NULL, &why), &why);
    journal_thread_log(b.journal)->events = &events;

    static struct bench_series alone, one, wide;
    double before = bench_disk_rate(raw_disk, WRITE_BYTES, SLICE_MS);
    for (int i = 0; i < rounds; i++) {
        double rate = journal_rate(&b, 1);
        double between = bench_disk_rate(raw_disk, WRITE_BYTES, SLICE_MS);
        bench_add(&one, rate, before, between);
        rate = journal_rate(&b, WIDE);
        double after = bench_disk_rate(raw_disk, WRITE_BYTES, SLICE_MS);
        bench_add(&wide, rate, between, after);
        bench_add(&alone, between, between, between);
        before = after;
    }
    struct journal_view v = journal_thread_view(b.journal);
    bench_print("disk", &alone);
    bench_print("journal_1", &one);
    bench_print("journal_64", &wide);
    printf("# %.1f entries a sync over all\n", (double)b.durable / (double)v.syncs);

    journal_thread_close(b.journal);
    loop_close(b.loop);
    disk_os_close(disk);
    disk_os_close(raw_disk);
    return 0;
}
