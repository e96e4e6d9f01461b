#include "vmm/agent_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/list.h"
#include "os/file.h"

enum {
    OUT_MAX = 1 << 20,
    OUT_SHORT = 32 * 1024, /* data is added below this, so that nothing else waits long */
    READ_SIZE = 16 * 1024,
    GREET_MIN_MS = 3000, /* until HELLO is said again, doubled each time */
    GREET_MAX_MS = 30000,
    PING_EVERY_MS = 10000, /* while channels are open */
    PONG_WITHIN_MS = 20000,
};

enum link_state {
    LINK_GREETING, /* HELLO was sent */
    LINK_PINGING,  /* HELLO came, the first PING was sent */
    LINK_OPEN,
};

struct agent_link {
    struct loop *loop;
    struct entropy *entropy;
    const struct agent_link_events *ev;
    int fd;
    struct loop_source *io, *timer, *defer;
    enum link_state state;
    struct agent_decoder decoder;
    struct buf out;
    struct agent_hello hello; /* its texts are below */
    char software[AGENT_TEXT_MAX + 1], trouble[AGENT_TEXT_MAX + 1];
    struct list channels;
    size_t channel_count;
    uint32_t last_channel;
    uint64_t ping_token; /* of the last PING; 0: answered */
    uint64_t last_token;
    uint32_t greet_ms;
    bool held, broken;
    struct fault why; /* broken */
    unsigned busy;    /* so many of our functions are calling owners */
    bool closed;      /* by agent_link_close(), while busy: the last of them frees it */
};

struct agent_channel {
    struct list item;
    struct agent_link *link;
    uint32_t id;
    struct agent_flow flow;
    bool blocked; /* the owner waits for `writable` */
    const struct agent_channel_events *ev;
    void *ctx;
};

/* Around calls of owners, who may close it. */
static void enter(struct agent_link *a)
{
    a->busy++;
}

/* False: it was closed, and may be gone. */
static bool leave(struct agent_link *a)
{
    bool open = !a->closed;
    if (--a->busy == 0 && !open)
        free(a);
    return open;
}

/* ---- sending ---- */

