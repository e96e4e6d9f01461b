/*
 * The root helper with real cgroups, taps and processes, in a network namespace of its own. A program
 * that tells its arguments and sleeps stands for QEMU.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "host/filter.h"
#include "host/helper.h"
#include "host/tap.h"
#include "support/shim_run.h"

enum { ID_FIRST = 1999800000, OWN = 1999700000, SLOT = 7, TURN_MS = 50, GUEST_PORT = 4711 };
#define SUBNET  UINT32_C(0x0a530000)
#define GATEWAY UINT32_C(0xa9fe0101)

/* What the callbacks fill. */
struct told {
    bool done;
    enum status status;
    struct fault why;
    struct host_spawned spawned;
    size_t count;
    char uid[4][HOST_UID_MAX];
    bool lost;
};

static struct loop *loop;

static void on_spawned(void *ctx, enum status s, const struct fault *why,
                       const struct host_spawned *r)
{
    struct told *t = ctx;
    t->done = true;
    t->status = s;
    if (why)
        t->why = *why;
    if (r)
        t->spawned = *r;
}

static void on_cleaned(void *ctx, enum status s, const struct fault *why)
{
    on_spawned(ctx, s, why, NULL);
}

static void on_listed(void *ctx, enum status s, const char (*uid)[HOST_UID_MAX], size_t count)
{
    struct told *t = ctx;
    on_spawned(ctx, s, NULL, NULL);
    t->count = count;
    for (size_t i = 0; i < count && i < 4; i++)
        memcpy(t->uid[i], uid[i], HOST_UID_MAX);
}

static void on_lost(void *ctx)
{
    struct told *t = ctx;
    t->lost = true;
}

static void await(const bool *done)
{
    uint64_t until = run_clock_ms(CLOCK_MONOTONIC) + RUN_WAIT_MS;
    while (!*done && run_clock_ms(CLOCK_MONOTONIC) < until)
        CHECK_EQ(ST_OK, loop_turn(loop, TURN_MS, NULL));
    CHECK(*done);
}

/* A tag that no other test has. */
static const char *tag(void)
{
    static char text[8];
    (void)snprintf(text, sizeof text, "t%03u", (unsigned)getpid() % 1000U);
    return text;
}

/* Where any user may run it. It sleeps for as long as its argument behind the helper's says. */
static const char *sleeper(void)
{
    static char path[256];
    if (!path[0]) {
        (void)snprintf(path, sizeof path, "%s", scratch_file("sleeper"));
        struct str script = STR("#!/bin/sh\necho \"$*\" >&2\nshift 2\nexec sleep \"$@\"\n");
        CHECK_EQ(0, chmod(scratch_dir(), 0711));
        CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, script, 0755, NULL));
        CHECK_EQ(0, chmod(path, 0755));
    }
    return path;
}

