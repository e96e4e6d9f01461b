#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock_os.h"
#include "os/file.h"

enum {
    GRACE_MS = 2000,
    TICK_MS = 1000,
    ENV_MAX = 64,
    READ_SIZE = 16 * 1024,
    DRAIN_READS = 16,
    ENV_TEXT = 4096 + 32,
    FD_BASE = 64
};

/* ---- in the new process: async-signal-safe calls only ---- */

enum { STEP_CWD, STEP_FDS, STEP_EXEC };

/* What the new process says when it cannot become the program. */
struct failure {
    int step;
    int err;
};

struct plan {
    const struct child_run *run;
    char *const *env;
    int fd[3 + CHILD_PASS_MAX + 1]; /* become 0, 1, 2, 3, ...; the last is where failures go */
    int fd_count;
    pid_t parent;
};

static _Noreturn void give_up(int report_fd, int step)
{
    struct failure f = {step, errno};
    ssize_t n = write(report_fd, &f, sizeof f);
    _exit(n == sizeof f ? 127 : 126);
}

/* Put the descriptors where they belong. First all out of the way, so that none is overwritten.
 * *report is the one for failures, wherever it is. */
static int place_fds(const struct plan *p, int *report)
{
    int up[ARRAY_COUNT(p->fd)];
    for (int i = 0; i < p->fd_count; i++)
        if ((up[i] = fcntl(p->fd[i], F_DUPFD_CLOEXEC, FD_BASE)) < 0)
            return -1;
    *report = up[p->fd_count - 1];
    for (int i = 0; i < p->fd_count; i++)
        if (dup2(up[i], i) < 0)
            return -1;
    *report = p->fd_count - 1;
    if (fcntl(*report, F_SETFD, FD_CLOEXEC) < 0)
        return -1;
    return (int)syscall(SYS_close_range, (unsigned)p->fd_count, ~0U, 0);
}

static _Noreturn void become(const struct plan *p)
{
    int report = p->fd[p->fd_count - 1];
    for (int s = 1; s < NSIG; s++)
        (void)signal(s, SIG_DFL);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != p->parent) /* it died before prctl: nobody waits for us */
        _exit(126);
    if (p->run->cwd && chdir(p->run->cwd) != 0)
        give_up(report, STEP_CWD);
    if (place_fds(p, &report) != 0)
        give_up(report, STEP_FDS);
    environ = (char **)(uintptr_t)p->env; /* whose PATH execvp() looks into */
    (void)execvp(p->run->argv[0], (char *const *)(uintptr_t)p->run->argv);
    give_up(report, STEP_EXEC);
}

/* ---- in ours ---- */

struct state {
    const struct child_run *run;
    const char *name; /* of the program, for people */
    pid_t pid;
    int pidfd;
    int out, err; /* our ends of the pipes, or -1 */
    char tail[CHILD_STDERR_TAIL];
    size_t tail_len;
    uint64_t started_ms, deadline_ms;
    enum status ended; /* why we ended it; ST_OK: we did not */
    bool killed;
};

static void keep_tail(struct state *s, const char *data, size_t len)
{
    if (len > sizeof s->tail) {
        data += len - sizeof s->tail;
        len = sizeof s->tail;
    }
    size_t keep = MIN(s->tail_len, sizeof s->tail - len);
    memmove(s->tail, s->tail + s->tail_len - keep, keep);
    memcpy(s->tail + keep, data, len);
    s->tail_len = keep + len;
}

/* The group gets SIGTERM, and SIGKILL when it is not gone GRACE_MS later. */
static void end_it(struct state *s, enum status reason)
{
    if (s->ended != ST_OK)
        return;
    s->ended = reason;
    (void)kill(-s->pid, SIGTERM);
    s->deadline_ms = clock_os_now_ms() + GRACE_MS;
}

static void read_err(struct state *s)
{
    char data[READ_SIZE];
    ssize_t n = read(s->err, data, sizeof data);
    if (n > 0)
        keep_tail(s, data, (size_t)n);
    else if (n == 0 || errno != EINTR)
        close_fd(&s->err);
}

static void read_out(struct state *s)
{
    char data[READ_SIZE];
    ssize_t n = read(s->out, data, sizeof data);
    if (n > 0) {
        buf_add(s->run->out, data, (size_t)n);
        if (s->run->out->full)
            end_it(s, ST_TOO_BIG);
    } else if (n == 0 || errno != EINTR) {
        close_fd(&s->out);
    }
}

static int wait_ms(const struct state *s)
{
    uint64_t now = clock_os_now_ms();
    uint64_t left = s->deadline_ms > now ? s->deadline_ms - now : 0;
    return (int)MIN(left, (uint64_t)TICK_MS);
}

