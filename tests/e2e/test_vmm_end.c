/*
 * How VMs end, and that it is known: watched, or found by a driver that comes later.
 */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/file.h"
#include "support/vm_run.h"
#include "vmm/process.h"
#include "wire/shim.h"

static struct site site;
static struct site_vm one;

static void up(bool root)
{
    site_open(&site, root);
    site_vm(&one, 1);
}

static void deaf_data(void *ctx, enum vmm_channel from, struct str bytes)
{
    (void)ctx;
    (void)from;
    (void)bytes;
}

static void deaf_writable(void *ctx)
{
    (void)ctx;
}

static void deaf_closed(void *ctx, enum status s, const struct fault *why, int exit_status)
{
    (void)ctx;
    (void)s;
    (void)why;
    (void)exit_status;
}

static const struct vmm_stream_events deaf = {deaf_data, deaf_writable, deaf_closed, NULL};

/* A program that ends the guest: nobody hears how it ended itself. */
static void order(const char *script)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct vmm_stream_open o = {.kind = VMM_STREAM_EXEC, .argv = argv};
    struct vmm_stream *stream;
    struct fault why;
    if (site.vmm->open(site.vmm, one.uid, &o, &deaf, &stream, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
}

/* ask_shim: as another daemon of the same user could. */
static void ask_shim(uint8_t type, uint64_t value)
{
    struct shim_request q = {.type = type, .id = 1, .value = value};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct buf b;
    buf_init(&b, SHIM_REQUEST);
    shim_put_request(&b, &q);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%.60s/%s/shim.sock", site.dir, one.uid);
    CHECK_EQ(0, connect(fd, (struct sockaddr *)&a, sizeof a));
    CHECK_EQ(SHIM_REQUEST, send(fd, b.ptr, b.len, MSG_NOSIGNAL));
    buf_done(&b);
    (void)close(fd);
}

static struct vmm_event exited(Pb__ExitCause cause)
{
    struct vmm_event e = site_await(&site, one.uid, VMM_EXITED);
    CHECK_EQ(cause, e.cause);
    CHECK_EQ(one.incarnation, e.incarnation);
    CHECK(e.ended_ns > 0);
    return e;
}

/* One VM, started again and again. */
TEST(vmm_tells_how_a_vm_ended)
{
    up(true);
    (void)site_boot(&site, &one);
    order("poweroff -f");
    (void)exited(PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN);

    (void)site_boot(&site, &one);
    order("reboot -f");
    (void)exited(PB__EXIT_CAUSE__EXIT_GUEST_RESET);

    (void)site_boot(&site, &one);
    order("echo c > /proc/sysrq-trigger");
    struct vmm_event e = exited(PB__EXIT_CAUSE__EXIT_GUEST_PANIC);
    CHECK(strstr(e.detail, "Kernel panic - not syncing"));

    (void)site_boot(&site, &one);
    CHECK_EQ(0, kill((pid_t)site_shim_record(&site, one.uid).pid, SIGKILL));
    e = exited(PB__EXIT_CAUSE__EXIT_CRASHED);
    CHECK_STR("QEMU was ended by signal 9 (KILL)", e.detail);

    (void)site_boot(&site, &one);
    CHECK_EQ(0, kill((pid_t)site_shim_record(&site, one.uid).shim_pid, SIGKILL));
    e = exited(PB__EXIT_CAUSE__EXIT_CRASHED);
    CHECK_STR("its shim ended, and QEMU with it", e.detail);

    (void)site_boot(&site, &one);
    ask_shim(SHIM_DEADLINE, 1);
    (void)exited(PB__EXIT_CAUSE__EXIT_LEASE_EXPIRED);

    (void)site_boot(&site, &one);
    site.vmm->power(site.vmm, one.uid, one.incarnation, VMM_KILL);
    (void)exited(PB__EXIT_CAUSE__EXIT_KILLED);
    site_close(&site);
}

/* Asked for before the guest can hear it: the end comes all the same. */
TEST(vmm_kills_what_is_only_starting)
{
    up(true);
    site_start(&site, &one);
    site.vmm->power(site.vmm, one.uid, 1, VMM_KILL);
    (void)exited(PB__EXIT_CAUSE__EXIT_KILLED);
    site_start(&site, &one);
    (void)site_await(&site, one.uid, VMM_SPAWNED);
    site.vmm->power(site.vmm, one.uid, 2, VMM_KILL);
    (void)exited(PB__EXIT_CAUSE__EXIT_KILLED);
    site.vmm->power(site.vmm, one.uid, 2, VMM_KILL);
    CHECK_STR("it does not run", site_await(&site, one.uid, VMM_REFUSED).detail);
    site_close(&site);
}

TEST(vmm_starts_once)
{
    up(true);
    struct vmm_event e = site_boot(&site, &one);
    one.incarnation--;
    site_start(&site, &one); /* the same order again changes nothing */
    site_start(&site, &one); /* another one is refused */
    e = site_await(&site, one.uid, VMM_EXITED);
    CHECK_EQ(2, e.incarnation);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_START_FAILED, e.cause);
    CHECK_STR("an older incarnation of this VM still runs", e.detail);
    struct buf out;
    buf_init(&out, 4096);
    CHECK_EQ(0, site_sh(&site, one.uid, "true", &out));
    buf_done(&out);
    site.vmm->remove(site.vmm, one.uid); /* while it runs */
    e = site_await(&site, one.uid, VMM_EXITED);
    CHECK_EQ(1, e.incarnation);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_KILLED, e.cause);
    (void)site_await(&site, one.uid, VMM_REMOVED);
    site.vmm->remove(site.vmm, one.uid); /* what is not there is removed */
    (void)site_await(&site, one.uid, VMM_REMOVED);
    site_close(&site);
}

