#include "guest/keep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/power.h"
#include "guest/server.h"
#include "guest/util.h"

enum { PORT_WAIT_MS = 10000, RESPAWN_MS = 1000, PATH_SIZE = 300, NAME_MAX_LEN = 64 };

static const char shell_path[] = "/bin/sh";
static const char script_path[] = "/run/blixard/user-data";
static const char script_mark[] = "/var/lib/blixard/user-data-ran";

/* ---- the agent ---- */

/* The device of the port with our name; it appears some time after its driver is loaded. */
static bool find_port(char out[PATH_SIZE])
{
    static const char ports[] = "/sys/class/virtio-ports";
    bool found = false;
    DIR *all = opendir(ports);
    for (const struct dirent *e; all && !found && (e = readdir(all));) {
        AUTO(buf_done) struct buf name;
        buf_init(&name, NAME_MAX_LEN);
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(out, PATH_SIZE, "%s/%s/name", ports, e->d_name);
        found =
            file_read(out, &name, NULL) == ST_OK && str_is(str_trim(buf_view(&name)), AGENT_PORT);
        (void)snprintf(out, PATH_SIZE, "/dev/%s", e->d_name);
    }
    if (all)
        (void)closedir(all);
    return found && access(out, F_OK) == 0;
}

void keep_agent(const char *trouble)
{
    char path[PATH_SIZE];
    uint64_t waited = 0;
    while (!find_port(path))
        if (!wait_more(&waited, PORT_WAIT_MS)) {
            say("there is no port %s: the host cannot reach this guest", AGENT_PORT);
            for (;;) /* nothing will change that; being started again and again would not help */
                (void)pause();
        }
    int port = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (port < 0) {
        say("open %s: %s", path, strerror(errno));
        exit(1);
    }
    say("ready");
    server_run(port, true, trouble);
    exit(1);
}

/* ---- children ---- */

struct child {
    pid_t pid; /* 0: it does not run */
    uint64_t started_ms;
};

struct state {
    const struct keep *k;
    sigset_t old_mask;
    int signals; /* signalfd */
    int button[POWER_BUTTONS_MAX];
    size_t button_count;
    int console; /* the terminal for the shell; -1: none */
    struct child agent, shell, script;
};

