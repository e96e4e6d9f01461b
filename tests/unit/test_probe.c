#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/tap.h"
#include "vmm/probe.h"
#include "vmm/tsc.h"

TEST(tsc_two_measurements_agree)
{
    uint32_t a, b;
    struct fault why;
    enum status s = tsc_measure_khz(&a, &why);
    if (s == ST_UNSUPPORTED)
        tap_skip(why.text);
    CHECK_EQ(ST_OK, s);
    CHECK_EQ(ST_OK, tsc_measure_khz(&b, &why));
    uint32_t more = MAX(a, b), less = MIN(a, b);
    CHECK(more - less < more / 200); /* half a percent */
}

TEST(probe_without_qemu_says_what_to_install)
{
    struct probe p;
    probe_run("/nowhere/qemu", PROBE_WANT_AUTO, &p);
    CHECK_EQ(PROBE_NONE, p.accel);
    CHECK_STR("no QEMU: /nowhere/qemu is not there", p.why);
    CHECK(strstr(p.problem, "apt-get install") != NULL);
}

TEST(probe_of_a_program_that_boots_nothing_is_none)
{
    struct probe p;
    probe_run("/bin/true", PROBE_WANT_AUTO, &p);
    CHECK_EQ(PROBE_NONE, p.accel);
    CHECK(strstr(p.why, "no probe VM booted") != NULL);
}

/* The exit status proves that instructions of ours ran in the VM. */
TEST(probe_boots_a_vm_by_emulation)
{
    char qemu[PROGRAM_PATH_MAX];
    if (!program_find_qemu("", program_path(), "", qemu))
        tap_skip("qemu-system-x86_64 is not installed");
    struct probe p;
    probe_run(qemu, PROBE_WANT_TCG, &p);
    printf("# %s\n", p.why);
    CHECK_EQ(PROBE_TCG, p.accel);
    CHECK(p.qemu_version[0] != 0);
}

TEST(probe_on_its_own_choice_says_why)
{
    char qemu[PROGRAM_PATH_MAX];
    if (!program_find_qemu("", program_path(), "", qemu))
        tap_skip("qemu-system-x86_64 is not installed");
    struct probe p;
    probe_run(qemu, PROBE_WANT_AUTO, &p);
    printf("# %s\n", p.why);
    CHECK(p.accel != PROBE_NONE);
    CHECK(p.why[0] != 0);
}
