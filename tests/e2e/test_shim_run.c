/*
 * blixard-shim with real processes: what it promises of records, deadlines and deaths.
 */
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "support/shim_run.h"

static const char *const sleeper[] = {"/bin/sleep", "600", NULL};

static int pidfd_of(uint32_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    CHECK(fd >= 0);
    return fd;
}

static const char *const *shell(const char *script)
{
    static const char *argv[] = {"/bin/sh", "-c", NULL, NULL};
    argv[2] = script;
    return argv;
}

/* Start it, wait until it ended, and give its record. */
static struct shim_record ended(struct run *r, struct shim_start *s, const char *const *argv)
{
    run_directory(r);
    run_start(r, s, argv, NULL, NULL);
    run_await(r->pidfd);
    return run_record(r);
}

static struct shim_start no_lease(void)
{
    return (struct shim_start){.epoch = 3, .incarnation = 4, .deadline_ms = SHIM_NONE};
}

TEST(shim_tells_what_runs)
{
    struct run r;
    struct shim_start s = no_lease();
    run_directory(&r);
    run_start(&r, &s, sleeper, NULL, NULL);
    int fd = run_connect(&r);
    struct shim_record got = run_running(fd), file = run_record(&r);
    CHECK_STR(RUN_UID, got.uid);
    CHECK_EQ(3, got.epoch);
    CHECK_EQ(4, got.incarnation);
    CHECK_EQ(r.pid, got.shim_pid);
    CHECK(got.pid > 0 && got.start > 0 && got.shim_start > 0 && got.start >= got.shim_start);
    CHECK(got.started_wall_ns > 0);
    CHECK_EQ(SHIM_RUNNING, file.phase);
    CHECK_EQ(got.pid, file.pid);
    CHECK_EQ(got.start, file.start);

    int monitor = pidfd_of(got.pid);
    CHECK_EQ(SHIM_DONE, run_ask(fd, SHIM_KILL, 0).type);
    run_await(monitor);
    run_await(r.pidfd);
}

TEST(shim_refuses_what_it_does_not_know)
{
    struct run r;
    struct shim_start s = no_lease();
    run_directory(&r);
    run_start(&r, &s, sleeper, NULL, NULL);
    int fd = run_connect(&r);
    CHECK_EQ(SHIM_REFUSED, run_ask(fd, 33, 0).type);
    CHECK_EQ(6, send(fd, "rubish", 6, MSG_NOSIGNAL)); /* ends this connection, and nothing else */
    struct shim_answer a;
    CHECK(!run_hear(fd, &a));
    int again = run_connect(&r);
    CHECK_EQ(SHIM_DONE, run_ask(again, SHIM_KILL, 0).type);
    run_await(r.pidfd);
}

TEST(shim_records_an_exit_status)
{
    struct run r;
    struct shim_start s = no_lease();
    struct shim_record got = ended(&r, &s, shell("echo this went wrong >&2; exit 7"));
    CHECK_EQ(SHIM_EXITED, got.phase);
    CHECK_EQ(SHIM_ITSELF, got.cause);
    CHECK(WIFEXITED(got.wait_status) && WEXITSTATUS(got.wait_status) == 7);
    CHECK(str_is(got.tail, "this went wrong\n"));
    CHECK(got.ended_wall_ns >= got.started_wall_ns);
}

TEST(shim_records_a_signal)
{
    struct run r;
    struct shim_start s = no_lease();
    struct shim_record got = ended(&r, &s, shell("kill -SEGV $$"));
    CHECK_EQ(SHIM_ITSELF, got.cause);
    CHECK(WIFSIGNALED(got.wait_status) && WTERMSIG(got.wait_status) == SIGSEGV);
}

TEST(shim_keeps_the_end_of_a_long_stderr)
{
    struct run r;
    struct shim_start s = no_lease();
    struct shim_record got =
        ended(&r, &s, shell("i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done"));
    CHECK_EQ(SHIM_TAIL_MAX, got.tail.len);
    CHECK(str_ends(got.tail, "line 2998\nline 2999\n"));
}

