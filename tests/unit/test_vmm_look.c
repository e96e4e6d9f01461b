/*
 * What a driver tells of a machine that it cannot look at: that it could not, never that nothing is there.
 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock_os.h"
#include "os/entropy_os.h"
#include "support/few_fds.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "vmm/prepare.h"
#include "vmm/process.h"
#include "vmm/record.h"
#include "vmm/sock.h"
#include "vmm/vmm_qemu.h"
#include "wire/shim.h"

enum { EVENTS_MAX = 16, TURN_MS = 1000, TURNS_MAX = 10, PATIENCE_MS = 30000 };

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
    enum status list; /* what the helper says when it is to list VMs */
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
    enum status s = CONTAINER_OF(h, struct driver, host)->list;
    (void)snprintf(uids[0], sizeof uids[0], "%s", uid);
    done(ctx, s, (const char(*)[HOST_UID_MAX])uids, s == ST_OK);
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

TEST(vmm_that_cannot_list_what_is_left_says_so)
{
    struct driver d;
    driver_open(&d);
    d.list = ST_UNAVAILABLE;
    CHECK_EQ(VMM_LOOK_FAILED, look(&d)->type);
    d.list = ST_OK;
    CHECK_EQ(VMM_LOOKED, look(&d)->type);
    driver_close(&d);
}

/* --- a shim, played by the test, and processes that do nothing --- */

static pid_t idle_process(void)
{
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        for (;;)
            (void)pause();
    return pid;
}

static void end_process(pid_t pid)
{
    CHECK_EQ(0, kill(pid, SIGKILL));
    CHECK_EQ(pid, waitpid(pid, NULL, 0));
}

static struct shim_record record_of(pid_t shim, pid_t monitor)
{
    struct shim_record r = {.epoch = 1, .incarnation = 3, .phase = SHIM_RUNNING};
    memcpy(r.uid, uid, sizeof uid);
    r.shim_pid = (uint32_t)shim;
    r.shim_start = process_start_time(r.shim_pid);
    r.pid = (uint32_t)monitor;
    r.start = monitor ? process_start_time(r.pid) : 0;
    return r;
}

/* Answer the one question that it was asked. */
static void answer_as_shim(int listener, const struct shim_record *r)
{
    char bytes[SHIM_REQUEST + 1];
    struct shim_request asked;
    struct shim_answer a = {.type = SHIM_DONE, .record = *r};
    AUTO(buf_done) struct buf b;
    buf_init(&b, SHIM_MESSAGE_MAX);
    int fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0);
    ssize_t got = recv(fd, bytes, sizeof bytes, 0);
    CHECK_EQ(SHIM_REQUEST, got);
    CHECK_EQ(ST_OK, shim_get_request((struct str){bytes, (size_t)got}, &asked, NULL));
    a.id = asked.id;
    CHECK_EQ(ST_OK, shim_put_answer(&b, &a, NULL));
    CHECK_EQ(b.len, send(fd, b.ptr, b.len, 0));
    CHECK_EQ(0, close(fd));
}

static void leave_word(const char *dir, const struct shim_record *r)
{
    char path[300];
    AUTO(buf_done) struct buf b;
    buf_init(&b, SHIM_RECORD_MAX);
    (void)snprintf(path, sizeof path, "%s/%s/%s", dir, uid, SHIM_FILE);
    CHECK_EQ(ST_OK, shim_put_record(&b, r, NULL));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, buf_view(&b), 0600, NULL));
}

static bool told(const struct driver *d, enum vmm_event_type type)
{
    for (size_t i = 0; i < d->event_count; i++)
        if (d->event[i].type == type)
            return true;
    return false;
}

static void turn_until(struct driver *d, bool (*holds)(const struct driver *d))
{
    uint64_t end_ms = d->clock.now_ms(&d->clock) + PATIENCE_MS;
    while (!holds(d) && d->clock.now_ms(&d->clock) < end_ms)
        CHECK_EQ(ST_OK, loop_turn(d->loop, TURN_MS, NULL));
    CHECK(holds(d));
}

static bool has_exited(const struct driver *d)
{
    return told(d, VMM_EXITED);
}

static bool was_cleaned_or_exited(const struct driver *d)
{
    return d->cleaned > 0 || has_exited(d);
}

static bool was_found(const struct driver *d)
{
    return told(d, VMM_FOUND);
}

TEST(vmm_that_cannot_see_a_monitor_does_not_take_it_for_ended)
{
    struct driver d;
    char dir[256], path[300];
    driver_open(&d);
    (void)snprintf(dir, sizeof dir, "%s", scratch_file("vms"));
    (void)snprintf(path, sizeof path, "%s/%s", dir, uid);
    int vm_dir = open(path, O_RDONLY | O_DIRECTORY), listener = -1;
    CHECK_EQ(ST_OK, sock_listen(vm_dir, PREPARE_SHIM_SOCKET, SOCK_SEQPACKET, &listener, NULL));
    CHECK_EQ(0, close(vm_dir));
    pid_t shim = idle_process(), monitor = idle_process();
    struct shim_record early = record_of(shim, 0), late = record_of(shim, monitor);

    d.vmm->look(d.vmm);
    answer_as_shim(listener, &early);
    turn_until(&d, was_found);

    leave_word(dir, &late);
    d.cleaned = 0;
    end_process(shim);
    few_fds(0);
    turn_until(&d,
               was_cleaned_or_exited); /* it sees the shim's end, looks, and has all of it ended */
    many_fds();
    for (int i = 0; i < TURNS_MAX; i++)
        CHECK_EQ(ST_OK, loop_turn(d.loop, 0, NULL));
    CHECK(!has_exited(&d));

    end_process(monitor);
    turn_until(&d, has_exited);
    CHECK_EQ(0, close(listener));
    driver_close(&d);
}