static struct host *helper(struct told *t)
{
    struct request_init i;
    struct host *h = NULL;
    struct fault why;
    if (geteuid() != 0)
        tap_skip("not root: nothing for a helper to do");
    if (unshare(CLONE_NEWNET) != 0)
        tap_skip("no network namespace of its own");
    helper_defaults(&i);
    memcpy(i.tag, tag(), REQUEST_TAG_MAX);
    (void)snprintf(i.qemu, sizeof i.qemu, "%s", sleeper());
    (void)snprintf(i.shim, sizeof i.shim, "%s", run_program("guest/shim/blixard-shim"));
    i.id_first = ID_FIRST;
    i.own_id = i.own_group = OWN;
    if (!loop)
        CHECK_EQ(ST_OK, loop_open(&loop, NULL));
    if (helper_start(loop, run_program("src/host/blixard-helper"), &i, on_lost, t, &h, &why) !=
        ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    return h;
}

/* The last helper leaves nothing. */
static void stop(struct host *h)
{
    char path[64];
    helper_stop(h);
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup/memory/blixard-%s", tag());
    CHECK(access(path, F_OK) != 0);
    loop_close(loop);
}

static struct host_spawn a_spawn(const struct run *r)
{
    static const char *argv[] = {NULL, "600"};
    argv[0] = sleeper();
    return (struct host_spawn){.uid = RUN_UID,
                               .slot = SLOT,
                               .epoch = 1,
                               .incarnation = 1,
                               .deadline_ms = UINT64_MAX,
                               .net = HOST_NET_TAP,
                               .address = SUBNET + 1 + SLOT,
                               .mem_bytes = UINT64_C(200) << 20,
                               .cpu_milli = 1500,
                               .task_count = 99,
                               .dir = r->dir,
                               .listen = r->listen,
                               .argv = argv,
                               .argc = ARRAY_COUNT(argv)};
}

/* Until the script has said what it was called with, and is the sleep itself. */
static void await_exec(uint32_t pid)
{
    uint64_t until = run_clock_ms(CLOCK_MONOTONIC) + RUN_WAIT_MS;
    char path[64], name[16] = "";
    (void)snprintf(path, sizeof path, "/proc/%u/comm", pid);
    while (strcmp(name, "sleep\n") != 0 && run_clock_ms(CLOCK_MONOTONIC) < until) {
        AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0);
        ssize_t n = read(fd, name, sizeof name - 1);
        CHECK(n >= 0);
        name[n] = 0;
    }
    CHECK_STR("sleep\n", name);
}

static struct told spawned(struct host *h, const struct host_spawn *s)
{
    struct told t = {0};
    h->spawn(h, s, on_spawned, &t);
    await(&t.done);
    return t;
}

static struct told cleaned(struct host *h)
{
    struct told t = {0};
    h->clean(h, RUN_UID, on_cleaned, &t);
    await(&t.done);
    return t;
}

static void check_file(const char *want, const char *path)
{
    struct buf b;
    buf_init(&b, 4096);
    CHECK_EQ(ST_OK, file_read(AT_FDCWD, path, &b, NULL));
    CHECK_STR(want, buf_cstr(&b));
    buf_done(&b);
}

static void check_limits(const struct host *h, uint32_t pid)
{
    char path[160], want[32];
    (void)snprintf(want, sizeof want, "%u\n", pid);
    if (h->facts.cgroup != 1)
        return;
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup/memory/blixard-%s/" RUN_UID "/%s", tag(),
                   "memory.limit_in_bytes");
    check_file("209715200\n", path);
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup/cpu/blixard-%s/" RUN_UID "/%s", tag(),
                   "cpu.cfs_quota_us");
    check_file("150000\n", path);
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup/pids/blixard-%s/" RUN_UID "/%s", tag(),
                   "pids.max");
    check_file("99\n", path);
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup/pids/blixard-%s/" RUN_UID "/%s", tag(),
                   "cgroup.procs");
    check_file(want, path); /* the monitor alone: the shim does not count against its VM */
}

TEST(host_says_what_it_can)
{
    struct told t = {0};
    struct host *h = helper(&t);
    printf("# cgroup version %u, memory %d, cpu %d, pids %d, tap %d, filter %d; missing: %s\n",
           h->facts.cgroup, h->facts.cgroup_memory, h->facts.cgroup_cpu, h->facts.cgroup_pids,
           h->facts.tap, h->facts.filter, h->facts.why);
    CHECK(h->facts.privileged);
    CHECK_EQ(4000, h->facts.slots);
    stop(h);
}

