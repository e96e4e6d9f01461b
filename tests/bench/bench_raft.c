/*
 * bench_raft: the consensus core alone: three members in one thread, no disk, no network. Each round proposes a
 * batch at the leader and hands every message on until nothing is left to do.
 *
 * Prints a line for each batch size: name, committed entries a second, unit, messages per entry.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "raft/raft.h"

enum { MEMBERS = 3, KEEP = 1000 };

struct bench {
    struct raft *r[MEMBERS + 1];
    uint64_t applied[MEMBERS + 1];
    uint64_t messages;
};

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void start(struct bench *b)
{
    static const struct raft_members all = {
        .count = 3, .member = {{1, RAFT_VOTES}, {2, RAFT_VOTES}, {3, RAFT_VOTES}}};
    const struct raft_snapshot none = {0};
    for (uint32_t i = 1; i <= MEMBERS; i++) {
        struct raft_config c;
        raft_config_default(&c, i);
        c.first = &all;
        c.seed = i;
        enum status s = raft_new(&c, 0, &(struct raft_hard){0}, &none, NULL, 0, &b->r[i], NULL);
        ensure(s == ST_OK);
    }
}

/* Do all that one member has ready; false: nothing. */
static bool run(struct bench *b, uint32_t i)
{
    struct raft_ready rd;
    if (!raft_ready(b->r[i], &rd))
        return false;
    for (size_t k = 0; k < rd.message_count; k++) {
        enum status s = raft_step(b->r[rd.messages[k].to], &rd.messages[k], NULL);
        ensure(s == ST_OK);
        b->messages++;
    }
    if (rd.token)
        raft_persisted(b->r[i], rd.token);
    if (rd.apply_count) {
        b->applied[i] = rd.apply[rd.apply_count - 1].index;
        raft_applied(b->r[i], b->applied[i]);
        uint64_t kept = raft_view(b->r[i]).first;
        if (b->applied[i] >= kept + 2 * KEEP)
            raft_compact(b->r[i], b->applied[i],
                         raft_keep_from(b->r[i], b->applied[i], KEEP, UINT64_MAX / 2));
    }
    return true;
}

static void settle(struct bench *b)
{
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 1; i <= MEMBERS; i++)
            more |= run(b, i);
    }
}

static void measure(struct bench *b, unsigned batch, double for_s)
{
    struct raft_data *data = raft_data_new("one command of a few bytes", 26);
    uint64_t index = 0, term, first = raft_view(b->r[1]).commit, before = b->messages;
    double began = now_s(), took;
    do {
        for (unsigned i = 0; i < batch; i++) {
            enum status s = raft_propose(b->r[1], raft_data_ref(data), &index, &term, NULL);
            ensure(s == ST_OK);
        }
        settle(b);
        took = now_s() - began;
    } while (took < for_s);
    /* Followers hear of the last commit with the next append. */
    ensure(b->applied[1] == index && raft_view(b->r[2]).persisted == index);
    uint64_t count = index - first;
    (void)printf("raft-core-batch-%u %.0f entries/s %.2f\n", batch, (double)count / took,
                 (double)(b->messages - before) / (double)count);
    raft_data_unref(data);
}

int main(void)
{
    static struct bench b;
    const unsigned batches[] = {1, 8, 64, 512};
    start(&b);
    raft_tick(b.r[1], 100000);
    settle(&b);
    ensure(raft_view(b.r[1]).role == RAFT_LEADER);
    for (size_t i = 0; i < ARRAY_COUNT(batches); i++)
        measure(&b, batches[i], 1.0);
    for (uint32_t i = 1; i <= MEMBERS; i++)
        raft_free(b.r[i]);
    return 0;
}
