/*
 * bench_restore: how long a node stands still while it gives a state of 100,000 VMs to a peer, saves it, and takes
 * it over: the longest call of node_step() or node_receive().
 *
 * usage: bench_restore [VMS]
 *
 * The median of some rounds counts, each of which says its worst: others use the caches too.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/saved.h"
#include "support/node_group.h"
#include "support/tap.h"
#include "support/world.h"

enum { ROUNDS = 5 };

static struct node_group g;
static double began_us, longest_us[GROUP_MAX + 1];
static unsigned calls[GROUP_MAX + 1];

/* What a failed CHECK does here. */
void tap_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    (void)fprintf(stderr, "%s:%d: ", file, line);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    abort();
}

/* Of this process: other work on the machine does not count. */
static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void around(struct node_group *x, uint32_t number, bool after)
{
    (void)x;
    if (!after) {
        began_us = now_us();
        return;
    }
    double us = now_us() - began_us;
    longest_us[number] = MAX(longest_us[number], us);
    calls[number]++;
}

/* A snapshot of a state with so many VMs, with the members 1 to 3. */
static uint64_t make_state(size_t vms, struct buf *out)
{
    struct world w;
    world_start(&w);
    for (size_t i = 0; i < vms; i++) {
        struct kit_vm k;
        char name[40];
        (void)snprintf(name, sizeof name, "vm-%zu", i);
        kit_vm(&k, WORLD_FREE + i, name);
        k.m.start = false;
        ensure(world_vm(&w, &k) == ST_OK);
        ensure(world_says(&w, WORLD_FREE + i, PB__VM_PHASE__VM_PREPARED, true) == ST_OK);
    }
    uint64_t index = cluster_index(w.c);
    struct saved_head h = {.index = index, .term = 1, .state = true};
    for (uint32_t i = 1; i <= 3; i++)
        ensure(raft_members_put(&h.members, i, RAFT_VOTES));
    saved_head_encode(&h, out);
    struct cluster_snapshot *s = cluster_snapshot_new(w.c, 1);
    while (cluster_snapshot_next(s, SNAPSHOT_PIECE_MIN, out))
        ;
    ensure(!out->full);
    cluster_snapshot_free(s);
    world_done(&w);
    return index;
}

static bool came_in(struct node_group *x)
{
    return node_view(node_group_node(x, 3)).restores > 0 && node_group_level(x);
}

static bool came_again(struct node_group *x)
{
    return node_view(node_group_node(x, 3)).restores > 1 && node_group_level(x);
}

static bool saved_anew(struct node_group *x)
{
    uint32_t leader = node_group_wait_leader(x);
    return x->member[leader].log.first > node_view(node_group_node(x, 3)).raft.last + 1;
}

/* It has a state that goes, and gets another. */
static void fall_behind_and_come_back(void)
{
    node_group_run(&g, 10000); /* until the log is not kept for it any more */
    for (uint32_t i = 1; i <= 2; i++)
        g.cut[3][i] = g.cut[i][3] = true;
    for (unsigned i = 0; i < 100 && !saved_anew(&g); i++)
        node_group_put_many(&g, 1 + 20 * i, 20);
    ensure(saved_anew(&g));
    memset(g.cut, 0, sizeof g.cut);
    ensure(node_group_wait(&g, came_again));
    node_group_run(&g, 1000);
}

static void lend_state(struct group_member *m, uint64_t index, const struct buf *state)
{
    buf_str(&m->log.saved, buf_view(state));
    m->log.saved_index = index;
    m->log.saved_term = 1;
    m->log.first = index + 1;
    m->log.hard.term = 1;
}

/* The longest call of all. */
static double run(uint64_t index, const struct buf *state, unsigned round)
{
    memset(longest_us, 0, sizeof longest_us);
    memset(calls, 0, sizeof calls);
    (void)malloc_trim(0); /* what the round before freed is not to be tidied up in this one */
    node_group_start(&g, 3, 0);
    for (uint32_t i = 1; i <= 3; i++)
        node_group_stop(&g, i);
    g.snapshot_log_max = 16 << 10;
    for (uint32_t i = 1; i <= 2; i++) {
        lend_state(&g.member[i], index, state);
        ensure(node_group_restart(&g, i, NULL) == ST_OK);
    }
    for (uint32_t i = 1; i <= 3; i++) /* the log of a test is to cost nothing */
        memset(buf_space(&g.member[i].log.coming, 48 << 20), 0, 48 << 20);
    g.around = around;
    ensure(node_group_wait(&g, node_group_level));
    ensure(node_group_restart(&g, 3, NULL) == ST_OK);
    ensure(node_group_wait(&g, came_in));
    fall_behind_and_come_back();
    double us = MAX(MAX(longest_us[1], longest_us[2]), longest_us[3]);
    printf("# round %u: longest call of who gives %.2f ms, of who takes %.2f ms, in %u calls\n",
           round, MAX(longest_us[1], longest_us[2]) / 1000, longest_us[3] / 1000,
           calls[1] + calls[2] + calls[3]);
    node_group_finish(&g);
    return us;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    size_t vms = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 100000;
    AUTO(buf_done) struct buf state;
    buf_init(&state, (size_t)1 << 30);
    uint64_t index = make_state(vms, &state);
    double us[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++)
        us[i] = run(index, &state, i + 1);
    qsort(us, ROUNDS, sizeof us[0], by_value);
    printf("# snapshot of %zu VMs, %.1f MiB: longest call %.2f ms, the median of %d rounds\n", vms,
           (double)state.len / 1048576, us[ROUNDS / 2] / 1000, ROUNDS);
    return 0;
}
