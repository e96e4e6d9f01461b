#include "vmm/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/list.h"
#include "os/clock_os.h"

struct waiting {
    struct list item;
    uint64_t id;
    uint64_t deadline_ms;
    qmp_answer *answer;
    void *ctx;
};

struct qmp {
    int fd;
    const struct qmp_events *ev;
    struct loop_source *io, *timer, *defer;
    struct buf in, out;
    struct list waiting; /* in the order of ids */
    size_t waiting_count;
    uint64_t last_id;
    bool greeted, ready, broken;
    unsigned busy; /* so many of our functions are calling owners */
    bool closed;   /* by qmp_close(), while busy: the last of them frees it */
    struct fault why;
};

/* Around calls of owners, who may close it. */
static void enter(struct qmp *q)
{
    q->busy++;
}

/* False: it was closed, and may be gone. */
static bool leave(struct qmp *q)
{
    bool open = !q->closed;
    if (--q->busy == 0 && !open)
        free(q);
    return open;
}

static void want_io(struct qmp *q)
{
    /* Nothing but the negotiation is sent before the monitor is ready. */
    loop_io_want(q->io, EPOLLIN | (q->out.len && q->greeted ? EPOLLOUT : 0u));
}

static void set_timer(struct qmp *q)
{
    uint64_t at = UINT64_MAX;
    LIST_EACH(it, &q->waiting)
        at = MIN(at, CONTAINER_OF(it, struct waiting, item)->deadline_ms);
    loop_timer_at(q->timer, at);
}

static void finish(struct qmp *q, struct waiting *w, enum status s, const struct fault *why,
                   const json_t *result)
{
    list_cut(&w->item);
    q->waiting_count--;
    qmp_answer *answer = w->answer;
    void *ctx = w->ctx;
    free(w);
    if (answer)
        answer(ctx, s, why, result);
}

/* The connection is of no use any more. Owners are told from the loop, never from within a call. */
static void break_off(struct qmp *q, const struct fault *why)
{
    if (q->broken)
        return;
    q->broken = true;
    q->why = *why;
    loop_source_close(q->io);
    q->io = NULL;
    loop_timer_at(q->timer, UINT64_MAX);
    loop_defer_arm(q->defer);
}

static void tell_broken(void *ctx)
{
    struct qmp *q = ctx;
    enter(q);
    while (!q->closed && !list_empty(&q->waiting)) {
        struct waiting *w = CONTAINER_OF(q->waiting.next, struct waiting, item);
        struct fault why = q->why;
        finish(q, w, ST_UNAVAILABLE, &why, NULL);
    }
    struct fault why = q->why;
    if (leave(q))
        q->ev->closed(q->ev->ctx, &why);
}

static struct waiting *find_waiting(struct qmp *q, uint64_t id)
{
    LIST_EACH(it, &q->waiting) {
        struct waiting *w = CONTAINER_OF(it, struct waiting, item);
        if (w->id == id)
            return w;
    }
    return NULL;
}

static void negotiated(void *ctx, enum status s, const struct fault *why, const json_t *result)
{
    struct qmp *q = ctx;
    (void)result;
    if (s != ST_OK) {
        break_off(q, why);
        return;
    }
    q->ready = true;
    q->ev->ready(q->ev->ctx);
}

static enum status send_command(struct qmp *q, const char *command, json_t *arguments,
                                uint32_t timeout_ms, qmp_answer *answer, void *ctx,
                                struct fault *why)
{
    uint64_t id = q->last_id + 1;
    json_t *m = json_pack("{s:s, s:I, s:o*}", "execute", command, "id", (json_int_t)id, "arguments",
                          arguments);
    require(m != NULL);
    char *text = json_dumps(m, JSON_COMPACT);
    json_decref(m);
    require(text != NULL);
    size_t len = strlen(text);
    if (len + 1 > q->out.max - q->out.len) {
        free(text);
        return fault_set(why, ST_LIMIT, "too much is unsent to the monitor");
    }
    buf_add(&q->out, text, len);
    buf_char(&q->out, '\n');
    free(text);

    struct waiting *w = NEW(struct waiting);
    *w = (struct waiting){.id = id, .answer = answer, .ctx = ctx};
    w->deadline_ms = clock_os_now_ms() + timeout_ms;
    q->last_id = id;
    list_push(&q->waiting, &w->item);
    q->waiting_count++;
    set_timer(q);
    return ST_OK;
}

/* The greeting came: negotiate before everything that waits already. */
static void greet(struct qmp *q)
{
    struct buf later = q->out;
    q->greeted = true;
    buf_init(&q->out, QMP_UNSENT_MAX + 256);
    struct fault why;
    enum status s = send_command(q, "qmp_capabilities", NULL, 10000, negotiated, q, &why);
    ensure(s == ST_OK);
    buf_str(&q->out, buf_view(&later));
    buf_done(&later);
    want_io(q);
}

static enum status handle(struct qmp *q, struct qmp_message *m, struct fault *why)
{
    struct waiting *w;
    struct fault refused = {0};
    switch (m->kind) {
    case QMP_GREETING:
        if (q->greeted)
            return fault_set(why, ST_INVALID, "the monitor greeted twice");
        greet(q);
        return ST_OK;
    case QMP_EVENT: q->ev->event(q->ev->ctx, m->text, m->data); return ST_OK;
    case QMP_RETURN:
    case QMP_ERROR:
        if (m->id == 0 || m->id > q->last_id)
            return fault_set(why, ST_INVALID, "the monitor answered what was not asked");
        w = find_waiting(q, m->id);
        if (!w)
            return ST_OK; /* its caller gave up */
        if (m->kind == QMP_RETURN) {
            finish(q, w, ST_OK, NULL, m->data);
        } else {
            (void)fault_set(&refused, ST_CONFLICT, "%s", m->text);
            finish(q, w, ST_CONFLICT, &refused, NULL);
        }
        return ST_OK;
    }
    defs_unreachable("kind of QMP message");
}

