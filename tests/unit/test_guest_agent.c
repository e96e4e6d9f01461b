/*
 * The guest's own program, run here as an agent on one side of a pseudo terminal: what it answers,
 * what it refuses, and that nothing in it starves or floods. Booting it is tests/e2e/test_guest_boot.c.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "support/agent_host.h"
#include "support/scratch.h"
#include "support/tap.h"

enum { WAIT_MS = 10000 };

static pid_t agent;
static int port;

/* The agent ends with its port, and its programs with it. */
static void end_agent(void)
{
    (void)close(port);
    for (int i = 0; i < WAIT_MS && waitpid(agent, NULL, WNOHANG) == 0; i++) {
        if (i == WAIT_MS / 2)
            (void)kill(agent, SIGKILL);
        (void)usleep(1000);
    }
}

/* Start the agent and a session with it. */
static void start(struct agent_host *h)
{
    const char *program = getenv("GUEST_PROGRAM");
    if (!program)
        tap_skip("GUEST_PROGRAM is not set");
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    struct termios raw;
    CHECK(tcgetattr(master, &raw) == 0);
    cfmakeraw(&raw);
    CHECK(tcsetattr(master, TCSANOW, &raw) == 0);
    const char *slave = ptsname(master);
    agent = fork();
    if (agent == 0) {
        (void)execl(program, "blixard-guest", "agent", slave, (char *)NULL);
        _exit(127);
    }
    port = dup(master);
    CHECK(atexit(end_agent) == 0);
    agent_host_open(h, master, WAIT_MS);
}

static void request(struct agent_host *h, enum agent_type type)
{
    CHECK_EQ(ST_OK, agent_put_plain(&h->out, type, ++h->channel));
    agent_host_flush(h);
}

TEST(guest_agent_answers_pings)
{
    struct agent_host h;
    start(&h);
    CHECK_STR("", h.trouble);
    for (int i = 0; i < 100; i++)
        agent_host_ping(&h);
    agent_host_close(&h);
}

TEST(guest_agent_runs_a_program)
{
    struct agent_host h;
    struct agent_output o;
    start(&h);
    agent_host_sh(&h, "cat; echo oops >&2; exit 7", STR("some input"), &o);
    CHECK_STR("some input", buf_cstr(&o.out));
    CHECK_STR("oops\n", buf_cstr(&o.err));
    CHECK(!o.exit.signalled && o.exit.value == 7);
    agent_output_done(&o);
    agent_host_close(&h);
}

TEST(guest_agent_tells_which_signal_ended_it)
{
    struct agent_host h;
    struct agent_output o;
    start(&h);
    agent_host_sh(&h, "kill -TERM $$", STR(""), &o);
    CHECK(o.exit.signalled && o.exit.value == SIGTERM);
    agent_output_done(&o);
    agent_host_close(&h);
}

TEST(guest_agent_says_why_a_program_did_not_start)
{
    struct agent_host h;
    struct agent_output o;
    start(&h);
    struct agent_exec x = {.argc = 1, .argv = {STR("/no/such/program")}};
    CHECK_EQ(ST_OK, agent_put_exec(&h.out, 1, &x, NULL));
    agent_host_flush(&h);
    agent_host_collect(&h, 1, &o);
    CHECK(o.failed);
    CHECK_EQ(ST_NOT_FOUND, o.why.status);
    CHECK_STR("run /no/such/program: No such file or directory", o.why.text);
    agent_output_done(&o);
    agent_host_close(&h);
}

