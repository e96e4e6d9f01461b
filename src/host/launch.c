#include "host/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"

enum { OUT_OF_THE_WAY = 256, ROOM = SHIM_FD_KEEP + SHIM_KEEP_MAX };

/* What the shim's descriptors are copies of; -1: closed in the shim. */
struct plan {
    int source[ROOM];
};

static void make_plan(const struct launch *l, int null, int start, struct plan *p)
{
    for (int i = 0; i < ROOM; i++)
        p->source[i] = -1;
    p->source[0] = p->source[1] = p->source[2] = null;
    p->source[SHIM_FD_START] = start;
    p->source[SHIM_FD_DIR] = l->dir;
    p->source[SHIM_FD_LISTEN] = l->listen;
    for (uint32_t i = 0; i < l->start->cgroup_count; i++)
        p->source[SHIM_FD_CGROUP + i] = l->cgroup[i];
    for (uint32_t i = 0; i < l->start->keep_count; i++)
        p->source[SHIM_FD_KEEP + i] = l->keep[i];
}

/* First all out of the way, so that none is overwritten before it was copied. */
static bool place(struct plan *p)
{
    if (close_range(OUT_OF_THE_WAY, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
        return false;
    for (int i = 0; i < ROOM; i++)
        if (p->source[i] >= 0 &&
            (p->source[i] = fcntl(p->source[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY)) < 0)
            return false;
    for (int i = 0; i < ROOM; i++) {
        if (p->source[i] >= 0 && dup2(p->source[i], i) != i)
            return false;
        if (p->source[i] < 0)
            (void)close(i);
    }
    return close_range(ROOM, OUT_OF_THE_WAY - 1, CLOSE_RANGE_CLOEXEC) == 0;
}

/* In the child: no return but into the shim. `report` is closed by exec, and gets errno before that. */
_Noreturn static void become(const struct launch *l, struct plan *p, int report)
{
    const char *const argv[] = {"blixard-shim", l->start->uid, NULL};
    static const char *const env[] = {NULL};
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    report = fcntl(report, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    if (report >= 0 && place(p))
        (void)syscall(SYS_execve, l->shim, argv, env);
    int err = errno;
    (void)!write(report, &err, sizeof err);
    _exit(127);
}

static enum status not_started(const struct launch *l, int err, struct fault *why)
{
    if (err != ENOENT)
        return fault_errno(why, err, "run %s", l->shim);
    enum status s = fault_set(why, ST_NOT_FOUND, "%s: there is no such program", l->shim);
    fault_hint(why, "install Blixard again, or set where its shim is");
    return s;
}

/* fork(2) that answers a pidfd at once: opened by its number later, the process may have ended already, and
 * the number may be another's. */
static pid_t fork_pidfd(int *ret_pidfd)
{
    struct clone_args c = {
        .flags = CLONE_PIDFD, .pidfd = (uintptr_t)ret_pidfd, .exit_signal = SIGCHLD};
    return (pid_t)syscall(SYS_clone3, &c, sizeof c);
}

/* 0, or the errno with which it failed to become the shim. */
static int read_report(int fd)
{
    int err = 0;
    ssize_t n;
    do
        n = read(fd, &err, sizeof err);
    while (n < 0 && errno == EINTR);
    return n == sizeof err ? err : 0; /* nothing: closed by exec */
}

static void kill_and_reap(int pidfd)
{
    siginfo_t ignored;
    (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    while (waitid(P_PIDFD, (id_t)pidfd, &ignored, WEXITED) < 0 && errno == EINTR)
        ;
}

static enum status spawn(const struct launch *l, struct plan *p, uint32_t *ret_pid, int *ret_pidfd,
                         struct fault *why)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return fault_errno(why, errno, "make a pipe");
    AUTO(close_fd) int pidfd = -1;
    pid_t pid = fork_pidfd(&pidfd);
    if (pid == 0)
        become(l, p, report[1]);
    int err = pid < 0 ? errno : 0;
    (void)close(report[1]);
    if (pid > 0)
        err = read_report(report[0]);
    (void)close(report[0]);
    if (err) {
        if (pid > 0)
            kill_and_reap(pidfd);
        return not_started(l, err, why);
    }
    *ret_pid = (uint32_t)pid;
    *ret_pidfd = pidfd;
    pidfd = -1;
    return ST_OK;
}

enum status launch_shim(const struct launch *l, uint32_t *ret_pid, int *ret_pidfd,
                        struct fault *why)
{
    struct buf message AUTO(buf_done);
    buf_init(&message, SHIM_START_MAX);
    enum status s = shim_put_start(&message, l->start, why);
    if (s != ST_OK)
        return s;
    AUTO(close_fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO(close_fd) int start = memfd_create("start", MFD_CLOEXEC);
    if (null < 0 || start < 0)
        return fault_errno(why, errno, "open what the shim reads");
    if (!file_write_at(start, 0, message.ptr, message.len))
        return fault_errno(why, errno, "write what the shim reads");
    struct plan p;
    make_plan(l, null, start, &p);
    return spawn(l, &p, ret_pid, ret_pidfd, why);
}