/* ---- starts that fail ---- */

static void check_fails(const char *text)
{
    site_start(&site, &one);
    struct vmm_event e = exited(PB__EXIT_CAUSE__EXIT_START_FAILED);
    if (!strstr(e.detail, text))
        tap_fail(__FILE__, __LINE__, "\"%s\" is not in \"%s\"", text, e.detail);
}

TEST(vmm_says_why_a_start_failed)
{
    up(false);
    Pb__Image bad = *site_image();
    Pb__Blob blob = *bad.kernel;
    char digest[] = "sha256:00000000000000000000000000000000000000000000000000000000000000ff";
    blob.digest = digest;
    bad.kernel = &blob;
    one.image = &bad;
    check_fails("the image's kernel is not on this node");
    blob = *site_image()->kernel;
    blob.size++;
    check_fails("bytes, not");
    one.image = site_image();

    /* QEMU's own words: the port is taken. */
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(s, (struct sockaddr *)&a, sizeof a) == 0 && listen(s, 1) == 0);
    CHECK_EQ(0, getsockname(s, (struct sockaddr *)&a, &len));
    Pb__PortForward p = PB__PORT_FORWARD__INIT, *ports[] = {&p};
    p.host_port = ntohs(a.sin_port);
    p.guest_port = 80;
    one.spec.ports = ports;
    one.spec.n_ports = 1;
    check_fails("Could not set up host forwarding rule");
    one.spec.n_ports = 0;
    one.spec.mem_mib = 1;
    check_fails("spec.mem_mib is out of range");
    one.spec.mem_mib = 128;
    (void)site_boot(&site, &one); /* none of it left anything in the way */
    site_close(&site);
}

/* ---- a driver that comes later ---- */

static struct vmm_event found(void)
{
    site_again(&site);
    site.vmm->look(site.vmm);
    struct vmm_event e = site_await(&site, one.uid, VMM_FOUND);
    (void)site_await(&site, NULL, VMM_LOOKED);
    CHECK_EQ(one.incarnation, e.incarnation);
    CHECK_EQ(one.incarnation + 100, e.generation);
    CHECK_EQ(1, e.epoch);
    return e;
}

TEST(vmm_adopts_what_runs)
{
    struct buf out;
    buf_init(&out, 4096);
    up(true);
    struct vmm_event ready = site_boot(&site, &one);
    struct shim_record before = site_shim_record(&site, one.uid);
    site_drop(&site);
    uint64_t from = site.clock.now_ms(&site.clock);
    struct vmm_event e = found();
    printf("# found after %" PRIu64 " ms\n", site.clock.now_ms(&site.clock) - from);
    CHECK_EQ(PB__VM_PHASE__VM_RUNNING, e.phase);
    CHECK_STR(ready.boot_id, e.boot_id);
    CHECK_STR(ready.address, e.address);
    CHECK_EQ(ready.started_ns, e.started_ns);
    CHECK_EQ(before.pid, site_shim_record(&site, one.uid).pid);
    for (bool again = true; again;) { /* the agent is connected a moment later */
        struct fault why;
        const char *const argv[] = {"true", NULL};
        struct vmm_stream_open o = {.kind = VMM_STREAM_EXEC, .argv = argv};
        struct vmm_stream *stream;
        again = site.vmm->open(site.vmm, one.uid, &o, &deaf, &stream, &why) != ST_OK;
        if (!again)
            site.vmm->close(site.vmm, stream);
        CHECK_EQ(ST_OK, loop_turn(site.loop, 50, NULL));
    }
    CHECK_EQ(0, site_sh(&site, one.uid, "cat /proc/sys/kernel/random/boot_id", &out));
    CHECK(strstr(buf_cstr(&out), ready.boot_id));

    site.vmm->power(site.vmm, one.uid, 1, VMM_PAUSE);
    (void)site_await(&site, one.uid, VMM_PAUSED);
    site_drop(&site);
    CHECK_EQ(PB__VM_PHASE__VM_PAUSED, found().phase);
    site.vmm->power(site.vmm, one.uid, 1, VMM_RESUME);
    (void)site_await(&site, one.uid, VMM_RESUMED);
    site.vmm->power(site.vmm, one.uid, 1, VMM_POWER_DOWN);
    (void)exited(PB__EXIT_CAUSE__EXIT_STOPPED);
    site_drop(&site); /* and one that comes after the end knows of it */
    e = found();
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, e.phase);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, e.cause);
    site_close(&site);
    buf_done(&out);
}

