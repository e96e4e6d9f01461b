#include "support/cli_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "support/tap.h"
#include "wire/json.h"

enum { WORDS_MAX = 64, OUT_MAX = 64 << 20, CODE_LEAK = 99, PATIENCE_S = 30 };

/* There in a build with AddressSanitizer alone. */
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static size_t split(char *line, char *word[WORDS_MAX])
{
    size_t n = 1; /* the program comes first */
    for (char *p = line; *p;) {
        while (*p == ' ')
            *p++ = 0;
        if (!*p)
            break;
        char end = *p == '\'' ? '\'' : ' ';
        p += end == '\'';
        require(n < WORDS_MAX);
        word[n++] = p;
        while (*p && *p != end)
            p++;
        if (*p)
            *p++ = 0;
    }
    return n;
}

static _Noreturn void be_cli(const char *line)
{
    static char program[] = "blixard";
    (void)close_range(3, ~0U, 0); /* what the test has open is not ours */
    char *word[WORDS_MAX + 1] = {0};
    static char copy[16384];
    (void)snprintf(copy, sizeof copy, "%s", line);
    size_t n = split(copy, word);
    word[0] = program;
    json_setup();
    int code = cli_main((int)n, word, NULL);
    if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
        code = CODE_LEAK;
    _exit(code);
}

static void init(struct cli_run *r)
{
    *r = (struct cli_run){.in = -1, .out_fd = -1, .err_fd = -1};
    buf_init(&r->out, OUT_MAX);
    buf_init(&r->err, OUT_MAX);
    (void)fflush(NULL);
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void cli_run_start(struct cli_run *r, const char *line, const char *input)
{
    int in[2], out[2], err[2];
    init(r);
    printf("# blixard %s\n", line);
    (void)fflush(NULL);
    require(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
    r->pid = fork();
    require(r->pid >= 0);
    if (r->pid == 0) {
        require(dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1 && dup2(err[1], 2) == 2);
        (void)close(in[1]);
        be_cli(line);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(err[1]);
    r->in = in[1];
    r->out_fd = out[0];
    r->err_fd = err[0];
    if (input) {
        cli_run_type(r, input);
        close_one(&r->in);
    }
}

void cli_run_start_tty(struct cli_run *r, const char *line)
{
    init(r);
    printf("# blixard %s (on a terminal)\n", line);
    (void)fflush(NULL);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    require(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    struct winsize size = {.ws_row = 30, .ws_col = 90};
    require(ioctl(master, TIOCSWINSZ, &size) == 0);
    const char *name = ptsname(master);
    r->pid = fork();
    require(r->pid >= 0);
    if (r->pid == 0) {
        (void)setsid();
        int slave = open(name, O_RDWR);
        require(slave >= 0 && ioctl(slave, TIOCSCTTY, 0) == 0);
        require(dup2(slave, 0) == 0 && dup2(slave, 1) == 1 && dup2(slave, 2) == 2);
        be_cli(line);
    }
    r->in = r->out_fd = master;
}

void cli_run_type(struct cli_run *r, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t n = write(r->in, text, left);
        if (n < 0 && errno == EPIPE)
            return; /* it did not want to know */
        require(n > 0);
        text += n;
        left -= (size_t)n;
    }
}

/* True while there may be more. A terminal without its other side gives EIO. */
static bool drain(int *fd, struct buf *out)
{
    struct pollfd p = {.fd = *fd, .events = POLLIN};
    while (*fd >= 0 && poll(&p, 1, 0) > 0) {
        char step[4096];
        ssize_t n = read(*fd, step, sizeof step);
        if (n <= 0) {
            close_one(fd);
            return false;
        }
        buf_add(out, step, (size_t)n);
        CHECK(!out->full);
    }
    return *fd >= 0;
}

bool cli_run_turn(struct cli_run *r)
{
    int status;
    bool tty = r->in == r->out_fd && r->in >= 0;
    if (r->ended)
        return true;
    bool more = drain(&r->out_fd, &r->out);
    if (tty && !more)
        r->in = -1;
    more = drain(&r->err_fd, &r->err) || more;
    if (more || waitpid(r->pid, &status, WNOHANG) != r->pid)
        return false;
    r->ended = true;
    r->code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    if (r->code == CODE_LEAK || r->code >= 1000)
        printf("# %s\n", buf_cstr(&r->err));
    return true;
}

void cli_run_wait(struct cli_run *r)
{
    time_t until = time(NULL) + PATIENCE_S;
    while (!cli_run_turn(r)) {
        struct pollfd p[] = {{.fd = r->out_fd, .events = POLLIN},
                             {.fd = r->err_fd, .events = POLLIN}};
        (void)poll(p, 2, 10);
        if (time(NULL) > until)
            tap_fail(__FILE__, __LINE__, "it does not end");
    }
}

void cli_run_done(struct cli_run *r)
{
    if (!r->ended) {
        (void)kill(r->pid, SIGKILL);
        (void)waitpid(r->pid, NULL, 0);
    }
    if (r->in != r->out_fd)
        close_one(&r->in);
    close_one(&r->out_fd);
    close_one(&r->err_fd);
    buf_done(&r->out);
    buf_done(&r->err);
}