TEST(guest_agent_gives_a_program_its_environment)
{
    struct agent_host h;
    struct agent_output o;
    start(&h);
    struct agent_exec x = {.argc = 3,
                           .argv = {STR("sh"), STR("-c"), STR("pwd; echo $A; id -u; id -g")},
                           .cwd = STR("/usr"),
                           .uid = 65534,
                           .gid = 65534,
                           .envc = 1,
                           .env = {STR("A=b c")}};
    if (geteuid() != 0)
        x.uid = x.gid = 0;
    CHECK_EQ(ST_OK, agent_put_exec(&h.out, 1, &x, NULL));
    agent_host_flush(&h);
    agent_host_collect(&h, 1, &o);
    if (geteuid() == 0)
        CHECK_STR("/usr\nb c\n65534\n65534\n", buf_cstr(&o.out));
    else
        CHECK(strncmp(buf_cstr(&o.out), "/usr\nb c\n", 9) == 0);
    agent_output_done(&o);
    agent_host_close(&h);
}

TEST(guest_agent_gives_a_terminal)
{
    struct agent_host h;
    struct agent_output o;
    start(&h);
    struct agent_exec x = {
        .tty = true,
        .rows = 33,
        .cols = 101,
        .argc = 3,
        .argv = {STR("sh"), STR("-c"), STR("tty >/dev/null && stty size; read l; echo got $l")}};
    CHECK_EQ(ST_OK, agent_put_exec(&h.out, 1, &x, NULL));
    CHECK_EQ(6, agent_put_data(&h.out, AGENT_STDIN, 1, STR("hello\n")));
    agent_host_flush(&h);
    agent_host_collect(&h, 1, &o);
    CHECK(strstr(buf_cstr(&o.out), "33 101\r\n") != NULL);
    CHECK(strstr(buf_cstr(&o.out), "got hello\r\n") != NULL);
    CHECK_EQ(0, o.exit.value);
    agent_output_done(&o);
    agent_host_close(&h);
}

TEST(guest_agent_resizes_and_signals)
{
    struct agent_host h;
    struct agent_output o;
    start(&h);
    struct agent_exec x = {
        .tty = true,
        .rows = 1,
        .cols = 1,
        .argc = 3,
        .argv = {STR("sh"), STR("-c"),
                 STR("trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep 0.05; done")}};
    CHECK_EQ(ST_OK, agent_put_exec(&h.out, 1, &x, NULL));
    agent_host_flush(&h);
    struct agent_frame f = agent_host_want(&h, AGENT_STDOUT, 1);
    CHECK(str_starts(f.payload, "ready"));
    CHECK_EQ(ST_OK, agent_put_resize(&h.out, 1, 50, 132));
    agent_host_flush(&h);
    agent_host_collect(&h, 1, &o);
    CHECK(strstr(buf_cstr(&o.out), "50 132") != NULL);
    CHECK_EQ(3, o.exit.value);
    agent_output_done(&o);

    CHECK_EQ(ST_OK,
             agent_put_exec(&h.out, 2,
                            &(struct agent_exec){.argc = 2, .argv = {STR("sleep"), STR("1000")}},
                            NULL));
    CHECK_EQ(ST_OK, agent_put_signal(&h.out, 2, SIGINT));
    agent_host_flush(&h);
    agent_host_collect(&h, 2, &o);
    CHECK(o.exit.signalled && o.exit.value == SIGINT);
    agent_output_done(&o);
    agent_host_close(&h);
}

/* A program that prints without end, and is not read: pings go on, other programs too. */
TEST(guest_agent_flood_starves_nobody)
{
    struct agent_host h;
    struct agent_output o;
    start(&h);
    CHECK_EQ(ST_OK, agent_put_exec(&h.out, 1000,
                                   &(struct agent_exec){.argc = 1, .argv = {STR("yes")}}, NULL));
    agent_host_flush(&h);
    size_t got = 0;
    while (got < AGENT_WINDOW)
        got += agent_host_want(&h, AGENT_STDOUT, 1000).payload.len;
    CHECK_EQ(AGENT_WINDOW, got); /* and not a byte more without credit */
    for (int i = 0; i < 10; i++)
        agent_host_ping(&h);
    agent_host_sh(&h, "echo fine", STR(""), &o);
    CHECK_STR("fine\n", buf_cstr(&o.out));
    agent_output_done(&o);
    CHECK_EQ(ST_OK, agent_put_plain(&h.out, AGENT_CLOSE, 1000));
    agent_host_flush(&h);
    agent_host_ping(&h);
    agent_host_close(&h);
}

