/*
 * blixard-sim: run seeds.
 */
#include <errno.h>
#include <stdio.h>

#include "sim/apart.h"
#include "sim/options.h"
#include "sim/shrink.h"

enum { PICTURE_MAX = 256 << 20, TEXT_MAX = 16384, SHRUNK_MAX = 3, SHRINK_RUNS = 300 };

/* What all seeds came to. It is shared with the process that runs them, for one that dies must be known. */
struct batch {
    const struct options *options;
    uint64_t seed; /* at work on this one */
    uint64_t failed;
    uint64_t on[GROUP_FAULT_COUNT]; /* seeds that had the fault */
    struct stats sum;
    struct group_report report; /* of the seed */
    bool undrawn;               /* the picture that was asked for could not be written */
};

static void print_replay(const struct options *o, uint64_t seed, const struct group_options *many)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, TEXT_MAX);
    options_replay(o, seed, many, &b);
    (void)printf("replay: %s\n", buf_cstr(&b));
}

/* --- a picture --- */

static enum status write_file(const char *path, struct str text, struct fault *why)
{
    FILE *f = fopen(path, "w");
    if (!f)
        return fault_errno(why, errno, "open %s", path);
    bool good = fwrite(text.ptr, 1, text.len, f) == text.len;
    good = fclose(f) == 0 && good;
    return good ? ST_OK : fault_errno(why, errno, "write %s", path);
}

/* Run a group and draw it; false: the picture could not be written, and stderr says why. */
static bool run_drawn(const struct options *o, struct sim *s, const struct group_options *many,
                      struct group_report *ret)
{
    struct group_options watched = *many;
    AUTO(buf_done) struct buf title, svg;
    struct fault why;
    buf_init(&title, TEXT_MAX);
    buf_init(&svg, PICTURE_MAX);
    options_replay(o, s->seed, many, &title);
    watched.timeline = timeline_new(s->now_us);
    group_run(s, &watched, ret);
    timeline_svg(watched.timeline, s->now_us, buf_cstr(&title), s->failed ? s->why : NULL, &svg);
    timeline_free(watched.timeline);
    enum status written = buf_status(&svg, &why);
    if (written == ST_OK)
        written = write_file(o->timeline, buf_view(&svg), &why);
    if (written != ST_OK)
        (void)fprintf(stderr, "error: %s\n", why.text);
    return written == ST_OK;
}

/* --- a smaller run --- */

struct attempt {
    uint64_t seed;
    const struct options *draw; /* NULL: it is not drawn */
    bool undrawn;
    struct group_options options;
    struct shrink_outcome end;
};

static void attempt(void *ctx)
{
    struct attempt *a = ctx;
    static struct sim s;
    sim_init(&s, a->seed, false);
    if (a->draw)
        a->undrawn = !run_drawn(a->draw, &s, &a->options, &a->end.report);
    else
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

/* false: it was to be drawn, and that failed. */
static bool draw_shrunk(const struct options *o, struct attempt *a, const struct shrunk *small)
{
    struct fault why;
    if (!o->timeline)
        return true;
    a->draw = o;
    a->options = small->options;
    if (apart_call(attempt, a, true, &why) == ST_OK)
        return !a->undrawn;
    (void)printf("not drawn: a run that dies leaves no picture\n");
    return true;
}

static void shrink_seed(struct batch *b)
{
    const struct options *o = b->options;
    struct shrunk small;
    struct attempt *a = apart_new(sizeof *a);
    a->seed = b->seed;
    if (shrink(&o->many, SHRINK_RUNS, attempt_apart, a, &small)) {
        const struct group_report *r = &small.outcome.report;
        AUTO(buf_done) struct buf names;
        buf_init(&names, TEXT_MAX);
        group_faults_names(r->on, &names);
        (void)printf("shrunk in %u runs to members %u, clients %u, %" PRIu64 " ms, faults %s: %s\n",
                     small.runs, r->members, r->clients, small.options.fault_ms,
                     names.len ? buf_cstr(&names) : "none", small.outcome.why);
        print_replay(o, b->seed, &small.options);
        b->undrawn = !draw_shrunk(o, a, &small);
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
        shrink_seed(b);
    (void)fflush(stdout);
}

static void run_seed(struct batch *b)
{
    const struct options *o = b->options;
    static struct sim s;
    sim_init(&s, b->seed, o->trace);
    if (o->timeline)
        b->undrawn = !run_drawn(o, &s, &o->many, &b->report);
    else if (o->group)
        group_run(&s, &o->many, &b->report);
    else if (o->nodes)
        nodes_run(&s, &o->many_nodes);
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
    return b->failed || b->undrawn ? 1 : 0;
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