/* Wait for output, the end, the deadline or the cancel. False once the program has ended. */
static bool turn(struct state *s)
{
    enum { OUT, ERR, END, CANCEL };
    bool may_cancel = s->run->cancel_fd > 0 && s->ended == ST_OK;
    struct pollfd p[] = {
        [OUT] = {.fd = s->out, .events = POLLIN},
        [ERR] = {.fd = s->err, .events = POLLIN},
        [END] = {.fd = s->pidfd, .events = POLLIN},
        [CANCEL] = {.fd = may_cancel ? s->run->cancel_fd : -1, .events = POLLIN},
    };
    int n = poll(p, ARRAY_COUNT(p), wait_ms(s));
    if (n < 0)
        ensure(errno == EINTR || errno == ENOMEM);
    if (n > 0 && p[OUT].revents)
        read_out(s);
    if (n > 0 && p[ERR].revents)
        read_err(s);
    if (n > 0 && p[CANCEL].revents)
        end_it(s, ST_CANCELLED);
    if (clock_os_now_ms() >= s->deadline_ms) {
        if (s->ended == ST_OK) {
            end_it(s, ST_TIMEOUT);
        } else if (!s->killed) {
            (void)kill(-s->pid, SIGKILL);
            s->killed = true;
        }
    }
    if (s->run->progress)
        s->run->progress(s->run->progress_ctx, clock_os_now_ms() - s->started_ms);
    return n <= 0 || !p[END].revents;
}

/* What the pipes still hold. A grandchild may keep them open, and go on writing, for ever: so do not
 * wait, and read no more than pipes can hold. */
static void drain(struct state *s)
{
    for (int i = 0; i < DRAIN_READS; i++) {
        struct pollfd p[] = {{.fd = s->out, .events = POLLIN}, {.fd = s->err, .events = POLLIN}};
        if (poll(p, ARRAY_COUNT(p), 0) <= 0)
            return;
        if (p[0].revents)
            read_out(s);
        if (p[1].revents)
            read_err(s);
    }
}

static void make_tail(const struct state *s, char out[CHILD_STDERR_TAIL + 1])
{
    const char *p = s->tail;
    size_t len = s->tail_len;
    if (len == sizeof s->tail) { /* likely cut: begin with a whole line, if there is one */
        const char *nl = memchr(p, '\n', len);
        if (nl && (size_t)(nl + 1 - p) < len) {
            len -= (size_t)(nl + 1 - p);
            p = nl + 1;
        }
    }
    for (size_t i = 0; i < len; i++)
        out[i] = p[i] == '\n' || (p[i] >= ' ' && p[i] != 0x7f) ? p[i] : '?';
    out[len] = 0;
}

/* The last line of the tail that says something. */
static struct str last_line(const char *tail)
{
    struct str rest = str_from(tail), line, last = {"", 0};
    for (bool more = true; more;) {
        more = str_cut(&rest, '\n', &line);
        line = str_trim(line);
        if (line.len)
            last = line;
    }
    return last;
}

static enum status conclude(const struct state *s, int wait_status, struct child_result *r,
                            struct fault *why)
{
    *r = (struct child_result){
        .exit_code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1,
        .signal = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0,
    };
    make_tail(s, r->tail);
    struct str line = last_line(r->tail);
    const char *colon = line.len ? ": " : "";
    if (s->ended == ST_TIMEOUT)
        return fault_set(why, ST_TIMEOUT, "%s: not done after %" PRIu64 " ms%s" STR_FMT, s->name,
                         s->run->timeout_ms, colon, STR_ARG(line));
    if (s->ended == ST_TOO_BIG)
        return fault_set(why, ST_TOO_BIG, "%s: more than %zu bytes of output", s->name,
                         s->run->out->max);
    if (s->ended != ST_OK)
        return fault_set(why, s->ended, "%s: cancelled", s->name);
    if (r->signal)
        return fault_set(why, ST_IO, "%s: killed by signal %d (%s)%s" STR_FMT, s->name, r->signal,
                         sigabbrev_np(r->signal) ? sigabbrev_np(r->signal) : "?", colon,
                         STR_ARG(line));
    if (r->exit_code != 0)
        return fault_set(why, ST_IO, "%s: exit %d%s" STR_FMT, s->name, r->exit_code, colon,
                         STR_ARG(line));
    return ST_OK;
}

static enum status not_started(const struct state *s, struct failure f, struct fault *why)
{
    if (f.step == STEP_CWD)
        return fault_errno(why, f.err, "%s: change to %s", s->name, s->run->cwd);
    if (f.step == STEP_FDS)
        return fault_errno(why, f.err, "%s: hand over descriptors", s->name);
    if (f.err != ENOENT)
        return fault_errno(why, f.err, "run %s", s->name);
    enum status status = fault_set(why, ST_NOT_FOUND, "%s: there is no such program", s->name);
    fault_hint(why, "install the package that has %s", s->name);
    return status;
}

/* PATH and HOME of ours, a fixed locale so that messages can be read, and what the caller adds. The PATH
 * of a user may lack the folders of mkfs and its like. */
