#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/apart.h"
#include "support/tap.h"

static void add(void *ctx)
{
    *(int *)ctx += 1;
}

static void abort_after_adding(void *ctx)
{
    add(ctx);
    ensure(ctx == NULL);
}

static void leave(UNUSED void *ctx)
{
    _Exit(7);
}

static void be_killed(UNUSED void *ctx)
{
    (void)raise(SIGKILL);
}

TEST(apart_what_came_back_left_its_findings)
{
    int *n = apart_new(sizeof *n), mine = 0;
    CHECK_EQ(ST_OK, apart_call(add, n, false, NULL));
    CHECK_EQ(ST_OK, apart_call(add, &mine, false, NULL));
    CHECK_EQ(1, *n);
    CHECK_EQ(0, mine);
    apart_free(n, sizeof *n);
}

TEST(apart_what_died_tells_why)
{
    struct fault why;
    int *n = apart_new(sizeof *n);
    CHECK_EQ(ST_FAILED, apart_call(abort_after_adding, n, false, &why));
    CHECK_EQ(1, *n);
    CHECK(strstr(why.text, "ensure failed: ctx == NULL") != NULL);
    CHECK_EQ(ST_FAILED, apart_call(leave, NULL, false, &why));
    CHECK_STR("it ended with exit code 7", why.text);
    CHECK_EQ(ST_FAILED, apart_call(be_killed, NULL, false, &why));
    CHECK_STR("it died: Killed", why.text);
    apart_free(n, sizeof *n);
}

static void tell_and_stay(void *ctx)
{
    (void)!write(*(int *)ctx, "x", 1);
    for (;;)
        (void)pause();
}

TEST(apart_dies_with_its_caller)
{
    int ends[2];
    char x;
    CHECK_EQ(0, pipe(ends));
    pid_t pid = fork();
    if (pid == 0) {
        IGNORE(apart_call(tell_and_stay, &ends[1], false, NULL));
        _exit(0);
    }
    (void)close(ends[1]);
    CHECK_EQ(1, read(ends[0], &x, 1));
    CHECK_EQ(0, kill(pid, SIGKILL));
    CHECK_EQ(0, read(ends[0], &x, 1)); /* nobody holds the other end any more */
    CHECK_EQ(pid, waitpid(pid, NULL, 0));
    (void)close(ends[0]);
}
