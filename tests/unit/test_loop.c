#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock_os.h"
#include "os/mailbox.h"
#include "support/scratch.h"
#include "support/tap.h"

enum { DEADLINE_TURNS = 1000 }; /* each waits 10 ms at most */

struct seen {
    struct loop *loop;
    struct loop_source *source;
    int count;
    uint32_t events;
    int value;
};

static void open_loop(struct seen *s)
{
    struct fault why = {0};
    if (loop_open(&s->loop, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
}

static void turn_until(struct seen *s, int count)
{
    for (int i = 0; s->count < count && i < DEADLINE_TURNS; i++)
        CHECK_EQ(ST_OK, loop_turn(s->loop, 10, NULL));
    CHECK_EQ(count, s->count);
}

static void on_io(void *ctx, uint32_t events)
{
    struct seen *s = ctx;
    s->count++;
    s->events = events;
}

static void on_call(void *ctx)
{
    struct seen *s = ctx;
    s->count++;
}

TEST(loop_io_follows_what_is_wanted)
{
    struct seen s = {0};
    int p[2];
    CHECK(pipe(p) == 0);
    open_loop(&s);
    CHECK_EQ(ST_OK, loop_io_open(s.loop, p[0], 0, on_io, &s, &s.source, NULL));
    CHECK(write(p[1], "x", 1) == 1);
    CHECK_EQ(ST_OK, loop_turn(s.loop, 0, NULL));
    CHECK_EQ(0, s.count);
    loop_io_want(s.source, EPOLLIN);
    turn_until(&s, 1);
    CHECK(s.events & EPOLLIN);
    loop_io_want(s.source, 0);
    (void)close(p[1]);
    turn_until(&s, 2);
    CHECK(s.events & EPOLLHUP);
    loop_source_close(s.source);
    loop_close(s.loop);
}

TEST(loop_refuses_a_descriptor_that_cannot_be_waited_for)
{
    struct seen s = {0};
    struct fault why = {0};
    open_loop(&s);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(loop_io_open(s.loop, fd, EPOLLIN, on_io, &s, &s.source, &why) != ST_OK);
    CHECK(s.source == NULL);
    loop_close(s.loop);
}

static void close_own(void *ctx, uint32_t events)
{
    struct seen *s = ctx;
    on_io(ctx, events);
    loop_source_close(s->source);
    loop_stop(s->loop);
}

TEST(loop_callback_may_close_its_own_source)
{
    struct seen s = {0};
    int p[2];
    CHECK(pipe(p) == 0 && write(p[1], "x", 1) == 1);
    open_loop(&s);
    CHECK_EQ(ST_OK, loop_io_open(s.loop, p[0], EPOLLIN, close_own, &s, &s.source, NULL));
    CHECK_EQ(ST_OK, loop_run(s.loop, NULL));
    CHECK_EQ(ST_OK, loop_turn(s.loop, 0, NULL));
    CHECK_EQ(1, s.count);
    loop_close(s.loop);
}

static uint64_t clock_ms(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

TEST(loop_timers_come_once_and_not_before_their_time)
{
    const struct {
        enum loop_clock clock;
        clockid_t id;
    } all[] = {{LOOP_MONOTONIC, CLOCK_MONOTONIC}, {LOOP_BOOTTIME, CLOCK_BOOTTIME}};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct seen s = {0};
        open_loop(&s);
        CHECK_EQ(ST_OK, loop_timer_open(s.loop, all[i].clock, 0, on_call, &s, &s.source, NULL));
        CHECK_EQ(ST_OK, loop_turn(s.loop, 0, NULL));
        CHECK_EQ(0, s.count); /* off at first */

        uint64_t due_ms = clock_ms(all[i].id) + 20;
        loop_timer_at(s.source, due_ms);
        turn_until(&s, 1);
        CHECK(clock_ms(all[i].id) >= due_ms);
        CHECK_EQ(ST_OK, loop_turn(s.loop, 5, NULL));
        CHECK_EQ(1, s.count);

        loop_timer_after(s.source, 0);
        turn_until(&s, 2);
        loop_timer_after(s.source, 1);
        loop_timer_at(s.source, UINT64_MAX);
        CHECK_EQ(ST_OK, loop_turn(s.loop, 10, NULL));
        CHECK_EQ(2, s.count);
        loop_timer_after(s.source, UINT64_MAX); /* too far for a clock: never */
        CHECK_EQ(ST_OK, loop_turn(s.loop, 5, NULL));
        CHECK_EQ(2, s.count);
        loop_source_close(s.source);
        loop_close(s.loop);
    }
}

static void on_exit_of_child(void *ctx, pid_t pid, int wait_status)
{
    struct seen *s = ctx;
    s->count++;
    s->events = (uint32_t)pid;
    s->value = wait_status;
}

static int child_ends(struct seen *s, int exit_code, int signal)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (signal) {
            (void)kill(getpid(), signal);
            (void)pause();
        }
        _exit(exit_code);
    }
    int fd = pidfd_open(pid, 0), before = s->count;
    CHECK(fd >= 0);
    CHECK_EQ(ST_OK, loop_child_open(s->loop, fd, on_exit_of_child, s, &s->source, NULL));
    turn_until(s, before + 1);
    CHECK_EQ(pid, s->events);
    CHECK(waitpid(pid, NULL, WNOHANG) < 0); /* reaped */
    loop_source_close(s->source);
    (void)close(fd);
    return s->value;
}