/* A start that was called off when its intent was on the disk already. */
TEST(vmm_knows_of_a_start_that_was_called_off)
{
    up(false);
    site_start(&site, &one);
    site.vmm->power(site.vmm, one.uid, 1, VMM_KILL);
    struct vmm_event told = exited(PB__EXIT_CAUSE__EXIT_KILLED);
    site_drop(&site);
    struct vmm_event e = found();
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, e.phase);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_KILLED, e.cause);
    CHECK_EQ(told.ended_ns, e.ended_ns);
    CHECK_STR(told.detail, e.detail);
    site_close(&site);
}

TEST(vmm_adopts_what_is_starting)
{
    up(true);
    site_start(&site, &one);
    (void)site_await(&site, one.uid, VMM_SPAWNED);
    site_drop(&site);
    struct vmm_event e = found();
    CHECK_EQ(PB__VM_PHASE__VM_STARTING, e.phase);
    e = site_await(&site, one.uid, VMM_READY);
    CHECK_EQ(36, strlen(e.boot_id));
    site_close(&site);
}

/* Wait for the end of the shim, of which nobody tells us. */
static void await_gone(const struct shim_record *r)
{
    int fd = -1;
    if (process_open(r->shim_pid, r->shim_start, &fd, NULL) != ST_OK)
        return;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_EQ(1, poll(&p, 1, SITE_WAIT_MS));
    (void)close(fd);
}

static struct vmm_event ended_unseen(const char *script, int signal)
{
    (void)site_boot(&site, &one);
    struct shim_record r = site_shim_record(&site, one.uid);
    struct buf out;
    buf_init(&out, 4096);
    if (script)
        CHECK_EQ(0, site_sh(&site, one.uid, script, &out));
    buf_done(&out);
    site_drop(&site);
    if (signal)
        CHECK_EQ(0, kill((pid_t)r.pid, signal));
    await_gone(&r);
    struct vmm_event e = found();
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, e.phase);
    return e;
}

TEST(vmm_knows_how_it_ended_unseen)
{
    up(true);
    struct vmm_event e =
        ended_unseen("setsid sh -c 'sleep 1; poweroff -f' >/dev/null 2>&1 </dev/null &", 0);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN, e.cause);
    CHECK(e.ended_ns > e.started_ns);
    e = ended_unseen("setsid sh -c 'sleep 1; reboot -f' >/dev/null 2>&1 </dev/null &", 0);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_GUEST_RESET, e.cause);
    e = ended_unseen(NULL, SIGKILL);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_CRASHED, e.cause);
    site_close(&site);
}

/* Somebody removed the directory of a VM that runs: it must not go on unknown. */
TEST(vmm_ends_orphans)
{
    up(true);
    if (!site.host->facts.cgroup)
        tap_skip("no cgroups, by which orphans are found");
    (void)site_boot(&site, &one);
    struct shim_record r = site_shim_record(&site, one.uid);
    site_drop(&site);
    char path[256];
    struct fault why;
    (void)snprintf(path, sizeof path, "%s/%s", site.dir, one.uid);
    CHECK_EQ(ST_OK, file_remove_tree(AT_FDCWD, path, &why));
    site_again(&site);
    site.vmm->look(site.vmm);
    (void)site_await(&site, NULL, VMM_LOOKED);
    (void)snprintf(path, sizeof path, "/proc/%u/exe", r.pid);
    CHECK(access(path, F_OK) != 0);
    site_close(&site);
}

/* That it was asked for is known to the next driver too. */
TEST(vmm_knows_that_an_unseen_end_was_asked_for)
{
    up(true);
    (void)site_boot(&site, &one);
    struct shim_record r = site_shim_record(&site, one.uid);
    size_t told = site.event_count;
    site.vmm->power(site.vmm, one.uid, one.incarnation, VMM_POWER_DOWN);
    for (int i = 0; i < 10; i++) /* it is sent; a guest takes longer than this to obey */
        CHECK_EQ(ST_OK, loop_turn(site.loop, 0, NULL));
    CHECK_EQ(told, site.event_count);
    site_drop(&site);
    await_gone(&r);
    struct vmm_event e = found();
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, e.phase);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, e.cause);

    (void)site_boot(&site, &one); /* and then its shim ends before it can leave word of it */
    r = site_shim_record(&site, one.uid);
    CHECK_EQ(0, kill((pid_t)r.shim_pid, SIGSTOP));
    site.vmm->power(site.vmm, one.uid, one.incarnation, VMM_KILL);
    site_drop(&site);
    CHECK_EQ(0, kill((pid_t)r.shim_pid, SIGKILL));
    await_gone(&r);
    e = found();
    CHECK_EQ(PB__VM_PHASE__VM_STOPPED, e.phase);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_KILLED, e.cause);

    (void)site_boot(&site, &one); /* what was asked of one incarnation was not asked of the next */
    r = site_shim_record(&site, one.uid);
    site_drop(&site);
    CHECK_EQ(0, kill((pid_t)r.shim_pid, SIGKILL));
    await_gone(&r);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_LOST, found().cause);
    site_close(&site);
}
