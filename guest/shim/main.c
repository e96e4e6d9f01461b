/*
 * blixard-shim: stands between Blixard and the monitor (QEMU) of one VM.
 *
 * It outlives the daemon and the helper that started it. While it lives, it knows how the monitor is;
 * when the monitor ends, it leaves a record of how; when the lease deadline passes, it ends the
 * monitor, whatever became of anybody else; and when it dies, the monitor dies.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/shim/shim.h"

enum { EXIT_BAD_START = 2, STDERR_READ = 4096, STDERR_REST = 65536 / STDERR_READ };

static void tail_add(struct tail *t, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        t->ring[t->len++ % SHIM_TAIL_MAX] = data[i];
}

void shim_note(struct shim *s, const char *what, int err)
{
    const char *text = err ? strerrordesc_np(err) : NULL;
    tail_add(&s->tail, "blixard-shim: ", 14);
    tail_add(&s->tail, what, strlen(what));
    if (text) {
        tail_add(&s->tail, ": ", 2);
        tail_add(&s->tail, text, strlen(text));
    }
    tail_add(&s->tail, "\n", 1);
}

/* One reading, so that a monitor that writes without end keeps nothing else waiting. Was there anything? */
static bool read_stderr(struct shim *s)
{
    char data[STDERR_READ];
    ssize_t n = read(s->stderr_fd, data, sizeof data);
    if (n > 0)
        tail_add(&s->tail, data, (size_t)n);
    if (n == 0) { /* closed by the monitor: poll would return for ever */
        (void)close(s->stderr_fd);
        s->stderr_fd = -1;
    }
    return n > 0;
}

/* What the monitor left in the pipe, which holds no more than this; others may write on. */
static void read_last_stderr(struct shim *s)
{
    for (int i = 0; i < STDERR_REST && s->stderr_fd >= 0 && read_stderr(s); i++)
        ;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Left as zeros when it cannot be read: then it equals no boot. */
static void read_host_boot(uint8_t out[16])
{
    char text[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);
    if (fd >= 0)
        (void)close(fd);
    size_t digits = 0;
    for (ssize_t i = 0; i < n && digits < 32; i++) {
        int v = hex_digit(text[i]);
        if (v >= 0) {
            out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | v);
            digits++;
        }
    }
}

static bool read_start(struct shim *s)
{
    size_t len = 0;
    ssize_t n = 1;
    while (n > 0 && len < sizeof s->message) {
        n = read(SHIM_FD_START, s->message + len, sizeof s->message - len);
        if (n > 0)
            len += (size_t)n;
    }
    (void)close(SHIM_FD_START);
    return n >= 0 && shim_get_start((struct str){s->message, len}, &s->start, NULL) == ST_OK;
}

/* Descriptors from SHIM_FD_DIR on that were passed; they stay, ours do not outlive an exec. */
static bool set_up(struct shim *s)
{
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)setsid(); /* fails only if we lead a group already */
    struct rlimit none = {0, 0};
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (chdir("/") != 0 || setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0 ||
        sigprocmask(SIG_SETMASK, &set, NULL) != 0)
        return false;
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return s->signals >= 0 && s->timer >= 0;
}

static void first_record(struct shim *s)
{
    struct shim_record *r = &s->record;
    memcpy(r->uid, s->start.uid, sizeof r->uid);
    r->epoch = s->start.epoch;
    r->incarnation = s->start.incarnation;
    r->phase = SHIM_STARTING;
    r->walls = s->start.walls;
    r->shim_pid = (uint32_t)getpid();
    r->shim_start = record_start_time(r->shim_pid);
    r->deadline_ms = s->start.deadline_ms;
    r->started_wall_ns = record_wall_ns();
    read_host_boot(r->host_boot);
}

/* What the last bytes of stderr were. The start is not needed any more: its memory holds them. */
static void show_tail(struct shim *s)
{
    size_t len = MIN(s->tail.len, (size_t)SHIM_TAIL_MAX);
    for (size_t i = 0; i < len; i++)
        s->message[i] = s->tail.ring[(s->tail.len - len + i) % SHIM_TAIL_MAX];
    s->record.tail = (struct str){s->message, len};
}

