/*
 * A process with the real journal on a real disk is killed again and again, and the power is cut
 * behind it; the log that the next process finds is compared with what was asked and acknowledged.
 *
 * CRASH_ROUNDS: how many kills each; CRASH_SEED: which ones. The moments of the kills are the
 * machine's own, so that a seed brings the same requests again, not the same run.
 */
#include <stdlib.h>

#include "crash/journal_told.h"
#include "crash/rounds.h"
#include "support/scratch.h"

enum { ROUNDS = 40, MANY = 150, LIES_MAX = 60, ROOM_FOR_ONE_ROUND = 120, SEGMENTS_MAX = 64 };

struct trial {
    struct rounds r;
    uint64_t seed;
    struct log_work w;  /* what was told since the log was last seen, or may be about to be done */
    struct model state; /* as it was seen then */
    uint64_t base_index, segments;
    uint64_t opened, steps, acks, torn, snapshots, compactions;
};

static bool is_wrong(struct trial *t, const char *what)
{
    (void)fault_set(&t->r.wrong, ST_CORRUPT, "%s", what);
    return false;
}

/* The log was opened: is it what it must be? That is where the next requests start from. */
static bool judge(struct trial *t, const struct told_loaded *told)
{
    struct model found;
    if (!log_work_find(&t->w, t->w.acked, &t->state, &told->log, false, &found))
        return is_wrong(t, "what was found is no state since the last acknowledged one");
    t->state = found;
    log_work_settle(&t->w);
    t->opened++;
    t->torn += told->report.torn_bytes > 0;
    t->compactions += told->base_index > t->base_index && told->log.entries > 0;
    t->base_index = told->base_index;
    t->segments = told->segment_count;
    return true;
}

static bool take(void *ctx, uint32_t kind, struct str message)
{
    static struct told_loaded told;
    struct trial *t = ctx;
    size_t acked;
    switch ((enum journal_told)kind) {
    case TOLD_LOADED:
        require(message.len == sizeof told);
        memcpy(&told, message.ptr, sizeof told);
        return judge(t, &told);
    case TOLD_STEP:
        require(message.len == sizeof t->w.step[0] && t->w.step_count < STEPS_MAX);
        memcpy(&t->w.step[t->w.step_count++], message.ptr, message.len);
        t->steps++;
        return true;
    case TOLD_ACK:
        require(message.len == sizeof acked);
        memcpy(&acked, message.ptr, sizeof acked);
        if (acked < t->w.acked || acked > t->w.step_count)
            return is_wrong(t, "what was never asked was acknowledged");
        for (; t->w.acked < acked; t->w.acked++)
            t->snapshots += t->w.step[t->w.acked].kind == STEP_SNAPSHOT;
        t->acks++;
        return true;
    }
    return is_wrong(t, "it told something else");
}

static bool next_round(struct trial *t, uint64_t want)
{
    char seed[24];
    (void)snprintf(seed, sizeof seed, "%" PRIu64, rng_next(&t->r.rng) >> 1);
    const char *argv[] = {"journal_victim", t->r.dir, seed, NULL};
    return rounds_next(&t->r, argv, want, take, t);
}

/* A model has room for so many entries, and a disk for so many files: then, after a last look, another
 * log is begun. */
static bool make_room(struct trial *t)
{
    static const struct model nothing;
    if (t->state.last < ENTRIES_MAX - ROOM_FOR_ONE_ROUND && t->segments < SEGMENTS_MAX)
        return true;
    if (!next_round(t, 1))
        return false;
    rounds_renew(&t->r);
    log_work_settle(&t->w);
    t->state = nothing;
    t->base_index = t->segments = 0;
    return true;
}

static bool run(struct trial *t, const char *name, uint64_t seed, uint64_t rounds, bool watched,
                const char *lie)
{
    memset(t, 0, sizeof *t);
    t->seed = rounds_seed(seed);
    rounds_init(&t->r, scratch_dir(), name, t->seed, watched);
    t->r.lie = lie;
    for (uint64_t i = 0; i < rounds; i++) {
        if (!next_round(t, SIZE_MAX) || !make_room(t))
            return false;
    }
    return next_round(t, 1);
}

static void expect_good(struct trial *t, bool good)
{
    rounds_print(&t->r);
    printf("# %" PRIu64 " logs found good; %" PRIu64 " steps, %" PRIu64
           " acknowledgements, %" PRIu64 " snapshots, %" PRIu64 " compactions, %" PRIu64
           " torn ends cut\n",
           t->opened, t->steps, t->acks, t->snapshots, t->compactions, t->torn);
    if (!good)
        tap_fail(__FILE__, __LINE__, "kill %" PRIu64 " of CRASH_SEED=%" PRIu64 ": %s", t->r.kills,
                 t->seed, t->r.wrong.text);
    CHECK(t->opened > t->r.kills / 2 && t->acks > t->r.kills);
    if (t->r.kills >= MANY) { /* else there may be none */
        CHECK(t->snapshots > 0 && t->compactions > 0);
        CHECK(!t->r.power || (t->r.cuts > 0 && rounds_power(&t->r).in_sync > 0));
    }
    rounds_done(&t->r);
}

static struct trial trial;

TEST(crash_kill_at_any_moment_loses_nothing_that_was_acknowledged)
{
    bool good = run(&trial, "kill", 1, rounds_count(ROUNDS), false, NULL);
    expect_good(&trial, good);
}

TEST(crash_power_cut_at_any_moment_loses_nothing_that_was_acknowledged)
{
    bool good = run(&trial, "power", 2, rounds_count(ROUNDS), true, NULL);
    expect_good(&trial, good);
}

/* --- and would it be seen? --- */

static void expect_caught(const char *lie)
{
    if (run(&trial, "lie", 3, LIES_MAX, true, lie))
        tap_fail(__FILE__, __LINE__, "nobody noticed in %d rounds that %s is never synced",
                 LIES_MAX, lie);
    printf("# kill %" PRIu64 ": %s\n", trial.r.kills, trial.r.wrong.text);
    CHECK_EQ(ST_CORRUPT, trial.r.wrong.status); /* the log's fault, not the process's */
    rounds_done(&trial.r);
}

TEST(crash_sync_of_the_log_that_does_nothing_is_caught)
{
    expect_caught("segment-");
}

TEST(crash_sync_of_snapshots_that_does_nothing_is_caught)
{
    expect_caught("snapshot");
}

TEST(crash_sync_of_names_that_does_nothing_is_caught)
{
    expect_caught(".");
}

static bool take_any(void *ctx, uint32_t kind, struct str message)
{
    (void)ctx;
    (void)kind;
    (void)message;
    return true;
}

static void misbehave(const char *how, const char *wrong)
{
    struct rounds r;
    rounds_init(&r, scratch_dir(), how, 1, true);
    const char *argv[] = {"journal_victim", r.dir, how, NULL};
    CHECK(!rounds_next(&r, argv, 1, take_any, NULL));
    CHECK_STR(wrong, r.wrong.text);
    rounds_done(&r);
}

TEST(crash_call_that_is_not_recorded_ends_the_process)
{
    misbehave("refused", "it died: Aborted");
}

TEST(crash_change_that_was_not_seen_is_noticed)
{
    misbehave("unseen", "stray was not recorded");
}
