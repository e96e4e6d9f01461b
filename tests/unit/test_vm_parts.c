/*
 * The parts of the driver that touch files, processes and threads, each alone.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/digest.h"
#include "os/file.h"
#include "support/few_fds.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "vmm/console_log.h"
#include "vmm/process.h"
#include "vmm/sock.h"
#include "vmm/verified.h"
#include "vmm/worker.h"

/* ---- console_log ---- */

static int a_log(size_t lines)
{
    int fd = open(scratch_file("log"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    for (size_t i = 0; i < lines; i++)
        CHECK_EQ(16, dprintf(fd, "line %010zu\n", i));
    return fd;
}

TEST(console_log_keeps_offsets_when_it_is_cut)
{
    enum { LINES = 8192, MAX = 32768 };
    int fd = a_log(LINES);
    char text[17] = "";
    struct stat before, after;
    CHECK_EQ(0, fstat(fd, &before));
    (void)!console_log_trim(fd, MAX, NULL);
    CHECK_EQ(0, fstat(fd, &after));
    CHECK_EQ(before.st_size, after.st_size);
    if (before.st_blocks == after.st_blocks)
        tap_skip("this file system does not punch holes");
    CHECK(after.st_blocks * 512 <= MAX + 8192);

    uint64_t at = console_log_tail(fd, 32);
    CHECK_EQ(LINES * 16 - 32, at);
    CHECK_EQ(16, console_log_read(fd, &at, text, 16));
    CHECK_STR("line 0000008190\n", text);
    at = 0; /* what is gone is passed over, to the first byte that is there */
    CHECK_EQ(16, console_log_read(fd, &at, text, 16));
    CHECK(strncmp(text, "line ", 5) == 0);
    CHECK(at >= LINES * 16 - MAX - 4096);
    CHECK(console_log_tail(fd, UINT64_MAX) >= LINES * 16 - MAX - 4096);
    (void)close(fd);
}

/* As a file system that cannot punch holes would. */
TEST(console_log_says_when_it_cannot_be_cut)
{
    struct fault why;
    (void)close(a_log(8192));
    int fd = open(scratch_file("log"), O_RDONLY | O_CLOEXEC);
    CHECK_EQ(ST_IO, console_log_trim(fd, 32768, &why));
    CHECK_STR("cut a console's log: Bad file descriptor", why.text);
    CHECK_EQ(ST_OK, console_log_trim(fd, UINT64_MAX, NULL)); /* nothing to cut */
    (void)close(fd);
    CHECK_EQ(ST_IO, console_log_trim(fd, 32768, &why));
}

TEST(console_log_reads_up_to_the_end)
{
    int fd = a_log(1);
    char text[64] = "";
    uint64_t at = console_log_tail(fd, 1000);
    CHECK_EQ(0, at);
    CHECK_EQ(16, console_log_read(fd, &at, text, sizeof text));
    CHECK_EQ(0, console_log_read(fd, &at, text, sizeof text));
    CHECK_EQ(4, dprintf(fd, "more"));
    CHECK_EQ(4, console_log_read(fd, &at, text, sizeof text));
    CHECK_EQ(20, at);
    CHECK_EQ(20, console_log_tail(fd, 0));
    (void)close(fd);
}

/* ---- verified ---- */

TEST(verified_sees_a_change)
{
    struct verified *v = verified_new();
    struct fault why;
    uint8_t raw[DIGEST_SIZE];
    char digest[DIGEST_TEXT_MAX];
    digest_of("hello", 5, raw);
    digest_text(raw, digest);
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file("blob"), STR("hello"), 0644, &why));
    int fd = open(scratch_file("blob"), O_RDWR | O_CLOEXEC);
    CHECK_EQ(ST_OK, verified_check(v, fd, digest, 5, &why));
    CHECK_EQ(ST_OK, verified_check(v, fd, digest, 5, &why)); /* remembered */
    CHECK_EQ(ST_CORRUPT, verified_check(v, fd, digest, 6, &why));
    CHECK_STR("it has 5 bytes, not 6", why.text);
    CHECK(file_write_at(fd, 0, "j", 1));
    CHECK_EQ(ST_CORRUPT, verified_check(v, fd, digest, 5, &why));
    CHECK(strncmp("its content is sha256:", why.text, 22) == 0);
    (void)close(fd);
    verified_free(v);
}

/* ---- process ---- */

