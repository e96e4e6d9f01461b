#include "core/vm_life.h"
#include "support/tap.h"

#define P(x) PB__VM_PHASE__VM_##x

enum { COUNT = P(UNKNOWN) + 1 };

/* Row: what it was. Column: what the same incarnation may become, in the order of the phases:
 * absent prepared starting running paused stopping stopped failed deleting unknown. */
static const char *const table[COUNT] = {
    [P(ABSENT)] = "1111111111",  [P(PREPARED)] = "1111111111", [P(STARTING)] = "0011111111",
    [P(RUNNING)] = "0001111111", [P(PAUSED)] = "0001111111",   [P(STOPPING)] = "1100011111",
    [P(STOPPED)] = "1000001110", [P(FAILED)] = "1000001110",   [P(DELETING)] = "1000001110",
    [P(UNKNOWN)] = "1111111111",
};

TEST(life_what_may_follow_is_the_table)
{
    for (int from = 0; from < COUNT; from++)
        for (int to = 0; to < COUNT; to++)
            if (vm_may_follow((Pb__VmPhase)from, (Pb__VmPhase)to) != (table[from][to] == '1'))
                tap_fail(__FILE__, __LINE__, "%s to %s", vm_phase_name((Pb__VmPhase)from),
                         vm_phase_name((Pb__VmPhase)to));
}

/* The one rule that everything rests on. */
TEST(life_what_ended_never_runs_again)
{
    for (int from = 0; from < COUNT; from++)
        for (int to = 0; to < COUNT; to++)
            if (vm_ended((Pb__VmPhase)from) && vm_alive((Pb__VmPhase)to))
                CHECK(!vm_may_follow((Pb__VmPhase)from, (Pb__VmPhase)to));
}

TEST(life_an_incarnation_begins_with_anything_but_absent)
{
    for (int to = 0; to < COUNT; to++)
        CHECK_EQ(to != P(ABSENT), vm_may_begin((Pb__VmPhase)to));
}

TEST(life_alive_and_ended)
{
    const char *alive = "0011110001", *ended = "0000001100";
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(alive[i] == '1', vm_alive((Pb__VmPhase)i));
        CHECK_EQ(ended[i] == '1', vm_ended((Pb__VmPhase)i));
    }
}

TEST(life_names_are_those_of_the_api)
{
    CHECK_STR("running", vm_phase_name(P(RUNNING)));
    CHECK_STR("unknown", vm_phase_name(P(UNKNOWN)));
    CHECK_STR("guest-panic", vm_cause_name(PB__EXIT_CAUSE__EXIT_GUEST_PANIC));
}

/* n: no, l: after the back-off, r: now. In the order of the causes: none, guest-shutdown, guest-reset,
 * guest-panic, stopped, killed, crashed, start-failed, lease-expired, lost, host-shutdown. */
TEST(life_restart_rule)
{
    static const struct {
        Pb__Restart policy;
        const char *want;
    } row[] = {
        {PB__RESTART__RESTART_NEVER, "nnrnnnnnnnn"},
        {PB__RESTART__RESTART_ON_FAILURE, "nnrlnnlllln"},
        {PB__RESTART__RESTART_ALWAYS, "nlrllllllln"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(row); i++)
        for (int cause = 0; row[i].want[cause]; cause++) {
            char got = "nlr"[vm_restart_rule(row[i].policy, (Pb__ExitCause)cause)];
            char want = row[i].want[cause];
            if (got != want)
                tap_fail(__FILE__, __LINE__, "policy %zu, %s: want %c, got %c", i,
                         vm_cause_name((Pb__ExitCause)cause), want, got);
        }
}

struct it {
    Pb__Vm vm;
    Pb__VmSpec spec;
    Pb__VmStatus status;
};

static Pb__Vm *vm(struct it *it, Pb__Power power, uint64_t nonce, uint64_t generation,
                  Pb__VmPhase phase, Pb__ExitCause cause)
{
    pb__vm__init(&it->vm);
    pb__vm_spec__init(&it->spec);
    pb__vm_status__init(&it->status);
    it->vm.spec = &it->spec;
    it->vm.status = &it->status;
    it->vm.power = power;
    it->vm.start_nonce = nonce;
    it->status.generation = generation;
    it->status.phase = phase;
    it->status.cause = cause;
    return &it->vm;
}

TEST(life_start_is_asked_until_an_incarnation_of_that_generation)
{
    struct it it;
    Pb__Power on = PB__POWER__POWER_RUNNING;
    CHECK(vm_start_asked(vm(&it, on, 3, 2, P(RUNNING), 0)));
    CHECK(!vm_start_asked(vm(&it, on, 3, 3, P(RUNNING), 0)));
    CHECK(!vm_start_asked(vm(&it, on, 3, 4, P(STOPPED), 0)));
    CHECK(!vm_start_asked(vm(&it, PB__POWER__POWER_STOPPED, 3, 2, P(STOPPED), 0)));
    CHECK(!vm_start_asked(vm(&it, PB__POWER__POWER_PAUSED, 3, 2, P(STOPPED), 0)));
}

TEST(life_start_is_due_when_asked_or_by_policy_and_nothing_runs)
{
    struct it it;
    Pb__Power on = PB__POWER__POWER_RUNNING;
    Pb__ExitCause crash = PB__EXIT_CAUSE__EXIT_CRASHED, off = PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN;
    CHECK(vm_start_due(vm(&it, on, 1, 0, P(ABSENT), 0)));
    CHECK(vm_start_due(vm(&it, on, 3, 2, P(STOPPED), off)));
    CHECK(!vm_start_due(vm(&it, on, 3, 3, P(STOPPED), off)));
    CHECK(vm_start_due(vm(&it, on, 3, 3, P(FAILED), crash)));
    CHECK(vm_start_due(vm(&it, on, 3, 3, P(PREPARED), 0)));
    CHECK(!vm_start_due(vm(&it, on, 3, 2, P(RUNNING), 0)));
    CHECK(!vm_start_due(vm(&it, on, 3, 2, P(UNKNOWN), 0)));
    CHECK(!vm_start_due(vm(&it, PB__POWER__POWER_STOPPED, 3, 3, P(FAILED), crash)));
    CHECK(!vm_start_due(vm(&it, PB__POWER__POWER_STOPPED, 0, 0, P(PREPARED), 0)));
}
