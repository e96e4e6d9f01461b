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
#include "journal/journal_thread.h"
#include "node/node.h"
#include "os/clock_os.h"
#include "os/disk_os.h"
#include "os/entropy_os.h"
#include "os/file.h"
#include "os/loop.h"
#include "support/bench.h"
#include "wire/proto.h"

enum {
    SLICE_MS = 100,
    ROUNDS = 25,
    WIDE = 64,
    FILL = 20000,      /* commands that fill the tables that drop their oldest */
    WRITE_BYTES = 256, /* more than the journal writes for one command */
    PATIENCE_MS = 60000,
};

struct bench {
    struct loop *loop;
    struct loop_source *post, *again, *timer;
    struct clock clock;
    struct entropy entropy;
    struct vmm vmm;
    bool look_asked;
    struct blob blob;
    struct node_mark mark;
    struct node *node;
    struct disk *disk, *alone;
    struct journal_thread *journal;

    char tenant[OBJECT_UID_MAX];
    uint64_t proposed, answered, outstanding;
    uint64_t stop_at, stop_at_ns; /* when so many are answered, or then: no more is asked */
};

/* --- a machine without VMs and images: the node asks nothing of these ports but to look --- */

static void look(struct vmm *v)
{
    CONTAINER_OF(v, struct bench, vmm)->look_asked = true;
}

/* It has no images. */
static void sweep(struct blob *b, const Pb__Image *const *keep, size_t keep_count)
{
    (void)b;
    (void)keep;
    (void)keep_count;
}

static void answer_look(struct bench *b)
{
    struct vmm_event e = {.type = VMM_LOOKED};
    if (!b->look_asked)
        return;
    b->look_asked = false;
    b->vmm.events->event(b->vmm.events->ctx, &e);
}

/* --- what drives the node, as the daemon does --- */

static void drive(void *ctx)
{
    struct bench *b = ctx;
    answer_look(b);
    if (node_deadline_ms(b->node) <= b->clock.now_ms(&b->clock))
        node_step(b->node);
    if (node_dead(b->node))
        bench_check(node_dead(b->node)->status, node_dead(b->node));
    uint64_t at = node_deadline_ms(b->node);
    if (at <= b->clock.now_ms(&b->clock))
        loop_defer_arm(b->again);
    else
        loop_timer_at(b->timer, at);
}

static void wake(void *ctx)
{
    (void)ctx; /* drive() comes after it, as after every event */
}

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
        loop_stop(b->loop);
}

/* The same tenant gets another title. */
static void propose(struct bench *b)
{
    static char actor[] = "uid:0(root)";
    char name[OBJECT_UID_MAX + 1], title[32];
    struct fault why;
    (void)snprintf(name, sizeof name, "t%s", b->tenant);
    (void)snprintf(title, sizeof title, "title %" PRIu64, ++b->proposed);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = b->tenant;
    meta.name = name;
    Pb__Tenant tenant = PB__TENANT__INIT;
    tenant.meta = &meta;
    tenant.title = title;
    Pb__CmdTenantPut put = PB__CMD_TENANT_PUT__INIT;
    put.tenant = &tenant;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.actor = actor;
    cmd.body_case = PB__COMMAND__BODY_TENANT_PUT;
    cmd.tenant_put = &put;
    uint64_t deadline_ms = b->clock.now_ms(&b->clock) + PATIENCE_MS;
    b->outstanding++;
    bench_check(node_propose(b->node, &cmd, deadline_ms, on_done, b, &why), &why);
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
    loop_defer_arm(b->again);
    bench_check(loop_run(b->loop, &why), &why);
    return (double)(b->answered - before) /
           ((double)(clock_os_ns(CLOCK_MONOTONIC) - from) / UNITS_NS_PER_S);
}

/* --- life --- */

static void open_node(struct bench *b, const struct config *c)
{
    static char version[] = "0", host[] = "bench",
                key[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    Pb__NodeFacts facts = PB__NODE_FACTS__INIT;
    facts.version = version;
    facts.hostname = host;
    facts.key = key;
    PROTO_SET(&facts, feature_level_max, CLUSTER_LEVEL_MAX);
    PROTO_SET(&facts, cpus, 2);
    PROTO_SET(&facts, mem_mib, 4096);
    struct node_config nc;
    node_config_default(&nc);
    nc.name = "bench";
    nc.facts = &facts;
    nc.snapshot_entries = c->journal.snapshot_entries;
    nc.trailing_entries = c->journal.trailing_entries;
    struct node_ports ports = {&b->clock, &b->entropy, &b->vmm, &b->blob, &b->mark};
    b->node = node_new(&nc, &ports);
}

static void start(struct bench *b, const char *dir)
{
    struct fault why;
    struct config c;
    config_init(&c);
    clock_os_init(&b->clock);
    entropy_os_init(&b->entropy);
    b->vmm.look = look;
    b->blob.sweep = sweep;
    bench_check(loop_open(&b->loop, &why), &why);
    bench_check(loop_defer_open(b->loop, wake, b, &b->again, &why), &why);
    bench_check(loop_timer_open(b->loop, LOOP_MONOTONIC, 1, wake, b, &b->timer, &why), &why);
    open_node(b, &c);

    struct journal_config jc = {.segment_size = c.journal.segment_size, .new_id = "bench"};
    struct log_load load = node_loader(b->node);
    bench_check(disk_os_open(dir, &b->disk, &why), &why);
    bench_check(disk_os_open(dir, &b->alone, &why), &why);
    bench_check(journal_thread_open(b->loop, b->disk, &jc, &load, NULL, &b->journal, NULL, &why),
                &why);
    bench_check(node_start(b->node, journal_thread_log(b->journal), &why), &why);
    bench_check(loop_post_open(b->loop, drive, b, &b->post, &why), &why);

    loop_defer_arm(b->again);
    while (node_number(b->node) == 0 || !node_view(b->node).reconciled)
        bench_check(loop_turn(b->loop, PATIENCE_MS, &why), &why);
    uint8_t uid[(OBJECT_UID_MAX - 1) / 2];
    b->entropy.fill(&b->entropy, uid, sizeof uid);
    str_hex(uid, sizeof uid, b->tenant);
    (void)run(b, WIDE, FILL, UINT32_MAX);
}

static void stop(struct bench *b)
{
    loop_source_close(b->post);
    journal_thread_close(b->journal);
    node_free(b->node);
    disk_os_close(b->alone);
    disk_os_close(b->disk);
    loop_source_close(b->timer);
    loop_source_close(b->again);
    loop_close(b->loop);
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
    char path[] = "/tmp/blixard-bench-XXXXXX";
    const char *dir = argc > 1 ? argv[1] : mkdtemp(path);
    int rounds = argc > 2 ? atoi(argv[2]) : ROUNDS;
    struct fault why;
    if (!dir || rounds < 1 || rounds > BENCH_ROUNDS_MAX) {
        fprintf(stderr, "usage: %s [DIRECTORY [ROUNDS]]\n", argv[0]);
        return 2;
    }
    start(&b, dir);
    measure(&b, rounds);
    struct node_view v = node_view(b.node);
    struct journal_view j = journal_thread_view(b.journal);
    printf("# %.1f commands a sync, %.0f bytes each, %" PRIu64 " snapshots\n",
           (double)b.answered / (double)j.syncs, (double)j.written_bytes / (double)b.answered,
           v.snapshots);
    stop(&b);
    if (argc <= 1)
        bench_check(file_remove_tree(AT_FDCWD, dir, &why), &why);
    return 0;
}