/* The monitor is gone, or was never there. */
static void end(struct shim *s, enum shim_cause cause)
{
    if (s->record.cause == SHIM_NOT_YET)
        s->record.cause = cause;
    s->record.phase = SHIM_EXITED;
    s->record.ended_wall_ns = record_wall_ns();
    s->ended = true;
    show_tail(s);
    record_write(s);
    talk_ended(s);
}

/* The pipe was closed by exec, or holds a byte when that failed. */
static void exec_news(struct shim *s)
{
    char x;
    ssize_t n = read(s->exec_fd, &x, 1);
    if (n < 0 && errno == EINTR)
        return;
    (void)close(s->exec_fd);
    s->exec_fd = -1;
    if (n == 0) {
        s->record.phase = SHIM_RUNNING;
        record_write(s);
    } else if (s->record.cause == SHIM_NOT_YET) {
        s->record.cause = SHIM_NO_START; /* it is about to exit */
    }
}

static void reap(struct shim *s)
{
    int status = 0;
    pid_t pid;
    do
        pid = waitpid((pid_t)s->record.pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    s->record.wait_status = (uint32_t)status;
    read_last_stderr(s);
    end(s, SHIM_ITSELF);
}

/* Take what makes it readable out: 8 bytes of a timer, a signal. */
static void drain(int fd)
{
    char data[sizeof(struct signalfd_siginfo)];
    while (read(fd, data, sizeof data) > 0)
        ;
}

static bool readable(const struct pollfd *p)
{
    return p->fd >= 0 && p->revents != 0;
}

/* Wait for one thing or more, and handle them. The monitor's end is looked at last, so that what it
 * said before is known. */
static void turn(struct shim *s)
{
    enum { SIGNALS, TIMER, LISTEN, STDERR, EXEC, MONITOR, CLIENT };
    struct pollfd p[CLIENT + SHIM_CLIENTS_MAX] = {
        [SIGNALS] = {s->signals, POLLIN, 0},    [TIMER] = {s->timer, POLLIN, 0},
        [LISTEN] = {SHIM_FD_LISTEN, POLLIN, 0}, [STDERR] = {s->stderr_fd, POLLIN, 0},
        [EXEC] = {s->exec_fd, POLLIN, 0},       [MONITOR] = {s->monitor, POLLIN, 0}};
    for (int i = 0; i < SHIM_CLIENTS_MAX; i++)
        p[CLIENT + i] = (struct pollfd){s->client[i], POLLIN, 0};
    if (poll(p, ARRAY_COUNT(p), -1) < 0)
        return;
    if (readable(&p[TIMER])) {
        drain(s->timer);
        monitor_kill(s, SHIM_LEASE);
    }
    if (readable(&p[SIGNALS])) {
        drain(s->signals);
        monitor_kill(s, SHIM_SIGNALLED);
    }
    if (readable(&p[STDERR]))
        (void)read_stderr(s);
    if (readable(&p[EXEC]))
        exec_news(s);
    for (int i = 0; i < SHIM_CLIENTS_MAX; i++)
        if (readable(&p[CLIENT + i]))
            talk_answer(s, i);
    if (readable(&p[LISTEN]))
        talk_accept(s);
    if (readable(&p[MONITOR]))
        reap(s);
}

/* Has the deadline come before anything was started? */
static bool is_late(struct shim *s)
{
    struct pollfd p = {s->timer, POLLIN, 0};
    talk_deadline(s, s->start.deadline_ms);
    return s->record.cause != SHIM_NOT_YET || poll(&p, 1, 0) != 0;
}

int main(void)
{
    static struct shim shim; /* zeroed, and too large for a stack that should stay small */
    struct shim *s = &shim;
    s->monitor = s->stderr_fd = s->exec_fd = -1;
    for (int i = 0; i < SHIM_CLIENTS_MAX; i++)
        s->client[i] = -1;
    if (!set_up(s) || !read_start(s))
        return EXIT_BAD_START;
    first_record(s);

    /* Nothing is written before the rights are given up: the directory is not root's. */
    bool late = is_late(s);
    bool started = !late && monitor_start(s);
    bool harmless = monitor_drop_rights(s);
    if (!started)
        end(s, late ? SHIM_LEASE : SHIM_NO_START);
    else if (!harmless)
        monitor_kill(s, SHIM_NO_START); /* its end comes as any other */
    while (!s->ended)
        turn(s);
    return 0;
}
