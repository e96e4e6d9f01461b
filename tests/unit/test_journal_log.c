#include "sim/damage.h"
#include "sim/journal_log.h"
#include "support/tap.h"

/* A member's log on a disk that does what it is told. */
struct place {
    struct sim sim;
    struct member_log *log;
    uint64_t token, last;
};

static void place_init(struct place *p, uint64_t seed)
{
    *p = (struct place){0};
    sim_init(&p->sim, seed, false);
    p->sim.faults = (struct faults){.segment_bytes = 4 << 10};
    p->log = journal_log_new(&p->sim);
}

static void place_done(struct place *p)
{
    (void)p->log->ops->close(p->log, &p->sim.crashes);
    p->log->ops->free(p->log);
    sim_done(&p->sim);
}

static enum status start(struct place *p)
{
    struct fault why;
    return p->log->ops->open(p->log, &why);
}

static void crash(struct place *p)
{
    (void)p->log->ops->close(p->log, &p->sim.crashes);
}

/* Ask for one more entry of this term, at the end or in place of `index` and all after it. */
static void ask(struct place *p, uint64_t index, uint64_t term)
{
    struct raft_entry e = {index, term, RAFT_ENTRY_COMMAND, raft_data_new("data", 4)};
    struct raft_ready rd = {
        .token = ++p->token, .append = &e, .append_count = 1, .hard_changed = true};
    rd.hard = (struct raft_hard){term, 1};
    p->log->ops->append(p->log, &rd);
    raft_data_unref(e.data);
    p->last = index;
}

/* false: the disk failed. */
static bool settle(struct place *p)
{
    struct platter_done d;
    while (p->log->ops->waiting(p->log))
        if (!p->log->ops->run(p->log, 1, &d))
            return false;
    return true;
}

static void save(struct place *p, uint64_t index, uint64_t term, struct lists *state)
{
    struct raft_members m = {0};
    (void)raft_members_put(&m, 1, RAFT_VOTES);
    (void)raft_members_put(&m, 7, RAFT_WITNESS | RAFT_VOTES);
    p->log->ops->save(p->log, index, term, &m, state);
}

static struct lists *some_lists(void)
{
    struct lists *l = lists_new();
    (void)lists_apply(l, &(struct list_command){.client = 1, .number = 1, .list = 2, .value = 9});
    (void)lists_apply(l, &(struct list_command){.client = 3, .number = 4, .list = 2, .value = 5});
    return l;
}

/* What was called durable is there after a power cut; what was asked for and never begun is not. */
TEST(journal_log_keeps_what_is_durable)
{
    struct place p;
    place_init(&p, 1);
    CHECK_EQ(ST_OK, start(&p));
    ask(&p, 1, 1);
    ask(&p, 2, 1);
    CHECK(settle(&p));
    ask(&p, 3, 2);
    crash(&p);
    CHECK_EQ(ST_OK, start(&p));
    const struct platter *d = &p.log->durable;
    CHECK_EQ(2, platter_last(d));
    CHECK_EQ(1, platter_term(d, 2));
    CHECK_EQ(1, d->hard.term);
    CHECK_EQ(1, d->hard.vote);
    place_done(&p);
}

/* A snapshot comes back with its members and its state. */
TEST(journal_log_keeps_a_snapshot_whole)
{
    struct place p;
    struct lists *state = some_lists();
    place_init(&p, 2);
    CHECK_EQ(ST_OK, start(&p));
    for (uint64_t i = 1; i <= 4; i++)
        ask(&p, i, 1);
    save(&p, 3, 1, lists_copy(state));
    p.log->ops->compact(p.log, 4);
    CHECK(settle(&p));
    crash(&p);
    CHECK_EQ(ST_OK, start(&p));
    const struct platter *d = &p.log->durable;
    CHECK_EQ(3, d->snapshot.index);
    CHECK(lists_eq(state, d->snapshot.state));
    CHECK_EQ(2, d->snapshot.members.count);
    CHECK_EQ(RAFT_WITNESS | RAFT_VOTES, raft_members_find(&d->snapshot.members, 7)->flags);
    CHECK_EQ(4, d->first);
    CHECK_EQ(4, platter_last(d));
    lists_free(state);
    place_done(&p);
}

