#include "support/vm_run.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/digest.h"
#include "image/initramfs.h"
#include "image/kernel.h"
#include "image/tree.h"
#include "image/vmlinux.h"
#include "os/child.h"
#include "os/clock_os.h"
#include "os/entropy_os.h"
#include "support/scratch.h"
#include "vmm/order.h"
#include "vmm/prepare.h"
#include "vmm/tsc.h"
#include "wire/shim.h"

enum { PATH_SIZE = 512, NOBODY = 65534, TURN_MS = 50, TEST_S = 300 };

static const char qemu[] = "/usr/bin/qemu-system-x86_64";

/* ---- the image, made once beside the build ---- */

static char blob_dir[PATH_SIZE];

static const char *cache_file(const char *name)
{
    static char path[PATH_SIZE];
    const char *cache = getenv("BLIXARD_TEST_CACHE"), *build = getenv("BUILD_DIR");
    if (!cache && !build)
        tap_skip("BUILD_DIR is not set: run it by meson test");
    (void)snprintf(path, sizeof path, "%s%s/%s", cache ? cache : build, cache ? "" : "/../cache",
                   name);
    return path;
}

static const char *build_file(const char *name)
{
    static char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s", getenv("BUILD_DIR"), name);
    return path;
}

static bool is_newer(const char *made, const char *than)
{
    struct stat a, b;
    return stat(made, &a) == 0 && stat(than, &b) == 0 && a.st_mtime > b.st_mtime;
}

static void must(enum status s, const struct fault *why)
{
    if (s != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why->text);
}

static void make_kernel(const char *kernel, const char *initrd, const char *program)
{
    AUTO(kernel_done) struct kernel k = {0};
    struct work work = {0};
    struct fault why;
    int image, modules;
    if (kernel_find(cache_file(""), &work, &k, &why) != ST_OK) {
        printf("# %s\n", why.text);
        tap_skip("there is no cloud kernel, and none could be downloaded");
    }
    must(tree_open_below(k.root, k.image, false, &image, &why), &why);
    must(tree_open_below(k.root, k.modules, true, &modules, &why), &why);
    must(vmlinux_extract(image, k.image, AT_FDCWD, kernel, &why), &why);
    struct initramfs spec = {.guest = program, .busybox = "/bin/busybox", .modules = modules};
    must(initramfs_build(&spec, AT_FDCWD, initrd, &why), &why);
    (void)close(image);
    (void)close(modules);
}

static void run(const char *const *argv)
{
    struct fault why;
    struct child_run r = {.argv = argv, .timeout_ms = 60000};
    must(child_run(&r, NULL, &why), &why);
}

