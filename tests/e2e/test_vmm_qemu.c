/*
 * The driver with real QEMU, real guests, a real shim and helper: what it promises in port/vmm.h.
 */
#include <signal.h>
#include <unistd.h>

#include "os/file.h"
#include "support/vm_run.h"
#include "wire/shim.h"

static struct site site;
static struct site_vm one;

static void up(bool root)
{
    site_open(&site, root);
    site_vm(&one, 1);
}

static void check_dead(uint32_t pid)
{
    /* A process that ended and was not yet reaped by its new parent has no memory any more. */
    char path[64], state = 0;
    (void)snprintf(path, sizeof path, "/proc/%u/stat", pid);
    FILE *f = fopen(path, "r");
    CHECK(!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1 || state == 'Z' || state == 'X');
    if (f)
        (void)fclose(f);
}

static void check_filtered(uint32_t pid)
{
    char path[64];
    struct buf b;
    buf_init(&b, 64 * 1024);
    (void)snprintf(path, sizeof path, "/proc/%u/status", pid);
    CHECK_EQ(ST_OK, file_read(AT_FDCWD, path, &b, NULL));
    CHECK(strstr(buf_cstr(&b), "\nSeccomp:\t2\n"));
    buf_done(&b);
}

static void boots_and_answers(bool root)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    up(root);
    struct vmm_event e = site_boot(&site, &one);
    CHECK_EQ(36, strlen(e.boot_id));
    CHECK(e.start_ms > 0 && e.started_ns > 0);
    CHECK_STR("", e.detail);
    CHECK_EQ(0, site_sh(&site, one.uid, "uname -r; cat /proc/sys/kernel/random/boot_id", &out));
    printf("# %.*s\n", (int)strcspn(buf_cstr(&out), "\n"), buf_cstr(&out));
    CHECK(strstr(buf_cstr(&out), e.boot_id));
    CHECK_EQ(7, site_sh(&site, one.uid, "hostname; exit 7", &out));
    CHECK_STR("vm-1\n", buf_cstr(&out));

    struct shim_record r = site_shim_record(&site, one.uid);
    CHECK_EQ(SHIM_RUNNING, r.phase);
    check_filtered(r.pid);
    site.vmm->power(site.vmm, one.uid, 1, VMM_POWER_DOWN);
    e = site_await(&site, one.uid, VMM_EXITED);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, e.cause);
    check_dead(r.pid);
    check_dead(r.shim_pid);
    site_close(&site);
    buf_done(&out);
}

TEST(vmm_boots_and_answers_as_root)
{
    boots_and_answers(true);
}

TEST(vmm_boots_and_answers_without_root)
{
    boots_and_answers(false);
}

TEST(vmm_pauses_and_resumes)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    up(true);
    (void)site_boot(&site, &one);
    site.vmm->power(site.vmm, one.uid, 1, VMM_PAUSE);
    (void)site_await(&site, one.uid, VMM_PAUSED);
    site.vmm->power(site.vmm, one.uid, 1, VMM_PAUSE); /* it is: said again */
    (void)site_await(&site, one.uid, VMM_PAUSED);
    site.vmm->power(site.vmm, one.uid, 1, VMM_RESUME);
    (void)site_await(&site, one.uid, VMM_RESUMED);
    CHECK_EQ(0, site_sh(&site, one.uid, "true", &out));
    /* Paused, it can still be stopped gracefully. */
    site.vmm->power(site.vmm, one.uid, 1, VMM_PAUSE);
    (void)site_await(&site, one.uid, VMM_PAUSED);
    site.vmm->power(site.vmm, one.uid, 1, VMM_POWER_DOWN);
    (void)site_await(&site, one.uid, VMM_RESUMED);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, site_await(&site, one.uid, VMM_EXITED).cause);
    site_close(&site);
    buf_done(&out);
}
