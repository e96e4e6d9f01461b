/*
 * What one does with a VM that runs: console, programs, files, disks, ports, addresses, measures.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.h"
#include "crypto/digest.h"
#include "os/file.h"
#include "support/vm_stream_run.h"
#include "vmm/prepare.h"
#include "wire/agent.h"

enum { FILE_SIZE = 3 * 1024 * 1024 + 17, GUEST_PORT = 8080 };

static struct site site;
static struct site_vm one;
static struct buf out;

/* ---- measures ---- */

/* The clock that the driver sees: ahead of the real one, or standing still. */
static struct clock real_clock;
static uint64_t ahead_ms, still_ms;

static uint64_t moved_ms(struct clock *c)
{
    (void)c;
    return still_ms ? still_ms : real_clock.now_ms(&real_clock) + ahead_ms;
}

static struct vmm_stats stats(void)
{
    struct vmm_stats m;
    CHECK_EQ(ST_OK, site.vmm->stats(site.vmm, one.uid, &m));
    return m;
}

static bool all_known(const struct vmm_stats *m)
{
    return m->cpu_ns != UINT64_MAX && m->rss_bytes != UINT64_MAX && m->read_bytes != UINT64_MAX &&
           m->write_bytes != UINT64_MAX && m->rx_bytes != UINT64_MAX && m->tx_bytes != UINT64_MAX &&
           m->guest_mem_total != UINT64_MAX && m->guest_mem_available != UINT64_MAX;
}

static void turn_for(uint64_t ms)
{
    uint64_t until = real_clock.now_ms(&real_clock) + ms;
    while (real_clock.now_ms(&real_clock) < until)
        CHECK_EQ(ST_OK, loop_turn(site.loop, 50, NULL));
}

static void await_stats(void)
{
    uint64_t until = real_clock.now_ms(&real_clock) + SITE_WAIT_MS;
    for (struct vmm_stats m = stats(); !all_known(&m); m = stats()) {
        CHECK(real_clock.now_ms(&real_clock) < until);
        CHECK_EQ(ST_OK, loop_turn(site.loop, 50, NULL));
    }
}

/* ---- all of it ---- */

static void up(bool root)
{
    site_open(&site, root);
    real_clock = site.clock;
    site_vm(&one, 1);
    buf_init(&out, 8 << 20);
}

static void down(void)
{
    site_close(&site);
    buf_done(&out);
}

static int sh(const char *script)
{
    return site_sh(&site, one.uid, script, &out);
}

static void stop(void)
{
    site.vmm->power(site.vmm, one.uid, one.incarnation, VMM_POWER_DOWN);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_STOPPED, site_await(&site, one.uid, VMM_EXITED).cause);
}

TEST(vmm_serves_console_and_log)
{
    struct talk console, other, log;
    up(true);
    (void)site_boot(&site, &one);
    struct vmm_stream_open c = {.kind = VMM_STREAM_CONSOLE};
    struct vmm_stream_open l = {.kind = VMM_STREAM_LOG, .tail = 1 << 20, .follow = true};
    talk_open(&log, &site, one.uid, &l);
    talk_open(&console, &site, one.uid, &c);
    talk_open(&other, &site, one.uid, &c);
    CHECK_EQ(0, sh("echo said-by-the-guest > /dev/ttyS0"));
    talk_until(&console, "said-by-the-guest");
    talk_until(&other, "said-by-the-guest");
    talk_until(&log, "said-by-the-guest");
    CHECK_EQ(0, sh("(read line < /dev/ttyS0; echo got-$line > /dev/ttyS0) >/dev/null 2>&1 & true"));
    /* The line is open only after a moment: say it until it is heard. */
    while (!strstr(buf_cstr(&console.out), "got-hello")) {
        talk_write(&console, STR("hello\n"));
        for (int i = 0; i < 5; i++)
            CHECK_EQ(ST_OK, loop_turn(site.loop, 50, NULL));
    }
    talk_until(&log, "got-hello");
    site.vmm->close(site.vmm, other.stream);
    stop();
    talk_end(&console, ST_UNAVAILABLE); /* a console ends with its VM */
    CHECK(!log.done);                   /* a log does not */

    struct talk past; /* nor does one need a VM that runs */
    l = (struct vmm_stream_open){.kind = VMM_STREAM_LOG, .tail = 1 << 20};
    talk_open(&past, &site, one.uid, &l);
    talk_end(&past, ST_OK);
    CHECK(strstr(buf_cstr(&past.out), "got-hello"));
    (void)site_boot(&site, &one); /* the next start goes on in the same log */
    CHECK_EQ(0, sh("echo second-life > /dev/ttyS0"));
    talk_until(&log, "second-life");
    site.vmm->close(site.vmm, log.stream);
    buf_done(&console.out);
    buf_done(&other.out);
    buf_done(&log.out);
    buf_done(&past.out);
    down();
}

