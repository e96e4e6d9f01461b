/*
 * Our guest on real QEMU: built from Debian's cloud kernel, booted with the command line that the
 * driver uses under emulation, asked by its agent, changed, and ended in each of the ways there are.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "image/initramfs.h"
#include "image/kernel.h"
#include "image/root.h"
#include "image/tree.h"
#include "image/vmlinux.h"
#include "support/agent_host.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "vmm/tsc.h"
#include "wire/guestcfg.h"

enum {
    TEST_S = 240,
    BOOT_MS = 120000,
    WAIT_MS = 60000,
    EXIT_MS = 30000,
    PATH_SIZE = 256,
    ARGS = 80
};

static const char qemu[] = "qemu-system-x86_64";
static const char busybox[] = "/bin/busybox";

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- what is booted ---- */

static char kernel_path[PATH_SIZE], initrd_path[PATH_SIZE];

static bool on_path(const char *program)
{
    const char *argv[] = {program, "--version", NULL};
    struct child_run run = {.argv = argv, .timeout_ms = 10000};
    return child_run(&run, NULL, NULL) == ST_OK;
}

/* Kernel and initramfs are made once, beside the build, and again when the guest program is newer. */
static void prepare(void)
{
    const char *cache = getenv("CACHE_DIR"), *program = getenv("GUEST_PROGRAM");
    struct stat ours, made;
    struct fault why;
    (void)alarm(TEST_S);
    if (!cache || !program)
        tap_skip("CACHE_DIR and GUEST_PROGRAM are not set");
    if (!on_path(qemu))
        tap_skip("there is no qemu-system-x86_64");
    if (access(busybox, X_OK) != 0)
        tap_skip("there is no static busybox");
    (void)snprintf(kernel_path, sizeof kernel_path, "%s/test-vmlinux", cache);
    (void)snprintf(initrd_path, sizeof initrd_path, "%s/test-initrd", cache);
    CHECK(stat(program, &ours) == 0);
    if (access(kernel_path, R_OK) == 0 && stat(initrd_path, &made) == 0 &&
        made.st_mtime > ours.st_mtime)
        return;

    AUTO(kernel_done) struct kernel k = {0};
    struct work work = {0};
    if (kernel_find(cache, &work, &k, &why) != ST_OK) {
        printf("# %s\n", why.text);
        tap_skip("there is no cloud kernel, and none could be downloaded");
    }
    int image, modules;
    uint64_t begin = now_ms();
    CHECK_EQ(ST_OK, tree_open_below(k.root, k.image, false, &image, &why));
    CHECK_EQ(ST_OK, tree_open_below(k.root, k.modules, true, &modules, &why));
    if (vmlinux_extract(image, k.image, AT_FDCWD, kernel_path, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    struct initramfs spec = {.guest = program, .busybox = busybox, .modules = modules};
    if (initramfs_build(&spec, AT_FDCWD, initrd_path, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    CHECK(stat(initrd_path, &made) == 0);
    printf("# kernel %s unpacked, initramfs of %lld KiB built, in %llu ms\n", k.release,
           (long long)made.st_size / 1024, (unsigned long long)(now_ms() - begin));
    (void)close(image);
    (void)close(modules);
}

/* ---- a VM ---- */

struct vm {
    pid_t pid;
    int qmp, console;
    struct agent_host agent;
    uint64_t started_ms;
    char disk[2][PATH_SIZE]; /* raw images, or "" */
    struct guestcfg config;
    const char *trouble; /* what HELLO must say; NULL: nothing */
};

static pid_t qemu_pid;

static void kill_qemu(void)
{
    if (qemu_pid > 0 && kill(qemu_pid, SIGKILL) == 0)
        (void)waitpid(qemu_pid, NULL, 0);
}

/* Of a VM that did not come to the end it should. */
static void print_log(void)
{
    struct buf log;
    if (!qemu_pid)
        return;
    buf_init(&log, 1 << 20);
    if (file_read(AT_FDCWD, scratch_file("console.log"), &log, NULL) == ST_OK)
        printf("# console:\n%s\n", buf_cstr(&log));
    buf_done(&log);
}

/* Connect to a socket of QEMU, which makes it soon after it was started. */
static int connect_to(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", scratch_dir(), name);
    for (uint64_t end = now_ms() + WAIT_MS; now_ms() < end;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(fd >= 0);
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
            return fd;
        (void)close(fd);
        if (waitpid(qemu_pid, NULL, WNOHANG) == qemu_pid)
            tap_fail(__FILE__, __LINE__, "QEMU ended at once");
        (void)usleep(2000);
    }
    tap_fail(__FILE__, __LINE__, "no socket %s", name);
}

/* Read until the text came; false at the deadline or the end. What was read is in `seen`. */
static bool await(int fd, const char *text, struct buf *seen, uint64_t wait_ms)
{
    uint64_t end = now_ms() + wait_ms;
    while (!strstr(buf_cstr(seen), text)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char data[4096];
        uint64_t now = now_ms();
        if (now >= end || poll(&p, 1, (int)(end - now)) <= 0)
            return false;
        ssize_t n = read(fd, data, sizeof data);
        if (n <= 0)
            return false;
        buf_add(seen, data, (size_t)n);
    }
    return true;
}

static void send_text(int fd, const char *text)
{
    CHECK_EQ((ssize_t)strlen(text), write(fd, text, strlen(text)));
}

static void qmp_open(struct vm *vm)
{
    AUTO(buf_done) struct buf seen;
    buf_init(&seen, 1 << 16);
    vm->qmp = connect_to("qmp.sock");
    CHECK(await(vm->qmp, "QMP", &seen, WAIT_MS));
    send_text(vm->qmp, "{\"execute\":\"qmp_capabilities\"}\n");
    CHECK(await(vm->qmp, "return", &seen, WAIT_MS));
}

/* The command line of an emulated VM; the arguments are kept in `text`. */
static void make_command(const struct vm *vm, struct buf *text, const char *argv[ARGS + 1])
{
    const char *dir = scratch_dir();
    uint32_t khz = 0;
    CHECK_EQ(ST_OK, tsc_measure_khz(&khz, NULL));
    buf_fmt(text,
            "%s\n-name\nvm-test\n-M\nmicrovm,acpi=on,rtc=on,memory-backend=ram0\n"
            "-accel\ntcg,tb-size=32\n-cpu\nqemu64,+arat\n-smp\n1\n-m\n128\n"
            "-object\nmemory-backend-memfd,id=ram0,size=128M,share=off\n"
            "-nodefaults\n-no-user-config\n-display\nnone\n-no-reboot\n",
            qemu);
    buf_fmt(text,
            "-kernel\n%s\n-initrd\n%s\n-append\nconsole=ttyS0 reboot=t panic=-1 quiet "
            "tsc_early_khz=%" PRIu32 " tsc=reliable no_timer_check mitigations=off init_on_alloc=0 "
            "cryptomgr.notests audit=0 rcupdate.rcu_expedited=1 8250.nr_uarts=1 nowatchdog\n",
            kernel_path, initrd_path, khz);
    buf_fmt(text,
            "-chardev\nsocket,id=con,path=%s/con.sock,server=on,wait=off,logfile=%s/console.log\n"
            "-serial\nchardev:con\n-qmp\nunix:%s/qmp.sock,server=on,wait=off\n",
            dir, dir, dir);
    for (int i = 0; i < 2 && vm->disk[i][0]; i++)
        buf_fmt(text,
                "-blockdev\ndriver=file,filename=%s,node-name=f%d\n"
                "-blockdev\ndriver=raw,file=f%d,node-name=d%d\n"
                "-device\nvirtio-blk-device,drive=d%d,id=blk%d,serial=disk%d\n",
                vm->disk[i], i, i, i, i, i, i);
    buf_fmt(
        text,
        "-netdev\nuser,id=n0\n-device\nvirtio-net-device,netdev=n0,mac=02:00:00:00:00:01,id=net0\n"
        "-device\nvirtio-balloon-device,id=bal0,free-page-reporting=on,deflate-on-oom=on\n"
        "-object\nrng-random,filename=/dev/urandom,id=rng0\n-device\nvirtio-rng-device,rng=rng0\n"
        "-device\nvirtio-serial-device,id=vser0\n"
        "-chardev\nsocket,id=ga,path=%s/ga.sock,server=on,wait=off\n"
        "-device\nvirtserialport,chardev=ga,name=" AGENT_PORT "\n"
        "-fw_cfg\nname=opt/blixard/cfg,file=%s/cfg\n"
        "-sandbox\non,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        dir, dir);
    size_t n = 0;
    for (char *p = text->ptr; p; n++) {
        CHECK(n < ARGS);
        argv[n] = p;
        p = strchr(p, '\n');
        if (p)
            *p++ = 0;
    }
    argv[n] = NULL;
}

/* Boot, and wait until the agent answers. */
static void boot(struct vm *vm)
{
    const char *argv[ARGS + 1];
    AUTO(buf_done) struct buf text;
    AUTO(buf_done) struct buf config;
    struct fault why;
    buf_init(&text, 1 << 14);
    buf_init(&config, GUESTCFG_TEXT_MAX);
    CHECK_EQ(ST_OK, guestcfg_encode(&vm->config, &config, &why));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file("cfg"), buf_view(&config), 0600, &why));
    make_command(vm, &text, argv);
    vm->started_ms = now_ms();
    vm->pid = qemu_pid = fork();
    if (qemu_pid == 0) {
        (void)execvp(qemu, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    CHECK(qemu_pid > 0 && atexit(kill_qemu) == 0 && atexit(print_log) == 0);
    qmp_open(vm);
    agent_host_open(&vm->agent, connect_to("ga.sock"), BOOT_MS);
    printf("# the agent answered after %llu ms\n", (unsigned long long)(now_ms() - vm->started_ms));
    CHECK_STR(vm->trouble ? vm->trouble : "", vm->agent.trouble);
    vm->agent.wait_ms = WAIT_MS;
}

/* Wait for QEMU's end, which must be a good one, and tell how it said that it ended. */
static void ended(struct vm *vm, const char *reason)
{
    AUTO(buf_done) struct buf seen;
    int status;
    uint64_t begin = now_ms();
    buf_init(&seen, 1 << 16);
    if (!await(vm->qmp, reason, &seen, EXIT_MS))
        tap_fail(__FILE__, __LINE__, "no %s from QEMU: %s", reason, buf_cstr(&seen));
    CHECK_EQ(vm->pid, waitpid(vm->pid, &status, 0));
    qemu_pid = 0;
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    printf("# ended (%s) after %llu ms\n", reason, (unsigned long long)(now_ms() - begin));
    agent_host_close(&vm->agent);
    (void)close(vm->qmp);
}

static void power_button(struct vm *vm)
{
    send_text(vm->qmp, "{\"execute\":\"system_powerdown\"}\n");
    ended(vm, "guest-shutdown");
}

static void check_sh(struct vm *vm, const char *line, const char *want)
{
    struct agent_output o;
    agent_host_sh(&vm->agent, line, STR(""), &o);
    if (strcmp(buf_cstr(&o.out), want) != 0 || o.exit.value != 0)
        tap_fail(__FILE__, __LINE__, "%s: want \"%s\", got \"%s\" \"%s\" (exit %u)", line, want,
                 buf_cstr(&o.out), buf_cstr(&o.err), o.exit.value);
    agent_output_done(&o);
}

static struct guestcfg user_mode_config(void)
{
    return (struct guestcfg){.hostname = "web-1",
                             .machine_id = "0123456789abcdef0123456789abcdef",
                             .address = 0x0a00020f,
                             .prefix = 24,
                             .gateway = 0x0a000202,
                             .dns = {0x0a000203},
                             .dns_count = 1,
                             .has_seed = true,
                             .seed = {1, 2, 3}};
}

/* ---- the tests ---- */

static void check_files(struct vm *vm)
{
    struct fault why;
    AUTO(buf_done) struct buf content;
    AUTO(buf_done) struct buf back;
    buf_init(&content, 1 << 20);
    buf_init(&back, 1 << 20);
    for (int i = 0; content.len < 500000; i++)
        buf_fmt(&content, "line %d\n", i);
    CHECK_EQ(ST_OK, agent_host_push(&vm->agent, "/tmp/file", 0600, buf_view(&content), &why));
    CHECK_EQ(ST_OK, agent_host_pull(&vm->agent, "/tmp/file", &back, NULL, &why));
    CHECK(str_eq(buf_view(&content), buf_view(&back)));
}

static void check_stats(struct vm *vm)
{
    struct agent_stats s;
    CHECK_EQ(ST_OK, agent_put_plain(&vm->agent.out, AGENT_STATS_ASK, 500));
    agent_host_flush(&vm->agent);
    CHECK_EQ(ST_OK,
             agent_get_stats(agent_host_want(&vm->agent, AGENT_STATS, 500).payload, &s, NULL));
    CHECK(s.uptime_ms > 100 && s.uptime_ms < 600000);
    CHECK(s.mem_total_kib > 60000 && s.mem_total_kib < 131072);
    CHECK(s.mem_available_kib < s.mem_total_kib);
    CHECK(s.net_tx_packets != AGENT_UNKNOWN && s.disk_read_bytes != AGENT_UNKNOWN);
    CHECK(memcmp(s.boot_id, vm->agent.boot_id, sizeof s.boot_id) == 0);
    printf("# %llu KiB of %llu KiB available in the guest\n",
           (unsigned long long)s.mem_available_kib, (unsigned long long)s.mem_total_kib);
}

static void check_network(struct vm *vm)
{
    check_sh(vm, "hostname; cat /etc/machine-id", "web-1\n0123456789abcdef0123456789abcdef\n");
    check_sh(vm, "ip -4 -o addr show eth0 | awk '{print $4}'", "10.0.2.15/24\n");
    check_sh(vm, "ip route | grep default", "default via 10.0.2.2 dev eth0 \n");
    check_sh(vm, "cat /etc/resolv.conf", "nameserver 10.0.2.3\n");
    check_sh(vm, "ip -o link show lo | grep -c LOWER_UP", "1\n");
    check_sh(vm, "arping -q -c 1 -I eth0 10.0.2.2 && echo there", "there\n");
}

/* A clone that is told who it is: another name, another address on the link, another boot id. */
static void check_identity(struct vm *vm)
{
    uint8_t seed[AGENT_SEED] = {42};
    struct guestcfg c = {.hostname = "web-2",
                         .machine_id = "ffffffffffffffff0000000000000000",
                         .mac = "02:00:00:00:00:02",
                         .address = 0x0a010007,
                         .prefix = 32,
                         .gateway = 0xa9fe0101,
                         .time_ns = UINT64_C(2000000000123456789)};
    struct buf text;
    struct fault why;
    uint8_t boot_id[16];
    memcpy(boot_id, vm->agent.boot_id, sizeof boot_id);
    buf_init(&text, GUESTCFG_TEXT_MAX);
    CHECK_EQ(ST_OK, guestcfg_encode(&c, &text, NULL));
    CHECK_EQ(ST_OK, agent_put_reseed(&vm->agent.out, 600, seed));
    CHECK_EQ(ST_OK, agent_put_identity(&vm->agent.out, 601, buf_view(&text), NULL));
    agent_host_flush(&vm->agent);
    CHECK_EQ(ST_OK, agent_host_done(&vm->agent, 600, &why));
    if (agent_host_done(&vm->agent, 601, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    buf_done(&text);
    check_sh(vm, "hostname; cat /etc/machine-id", "web-2\nffffffffffffffff0000000000000000\n");
    check_sh(vm, "ip -4 -o addr show eth0 | awk '{print $4}'", "10.1.0.7/32\n");
    check_sh(vm, "ip route", "default via 169.254.1.1 dev eth0 onlink \n");
    check_sh(vm, "cat /sys/class/net/eth0/address", "02:00:00:00:00:02\n");
    check_sh(vm, "date -u +%Y-%m-%d", "2033-05-18\n");
    agent_host_hello(&vm->agent);
    CHECK(memcmp(boot_id, vm->agent.boot_id, sizeof boot_id) != 0);
}

/* CPU time of QEMU so far, in ticks of 10 ms. */
static unsigned long cpu_ticks(pid_t pid)
{
    char path[64];
    unsigned long user = 0, system = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    CHECK(f != NULL);
    CHECK_EQ(2, fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                       &system));
    (void)fclose(f);
    return user + system;
}

/* While no host is there the agent must sleep: a loop that tries again and again would keep QEMU busy. */
static void check_idle(struct vm *vm)
{
    enum { IDLE_MS = 3000 };
    unsigned long before = cpu_ticks(vm->pid);
    (void)poll(NULL, 0, IDLE_MS);
    unsigned long percent = (cpu_ticks(vm->pid) - before) * 10 * 100 / IDLE_MS;
    printf("# an idle guest without a host takes %lu %% of a core\n", percent);
    CHECK(percent < 10);
}

/* The daemon dies in the middle of a frame, and another one comes: the agent answers it at once, and what
 * ran for the first is over. */
static void check_reconnect(struct vm *vm)
{
    struct agent_exec x = {.argc = 2, .argv = {STR("sleep"), STR("12345")}};
    CHECK_EQ(ST_OK, agent_put_exec(&vm->agent.out, 700, &x, NULL));
    CHECK_EQ(5, agent_put_data(&vm->agent.out, AGENT_STDIN, 700, STR("12345")));
    vm->agent.out.len -= 3;
    agent_host_flush(&vm->agent);
    agent_host_close(&vm->agent);
    check_idle(vm);
    uint64_t begin = now_ms();
    agent_host_open(&vm->agent, connect_to("ga.sock"), WAIT_MS);
    printf("# a new host was answered after %llu ms\n", (unsigned long long)(now_ms() - begin));
    check_sh(vm, "pidof sleep; true", "");
}

/* Enter brings a shell on the console, and another one when that has ended. */
static void check_console(struct vm *vm)
{
    AUTO(buf_done) struct buf log;
    buf_init(&log, 1 << 20);
    CHECK_EQ(ST_OK, file_read(AT_FDCWD, scratch_file("console.log"), &log, NULL));
    CHECK(strstr(buf_cstr(&log), "blixard: ready") != NULL);
    vm->console = connect_to("con.sock");
    for (int i = 0; i < 2; i++) {
        AUTO(buf_done) struct buf seen;
        buf_init(&seen, 1 << 16);
        send_text(vm->console, "\n");
        CHECK(await(vm->console, "# ", &seen, WAIT_MS));
        send_text(vm->console, "echo the answer is $((6 * 7)); exit\n");
        CHECK(await(vm->console, "the answer is 42", &seen, WAIT_MS));
        CHECK(await(vm->console, "press Enter", &seen, WAIT_MS));
    }
    (void)close(vm->console);
}

TEST(guest_boots_answers_and_obeys_the_power_button)
{
    struct vm vm = {.config = user_mode_config()};
    struct agent_output o;
    prepare();
    boot(&vm);
    agent_host_ping(&vm.agent);
    agent_host_sh(&vm.agent, "uname -a; cat >&2; exit 3", STR("to stderr"), &o);
    CHECK(strncmp(buf_cstr(&o.out), "Linux web-1 ", 12) == 0);
    CHECK_STR("to stderr", buf_cstr(&o.err));
    CHECK(!o.exit.signalled && o.exit.value == 3);
    printf("# %s", buf_cstr(&o.out));
    agent_output_done(&o);
    check_files(&vm);
    check_stats(&vm);
    check_network(&vm);
    check_console(&vm);
    check_reconnect(&vm);
    check_identity(&vm);
    power_button(&vm);
}

TEST(guest_powers_off_and_restarts_when_the_agent_is_asked)
{
    static const struct {
        enum agent_power what;
        const char *reason;
    } ways[] = {{AGENT_POWER_OFF, "guest-shutdown"}, {AGENT_REBOOT, "guest-reset"}};
    prepare();
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
        struct vm vm = {.config = {.hostname = "short"}};
        boot(&vm);
        if (i == 0) /* one that does not listen to SIGTERM holds it up, but not for ever */
            check_sh(&vm,
                     "(trap '' TERM; >/tmp/up; sleep 1000) >/dev/null 2>&1 & "
                     "until [ -e /tmp/up ]; do :; done",
                     "");
        CHECK_EQ(ST_OK, agent_put_power(&vm.agent.out, 2, ways[i].what));
        agent_host_flush(&vm.agent);
        CHECK_EQ(ST_OK, agent_host_done(&vm.agent, 2, NULL));
        ended(&vm, ways[i].reason);
    }
}

/* ---- with a root disk ---- */

/* Make a small root: busybox, and a disk for data. */
static void make_disks(struct vm *vm)
{
    struct fault why;
    char root[PATH_SIZE], line[8 * PATH_SIZE];
    (void)snprintf(root, sizeof root, "%s", scratch_file("root"));
    (void)snprintf(vm->disk[0], PATH_SIZE, "%s", scratch_file("root.img"));
    (void)snprintf(vm->disk[1], PATH_SIZE, "%s", scratch_file("data.img"));
    (void)snprintf(line, sizeof line,
                   "set -e; mkdir -p %s; cd %s; mkdir bin dev etc proc run sys tmp var root; "
                   "cp %s bin/busybox; for a in sh cat ls mount; do ln -s busybox bin/$a; done; "
                   "mkfs.ext4 -q -d %s %s 32M; mkfs.ext4 -q %s 16M",
                   root, root, busybox, root, vm->disk[0], vm->disk[1]);
    const char *argv[] = {"sh", "-c", line, NULL};
    struct child_run run = {.argv = argv, .timeout_ms = WAIT_MS};
    if (child_run(&run, NULL, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
}

static struct guestcfg disk_config(void)
{
    struct guestcfg c = user_mode_config();
    c.root = (struct guestcfg_disk){.device = "disk0", .fs = "ext4", .path = "/"};
    c.volume[0] = (struct guestcfg_disk){.device = "disk1", .fs = "ext4", .path = "/mnt/data"};
    c.volume_count = 1;
    c.user_data = STR("echo ran >>/root/user-data\n");
    return c;
}

/* What is written is there after a restart, and the user's script ran once. */
TEST(guest_keeps_a_root_disk_and_runs_the_script_once)
{
    struct vm vm = {.config = disk_config()};
    prepare();
    make_disks(&vm);
    boot(&vm);
    check_sh(&vm, "until [ -e /root/user-data ]; do :; done; cat /root/user-data", "ran\n");
    check_sh(&vm, "cat /etc/machine-id /etc/hostname", "0123456789abcdef0123456789abcdef\nweb-1\n");
    check_sh(
        &vm,
        "echo kept >/root/file; echo data >/mnt/data/file; ls /newroot 2>/dev/null; ls /dev/disk/by-id",
        "virtio-disk1\n");
    power_button(&vm);
    boot(&vm);
    check_sh(&vm, "cat /root/user-data /root/file /mnt/data/file", "ran\nkept\ndata\n");
    check_sh(&vm, "mount | /bin/busybox grep -c ' / '", "1\n");
    power_button(&vm);
}

/* A root that has an init of its own runs that, and the agent beside it. */
TEST(guest_gives_way_to_the_init_of_its_root)
{
    struct vm vm = {.config = disk_config()};
    struct fault why;
    char line[4 * PATH_SIZE];
    prepare();
    make_disks(&vm);
    /* busybox init: its poweroff is what the agent must find. */
    (void)snprintf(
        line, sizeof line,
        "set -e; cd %s/root; mkdir -p sbin; for a in init poweroff reboot; do ln -s "
        "../bin/busybox sbin/$a; done; printf '::sysinit:/bin/busybox echo init was here\\n' "
        ">etc/inittab; rm ../root.img; mkfs.ext4 -q -d . ../root.img 32M",
        scratch_dir());
    const char *argv[] = {"sh", "-c", line, NULL};
    if (child_run(&(struct child_run){.argv = argv, .timeout_ms = WAIT_MS}, NULL, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    boot(&vm);
    check_sh(&vm, "cat /proc/1/comm", "init\n");
    check_sh(&vm, "cat /mnt/data/lost+found 2>/dev/null; ls /mnt/data", "lost+found\n");
    CHECK_EQ(ST_OK, agent_put_power(&vm.agent.out, 900, AGENT_POWER_OFF));
    agent_host_flush(&vm.agent);
    CHECK_EQ(ST_OK, agent_host_done(&vm.agent, 900, NULL));
    ended(&vm, "guest-shutdown");
}

/* A real Debian as the root: built from its packages, with their owners, and ours to run. */
TEST(guest_boots_a_minimal_debian)
{
    struct vm vm = {.config = disk_config()};
    struct work work = {0};
    struct fault why;
    char tar[PATH_SIZE];
    prepare();
    vm.config.volume_count = 0;
    (void)snprintf(tar, sizeof tar, "%s/test-minbase.tar", getenv("CACHE_DIR"));
    (void)snprintf(vm.disk[0], PATH_SIZE, "%s", scratch_file("root.img"));
    if (access(tar, R_OK) != 0 && root_minbase("bookworm", NULL, 0, tar, &work, &why) != ST_OK) {
        printf("# %s\n", why.text);
        tap_skip("a minimal Debian could not be built; are its mirrors in reach?");
    }
    uint64_t begin = now_ms();
    if (root_from_tar(tar, 512, scratch_dir(), vm.disk[0], &work, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    printf("# root disk made in %llu ms\n", (unsigned long long)(now_ms() - begin));
    boot(&vm);
    check_sh(&vm, "cat /proc/1/comm; . /etc/os-release; echo $VERSION_CODENAME",
             "init\nbookworm\n");
    check_sh(&vm, "dpkg -l bash | grep -c ^ii; stat -c %U:%G:%a /etc/shadow /usr/bin/passwd",
             "1\nroot:shadow:640\nroot:root:4755\n");
    power_button(&vm);
}

/* What goes wrong at boot is told, and the guest can still be asked. */
TEST(guest_without_its_root_disk_says_so)
{
    struct vm vm = {.config = disk_config()};
    prepare();
    vm.config.volume_count = 0;
    vm.trouble = "there is no disk disk0";
    boot(&vm);
    check_sh(&vm, "echo alive", "alive\n");
    power_button(&vm);
}
