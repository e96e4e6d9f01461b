/*
 * blixard-sim: run seeds.
 */
#include <stdio.h>

#include "sim/apart.h"
#include "sim/options.h"
#include "sim/shrink.h"

enum { TEXT_MAX = 16384, SHRUNK_MAX = 3, SHRINK_RUNS = 300 };

/* What all seeds came to. It is shared with the process that runs them, for one that dies must be known. */
struct batch {
    const struct options *options;
    uint64_t seed; /* at work on this one */
    uint64_t failed;
    uint64_t on[GROUP_FAULT_COUNT]; /* seeds that had the fault */
    struct stats sum;
    struct group_report report; /* of the seed */
};

static void print_replay(const struct options *o, uint64_t seed, const struct group_options *many)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, TEXT_MAX);
    options_replay(o, seed, many, &b);
    (void)printf("replay: %s\n", buf_cstr(&b));
}

/* --- a smaller run --- */

struct attempt {
    uint64_t seed;
    struct group_options options;
    struct shrink_outcome end;
};

static void attempt(void *ctx)
{
    struct attempt *a = ctx;
    static struct sim s;
    sim_init(&s, a->seed, false);
    group_run(&s, &a->options, &a->end.report);
    a->end.failed = s.failed;
    (void)snprintf(a->end.why, sizeof a->end.why, "%s", s.why);
    sim_done(&s);
}

/* As shrink_run; ctx: struct attempt, shared. */
static void attempt_apart(void *ctx, const struct group_options *o, struct shrink_outcome *ret)
{
    struct attempt *a = ctx;
    struct fault why;
    a->options = *o;
    a->end = (struct shrink_outcome){0};
    if (apart_call(attempt, a, false, &why) != ST_OK) {
        a->end.failed = true;
        (void)snprintf(a->end.why, sizeof a->end.why, "%s", why.text);
    }
    *ret = a->end;
}

static void shrink_seed(const struct options *o, uint64_t seed)
{
    struct shrunk small;
    struct attempt *a = apart_new(sizeof *a);
    a->seed = seed;
    if (shrink(&o->many, SHRINK_RUNS, attempt_apart, a, &small)) {
        const struct group_report *r = &small.outcome.report;
        AUTO(buf_done) struct buf b;
        buf_init(&b, TEXT_MAX);
        group_faults_names(r->on, &b);
        (void)printf("shrunk in %u runs to members %u, clients %u, %" PRIu64 " ms, faults %s: %s\n",
                     small.runs, r->members, r->clients, small.options.fault_ms,
                     b.len ? buf_cstr(&b) : "none", small.outcome.why);
        print_replay(o, seed, &small.options);
    } else {
        (void)printf("not shrunk: when it ran alone it did not fail\n");
    }
    apart_free(a, sizeof *a);
}

/* --- the seeds --- */

static void failed(struct batch *b, const char *when, const char *why)
{
    const struct options *o = b->options;
    b->failed++;
    (void)printf("seed %" PRIu64 " FAILED%s: %s\n", b->seed, when, why);
    print_replay(o, b->seed, &o->many);
    if (o->shrink && b->failed <= SHRUNK_MAX)
        shrink_seed(o, b->seed);
    (void)fflush(stdout);
}

static void run_seed(struct batch *b)
{
    const struct options *o = b->options;
    static struct sim s;
    sim_init(&s, b->seed, o->trace);
    if (o->group)
        group_run(&s, &o->many, &b->report);
    else
        one_node_run(&s, &o->one);
    if (s.failed) {
        char when[40];
        (void)snprintf(when, sizeof when, " at %" PRIu64 " us", s.now_us);
        failed(b, when, s.why);
    } else if (o->hashes) {
        (void)printf("%" PRIu64 " %016" PRIx64 "\n", b->seed, s.hash);
    }
    for (unsigned i = 0; i < GROUP_FAULT_COUNT; i++)
        b->on[i] += b->report.on >> i & 1;
    stats_add(&b->sum, &s.stats);
    sim_done(&s);
}

static void run_rest(void *ctx)
{
    struct batch *b = ctx;
    while (b->seed < b->options->first + b->options->count) {
        run_seed(b);
        b->seed++;
        (void)fflush(stdout);
    }
}

/* A seed that dies ends its process; the next ones get another. */
static enum status run_all_apart(struct batch *b, struct fault *why)
{
    uint64_t end = b->options->first + b->options->count;
    enum status s = ST_OK;
    while (b->seed < end && (s = apart_call(run_rest, b, true, why)) != ST_OK) {
        if (s != ST_FAILED)
            return s;
        if (b->seed == end) {
            (void)printf("FAILED after the last seed: %s\n", why->text);
            b->failed++;
            break;
        }
        failed(b, "", why->text);
        b->seed++;
    }
    return ST_OK;
}

static void print_faults(const struct batch *b)
{
    const char *before = " ";
    (void)printf("seeds with faults:");
    for (unsigned i = 0; i < GROUP_FAULT_COUNT; i++)
        if (b->on[i]) {
            (void)printf("%s%s %" PRIu64, before, group_fault_name(i), b->on[i]);
            before = ", ";
        }
    (void)printf("\n");
}

static int sum_up(const struct batch *b)
{
    const struct options *o = b->options;
    if (!o->hashes)
        stats_print(&b->sum, o->count);
    if (!o->hashes && o->group)
        print_faults(b);
    if (b->failed)
        (void)printf("%" PRIu64 " of %" PRIu64 " seeds failed\n", b->failed, o->count);
    return b->failed ? 1 : 0;
}

static int wrong(const struct fault *why)
{
    (void)fprintf(stderr, "error: %s\nhint: blixard-sim --help\n", why->text);
    return 2;
}

int main(int argc, char **argv)
{
    struct options o;
    struct fault why;
    if (options_parse(argc, argv, &o, &why) != ST_OK)
        return wrong(&why);
    if (o.help) {
        AUTO(buf_done) struct buf b;
        buf_init(&b, TEXT_MAX);
        options_usage(&b);
        (void)printf("%s", buf_cstr(&b));
        return 0;
    }
    struct batch *b = apart_new(sizeof *b);
    b->options = &o;
    b->seed = o.first;
    if (o.count == 1 && !o.shrink)
        run_rest(b); /* here, where a debugger sees it */
    else if (run_all_apart(b, &why) != ST_OK)
        return wrong(&why);
    int code = sum_up(b);
    apart_free(b, sizeof *b);
    return code;
}