/* Handle all whole lines. false: q was closed meanwhile. */
static bool handle_lines(struct qmp *q)
{
    size_t eaten = 0;
    enter(q);
    while (!q->closed && !q->broken) {
        struct str rest = {q->in.ptr + eaten, q->in.len - eaten}, line;
        struct qmp_message m;
        struct fault why;
        if (rest.len == 0 || !str_cut(&rest, '\n', &line))
            break;
        eaten = q->in.len - rest.len;
        if (str_trim(line).len == 0)
            continue;
        enum status s = qmp_parse(line, &m, &why);
        if (s == ST_OK) {
            s = handle(q, &m, &why);
            json_decref(m.whole);
        }
        if (s != ST_OK && !q->closed)
            break_off(q, &why);
    }
    if (!leave(q))
        return false;
    buf_eat(&q->in, eaten);
    if (!q->in.len)
        buf_done(&q->in); /* an idle VM holds no memory */
    set_timer(q);
    return true;
}

static enum status receive(struct qmp *q, struct fault *why)
{
    char *space = buf_space(&q->in, MIN((size_t)16384, q->in.max - q->in.len));
    if (!space || q->in.len == q->in.max)
        return fault_set(why, ST_TOO_BIG, "a line of the monitor's is longer than %d bytes",
                         QMP_LINE_MAX);
    ssize_t n = read(q->fd, space, MIN((size_t)16384, q->in.max - q->in.len));
    if (n == 0)
        return fault_set(why, ST_UNAVAILABLE, "the monitor closed the connection");
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? ST_OK
                                                 : fault_errno(why, errno, "read the monitor");
    buf_wrote(&q->in, (size_t)n);
    return ST_OK;
}

static enum status transmit(struct qmp *q, struct fault *why)
{
    ssize_t n = send(q->fd, q->out.ptr, q->out.len, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? ST_OK
                                                 : fault_errno(why, errno, "write to the monitor");
    buf_eat(&q->out, (size_t)n);
    return ST_OK;
}

static void on_io(void *ctx, uint32_t events)
{
    struct qmp *q = ctx;
    struct fault why;
    enum status s = ST_OK;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        s = receive(q, &why);
    if (s == ST_OK && !handle_lines(q))
        return;
    if (s == ST_OK && !q->broken && q->greeted && q->out.len)
        s = transmit(q, &why);
    if (s != ST_OK)
        break_off(q, &why);
    else if (!q->broken)
        want_io(q);
}

static void on_timer(void *ctx)
{
    struct qmp *q = ctx;
    uint64_t now = clock_os_now_ms();
    enter(q);
    for (bool more = true; more && !q->closed;) {
        more = false;
        LIST_EACH(it, &q->waiting) {
            struct waiting *w = CONTAINER_OF(it, struct waiting, item);
            if (w->deadline_ms > now)
                continue;
            struct fault why;
            (void)fault_set(&why, ST_TIMEOUT, "the monitor did not answer in time");
            finish(q, w, ST_TIMEOUT, &why, NULL);
            more = true; /* the list may be another by now */
            break;
        }
    }
    if (leave(q) && !q->broken)
        set_timer(q);
}

enum status qmp_open(struct loop *l, int fd, const struct qmp_events *ev, struct qmp **ret,
                     struct fault *why)
{
    struct qmp *q = NEW(struct qmp);
    q->fd = fd;
    q->ev = ev;
    list_init(&q->waiting);
    buf_init(&q->in, QMP_LINE_MAX);
    buf_init(&q->out, QMP_UNSENT_MAX);
    int flags = fcntl(fd, F_GETFL);
    enum status s = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0
                        ? fault_errno(why, errno, "make the monitor's socket non-blocking")
                        : ST_OK;
    if (s == ST_OK)
        s = loop_io_open(l, fd, EPOLLIN, on_io, q, &q->io, why);
    if (s == ST_OK)
        s = loop_timer_open(l, LOOP_MONOTONIC, 100, on_timer, q, &q->timer, why);
    if (s == ST_OK)
        s = loop_defer_open(l, tell_broken, q, &q->defer, why);
    if (s != ST_OK) {
        qmp_close(q);
        return fault_wrap(why, s, "open the monitor");
    }
    *ret = q;
    return ST_OK;
}

void qmp_close(struct qmp *q)
{
    if (!q)
        return;
    loop_source_close(q->io);
    loop_source_close(q->timer);
    loop_source_close(q->defer);
    (void)close(q->fd);
    LIST_EACH(it, &q->waiting)
        free(CONTAINER_OF(it, struct waiting, item));
    list_init(&q->waiting);
    buf_done(&q->in);
    buf_done(&q->out);
    q->closed = true;
    if (!q->busy)
        free(q);
}

enum status qmp_run(struct qmp *q, const char *command, json_t *arguments, uint32_t timeout_ms,
                    qmp_answer *answer, void *ctx, struct fault *why)
{
    if (q->broken || q->waiting_count >= QMP_WAITING_MAX) {
        json_decref(arguments);
        return q->broken ? fault_set(why, ST_UNAVAILABLE, "%s", q->why.text)
                         : fault_set(why, ST_LIMIT, "the monitor owes %d answers", QMP_WAITING_MAX);
    }
    enum status s = send_command(q, command, arguments, timeout_ms, answer, ctx, why);
    if (s == ST_OK)
        want_io(q);
    return s;
}
