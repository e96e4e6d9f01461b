/*
 * What is decided before a VM is started, and what is found out after it ended: the pure parts.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/child.h"
#include "os/file.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "vmm/cause.h"
#include "vmm/cmdline.h"
#include "vmm/fstype.h"
#include "vmm/order.h"
#include "vmm/qcow2.h"
#include "vmm/record.h"

/* ---- command line ---- */

static const struct cmdline_disk disks[] = {
    {.name = "root", .fd = 20, .qcow2 = true, .base_fd = 21},
    {.name = "data", .fd = 22, .base_fd = -1, .read_only = true},
};
static const struct cmdline_port ports[] = {
    {.host_port = 8080, .guest_port = 80},
    {.udp = true, .host = "0.0.0.0", .host_port = 53, .guest_port = 5353},
};

static struct cmdline a_line(void)
{
    return (struct cmdline){.qemu = "/usr/bin/qemu-system-x86_64",
                            .uid = "0123456789abcdef0123456789abcdef",
                            .name = "web-1",
                            .tsc_khz = 2596128,
                            .vcpus = 1,
                            .mem_mib = 128,
                            .kernel = 16,
                            .initrd = 17,
                            .config = 18,
                            .qmp = 23,
                            .agent = 24,
                            .console = 25,
                            .log = 26,
                            .net = CMDLINE_NET_USER,
                            .mac = "02:00:00:00:00:01"};
}

