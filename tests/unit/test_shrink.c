#include "sim/shrink.h"
#include "support/tap.h"

enum { MEMBERS = 7, CLIENTS = 8, FAILS_AT_MS = 3700, RUNS_MAX = 300 };

#define BIT(name) (UINT64_C(1) << GROUP_FAULT_##name)
#define ALL       ((UINT64_C(1) << GROUP_FAULT_COUNT) - 1)

/* A run that fails as long as it has these. */
struct plan {
    uint64_t needs; /* faults */
    uint32_t members, clients;
    uint64_t ms;              /* of the first phase */
    const char *why;          /* with one number in it: of the run */
    const char *without_loss; /* how it fails without lost messages; NULL: likewise */
    unsigned runs;
};

static void run(void *ctx, const struct group_options *o, struct shrink_outcome *ret)
{
    struct plan *p = ctx;
    struct group_report *r = &ret->report;
    p->runs++;
    r->on = ALL & ~o->without;
    r->members = o->members ? o->members : MEMBERS;
    r->clients = o->clients ? o->clients : CLIENTS;
    r->fault_ms = o->commands_min ? GROUP_FAULT_TIMES * o->fault_ms : o->fault_ms;
    ret->failed = (r->on & p->needs) == p->needs && r->members >= p->members &&
                  r->clients >= p->clients && r->fault_ms >= p->ms;
    if (!ret->failed)
        return;
    r->fault_ms = MIN(r->fault_ms, (uint64_t)FAILS_AT_MS);
    const char *why = o->without & BIT(LOSS) && p->without_loss ? p->without_loss : p->why;
    (void)snprintf(ret->why, sizeof ret->why, "%s %u", why, p->runs);
}

static const struct group_options whole = {
    .profile = GROUP_SWARM, .fault_ms = 25000, .commands_min = 200};

TEST(shrink_leaves_what_the_failure_needs)
{
    struct plan p = {.needs = BIT(CRASH) | BIT(LOSS), .members = 3, .clients = 2, .why = "Broken:"};
    struct shrunk small;
    CHECK(shrink(&whole, RUNS_MAX, run, &p, &small));
    CHECK_EQ(ALL & ~p.needs, small.options.without);
    CHECK_EQ(3, small.options.members);
    CHECK_EQ(2, small.options.clients);
    CHECK_EQ(p.runs, small.runs);
    CHECK(small.outcome.failed);
}

TEST(shrink_gives_the_first_phase_no_more_time_than_it_needs)
{
    struct plan p = {.ms = 1234, .why = "Broken:"};
    struct shrunk small;
    CHECK(shrink(&whole, RUNS_MAX, run, &p, &small));
    CHECK_EQ(0, small.options.commands_min);
    CHECK(small.options.fault_ms >= 1234 && small.options.fault_ms < 1234 + 20);
}

TEST(shrink_ends_the_run_where_it_fails)
{
    struct plan p = {.ms = FAILS_AT_MS, .why = "Broken:"};
    struct shrunk small;
    CHECK(shrink(&whole, RUNS_MAX, run, &p, &small));
    CHECK_EQ(FAILS_AT_MS, small.options.fault_ms);
}

/* Another failure is another story, even if it is shorter to tell. */
TEST(shrink_keeps_the_kind_of_failure)
{
    struct plan p = {.why = "LogMatching: entry", .without_loss = "ElectionSafety: entry"};
    struct shrunk small;
    CHECK(shrink(&whole, RUNS_MAX, run, &p, &small));
    CHECK_EQ(ALL & ~BIT(LOSS), small.options.without);
    CHECK_EQ(0, strncmp(small.outcome.why, "LogMatching", 11));
}

TEST(shrink_leaves_what_was_asked_for)
{
    struct group_options from = whole;
    struct plan p = {.needs = BIT(CRASH), .why = "Broken:"};
    struct shrunk small;
    from.profile = GROUP_BYZANTINE;
    from.without = BIT(SPLIT);
    CHECK(shrink(&from, RUNS_MAX, run, &p, &small));
    CHECK_EQ(ALL & ~BIT(CRASH), small.options.without);
    CHECK_EQ(GROUP_BYZANTINE, small.options.profile);
}

TEST(shrink_ends_when_its_runs_are_used_up)
{
    struct plan p = {.why = "Broken:"};
    struct shrunk small;
    CHECK(shrink(&whole, 5, run, &p, &small));
    CHECK_EQ(5, p.runs);
    CHECK_EQ(5, small.runs);
    CHECK_EQ(BIT(CRASH) | BIT(CRASH_ALL) | BIT(DISK_DIES) | BIT(NO_SPACE), small.options.without);
}

TEST(shrink_of_a_run_that_does_not_fail_says_so)
{
    struct plan p = {.members = MEMBERS + 1};
    struct shrunk small = {.runs = 77};
    CHECK(!shrink(&whole, RUNS_MAX, run, &p, &small));
    CHECK_EQ(1, p.runs);
    CHECK_EQ(77, small.runs);
}

/* A process that dies leaves no report of how far it came. */
static void dies(void *ctx, const struct group_options *o, struct shrink_outcome *ret)
{
    run(ctx, o, ret);
    ret->report.fault_ms = 0;
}

TEST(shrink_finds_a_length_that_no_report_tells)
{
    struct plan p = {.needs = BIT(PAUSE), .ms = 500, .why = "x.c:1: ensure failed: y"};
    struct shrunk small;
    CHECK(shrink(&whole, RUNS_MAX, dies, &p, &small));
    CHECK_EQ(ALL & ~BIT(PAUSE), small.options.without);
    CHECK_EQ(0, small.options.commands_min);
    CHECK(small.options.fault_ms >= 500 && small.options.fault_ms < 500 + 20);
}

/* It waited for commands, and died after the time that it was to have. */
TEST(shrink_shortens_a_run_that_dies_late)
{
    struct plan p = {.ms = 60000, .why = "x.c:1: ensure failed: y"};
    struct shrunk small;
    CHECK(shrink(&whole, RUNS_MAX, dies, &p, &small));
    CHECK_EQ(0, small.options.commands_min);
    CHECK(small.options.fault_ms >= 60000 && small.options.fault_ms < 60000 + 20);
}

TEST(shrink_failures_are_alike_by_invariant)
{
    CHECK(shrink_alike("LogMatching: member 1 has another entry 7", "LogMatching: of term 3"));
    CHECK(!shrink_alike("LogMatching: member 1", "LeaderCompleteness: member 1"));
    CHECK(!shrink_alike("LogMatching: member 1", "LogMatchin: member 1"));
    CHECK(!shrink_alike("LogMatching: member 1", "member 1 votes twice"));
}

TEST(shrink_failures_without_a_name_are_alike_by_words)
{
    CHECK(shrink_alike("member 1 votes twice in term 20", "member 7 votes twice in term 3"));
    CHECK(shrink_alike("member 1: next is not above match", "member 12: next is not above match"));
    CHECK(!shrink_alike("member 1: next is not above match", "member 1: term or vote went back"));
    CHECK(!shrink_alike("member 1 votes twice", "member 1 votes twice again"));
    CHECK(!shrink_alike("member 1 votes twice", ""));
    CHECK(shrink_alike("raft.c:12: ensure failed: x", "raft.c:7: ensure failed: x"));
}