/* A witness saves no state, and who heard of no members yet saves none. */
TEST(journal_log_keeps_a_snapshot_without_state_or_members)
{
    struct place p;
    place_init(&p, 3);
    CHECK_EQ(ST_OK, start(&p));
    ask(&p, 1, 1);
    p.log->ops->save(p.log, 1, 1, &(struct raft_members){0}, NULL);
    CHECK(settle(&p));
    crash(&p);
    CHECK_EQ(ST_OK, start(&p));
    CHECK_EQ(1, p.log->durable.snapshot.index);
    CHECK_EQ(0, p.log->durable.snapshot.members.count);
    CHECK(p.log->durable.snapshot.state == NULL);
    place_done(&p);
}

/* All that a member does to its log; false when the disk failed on the way. */
static bool work(struct place *p)
{
    for (uint64_t i = p->log->durable.snapshot.index + 1; i <= 40; i++)
        if (i > platter_last(&p->log->durable))
            ask(p, i, 1 + i / 10);
    ask(p, 35, 6);
    if (!settle(p))
        return false;
    save(p, 30, 4, some_lists());
    p->log->ops->compact(p->log, 25);
    if (!settle(p))
        return false;
    save(p, 90, 7, some_lists()); /* a peer's: the whole log goes */
    if (!settle(p))
        return false;
    ask(p, 91, 7);
    return settle(p);
}

/* At each position, the machine's death leaves something that log_open() takes for what a crash may leave. */
TEST(journal_log_survives_a_crash_at_every_operation)
{
    bool done = false;
    for (uint64_t op = 1; !done; op++) {
        struct place p;
        place_init(&p, op);
        p.sim.faults.keep_cache = op % 2 ? 300 : 700;
        sim_disk_crash_after(p.log->disk, op);
        done = start(&p) == ST_OK && work(&p);
        CHECK(done || p.log->disk->frozen);
        for (unsigned again = 1; again < 4; again++) {
            crash(&p);
            CHECK_EQ(ST_OK, start(&p));
        }
        CHECK(!done || platter_last(&p.log->durable) == 91);
        place_done(&p);
        CHECK(op < 1000);
    }
}

/* The check at the start bites. */
TEST(journal_log_that_lost_something_durable_does_not_open)
{
    struct place p;
    place_init(&p, 4);
    CHECK_EQ(ST_OK, start(&p));
    ask(&p, 1, 1);
    CHECK(settle(&p));
    crash(&p);
    platter_put(&p.log->durable, &(struct raft_entry){2, 1, RAFT_ENTRY_NOOP, NULL});
    CHECK_EQ(ST_INTERNAL, start(&p));
    place_done(&p);
}

/* Damage is refused or does nothing, or an older snapshot and the log serve as well. */
TEST(journal_log_that_is_damaged_is_refused_or_as_it_was)
{
    unsigned refused = 0, as_it_was = 0, older = 0;
    for (uint64_t seed = 1; seed <= 1500; seed++) {
        char text[DAMAGE_TEXT_MAX];
        struct place p, other;
        place_init(&p, seed);
        place_init(&other, seed + 1);
        p.sim.faults.keep_cache = other.sim.faults.keep_cache = 0;
        CHECK_EQ(ST_OK, start(&p));
        CHECK_EQ(ST_OK, start(&other));
        CHECK(work(&p) && work(&other));
        for (uint64_t i = 92; i < 96; i++)
            ask(&p, i, 7);
        if (seed % 2)
            save(&p, 93, 7, some_lists()); /* and the entries before it stay */
        CHECK(settle(&p));
        crash(&p);
        CHECK(damage_strike(p.log->disk, other.log->disk, &p.sim.crashes, text));
        p.log->damaged = true;
        enum status s = start(&p);
        if (s == ST_OK)
            CHECK_EQ(95, platter_last(&p.log->durable));
        else if (s != ST_CORRUPT && s != ST_UNSUPPORTED)
            tap_fail(__FILE__, __LINE__, "seed %llu: %s: %s", (unsigned long long)seed, text,
                     status_code(s));
        refused += s != ST_OK;
        as_it_was += s == ST_OK;
        older += s == ST_OK && seed % 2 && p.log->durable.snapshot.index < 93;
        place_done(&p);
        place_done(&other);
    }
    printf("# %u refused, %u as before, %u of them with an older snapshot\n", refused, as_it_was,
           older);
    CHECK(refused > 300 && as_it_was > 100);
}

