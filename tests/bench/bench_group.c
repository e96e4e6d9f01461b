/*
 * bench_group: how many 256-byte proposals a second three processes commit that have consensus, journal and event
 * loop as a node has them, with 1, 64, 256 and 1024 outstanding, beside three etcd on the same disk.
 *
 * usage: bench_group [DIRECTORY [ROUNDS [SLICE_MS [LINKS]]]]   (etcd's client has LINKS connections; 0: no etcd)
 *
 * A ceiling, without API costs: the client is part of our leader's process, there is neither TLS nor a
 * state worth the name, while etcd has gRPC, its key-value store and its client's work to pay for. Both sides
 * write with fdatasync on a quorum before they answer, and each has its own defaults. They take turns, and
 * each turn of ours is compared with etcd's beside it; who is not measured has nothing to do.
 *
 * Without etcd ours is measured alone, and that is said.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "os/clock_os.h"
#include "support/bench.h"
#include "support/etcd_group.h"
#include "support/herd.h"
#include "support/raft_group.h"
#include "support/scratch.h"

enum {
    ROUNDS = 5,
    SLICE_MS = 1000,
    LINKS = 2, /* with fewer or more etcd was slower by a tenth, at one point or another */
    /* etcd's store commits every 100 ms what was written to it, our followers hear of the last commit by a
     * heartbeat: neither is to fall into the other's turn. */
    QUIET_MS = 150,
    POINTS = 4,
};
static const uint32_t outstanding[POINTS] = {1, 64, 256, 1024};

struct bench {
    struct raft_group ours;
    struct etcd_group etcd;
    bool beside; /* there is an etcd */
    uint64_t slice_ms;
    struct bench_series our_rate[POINTS], etcd_rate[POINTS];
    /* CPUs' worth of time in the turns, last round. */
    double our_cpus[POINTS], etcd_cpus[POINTS], load_cpus[POINTS];
};

static void quiet(void)
{
    herd_watch();
    (void)poll(NULL, 0, QUIET_MS);
}

static double cpus(uint64_t cpu_ns, uint64_t from_ns)
{
    return (double)cpu_ns / (double)(clock_os_ns(CLOCK_MONOTONIC) - from_ns);
}

static double our_turn(struct bench *b, int point)
{
    uint64_t from = clock_os_ns(CLOCK_MONOTONIC), cpu = raft_group_cpu_ns(&b->ours);
    double rate = raft_group_rate(&b->ours, outstanding[point], b->slice_ms);
    b->our_cpus[point] = cpus(raft_group_cpu_ns(&b->ours) - cpu, from);
    quiet();
    return rate;
}

static double etcd_turn(struct bench *b, int point)
{
    uint64_t from = clock_os_ns(CLOCK_MONOTONIC), cpu = etcd_group_cpu_ns(&b->etcd),
             own = b->etcd.own_ns;
    double rate = etcd_group_rate(&b->etcd, outstanding[point], b->slice_ms);
    b->etcd_cpus[point] = cpus(etcd_group_cpu_ns(&b->etcd) - cpu, from);
    b->load_cpus[point] = cpus(b->etcd.own_ns - own, from);
    quiet();
    return rate;
}

static void round_of(struct bench *b)
{
    for (int i = 0; i < POINTS; i++) {
        double ours = our_turn(b, i), etcd = b->beside ? etcd_turn(b, i) : ours;
        bench_add(&b->our_rate[i], ours, etcd, etcd);
        bench_add(&b->etcd_rate[i], etcd, etcd, etcd);
    }
}

/* --- what is to be true at the end --- */

static void check_ours(struct bench *b)
{
    struct member_report r[MEMBER_COUNT + 1];
    raft_group_look(&b->ours, r);
    const struct member_report *l = &r[b->ours.leader];
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++) {
        if (r[i].applied == l->applied && r[i].commands == l->commands &&
            r[i].checksum == l->checksum)
            continue;
        (void)fprintf(stderr, "error: member %u has applied another sequence than the leader\n", i);
        exit(1);
    }
    printf("# ours: %" PRIu64
           " commands applied by all three in the same order; the leader made %.1f "
           "of each sync and %.3f messages for each; %u runs repeated\n",
           l->commands, (double)l->commands / (double)l->syncs,
           (double)(r[1].messages + r[2].messages + r[3].messages) / (double)l->commands,
           b->ours.repeats);
    for (uint32_t i = 1; i <= MEMBER_COUNT; i++)
        printf("# member %u%s: %" PRIu64 " snapshots taken, %" PRIu64 " taken over\n", i,
               i == b->ours.leader ? " (leads)" : "", r[i].snapshots, r[i].restores);
}

static void check_etcd(struct bench *b)
{
    uint64_t written = etcd_group_written(&b->etcd);
    if (written != b->etcd.answered) {
        (void)fprintf(stderr, "error: etcd has %" PRIu64 " writes of %" PRIu64 "\n", written,
                      b->etcd.answered);
        exit(1);
    }
    printf("# etcd %s: all of %" PRIu64 " writes are in it\n", b->etcd.version, written);
}

static void print(struct bench *b)
{
    printf("# a ceiling, without API costs; a ratio is that to etcd beside it\n");
    for (int i = 0; i < POINTS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "group_%u", outstanding[i]);
        bench_print(name, &b->our_rate[i]); /* beside itself, if there is no other */
        (void)snprintf(name, sizeof name, "etcd_%u", outstanding[i]);
        if (b->beside)
            bench_print(name, &b->etcd_rate[i]);
    }
    for (int i = 0; i < POINTS; i++)
        printf("# CPUs used with %u outstanding: ours %.2f, etcd %.2f, what loads it %.2f\n",
               outstanding[i], b->our_cpus[i], b->etcd_cpus[i], b->load_cpus[i]);
}

/* It has nothing to remember yet: later it also has its heap to look after, at every request. */
static void begin_etcd(struct bench *b, const char *program, const char *dir, size_t links)
{
    etcd_group_begin(&b->etcd, program, dir, links);
    printf("# what loads etcd gets %.0f answers /s to a request that is no work, 64 outstanding\n",
           etcd_group_status_rate(&b->etcd, 64, b->slice_ms));
}

int main(int argc, char **argv)
{
    static struct bench b;
    const char *program = etcd_find();
    int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS, links = argc > 4 ? atoi(argv[4]) : LINKS;
    b.slice_ms = argc > 3 ? strtoull(argv[3], NULL, 10) : SLICE_MS;
    if (rounds < 1 || rounds > BENCH_ROUNDS_MAX || links < 0 || links > ETCD_LINKS_MAX ||
        b.slice_ms == 0) {
        fprintf(stderr, "usage: %s [DIRECTORY [ROUNDS [SLICE_MS [LINKS]]]]\n", argv[0]);
        return 2;
    }
    const char *dir = argc > 1 ? scratch_dir_in(argv[1]) : scratch_dir();
    herd_begin();
    raft_group_begin(&b.ours, dir);
    b.beside = program && links > 0;
    if (b.beside)
        begin_etcd(&b, program, dir, (size_t)links);
    else
        printf("# skipped: %s\n", program ? "without etcd, as asked" : "etcd is not installed");
    for (int i = 0; i < rounds; i++)
        round_of(&b);
    print(&b);
    check_ours(&b);
    if (b.beside)
        check_etcd(&b);
    return 0;
}
