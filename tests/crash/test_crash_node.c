/*
 * As test_crash.c, with a whole node: what was answered is in the state, nothing is there that was
 * not asked for, and the state at an index is what it was there before, hash for hash.
 */
#include "crash/node_told.h"
#include "crash/rounds.h"
#include "support/scratch.h"
#include "support/tap.h"

enum {
    ROUNDS = 30,
    MANY = 150,
    INDEX_MAX = 1 << 17,
    ROUNDS_PER_DIRECTORY = 60,
    LIES_MAX = 60,
    UNTIL_IT_SERVES = 400
};

struct trial {
    struct rounds r;
    uint64_t seed;
    uint64_t sure[NODE_TENANTS]; /* the number that it surely has, or a later one */
    uint64_t from, asked;        /* later ones: numbers that were asked for since */
    uint64_t hash[INDEX_MAX];    /* of the state at an index, once known; or 0 */
    uint64_t applied;            /* the highest such index */
    uint64_t snapshot_index;
    uint64_t served, answers, again, snapshots;
};

static bool is_wrong(struct trial *t, const char *what, uint64_t number)
{
    (void)fault_set(&t->r.wrong, ST_CORRUPT, "%s: %" PRIu64, what, number);
    return false;
}

static bool take_applied(struct trial *t, const struct node_applied *a)
{
    uint64_t *known = &t->hash[a->index];
    require(a->index < INDEX_MAX);
    if (*known && *known != a->hash)
        return is_wrong(t, "the state is not what it was at index", a->index);
    t->again += *known != 0;
    *known = a->hash;
    t->applied = MAX(t->applied, a->index);
    return true;
}

static bool judge(struct trial *t, const struct node_serves *told)
{
    for (uint64_t i = 0; i < NODE_TENANTS; i++) {
        uint64_t n = told->title[i];
        if (n < t->sure[i])
            return is_wrong(t, "a number that was answered is not there", t->sure[i]);
        if (n != t->sure[i] && (n < t->from || n > t->asked || n % NODE_TENANTS != i))
            return is_wrong(t, "a number is there that was not asked for", n);
        t->sure[i] = n;
    }
    if (told->last.index < t->applied)
        return is_wrong(t, "an entry that was applied is not there", t->applied);
    t->from = t->asked + 1;
    t->served++;
    t->snapshots += told->snapshot_index > t->snapshot_index;
    t->snapshot_index = told->snapshot_index;
    return take_applied(t, &told->last);
}

static bool take(void *ctx, uint32_t kind, struct str message)
{
    struct trial *t = ctx;
    struct node_serves serves;
    struct node_applied applied;
    uint64_t number;
    switch ((enum node_told)kind) {
    case NODE_SERVES:
        require(message.len == sizeof serves);
        memcpy(&serves, message.ptr, sizeof serves);
        return judge(t, &serves);
    case NODE_APPLIED:
        for (; message.len > 0; message.ptr += sizeof applied, message.len -= sizeof applied) {
            require(message.len >= sizeof applied);
            memcpy(&applied, message.ptr, sizeof applied);
            if (!take_applied(t, &applied))
                return false;
        }
        return true;
    case NODE_ASKED:
    case NODE_DONE:
        require(message.len == sizeof number);
        memcpy(&number, message.ptr, sizeof number);
        if (kind == NODE_ASKED) {
            t->asked = number;
            return true;
        }
        t->answers++;
        t->sure[number % NODE_TENANTS] = number;
        return true;
    }
    return is_wrong(t, "it told something else", kind);
}

static bool next_round(struct trial *t, uint64_t want)
{
    char first[24];
    (void)snprintf(first, sizeof first, "%" PRIu64, t->asked + 1);
    const char *argv[] = {"node_victim", t->r.dir, first, NULL};
    return rounds_next(&t->r, argv, want, take, t);
}

static void forget(struct trial *t)
{
    memset(t->sure, 0, sizeof t->sure);
    memset(t->hash, 0, sizeof t->hash);
    t->from = t->asked + 1;
    t->applied = t->snapshot_index = 0;
}

static bool run(struct trial *t, const char *name, uint64_t seed, uint64_t rounds, bool watched,
                const char *lie)
{
    memset(t, 0, sizeof *t);
    t->seed = rounds_seed(seed);
    rounds_init(&t->r, scratch_dir(), name, t->seed, watched);
    t->r.lie = lie;
    forget(t);
    for (uint64_t i = 1; i <= rounds; i++) {
        if (!next_round(t, SIZE_MAX))
            return false;
        if (i % ROUNDS_PER_DIRECTORY > 0 && i < rounds)
            continue;
        if (!next_round(t, UNTIL_IT_SERVES))
            return false;
        rounds_renew(&t->r);
        forget(t);
    }
    return true;
}

static struct trial trial;

static void expect_good(const char *name, uint64_t seed, bool watched)
{
    struct trial *t = &trial;
    bool good = run(t, name, seed, rounds_count(ROUNDS), watched, NULL);
    rounds_print(&t->r);
    printf("# %" PRIu64 " times it served; %" PRIu64 " answers, %" PRIu64
           " entries applied again with the same result, %" PRIu64 " snapshots\n",
           t->served, t->answers, t->again, t->snapshots);
    if (!good)
        tap_fail(__FILE__, __LINE__, "kill %" PRIu64 " of CRASH_SEED=%" PRIu64 ": %s", t->r.kills,
                 t->seed, t->r.wrong.text);
    CHECK(t->served > t->r.kills / 2 && t->answers > t->r.kills);
    if (t->r.kills >= MANY) /* else there may be none */
        CHECK(t->again > 0 && t->snapshots > 0);
    rounds_done(&t->r);
}

TEST(crash_node_killed_at_any_moment_keeps_what_it_answered)
{
    expect_good("kill", 1, false);
}

TEST(crash_node_without_power_at_any_moment_keeps_what_it_answered)
{
    expect_good("power", 2, true);
}

TEST(crash_node_whose_log_is_never_synced_is_caught)
{
    if (run(&trial, "lie", 3, LIES_MAX, true, "segment-"))
        tap_fail(__FILE__, __LINE__, "nobody noticed in %d rounds", LIES_MAX);
    printf("# kill %" PRIu64 ": %s\n", trial.r.kills, trial.r.wrong.text);
    CHECK_EQ(ST_CORRUPT, trial.r.wrong.status); /* the log's fault, not the process's */
    rounds_done(&trial.r);
}