/* A host that asks and asks and does not read is no longer listened to; when it reads at last, every
 * answer is there, in order. */
TEST(guest_agent_answers_wait_for_who_does_not_read)
{
    enum { PINGS = 20000, STUCK_MS = 300 };
    struct agent_host h;
    struct agent_frame f;
    uint64_t token, answered = 0;
    start(&h);
    for (uint64_t i = 0; i < PINGS; i++)
        CHECK_EQ(ST_OK, agent_put_ping(&h.out, AGENT_PING, i));
    CHECK(fcntl(h.fd, F_SETFL, O_NONBLOCK) == 0);
    for (size_t at = 0; answered < PINGS;) {
        struct pollfd p = {.fd = h.fd, .events = at < h.out.len ? POLLOUT : 0};
        if (p.events && poll(&p, 1, answered ? 0 : STUCK_MS) > 0) {
            ssize_t n = write(h.fd, h.out.ptr + at, h.out.len - at);
            at += n > 0 ? (size_t)n : 0;
            if (n > 0)
                continue;
        }
        f = agent_host_want(&h, AGENT_PONG, 0);
        CHECK_EQ(ST_OK, agent_get_ping(f.payload, &token, NULL));
        CHECK_EQ(answered, token);
        if (answered++ == 0)
            CHECK(at < h.out.len); /* it had stopped taking more */
    }
    agent_host_close(&h);
}

/* Input that nobody reads stops at the window; the agent does not hang on it. */
TEST(guest_agent_unread_input_blocks_nobody)
{
    struct agent_host h;
    start(&h);
    char *data = mem_new(AGENT_WINDOW);
    CHECK_EQ(ST_OK,
             agent_put_exec(&h.out, 1,
                            &(struct agent_exec){.argc = 2, .argv = {STR("sleep"), STR("1000")}},
                            NULL));
    for (size_t at = 0; at < AGENT_WINDOW;)
        at += agent_put_data(&h.out, AGENT_STDIN, 1, (struct str){data + at, AGENT_WINDOW - at});
    agent_host_flush(&h);
    /* The pipe took some of it. More than the window allows is an offence, and ends the channel. */
    CHECK_EQ(AGENT_WINDOW / 8,
             agent_put_data(&h.out, AGENT_STDIN, 1, (struct str){data, AGENT_WINDOW}));
    for (int i = 0; i < 8; i++)
        CHECK(agent_put_data(&h.out, AGENT_STDIN, 1, (struct str){data, AGENT_WINDOW}) > 0);
    agent_host_flush(&h);
    for (;;) {
        struct agent_frame f = agent_host_next(&h);
        if (f.type == AGENT_ERROR)
            break;
        CHECK_EQ(AGENT_CREDIT, f.type);
    }
    agent_host_ping(&h);
    free(data);
    agent_host_close(&h);
}

TEST(guest_agent_much_output_comes_whole)
{
    struct agent_host h;
    struct agent_output o;
    start(&h);
    agent_host_sh(&h, "seq 200000 | tee /dev/stderr", STR(""), &o);
    CHECK_EQ(1288895, o.out.len);
    CHECK(str_eq(buf_view(&o.out), buf_view(&o.err)));
    CHECK_EQ(0, o.exit.value);
    agent_output_done(&o);
    agent_host_close(&h);
}

/* What it left in the background holds the pipe open; the exit status comes all the same. */
TEST(guest_agent_does_not_wait_for_what_a_program_leaves_behind)
{
    struct agent_host h;
    struct agent_output o;
    start(&h);
    agent_host_sh(&h, "sleep 1000 & echo $!", STR(""), &o);
    pid_t left = (pid_t)atoi(buf_cstr(&o.out));
    CHECK(left > 1);
    (void)kill(left, SIGKILL);
    agent_output_done(&o);
    agent_host_close(&h);
}

