#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/server.h"
#include "guest/util.h"

enum { FD_BASE = 64 };

/* What a new process says when it cannot become the program. */
struct failure {
    int err;
    char what[108];
};

/* Their ends of the pipes. */
struct ends {
    int in, out, err, report;
};

/* ---- in the new process ---- */

static _Noreturn void give_up(int report, const char *what, const char *of)
{
    struct failure f = {.err = errno};
    (void)snprintf(f.what, sizeof f.what, "%s %s", what, of);
    ssize_t n = write(report, &f, sizeof f);
    _exit(n == sizeof f ? 127 : 126);
}

static char *text_of(struct str s)
{
    char *t = mem_new(s.len + 1);
    memcpy(t, s.ptr, s.len);
    return t;
}

static void set_environment(const struct agent_exec *x)
{
    (void)clearenv();
    (void)setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    (void)setenv("HOME", x->uid == 0 && access("/root", F_OK) == 0 ? "/root" : "/", 1);
    (void)setenv("TERM", x->tty ? "xterm" : "dumb", 1);
    for (size_t i = 0; i < x->envc; i++)
        (void)putenv(text_of(x->env[i])); /* its form was checked when it was read */
}

static void become_user(const struct agent_exec *x, int report)
{
    if (x->uid == 0 && x->gid == 0)
        return;
    if (setgroups(0, NULL) != 0 || setgid(x->gid) != 0 || setuid(x->uid) != 0)
        give_up(report, "become", "the user");
}

static _Noreturn void become(const struct agent_exec *x, const struct ends *e)
{
    int report = fcntl(e->report, F_DUPFD_CLOEXEC, FD_BASE);
    char *argv[AGENT_ARGS_MAX + 1] = {0};
    if (report < 0)
        _exit(126);
    (void)setsid();
    if (x->tty && ioctl(e->in, TIOCSCTTY, 0) != 0)
        give_up(report, "take", "the terminal");
    /* None of the three is below 3: the agent's own stdin, stdout and stderr are there. */
    if (dup2(e->in, 0) < 0 || dup2(e->out, 1) < 0 || dup2(e->err, 2) < 0)
        give_up(report, "hand over", "descriptors");
    (void)signal(SIGPIPE, SIG_DFL);
    for (size_t i = 0; i < x->argc; i++)
        argv[i] = text_of(x->argv[i]);
    set_environment(x);
    become_user(x, report);
    char *cwd = text_of(x->cwd.len ? x->cwd : STR("/"));
    if (chdir(cwd) != 0)
        give_up(report, "enter", cwd);
    (void)execvp(argv[0], argv);
    give_up(report, "run", argv[0]);
}

/* ---- starting ---- */

static void close_all(struct program *p)
{
    if (p->tty)
        p->out = -1; /* it is `in` */
    close_fd(&p->in);
    close_fd(&p->out);
    close_fd(&p->err);
    close_fd(&p->report);
    close_fd(&p->pidfd);
}

static void ends_close(struct ends *e)
{
    if (e->out == e->in) /* a terminal */
        e->out = e->err = -1;
    close_fd(&e->in);
    close_fd(&e->out);
    close_fd(&e->err);
    close_fd(&e->report);
}

/* A pipe of which our end does not block. */
static bool make_pipe(int *ours, int *theirs, bool we_write)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0)
        return false;
    *ours = p[we_write];
    *theirs = p[!we_write];
    return fcntl(*ours, F_SETFL, O_NONBLOCK) == 0;
}