/* An ext4 file system with a shell in it. */
static void make_disk(const char *disk)
{
    char tree[PATH_SIZE + 8], bin[PATH_SIZE + 16], sh[PATH_SIZE + 16];
    (void)snprintf(tree, sizeof tree, "%s.tree", disk);
    (void)snprintf(bin, sizeof bin, "%s/bin", tree);
    (void)snprintf(sh, sizeof sh, "%s/bin/sh", tree);
    run((const char *const[]){"rm", "-rf", tree, disk, NULL});
    run((const char *const[]){"mkdir", "-p", bin, NULL});
    run((const char *const[]){"cp", "/bin/busybox", sh, NULL});
    run((const char *const[]){"mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "32M", NULL});
    run((const char *const[]){"rm", "-rf", tree, NULL});
}

/* Name the file by its digest in the store. */
static void make_blob(const char *file, Pb__Blob *blob, char digest[DIGEST_TEXT_MAX])
{
    char path[2 * PATH_SIZE];
    struct stat st;
    uint8_t raw[DIGEST_SIZE];
    struct buf b;
    struct fault why;
    buf_init(&b, 512 << 20);
    must(file_read(AT_FDCWD, file, &b, &why), &why);
    digest_of(b.ptr, b.len, raw);
    digest_text(raw, digest);
    buf_done(&b);
    CHECK_EQ(0, stat(file, &st));
    (void)snprintf(path, sizeof path, "%s/%s", blob_dir, digest + 7);
    if (link(file, path) != 0)
        CHECK_EQ(EEXIST, errno);
    CHECK_EQ(0, chmod(path, 0444));
    pb__blob__init(blob);
    blob->digest = digest;
    blob->size = (uint64_t)st.st_size;
    blob->has_size = true;
}

static Pb__Blob kernel_blob, initrd_blob, disk_blob;
static Pb__Image image, disk_image;

static void make_image(void)
{
    static char digest[3][DIGEST_TEXT_MAX];
    char kernel[PATH_SIZE], initrd[PATH_SIZE], disk[PATH_SIZE], program[PATH_SIZE];
    (void)snprintf(blob_dir, sizeof blob_dir, "%s", cache_file("test-blobs"));
    (void)snprintf(kernel, sizeof kernel, "%s", cache_file("test-vmlinux"));
    (void)snprintf(initrd, sizeof initrd, "%s", cache_file("test-initrd"));
    (void)snprintf(disk, sizeof disk, "%s", cache_file("test-disk"));
    (void)snprintf(program, sizeof program, "%s", build_file("guest/blixard-guest"));
    struct fault why;
    must(file_mkdirs(AT_FDCWD, blob_dir, 0755, &why), &why);
    if (access(kernel, R_OK) != 0 || !is_newer(initrd, program))
        make_kernel(kernel, initrd, program);
    if (access(disk, R_OK) != 0)
        make_disk(disk);
    make_blob(kernel, &kernel_blob, digest[0]);
    make_blob(initrd, &initrd_blob, digest[1]);
    make_blob(disk, &disk_blob, digest[2]);
    pb__image__init(&image);
    image.kernel = &kernel_blob;
    image.initrd = &initrd_blob;
    image.kind = PB__IMAGE_KIND__IMAGE_INITRAMFS;
    disk_image = image;
    disk_image.kind = PB__IMAGE_KIND__IMAGE_DISK;
    disk_image.disk = &disk_blob;
}

const Pb__Image *site_image(void)
{
    return &image;
}

const Pb__Image *site_disk_image(void)
{
    return &disk_image;
}

const char *site_blob_dir(void)
{
    return blob_dir;
}

/* ---- the site ---- */

static void on_event(void *ctx, const struct vmm_event *e)
{
    struct site *s = ctx;
    static const char *const name[] = {"FOUND",  "LOOKED",  "LOOK_FAILED", "SPAWNED", "READY",
                                       "PAUSED", "RESUMED", "EXITED",      "REMOVED", "REFUSED"};
    printf("# %s %.8s incarnation %" PRIu64 " cause %d start %" PRIu64 " ms: %s\n", name[e->type],
           e->uid, e->incarnation, (int)e->cause, e->start_ms, e->detail);
    CHECK(s->event_count < SITE_EVENTS_MAX);
    s->event[s->event_count++] = *e;
}

static const char *tag(void)
{
    static char text[8];
    (void)snprintf(text, sizeof text, "v%03u", (unsigned)getpid() % 1000U);
    return text;
}

enum { CGROUP_TREES = 4 };

/* The cgroup of our helper, in the i-th of the trees that a machine may have. */
static const char *cgroup(size_t i)
{
    static const char *const tree[CGROUP_TREES] = {"", "memory/", "cpu/", "pids/"};
    static char path[128];
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup/%sblixard-%s", tree[i], tag());
    return path;
}

/* Where this machine cannot do something as root, the tests go on without it. */
static void start(struct site *s)
{
    struct request_init i;
    struct fault why;
    helper_defaults(&i);
    memcpy(i.tag, tag(), REQUEST_TAG_MAX);
    for (size_t k = 0; k < CGROUP_TREES; k++)
        (void)rmdir(cgroup(k)); /* empty, of a run of the same tag that was killed */
    memcpy(i.qemu, qemu, sizeof qemu);
    (void)snprintf(i.shim, sizeof i.shim, "%s", build_file("guest/shim/blixard-shim"));
    must(helper_start(s->loop, build_file("src/host/blixard-helper"), &i, NULL, NULL, &s->host,
                      &why),
         &why);
    struct vmm_qemu_config c = {.dir = s->dir,
                                .blob_dir = blob_dir,
                                .qemu = qemu,
                                .profile = CMDLINE_TEST,
                                .console_log_max = 64 * 1024};
    must(tsc_measure_khz(&c.tsc_khz, &why), &why);
    must(vmm_qemu_new(s->loop, s->host, &s->clock, &s->entropy, &c, &s->vmm, &why), &why);
    s->hear = (struct vmm_events){on_event, s};
    s->vmm->events = &s->hear;
}

static void on_exit_kill(void)
{
    /* A test that failed leaves VMs: end them, by the shims that the scratch directory knows of. */
    char command[256];
    (void)snprintf(command, sizeof command, "%s/vms", scratch_dir());
    DIR *d = opendir(command);
    for (struct dirent *e; d && (e = readdir(d));) {
        struct buf b;
        struct shim_record r;
        char path[600];
        (void)snprintf(path, sizeof path, "%s/%s/%s", command, e->d_name, SHIM_FILE);
        buf_init(&b, SHIM_RECORD_MAX);
        if (file_read(AT_FDCWD, path, &b, NULL) == ST_OK &&
            shim_get_record(buf_view(&b), &r, NULL) == ST_OK && r.phase == SHIM_RUNNING)
            (void)kill((pid_t)r.shim_pid, SIGKILL);
        buf_done(&b);
    }
    if (d)
        (void)closedir(d);
}

void site_open(struct site *s, bool root)
{
    *s = (struct site){0};
    (void)alarm(TEST_S);
    if (access(qemu, X_OK) != 0)
        tap_skip("there is no qemu-system-x86_64");
    if (access("/bin/busybox", X_OK) != 0)
        tap_skip("there is no static busybox");
    if (root && geteuid() != 0)
        tap_skip("not root: no user ids, namespaces, cgroups and taps");
    make_image();
    if (root && unshare(CLONE_NEWNET) != 0)
        tap_skip("no network namespace of its own");
    if (!root && geteuid() == 0 &&
        (setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0))
        tap_skip("cannot become another user than root");
    (void)snprintf(s->dir, sizeof s->dir, "%s/vms", scratch_dir());
    (void)atexit(on_exit_kill);
    CHECK_EQ(ST_OK, loop_open(&s->loop, NULL));
    clock_os_init(&s->clock);
    entropy_os_init(&s->entropy);
    start(s);
    printf("# helper: %s\n", s->host->facts.why[0] ? s->host->facts.why : "has all");
}

void site_drop(struct site *s)
{
    helper_stop(s->host);
    vmm_qemu_free(s->vmm);
    s->host = NULL;
    s->vmm = NULL;
    s->event_count = 0;
}

void site_again(struct site *s)
{
    start(s);
}

/* ---- VMs ---- */

void site_vm(struct site_vm *v, unsigned n)
{
    memset(v, 0, sizeof *v);
    pb__vm__init(&v->vm);
    pb__vm_spec__init(&v->spec);
    pb__meta__init(&v->meta);
    (void)snprintf(v->uid, sizeof v->uid, "%032x", 0xabc000 + n);
    (void)snprintf(v->name, sizeof v->name, "vm-%u", n);
    (void)snprintf(v->mac, sizeof v->mac, "02:00:00:00:00:%02x", n & 255);
    v->meta.uid = v->uid;
    v->meta.name = v->name;
    v->vm.meta = &v->meta;
    v->vm.spec = &v->spec;
    v->vm.mac = v->mac;
    v->spec.mem_mib = 128;
    v->spec.vcpus = 1;
    v->image = &image;
}

void site_start(struct site *s, struct site_vm *v)
{
    struct vmm_start w = {.vm = &v->vm,
                          .image = v->image,
                          .epoch = 1,
                          .incarnation = ++v->incarnation,
                          .generation = v->incarnation + 100};
    s->vmm->start(s->vmm, &w);
}

static bool take(struct site *s, const char *uid, enum vmm_event_type type, struct vmm_event *ret)
{
    for (size_t i = 0; i < s->event_count; i++) {
        struct vmm_event e = s->event[i];
        if (strcmp(e.uid, uid) != 0 || (e.type == VMM_SPAWNED && type != VMM_SPAWNED))
            continue;
        memmove(&s->event[i], &s->event[i + 1], (s->event_count - i - 1) * sizeof e);
        s->event_count--;
        if (e.type != type)
            tap_fail(__FILE__, __LINE__, "event %d came, %d was awaited: %s", e.type, type,
                     e.detail);
        *ret = e;
        return true;
    }
    return false;
}

static uint64_t deadline(const struct site *s)
{
    return s->clock.now_ms((struct clock *)(uintptr_t)&s->clock) + SITE_WAIT_MS;
}

struct vmm_event site_await(struct site *s, const char *uid, enum vmm_event_type type)
{
    struct vmm_event e;
    uint64_t until = deadline(s);
    while (!take(s, uid ? uid : "", type, &e)) {
        if (s->clock.now_ms(&s->clock) > until)
            tap_fail(__FILE__, __LINE__, "event %d did not come", type);
        CHECK_EQ(ST_OK, loop_turn(s->loop, TURN_MS, NULL));
    }
    return e;
}

void site_until(struct site *s, const bool *done)
{
    uint64_t until = deadline(s);
    while (!*done && s->clock.now_ms(&s->clock) < until)
        CHECK_EQ(ST_OK, loop_turn(s->loop, TURN_MS, NULL));
    CHECK(*done);
}

struct vmm_event site_boot(struct site *s, struct site_vm *v)
{
    site_start(s, v);
    struct vmm_event e = site_await(s, v->uid, VMM_READY);
    CHECK_EQ(v->incarnation, e.incarnation);
    return e;
}

/* ---- a command in the guest ---- */

struct shell {
    struct site *s;
    struct vmm_stream *stream;
    struct buf *out;
    bool done;
    enum status status;
    struct fault why;
    int exit_status;
};

static void on_data(void *ctx, enum vmm_channel from, struct str bytes)
{
    struct shell *x = ctx;
    (void)from;
    buf_str(x->out, bytes);
    x->s->vmm->grant(x->s->vmm, x->stream, bytes.len);
}

static void on_writable(void *ctx)
{
    (void)ctx;
}

static void on_closed(void *ctx, enum status s, const struct fault *why, int exit_status)
{
    struct shell *x = ctx;
    x->done = true;
    x->status = s;
    x->exit_status = exit_status;
    if (why)
        x->why = *why;
}

int site_sh(struct site *s, const char *uid, const char *script, struct buf *out)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct vmm_stream_open o = {.kind = VMM_STREAM_EXEC, .argv = argv};
    struct shell x = {.s = s, .out = out};
    struct vmm_stream_events ev = {on_data, on_writable, on_closed, &x};
    struct fault why;
    buf_reset(out);
    must(s->vmm->open(s->vmm, uid, &o, &ev, &x.stream, &why), &why);
    s->vmm->write_end(s->vmm, x.stream);
    site_until(s, &x.done);
    must(x.status, &x.why);
    return x.exit_status;
}

struct shim_record site_shim_record(struct site *s, const char *uid)
{
    static struct buf b;
    struct shim_record r;
    struct fault why;
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/%s/%s", s->dir, uid, SHIM_FILE);
    buf_done(&b);
    buf_init(&b, SHIM_RECORD_MAX);
    must(file_read(AT_FDCWD, path, &b, &why), &why);
    must(shim_get_record(buf_view(&b), &r, &why), &why);
    return r;
}

/* ---- the end ---- */

void site_close(struct site *s)
{
    DIR *d = opendir(s->dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strlen(e->d_name) != 32)
            continue;
        s->event_count = 0;
        s->vmm->remove(s->vmm, e->d_name);
        struct vmm_event ev;
        uint64_t until = deadline(s);
        for (bool gone = false; !gone;) { /* EXITED may come before */
            CHECK(s->clock.now_ms(&s->clock) < until);
            CHECK_EQ(ST_OK, loop_turn(s->loop, TURN_MS, NULL));
            for (size_t i = 0; i < s->event_count; i++)
                gone |= s->event[i].type == VMM_REMOVED && strcmp(s->event[i].uid, e->d_name) == 0;
        }
        (void)ev;
    }
    if (d)
        (void)closedir(d);
    site_drop(s);
    CHECK_EQ(0, rmdir(s->dir));
    for (size_t i = 0; i < CGROUP_TREES; i++)
        CHECK(access(cgroup(i), F_OK) != 0);
    loop_close(s->loop);
}