TEST(shim_says_why_it_could_not_start)
{
    struct run r;
    struct shim_start s = no_lease();
    const char *const argv[] = {"/nowhere/qemu", NULL};
    struct shim_record got = ended(&r, &s, argv);
    CHECK_EQ(SHIM_NO_START, got.cause);
    CHECK(str_is(got.tail, "blixard-shim: /nowhere/qemu: No such file or directory\n"));
}

/* Whoever started it may die; nothing changes for the VM. */
TEST(shim_outlives_its_parent)
{
    struct run r;
    struct shim_start s = no_lease();
    run_directory(&r);
    pid_t parent = fork();
    if (parent == 0) {
        run_start(&r, &s, sleeper, NULL, NULL);
        (void)run_running(run_connect(&r));
        (void)kill(getpid(), SIGKILL);
    }
    int status = 0;
    CHECK_EQ(parent, waitpid(parent, &status, 0));
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    int fd = run_connect(&r);
    struct shim_record got = run_running(fd);
    CHECK_EQ(0, kill((pid_t)got.pid, 0));
    CHECK((uint32_t)getsid((pid_t)got.shim_pid) == got.shim_pid);
    int shim = pidfd_of(got.shim_pid);
    CHECK_EQ(SHIM_DONE, run_ask(fd, SHIM_KILL, 0).type);
    struct shim_answer a;
    CHECK(run_hear(fd, &a));
    CHECK_EQ(SHIM_ENDED, a.type);
    CHECK_EQ(SHIM_KILLED, a.record.cause);
    run_await(shim);
    got = run_record(&r);
    CHECK_EQ(SHIM_KILLED, got.cause);
    CHECK(WIFSIGNALED(got.wait_status) && WTERMSIG(got.wait_status) == SIGKILL);
}

TEST(shim_death_ends_the_monitor)
{
    struct run r;
    struct shim_start s = no_lease();
    run_directory(&r);
    run_start(&r, &s, sleeper, NULL, NULL);
    struct shim_record got = run_running(run_connect(&r));
    int monitor = pidfd_of(got.pid);
    CHECK_EQ(0, kill((pid_t)r.pid, SIGKILL));
    run_await(monitor);
    CHECK_EQ(SHIM_RUNNING, run_record(&r).phase); /* how it ended, nobody saw */
}

/* As a service manager ends what is left at a shutdown. */
TEST(shim_told_to_end_says_so)
{
    struct run r;
    struct shim_start s = no_lease();
    run_directory(&r);
    run_start(&r, &s, sleeper, NULL, NULL);
    (void)run_running(run_connect(&r));
    CHECK_EQ(0, kill((pid_t)r.pid, SIGTERM));
    run_await(r.pidfd);
    CHECK_EQ(SHIM_SIGNALLED, run_record(&r).cause);
}

TEST(shim_ends_the_monitor_at_its_deadline)
{
    struct run r;
    struct shim_start s = no_lease();
    uint64_t deadline = run_clock_ms(CLOCK_BOOTTIME) + 300;
    s.deadline_ms = deadline;
    struct shim_record got = ended(&r, &s, sleeper);
    uint64_t now = run_clock_ms(CLOCK_BOOTTIME);
    CHECK_EQ(SHIM_LEASE, got.cause);
    CHECK_EQ(deadline, got.deadline_ms);
    CHECK(now >= deadline && now < deadline + 1000);
}

#define FLOOD "cat /dev/zero >&2 & cat /dev/zero >&2 & exec cat /dev/zero >&2"

/* A monitor that writes without end keeps the shim from nothing. */
TEST(shim_is_not_flooded)
{
    struct run r;
    struct shim_start s = no_lease();
    uint64_t deadline = run_clock_ms(CLOCK_BOOTTIME) + 300;
    s.deadline_ms = deadline;
    struct shim_record got = ended(&r, &s, shell(FLOOD));
    CHECK_EQ(SHIM_LEASE, got.cause);
    CHECK(run_clock_ms(CLOCK_BOOTTIME) < deadline + 1000);

    s.deadline_ms = SHIM_NONE;
    run_directory(&r);
    run_start(&r, &s, shell(FLOOD), NULL, NULL);
    int fd = run_connect(&r);
    (void)run_running(fd);
    CHECK_EQ(SHIM_DONE, run_ask(fd, SHIM_KILL, 0).type);
    run_await(r.pidfd);
    CHECK_EQ(SHIM_KILLED, run_record(&r).cause);
}

