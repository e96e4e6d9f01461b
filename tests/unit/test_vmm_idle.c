/*
 * A driver that has nothing to do does nothing: it wakes nobody.
 */
#include "os/clock_os.h"
#include "os/entropy_os.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "vmm/vmm_qemu.h"

enum { SETTLE_MS = 100, IDLE_MS = 8000 };

static uint64_t woken;

static void on_busy(void *ctx, uint64_t ns)
{
    (void)ctx, (void)ns;
    woken++;
}

TEST(vmm_without_vms_sleeps)
{
    struct loop *loop;
    struct clock clock;
    struct entropy entropy;
    struct vmm *vmm;
    struct host host = {.facts = {.slots = 10}};
    char dir[256];
    struct fault why;
    const struct loop_meter meter = {.busy = on_busy};
    (void)snprintf(dir, sizeof dir, "%s", scratch_file("vms"));
    struct vmm_qemu_config c = {
        .dir = dir, .blob_dir = "/nowhere", .qemu = "/nowhere", .console_log_max = 64 * 1024};
    clock_os_init(&clock);
    entropy_os_init(&entropy);
    CHECK_EQ(ST_OK, loop_open(&loop, NULL));
    if (vmm_qemu_new(loop, &host, &clock, &entropy, &c, &vmm, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    loop_measure(loop, &meter);
    do {
        woken = 0;
        CHECK_EQ(ST_OK, loop_turn(loop, SETTLE_MS, NULL));
    } while (woken);
    CHECK_EQ(ST_OK, loop_turn(loop, IDLE_MS, NULL)); /* returns early if there is an event */
    CHECK_EQ(0, woken);
    vmm_qemu_free(vmm);
    loop_close(loop);
}
