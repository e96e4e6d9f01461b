#include <stdlib.h>
#include <string.h>

#include "http/server.h"

/* Events are taken from the state some at a time, so that a reader who has much to catch up with gets
 * them in few pieces. */
enum { BATCH = 16 << 10 };

struct feed {
    struct list item; /* of http->feeds */
    struct request *q;
    struct event_feed feed;
    struct buf out; /* the first `at` bytes were given */
    size_t at;
    bool beat; /* a heartbeat is due */
};

/* Fill `out`; false at the end of a feed that does not follow. */
static bool fill(struct feed *f)
{
    enum event_next next = EVENT_GIVEN;
    buf_reset(&f->out);
    f->at = 0;
    while (next == EVENT_GIVEN && f->out.len < BATCH)
        next = event_feed_next(&f->feed, &f->out);
    if (f->out.len == 0 && next == EVENT_NONE && f->beat)
        event_feed_beat(&f->feed, &f->out);
    f->beat = false;
    ensure(!f->out.full);
    return next != EVENT_END;
}

static ssize_t read_feed(void *ctx, uint64_t position, char *out, size_t max)
{
    (void)position;
    struct feed *f = ctx;
    if (f->q->gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (f->at == f->out.len && !fill(f) && f->out.len == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t n = MIN(max, f->out.len - f->at);
    if (n == 0) {
        request_sleep(f->q);
        return 0;
    }
    memcpy(out, f->out.ptr + f->at, n);
    f->at += n;
    return (ssize_t)n;
}

static void watched(void *ctx, struct op_answer *a)
{
    struct request *q = ctx;
    struct feed *f = q->feed;
    struct http *h = q->conn->h;
    if (a->status != ST_OK) {
        request_answer(q, a);
        return;
    }
    if (list_empty(&h->feeds))
        loop_timer_after(h->beat, h->config.heartbeat_ms);
    list_push(&h->feeds, &f->item);
    h->view.feeds++;
    request_stream(q, "text/event-stream", a->index, read_feed, f);
}

void feed_open(struct request *q)
{
    struct feed *f = NEW(struct feed);
    struct op_call call = request_call(q);
    f->q = q;
    list_init(&f->item);
    buf_init(&f->out, BATCH + EVENT_TEXT_MAX);
    q->feed = f;
    ops_watch(q->conn->h->ops, &call, &f->feed, watched, q);
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    struct http *h = f->q->conn->h;
    if (!list_empty(&f->item)) {
        list_cut(&f->item);
        h->view.feeds--;
    }
    if (list_empty(&h->feeds))
        loop_timer_at(h->beat, UINT64_MAX);
    buf_done(&f->out);
    free(f);
}

void feed_applied(struct http *h)
{
    LIST_EACH(it, &h->feeds)
        request_wake(CONTAINER_OF(it, struct feed, item)->q);
}

void feed_beat(struct http *h)
{
    LIST_EACH(it, &h->feeds) {
        struct feed *f = CONTAINER_OF(it, struct feed, item);
        f->beat = f->q->asleep;
        request_wake(f->q);
    }
    if (!list_empty(&h->feeds))
        loop_timer_after(h->beat, h->config.heartbeat_ms);
}
