#include "cli/term.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "os/file.h"

void term_init(struct term *t)
{
    const char *no_colour = getenv("NO_COLOR"), *kind = getenv("TERM");
    t->in = isatty(STDIN_FILENO);
    t->out = isatty(STDOUT_FILENO);
    t->err = isatty(STDERR_FILENO);
    t->colour = t->err && !(no_colour && no_colour[0]) && kind && strcmp(kind, "dumb") != 0;
}

void term_size(int fd, unsigned *ret_rows, unsigned *ret_cols)
{
    struct winsize w;
    bool known = ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 && w.ws_col > 0;
    *ret_rows = known ? w.ws_row : 24;
    *ret_cols = known ? w.ws_col : 80;
}

void term_raw(struct term_mode *m, int fd)
{
    *m = (struct term_mode){.fd = fd};
    if (tcgetattr(fd, &m->before) != 0)
        return;
    struct termios raw = m->before;
    cfmakeraw(&raw);
    m->changed = tcsetattr(fd, TCSADRAIN, &raw) == 0;
}

void term_hide(struct term_mode *m, int fd)
{
    *m = (struct term_mode){.fd = fd};
    if (tcgetattr(fd, &m->before) != 0)
        return;
    struct termios hidden = m->before;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    m->changed = tcsetattr(fd, TCSADRAIN, &hidden) == 0;
}

void term_restore(struct term_mode *m)
{
    if (m->changed)
        (void)tcsetattr(m->fd, TCSADRAIN, &m->before);
    m->changed = false;
}

_Static_assert(sizeof(sigset_t) <= sizeof(((struct term_signals *)0)->before), "a set fits");

void term_catch(struct term_signals *s, const int *signals)
{
    sigset_t set, before;
    *s = (struct term_signals){.fd = -1};
    (void)sigemptyset(&set);
    for (; *signals; signals++)
        (void)sigaddset(&set, *signals);
    if (sigprocmask(SIG_BLOCK, &set, &before) != 0)
        return;
    memcpy(s->before, &before, sizeof before);
    s->blocked = true;
    s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->fd < 0)
        term_catch_end(s);
}

int term_caught(struct term_signals *s)
{
    struct signalfd_siginfo info;
    if (s->fd < 0 || read(s->fd, &info, sizeof info) != (ssize_t)sizeof info)
        return 0;
    return (int)info.ssi_signo;
}

void term_catch_end(struct term_signals *s)
{
    sigset_t before;
    while (term_caught(s)) /* what is still pending would be delivered now */
        ;
    close_fd(&s->fd);
    s->fd = -1;
    if (!s->blocked)
        return;
    memcpy(&before, s->before, sizeof before);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    s->blocked = false;
}
