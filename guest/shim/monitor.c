/*
 * The monitor: its walls are put up in the child, between fork and exec, in an order that matters.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/shim/shim.h"

/* Used between fork and exec only; all are closed by exec. */
struct child_fds {
    int alive; /* its other end is the shim's: it hangs up when the shim dies */
    int stderr_fd;
    int exec_fd; /* gets the text of a failure */
};

static void say(int fd, const char *what, int err)
{
    const char *text = err ? strerrordesc_np(err) : NULL;
    (void)!write(fd, "blixard-shim: ", 14);
    (void)!write(fd, what, strlen(what));
    if (text) {
        (void)!write(fd, ": ", 2);
        (void)!write(fd, text, strlen(text));
    }
    (void)!write(fd, "\n", 1);
}

_Noreturn static void give_up(const struct child_fds *f, const char *what)
{
    int err = errno;
    say(f->stderr_fd, what, err);
    (void)!write(f->exec_fd, "x", 1);
    _exit(126);
}

static void join_cgroups(const struct shim *s, const struct child_fds *f)
{
    for (uint32_t i = 0; i < s->start.cgroup_count; i++)
        if (write(SHIM_FD_CGROUP + (int)i, "0", 1) != 1) /* 0: whoever writes it */
            give_up(f, "join cgroup");
}

/* Nothing that the monitor needs is reached by a writable path: it gets its files open. */
static void make_read_only(const struct child_fds *f)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        give_up(f, "make mounts private");
    if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof attr) != 0)
        give_up(f, "make mounts read-only");
}

static void leave_namespaces(const struct shim *s, const struct child_fds *f)
{
    uint32_t w = s->start.walls;
    int flags = (w & SHIM_MOUNT ? CLONE_NEWNS : 0) | (w & SHIM_NET ? CLONE_NEWNET : 0) |
                (w & SHIM_IPC ? CLONE_NEWIPC : 0) | (w & SHIM_UTS ? CLONE_NEWUTS : 0);
    if (flags && unshare(flags) != 0)
        give_up(f, "unshare namespaces");
    if ((w & SHIM_UTS) && sethostname(s->start.uid, strlen(s->start.uid)) != 0)
        give_up(f, "set the host name");
    if (w & SHIM_MOUNT)
        make_read_only(f);
}

static void set_limits(const struct shim *s, const struct child_fds *f)
{
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        give_up(f, "forbid core dumps");
    for (size_t i = 0; i < s->start.limit_count; i++) {
        struct rlimit l = {s->start.limit[i].value, s->start.limit[i].value};
        if (setrlimit((__rlimit_resource_t)s->start.limit[i].resource, &l) != 0)
            give_up(f, "set a resource limit");
    }
}

static void take_ids(const struct shim *s, const struct child_fds *f)
{
    gid_t group[SHIM_GROUPS_MAX];
    for (size_t i = 0; i < s->start.group_count; i++)
        group[i] = s->start.group[i];
    if (setgroups(s->start.group_count, group) != 0 ||
        setresgid(s->start.id, s->start.id, s->start.id) != 0 ||
        setresuid(s->start.id, s->start.id, s->start.id) != 0)
        give_up(f, "take the user id of the VM");
}

/* Only now, since a change of ids clears it: when the shim dies, this process dies. It may have died
 * already, which no signal would tell any more; but then its end of the pipe is gone. (getppid() says
 * 0 to the first process of a pid namespace whether the parent lives or not.) */
static void die_with_shim(const struct child_fds *f)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        give_up(f, "ask to die with the shim");
    struct pollfd p = {.fd = f->alive, .events = POLLIN};
    if (poll(&p, 1, 0) != 0)
        _exit(126);
}