static void make_env(const struct child_run *run, const char *out[ENV_MAX + 1], char path[ENV_TEXT],
                     char home[ENV_TEXT])
{
    size_t n = 0;
    const char *p = getenv("PATH"), *h = getenv("HOME");
    (void)snprintf(path, ENV_TEXT, "PATH=%s:/usr/sbin:/sbin",
                   p && p[0] ? p : "/usr/local/bin:/usr/bin:/bin");
    (void)snprintf(home, ENV_TEXT, "HOME=%s", h && h[0] ? h : "/");
    out[n++] = path;
    out[n++] = home;
    out[n++] = "LC_ALL=C";
    for (size_t i = 0; run->env && run->env[i]; i++) {
        require(n < ENV_MAX);
        out[n++] = run->env[i];
    }
    out[n] = NULL;
}

/* Our ends and theirs; -1 where there is none. All are closed at the end of child_run(). */
struct pipes {
    int null, out[2], err[2], report[2];
};

static void pipes_close(struct pipes *p)
{
    close_fd(&p->null);
    for (int i = 0; i < 2; i++) {
        close_fd(&p->out[i]);
        close_fd(&p->err[i]);
        close_fd(&p->report[i]);
    }
}

static enum status pipes_open(const struct child_run *run, struct pipes *p, struct fault *why)
{
    p->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool bad = p->null < 0 || pipe2(p->err, O_CLOEXEC) != 0 || pipe2(p->report, O_CLOEXEC) != 0;
    if (!bad && run->out && !run->stdout_fd)
        bad = pipe2(p->out, O_CLOEXEC) != 0;
    return bad ? fault_errno(why, errno, "run %s: make pipes", run->argv[0]) : ST_OK;
}

static struct plan make_plan(const struct child_run *run, const struct pipes *p, const char **env)
{
    struct plan plan = {.run = run, .env = (char *const *)(uintptr_t)env, .parent = getpid()};
    int their_out = p->out[1] >= 0 ? p->out[1] : p->null;
    plan.fd[plan.fd_count++] = run->stdin_fd ? run->stdin_fd : p->null;
    plan.fd[plan.fd_count++] = run->stdout_fd ? run->stdout_fd : their_out;
    plan.fd[plan.fd_count++] = p->err[1];
    for (size_t i = 0; i < CHILD_PASS_MAX && run->pass_fd[i]; i++)
        plan.fd[plan.fd_count++] = run->pass_fd[i];
    plan.fd[plan.fd_count++] = p->report[1];
    return plan;
}

/* Did the program start? Its end of the report pipe closes at exec. */
static bool started(int report_fd, struct failure *ret)
{
    ssize_t n;
    do
        n = read(report_fd, ret, sizeof *ret);
    while (n < 0 && errno == EINTR);
    return n != sizeof *ret;
}

static int reap(pid_t pid)
{
    int status = 0;
    pid_t got;
    do
        got = waitpid(pid, &status, 0);
    while (got < 0 && errno == EINTR);
    ensure(got == pid);
    return status;
}

enum status child_run(const struct child_run *run, struct child_result *ret, struct fault *why)
{
    require(run->argv && run->argv[0]);
    const char *slash = strrchr(run->argv[0], '/');
    AUTO(pipes_close) struct pipes p = {-1, {-1, -1}, {-1, -1}, {-1, -1}};
    enum status status = pipes_open(run, &p, why);
    if (status != ST_OK)
        return status;

    const char *env[ENV_MAX + 1];
    char path[ENV_TEXT], home[ENV_TEXT];
    make_env(run, env, path, home);
    struct plan plan = make_plan(run, &p, env);
    struct state s = {.run = run,
                      .name = slash ? slash + 1 : run->argv[0],
                      .started_ms = clock_os_now_ms(),
                      .out = -1,
                      .err = -1};
    s.deadline_ms =
        run->timeout_ms > UINT64_MAX - s.started_ms ? UINT64_MAX : s.started_ms + run->timeout_ms;
    s.pid = fork();
    if (s.pid < 0)
        return fault_errno(why, errno, "run %s: fork", s.name);
    if (s.pid == 0)
        become(&plan);
    (void)setpgid(s.pid, s.pid); /* by both, so that it holds before either goes on */
    close_fd(&p.out[1]);
    close_fd(&p.err[1]);
    close_fd(&p.report[1]);
    struct failure f;
    if (!started(p.report[0], &f)) {
        (void)reap(s.pid);
        return not_started(&s, f, why);
    }
    AUTO(close_fd) int pidfd = (int)syscall(SYS_pidfd_open, s.pid, 0);
    if (pidfd < 0) {
        int err = errno;
        (void)kill(-s.pid, SIGKILL);
        (void)reap(s.pid);
        return fault_errno(why, err, "run %s: pidfd", s.name);
    }
    s.pidfd = pidfd;
    s.out = p.out[0];
    s.err = p.err[0];
    p.out[0] = p.err[0] = -1;
    while (turn(&s))
        ;
    drain(&s);
    close_fd(&s.out);
    close_fd(&s.err);
    /* Whoever is left of a group that we ended; while its leader is not reaped, the number is its own. */
    if (s.ended != ST_OK)
        (void)kill(-s.pid, SIGKILL);
    int wait_status = reap(s.pid);
    struct child_result r;
    status = conclude(&s, wait_status, &r, why);
    if (ret)
        *ret = r;
    return status;
}
