/*
 * What a driver tells of a machine that it cannot look at: that it could not, never that nothing is there.
 */
#include <sys/stat.h>

#include "os/clock_os.h"
#include "os/entropy_os.h"
#include "support/few_fds.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "vmm/record.h"
#include "vmm/vmm_qemu.h"

enum { EVENTS_MAX = 16, TURN_MS = 1000, TURNS_MAX = 10 };

static const char uid[] = "00000000000000000000000000000001";

struct driver {
    struct loop *loop;
    struct clock clock;
    struct entropy entropy;
    struct host host;
    struct vmm *vmm;
    struct vmm_events hear;
    struct vmm_event event[EVENTS_MAX];
    size_t event_count;
    unsigned cleaned; /* what was left of a VM was ended */
};

static void on_event(void *ctx, const struct vmm_event *e)
{
    struct driver *d = ctx;
    CHECK(d->event_count < EVENTS_MAX);
    d->event[d->event_count++] = *e;
}

/* The helper finds the VM in its cgroup. */
static void host_list(struct host *h,
                      void (*done)(void *ctx, enum status s, const char (*uids)[HOST_UID_MAX],
                                   size_t count),
                      void *ctx)
{
    char uids[1][HOST_UID_MAX];
    (void)h;
    (void)snprintf(uids[0], sizeof uids[0], "%s", uid);
    done(ctx, ST_OK, (const char(*)[HOST_UID_MAX])uids, 1);
}

static void host_clean(struct host *h, const char *of,
                       void (*done)(void *ctx, enum status s, const struct fault *why), void *ctx)
{
    CONTAINER_OF(h, struct driver, host)->cleaned++;
    CHECK_STR(uid, of);
    done(ctx, ST_OK, NULL);
}

/* A VM that was started, and whose shim is not there any more. */
static void make_vm(const char *dir)
{
    struct record r = {.epoch = 1, .incarnation = 3};
    struct buf b;
    char path[300];
    memcpy(r.uid, uid, sizeof uid);
    buf_init(&b, RECORD_SIZE_MAX);
    vm_record_encode(&b, &r);
    (void)snprintf(path, sizeof path, "%s/%s", dir, uid);
    CHECK_EQ(0, mkdir(path, 0700));
    (void)snprintf(path, sizeof path, "%s/%s/%s", dir, uid, RECORD_FILE);
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, buf_view(&b), 0600, NULL));
    buf_done(&b);
}

static void driver_open(struct driver *d)
{
    struct fault why;
    char dir[256];
    (void)snprintf(dir, sizeof dir, "%s", scratch_file("vms"));
    struct vmm_qemu_config c = {
        .dir = dir, .blob_dir = "/nowhere", .qemu = "/nowhere", .console_log_max = 64 * 1024};
    *d = (struct driver){
        .host = {.facts = {.slots = 10}, .list = host_list, .clean = host_clean},
        .hear = {on_event, d},
    };
    clock_os_init(&d->clock);
    entropy_os_init(&d->entropy);
    CHECK_EQ(ST_OK, loop_open(&d->loop, NULL));
    if (vmm_qemu_new(d->loop, &d->host, &d->clock, &d->entropy, &c, &d->vmm, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    d->vmm->events = &d->hear;
    make_vm(dir);
}

static void driver_close(struct driver *d)
{
    vmm_qemu_free(d->vmm);
    loop_close(d->loop);
}

static const struct vmm_event *look(struct driver *d)
{
    d->event_count = 0;
    d->vmm->look(d->vmm);
    for (int i = 0; i < TURNS_MAX; i++) {
        const struct vmm_event *last = d->event_count ? &d->event[d->event_count - 1] : NULL;
        if (last && (last->type == VMM_LOOKED || last->type == VMM_LOOK_FAILED))
            return last;
        CHECK_EQ(ST_OK, loop_turn(d->loop, TURN_MS, NULL));
    }
    tap_fail(__FILE__, __LINE__, "the look does not end");
}

TEST(vmm_that_cannot_look_says_so_and_ends_nothing)
{
    struct driver d;
    driver_open(&d);
    for (unsigned spare = 0; spare < 3;
         spare++) { /* for the directories of all and of one; the record */
        few_fds(spare);
        const struct vmm_event *e = look(&d);
        many_fds();
        CHECK_EQ(VMM_LOOK_FAILED, e->type);
        CHECK(strstr(e->detail, "Too many open files") != NULL);
        CHECK(spare == 0 || strstr(e->detail, uid) != NULL);
        CHECK_EQ(1, d.event_count);
        CHECK_EQ(0, d.cleaned);
    }
    CHECK_EQ(VMM_LOOKED, look(&d)->type);
    CHECK_EQ(2, d.event_count);
    CHECK_EQ(VMM_FOUND, d.event[0].type);
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, d.event[0].phase);
    CHECK_EQ(3, d.event[0].incarnation);
    CHECK_EQ(1, d.cleaned);
    driver_close(&d);
}
