#include "os/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct call {
    mailbox_fn *fn;
    void *ctx;
};

struct mailbox {
    int wake; /* eventfd, written to for the first call that waits. The edge tells: it is never read */
    struct loop_source *source;
    size_t count_max;
    struct call *running; /* those being run; the loop's thread only */

    pthread_mutex_t lock; /* guards what is below */
    struct call *waiting;
    size_t count;
};

static void run_waiting(void *ctx, uint32_t events)
{
    (void)events;
    struct mailbox *m = ctx;
    ensure(pthread_mutex_lock(&m->lock) == 0);
    struct call *calls = m->waiting;
    size_t count = m->count;
    m->waiting = m->running;
    m->running = calls;
    m->count = 0;
    ensure(pthread_mutex_unlock(&m->lock) == 0);

    for (size_t i = 0; i < count; i++)
        calls[i].fn(calls[i].ctx);
}

enum status mailbox_open(struct loop *l, size_t count_max, struct mailbox **ret, struct fault *why)
{
    require(count_max > 0);
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0)
        return fault_errno(why, errno, "make an eventfd");

    struct mailbox *m = NEW(struct mailbox);
    m->wake = wake;
    enum status s = loop_io_open(l, wake, EPOLLIN | EPOLLET, run_waiting, m, &m->source, why);
    if (s != ST_OK) {
        (void)close(wake);
        free(m);
        return s;
    }
    m->count_max = count_max;
    m->waiting = NEW_ARRAY(struct call, count_max);
    m->running = NEW_ARRAY(struct call, count_max);
    ensure(pthread_mutex_init(&m->lock, NULL) == 0);
    *ret = m;
    return ST_OK;
}

void mailbox_close(struct mailbox *m)
{
    if (!m)
        return;
    loop_source_close(m->source);
    (void)close(m->wake);
    (void)pthread_mutex_destroy(&m->lock);
    free(m->waiting);
    free(m->running);
    free(m);
}

enum status mailbox_post(struct mailbox *m, mailbox_fn *fn, void *ctx)
{
    ensure(pthread_mutex_lock(&m->lock) == 0);
    bool full = m->count == m->count_max, first = m->count == 0;
    if (!full)
        m->waiting[m->count++] = (struct call){fn, ctx};
    ensure(pthread_mutex_unlock(&m->lock) == 0);

    /* Only the first needs to wake: the loop takes all that wait at once. */
    uint64_t one = 1;
    if (first)
        ensure(write(m->wake, &one, sizeof one) == sizeof one);
    return full ? ST_LIMIT : ST_OK;
}
