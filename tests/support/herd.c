#include "support/herd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"

enum { HERD_MAX = 16 };

static struct {
    pid_t owner; /* a fork has all of this too, and must not act on it */
    size_t count;
    struct herd_process {
        pid_t pid;
        const char *name;
    } process[HERD_MAX];
    volatile sig_atomic_t told; /* the signal, or 0 */
} herd;

static void on_signal(int signal)
{
    herd.told = signal;
}

static void end(void)
{
    if (getpid() != herd.owner)
        return;
    for (size_t i = 0; i < herd.count; i++)
        (void)kill(herd.process[i].pid, SIGKILL);
    for (size_t i = 0; i < herd.count; i++)
        while (waitpid(herd.process[i].pid, NULL, 0) < 0 && errno == EINTR)
            ;
    herd.count = 0;
}

static void set_signals(void (*handler)(int))
{
    const int all[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction sa = {.sa_handler = handler}; /* no SA_RESTART: what waits looks at once */
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        ensure(sigaction(all[i], &sa, NULL) == 0);
}

void herd_begin(void)
{
    require(herd.owner == 0);
    herd.owner = getpid();
    ensure(atexit(end) == 0);
    set_signals(on_signal);
    /* That nobody reads what is printed is no reason to leave things behind. */
    ensure(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
}

pid_t herd_fork(const char *name)
{
    require(herd.owner == getpid() && herd.count < HERD_MAX);
    (void)fflush(NULL); /* nothing is to be printed twice */
    pid_t pid = fork();
    ensure(pid >= 0);
    if (pid > 0) {
        herd.process[herd.count++] = (struct herd_process){pid, name};
        return pid;
    }
    set_signals(SIG_DFL);
    ensure(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != herd.owner)
        _exit(1);
    return 0;
}

void herd_watch(void)
{
    if (herd.told) {
        (void)fprintf(stderr, "error: ended by signal %d\n", (int)herd.told);
        exit(128 + (int)herd.told);
    }
    for (size_t i = 0; i < herd.count; i++) {
        struct herd_process *p = &herd.process[i];
        int ws;
        if (waitpid(p->pid, &ws, WNOHANG) != p->pid)
            continue;
        (void)fprintf(stderr, "error: %s ended, with wait status %#x\n", p->name, (unsigned)ws);
        *p = herd.process[--herd.count]; /* its pid is another's now, perhaps */
        exit(1);
    }
}

uint64_t herd_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * UNITS_NS_PER_S + (uint64_t)t.tv_nsec;
}
