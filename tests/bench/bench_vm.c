/*
 * bench_vm: what the driver costs, beside bare QEMU with the same words in the same run.
 *
 *     start       from the order to the guest's answer, ROUNDS of each, taken in turns
 *     boots       BOOTS cold boots with as many busy processes as HOGS says
 *     adoption    a new driver finds VMS that run
 *
 * meson test --benchmark bench_vm; it says what was measured as TAP comments.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"
#include "support/vm_run.h"
#include "vmm/agent_link.h"
#include "vmm/prepare.h"
#include "vmm/sock.h"
#include "vmm/tsc.h"
#include "wire/shim.h"

enum { ROUNDS = 15, BOOTS = 50, HOGS = 3, VMS = 20 };

static struct site site;

static uint64_t now(void)
{
    return site.clock.now_ms(&site.clock);
}

/* BENCH_PLAIN=1: as a user without rights, even when root runs this. */
static bool as_root(void)
{
    return geteuid() == 0 && !getenv("BENCH_PLAIN");
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static uint64_t median(uint64_t *v, size_t count)
{
    qsort(v, count, sizeof *v, by_value);
    return v[count / 2];
}

/* ---- bare QEMU ---- */

static void on_ready(void *ctx, const struct agent_hello *h)
{
    (void)h;
    *(bool *)ctx = true;
}

static void on_closed(void *ctx, const struct fault *why)
{
    (void)ctx;
    tap_fail(__FILE__, __LINE__, "%s", why->text);
}

_Noreturn static void become(const struct prepared *p)
{
    for (size_t i = 0; i < p->fd_count; i++)
        (void)fcntl(p->fd[i], F_DUPFD_CLOEXEC, 256); /* out of the way */
    for (size_t i = 0; i < p->fd_count; i++)
        if (dup2(fcntl(p->fd[i], F_DUPFD_CLOEXEC, 256), HOST_FD_FIRST + (int)i) < 0)
            _exit(1);
    (void)execv(p->args.argv[0], (char *const *)(uintptr_t)p->args.argv);
    _exit(1);
}

/* The same image, memory and words but for the seccomp filter, by fork and exec alone; what comes before
 * those is not counted. */
static uint64_t bare(struct site_vm *v, int vms, struct verified *known)
{
    static const uint8_t seed[GUESTCFG_SEED];
    struct order o;
    struct prepared p;
    struct fault why;
    struct vmm_start s = {.vm = &v->vm, .image = v->image, .incarnation = 1};
    struct prepare_site w = {.dir = vms,
                             .blob_dir = site_blob_dir(),
                             .qemu = "/usr/bin/qemu-system-x86_64",
                             .profile = CMDLINE_TEST,
                             .first_fd = HOST_FD_FIRST,
                             .verified = known};
    CHECK_EQ(ST_OK, tsc_measure_khz(&w.tsc_khz, NULL));
    CHECK_EQ(ST_OK, order_init(&o, &s, &why));
    if (prepare(&w, &o, 0, seed, &p, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    /* Their numbers are those that QEMU is to see: keep ours away from them. */
    for (size_t i = 0; i < p.fd_count; i++) {
        int fd = fcntl(p.fd[i], F_DUPFD_CLOEXEC, 256);
        (void)close(p.fd[i]);
        p.fd[i] = fd;
    }
    uint64_t from = now();
    pid_t pid = fork();
    if (pid == 0)
        become(&p);
    struct agent_link *a;
    bool ready = false;
    struct agent_link_events ev = {on_ready, on_closed, &ready};
    int fd = -1;
    CHECK_EQ(ST_OK, sock_connect(p.dir, PREPARE_AGENT_SOCKET, SOCK_STREAM, &fd, &why));
    CHECK_EQ(ST_OK, agent_link_open(site.loop, &site.entropy, fd, &ev, &a, &why));
    site_until(&site, &ready);
    uint64_t took = now() - from;
    agent_link_close(a);
    CHECK_EQ(0, kill(pid, SIGKILL));
    CHECK_EQ(pid, waitpid(pid, NULL, 0));
    prepared_done(&p);
    order_done(&o);
    return took;
}

/* ---- ours ---- */

static uint64_t ours(struct site_vm *v)
{
    uint64_t from = now();
    (void)site_boot(&site, v);
    uint64_t took = now() - from;
    site.vmm->power(site.vmm, v->uid, v->incarnation, VMM_KILL);
    (void)site_await(&site, v->uid, VMM_EXITED);
    return took;
}

TEST(start_beside_bare_qemu)
{
    struct site_vm a, b;
    uint64_t our[ROUNDS], its[ROUNDS];
    struct verified *known = verified_new();
    site_open(&site, as_root());
    site_vm(&a, 1);
    site_vm(&b, 2);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/../bare", site.dir);
    struct fault why;
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, path, 0700, &why));
    int vms = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)ours(&a); /* the image is read and its digest known */
    (void)bare(&b, vms, known);
    for (int i = 0; i < ROUNDS; i++) {
        our[i] = ours(&a);
        its[i] = bare(&b, vms, known);
    }
    uint64_t x = median(our, ROUNDS), y = median(its, ROUNDS);
    printf("# start to answer, median of %d: ours %" PRIu64 " ms, bare QEMU %" PRIu64
           " ms, ratio %.3f\n",
           ROUNDS, x, y, (double)x / (double)y);
    verified_free(known);
    (void)close(vms);
    site_close(&site);
}