TEST(host_spawns_with_limits_and_tap_and_leaves_nothing)
{
    struct told t = {0};
    struct host *h = helper(&t);
    struct run r;
    if (!h->facts.tap)
        tap_skip(h->facts.why);
    run_directory(&r);
    CHECK_EQ(0, fchown(r.dir, OWN, OWN));
    struct host_spawn s = a_spawn(&r);
    struct told up = spawned(h, &s);
    CHECK_STR("", up.why.text);
    char name[TAP_NAME_MAX];
    tap_name(tag(), SLOT, name);
    CHECK(if_nametoindex(name) > 0);
    int fd = run_connect(&r);
    struct shim_record record = run_running(fd);
    CHECK_EQ(up.spawned.shim_pid, record.shim_pid);
    CHECK_EQ(SHIM_WALLS, record.walls);
    await_exec(record.pid);
    char proc[64];
    struct stat st;
    (void)snprintf(proc, sizeof proc, "/proc/%u", record.pid);
    CHECK_EQ(0, stat(proc, &st));
    CHECK_EQ(ID_FIRST + SLOT, st.st_uid);
    check_limits(h, record.pid);

    /* Not twice. */
    struct told again = spawned(h, &s);
    CHECK_EQ(ST_IN_USE, again.status);

    struct told list = {0};
    h->list(h, on_listed, &list);
    await(&list.done);
    CHECK_EQ(1, list.count);
    CHECK_STR(RUN_UID, list.uid[0]);

    CHECK_EQ(ST_OK, cleaned(h).status); /* kills what is left */
    run_await(up.spawned.shim_pidfd);
    record = run_record(&r);
    CHECK_EQ(SHIM_ITSELF, record.cause);
    CHECK(str_eq(STR("-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
                     "resourcecontrol=deny 600\n"),
                 record.tail)); /* the wall that is the helper's to put up */
    CHECK_EQ(0, if_nametoindex(name));
    list = (struct told){0};
    h->list(h, on_listed, &list);
    await(&list.done);
    CHECK_EQ(0, list.count);
    CHECK_EQ(ST_OK, cleaned(h).status); /* idempotent */
    stop(h);
}

TEST(host_gives_user_network_no_namespace)
{
    struct told t = {0};
    struct host *h = helper(&t);
    struct run r;
    run_directory(&r);
    CHECK_EQ(0, fchown(r.dir, OWN, OWN));
    struct host_spawn s = a_spawn(&r);
    s.net = HOST_NET_USER;
    struct told up = spawned(h, &s);
    CHECK_EQ(ST_OK, up.status);
    CHECK_EQ(SHIM_WALLS & ~SHIM_NET, run_running(run_connect(&r)).walls);
    CHECK_EQ(ST_OK, cleaned(h).status);
    run_await(up.spawned.shim_pidfd);
    stop(h);
}

/* The helper is gone: what runs goes on, what is asked is refused. */
TEST(host_without_its_helper_says_so)
{
    struct told t = {0};
    struct host *h = helper(&t);
    struct run r;
    run_directory(&r);
    CHECK_EQ(0, fchown(r.dir, OWN, OWN));
    struct host_spawn s = a_spawn(&r);
    s.net = HOST_NET_USER;
    struct told up = spawned(h, &s);
    CHECK_EQ(ST_OK, up.status);
    int fd = run_connect(&r);
    (void)run_running(fd);

    char children[64], path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *f = fopen(path, "r");
    CHECK(f && fgets(children, sizeof children, f));
    (void)fclose(f);
    CHECK_EQ(0, kill(atoi(children), SIGKILL)); /* the first child: the helper */
    await(&t.lost);
    struct told gone = cleaned(h);
    CHECK_EQ(ST_UNAVAILABLE, gone.status);
    CHECK_STR("the helper process is gone", gone.why.text);
    CHECK_EQ(SHIM_RUNNING, run_ask(fd, SHIM_STATUS, 0).record.phase);
    (void)run_ask(fd, SHIM_KILL, 0);
    run_await(up.spawned.shim_pidfd);
    helper_stop(h); /* and another one comes */

    struct told next = {0};
    h = helper(&next);
    CHECK_EQ(ST_OK, cleaned(h).status);
    stop(h);
}

