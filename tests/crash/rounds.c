#include "crash/rounds.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash/tell.h"
#include "os/clock_os.h"
#include "os/file.h"
#include "support/tap.h"

enum { MESSAGES_MAX = 250, EARLY_NS = 5000000, LATE_NS = 1500000, ROUND_SECONDS_MAX = 60 };

static uint64_t from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    uint64_t n;
    if (!text)
        return otherwise;
    CHECK_EQ(ST_OK, str_u64(str_from(text), 1, UINT64_MAX, &n, NULL));
    return n;
}

uint64_t rounds_seed(uint64_t seed)
{
    return from_env("CRASH_SEED", seed);
}

uint64_t rounds_count(uint64_t count)
{
    return from_env("CRASH_ROUNDS", count);
}

static void open_directory(struct rounds *r, bool watched)
{
    CHECK(mkdir(r->dir, 0700) == 0);
    r->directories++;
    r->power = watched ? power_new(r->dir, r->log) : NULL;
}

void rounds_init(struct rounds *r, const char *scratch, const char *name, uint64_t seed,
                 bool watched)
{
    *r = (struct rounds){.rng = {seed}};
    (void)snprintf(r->dir, sizeof r->dir, "%s/%s", scratch, name);
    (void)snprintf(r->log, sizeof r->log, "%s/%s.watch", scratch, name);
    open_directory(r, watched);
}

struct power_view rounds_power(const struct rounds *r)
{
    struct power_view v = r->before;
    if (r->power) {
        struct power_view now = power_view(r->power);
        v.in_sync += now.in_sync;
        v.in_call += now.in_call;
        v.calls += now.calls;
    }
    return v;
}

static void leave_directory(struct rounds *r)
{
    struct fault why;
    r->before = rounds_power(r);
    power_free(r->power);
    r->power = NULL;
    CHECK_EQ(ST_OK, file_remove_tree(AT_FDCWD, r->dir, &why));
}

void rounds_done(struct rounds *r)
{
    leave_directory(r);
}

void rounds_renew(struct rounds *r)
{
    bool watched = r->power != NULL;
    leave_directory(r);
    open_directory(r, watched);
}

static void start(struct rounds *r, struct victim *v, const char *const *argv)
{
    char lib[512], preload[600], dir[200], log[200], lie[40];
    const char *env[6] = {NULL};
    size_t n = 0;
    if (r->power) {
        victim_beside("libdisk_watch.so", lib);
        (void)snprintf(preload, sizeof preload, "LD_PRELOAD=%s", lib);
        (void)snprintf(dir, sizeof dir, "WATCH_DIR=%s", r->dir);
        (void)snprintf(log, sizeof log, "WATCH_LOG=%s", r->log);
        env[n++] = preload;
        env[n++] = dir;
        env[n++] = log;
        /* With sanitizers: their library need not come before ours, which calls the kernel itself. */
        env[n++] = "ASAN_OPTIONS=verify_asan_link_order=0";
    }
    if (r->power && r->lie) {
        (void)snprintf(lie, sizeof lie, "WATCH_LIE=%s", r->lie);
        env[n++] = lie;
    }
    victim_start(v, argv, env);
}

static void spin(uint64_t ns)
{
    uint64_t from = clock_os_ns(CLOCK_MONOTONIC);
    while (clock_os_ns(CLOCK_MONOTONIC) - from < ns)
        continue;
}

static bool next(struct rounds *r, struct victim *v, bool *ret_good,
                 bool (*take)(void *ctx, uint32_t kind, struct str message), void *ctx)
{
    uint32_t kind;
    struct str message;
    if (!victim_next(v, &kind, &message))
        return false;
    if (kind == TELL_REFUSED) {
        (void)fault_set(&r->wrong, ST_CORRUPT, "refused: " STR_FMT, STR_ARG(message));
        *ret_good = false;
    } else if (!take(ctx, kind, message)) {
        *ret_good = false;
    }
    return *ret_good;
}

/* The process is gone. */
static bool see_to_the_power(struct rounds *r)
{
    if (!r->power)
        return true;
    if (power_follow(r->power, &r->wrong) != ST_OK)
        return false;
    if (rng_chance(&r->rng, 400))
        return true; /* the next process finds what is in memory; what it does not sync may be lost yet */
    r->cuts++;
    enum memdisk_loss loss = (enum memdisk_loss)rng_below(&r->rng, MEMDISK_LOSS_COUNT);
    return power_cut(r->power, loss, rng_next(&r->rng), &r->wrong) == ST_OK;
}

bool rounds_next(struct rounds *r, const char *const *argv, uint64_t want,
                 bool (*take)(void *ctx, uint32_t kind, struct str message), void *ctx)
{
    struct victim v;
    bool good = true;
    (void)alarm(ROUND_SECONDS_MAX);
    if (want == SIZE_MAX)
        want = rng_chance(&r->rng, 150)   ? 0
               : rng_chance(&r->rng, 300) ? rng_range(&r->rng, 1, 10)
                                          : rng_range(&r->rng, 1, MESSAGES_MAX);
    uint64_t moment_ns = rng_below(&r->rng, want == 0 ? EARLY_NS : LATE_NS);
    start(r, &v, argv);
    uint64_t had = 0;
    while (had < want && next(r, &v, &good, take, ctx))
        had++;
    if (good)
        spin(moment_ns);
    struct fault end;
    bool killed = victim_kill(&v, &end);
    while (good && next(r, &v, &good, take, ctx))
        had++;
    victim_done(&v);
    r->kills++;
    r->early_kills += had == 0;
    if (good && !killed)
        r->wrong = end;
    return good && killed && see_to_the_power(r);
}

void rounds_print(const struct rounds *r)
{
    struct power_view v = rounds_power(r);
    printf("# %" PRIu64 " kills in %" PRIu64 " directories, %" PRIu64 " before anything was told\n",
           r->kills, r->directories, r->early_kills);
    if (r->power)
        printf("# %" PRIu64 " power cuts; %" PRIu64 " calls, killed in a sync %" PRIu64
               " times, in a change %" PRIu64 " times\n",
               r->cuts, v.calls, v.in_sync, v.in_call);
}