/* A guest that talks and talks does not fill the disk. */
TEST(vmm_keeps_a_console_log_short)
{
    char path[256];
    struct stat st;
    up(false);
    (void)site_boot(&site, &one);
    CHECK_EQ(0, sh("head -c 150000 /dev/zero | tr '\\0' x > /dev/ttyS0"));
    (void)snprintf(path, sizeof path, "%s/%s/%s", site.dir, one.uid, PREPARE_CONSOLE_LOG);
    uint64_t until = site.clock.now_ms(&site.clock) + SITE_WAIT_MS;
    do {
        CHECK_EQ(ST_OK, loop_turn(site.loop, 50, NULL));
        CHECK_EQ(0, stat(path, &st));
        CHECK(site.clock.now_ms(&site.clock) < until);
    } while (st.st_size < 150000 || st.st_blocks * 512 > 64 * 1024 + 8192);
    down();
}

/* As a guest that never stops speaking. */
static void say(const char *line, size_t count)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s/" PREPARE_CONSOLE_LOG, site.dir, one.uid);
    FILE *f = fopen(path, "a");
    CHECK(f);
    for (size_t i = 0; i < count; i++)
        CHECK(fprintf(f, "%s\n", line) > 0);
    CHECK_EQ(0, fclose(f));
}

/* A log that is not followed ends with what was there when it was asked for, however slowly it is read. */
TEST(vmm_log_ends_where_it_was_when_opened)
{
    struct talk log;
    up(false);
    (void)site_boot(&site, &one);
    stop();
    say("much was said before", 10000);
    say("the last before", 1);
    struct vmm_stream_open o = {.kind = VMM_STREAM_LOG, .tail = 1 << 20};
    talk_open(&log, &site, one.uid, &o);
    log.hold = true;
    talk_until(&log, "much was said before");
    say("said after", 10000);
    CHECK(!log.done);
    log.hold = false;
    site.vmm->grant(site.vmm, log.stream, log.out.len);
    talk_end(&log, ST_OK);
    CHECK(str_ends(buf_view(&log.out), "before\nthe last before\n"));
    CHECK(!strstr(buf_cstr(&log.out), "said after"));
    buf_done(&log.out);
    down();
}