static void want_io(struct agent_link *a)
{
    if (a->io)
        loop_io_want(a->io, a->out.len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* The connection is of no use any more. Owners are told from the loop, never from within a call. */
static void break_off(struct agent_link *a, const struct fault *why)
{
    if (a->broken)
        return;
    a->broken = true;
    a->why = *why;
    loop_source_close(a->io);
    a->io = NULL;
    loop_timer_at(a->timer, UINT64_MAX);
    loop_defer_arm(a->defer);
}

static void flush(struct agent_link *a)
{
    while (!a->broken && a->out.len) {
        ssize_t n = send(a->fd, a->out.ptr, a->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            buf_eat(&a->out, (size_t)n);
            continue;
        }
        struct fault why;
        if (errno == EAGAIN || errno == EINTR)
            break;
        (void)fault_errno(&why, errno, "send to the guest's agent");
        break_off(a, &why);
    }
    if (!a->out.len)
        buf_done(&a->out); /* an idle VM holds no memory */
    want_io(a);
}

/* ---- sessions ---- */

static void channel_free(struct agent_channel *c)
{
    list_cut(&c->item);
    c->link->channel_count--;
    free(c);
}

static void finish(struct agent_channel *c, enum status s, const struct fault *why,
                   const struct agent_frame *last)
{
    const struct agent_channel_events *ev = c->ev;
    void *ctx = c->ctx;
    channel_free(c);
    ev->end(ctx, s, why, last);
}

/* All that was open is lost. False: the link was closed by one who was told. */
static bool drop_channels(struct agent_link *a, const struct fault *why)
{
    enter(a);
    while (!a->closed && !list_empty(&a->channels))
        finish(CONTAINER_OF(a->channels.next, struct agent_channel, item), why->status, why, NULL);
    return leave(a);
}

/* Begin a session. What is unsent of the last one is dropped with it: the mark ends half a frame. */
static void greet(struct agent_link *a)
{
    struct agent_hello h = {.version_min = AGENT_VERSION_MIN,
                            .version_max = AGENT_VERSION_MAX,
                            .software = STR("blixard " BLIXARD_VERSION)};
    a->entropy->fill(a->entropy, h.nonce, sizeof h.nonce);
    agent_decoder_done(&a->decoder);
    agent_decoder_init(&a->decoder, h.nonce);
    buf_reset(&a->out);
    enum status s = agent_put_hello(&a->out, &h, NULL);
    ensure(s == ST_OK);
    a->state = LINK_GREETING;
    a->ping_token = 0;
    loop_timer_after(a->timer, a->greet_ms);
    a->greet_ms = MIN(a->greet_ms * 2, (uint32_t)GREET_MAX_MS);
    flush(a);
}

static void ping(struct agent_link *a)
{
    if (agent_put_ping(&a->out, AGENT_PING, ++a->last_token) != ST_OK)
        return;
    a->ping_token = a->last_token;
    loop_timer_after(a->timer, PONG_WITHIN_MS);
    flush(a);
}

/* Only an open channel is reason to look whether the guest still answers: idle guests are left
 * asleep. */
static void await_trouble(struct agent_link *a)
{
    if (a->state == LINK_OPEN && !a->ping_token)
        loop_timer_at(a->timer, UINT64_MAX);
    if (a->state == LINK_OPEN && !a->ping_token && a->channel_count)
        loop_timer_after(a->timer, PING_EVERY_MS);
}

static void on_timer(void *ctx)
{
    struct agent_link *a = ctx;
    if (a->broken)
        return;
    if (a->held) {
        loop_timer_after(a->timer, PONG_WITHIN_MS);
    } else if (a->state == LINK_GREETING) {
        if (a->out.len == 0)
            greet(a);
        else /* the guest has not even read the last one */
            loop_timer_after(a->timer, a->greet_ms);
    } else if (a->ping_token) {
        struct fault why;
        (void)fault_set(&why, ST_TIMEOUT, "the guest's agent does not answer");
        if (drop_channels(a, &why))
            greet(a);
    } else if (a->channel_count) {
        ping(a);
    }
}

static void keep_hello(struct agent_link *a, const struct agent_hello *h)
{
    a->hello = *h;
    (void)!str_copy(h->software, a->software, sizeof a->software, NULL);
    (void)!str_copy(h->trouble, a->trouble, sizeof a->trouble, NULL);
    a->hello.software = str_from(a->software);
    a->hello.trouble = str_from(a->trouble);
}

/* ---- frames ---- */

static struct agent_channel *find(const struct agent_link *a, uint32_t id)
{
    LIST_EACH(it, &a->channels) {
        struct agent_channel *c = CONTAINER_OF(it, struct agent_channel, item);
        if (c->id == id)
            return c;
    }
    return NULL;
}

static void on_hello(struct agent_link *a, struct str payload)
{
    struct agent_hello h;
    struct fault why;
    if (agent_get_hello(payload, &h, &why) != ST_OK || agent_hello_common(&h) == 0) {
        (void)fault_set(&why, ST_UNSUPPORTED, "the guest's agent speaks another version");
        break_off(a, &why);
        return;
    }
    keep_hello(a, &h);
    (void)fault_set(&why, ST_UNAVAILABLE, "the guest's agent began anew");
    if (!drop_channels(a, &why))
        return;
    a->state = LINK_PINGING;
    a->greet_ms = GREET_MIN_MS;
    ping(a);
}

static void on_pong(struct agent_link *a, struct str payload)
{
    uint64_t token = 0;
    if (agent_get_ping(payload, &token, NULL) != ST_OK || token != a->ping_token)
        return;
    a->ping_token = 0;
    bool first = a->state == LINK_PINGING;
    a->state = LINK_OPEN;
    await_trouble(a);
    if (first)
        a->ev->ready(a->ev->ctx, &a->hello);
}

/* The guest broke the rules of a channel: end it, and tell the guest. */
static void abandon(struct agent_channel *c, const struct fault *why)
{
    struct agent_link *a = c->link;
    (void)!agent_put_plain(&a->out, AGENT_CLOSE, c->id);
    finish(c, why->status, why, NULL);
}

static void on_data(struct agent_channel *c, const struct agent_frame *f)
{
    struct fault why;
    if (agent_flow_received(&c->flow, f->payload.len, &why) != ST_OK)
        abandon(c, &why);
    else
        c->ev->data(c->ctx, f->type, f->payload);
}

static void on_credit(struct agent_channel *c, struct str payload)
{
    uint32_t credit = 0;
    struct fault why;
    if (agent_get_credit(payload, &credit, &why) != ST_OK ||
        agent_flow_credit(&c->flow, credit, &why) != ST_OK)
        abandon(c, &why);
}

static void on_channel(struct agent_channel *c, const struct agent_frame *f)
{
    struct fault error, why;
    switch (f->type) {
    case AGENT_STDOUT:
    case AGENT_STDERR:
    case AGENT_FILE_DATA: on_data(c, f); return;
    case AGENT_CREDIT: on_credit(c, f->payload); return;
    case AGENT_FILE_INFO: return; /* what is in it, nobody asked */
    case AGENT_EXIT:
    case AGENT_DONE:
    case AGENT_FILE_EOF:
    case AGENT_STATS: finish(c, ST_OK, NULL, f); return;
    case AGENT_ERROR:
        if (agent_get_error(f->payload, &error, &why) != ST_OK)
            error = why;
        finish(c, error.status, &error, NULL);
        return;
    default: return; /* of a later version, or nothing that a guest says */
    }
}

static void on_frame(struct agent_link *a, const struct agent_frame *f)
{
    struct agent_channel *c = find(a, f->channel);
    if (f->type == AGENT_HELLO)
        on_hello(a, f->payload);
    else if (f->type == AGENT_PONG)
        on_pong(a, f->payload);
    else if (c) /* else it was closed, and this had left before the guest knew */
        on_channel(c, f);
}

/* ---- the socket ---- */

/* Those who wait for room have it, if the queue is short and their window is open. */
static void tell_writable(struct agent_link *a)
{
    uint32_t last = 0; /* ids ascend along the list; a callback may change it */
    while (!a->closed && a->out.len < OUT_SHORT) {
        struct agent_channel *next = NULL;
        LIST_EACH(it, &a->channels) {
            struct agent_channel *c = CONTAINER_OF(it, struct agent_channel, item);
            if (c->id > last && c->blocked && c->flow.may_send) {
                next = c;
                break;
            }
        }
        if (!next)
            return;
        last = next->id;
        next->blocked = false;
        next->ev->writable(next->ctx);
    }
}

static void read_some(struct agent_link *a)
{
    char data[READ_SIZE];
    struct fault why;
    ssize_t n = recv(a->fd, data, sizeof data, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        (void)fault_set(&why, ST_UNAVAILABLE, "the connection to the guest's agent ended");
        break_off(a, &why);
        return;
    }
    struct agent_frame f;
    agent_decoder_feed(&a->decoder, data, (size_t)n);
    while (!a->closed && !a->broken && agent_decoder_next(&a->decoder, &f))
        on_frame(a, &f);
}

static void on_io(void *ctx, uint32_t events)
{
    struct agent_link *a = ctx;
    enter(a);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_some(a);
    if (!a->closed && !a->broken) {
        flush(a);
        tell_writable(a);
    }
    (void)leave(a);
}

static void on_defer(void *ctx)
{
    struct agent_link *a = ctx;
    struct fault why = a->why;
    if (drop_channels(a, &why))
        a->ev->closed(a->ev->ctx, &why);
}

enum status agent_link_open(struct loop *l, struct entropy *e, int fd,
                            const struct agent_link_events *ev, struct agent_link **ret,
                            struct fault *why)
{
    struct agent_link *a = NEW(struct agent_link);
    *a = (struct agent_link){.loop = l, .entropy = e, .ev = ev, .fd = fd, .greet_ms = GREET_MIN_MS};
    list_init(&a->channels);
    buf_init(&a->out, OUT_MAX);
    static const uint8_t none[AGENT_NONCE];
    agent_decoder_init(&a->decoder, none);
    enum status s = loop_io_open(l, fd, EPOLLIN, on_io, a, &a->io, why);
    if (s == ST_OK)
        s = loop_timer_open(l, LOOP_MONOTONIC, 500, on_timer, a, &a->timer, why);
    if (s == ST_OK)
        s = loop_defer_open(l, on_defer, a, &a->defer, why);
    if (s != ST_OK) {
        agent_link_close(a);
        return s;
    }
    greet(a);
    *ret = a;
    return ST_OK;
}

void agent_link_close(struct agent_link *a)
{
    if (!a)
        return;
    while (!list_empty(&a->channels))
        channel_free(CONTAINER_OF(a->channels.next, struct agent_channel, item));
    loop_source_close(a->io);
    loop_source_close(a->timer);
    loop_source_close(a->defer);
    a->io = a->timer = a->defer = NULL;
    agent_decoder_done(&a->decoder);
    buf_done(&a->out);
    close_fd(&a->fd);
    a->closed = true;
    if (!a->busy)
        free(a);
}

bool agent_link_ready(const struct agent_link *a)
{
    return a->state == LINK_OPEN && !a->broken;
}

void agent_link_hold(struct agent_link *a, bool held)
{
    a->held = held;
}

/* ---- requests ---- */

static enum status may_open(const struct agent_link *a, struct fault *why)
{
    if (!agent_link_ready(a))
        return fault_set(why, ST_UNAVAILABLE, "the guest's agent does not answer");
    if (a->channel_count >= AGENT_CHANNELS_MAX)
        return fault_set(why, ST_LIMIT, "%d requests to this guest are under way",
                         AGENT_CHANNELS_MAX);
    return ST_OK;
}

static uint32_t next_id(const struct agent_link *a)
{
    return a->last_channel == UINT32_MAX ? 1 : a->last_channel + 1;
}

/* The request for the next id is in the queue. */
static void opened(struct agent_link *a, const struct agent_channel_events *ev, void *ctx,
                   struct agent_channel **ret)
{
    struct agent_channel *c = NEW(struct agent_channel);
    *c = (struct agent_channel){.link = a, .id = next_id(a), .ev = ev, .ctx = ctx};
    a->last_channel = c->id;
    agent_flow_init(&c->flow);
    list_push(&a->channels, &c->item);
    a->channel_count++;
    flush(a);
    await_trouble(a);
    *ret = c;
}

enum status agent_link_exec(struct agent_link *a, const struct agent_exec *x,
                            const struct agent_channel_events *ev, void *ctx,
                            struct agent_channel **ret, struct fault *why)
{
    enum status s = may_open(a, why);
    if (s == ST_OK)
        s = agent_put_exec(&a->out, next_id(a), x, why);
    if (s == ST_OK)
        opened(a, ev, ctx, ret);
    return s;
}

enum status agent_link_push(struct agent_link *a, const struct agent_file *f,
                            const struct agent_channel_events *ev, void *ctx,
                            struct agent_channel **ret, struct fault *why)
{
    enum status s = may_open(a, why);
    if (s == ST_OK)
        s = agent_put_file(&a->out, AGENT_FILE_PUSH, next_id(a), f, why);
    if (s == ST_OK)
        opened(a, ev, ctx, ret);
    return s;
}

enum status agent_link_pull(struct agent_link *a, struct str path,
                            const struct agent_channel_events *ev, void *ctx,
                            struct agent_channel **ret, struct fault *why)
{
    enum status s = may_open(a, why);
    if (s == ST_OK)
        s = agent_put_pull(&a->out, next_id(a), path, why);
    if (s == ST_OK)
        opened(a, ev, ctx, ret);
    return s;
}

enum status agent_link_stats(struct agent_link *a, const struct agent_channel_events *ev, void *ctx,
                             struct agent_channel **ret, struct fault *why)
{
    enum status s = may_open(a, why);
    if (s == ST_OK && agent_put_plain(&a->out, AGENT_STATS_ASK, next_id(a)) != ST_OK)
        s = fault_set(why, ST_LIMIT, "too much is unsent to the guest");
    if (s == ST_OK)
        opened(a, ev, ctx, ret);
    return s;
}

size_t agent_channel_send(struct agent_channel *c, enum agent_type type, struct str bytes)
{
    struct agent_link *a = c->link;
    size_t taken = 0;
    while (taken < bytes.len && c->flow.may_send && !a->broken) {
        struct str rest = {bytes.ptr + taken, MIN(bytes.len - taken, (size_t)c->flow.may_send)};
        size_t n = a->out.len < OUT_SHORT ? agent_put_data(&a->out, type, c->id, rest) : 0;
        agent_flow_sent(&c->flow, n);
        taken += n;
        if (a->out.len >= OUT_SHORT || taken == bytes.len)
            flush(a);
        if (n == 0 && a->out.len >= OUT_SHORT)
            break;
    }
    /* What wakes it is on its way: room in the socket, or credit. */
    c->blocked = taken < bytes.len;
    return taken;
}

void agent_channel_send_end(struct agent_channel *c, enum agent_type type)
{
    (void)!agent_put_plain(&c->link->out, type, c->id);
    flush(c->link);
}

void agent_channel_resize(struct agent_channel *c, uint16_t rows, uint16_t cols)
{
    (void)!agent_put_resize(&c->link->out, c->id, rows, cols);
    flush(c->link);
}

void agent_channel_eaten(struct agent_channel *c, size_t bytes)
{
    uint32_t credit = agent_flow_eaten(&c->flow, bytes);
    if (!credit)
        return;
    (void)!agent_put_credit(&c->link->out, c->id, credit);
    flush(c->link);
}

void agent_channel_close(struct agent_channel *c)
{
    struct agent_link *a = c->link;
    (void)!agent_put_plain(&a->out, AGENT_CLOSE, c->id);
    channel_free(c);
    flush(a);
    await_trouble(a);
}
