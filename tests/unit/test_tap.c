/* The harness itself. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/scratch.h"
#include "support/tap.h"

static void check_dies_by(int number)
{
    int end = 0;
    pid_t pid = fork();
    if (pid == 0) {
        (void)raise(number);
        _exit(0);
    }
    CHECK(pid > 0 && waitpid(pid, &end, 0) == pid);
    CHECK(WIFSIGNALED(end));
    CHECK_EQ(number, WTERMSIG(end));
}

TEST(tap_signals_end_what_does_not_catch_them)
{
    check_dies_by(SIGINT);
    check_dies_by(SIGHUP);
}

/* A shell ignores SIGINT in what it runs in the background, nohup SIGHUP, and who is run inherits that. */
TEST(tap_runs_in_the_background_as_in_the_foreground)
{
    char line[200];
    FILE *f = popen("trap '' INT HUP; exec /proc/$PPID/exe signals_end", "r");
    CHECK(f && fgets(line, sizeof line, f));
    CHECK_STR("ok 1 - tap_signals_end_what_does_not_catch_them\n", line);
    CHECK_EQ(0, pclose(f));
}

TEST(scratch_directory_outlives_a_fork_that_exits)
{
    int end = 0;
    const char *dir = scratch_dir();
    pid_t pid = fork();
    if (pid == 0)
        exit(0);
    CHECK(pid > 0 && waitpid(pid, &end, 0) == pid && end == 0);
    CHECK(access(dir, F_OK) == 0);
}
