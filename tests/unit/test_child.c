#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/child.h"
#include "support/tap.h"

enum { TIMEOUT_MS = 20000 };

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Run a line of shell with a captured output. */
static enum status sh(const char *line, struct buf *out, struct child_result *r, struct fault *why)
{
    struct child_run run = {.argv = ARGV("sh", "-c", line), .timeout_ms = TIMEOUT_MS, .out = out};
    return child_run(&run, r, why);
}

/* Does this process, which is not our child, end? It may stay a zombie where nobody reaps it. */
static bool ends(pid_t pid)
{
    char path[64], state = 'R';
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    for (int i = 0; i < 5000; i++) {
        FILE *f = fopen(path, "re");
        if (!f)
            return true;
        int n = fscanf(f, "%*d (%*[^)]) %c", &state);
        (void)fclose(f);
        if (n == 1 && state == 'Z')
            return true;
        (void)usleep(1000);
    }
    return false;
}

TEST(child_output_is_captured)
{
    struct buf out;
    struct child_result r;
    buf_init(&out, 100);
    CHECK_EQ(ST_OK, sh("echo one; echo two >&2; cat", &out, &r, NULL));
    CHECK_STR("one\n", buf_cstr(&out));
    CHECK_STR("two\n", r.tail);
    CHECK_EQ(0, r.exit_code);
    buf_done(&out);
}

TEST(child_failure_tells_the_last_line)
{
    struct child_result r;
    struct fault why;
    CHECK_EQ(ST_IO,
             sh("echo first >&2; printf 'bad \\033 thing\\n\\n' >&2; exit 3", NULL, &r, &why));
    CHECK_STR("sh: exit 3: bad ? thing", why.text);
    CHECK_EQ(3, r.exit_code);
}

TEST(child_killed_by_a_signal_is_a_failure)
{
    struct child_result r;
    struct fault why;
    CHECK_EQ(ST_IO, sh("kill -SEGV $$", NULL, &r, &why));
    CHECK_STR("sh: killed by signal 11 (SEGV)", why.text);
    CHECK_EQ(SIGSEGV, r.signal);
    CHECK_EQ(-1, r.exit_code);
}

TEST(child_program_that_is_not_there)
{
    struct fault why;
    struct child_run run = {.argv = ARGV("no-such-program"), .timeout_ms = TIMEOUT_MS};
    CHECK_EQ(ST_NOT_FOUND, child_run(&run, NULL, &why));
    CHECK_STR("no-such-program: there is no such program", why.text);
    run = (struct child_run){.argv = ARGV("true"), .cwd = "/no/such", .timeout_ms = TIMEOUT_MS};
    CHECK_EQ(ST_NOT_FOUND, child_run(&run, NULL, &why));
}

TEST(child_late_program_is_ended_with_its_children)
{
    struct buf out;
    struct fault why;
    buf_init(&out, 100);
    struct child_run run = {.argv =
                                ARGV("sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait; wait"),
                            .timeout_ms = 300,
                            .out = &out};
    CHECK_EQ(ST_TIMEOUT, child_run(&run, NULL, &why));
    CHECK_STR("sh: not done after 300 ms", why.text);
    pid_t sleeper = (pid_t)atoi(buf_cstr(&out));
    CHECK(sleeper > 1);
    CHECK(ends(sleeper));
    buf_done(&out);
}

TEST(child_too_much_output_ends_it)
{
    struct buf out;
    struct fault why;
    buf_init(&out, 1000);
    CHECK_EQ(ST_TOO_BIG, sh("yes", &out, NULL, &why));
    CHECK_STR("sh: more than 1000 bytes of output", why.text);
    buf_done(&out);
}

TEST(child_can_be_cancelled)
{
    int cancel = eventfd(1, EFD_CLOEXEC);
    struct child_run run = {
        .argv = ARGV("sleep", "1000"), .timeout_ms = TIMEOUT_MS, .cancel_fd = cancel};
    CHECK_EQ(ST_CANCELLED, child_run(&run, NULL, NULL));
    (void)close(cancel);
}

TEST(child_long_stderr_keeps_its_end)
{
    struct child_result r;
    CHECK_EQ(ST_OK, sh("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done", NULL,
                       &r, NULL));
    CHECK(strncmp(r.tail, "line ", 5) == 0);
    CHECK(strlen(r.tail) <= CHILD_STDERR_TAIL);
    CHECK_STR("line 2999\n", r.tail + strlen(r.tail) - 10);
}

TEST(child_gets_the_descriptors_it_is_given_and_no_other)
{
    int in[2], extra[2];
    CHECK(pipe(in) == 0 && pipe(extra) == 0); /* without O_CLOEXEC, on purpose */
    CHECK_EQ(5, write(in[1], "input", 5));
    CHECK_EQ(5, write(extra[1], "extra", 5));
    (void)close(in[1]);
    (void)close(extra[1]);
    struct buf out;
    buf_init(&out, 1000);
    struct child_run run = {
        .argv = ARGV("sh", "-c",
                     "cat; cat <&3; i=0; while [ $i -lt 64 ]; do [ -e /proc/$$/fd/$i ] && echo $i; "
                     "i=$((i + 1)); done; echo $X; pwd"),
        .env = ARGV("X=y"),
        .cwd = "/usr",
        .timeout_ms = TIMEOUT_MS,
        .stdin_fd = in[0],
        .out = &out,
        .pass_fd = {extra[0]},
    };
    CHECK_EQ(ST_OK, child_run(&run, NULL, NULL));
    CHECK_STR("inputextra0\n1\n2\n3\ny\n/usr\n", buf_cstr(&out));
    buf_done(&out);
}

TEST(child_that_leaves_one_behind_is_not_waited_for)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    CHECK_EQ(ST_OK, sh("yes >&2 & echo $!", &out, NULL, NULL));
    pid_t left = (pid_t)atoi(buf_cstr(&out));
    CHECK(left > 1);
    (void)kill(left, SIGKILL);
    buf_done(&out);
}