TEST(vmm_runs_programs)
{
    struct talk t;
    up(false);
    (void)site_boot(&site, &one);
    const char *const cat[] = {"sh", "-c", "cat; echo $WHO; pwd; exit 3", NULL};
    const char *const env[] = {"WHO=me", NULL};
    struct vmm_stream_open o = {.kind = VMM_STREAM_EXEC, .argv = cat, .env = env, .cwd = "/tmp"};
    talk_open(&t, &site, one.uid, &o);
    talk_write(&t, STR("one\n"));
    talk_until(&t, "one\n");
    talk_write(&t, STR("two\n"));
    site.vmm->write_end(site.vmm, t.stream);
    talk_end(&t, ST_OK);
    CHECK_EQ(3, t.exit_status);
    CHECK_STR("one\ntwo\nme\n/tmp\n", buf_cstr(&t.out));
    buf_done(&t.out);

    /* Much output waits until there is room for it, and nobody else waits with it. */
    const char *const much[] = {"dd", "if=/dev/zero", "bs=65536", "count=40", NULL};
    o = (struct vmm_stream_open){.kind = VMM_STREAM_EXEC, .argv = much};
    talk_open(&t, &site, one.uid, &o);
    t.hold = true;
    CHECK_EQ(0, sh("true"));
    CHECK(!t.done && t.out.len <= AGENT_WINDOW);
    t.hold = false;
    site.vmm->grant(site.vmm, t.stream, t.out.len);
    talk_end(&t, ST_OK);
    CHECK(t.out.len >= 40 * 65536);
    buf_done(&t.out);

    const char *const killed[] = {"sh", "-c", "kill -9 $$", NULL};
    o.argv = killed;
    talk_open(&t, &site, one.uid, &o);
    talk_end(&t, ST_OK);
    CHECK_EQ(128 + 9, t.exit_status);
    const char *const none[] = {"/no/such/program", NULL};
    o.argv = none;
    talk_open(&t, &site, one.uid, &o);
    talk_end(&t, ST_NOT_FOUND);

    const char *const tty[] = {"sh", "-c", "stty size; tty; read x", NULL};
    o = (struct vmm_stream_open){
        .kind = VMM_STREAM_EXEC, .argv = tty, .tty = true, .rows = 33, .cols = 111};
    talk_open(&t, &site, one.uid, &o);
    talk_until(&t, "33 111");
    talk_until(&t, "/dev/pts/");
    talk_write(&t, STR("\x03")); /* Ctrl-C */
    talk_end(&t, ST_OK);
    CHECK_EQ(128 + 2, t.exit_status);
    buf_done(&t.out);

    /* Given up: it is killed. */
    const char *const forever[] = {"sh", "-c", "exec sleep 12345", NULL};
    o = (struct vmm_stream_open){.kind = VMM_STREAM_EXEC, .argv = forever};
    talk_open(&t, &site, one.uid, &o);
    site.vmm->close(site.vmm, t.stream);
    CHECK_EQ(1, sh("i=0; while pidof sleep && [ $i -lt 50 ]; do i=$((i+1)); sleep 0.1; done; "
                   "pidof sleep"));
    down();
}

TEST(vmm_moves_files)
{
    struct talk push, pull;
    struct rng r = {7};
    uint8_t raw[DIGEST_SIZE];
    char text[DIGEST_TEXT_MAX];
    AUTO(auto_free) char *data = mem_new(FILE_SIZE);
    for (size_t i = 0; i < FILE_SIZE; i++)
        data[i] = (char)rng_next(&r);
    digest_of(data, FILE_SIZE, raw);
    digest_text(raw, text);
    up(false);
    (void)site_boot(&site, &one);
    struct vmm_stream_open o = {
        .kind = VMM_STREAM_PUSH, .path = "/root/file", .mode = 0640, .size = FILE_SIZE};
    talk_open(&push, &site, one.uid, &o);
    talk_write(&push, (struct str){data, FILE_SIZE});
    site.vmm->write_end(site.vmm, push.stream);
    talk_end(&push, ST_OK);
    CHECK_EQ(0, sh("sha256sum /root/file; stat -c %a /root/file"));
    CHECK(strstr(buf_cstr(&out), text + 7) && strstr(buf_cstr(&out), "640\n"));

    o = (struct vmm_stream_open){.kind = VMM_STREAM_PULL, .path = "/root/file"};
    talk_open(&pull, &site, one.uid, &o);
    talk_end(&pull, ST_OK);
    CHECK_EQ(FILE_SIZE, pull.out.len);
    CHECK(memcmp(pull.out.ptr, data, FILE_SIZE) == 0);
    buf_done(&pull.out);
    o.path = "/not/there";
    talk_open(&pull, &site, one.uid, &o);
    talk_end(&pull, ST_NOT_FOUND);
    down();
}

