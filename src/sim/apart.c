#include "sim/apart.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void *apart_new(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ensure(p != MAP_FAILED);
    return p;
}

void apart_free(void *memory, size_t size)
{
    ensure(munmap(memory, size) == 0);
}

/* The first line that says something: sanitizers draw lines above theirs. */
static void first_line(FILE *errors, char *out, int size)
{
    rewind(errors);
    while (fgets(out, size, errors)) {
        out[strcspn(out, "\n")] = 0;
        for (const char *p = out; *p; p++)
            if (isalpha((unsigned char)*p))
                return;
    }
    out[0] = 0;
}

static void copy(FILE *from, FILE *to)
{
    char part[4096];
    size_t n;
    rewind(from);
    while ((n = fread(part, 1, sizeof part, from)) > 0)
        (void)fwrite(part, 1, n, to);
}

static enum status died(int end, FILE *errors, struct fault *why)
{
    char line[300];
    first_line(errors, line, sizeof line);
    if (line[0])
        return fault_set(why, ST_FAILED, "%s", line);
    if (WIFSIGNALED(end))
        return fault_set(why, ST_FAILED, "it died: %s", strsignal(WTERMSIG(end)));
    return fault_set(why, ST_FAILED, "it ended with exit code %d", WEXITSTATUS(end));
}

enum status apart_call(void (*fn)(void *ctx), void *ctx, bool say_errors, struct fault *why)
{
    int end;
    FILE *errors = tmpfile();
    if (!errors)
        return fault_errno(why, errno, "open a file for what a run says");
    (void)fflush(NULL);
    pid_t caller = getpid(), pid = fork();
    if (pid == 0) {
        /* Who is killed because this takes too long must not leave it behind. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != caller)
            _exit(1);
        if (dup2(fileno(errors), STDERR_FILENO) < 0)
            _exit(1);
        fn(ctx);
        exit(0); /* by the usual way: leaks are looked for there */
    }
    if (pid < 0 || waitpid(pid, &end, 0) < 0) {
        enum status s = fault_errno(why, errno, "run in a process of its own");
        (void)fclose(errors);
        return s;
    }
    enum status s = end == 0 ? ST_OK : died(end, errors, why);
    if (s != ST_OK && say_errors)
        copy(errors, stderr);
    (void)fclose(errors);
    return s;
}