static void check_golden(const struct cmdline *c, const char *name)
{
    char path[256];
    struct args a;
    struct buf got, want;
    struct fault why;
    buf_init(&got, CMDLINE_TEXT_MAX);
    buf_init(&want, CMDLINE_TEXT_MAX);
    CHECK_EQ(ST_OK, cmdline_build(c, &a, NULL));
    for (size_t i = 0; a.argv[i]; i++)
        buf_fmt(&got, "%s\n", a.argv[i]);
    (void)snprintf(path, sizeof path, "%s/tests/golden/vmm/%s", getenv("SOURCE_DIR"), name);
    if (getenv("GOLDEN_WRITE"))
        CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, buf_view(&got), 0644, &why));
    if (file_read(AT_FDCWD, path, &want, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    CHECK_STR(buf_cstr(&want), buf_cstr(&got));
    args_done(&a);
    buf_done(&got);
    buf_done(&want);
}

/* The words that QEMU gets, of which each was measured to work. To change them on purpose, run this test
 * with GOLDEN_WRITE=1. */
TEST(cmdline_is_as_it_was)
{
    struct cmdline c = a_line();
    check_golden(&c, "cmdline_tcg");
    c.profile = CMDLINE_TEST;
    c.disk = disks;
    c.disk_count = 2;
    c.port = ports;
    c.port_count = 2;
    check_golden(&c, "cmdline_tcg_test");
    c = a_line();
    c.kvm = true;
    c.vcpus = 4;
    c.mem_mib = 2048;
    c.net = CMDLINE_NET_TAP;
    c.tap = 27;
    c.initrd = -1;
    check_golden(&c, "cmdline_kvm");
}

TEST(cmdline_without_known_tsc_leaves_it_to_the_kernel)
{
    struct cmdline c = a_line();
    struct args a;
    c.tsc_khz = 0;
    CHECK_EQ(ST_OK, cmdline_build(&c, &a, NULL));
    for (size_t i = 0; a.argv[i]; i++)
        CHECK(!strstr(a.argv[i], "tsc"));
    args_done(&a);
}

TEST(cmdline_has_limits)
{
    struct cmdline c = a_line();
    struct args a;
    struct fault why;
    struct cmdline_port many[2000] = {{.host_port = 10000, .guest_port = 10000}};
    for (size_t i = 1; i < ARRAY_COUNT(many); i++)
        many[i] = many[0];
    c.port = many;
    c.port_count = ARRAY_COUNT(many);
    CHECK_EQ(ST_TOO_BIG, cmdline_build(&c, &a, &why));
    args_done(&a);
}

/* ---- qcow2 ---- */

static void check_qcow2(uint64_t size)
{
    struct buf b;
    struct child_result r;
    struct fault why;
    uint64_t got = 0;
    buf_init(&b, 8 << 20);
    CHECK_EQ(ST_OK, qcow2_layer(size, &b, NULL));
    CHECK_EQ(ST_OK, qcow2_size((struct str){b.ptr, QCOW2_HEADER_MAX}, &got, NULL));
    CHECK(got == size);
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file("layer"), buf_view(&b), 0600, &why));
    const char *const check[] = {"qemu-img", "check", "-q", "-f", "qcow2", scratch_file("layer"),
                                 NULL};
    if (child_run(&(struct child_run){.argv = check, .timeout_ms = 20000}, &r, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    buf_done(&b);
}

static bool has_qemu_img(void)
{
    const char *const argv[] = {"qemu-img", "--version", NULL};
    return child_run(&(struct child_run){.argv = argv, .timeout_ms = 20000}, NULL, NULL) == ST_OK;
}

TEST(qcow2_layer_is_one_that_qemu_finds_whole)
{
    if (!has_qemu_img())
        tap_skip("there is no qemu-img");
    check_qcow2(512);
    check_qcow2(UINT64_C(64) << 20);
    check_qcow2(UINT64_C(10) << 30);
    check_qcow2(UINT64_C(5) << 40);
    check_qcow2(QCOW2_SIZE_MAX);
}

TEST(qcow2_refuses_sizes_and_headers)
{
    struct buf b;
    uint64_t size;
    buf_init(&b, 8 << 20);
    CHECK_EQ(ST_INVALID, qcow2_layer(0, &b, NULL));
    CHECK_EQ(ST_INVALID, qcow2_layer(513, &b, NULL));
    CHECK_EQ(ST_INVALID, qcow2_layer(QCOW2_SIZE_MAX + 512, &b, NULL));
    CHECK_EQ(ST_OK, qcow2_layer(1 << 20, &b, NULL));
    CHECK_EQ(ST_CORRUPT, qcow2_size((struct str){b.ptr, 100}, &size, NULL));
    b.ptr[24] = (char)0xff; /* a size beyond all measure */
    CHECK_EQ(ST_CORRUPT, qcow2_size(buf_view(&b), &size, NULL));
    b.ptr[0] = 'X';
    CHECK_EQ(ST_CORRUPT, qcow2_size(buf_view(&b), &size, NULL));
    buf_done(&b);
}

/* ---- file systems ---- */

TEST(fstype_is_told_from_the_first_bytes)
{
    char *head = mem_new(FSTYPE_HEAD);
    CHECK_STR("unknown", fstype_of((struct str){head, FSTYPE_HEAD}));
    memcpy(head + 1080, "\x53\xef", 2);
    CHECK_STR("ext4", fstype_of((struct str){head, FSTYPE_HEAD}));
    CHECK_STR("unknown", fstype_of((struct str){head, 1081}));
    memcpy(head + 1080, "\0\0", 2);
    memcpy(head, "hsqs", 4);
    CHECK_STR("squashfs", fstype_of((struct str){head, 4}));
    CHECK(fstype_is_read_only("squashfs") && !fstype_is_read_only("ext4"));
    free(head);
}

/* ---- records ---- */

static struct record a_record(void)
{
    struct record r = {.uid = "0123456789abcdef0123456789abcdef",
                       .name = "web-1",
                       .epoch = 3,
                       .incarnation = 4,
                       .generation = 5,
                       .host_boot = {9, 8},
                       .slot = 7,
                       .tap = true,
                       .address = 0x0a530008,
                       .persistent = true,
                       .asked_down = true,
                       .asked_kill = true,
                       .ready = true,
                       .boot_id = "8d1386a8-6b60-421d-b0cc-f304adc79029",
                       .started_ns = 11,
                       .start_ms = 12,
                       .ended = true,
                       .cause = PB__EXIT_CAUSE__EXIT_CRASHED,
                       .detail = "why",
                       .ended_ns = 13};
    return r;
}

TEST(record_comes_back_and_shows_damage)
{
    struct record r = a_record(), got = {0};
    struct buf b;
    buf_init(&b, RECORD_SIZE_MAX);
    vm_record_encode(&b, &r);
    CHECK_EQ(ST_OK, vm_record_decode(buf_view(&b), &got, NULL));
    CHECK_STR(r.uid, got.uid);
    CHECK_STR(r.name, got.name);
    CHECK_EQ(4, got.incarnation);
    CHECK_EQ(8, got.host_boot[1]);
    CHECK_EQ(7, got.slot);
    CHECK(got.tap && got.persistent && got.asked_down && got.asked_kill && got.ready && got.ended);
    CHECK_EQ(0x0a530008, got.address);
    CHECK_STR(r.boot_id, got.boot_id);
    CHECK_EQ(PB__EXIT_CAUSE__EXIT_CRASHED, got.cause);
    CHECK_STR("why", got.detail);
    CHECK_EQ(13, got.ended_ns);
    for (size_t i = 0; i < b.len; i++) {
        b.ptr[i] = (char)(b.ptr[i] ^ 1);
        CHECK_EQ(ST_CORRUPT, vm_record_decode(buf_view(&b), &got, NULL));
        b.ptr[i] = (char)(b.ptr[i] ^ 1);
        CHECK_EQ(ST_CORRUPT, vm_record_decode((struct str){b.ptr, i}, &got, NULL));
    }
    buf_done(&b);
}

/* Each flag has a place of its own. */
TEST(record_flags_do_not_mix)
{
    struct record r = {.uid = "0123456789abcdef0123456789abcdef"}, got;
    bool *const flag[] = {&r.ready, &r.ended, &r.tap, &r.persistent, &r.asked_down, &r.asked_kill};
    for (size_t i = 0; i < ARRAY_COUNT(flag); i++) {
        struct buf b;
        buf_init(&b, RECORD_SIZE_MAX);
        *flag[i] = true;
        vm_record_encode(&b, &r);
        CHECK_EQ(ST_OK, vm_record_decode(buf_view(&b), &got, NULL));
        CHECK_EQ(r.ready, got.ready);
        CHECK_EQ(r.ended, got.ended);
        CHECK_EQ(r.tap, got.tap);
        CHECK_EQ(r.persistent, got.persistent);
        CHECK_EQ(r.asked_down, got.asked_down);
        CHECK_EQ(r.asked_kill, got.asked_kill);
        *flag[i] = false;
        buf_done(&b);
    }
}

TEST(record_at_its_largest_fits)
{
    struct record r = a_record();
    struct buf b;
    memset(r.name, 'n', sizeof r.name - 1);
    memset(r.detail, 'd', sizeof r.detail - 1);
    buf_init(&b, RECORD_SIZE_MAX);
    vm_record_encode(&b, &r);
    buf_done(&b);
}

/* ---- causes ---- */

static struct shim_record left;

static struct cause_facts watched(enum shim_cause cause, int wait_status, struct str tail)
{
    left = (struct shim_record){
        .phase = SHIM_EXITED, .cause = cause, .wait_status = (uint32_t)wait_status, .tail = tail};
    return (struct cause_facts){.ready = true,
                                .spoke = true,
                                .watched = true,
                                .reason = "",
                                .exit = &left,
                                .console = {"", 0}};
}

static void check_cause(const struct cause_facts *f, Pb__ExitCause want, const char *detail)
{
    Pb__ExitCause got = PB__EXIT_CAUSE__EXIT_NONE;
    char text[CAUSE_DETAIL_MAX];
    cause_find(f, &got, text);
    CHECK_EQ(want, got);
    CHECK_STR(detail, text);
}

TEST(cause_is_qemus_word_first)
{
    struct cause_facts f = watched(SHIM_ITSELF, 0, STR(""));
    f.reason = "guest-shutdown";
    check_cause(&f, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN, "");
    f.asked_down = true;
    check_cause(&f, PB__EXIT_CAUSE__EXIT_STOPPED, "");
    f.asked_kill = true; /* it obeyed before it was killed */
    check_cause(&f, PB__EXIT_CAUSE__EXIT_STOPPED, "");
    f.reason = "guest-reset";
    check_cause(&f, PB__EXIT_CAUSE__EXIT_GUEST_RESET, "");
    f.console = STR("ok\n[ 1.2] Kernel panic - not syncing: VFS\r\nmore\n");
    check_cause(&f, PB__EXIT_CAUSE__EXIT_GUEST_PANIC, "Kernel panic - not syncing: VFS");
    f.reason = "host-qmp-quit";
    check_cause(&f, PB__EXIT_CAUSE__EXIT_KILLED, "");
    f.reason = "host-signal";
    check_cause(&f, PB__EXIT_CAUSE__EXIT_CRASHED, "QEMU was ended by a signal from outside");
    f.reason = "of-a-later-version";
    check_cause(&f, PB__EXIT_CAUSE__EXIT_CRASHED, "QEMU ended: of-a-later-version");
}

TEST(cause_is_else_what_the_shim_left)
{
    struct cause_facts f =
        watched(SHIM_ITSELF, 0, STR("warning\nqemu_system_shutdown_request reason=6\n"));
    check_cause(&f, PB__EXIT_CAUSE__EXIT_GUEST_SHUTDOWN, "warning");
    f = watched(SHIM_ITSELF, 0, STR(""));
    check_cause(&f, PB__EXIT_CAUSE__EXIT_GUEST_RESET, "");
    f = watched(SHIM_ITSELF, 0, STR("qemu: terminating on signal 15 from pid 7\n"));
    check_cause(&f, PB__EXIT_CAUSE__EXIT_CRASHED, "QEMU was ended by a signal from outside");
    f = watched(SHIM_ITSELF, SIGSEGV, STR("qemu: oh no\n"));
    check_cause(&f, PB__EXIT_CAUSE__EXIT_CRASHED,
                "qemu: oh no\nQEMU was ended by signal 11 (SEGV)");
    f = watched(SHIM_ITSELF, W_EXITCODE(1, 0), STR("a\n\nqemu: \x1b[1mno\x1b[0m memory\n"));
    check_cause(&f, PB__EXIT_CAUSE__EXIT_CRASHED, "a\n\nqemu: ?[1mno?[0m memory");
    f.ready = f.spoke = false;
    check_cause(&f, PB__EXIT_CAUSE__EXIT_START_FAILED, "a\n\nqemu: ?[1mno?[0m memory");
    f = watched(SHIM_ITSELF, W_EXITCODE(3, 0), STR(""));
    check_cause(&f, PB__EXIT_CAUSE__EXIT_CRASHED, "QEMU exited with 3");
    f = watched(SHIM_KILLED, SIGKILL, STR(""));
    check_cause(&f, PB__EXIT_CAUSE__EXIT_KILLED, "");
    f = watched(SHIM_LEASE, SIGKILL, STR(""));
    check_cause(&f, PB__EXIT_CAUSE__EXIT_LEASE_EXPIRED, "its lease ended");
    f = watched(SHIM_SIGNALLED, SIGKILL, STR(""));
    check_cause(&f, PB__EXIT_CAUSE__EXIT_KILLED, "its shim was told to end by a signal");
    f = watched(SHIM_NO_START, 0, STR("blixard-shim: unshare: Operation not permitted\n"));
    check_cause(&f, PB__EXIT_CAUSE__EXIT_START_FAILED,
                "blixard-shim: unshare: Operation not permitted");
}

TEST(cause_without_a_record_is_told_as_far_as_it_is_known)
{
    struct cause_facts f = {.reason = "", .console = {"", 0}, .ready = true};
    check_cause(&f, PB__EXIT_CAUSE__EXIT_LOST, "it was gone, and left no record");
    f.host_rebooted = true;
    check_cause(&f, PB__EXIT_CAUSE__EXIT_HOST_SHUTDOWN, "the host restarted");
    f.host_rebooted = false;
    f.watched = true;
    check_cause(&f, PB__EXIT_CAUSE__EXIT_CRASHED, "its shim ended, and QEMU with it");
    f.asked_kill = true;
    check_cause(&f, PB__EXIT_CAUSE__EXIT_KILLED, "");
}

TEST(cause_cuts_long_details_at_lines)
{
    struct buf b;
    char text[CAUSE_DETAIL_MAX];
    Pb__ExitCause cause;
    buf_init(&b, SHIM_TAIL_MAX);
    for (int i = 0; i < 20; i++)
        buf_fmt(&b, "line %d %0150d\n", i, 0);
    struct cause_facts f = watched(SHIM_ITSELF, W_EXITCODE(1, 0), buf_view(&b));
    cause_find(&f, &cause, text);
    CHECK(strncmp(text, "line 17 ", 8) == 0);
    buf_reset(&b);
    for (int i = 0; i < 2000; i++)
        buf_char(&b, 'x');
    f = watched(SHIM_ITSELF, W_EXITCODE(1, 0), buf_view(&b));
    cause_find(&f, &cause, text);
    CHECK_EQ(CAUSE_DETAIL_MAX - 1, strlen(text));
    buf_done(&b);
}

/* ---- orders ---- */

static Pb__Vm vm;
static Pb__VmSpec spec;
static Pb__Meta meta;
static Pb__Image image;
static Pb__Blob kernel;

static struct vmm_start a_start(void)
{
    static char uid[] = "0123456789abcdef0123456789abcdef", name[] = "web-1",
                mac[] = "02:00:00:00:00:01",
                digest[] =
                    "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    pb__vm__init(&vm);
    pb__vm_spec__init(&spec);
    pb__meta__init(&meta);
    pb__image__init(&image);
    pb__blob__init(&kernel);
    meta.uid = uid;
    meta.name = name;
    vm.meta = &meta;
    vm.spec = &spec;
    vm.mac = mac;
    kernel.digest = digest;
    kernel.size = 5;
    image.kernel = &kernel;
    return (struct vmm_start){
        .vm = &vm, .image = &image, .epoch = 1, .incarnation = 2, .generation = 3};
}

static void check_refused(const struct vmm_start *s, const char *text)
{
    struct order o;
    struct fault why;
    CHECK_EQ(ST_INVALID, order_init(&o, s, &why));
    CHECK_STR(text, why.text);
    order_done(&o);
}

TEST(order_takes_what_a_start_needs)
{
    struct order o;
    struct vmm_start s = a_start();
    CHECK_EQ(ST_OK, order_init(&o, &s, NULL));
    CHECK_STR("web-1", o.record.name);
    CHECK_EQ(256, o.mem_mib); /* as proto/vm.proto has it */
    CHECK_EQ(1, o.vcpus);
    CHECK_EQ(3, o.record.generation);
    CHECK(!o.initrd.digest[0] && !o.disk.digest[0] && !o.record.persistent);
    order_done(&o);
}

/* Names become file names and QEMU's options: what the state may hold by mistake must not pass. */
TEST(order_refuses_what_is_out_of_bounds)
{
    struct vmm_start s = a_start();
    static char evil[] = "a,x=y", dots[] = "../../etc", upper[] = "02:00:00:00:00:0A";
    meta.name = evil;
    check_refused(&s, "meta.name is not a name");
    s = a_start();
    meta.uid = dots;
    check_refused(&s, "meta.uid is not an id");
    s = a_start();
    vm.mac = upper;
    check_refused(&s, "mac is not a hardware address");
    s = a_start();
    vm.mac = NULL;
    check_refused(&s, "mac is not a hardware address");
    s = a_start();
    kernel.digest = dots;
    check_refused(&s, "image.kernel is not a digest");
    s = a_start();
    image.kernel = NULL;
    check_refused(&s, "image.kernel is missing");
    s = a_start();
    image.kind = PB__IMAGE_KIND__IMAGE_DISK;
    check_refused(&s, "image.disk is missing");
    s = a_start();
    spec.vcpus = 0;
    check_refused(&s, "spec.vcpus is out of range");
    s = a_start();
    Pb__Volume v = PB__VOLUME__INIT, *volumes[] = {&v, &v};
    static char root[] = "root", data[] = "data";
    spec.volumes = volumes;
    spec.n_volumes = 1;
    v.size_mib = 1;
    v.name = dots;
    check_refused(&s, "spec.volumes.name is not a name");
    v.name = root;
    check_refused(&s, "spec.volumes.name \"root\" is that of the root disk");
    v.name = data;
    spec.n_volumes = 2;
    check_refused(&s, "spec.volumes.name is there twice");
    spec.n_volumes = 1;
    v.size_mib = UINT64_MAX;
    check_refused(&s, "spec.volumes.size_mib is out of range");
    s = a_start();
    Pb__PortForward p = PB__PORT_FORWARD__INIT, *forwards[] = {&p};
    static char host[] = "1.2.3.4,x";
    spec.ports = forwards;
    spec.n_ports = 1;
    p.host_port = p.guest_port = 80;
    p.host_address = host;
    check_refused(&s, "spec.ports.host_address is not an IPv4 address");
    p.host_address = NULL;
    p.host_port = 65536;
    check_refused(&s, "spec.ports are numbers from 1 to 65535");
}
