/*
 * bench_journal: durable commits per second, through the journal's thread and its loop, with 1 and 64
 * outstanding, beside what the same disk does with plain preallocated writes and fdatasync.
 *
 * usage: bench_journal [DIRECTORY [ROUNDS]]
 *
 * The three are interleaved, since disks have moods; the ratios of the medians are what counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "journal/journal_thread.h"
#include "os/disk_os.h"
#include "os/file.h"

enum { ENTRY_BYTES = 256, SLICE_MS = 400, ROUNDS_MAX = 50, RAW_BYTES = 16 << 20, WIDE = 64 };

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void check(enum status s, const struct fault *why)
{
    if (s == ST_OK)
        return;
    fprintf(stderr, "error: %s\n", why->text);
    exit(1);
}

/* --- the disk alone --- */

static double raw_rate(struct disk *d)
{
    static char bytes[ENTRY_BYTES + 48]; /* as large as a record */
    struct disk_file *f;
    struct fault why;
    check(d->open(d, "raw", true, &f, &why), &why);
    check(d->allocate(d, f, RAW_BYTES, &why), &why);
    check(d->sync(d, f, &why), &why);
    uint64_t from = now_ns(), end = from + SLICE_MS * 1000000u, count = 0, at = 0;
    for (; now_ns() < end; count++) {
        check(d->write(d, f, at, bytes, sizeof bytes, &why), &why);
        check(d->sync(d, f, &why), &why);
        at = at + 2 * sizeof bytes > RAW_BYTES ? 0 : at + sizeof bytes;
    }
    double seconds = (double)(now_ns() - from) / 1e9;
    d->close(d, f);
    return (double)count / seconds;
}

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
    check(l->append(l, NULL, &e, 1, e.index), &why);
    b->outstanding++;
}

static void on_appended(void *ctx, uint64_t token)
{
    struct bench *b = ctx;
    (void)token;
    b->durable++;
    b->outstanding--;
    if (now_ns() < b->end_ns)
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
    check(why->status, why);
}

static double journal_rate(struct bench *b, int outstanding)
{
    struct fault why;
    uint64_t from = now_ns(), before = b->durable;
    b->end_ns = from + SLICE_MS * 1000000u;
    for (int i = 0; i < outstanding; i++)
        ask(b);
    check(loop_run(b->loop, &why), &why);
    return (double)(b->durable - before) / ((double)(now_ns() - from) / 1e9);
}

static void no_hard(void *ctx, const struct log_hard *h)
{
    (void)ctx, (void)h;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int count)
{
    qsort(v, (size_t)count, sizeof *v, by_size);
    return v[count / 2];
}

int main(int argc, char **argv)
{
    char path[] = "/tmp/blixard-bench-XXXXXX";
    const char *dir = argc > 1 ? argv[1] : mkdtemp(path);
    int rounds = argc > 2 ? atoi(argv[2]) : 9;
    struct disk *raw_disk, *disk;
    struct fault why;
    if (!dir || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: %s [DIRECTORY [ROUNDS]]\n", argv[0]);
        return 2;
    }
    check(disk_os_open(dir, &raw_disk, &why), &why);
    check(disk_os_open(dir, &disk, &why), &why);

    struct bench b = {0};
    struct journal_config c = {.segment_size = JOURNAL_SEGMENT_DEFAULT, .new_id = "bench"};
    struct log_load load = {.hard = no_hard};
    struct log_events events = {on_appended, on_snapshotted, on_failed, &b};
    check(loop_open(&b.loop, &why), &why);
    check(journal_thread_open(b.loop, disk, &c, &load, NULL, &b.journal, NULL, &why), &why);
    journal_thread_log(b.journal)->events = &events;

    double raw[ROUNDS_MAX], one[ROUNDS_MAX], wide[ROUNDS_MAX];
    for (int i = 0; i < rounds; i++) {
        raw[i] = raw_rate(raw_disk);
        one[i] = journal_rate(&b, 1);
        wide[i] = journal_rate(&b, WIDE);
    }
    struct journal_view v = journal_thread_view(b.journal);
    double r = median(raw, rounds), o = median(one, rounds), w = median(wide, rounds);
    printf("disk alone           %8.0f/s  write of a record + fdatasync, preallocated\n", r);
    printf("journal, 1 at a time %8.0f/s  %.2fx\n", o, o / r);
    printf("journal, %d at once  %8.0f/s  %.2fx\n", WIDE, w, w / r);
    printf("%.1f entries a sync over all\n", (double)b.durable / (double)v.syncs);

    journal_thread_close(b.journal);
    loop_close(b.loop);
    disk_os_close(disk);
    disk_os_close(raw_disk);
    if (argc <= 1)
        check(file_remove_tree(AT_FDCWD, dir, &why), &why);
    return 0;
}