_Noreturn static void child(const struct shim *s, const struct child_fds *f)
{
    join_cgroups(s, f);
    leave_namespaces(s, f);
    set_limits(s, f);
    if (s->start.walls & SHIM_IDS)
        take_ids(s, f);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        give_up(f, "forbid new privileges");
    die_with_shim(f);

    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    /* Whatever we, or those who started us, ignore. By the kernel's own call, with its structure of
     * zeros: the library keeps 32 and 33 for itself, and they are inherited like all others. */
    static const unsigned long by_default[4];
    for (int n = 1; n < NSIG; n++)
        (void)syscall(SYS_rt_sigaction, n, by_default, NULL, sizeof(uint64_t));
    if (dup2(f->stderr_fd, 1) != 1 || dup2(f->stderr_fd, 2) != 2)
        give_up(f, "set up stderr");
    /* Standard input is /dev/null already. All else but the monitor's own goes at exec. */
    unsigned first = SHIM_FD_KEEP + s->start.keep_count;
    if (close_range(3, SHIM_FD_KEEP - 1, CLOSE_RANGE_CLOEXEC) != 0 ||
        close_range(first, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
        give_up(f, "close descriptors");

    /* Arguments are NUL-terminated in the message. execve does not write to them. */
    const char *argv[SHIM_ARGS_MAX + 1];
    for (size_t i = 0; i < s->start.argc; i++)
        argv[i] = s->start.argv[i].ptr;
    argv[s->start.argc] = NULL;
    static const char *const env[] = {"LC_ALL=C", "PATH=/usr/bin:/bin", NULL};
    (void)syscall(SYS_execve, argv[0], argv, env);
    give_up(f, argv[0]);
}

static void close_all(const int fd[2])
{
    (void)close(fd[0]);
    (void)close(fd[1]);
}

/* What belongs to the monitor must not stay open here: a disk would stay locked, a tap alive. */
static void forget_childs(const struct shim *s)
{
    for (uint32_t i = 0; i < s->start.cgroup_count; i++)
        (void)close(SHIM_FD_CGROUP + (int)i);
    for (uint32_t i = 0; i < s->start.keep_count; i++)
        (void)close(SHIM_FD_KEEP + (int)i);
}

static bool spawn(struct shim *s, const int alive[2], const int err[2], const int run[2])
{
    if ((s->start.walls & SHIM_PID) && unshare(CLONE_NEWPID) != 0) {
        shim_note(s, "unshare the pid namespace", errno);
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        struct child_fds f = {alive[0], err[1], run[1]};
        (void)close(alive[1]);
        child(s, &f);
    }
    if (pid < 0) {
        shim_note(s, "fork", errno);
        return false;
    }
    s->record.pid = (uint32_t)pid;
    s->record.start = record_start_time((uint32_t)pid); /* it is not reaped before we wait for it */
    s->monitor = (int)syscall(SYS_pidfd_open, pid, 0);
    if (s->monitor < 0) {
        shim_note(s, "open a pidfd", errno);
        (void)kill(pid, SIGKILL);
    }
    return s->monitor >= 0;
}

bool monitor_start(struct shim *s)
{
    int alive[2], err[2], run[2];
    if (pipe2(alive, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 || pipe2(run, O_CLOEXEC) != 0) {
        shim_note(s, "make pipes", errno);
        return false;
    }
    bool ok = spawn(s, alive, err, run);
    forget_childs(s);
    (void)close(alive[0]); /* alive[1] stays open for as long as we live */
    (void)close(err[1]);
    (void)close(run[1]);
    if (!ok) {
        (void)close(err[0]);
        close_all((int[]){run[0], alive[1]});
        return false;
    }
    (void)fcntl(err[0], F_SETFL, O_NONBLOCK);
    s->stderr_fd = err[0];
    s->exec_fd = run[0];
    return true;
}

/* All that is needed from now on is to write into a directory of own_id's, and to end a process of
 * another user: CAP_KILL, also for the signal that is sent at our death. */
bool monitor_drop_rights(struct shim *s)
{
    bool ok = true;
    if (s->start.walls & SHIM_IDS) {
        struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct only[2] = {
            {.effective = 1U << CAP_KILL, .permitted = 1U << CAP_KILL}};
        gid_t gid = s->start.own_group;
        uid_t uid = s->start.own_id;
        ok = prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setgroups(0, NULL) == 0 &&
             setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0 &&
             syscall(SYS_capset, &head, only) == 0;
    }
    ok = ok && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0) == 0;
    if (!ok)
        shim_note(s, "give up rights", errno);
    return ok;
}

void monitor_kill(struct shim *s, enum shim_cause cause)
{
    if (s->record.cause == SHIM_NOT_YET)
        s->record.cause = cause;
    (void)syscall(SYS_pidfd_send_signal, s->monitor, SIGKILL, NULL, 0);
}
