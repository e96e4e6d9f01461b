/*
 * Starting a shim: it is known by the pidfd of the very process that was made, and of one that could not
 * be started nothing is left. Programs that end at once stand for the shim.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/launch.h"
#include "os/file.h"
#include "support/tap.h"

enum { ROUNDS = 100, WAIT_MS = 10000 };

static enum status start(const char *program, uint32_t *ret_pid, int *ret_pidfd, struct fault *why)
{
    struct shim_start s = {.uid = "0123456789abcdef0123456789abcdef",
                           .epoch = 1,
                           .incarnation = 1,
                           .deadline_ms = SHIM_NONE,
                           .argc = 1,
                           .argv = {STR("/bin/true")}};
    AUTO(close_fd) int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct launch l = {.shim = program, .start = &s, .dir = dir, .listen = dir};
    return launch_shim(&l, ret_pid, ret_pidfd, why);
}

static void await_end(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    CHECK_EQ(1, poll(&p, 1, WAIT_MS));
    (void)close(pidfd);
}

/* As the helper does, so that nothing has to wait for them. */
TEST(launch_knows_what_it_started_however_soon_that_ends)
{
    struct fault why;
    (void)signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t pid = 0;
        int pidfd = -1;
        if (start("/bin/true", &pid, &pidfd, &why) != ST_OK)
            tap_fail(__FILE__, __LINE__, "round %d: %s", i, why.text);
        CHECK(pid > 0);
        await_end(pidfd);
    }
}

TEST(launch_leaves_nothing_of_what_could_not_start)
{
    struct fault why;
    uint32_t pid = 7;
    int pidfd = -7, lowest = dup(0);
    (void)close(lowest);
    CHECK_EQ(ST_NOT_FOUND, start("/nowhere/shim", &pid, &pidfd, &why));
    CHECK_STR("/nowhere/shim: there is no such program", why.text);
    CHECK_EQ(ST_DENIED, start("/etc/passwd", &pid, &pidfd, &why));
    CHECK_EQ(ST_NOT_FOUND, start("/nowhere/shim", &pid, &pidfd, NULL));
    CHECK_EQ(7, pid);
    CHECK_EQ(-7, pidfd);
    CHECK_EQ(-1, waitpid(-1, NULL, WNOHANG));
    CHECK_EQ(ECHILD, errno);
    CHECK_EQ(lowest, dup(0)); /* no descriptor was left open */
}