/* What is written to disks, and what is left of it at the next start. */
TEST(vmm_keeps_what_should_be_kept)
{
    Pb__Volume v = PB__VOLUME__INIT, *volumes[] = {&v};
    char name[] = "data";
    v.name = name;
    v.size_mib = 16;
    up(true);
    one.image = site_disk_image();
    one.spec.volumes = volumes;
    one.spec.n_volumes = 1;
    one.spec.root = PB__ROOT_KIND__ROOT_PERSISTENT;
    one.spec.root_size_mib = 64;
    struct vmm_event e = site_boot(&site, &one);
    CHECK_STR("", e.detail);
    CHECK_EQ(0, sh("mount | grep ' / '; echo kept > /kept; ls -l /dev/disk/by-id; "
                   "cat /sys/block/*/size; sync"));
    CHECK(strstr(buf_cstr(&out), "ext4"));
    CHECK(strstr(buf_cstr(&out), "131072\n") && strstr(buf_cstr(&out), "32768\n"));
    CHECK_EQ(0, sh("echo volume > /dev/disk/by-id/virtio-data; sync"));
    stop();

    v.size_mib = 24; /* volumes grow */
    (void)site_boot(&site, &one);
    CHECK_EQ(0, sh("cat /kept; head -c 6 /dev/disk/by-id/virtio-data; cat /sys/block/*/size"));
    CHECK(strstr(buf_cstr(&out), "kept\n") && strstr(buf_cstr(&out), "volume"));
    CHECK(strstr(buf_cstr(&out), "49152\n"));
    stop();

    v.size_mib = 8; /* and do not shrink */
    site_start(&site, &one);
    e = site_await(&site, one.uid, VMM_EXITED);
    CHECK_STR("volume data has 24 MiB and cannot shrink", e.detail);

    v.size_mib = 24;
    v.read_only = true;
    one.spec.root = PB__ROOT_KIND__ROOT_EPHEMERAL;
    (void)site_boot(&site, &one);
    CHECK_EQ(1, sh("test -e /kept"));
    CHECK_EQ(1, sh("echo no > /dev/disk/by-id/virtio-data"));
    CHECK_EQ(0, sh("echo again > /kept; head -c 6 /dev/disk/by-id/virtio-data; sync"));
    CHECK_STR("volume", buf_cstr(&out));
    stop();
    (void)site_boot(&site, &one);
    CHECK_EQ(1, sh("test -e /kept"));

    await_stats();
    struct vmm_stats m = stats();
    CHECK(m.cpu_ns > 100000000 && m.cpu_ns != UINT64_MAX);
    CHECK(m.rss_bytes > (64 << 20) && m.rss_bytes != UINT64_MAX);
    CHECK(m.read_bytes > 0 && m.read_bytes != UINT64_MAX);
    CHECK(m.guest_mem_total > (64 << 20) && m.guest_mem_total < (128 << 20));
    CHECK(m.guest_mem_available > 0 && m.guest_mem_available < m.guest_mem_total);
    down();
}

/* What is told was measured within seconds, or it is not told. */
TEST(vmm_tells_no_old_measures)
{
    up(false);
    site.clock.now_ms = moved_ms;
    (void)site_boot(&site, &one);
    await_stats();
    ahead_ms += 3600000; /* nobody asked for an hour */
    struct vmm_stats m = stats();
    CHECK(m.cpu_ns != UINT64_MAX && m.rss_bytes != UINT64_MAX);
    CHECK(m.read_bytes == UINT64_MAX && m.write_bytes == UINT64_MAX);
    CHECK(m.guest_mem_total == UINT64_MAX && m.guest_mem_available == UINT64_MAX);
    CHECK(m.rx_bytes == UINT64_MAX && m.tx_bytes == UINT64_MAX);
    await_stats(); /* but it was asked for */

    /* Who asks every now and then finds it measured. */
    ahead_ms += 9000;
    turn_for(8000);
    m = stats();
    CHECK(all_known(&m));

    /* All that ask at the same time are told the same, without much ado. */
    still_ms = moved_ms(NULL);
    m = stats();
    CHECK_EQ(0, sh("dd if=/dev/zero of=/dev/null bs=1M count=500"));
    CHECK(m.cpu_ns == stats().cpu_ns);
    still_ms = 0;
    ahead_ms += 3000;
    CHECK(m.cpu_ns < stats().cpu_ns);
    down();
}

