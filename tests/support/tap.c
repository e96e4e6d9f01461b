#include "support/tap.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TAP_SECONDS_MAX = 60, TAP_REASON_MAX = 200, EXIT_SKIPPED = 77 };

enum result { PASSED, FAILED, SKIPPED };

static struct tap_test *first, **last = &first;
static char *skip_reason; /* shared with the child */

void tap_register(struct tap_test *t)
{
    *last = t;
    last = &t->next;
}

_Noreturn void tap_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    printf("# %s:%d: ", file, line);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    exit(1);
}

_Noreturn void tap_skip(const char *reason)
{
    (void)snprintf(skip_reason, TAP_REASON_MAX, "%s", reason);
    exit(EXIT_SKIPPED);
}

static enum result run(const struct tap_test *t)
{
    skip_reason[0] = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(TAP_SECONDS_MAX);
        if (t->must_abort)
            fclose(stderr);
        t->fn();
        exit(0);
    }
    int ws = 0;
    if (pid < 0 || waitpid(pid, &ws, 0) != pid)
        return FAILED;
    if (WIFEXITED(ws) && WEXITSTATUS(ws) == EXIT_SKIPPED && skip_reason[0])
        return SKIPPED;
    if (t->must_abort)
        return WIFSIGNALED(ws) && WTERMSIG(ws) == SIGABRT ? PASSED : FAILED;
    if (WIFSIGNALED(ws))
        printf("# %s: %s\n", t->name, strsignal(WTERMSIG(ws)));
    return WIFEXITED(ws) && WEXITSTATUS(ws) == 0 ? PASSED : FAILED;
}

/* Arguments, if any, are substrings: only tests whose name has one of them are run. */
static int wanted(const struct tap_test *t, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(t->name, argv[i]))
            return 1;
    return argc == 1;
}

/* What a shell ignores for whom it runs in the background ends a test, and what a test runs, all the same. */
static void heed_signals(void)
{
    struct sigaction now;
    for (int i = 1; i <= SIGSYS; i++)
        if (sigaction(i, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
            (void)signal(i, SIG_DFL);
}

int main(int argc, char **argv)
{
    heed_signals();
    skip_reason =
        mmap(NULL, TAP_REASON_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (skip_reason == MAP_FAILED)
        return 1;
    int n = 0, failed = 0;
    for (struct tap_test *t = first; t; t = t->next) {
        if (!wanted(t, argc, argv))
            continue;
        enum result r = run(t);
        printf("%s %d - %s%s%s\n", r == FAILED ? "not ok" : "ok", ++n, t->name,
               r == SKIPPED ? " # SKIP " : "", r == SKIPPED ? skip_reason : "");
        failed += r == FAILED;
    }
    printf("1..%d\n", n);
    return failed ? 1 : 0;
}