TEST(process_is_its_number_and_its_start)
{
    int fd = -1;
    struct fault why;
    struct process_usage use;
    uint8_t boot[16];
    static const uint8_t zeros[16];
    uint64_t start = process_start_time((uint32_t)getpid());
    CHECK(start > 0);
    CHECK_EQ(ST_OK, process_open((uint32_t)getpid(), start, &fd, &why));
    CHECK(!process_ended(fd));
    (void)close(fd);
    CHECK_EQ(ST_NOT_FOUND, process_open((uint32_t)getpid(), start + 1, &fd, &why));
    for (unsigned spare = 0; spare < 2; spare++) { /* for the process, and to read when it began */
        few_fds(spare);
        enum status s = process_open((uint32_t)getpid(), start, &fd, &why);
        many_fds();
        CHECK_EQ(ST_IO, s);
    }
    process_usage((uint32_t)getpid(), &use);
    CHECK(use.cpu_ns != UINT64_MAX && use.rss_bytes > 100000 && use.rss_bytes != UINT64_MAX);
    process_host_boot(boot);
    CHECK(memcmp(boot, zeros, 16) != 0);

    pid_t child = fork();
    if (child == 0)
        _exit(0);
    start = process_start_time((uint32_t)child);
    siginfo_t info;
    CHECK_EQ(0, waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
    /* It ended and is only not reaped: gone, though its number is still taken. */
    CHECK_EQ(ST_NOT_FOUND, process_open((uint32_t)child, start, &fd, &why));
    CHECK_EQ(child, waitpid(child, NULL, 0));
    CHECK_EQ(ST_NOT_FOUND, process_open((uint32_t)child, start, &fd, &why));
}

/* ---- sock ---- */

TEST(sock_works_below_a_long_path)
{
    char deep[300] = "", part[64];
    struct fault why;
    int listener = -1, client = -1;
    memset(part, 'd', sizeof part - 2);
    part[sizeof part - 2] = '/';
    part[sizeof part - 1] = 0;
    (void)snprintf(deep, sizeof deep, "%s/%s%s%s", scratch_dir(), part, part, part);
    CHECK_EQ(ST_OK, file_mkdirs(AT_FDCWD, deep, 0700, &why));
    int dir = open(deep, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_EQ(ST_UNAVAILABLE, sock_connect(dir, "x.sock", SOCK_STREAM, &client, &why));
    CHECK_EQ(ST_OK, sock_listen(dir, "x.sock", SOCK_STREAM, &listener, &why));
    CHECK_EQ(ST_OK, sock_connect(dir, "x.sock", SOCK_STREAM, &client, &why));
    (void)close(client);
    (void)close(listener);
    CHECK_EQ(ST_UNAVAILABLE, sock_connect(dir, "x.sock", SOCK_STREAM, &client, &why));
    CHECK_EQ(ST_OK, sock_listen(dir, "x.sock", SOCK_STREAM, &listener, &why)); /* takes its place */
    (void)close(listener);
    (void)close(dir);
}

/* ---- worker ---- */

struct count {
    struct job job; /* first */
    int *order;     /* how many were done, or dropped, before it */
    int ran, done, dropped;
};

static void run(struct job *j)
{
    ((struct count *)j)->ran = 1;
}

static void done(struct job *j)
{
    struct count *c = (struct count *)j;
    CHECK(c->ran);
    c->done = ++*c->order;
}

static void drop(struct job *j)
{
    struct count *c = (struct count *)j;
    c->dropped = ++*c->order;
}

TEST(worker_does_jobs_in_order_and_drops_the_rest)
{
    enum { JOBS = 300 };
    struct loop *l;
    struct worker *w;
    int order = 0;
    static struct count c[JOBS];
    CHECK_EQ(ST_OK, loop_open(&l, NULL));
    CHECK_EQ(ST_OK, worker_open(l, &w, NULL));
    for (int i = 0; i < JOBS; i++) {
        c[i] = (struct count){.job = {.run = run, .done = done, .drop = drop}, .order = &order};
        worker_add(w, &c[i].job);
    }
    for (int i = 0; i < 1000 && order < JOBS; i++)
        CHECK_EQ(ST_OK, loop_turn(l, 100, NULL));
    for (int i = 0; i < JOBS; i++)
        CHECK_EQ(i + 1, c[i].done);
    order = 0;
    for (int i = 0; i < JOBS; i++) {
        c[i] = (struct count){.job = {.run = run, .done = done, .drop = drop}, .order = &order};
        worker_add(w, &c[i].job);
    }
    worker_close(w); /* some were run, others were not: what is dropped of the latter is newer */
    for (int i = 0; i < JOBS; i++) {
        CHECK(!c[i].done);
        CHECK_EQ(i + 1, c[i].dropped);
    }
    loop_close(l);
}