/* Another VM does not get the user id of one that runs, whichever helper started that. */
TEST(host_keeps_slots_for_those_who_have_them)
{
    struct told t = {0};
    struct host *h = helper(&t);
    struct run r;
    if (!h->facts.cgroup)
        tap_skip(h->facts.why);
    run_directory(&r);
    CHECK_EQ(0, fchown(r.dir, OWN, OWN));
    struct host_spawn s = a_spawn(&r);
    s.net = HOST_NET_USER;
    struct told up = spawned(h, &s);
    CHECK_EQ(ST_OK, up.status);
    (void)run_running(run_connect(&r));
    helper_stop(h);

    h = helper(&t);
    struct host_spawn other = s;
    other.uid = "fedcba98765432100123456789abcdef";
    struct told refused = spawned(h, &other);
    CHECK_EQ(ST_IN_USE, refused.status);
    CHECK_STR("a VM in slot 7 still runs", refused.why.text);

    CHECK_EQ(ST_OK, cleaned(h).status);
    run_await(up.spawned.shim_pidfd);
    struct told next = spawned(h, &s);
    CHECK_EQ(ST_OK, next.status);
    CHECK_EQ(ST_OK, cleaned(h).status);
    run_await(next.spawned.shim_pidfd);
    stop(h);
}

/* ---- what a guest may send ---- */

static uint16_t checksum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* A datagram of one byte, as a guest at `from` would send it to the gateway. */
static void send_as(int tap, const uint8_t mac[6], uint32_t from, uint8_t byte)
{
    enum { VNET = 10, ETHER = 14, IP = 20, UDP = 8 };
    uint8_t frame[VNET + ETHER + IP + UDP + 1] = {0};
    uint8_t *ether = frame + VNET, *ip = ether + ETHER, *udp = ip + IP;
    memcpy(ether, mac, 6);
    memcpy(ether + 6, "\x02\0\0\0\0\x01\x08", 7); /* from a local address, IPv4 */
    ip[0] = 0x45;
    ip[3] = IP + UDP + 1;
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    put32(ip + 12, from);
    put32(ip + 16, GATEWAY);
    uint16_t sum = checksum(ip, IP);
    ip[10] = (uint8_t)(sum >> 8);
    ip[11] = (uint8_t)sum;
    udp[1] = udp[3] = 1;
    udp[2] = GUEST_PORT >> 8;
    udp[3] = GUEST_PORT & 0xff;
    udp[5] = UDP + 1;
    udp[UDP] = byte;
    CHECK_EQ(sizeof frame, write(tap, frame, sizeof frame));
}

TEST(host_lets_a_guest_use_its_own_address_only)
{
    struct told t = {0};
    struct host *h = helper(&t);
    struct fault why = {0};
    char name[TAP_NAME_MAX], got[4] = {0};
    if (!h->facts.tap)
        tap_skip(h->facts.why);
    int tap = -1;
    tap_name(tag(), SLOT, name);
    if (tap_open(name, SUBNET + 1 + SLOT, GATEWAY, &tap, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq q = {0};
    memcpy(q.ifr_name, name, sizeof name);
    CHECK_EQ(0, ioctl(s, SIOCGIFHWADDR, &q));
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(GUEST_PORT), .sin_addr.s_addr = htonl(GATEWAY)};
    CHECK_EQ(0, bind(s, (struct sockaddr *)&a, sizeof a));

    const uint8_t *mac = (const uint8_t *)q.ifr_hwaddr.sa_data;
    send_as(tap, mac, SUBNET + 1 + SLOT + 1, 'n'); /* a neighbour's */
    send_as(tap, mac, 0x08080808, 'n');
    send_as(tap, mac, SUBNET + 1 + SLOT, 'y');
    struct pollfd p = {.fd = s, .events = POLLIN};
    CHECK_EQ(1, poll(&p, 1, RUN_WAIT_MS));
    CHECK_EQ(1, recv(s, got, sizeof got, 0));
    CHECK_EQ('y', got[0]); /* they come in order: the first two were dropped */
    (void)close(tap);
    CHECK_EQ(0, if_nametoindex(name));
    stop(h);
}