/* Nor does what such a one leaves behind, which still has its stderr. */
TEST(shim_ends_though_others_write_on)
{
    struct run r;
    struct shim_start s = no_lease();
    struct shim_record got = ended(&r, &s, shell("(" FLOOD ") & sleep 0.2; exit 3"));
    CHECK_EQ(SHIM_ITSELF, got.cause);
    CHECK(WIFEXITED(got.wait_status) && WEXITSTATUS(got.wait_status) == 3);
    CHECK_EQ(SHIM_TAIL_MAX, got.tail.len);
}

TEST(shim_deadline_moves_and_goes)
{
    struct run r;
    struct shim_start s = no_lease();
    uint64_t start = run_clock_ms(CLOCK_BOOTTIME);
    s.deadline_ms = start + 60000;
    run_directory(&r);
    run_start(&r, &s, sleeper, NULL, NULL);
    int fd = run_connect(&r);
    CHECK(run_ask(fd, SHIM_DEADLINE, SHIM_NONE).record.deadline_ms == SHIM_NONE);
    CHECK_EQ(start + 50, run_ask(fd, SHIM_DEADLINE, start + 50).record.deadline_ms);
    run_await(r.pidfd);
    CHECK_EQ(SHIM_LEASE, run_record(&r).cause);
}

TEST(shim_starts_nothing_after_its_deadline)
{
    struct run r;
    struct shim_start s = no_lease();
    s.deadline_ms = 1;
    struct shim_record got = ended(&r, &s, shell("echo ran >&2"));
    CHECK_EQ(SHIM_LEASE, got.cause);
    CHECK_EQ(0, got.pid);
    CHECK_EQ(0, got.tail.len);
}

/* The monitor has what it was given and nothing else. */
TEST(shim_gives_no_other_descriptors)
{
    struct run r;
    struct shim_start s = no_lease();
    int keep[] = {open("/dev/zero", O_RDONLY | O_CLOEXEC), open("/dev/full", O_RDONLY | O_CLOEXEC)};
    s.keep_count = 2;
    run_directory(&r);
    run_start(
        &r, &s,
        shell("cd /proc/self/fd; for f in *; do echo $f $(readlink $f) >&2; done; "
              "grep -E 'NoNewPrivs|SigBlk|SigIgn' /proc/self/status >&2; ulimit -c >&2; pwd -P"),
        NULL, keep);
    run_await(r.pidfd);
    struct shim_record got = run_record(&r);
    char text[SHIM_TAIL_MAX + 1];
    CHECK_EQ(ST_OK, str_copy(got.tail, text, sizeof text, NULL));
    CHECK(strstr(text, "16 /dev/zero\n"));
    CHECK(strstr(text, "17 /dev/full\n"));
    CHECK(strstr(text, "0 /dev/null\n"));
    CHECK(strstr(text, "NoNewPrivs:\t1\n"));
    CHECK(strstr(text, "SigBlk:\t0000000000000000\n"));
    CHECK(strstr(text, "SigIgn:\t0000000000000000\n"));
    CHECK(!strstr(text, "shim.sock") && !strstr(text, scratch_dir()));
    for (int fd = 3; fd < 64; fd++) {
        char line[16];
        (void)snprintf(line, sizeof line, "\n%d /", fd);
        if (fd != 16 && fd != 17 && strstr(text, line) && !strstr(strstr(text, line), "/proc/"))
            tap_fail(__FILE__, __LINE__, "%s", text);
    }
}

/* ---- as root ---- */

enum { MONITOR_ID = 1999900001, OWN_ID = 1999900002 };

static void need_root(void)
{
    if (geteuid() != 0)
        tap_skip("not root: no user ids and namespaces of its own");
}

static struct shim_start walled(struct run *r)
{
    struct shim_start s = no_lease();
    s.walls = SHIM_WALLS;
    s.id = MONITOR_ID;
    s.own_id = OWN_ID;
    s.own_group = OWN_ID;
    run_directory(r);
    CHECK_EQ(0, fchown(r->dir, OWN_ID, OWN_ID));
    return s;
}

