/*
 * loop: the event loop of a thread, over libsystemd's sd-event.
 *
 * All of it belongs to the thread that opened it; other threads reach it through os/mailbox.h. A
 * callback is three lines at the edge: make an event, step, run effects. It must not block.
 *
 * A callback may open, change and close any source, its own included; a closed source is not called
 * again. Each source is the caller's, who closes it before the loop.
 */
#pragma once

#include <sys/types.h>

#include "base/fault.h"

struct inotify_event;

struct loop;
struct loop_source;

typedef void loop_fn(void *ctx);
typedef void loop_io_fn(void *ctx, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
typedef void loop_signal_fn(void *ctx, int signal);
/* wait_status as waitpid(2) gives it: ask it with WIFEXITED and its kin. */
typedef void loop_child_fn(void *ctx, pid_t pid, int wait_status);
typedef void loop_watch_fn(void *ctx, const struct inotify_event *e);

MUST_USE enum status loop_open(struct loop **ret, struct fault *why);
void loop_close(struct loop *l); /* NULL is fine */

/* Run until loop_stop(). What fails here is the loop itself: it cannot go on. */
MUST_USE enum status loop_run(struct loop *l, struct fault *why);
/* End loop_run() after the callback that is running. Before loop_run(): it returns at once. */
void loop_stop(struct loop *l);
/* Wait at most wait_ms for one event, and handle it. UINT64_MAX waits for ever. */
MUST_USE enum status loop_turn(struct loop *l, uint64_t wait_ms, struct fault *why);

void loop_source_close(struct loop_source *s); /* NULL is fine; closes no descriptor */

/* fd is borrowed until the source is closed. events 0: only EPOLLHUP and EPOLLERR are told. */
MUST_USE enum status loop_io_open(struct loop *l, int fd, uint32_t events, loop_io_fn *fn,
                                  void *ctx, struct loop_source **ret, struct fault *why);
void loop_io_want(struct loop_source *s, uint32_t events);

enum loop_clock {
    LOOP_MONOTONIC, /* stands still while the machine sleeps: deadlines */
    LOOP_BOOTTIME,  /* goes on while it sleeps: leases */
};

/* Timers are off when opened, and after each call of fn. slack_ms: how much later it may come, so
 * that several wake the machine once; 0 for those that matter to the millisecond. */
MUST_USE enum status loop_timer_open(struct loop *l, enum loop_clock clock, uint32_t slack_ms,
                                     loop_fn *fn, void *ctx, struct loop_source **ret,
                                     struct fault *why);
void loop_timer_at(struct loop_source *s, uint64_t at_ms); /* on its clock; UINT64_MAX: off */
void loop_timer_after(struct loop_source *s, uint64_t ms);

/* A process of our own making: fn is called once, and the process is reaped after it. pidfd is
 * borrowed. Blocks SIGCHLD in this thread: what is spawned must unblock it. For the pidfd of a
 * process that is not our child use loop_io_open() with EPOLLIN. */
MUST_USE enum status loop_child_open(struct loop *l, int pidfd, loop_child_fn *fn, void *ctx,
                                     struct loop_source **ret, struct fault *why);

/* Blocks the signal in this thread; do it before other threads are made, which inherit that. */
MUST_USE enum status loop_signal_open(struct loop *l, int signal, loop_signal_fn *fn, void *ctx,
                                      struct loop_source **ret, struct fault *why);

/* Once after each loop_defer_arm(): after what is already waiting, before what comes later. */
MUST_USE enum status loop_defer_open(struct loop *l, loop_fn *fn, void *ctx,
                                     struct loop_source **ret, struct fault *why);
void loop_defer_arm(struct loop_source *s);

/* After every event that any other source handled. */
MUST_USE enum status loop_post_open(struct loop *l, loop_fn *fn, void *ctx,
                                    struct loop_source **ret, struct fault *why);

/* Changes in a file or directory; mask as in inotify(7). The path is followed once, now. */
MUST_USE enum status loop_watch_open(struct loop *l, const char *path, uint32_t mask,
                                     loop_watch_fn *fn, void *ctx, struct loop_source **ret,
                                     struct fault *why);

/* Tell the service manager that the loop is alive, as often as it wants (WATCHDOG_USEC). Without
 * one this does nothing. */
MUST_USE enum status loop_watchdog(struct loop *l, struct fault *why);

/* How late this loop is. Either function may be NULL. Costs nothing while the loop sleeps. */
struct loop_meter {
    void (*busy)(void *ctx, uint64_t ns); /* so long did one event keep all others waiting */
    void (*late)(void *ctx, uint64_t ns); /* so late did a timer come, beyond its slack */
    void *ctx;
};
void loop_measure(struct loop *l, const struct loop_meter *m); /* kept until the loop is closed */