TEST(guest_agent_moves_files)
{
    struct agent_host h;
    struct fault why;
    struct buf content, back;
    struct agent_file info;
    struct stat st;
    start(&h);
    buf_init(&content, 1 << 20);
    buf_init(&back, 1 << 20);
    for (int i = 0; content.len < 700000; i++)
        buf_fmt(&content, "line %d\n", i);
    const char *path = scratch_file("file");
    CHECK_EQ(ST_OK, agent_host_push(&h, path, 0640, buf_view(&content), &why));
    CHECK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640);
    CHECK_EQ(ST_OK, agent_host_pull(&h, path, &back, &info, &why));
    CHECK(str_eq(buf_view(&content), buf_view(&back)));
    CHECK(info.size == content.len && info.mode == 0640);

    buf_reset(&back);
    CHECK_EQ(ST_OK, agent_host_pull(&h, "/proc/self/comm", &back, NULL, &why));
    CHECK_STR("blixard-guest\n", buf_cstr(&back));

    CHECK_EQ(ST_NOT_FOUND, agent_host_pull(&h, scratch_file("none"), &back, NULL, &why));
    CHECK_EQ(ST_INVALID, agent_host_pull(&h, "/dev/zero", &back, NULL, &why));
    CHECK_EQ(ST_INVALID, agent_host_pull(&h, "/usr", &back, NULL, &why));
    CHECK_EQ(ST_NOT_FOUND, agent_host_push(&h, scratch_file("no/folder"), 0600, STR("x"), &why));
    CHECK_EQ(ST_EXISTS, agent_host_push(&h, scratch_dir(), 0600, STR("x"), &why));
    buf_done(&content);
    buf_done(&back);
    agent_host_close(&h);
}

/* A push that is given up, or comes short, leaves what was there before, and nothing else. */
TEST(guest_agent_half_a_file_is_none)
{
    struct agent_host h;
    struct fault why;
    struct buf back;
    start(&h);
    buf_init(&back, 1000);
    char path[256];
    (void)snprintf(path, sizeof path, "%s", scratch_file("file"));
    CHECK_EQ(ST_OK, agent_host_push(&h, path, 0600, STR("before"), &why));
    struct agent_file f = {.path = str_from(path), .mode = 0600, .size = 10};
    CHECK_EQ(ST_OK, agent_put_file(&h.out, AGENT_FILE_PUSH, 100, &f, NULL));
    CHECK_EQ(3, agent_put_data(&h.out, AGENT_FILE_DATA, 100, STR("new")));
    CHECK_EQ(ST_OK, agent_put_plain(&h.out, AGENT_FILE_EOF, 100));
    agent_host_flush(&h);
    CHECK_EQ(ST_INVALID, agent_host_done(&h, 100, &why));

    CHECK_EQ(ST_OK, agent_put_file(&h.out, AGENT_FILE_PUSH, 101, &f, NULL));
    CHECK_EQ(3, agent_put_data(&h.out, AGENT_FILE_DATA, 101, STR("new")));
    CHECK_EQ(ST_OK, agent_put_plain(&h.out, AGENT_CLOSE, 101));
    agent_host_flush(&h);
    agent_host_ping(&h);
    CHECK_EQ(ST_OK, agent_host_pull(&h, path, &back, NULL, &why));
    CHECK_STR("before", buf_cstr(&back));
    struct agent_output o;
    char line[400];
    (void)snprintf(line, sizeof line, "ls %s", scratch_dir());
    agent_host_sh(&h, line, STR(""), &o);
    CHECK_STR("file\n", buf_cstr(&o.out));
    agent_output_done(&o);
    buf_done(&back);
    agent_host_close(&h);
}

