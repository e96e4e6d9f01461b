#include "os/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>

#include "os/clock_os.h"

enum { US_PER_MS = 1000, NS_PER_US = 1000 };

struct loop {
    sd_event *event;
    const struct loop_meter *meter;
    bool stopped;
};

struct loop_source {
    sd_event_source *source;
    struct loop *loop;
    void *ctx;
    union {
        loop_fn *plain;
        loop_io_fn *io;
        loop_signal_fn *signal;
        loop_child_fn *child;
        loop_watch_fn *watch;
    } fn;
    clockid_t clock; /* timers only, as the two below */
    uint64_t slack_us;
    uint64_t due_us;
};

enum status loop_open(struct loop **ret, struct fault *why)
{
    struct loop *l = NEW(struct loop);
    int r = sd_event_new(&l->event);
    if (r < 0) {
        free(l);
        return fault_errno(why, -r, "open an event loop");
    }
    *ret = l;
    return ST_OK;
}

void loop_close(struct loop *l)
{
    if (!l)
        return;
    sd_event_unref(l->event);
    free(l);
}

void loop_stop(struct loop *l)
{
    l->stopped = true;
}

static void dispatch(struct loop *l, int *r)
{
    bool timed = l->meter && l->meter->busy;
    uint64_t from = timed ? clock_os_ns(CLOCK_MONOTONIC) : 0;
    *r = sd_event_dispatch(l->event);
    if (timed)
        l->meter->busy(l->meter->ctx, clock_os_ns(CLOCK_MONOTONIC) - from);
}

enum status loop_turn(struct loop *l, uint64_t wait_ms, struct fault *why)
{
    uint64_t wait_us = wait_ms > UINT64_MAX / US_PER_MS ? UINT64_MAX : wait_ms * US_PER_MS;
    int r = sd_event_prepare(l->event);
    if (r == 0)
        r = sd_event_wait(l->event, wait_us);
    if (r > 0)
        dispatch(l, &r);
    return r < 0 ? fault_errno(why, -r, "event loop") : ST_OK;
}

enum status loop_run(struct loop *l, struct fault *why)
{
    enum status s = ST_OK;
    while (s == ST_OK && !l->stopped)
        s = loop_turn(l, UINT64_MAX, why);
    l->stopped = false;
    return s;
}

static struct loop_source *source_new(struct loop *l, void *ctx)
{
    struct loop_source *s = NEW(struct loop_source);
    s->loop = l;
    s->ctx = ctx;
    return s;
}

/* What every open ends with: r is what libsystemd said. */
static enum status opened(struct loop_source *s, int r, const char *what, struct loop_source **ret,
                          struct fault *why)
{
    if (r < 0) {
        free(s);
        return fault_errno(why, -r, "add %s to the event loop", what);
    }
    *ret = s;
    return ST_OK;
}

void loop_source_close(struct loop_source *s)
{
    if (!s)
        return;
    (void)sd_event_source_set_enabled(s->source, SD_EVENT_OFF);
    sd_event_source_unref(s->source);
    free(s);
}

/* The edges. A callback may close its source: nothing of it is touched afterwards. */

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source, (void)fd;
    struct loop_source *s = userdata;
    s->fn.io(s->ctx, events);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t due_us, void *userdata)
{
    (void)source, (void)due_us;
    struct loop_source *s = userdata;
    const struct loop_meter *m = s->loop->meter;
    uint64_t now_us = clock_os_ns(s->clock) / NS_PER_US, allowed_us = s->due_us + s->slack_us;
    if (m && m->late)
        m->late(m->ctx, now_us > allowed_us ? (now_us - allowed_us) * NS_PER_US : 0);
    s->fn.plain(s->ctx);
    return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    (void)source, (void)info;
    struct loop_source *s = userdata;
    s->fn.signal(s->ctx, sd_event_source_get_signal(s->source));
    return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    (void)source;
    struct loop_source *s = userdata;
    int code = info->si_status;
    int wait_status = info->si_code == CLD_EXITED   ? W_EXITCODE(code, 0)
                      : info->si_code == CLD_DUMPED ? W_EXITCODE(0, code) | WCOREFLAG
                                                    : W_EXITCODE(0, code);
    s->fn.child(s->ctx, info->si_pid, wait_status);
    return 0;
}

static int on_plain(sd_event_source *source, void *userdata)
{
    (void)source;
    struct loop_source *s = userdata;
    s->fn.plain(s->ctx);
    return 0;
}

static int on_watch(sd_event_source *source, const struct inotify_event *e, void *userdata)
{
    (void)source;
    struct loop_source *s = userdata;
    s->fn.watch(s->ctx, e);
    return 0;
}

enum status loop_io_open(struct loop *l, int fd, uint32_t events, loop_io_fn *fn, void *ctx,
                         struct loop_source **ret, struct fault *why)
{
    struct loop_source *s = source_new(l, ctx);
    s->fn.io = fn;
    int r = sd_event_add_io(l->event, &s->source, fd, events, on_io, s);
    return opened(s, r, "a descriptor", ret, why);
}

