/*
 * shim_run: start a real blixard-shim with a program in place of QEMU, and speak to it, for tests.
 */
#pragma once

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "host/launch.h"
#include "support/scratch.h"
#include "support/tap.h"

#define RUN_UID "0123456789abcdef0123456789abcdef"
enum { RUN_WAIT_MS = 10000 };

struct run {
    int dir, listen;
    uint32_t pid; /* of the shim */
    int pidfd;
};

UNUSED static uint64_t run_clock_ms(clockid_t clock)
{
    struct timespec t;
    CHECK_EQ(0, clock_gettime(clock, &t));
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static const char *run_program(const char *below_build)
{
    static char path[512];
    const char *build = getenv("BUILD_DIR");
    if (!build)
        tap_skip("BUILD_DIR is not set: run it by meson test");
    (void)snprintf(path, sizeof path, "%s/%s", build, below_build);
    return path;
}

/* Listen at shim.sock in the scratch directory; *ret_dir is the directory. */
UNUSED static void run_directory(struct run *r)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    r->dir = open(scratch_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r->listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    (void)snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/shim.sock", r->dir);
    CHECK(r->dir >= 0 && r->listen >= 0);
    (void)unlinkat(r->dir, "shim.sock", 0);
    CHECK_EQ(0, bind(r->listen, (struct sockaddr *)&a, sizeof a));
    CHECK_EQ(0, listen(r->listen, 8));
}

/* start's argc and argv are filled from `argv`. */
UNUSED static void run_start(struct run *r, struct shim_start *start, const char *const *argv,
                             const int *cgroup, const int *keep)
{
    struct fault why = {0};
    memcpy(start->uid, RUN_UID, sizeof RUN_UID);
    for (start->argc = 0; argv[start->argc]; start->argc++)
        start->argv[start->argc] = str_from(argv[start->argc]);
    struct launch l = {.shim = run_program("guest/shim/blixard-shim"),
                       .start = start,
                       .dir = r->dir,
                       .listen = r->listen,
                       .cgroup = cgroup,
                       .keep = keep};
    if (launch_shim(&l, &r->pid, &r->pidfd, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
}

UNUSED static int run_connect(const struct run *r)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    (void)snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/shim.sock", r->dir);
    CHECK_EQ(0, connect(fd, (struct sockaddr *)&a, sizeof a));
    return fd;
}

/* The next message on a connection; false when it ends. */
UNUSED static bool run_hear(int fd, struct shim_answer *ret)
{
    static char data[SHIM_MESSAGE_MAX];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    CHECK_EQ(1, poll(&p, 1, RUN_WAIT_MS));
    ssize_t n = recv(fd, data, sizeof data, 0);
    if (n <= 0)
        return false;
    CHECK_EQ(ST_OK, shim_get_answer((struct str){data, (size_t)n}, ret, NULL));
    return true;
}

UNUSED static struct shim_answer run_ask(int fd, uint8_t type, uint64_t value)
{
    struct shim_request q = {.type = type, .id = 77, .value = value};
    struct shim_answer a = {0};
    struct buf b;
    buf_init(&b, SHIM_REQUEST);
    shim_put_request(&b, &q);
    CHECK_EQ(SHIM_REQUEST, send(fd, b.ptr, b.len, MSG_NOSIGNAL));
    buf_done(&b);
    do
        CHECK(run_hear(fd, &a));
    while (a.id != 77);
    return a;
}

/* Ask until the monitor runs. */
UNUSED static struct shim_record run_running(int fd)
{
    uint64_t until = run_clock_ms(CLOCK_MONOTONIC) + RUN_WAIT_MS;
    struct shim_answer a;
    do
        a = run_ask(fd, SHIM_STATUS, 0);
    while (a.record.phase == SHIM_STARTING && run_clock_ms(CLOCK_MONOTONIC) < until);
    CHECK_EQ(SHIM_RUNNING, a.record.phase);
    return a.record;
}

/* Wait for the end of a process by its pidfd. */
UNUSED static void run_await(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    CHECK_EQ(1, poll(&p, 1, RUN_WAIT_MS));
}

/* The record that was left in the directory. */
UNUSED static struct shim_record run_record(const struct run *r)
{
    static struct buf b;
    struct shim_record record;
    struct fault why;
    buf_done(&b);
    buf_init(&b, SHIM_RECORD_MAX);
    if (file_read(r->dir, SHIM_FILE, &b, &why) != ST_OK ||
        shim_get_record(buf_view(&b), &record, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    return record;
}