/* As fork(2); in the child the signals are as a program expects them. */
static pid_t start(struct state *s, struct child *c)
{
    pid_t pid = fork();
    if (pid == 0)
        (void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
    *c = (struct child){.pid = MAX(pid, 0), .started_ms = now_ms()};
    return pid;
}

static void set_environment(void)
{
    (void)clearenv();
    (void)setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    (void)setenv("HOME", access("/root", F_OK) == 0 ? "/root" : "/", 1);
    (void)setenv("TERM", "vt100", 1);
}

/* The terminal behind /dev/console: only that can be somebody's controlling terminal. */
static int open_console(void)
{
    char path[PATH_SIZE];
    AUTO(buf_done) struct buf b;
    buf_init(&b, NAME_MAX_LEN);
    if (access(shell_path, X_OK) != 0 ||
        file_read("/sys/class/tty/console/active", &b, NULL) != ST_OK)
        return -1;
    struct str name, rest = str_trim(buf_view(&b));
    while (str_cut(&rest, ' ', &name)) /* the last one is it */
        ;
    (void)snprintf(path, sizeof path, "/dev/" STR_FMT, STR_ARG(name));
    return open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static _Noreturn void become_shell(int console)
{
    char *argv[] = {mem_strdup("-sh"), NULL};
    (void)setsid();
    (void)ioctl(console, TIOCSCTTY, 1);
    for (int i = 0; i <= 2; i++)
        (void)dup2(console, i);
    set_environment();
    IGNORE(chdir(getenv("HOME"))); /* else it begins in / */
    (void)execv(shell_path, argv);
    _exit(127);
}

/* Somebody pressed Enter. Until then there is no shell, which saves its memory in every idle guest; what
 * was typed is still there for it to read. */
static void start_shell(struct state *s)
{
    if (start(s, &s->shell) == 0)
        become_shell(s->console);
}

static _Noreturn void become_script(struct str data)
{
    char *script = mem_strdup(script_path), *shell = mem_strdup(shell_path);
    char *by_itself[] = {script, NULL}, *by_shell[] = {shell, script, NULL};
    (void)setsid();
    set_environment();
    IGNORE(chdir("/")); /* where pid 1 is anyway */
    if (str_starts(data, "#!"))
        (void)execv(script, by_itself);
    else
        (void)execv(shell, by_shell);
    say("user data: %s", strerror(errno));
    _exit(127);
}

/* The mark is set before the script runs: it runs once, even if it does not come to its end. */
static void start_script(struct state *s)
{
    struct str data = s->k->config->user_data;
    struct fault why;
    if (data.len == 0 || access(script_mark, F_OK) == 0)
        return;
    if (file_write(script_mark, STR(""), 0644, &why) != ST_OK ||
        file_write(script_path, data, 0700, &why) != ST_OK) {
        say("user data: %s", why.text);
        return;
    }
    if (start(s, &s->script) == 0)
        become_script(data);
}

static void start_agent(struct state *s)
{
    if (start(s, &s->agent) == 0)
        keep_agent(s->k->trouble);
}

/* When a shell ends, the kernel hangs its terminal up, for all who have it open: so open it anew. */
static void offer_shell(struct state *s)
{
    close_fd(&s->console);
    s->console = open_console();
    if (s->console >= 0)
        say("press Enter for a shell");
}

/* As pid 1 we are the parent of every orphan. */
static void reap(struct state *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (pid == s->agent.pid) {
            s->agent.pid = 0;
            say("the agent ended (wait status 0x%x)", (unsigned)status);
        } else if (pid == s->shell.pid) {
            s->shell.pid = 0;
            offer_shell(s);
        } else if (pid == s->script.pid) {
            s->script.pid = 0;
            if (status != 0)
                say("user data: it failed (wait status 0x%x)", (unsigned)status);
        }
    }
}

/* ---- power ---- */

static void ask_init(const char *program)
{
    if (fork() != 0)
        return;
    char *argv[] = {mem_strdup(program), NULL};
    set_environment();
    (void)execvp(program, argv);
    say("%s: %s", program, strerror(errno));
    _exit(127);
}

static void power(struct state *s, enum agent_power what)
{
    if (s->k->init)
        power_down(what, s->shell.pid);
    ask_init(what == AGENT_REBOOT ? "reboot" : "poweroff");
}

static void on_signal(struct state *s, int number)
{
    switch (number) {
    case SIGCHLD: reap(s); return;
    case SIGUSR1:
    case SIGUSR2:
    case SIGPWR: power(s, AGENT_POWER_OFF); return;
    case SIGINT: power(s, AGENT_REBOOT); return;
    case SIGTERM:
        if (s->k->init)
            power(s, AGENT_REBOOT);
        if (s->agent.pid)
            (void)kill(s->agent.pid, SIGTERM);
        exit(0);
    default: return;
    }
}

/* ---- the loop ---- */

static void open_signals(struct state *s)
{
    static const int wanted[] = {SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGPWR};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
        (void)sigaddset(&set, wanted[i]);
    (void)sigprocmask(SIG_BLOCK, &set, &s->old_mask);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    ensure(s->signals >= 0);
}

/* Start the agent again, but not more often than every RESPAWN_MS. Returns how long poll may sleep. */
static int tend_agent(struct state *s)
{
    if (s->agent.pid)
        return -1;
    uint64_t due = s->agent.started_ms + RESPAWN_MS, now = now_ms();
    if (now < due)
        return (int)(due - now);
    start_agent(s);
    return s->agent.pid ? -1 : RESPAWN_MS;
}

static void turn(struct state *s)
{
    enum { SIGNALS, CONSOLE, BUTTONS };
    int wait = tend_agent(s);
    struct pollfd p[BUTTONS + POWER_BUTTONS_MAX] = {
        [SIGNALS] = {.fd = s->signals, .events = POLLIN},
        [CONSOLE] = {.fd = s->shell.pid ? -1 : s->console, .events = POLLIN},
    };
    for (size_t i = 0; i < s->button_count; i++)
        p[BUTTONS + i] = (struct pollfd){.fd = s->button[i], .events = POLLIN};
    if (poll(p, BUTTONS + s->button_count, wait) <= 0)
        return;
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info)
        on_signal(s, (int)info.ssi_signo);
    for (size_t i = 0; i < s->button_count; i++)
        if (p[BUTTONS + i].revents && power_pressed(s->button[i]))
            power(s, AGENT_POWER_OFF);
    if (p[CONSOLE].revents & (POLLHUP | POLLERR | POLLNVAL)) /* somebody else's hang-up */
        close_fd(&s->console);
    else if (p[CONSOLE].revents)
        start_shell(s);
}

void keep_run(const struct keep *k)
{
    struct state s = {.k = k, .console = -1};
    open_signals(&s);
    start_agent(&s);
    if (k->init) {
        s.button_count = power_buttons(s.button);
        offer_shell(&s);
    }
    start_script(&s);
    for (;;)
        turn(&s);
}