TEST(loop_child_tells_how_it_ended)
{
    struct seen s = {0};
    open_loop(&s);
    int status = child_ends(&s, 7, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    status = child_ends(&s, 0, SIGKILL);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    loop_close(s.loop);
}

static void on_signal(void *ctx, int signal)
{
    struct seen *s = ctx;
    s->count++;
    s->value = signal;
}

TEST(loop_signal_is_an_event)
{
    struct seen s = {0};
    open_loop(&s);
    CHECK_EQ(ST_OK, loop_signal_open(s.loop, SIGTERM, on_signal, &s, &s.source, NULL));
    CHECK(kill(getpid(), SIGTERM) == 0);
    turn_until(&s, 1);
    CHECK_EQ(SIGTERM, s.value);
    loop_source_close(s.source);
    loop_close(s.loop);
}

TEST(loop_defer_runs_once_for_each_arming)
{
    struct seen s = {0};
    open_loop(&s);
    CHECK_EQ(ST_OK, loop_defer_open(s.loop, on_call, &s, &s.source, NULL));
    CHECK_EQ(ST_OK, loop_turn(s.loop, 0, NULL));
    CHECK_EQ(0, s.count);
    loop_defer_arm(s.source);
    loop_defer_arm(s.source);
    turn_until(&s, 1);
    CHECK_EQ(ST_OK, loop_turn(s.loop, 0, NULL));
    CHECK_EQ(1, s.count);
    loop_source_close(s.source);
    loop_close(s.loop);
}

TEST(loop_post_runs_after_what_others_handled)
{
    struct seen s = {0}, posted = {0};
    open_loop(&s);
    posted.loop = s.loop;
    CHECK_EQ(ST_OK, loop_post_open(s.loop, on_call, &posted, &posted.source, NULL));
    CHECK_EQ(ST_OK, loop_turn(s.loop, 0, NULL));
    CHECK_EQ(0, posted.count);
    CHECK_EQ(ST_OK, loop_timer_open(s.loop, LOOP_MONOTONIC, 0, on_call, &s, &s.source, NULL));
    loop_timer_after(s.source, 0);
    turn_until(&posted, 1);
    CHECK_EQ(1, s.count);
    loop_source_close(s.source);
    loop_source_close(posted.source);
    loop_close(s.loop);
}

static void on_change(void *ctx, const struct inotify_event *e)
{
    struct seen *s = ctx;
    s->count++;
    s->events = e->mask;
}

TEST(loop_watch_sees_a_file_appear)
{
    struct seen s = {0};
    struct fault why = {0};
    open_loop(&s);
    CHECK_EQ(ST_OK,
             loop_watch_open(s.loop, scratch_dir(), IN_CREATE, on_change, &s, &s.source, NULL));
    (void)close(open(scratch_file("new"), O_CREAT | O_CLOEXEC | O_WRONLY, 0600));
    turn_until(&s, 1);
    CHECK(s.events & IN_CREATE);
    loop_source_close(s.source);
    CHECK_EQ(ST_NOT_FOUND, loop_watch_open(s.loop, scratch_file("absent"), IN_CREATE, on_change, &s,
                                           &s.source, &why));
    loop_close(s.loop);
}

struct delays {
    int busy, late;
    uint64_t busy_ns_max;
};

static void on_busy(void *ctx, uint64_t ns)
{
    struct delays *d = ctx;
    d->busy++;
    d->busy_ns_max = MAX(d->busy_ns_max, ns);
}

static void on_late(void *ctx, uint64_t ns)
{
    struct delays *d = ctx;
    (void)ns;
    d->late++;
}

static void spin(void *ctx)
{
    uint64_t end_ms = clock_ms(CLOCK_MONOTONIC) + 5;
    while (clock_ms(CLOCK_MONOTONIC) < end_ms)
        ;
    on_call(ctx);
}

TEST(loop_measures_what_keeps_others_waiting)
{
    struct seen s = {0};
    struct delays d = {0};
    struct loop_meter m = {on_busy, on_late, &d};
    open_loop(&s);
    loop_measure(s.loop, &m);
    CHECK_EQ(ST_OK, loop_timer_open(s.loop, LOOP_MONOTONIC, 0, spin, &s, &s.source, NULL));
    loop_timer_after(s.source, 0);
    turn_until(&s, 1);
    CHECK(d.busy >= 1 && d.busy_ns_max >= 4000000);
    CHECK_EQ(1, d.late);
    loop_source_close(s.source);
    loop_close(s.loop);
}

TEST(loop_without_a_service_manager_has_no_watchdog_to_feed)
{
    struct seen s = {0};
    open_loop(&s);
    CHECK_EQ(ST_OK, loop_watchdog(s.loop, NULL));
    loop_close(s.loop);
}

/* --- mailbox --- */

enum { PRODUCERS = 4, PER_PRODUCER = 2000, ROOM = 64 };

struct producer {
    struct mailbox *box;
    struct seen *seen;
    int sent, received;
    struct call {
        struct producer *from;
        int number;
    } call[PER_PRODUCER];
};

static void received(void *ctx)
{
    struct call *c = ctx;
    CHECK_EQ(c->from->received, c->number); /* in the order of each producer */
    c->from->received++;
    c->from->seen->count++;
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    while (p->sent < PER_PRODUCER) {
        p->call[p->sent] = (struct call){p, p->sent};
        if (mailbox_post(p->box, received, &p->call[p->sent]) == ST_OK)
            p->sent++;
    }
    return NULL;
}

TEST(mailbox_delivers_all_in_order_from_many_threads)
{
    static struct producer all[PRODUCERS];
    struct seen s = {0};
    struct mailbox *box;
    pthread_t thread[PRODUCERS];
    open_loop(&s);
    CHECK_EQ(ST_OK, mailbox_open(s.loop, ROOM, &box, NULL));
    for (int i = 0; i < PRODUCERS; i++) {
        all[i].box = box;
        all[i].seen = &s;
        CHECK(pthread_create(&thread[i], NULL, produce, &all[i]) == 0);
    }
    for (int idle = 0; s.count < PRODUCERS * PER_PRODUCER && idle < DEADLINE_TURNS; idle++) {
        int before = s.count;
        CHECK_EQ(ST_OK, loop_turn(s.loop, 10, NULL));
        idle = s.count > before ? 0 : idle;
    }
    CHECK_EQ(PRODUCERS * PER_PRODUCER, s.count);
    for (int i = 0; i < PRODUCERS; i++)
        CHECK(pthread_join(thread[i], NULL) == 0);
    mailbox_close(box);
    loop_close(s.loop);
}

TEST(mailbox_full_takes_nothing_more)
{
    struct seen s = {0};
    struct mailbox *box;
    open_loop(&s);
    CHECK_EQ(ST_OK, mailbox_open(s.loop, 2, &box, NULL));
    CHECK_EQ(ST_OK, mailbox_post(box, on_call, &s));
    CHECK_EQ(ST_OK, mailbox_post(box, on_call, &s));
    CHECK_EQ(ST_LIMIT, mailbox_post(box, on_call, &s));
    turn_until(&s, 2);
    CHECK_EQ(ST_OK, mailbox_post(box, on_call, &s));
    turn_until(&s, 3);
    mailbox_close(box);
    loop_close(s.loop);
}

/* What an adapter reads is what the core is told. */
TEST(clock_os_is_the_ports_clock)
{
    struct clock c;
    clock_os_init(&c);
    uint64_t before = clock_os_now_ms();
    uint64_t port = c.now_ms(&c);
    CHECK(before <= port && port <= clock_os_now_ms());
    CHECK(clock_os_ns(CLOCK_MONOTONIC) / 1000000 >= port);
}