TEST(shim_walls_stand)
{
    need_root();
    struct run r;
    struct shim_start s = walled(&r);
    run_start(&r, &s,
              shell("id -u >&2; id -G >&2; echo pid $$ >&2; grep CapEff /proc/self/status >&2; "
                    "hostname >&2; ls /sys/class/net >/dev/null; cat /proc/self/net/dev >&2; "
                    "touch /tmp/blixard-walls 2>&1 | grep -o 'Read-only.*' >&2; : </dev/urandom"),
              NULL, NULL);
    run_await(r.pidfd);
    struct shim_record got = run_record(&r);
    char text[SHIM_TAIL_MAX + 1];
    CHECK_EQ(ST_OK, str_copy(got.tail, text, sizeof text, NULL));
    CHECK(strstr(text, "1999900001\n1999900001\n"));
    CHECK(strstr(text, "pid 1\n"));
    CHECK(strstr(text, "CapEff:\t0000000000000000\n"));
    CHECK(strstr(text, RUN_UID "\n"));
    CHECK(strstr(text, "lo:") && !strstr(text, "eth"));
    CHECK(strstr(text, "Read-only file system"));
    struct stat st;
    CHECK_EQ(0, fstatat(r.dir, SHIM_FILE, &st, 0));
    CHECK_EQ(OWN_ID, st.st_uid);
}

/* The shim is neither root nor the monitor's user, and keeps one right: to end the monitor. */
TEST(shim_keeps_the_right_to_kill_only)
{
    need_root();
    struct run r;
    struct shim_start s = walled(&r);
    run_start(&r, &s, sleeper, NULL, NULL);
    int fd = run_connect(&r);
    struct shim_record got = run_running(fd);
    char path[64];
    struct buf b;
    buf_init(&b, 8192);
    (void)snprintf(path, sizeof path, "/proc/%u/status", r.pid);
    CHECK_EQ(ST_OK, file_read(AT_FDCWD, path, &b, NULL));
    CHECK(strstr(b.ptr, "Uid:\t1999900002\t1999900002\t1999900002\t1999900002\n"));
    CHECK(strstr(b.ptr, "Groups:\t \n"));
    CHECK(strstr(b.ptr, "CapEff:\t0000000000000020\n"));
    CHECK(strstr(b.ptr, "CapPrm:\t0000000000000020\n"));
    buf_done(&b);
    int monitor = pidfd_of(got.pid);
    CHECK_EQ(SHIM_DONE, run_ask(fd, SHIM_KILL, 0).type);
    run_await(monitor);
    run_await(r.pidfd);
    CHECK_EQ(SHIM_KILLED, run_record(&r).cause);
}

TEST(shim_death_ends_a_walled_monitor)
{
    need_root();
    struct run r;
    struct shim_start s = walled(&r);
    run_start(&r, &s, sleeper, NULL, NULL);
    struct shim_record got = run_running(run_connect(&r));
    int monitor = pidfd_of(got.pid);
    CHECK_EQ(0, kill((pid_t)r.pid, SIGKILL));
    run_await(monitor);
}

TEST(shim_does_not_speak_to_others)
{
    need_root();
    struct run r;
    struct shim_start s = walled(&r);
    run_start(&r, &s, sleeper, NULL, NULL);
    (void)run_running(run_connect(&r));
    CHECK_EQ(0, fchmod(r.dir, 0755));
    CHECK_EQ(0, fchmodat(r.dir, "shim.sock", 0666, 0));
    pid_t stranger = fork();
    if (stranger == 0) {
        if (setresgid(MONITOR_ID, MONITOR_ID, MONITOR_ID) != 0 ||
            setresuid(MONITOR_ID, MONITOR_ID, MONITOR_ID) != 0)
            _exit(1);
        char x;
        int fd = run_connect(&r);
        _exit(recv(fd, &x, 1, 0) == 0 ? 42 : 1); /* hung up on */
    }
    int status = 0;
    CHECK_EQ(stranger, waitpid(stranger, &status, 0));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    (void)run_ask(run_connect(&r), SHIM_KILL, 0);
    run_await(r.pidfd);
}
