#include "vmm/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* Finished jobs go through a list of our own; the mailbox, which is bounded, only wakes the loop. */
struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct list waiting, finished; /* under lock, as the two below */
    bool told;                     /* the loop knows that something finished */
    bool closing;
    struct mailbox *mailbox;
};

enum { STACK_SIZE = 256 * 1024 };

static struct job *take(struct list *l)
{
    struct job *j = CONTAINER_OF(l->next, struct job, item);
    list_cut(&j->item);
    return j;
}

static void on_finished(void *ctx)
{
    struct worker *w = ctx;
    struct list ready;
    list_init(&ready);
    (void)pthread_mutex_lock(&w->lock);
    w->told = false;
    while (!list_empty(&w->finished))
        list_push(&ready, &take(&w->finished)->item);
    (void)pthread_mutex_unlock(&w->lock);
    while (!list_empty(&ready)) {
        struct job *j = take(&ready);
        j->done(j);
    }
}

static void *work(void *ctx)
{
    struct worker *w = ctx;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->closing) {
        if (list_empty(&w->waiting)) {
            (void)pthread_cond_wait(&w->more, &w->lock);
            continue;
        }
        struct job *j = take(&w->waiting);
        (void)pthread_mutex_unlock(&w->lock);
        j->run(j);
        (void)pthread_mutex_lock(&w->lock);
        list_push(&w->finished, &j->item);
        if (!w->told && !w->closing)
            w->told = mailbox_post(w->mailbox, on_finished, w) == ST_OK;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Signals are the loop's. */
static int start(struct worker *w)
{
    sigset_t all, before;
    pthread_attr_t attr;
    (void)sigfillset(&all);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&w->thread, &attr, work, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    return err;
}

enum status worker_open(struct loop *l, struct worker **ret, struct fault *why)
{
    struct worker *w = NEW(struct worker);
    list_init(&w->waiting);
    list_init(&w->finished);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->more, NULL);
    enum status s = mailbox_open(l, 1, &w->mailbox, why);
    int err = s == ST_OK ? start(w) : 0;
    if (err)
        s = fault_errno(why, err, "start a thread");
    if (s != ST_OK) {
        mailbox_close(w->mailbox);
        free(w);
        return s;
    }
    *ret = w;
    return ST_OK;
}

static void drop_all(struct list *jobs)
{
    while (!list_empty(jobs)) {
        struct job *j = take(jobs);
        j->drop(j);
    }
}

void worker_close(struct worker *w)
{
    if (!w)
        return;
    (void)pthread_mutex_lock(&w->lock);
    w->closing = true;
    (void)pthread_cond_signal(&w->more);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    drop_all(&w->finished);
    drop_all(&w->waiting);
    mailbox_close(w->mailbox);
    (void)pthread_cond_destroy(&w->more);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

void worker_add(struct worker *w, struct job *j)
{
    list_init(&j->item);
    (void)pthread_mutex_lock(&w->lock);
    list_push(&w->waiting, &j->item);
    (void)pthread_cond_signal(&w->more);
    (void)pthread_mutex_unlock(&w->lock);
}