/* ---- many boots on a busy machine ---- */

TEST(boots_under_load)
{
    struct site_vm v;
    pid_t hog[HOGS];
    uint64_t took[BOOTS];
    site_open(&site, as_root());
    site_vm(&v, 1);
    for (int i = 0; i < HOGS; i++)
        if ((hog[i] = fork()) == 0)
            for (;;)
                __asm__ volatile("");
    (void)alarm(900);
    for (int i = 0; i < BOOTS; i++)
        took[i] = ours(&v);
    for (int i = 0; i < HOGS; i++) {
        (void)kill(hog[i], SIGKILL);
        (void)waitpid(hog[i], NULL, 0);
    }
    uint64_t m = median(took, BOOTS);
    printf("# %d of %d boots with %d busy processes; median %" PRIu64 " ms, slowest %" PRIu64
           " ms\n",
           BOOTS, BOOTS, HOGS, m, took[BOOTS - 1]);
    site_close(&site);
}

/* ---- many VMs ---- */

static uint64_t rss_kib(uint32_t pid)
{
    char path[64];
    unsigned long pages = 0;
    (void)snprintf(path, sizeof path, "/proc/%u/statm", pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        (void)fclose(f);
    return pages * 4;
}

TEST(adoption)
{
    static struct site_vm v[VMS];
    site_open(&site, as_root());
    for (unsigned i = 0; i < VMS; i++) {
        site_vm(&v[i], i + 1);
        (void)site_boot(&site, &v[i]);
    }
    uint64_t shims = 0;
    for (unsigned i = 0; i < VMS; i++)
        shims += rss_kib(site_shim_record(&site, v[i].uid).shim_pid);
    site_drop(&site);
    uint64_t from = now();
    site_again(&site);
    uint64_t begun = now();
    site.vmm->look(site.vmm);
    for (unsigned i = 0; i < VMS; i++)
        CHECK_EQ(PB__VM_PHASE__VM_RUNNING, site_await(&site, v[i].uid, VMM_FOUND).phase);
    (void)site_await(&site, NULL, VMM_LOOKED);
    printf("# %d VMs adopted in %" PRIu64 " ms, and %" PRIu64
           " ms to start helper and driver; %" PRIu64 " kB resident for each shim\n",
           VMS, now() - begun, begun - from, shims / VMS);
    site_close(&site);
}