void loop_io_want(struct loop_source *s, uint32_t events)
{
    ensure(sd_event_source_set_io_events(s->source, events) >= 0);
}

enum status loop_timer_open(struct loop *l, enum loop_clock clock, uint32_t slack_ms, loop_fn *fn,
                            void *ctx, struct loop_source **ret, struct fault *why)
{
    struct loop_source *s = source_new(l, ctx);
    s->fn.plain = fn;
    s->clock = clock == LOOP_BOOTTIME ? CLOCK_BOOTTIME : CLOCK_MONOTONIC;
    s->slack_us = (uint64_t)slack_ms * US_PER_MS;
    /* To libsystemd an accuracy of 0 means its default of 250 ms. */
    uint64_t accuracy_us = MAX(s->slack_us, 1);
    int r = sd_event_add_time(l->event, &s->source, s->clock, UINT64_MAX, accuracy_us, on_timer, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->source, SD_EVENT_OFF);
    return opened(s, r, "a timer", ret, why);
}

static void timer_set(struct loop_source *s, uint64_t due_us)
{
    s->due_us = due_us;
    ensure(sd_event_source_set_time(s->source, due_us) >= 0);
    ensure(sd_event_source_set_enabled(s->source, SD_EVENT_ONESHOT) >= 0);
}

void loop_timer_at(struct loop_source *s, uint64_t at_ms)
{
    if (at_ms > UINT64_MAX / US_PER_MS)
        ensure(sd_event_source_set_enabled(s->source, SD_EVENT_OFF) >= 0);
    else
        timer_set(s, at_ms * US_PER_MS);
}

void loop_timer_after(struct loop_source *s, uint64_t ms)
{
    uint64_t now_us = clock_os_ns(s->clock) / NS_PER_US;
    if (ms > (UINT64_MAX - now_us) / US_PER_MS)
        loop_timer_at(s, UINT64_MAX);
    else
        timer_set(s, now_us + ms * US_PER_MS);
}

static enum status block(int signal, struct fault *why)
{
    sigset_t set;
    (void)sigemptyset(&set);
    if (sigaddset(&set, signal) != 0)
        return fault_errno(why, errno, "signal %d", signal);
    int err = pthread_sigmask(SIG_BLOCK, &set, NULL);
    return err ? fault_errno(why, err, "block signal %d", signal) : ST_OK;
}

enum status loop_child_open(struct loop *l, int pidfd, loop_child_fn *fn, void *ctx,
                            struct loop_source **ret, struct fault *why)
{
    enum status blocked = block(SIGCHLD, why);
    if (blocked != ST_OK)
        return blocked;
    struct loop_source *s = source_new(l, ctx);
    s->fn.child = fn;
    int r = sd_event_add_child_pidfd(l->event, &s->source, pidfd, WEXITED, on_child, s);
    return opened(s, r, "a child", ret, why);
}

enum status loop_signal_open(struct loop *l, int signal, loop_signal_fn *fn, void *ctx,
                             struct loop_source **ret, struct fault *why)
{
    enum status blocked = block(signal, why);
    if (blocked != ST_OK)
        return blocked;
    struct loop_source *s = source_new(l, ctx);
    s->fn.signal = fn;
    int r = sd_event_add_signal(l->event, &s->source, signal, on_signal, s);
    return opened(s, r, "a signal", ret, why);
}

enum status loop_defer_open(struct loop *l, loop_fn *fn, void *ctx, struct loop_source **ret,
                            struct fault *why)
{
    struct loop_source *s = source_new(l, ctx);
    s->fn.plain = fn;
    int r = sd_event_add_defer(l->event, &s->source, on_plain, s);
    if (r >= 0)
        r = sd_event_source_set_enabled(s->source, SD_EVENT_OFF);
    return opened(s, r, "a deferred call", ret, why);
}

void loop_defer_arm(struct loop_source *s)
{
    ensure(sd_event_source_set_enabled(s->source, SD_EVENT_ONESHOT) >= 0);
}

enum status loop_post_open(struct loop *l, loop_fn *fn, void *ctx, struct loop_source **ret,
                           struct fault *why)
{
    struct loop_source *s = source_new(l, ctx);
    s->fn.plain = fn;
    int r = sd_event_add_post(l->event, &s->source, on_plain, s);
    return opened(s, r, "a call after each event", ret, why);
}

enum status loop_watch_open(struct loop *l, const char *path, uint32_t mask, loop_watch_fn *fn,
                            void *ctx, struct loop_source **ret, struct fault *why)
{
    struct loop_source *s = source_new(l, ctx);
    s->fn.watch = fn;
    int r = sd_event_add_inotify(l->event, &s->source, path, mask, on_watch, s);
    return opened(s, r, path, ret, why);
}

enum status loop_watchdog(struct loop *l, struct fault *why)
{
    int r = sd_event_set_watchdog(l->event, true);
    return r < 0 ? fault_errno(why, -r, "feed the watchdog") : ST_OK;
}

void loop_measure(struct loop *l, const struct loop_meter *m)
{
    l->meter = m;
}
