/*
 * bench_node: durable commands per second at the node's boundary, with 1 and 64 outstanding, beside
 * what the same disk does with plain preallocated writes and fdatasync.
 *
 * usage: bench_node [DIRECTORY [ROUNDS]]
 *
 * A command is proposed, made durable by the journal's thread, committed, applied, and answered: the
 * node, its consensus, its state and its log are those of a daemon, with a daemon's settings, and
 * snapshots come as they are due. There are no VMs and no images. Disk and node take turns, and each
 * turn of the node is compared with those of the disk around it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/units.h"
#include "os/clock_os.h"
#include "os/disk_os.h"
#include "support/bench.h"
#include "support/real_node.h"
#include "support/scratch.h"

enum {
    SLICE_MS = 100,
    ROUNDS = 25,
    WIDE = 64,
    FILL = 20000,      /* commands that fill the tables that drop their oldest */
    WRITE_BYTES = 256, /* more than the journal writes for one command */
};

struct bench {
    struct real_node real;
    struct disk *alone;
    char tenant[OBJECT_UID_MAX];
    uint64_t proposed, answered, outstanding;
    uint64_t stop_at, stop_at_ns; /* when so many are answered, or then: no more is asked */
};

/* --- commands --- */

static void propose(struct bench *b);

static bool enough(const struct bench *b)
{
    return b->answered >= b->stop_at || clock_os_ns(CLOCK_MONOTONIC) >= b->stop_at_ns;
}

static void on_done(void *ctx, enum status s, const struct fault *why, const struct apply_result *r)
{
    struct bench *b = ctx;
    bench_check(s, why);
    bench_check(r->status, &r->why);
    b->answered++;
    b->outstanding--;
    if (!enough(b))
        propose(b);
    else if (b->outstanding == 0)
        loop_stop(b->real.loop);
}

/* The same tenant gets another title. */
static void propose(struct bench *b)
{
    char title[32];
    (void)snprintf(title, sizeof title, "title %" PRIu64, ++b->proposed);
    b->outstanding++;
    real_node_put_tenant(&b->real, b->tenant, title, on_done, b);
}

/* Answers a second, of `count` commands or for so long, whichever ends first. */
static double run(struct bench *b, size_t outstanding, uint64_t count, uint64_t for_ms)
{
    struct fault why;
    uint64_t from = clock_os_ns(CLOCK_MONOTONIC), before = b->answered;
    b->stop_at = b->answered + count;
    b->stop_at_ns = from + for_ms * UNITS_NS_PER_MS;
    for (size_t i = 0; i < outstanding; i++)
        propose(b);
    real_node_wake(&b->real);
    bench_check(loop_run(b->real.loop, &why), &why);
    return (double)(b->answered - before) /
           ((double)(clock_os_ns(CLOCK_MONOTONIC) - from) / UNITS_NS_PER_S);
}

/* --- life --- */

static void start(struct bench *b, const char *dir)
{
    struct fault why;
    struct config c;
    config_init(&c);
    struct real_node_config rc = {
        .segment_size = c.journal.segment_size,
        .snapshot_entries = c.journal.snapshot_entries,
        .trailing_entries = c.journal.trailing_entries,
        .check = bench_check,
    };
    bench_check(disk_os_open(dir, &b->alone, &why), &why);
    real_node_open(&b->real, dir, &rc);
    uint8_t uid[(OBJECT_UID_MAX - 1) / 2];
    b->real.entropy.fill(&b->real.entropy, uid, sizeof uid);
    str_hex(uid, sizeof uid, b->tenant);
    (void)run(b, WIDE, FILL, UINT32_MAX);
}

static void stop(struct bench *b)
{
    real_node_close(&b->real);
    disk_os_close(b->alone);
}

static void measure(struct bench *b, int rounds)
{
    static struct bench_series disk, one, wide;
    double before = bench_disk_rate(b->alone, WRITE_BYTES, SLICE_MS);
    for (int i = 0; i < rounds; i++) {
        double rate = run(b, 1, UINT32_MAX, SLICE_MS);
        double between = bench_disk_rate(b->alone, WRITE_BYTES, SLICE_MS);
        bench_add(&one, rate, before, between);
        rate = run(b, WIDE, UINT32_MAX, SLICE_MS);
        double after = bench_disk_rate(b->alone, WRITE_BYTES, SLICE_MS);
        bench_add(&wide, rate, between, after);
        bench_add(&disk, between, between, between);
        before = after;
    }
    bench_print("disk", &disk);
    bench_print("node_1", &one);
    bench_print("node_64", &wide);
}

int main(int argc, char **argv)
{
    static struct bench b;
    const char *dir = argc > 1 ? argv[1] : scratch_dir();
    int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
    if (rounds < 1 || rounds > BENCH_ROUNDS_MAX) {
        fprintf(stderr, "usage: %s [DIRECTORY [ROUNDS]]\n", argv[0]);
        return 2;
    }
    start(&b, dir);
    measure(&b, rounds);
    struct node_view v = node_view(b.real.node);
    struct journal_view j = journal_thread_view(b.real.journal);
    printf("# %.1f commands a sync, %.0f bytes each, %" PRIu64 " snapshots\n",
           (double)b.answered / (double)j.syncs, (double)j.written_bytes / (double)b.answered,
           v.snapshots);
    stop(&b);
    return 0;
}