/* ---- little room ---- */

/* The VMs' directory on a file system that holds little. */
static void up_on_little(const char *size)
{
    up(true);
    site_drop(&site);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", site.dir, "tmpfs", 0, size) != 0)
        tap_skip("no file system of its own");
    site_again(&site);
}

static void down_on_little(void)
{
    site.vmm->remove(site.vmm, one.uid);
    (void)site_await(&site, one.uid, VMM_REMOVED);
    site_drop(&site);
    CHECK_EQ(0, umount(site.dir));
    site_again(&site);
    down();
}

/* A guest that writes more than the host can hold is told so by its disk, and goes on. */
TEST(vmm_tells_the_guest_that_the_host_is_full)
{
    Pb__Volume v = PB__VOLUME__INIT, *volumes[] = {&v};
    char name[] = "data";
    v.name = name;
    v.size_mib = 64;
    up_on_little("size=16m");
    one.spec.volumes = volumes;
    one.spec.n_volumes = 1;
    (void)site_boot(&site, &one);
    CHECK_EQ(1, sh("dd if=/dev/zero of=/dev/vda bs=1M count=48 conv=fsync"));
    CHECK(strstr(buf_cstr(&out), "Input/output error"));
    CHECK_EQ(0, sh("dd if=/dev/vda of=/dev/null bs=1M count=4"));
    stop(); /* nobody heard that it was paused: it never was */
    down_on_little();
}

/* ---- networks ---- */

/* Connect and read one line; the guest may need a moment until it listens. */
static void check_line(struct sockaddr_in *to, const char *want)
{
    char line[64] = "";
    uint64_t until = site.clock.now_ms(&site.clock) + SITE_WAIT_MS;
    for (ssize_t n = 0; n <= 0;) {
        CHECK(site.clock.now_ms(&site.clock) < until);
        CHECK_EQ(ST_OK, loop_turn(site.loop, 50, NULL));
        int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval limit = {.tv_sec = 5};
        CHECK_EQ(0, setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
        if (connect(s, (struct sockaddr *)to, sizeof *to) == 0)
            n = recv(s, line, sizeof line - 1, 0);
        (void)close(s);
    }
    CHECK_STR(want, line);
}

static const char serve[] = "(while true; do echo from-the-guest | nc -l -p 8080; done) "
                            ">/dev/null 2>&1 </dev/null &";

static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(0, bind(s, (struct sockaddr *)&a, sizeof a));
    CHECK_EQ(0, getsockname(s, (struct sockaddr *)&a, &len));
    (void)close(s);
    return ntohs(a.sin_port);
}

TEST(vmm_forwards_ports)
{
    up(false);
    Pb__PortForward p = PB__PORT_FORWARD__INIT, *ports[] = {&p};
    p.host_port = free_port();
    p.guest_port = GUEST_PORT;
    one.spec.ports = ports;
    one.spec.n_ports = 1;
    struct vmm_event e = site_boot(&site, &one);
    CHECK_STR("", e.address);
    CHECK_EQ(0, sh(serve));
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)p.host_port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    check_line(&to, "from-the-guest\n");
    down();
}

TEST(vmm_routes_an_address)
{
    up(true);
    if (!site.host->facts.tap)
        tap_skip(site.host->facts.why);
    struct site_vm two;
    site_vm(&two, 2);
    struct vmm_event e = site_boot(&site, &one), e2 = site_boot(&site, &two);
    CHECK_STR("10.83.0.1", e.address);
    CHECK_STR("10.83.0.2", e2.address);
    CHECK_EQ(0, sh(serve));
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(GUEST_PORT)};
    CHECK_EQ(1, inet_pton(AF_INET, e.address, &to.sin_addr));
    check_line(&to, "from-the-guest\n");

    struct vmm_stats m = stats();
    CHECK(m.rx_bytes > 0 && m.rx_bytes < 1 << 20 && m.tx_bytes > 0);
    down();
}