static bool make_terminal(struct program *p, struct ends *e, const struct agent_exec *x)
{
    struct winsize size = {.ws_row = x->rows, .ws_col = x->cols};
    int unlock = 0;
    p->in = p->out = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (p->in < 0 || ioctl(p->in, TIOCSPTLCK, &unlock) != 0)
        return false;
    e->in = e->out = e->err = ioctl(p->in, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    return e->in >= 0 && ioctl(p->in, TIOCSWINSZ, &size) == 0;
}

static bool make_ends(struct program *p, struct ends *e, const struct agent_exec *x)
{
    bool ok = x->tty ? make_terminal(p, e, x)
                     : make_pipe(&p->in, &e->in, true) && make_pipe(&p->out, &e->out, false) &&
                           make_pipe(&p->err, &e->err, false);
    return ok && make_pipe(&p->report, &e->report, false);
}

enum status program_start(struct chan *c, const struct agent_exec *x, struct fault *why)
{
    struct program p = {.pidfd = -1, .in = -1, .out = -1, .err = -1, .report = -1, .tty = x->tty};
    AUTO(ends_close) struct ends e = {-1, -1, -1, -1};
    if (!make_ends(&p, &e, x)) {
        int err = errno;
        close_all(&p);
        return fault_errno(why, err, "make pipes for a program");
    }
    p.pid = fork();
    if (p.pid == 0)
        become(x, &e);
    if (p.pid > 0)
        p.pidfd = (int)syscall(SYS_pidfd_open, p.pid, 0);
    if (p.pidfd < 0) {
        int err = errno;
        if (p.pid > 0 && kill(p.pid, SIGKILL) == 0)
            (void)waitpid(p.pid, NULL, 0);
        close_all(&p);
        return fault_errno(why, err, "start a program");
    }
    buf_init(&p.input, AGENT_WINDOW);
    c->program = p;
    c->kind = CHAN_PROGRAM;
    return ST_OK;
}

/* ---- input ---- */

/* Nothing can be written any more: take what comes, so that the host is not kept waiting. */
static void input_broken(struct server *s, struct chan *c)
{
    struct program *p = &c->program;
    server_eaten(s, c, p->input.len);
    buf_reset(&p->input);
    if (!p->tty) /* the master also reads */
        close_fd(&p->in);
}

static void input_flush(struct server *s, struct chan *c)
{
    static const char end_of_file = 4; /* ^D, to a terminal */
    struct program *p = &c->program;
    while (p->in >= 0 && p->input.len > 0) {
        ssize_t n = write(p->in, p->input.ptr, p->input.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            input_broken(s, c);
            return;
        }
        buf_eat(&p->input, (size_t)n);
        server_eaten(s, c, (size_t)n);
    }
    if (!p->in_ends || p->input.len > 0 || p->in < 0)
        return;
    if (!p->tty)
        close_fd(&p->in);
    else if (write(p->in, &end_of_file, 1) == 1)
        p->in_ends = false;
}

void program_input(struct server *s, struct chan *c, struct str data)
{
    struct program *p = &c->program;
    if (p->in < 0 || p->in_ends) {
        server_eaten(s, c, data.len);
        return;
    }
    buf_str(&p->input, data);
    ensure(!p->input.full); /* the window allowed it */
    input_flush(s, c);
}

void program_input_ends(struct chan *c)
{
    c->program.in_ends = true;
}

/* ---- output ---- */

static bool may_read(const struct server *s, const struct chan *c)
{
    return server_roomy(s) && c->flow.may_send > 0;
}

/* Move some of what the program printed into the queue. False: there is no more for now. */
static bool pump(struct server *s, struct chan *c, int *fd, enum agent_type type)
{
    char data[AGENT_DATA_MAX];
    if (*fd < 0 || !may_read(s, c))
        return false;
    ssize_t n = read(*fd, data, MIN(sizeof data, (size_t)c->flow.may_send));
    if (n > 0) {
        server_data(s, c, type, data, (size_t)n);
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (c->program
            .tty) /* EIO: nobody has the terminal open any more; `in` is the same descriptor */
        c->program.in = -1;
    close_fd(fd);
    return false;
}

/* ---- the end ---- */

void program_resize(struct chan *c, uint16_t rows, uint16_t cols)
{
    struct winsize size = {.ws_row = rows, .ws_col = cols};
    if (c->program.tty && c->program.in >= 0)
        (void)ioctl(c->program.in, TIOCSWINSZ, &size);
}

void program_signal(struct chan *c, uint32_t number)
{
    /* It leads a group of its own, once it has come so far. */
    if (!c->program.exited && kill(-c->program.pid, (int)number) != 0)
        (void)kill(c->program.pid, (int)number);
}

static void forget(struct chan *c)
{
    close_all(&c->program);
    buf_done(&c->program.input);
    *c = (struct chan){0};
}

void program_leave(struct chan *c)
{
    program_signal(c, SIGKILL);
    if (c->program.exited) {
        forget(c);
        return;
    }
    c->id = 0;
    int pidfd = c->program.pidfd;
    c->program.pidfd = -1;
    close_all(&c->program);
    c->program.pidfd = pidfd;
    buf_reset(&c->program.input);
}

static void look_for_exit(struct program *p)
{
    int status;
    if (p->exited || waitpid(p->pid, &status, WNOHANG) != p->pid)
        return;
    p->exited = true;
    p->exit.signalled = WIFSIGNALED(status);
    p->exit.value = (uint32_t)(p->exit.signalled ? WTERMSIG(status) : WEXITSTATUS(status));
    close_fd(&p->pidfd);
}

/* Did it start? True when it did not, and the host was told so. */
static bool look_at_report(struct server *s, struct chan *c)
{
    struct failure f;
    struct fault why;
    if (c->program.report < 0)
        return false;
    ssize_t n = read(c->program.report, &f, sizeof f);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    close_fd(&c->program.report);
    if (n != sizeof f)
        return false;
    f.what[sizeof f.what - 1] = 0;
    (void)fault_errno(&why, f.err, "%s", f.what);
    server_error(s, c->id, &why);
    program_leave(c);
    return true;
}

size_t program_wants(const struct server *s, const struct chan *c, struct pollfd *p)
{
    const struct program *g = &c->program;
    bool output = may_read(s, c);
    size_t n = 0;
    if (g->pidfd >= 0)
        p[n++] = (struct pollfd){.fd = g->pidfd, .events = POLLIN};
    if (g->report >= 0)
        p[n++] = (struct pollfd){.fd = g->report, .events = POLLIN};
    if (g->out >= 0 && output)
        p[n++] = (struct pollfd){.fd = g->out, .events = POLLIN};
    if (g->err >= 0 && output)
        p[n++] = (struct pollfd){.fd = g->err, .events = POLLIN};
    if (g->in >= 0 && (g->input.len > 0 || g->in_ends))
        p[n++] = (struct pollfd){.fd = g->in, .events = POLLOUT};
    ensure(n <= PROGRAM_FDS);
    return n;
}

/*
 * Look at everything; it is a handful of system calls, and only when something happened.
 *
 * The last words: once the program has ended, what it printed is in the pipes, so when nothing is left
 * to read it is all told. Others that hold the pipes open (a daemon it left behind) are not waited for.
 */
void program_step(struct server *s, struct chan *c)
{
    struct program *p = &c->program;
    if (look_at_report(s, c))
        return;
    look_for_exit(p);
    if (c->id == 0) {
        if (p->exited)
            forget(c);
        return;
    }
    input_flush(s, c);
    bool more;
    do {
        more = pump(s, c, &p->out, AGENT_STDOUT);
        more |= pump(s, c, &p->err, AGENT_STDERR);
    } while (more && p->exited);
    bool held_back = (p->out >= 0 || p->err >= 0) && !may_read(s, c);
    if (!p->exited || held_back)
        return;
    server_sent(agent_put_exit(&s->out, c->id, p->exit));
    forget(c);
}
