#include "journal/journal_thread.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

#include "journal/request.h"
#include "os/clock_os.h"
#include "os/mailbox.h"

enum { MAILBOX_ROOM = 2 }; /* one call waits, one may be running */

struct journal_thread {
    struct log log;

    /* Of the loop's thread. */
    struct mailbox *mailbox;
    const struct journal_meter *meter;
    struct request_load load; /* of all requests that were not told yet */
    struct journal_view view;
    pthread_t thread;

    /* Of the journal's thread, while it runs. */
    struct journal *journal;

    /* Posted for each request, and for the end. Not a condition: who wakes from that takes the lock
     * as one that others wait for, and gives it back by a system call, before the write. */
    sem_t asked;

    pthread_mutex_t lock; /* guards what is below */
    struct list queue;
    struct list done;
    struct journal_view done_view;
    bool called; /* the mailbox holds a call to tell() that is not running yet */
    bool failed;
    struct fault failure;
    bool ending;
};

static struct journal_thread *self(struct log *l)
{
    return (struct journal_thread *)l; /* log is its first field */
}

static void lock(struct journal_thread *t)
{
    ensure(pthread_mutex_lock(&t->lock) == 0);
}

static void unlock(struct journal_thread *t)
{
    ensure(pthread_mutex_unlock(&t->lock) == 0);
}

static void move_all(struct list *from, struct list *to)
{
    while (!list_empty(from)) {
        struct list *item = from->next;
        list_cut(item);
        list_push(to, item);
    }
}

/* --- on the loop's thread --- */

static enum status push(struct journal_thread *t, struct request *r)
{
    request_load_add(&t->load, r);
    lock(t);
    list_push(&t->queue, &r->item);
    unlock(t);
    ensure(sem_post(&t->asked) == 0); /* no system call unless it waits */
    return ST_OK;
}

static enum status append(struct log *l, const struct log_hard *hard,
                          const struct log_entry *entries, size_t count, uint64_t token)
{
    struct journal_thread *t = self(l);
    if (t->load.all + request_cost(entries, count) > LOG_QUEUE_MAX)
        return ST_LIMIT;
    return push(t, request_append(hard, entries, count, token));
}

static enum status snapshot(struct log *l, uint64_t index, uint64_t term, uint64_t offset,
                            struct str chunk, bool last)
{
    struct journal_thread *t = self(l);
    if (!request_chunk_fits(&t->load, chunk.len))
        return ST_LIMIT;
    return push(t, request_snapshot(index, term, offset, chunk, last));
}

static void compact(struct log *l, uint64_t first_kept)
{
    (void)push(self(l), request_compact(first_kept));
}

static void measure(struct journal_thread *t, struct list *done)
{
    struct journal_batch b = {0};
    LIST_EACH(it, done) {
        struct request *r = CONTAINER_OF(it, struct request, item);
        b.requests++;
        b.took_ns = r->took_ns;
        if (b.took_ns == 0)
            continue;
        t->meter->batch(t->meter->ctx, &b);
        b.requests = 0;
    }
}

static void tell(void *ctx)
{
    struct journal_thread *t = ctx;
    struct list done;
    list_init(&done);
    lock(t);
    move_all(&t->done, &done);
    t->view = t->done_view;
    t->called = false;
    bool failed = t->failed;
    unlock(t);

    if (t->meter)
        measure(t, &done);
    request_tell(&done, t->log.events, &t->load); /* which may ask for more */
    if (failed)
        t->log.events->failed(t->log.events->ctx, &t->failure);
}

/* --- on the journal's thread --- */

/* Hand over what is done, and see to it that the loop comes for it. */
static void deliver(struct journal_thread *t, struct list *done, const struct fault *failure)
{
    lock(t);
    move_all(done, &t->done);
    t->done_view = journal_view(t->journal);
    if (failure) {
        t->failed = true;
        t->failure = *failure;
    }
    bool call = !t->called;
    t->called = true;
    unlock(t);
    if (call)
        ensure(mailbox_post(t->mailbox, tell, t) == ST_OK);
}

static bool carry_out(struct journal_thread *t, struct list *work)
{
    struct list done;
    struct fault why;
    list_init(&done);
    while (!list_empty(work)) {
        uint64_t from = clock_os_ns(CLOCK_MONOTONIC);
        enum status s = request_perform(t->journal, work, SIZE_MAX, &done, &why);
        if (s == ST_OK)
            CONTAINER_OF(done.prev, struct request, item)->took_ns =
                clock_os_ns(CLOCK_MONOTONIC) - from + 1;
        deliver(t, &done, s == ST_OK ? NULL : &why);
        if (s != ST_OK)
            return false;
    }
    return true;
}

static void *run(void *arg)
{
    struct journal_thread *t = arg;
    struct list work;
    list_init(&work);
    for (bool alive = true; alive;) {
        while (sem_wait(&t->asked) != 0)
            ensure(errno == EINTR);
        lock(t);
        move_all(&t->queue, &work);
        bool ends = t->ending && list_empty(&work);
        unlock(t);
        alive = !ends && carry_out(t, &work);
    }
    request_drop(&work); /* what stood behind a failure */
    return NULL;
}

/* --- opening and closing --- */

static void release(struct journal_thread *t)
{
    mailbox_close(t->mailbox);
    request_drop(&t->queue);
    request_drop(&t->done);
    (void)pthread_mutex_destroy(&t->lock);
    (void)sem_destroy(&t->asked);
    journal_close(t->journal);
    free(t);
}

/* Signals are the loop's. */
static int begin_thread(struct journal_thread *t)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&t->thread, NULL, run, t);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err == 0)
        (void)pthread_setname_np(t->thread, "journal");
    return err;
}

enum status journal_thread_open(struct loop *l, struct disk *disk, const struct journal_config *c,
                                const struct log_load *load, const struct journal_meter *meter,
                                struct journal_thread **ret, struct journal_report *ret_report,
                                struct fault *why)
{
    struct journal_thread *t = NEW(struct journal_thread);
    t->log = (struct log){.append = append, .snapshot = snapshot, .compact = compact};
    t->meter = meter;
    list_init(&t->queue);
    list_init(&t->done);
    ensure(pthread_mutex_init(&t->lock, NULL) == 0);
    ensure(sem_init(&t->asked, 0, 0) == 0);

    enum status s = mailbox_open(l, MAILBOX_ROOM, &t->mailbox, why);
    if (s == ST_OK)
        s = journal_open(disk, c, load, &t->journal, ret_report, why);
    if (s == ST_OK) {
        t->view = t->done_view = journal_view(t->journal);
        int err = begin_thread(t);
        if (err)
            s = fault_errno(why, err, "begin the journal's thread");
    }
    if (s != ST_OK) {
        release(t);
        return s;
    }
    *ret = t;
    return ST_OK;
}

void journal_thread_close(struct journal_thread *t)
{
    if (!t)
        return;
    lock(t);
    t->ending = true;
    unlock(t);
    ensure(sem_post(&t->asked) == 0);
    ensure(pthread_join(t->thread, NULL) == 0);
    release(t);
}

struct log *journal_thread_log(struct journal_thread *t)
{
    return &t->log;
}

struct journal_view journal_thread_view(const struct journal_thread *t)
{
    return t->view;
}

size_t journal_thread_queued(const struct journal_thread *t)
{
    return t->load.all;
}