/* A daemon dies in the middle of a frame, another one comes: the programs of the first are ended. */
TEST(guest_agent_new_session_ends_the_old_one)
{
    struct agent_host h;
    struct agent_output o;
    char line[400];
    start(&h);
    (void)snprintf(line, sizeof line, "echo $$ >%s; exec sleep 1000", scratch_file("pid"));
    struct agent_exec x = {.argc = 3, .argv = {STR("sh"), STR("-c"), str_from(line)}};
    CHECK_EQ(ST_OK, agent_put_exec(&h.out, 1, &x, NULL));
    agent_host_flush(&h);
    (void)snprintf(line, sizeof line, "until [ -s %s ]; do sleep 0.01; done", scratch_file("pid"));
    h.channel = 1;
    agent_host_sh(&h, line, STR(""), &o);
    agent_output_done(&o);

    CHECK_EQ(9, agent_put_data(&h.out, AGENT_STDIN, 1, STR("cut short")));
    h.out.len -= 4;
    agent_host_flush(&h);
    agent_host_hello(&h);
    agent_host_ping(&h);
    (void)snprintf(line, sizeof line, "while kill -0 $(cat %s) 2>/dev/null; do sleep 0.01; done",
                   scratch_file("pid"));
    agent_host_sh(&h, line, STR(""), &o);
    CHECK_EQ(0, o.exit.value);
    agent_output_done(&o);
    agent_host_close(&h);
}

TEST(guest_agent_tells_statistics)
{
    struct agent_host h;
    struct agent_stats s;
    start(&h);
    request(&h, AGENT_STATS_ASK);
    CHECK_EQ(ST_OK, agent_get_stats(agent_host_want(&h, AGENT_STATS, h.channel).payload, &s, NULL));
    CHECK(s.uptime_ms > 0 && s.uptime_ms != AGENT_UNKNOWN);
    CHECK(s.mem_total_kib > s.mem_available_kib && s.mem_total_kib != AGENT_UNKNOWN);
    CHECK(s.process_count > 1 && s.cpu_busy_ms != AGENT_UNKNOWN && s.load1_milli != AGENT_UNKNOWN);
    CHECK(memcmp(s.boot_id, h.boot_id, sizeof s.boot_id) == 0);
    agent_host_close(&h);
}

/* Run by hand, it must not power off the machine of whoever tries it out. */
TEST(guest_agent_without_a_machine_refuses_to_change_it)
{
    struct agent_host h;
    struct fault why;
    uint8_t seed[AGENT_SEED] = {0};
    start(&h);
    CHECK_EQ(ST_OK, agent_put_power(&h.out, 1, AGENT_POWER_OFF));
    CHECK_EQ(ST_OK, agent_put_reseed(&h.out, 2, seed));
    CHECK_EQ(ST_OK, agent_put_identity(&h.out, 3, STR("blixard=1\nhostname=x\n"), NULL));
    agent_host_flush(&h);
    for (uint32_t channel = 1; channel <= 3; channel++)
        CHECK_EQ(ST_UNSUPPORTED, agent_host_done(&h, channel, &why));
    agent_host_close(&h);
}

TEST(guest_agent_refuses_what_it_does_not_know)
{
    struct agent_host h;
    struct fault why;
    start(&h);
    size_t at = h.out.len;
    CHECK_EQ(ST_OK, agent_put_plain(&h.out, AGENT_STATS_ASK, 5));
    h.out.ptr[at + 5] = 99; /* the type */
    agent_host_flush(&h);
    CHECK_EQ(ST_UNSUPPORTED, agent_host_done(&h, 5, &why));

    /* As many channels as there are, and one more. */
    for (uint32_t i = 1; i <= AGENT_CHANNELS_MAX + 1; i++)
        CHECK_EQ(ST_OK,
                 agent_put_exec(&h.out, 100 + i,
                                &(struct agent_exec){.argc = 1, .argv = {STR("cat")}}, NULL));
    agent_host_flush(&h);
    CHECK_EQ(ST_LIMIT, agent_host_done(&h, 100 + AGENT_CHANNELS_MAX + 1, &why));
    agent_host_ping(&h);
    agent_host_close(&h);
}