/* After its power cut, a disk that lied holds less than it said, and nothing else. */
TEST(journal_log_on_a_disk_that_lies_holds_what_once_was)
{
    unsigned refused = 0, less = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct place p;
        struct platter found;
        struct fault why;
        place_init(&p, seed);
        p.sim.faults.keep_cache = 0;
        CHECK_EQ(ST_OK, start(&p));
        for (uint64_t i = 1; i <= 10; i++)
            ask(&p, i, 1);
        CHECK(settle(&p));
        p.log->disk->lies = true;
        for (uint64_t i = 11; i <= 30; i++) {
            ask(&p, i, i);
            CHECK(settle(&p));
        }
        CHECK_EQ(30, platter_last(&p.log->durable));
        crash(&p);
        if (journal_log_look(p.log, &found, &why) == ST_OK) {
            CHECK(platter_last(&found) >= 10 && platter_last(&found) <= 30);
            for (uint64_t i = 11; i <= platter_last(&found); i++)
                CHECK_EQ(i, platter_term(&found, i));
            less += platter_last(&found) < 30;
        } else {
            refused++;
        }
        platter_done(&found);
        p.log->ops->free(p.log);
        sim_done(&p.sim);
    }
    printf("# %u refused, %u with less\n", refused, less);
    CHECK(less > 0 && refused > 0);
}

TEST(journal_log_on_a_disk_that_lies_no_more_keeps_what_it_said)
{
    struct place p;
    place_init(&p, 5);
    p.sim.faults.keep_cache = 0;
    CHECK_EQ(ST_OK, start(&p));
    p.log->disk->lies = true;
    ask(&p, 1, 1);
    save(&p, 1, 1, some_lists());
    CHECK(settle(&p));
    sim_disk_honest(p.log->disk);
    crash(&p);
    CHECK_EQ(ST_OK, start(&p));
    CHECK_EQ(1, p.log->durable.snapshot.index);
    place_done(&p);
}

/* --- what a crash may leave --- */

static void put(struct platter *p, uint64_t term)
{
    platter_put(p, &(struct raft_entry){platter_last(p) + 1, term, RAFT_ENTRY_NOOP, NULL});
}

/* Three entries of term 1 are durable; term 2 and, in place of the third, two of that term are on their way. */
static void begin(struct platter *p)
{
    static const struct raft_entry e[] = {{3, 2, RAFT_ENTRY_NOOP, NULL},
                                          {4, 2, RAFT_ENTRY_NOOP, NULL}};
    platter_init(p);
    p->hard = (struct raft_hard){1, 1};
    for (unsigned i = 0; i < 3; i++)
        put(p, 1);
    platter_append(
        p, &(struct raft_ready){
               .token = 1, .hard_changed = true, .hard = {2, 3}, .append = e, .append_count = 2});
}

/* terms of the entries, as digits */
static bool may_become(struct raft_hard hard, const char *terms)
{
    struct platter p, found;
    begin(&p);
    platter_init(&found);
    found.hard = hard;
    for (; *terms; terms++)
        put(&found, (uint64_t)(*terms - '0'));
    bool yes = platter_may_become(&p, &found, false);
    platter_done(&p);
    platter_done(&found);
    return yes;
}

TEST(platter_may_become_what_came_before_the_crash_and_nothing_else)
{
    struct raft_hard before = {1, 1}, after = {2, 3};
    CHECK(may_become(before, "111"));
    CHECK(may_become(after, "111"));
    CHECK(may_become(after, "112"));
    CHECK(may_become(after, "1122"));
    CHECK(!may_become(before, "112"));
    CHECK(!may_become(before, "11"));
    CHECK(!may_become(after, "11"));
    CHECK(!may_become(after, "1112"));
    CHECK(!may_become(after, "11222"));
    CHECK(!may_become((struct raft_hard){2, 1}, "111"));
    CHECK(!may_become((struct raft_hard){0, 0}, ""));
}

/* Another snapshot than the newest only where that may be damaged, and then an older one. */
TEST(platter_may_become_one_with_an_older_snapshot_if_that_will_do)
{
    struct platter p, found;
    platter_init(&p);
    platter_init(&found);
    p.hard = found.hard = (struct raft_hard){1, 1};
    for (unsigned i = 0; i < 5; i++) {
        put(&p, 1);
        put(&found, 1);
    }
    p.snapshot = (struct platter_snapshot){.index = 3, .term = 1, .state = some_lists()};
    platter_compact(&p, 3);
    (void)platter_run(&p, 1);
    CHECK(!platter_may_become(&p, &found, false));
    CHECK(platter_may_become(&p, &found, true));
    found.snapshot.index = 4;
    CHECK(!platter_may_become(&p, &found, true));
    found.snapshot.index = 0;
    found.entry[3].term = 2;
    CHECK(!platter_may_become(&p, &found, true));
    platter_done(&p);
    platter_done(&found);
}
