#include "guest/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "guest/ident.h"
#include "guest/util.h"

enum {
    OUT_SHORT = 32 * 1024, /* below this, data may be added */
    OUT_LONG = 128 * 1024, /* beyond this, nothing more is taken in */
    OUT_MAX = 384 * 1024,  /* what one frame or one step of each channel adds, fits on top */
    READ_SIZE = 16 * 1024,
};

/* ---- the queue ---- */

static size_t queued(const struct server *s)
{
    return s->out.len - s->out_at;
}

bool server_roomy(const struct server *s)
{
    return queued(s) < OUT_SHORT;
}

void server_sent(enum status put)
{
    ensure(put == ST_OK);
}

void server_data(struct server *s, struct chan *c, enum agent_type type, const char *data,
                 size_t len)
{
    require(len <= c->flow.may_send);
    agent_flow_sent(&c->flow, len);
    while (len > 0) {
        size_t n = agent_put_data(&s->out, type, c->id, (struct str){data, len});
        ensure(n > 0);
        data += n;
        len -= n;
    }
}

void server_eaten(struct server *s, struct chan *c, size_t len)
{
    uint32_t grant = agent_flow_eaten(&c->flow, len);
    if (grant && c->id)
        server_sent(agent_put_credit(&s->out, c->id, grant));
}

void server_error(struct server *s, uint32_t id, const struct fault *f)
{
    server_sent(agent_put_error(&s->out, id, f->status, f->text));
}

/* ---- channels ---- */

static struct chan *chan_find(struct server *s, uint32_t id)
{
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++)
        if (s->chan[i].kind != CHAN_FREE && s->chan[i].id == id)
            return &s->chan[i];
    return NULL;
}

static void chan_leave(struct chan *c)
{
    switch (c->kind) {
    case CHAN_FREE: return;
    case CHAN_PROGRAM: program_leave(c); return;
    case CHAN_PUSH:
    case CHAN_PULL: transfer_done(c); return;
    }
}

/* A channel for a new request, which the caller makes into something. */
static struct chan *chan_new(struct server *s, uint32_t id, struct fault *why)
{
    if (chan_find(s, id)) {
        (void)fault_set(why, ST_EXISTS, "channel %" PRIu32 " is in use", id);
        return NULL;
    }
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++) {
        struct chan *c = &s->chan[i];
        if (c->kind != CHAN_FREE)
            continue;
        *c = (struct chan){.id = id};
        agent_flow_init(&c->flow);
        return c;
    }
    (void)fault_set(why, ST_LIMIT, "%d channels are open", AGENT_CHANNELS_MAX);
    return NULL;
}

static void session_end(struct server *s)
{
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++)
        chan_leave(&s->chan[i]);
    buf_reset(&s->out);
    s->out_at = 0;
    s->open = false;
    s->power = -1;
}

/* ---- requests ---- */

static void on_hello(struct server *s, struct str payload)
{
    struct agent_hello host, us = {.version_min = AGENT_VERSION_MIN,
                                   .version_max = AGENT_VERSION_MAX,
                                   .software = STR("blixard " BLIXARD_VERSION),
                                   .trouble = str_from(s->trouble)};
    session_end(s);
    enum status read = agent_get_hello(payload, &host, NULL);
    ensure(read == ST_OK); /* the decoder lets no other through */
    memcpy(us.nonce, host.nonce, AGENT_NONCE);
    ident_boot_id(us.boot_id);
    us.trouble.len = MIN(us.trouble.len, (size_t)AGENT_TEXT_MAX);
    server_sent(agent_put_hello(&s->out, &us, NULL));
    s->open = agent_hello_common(&host) != 0;
}

static enum status on_exec(struct server *s, const struct agent_frame *f, struct fault *why)
{
    static struct agent_exec x; /* it is large, and used up when we return */
    enum status st = agent_get_exec(f->payload, &x, why);
    if (st != ST_OK)
        return st;
    struct chan *c = chan_new(s, f->channel, why);
    return c ? program_start(c, &x, why) : why->status;
}

static enum status on_push(struct server *s, const struct agent_frame *f, struct fault *why)
{
    struct agent_file file;
    enum status st = agent_get_file(AGENT_FILE_PUSH, f->payload, &file, why);
    if (st != ST_OK)
        return st;
    struct chan *c = chan_new(s, f->channel, why);
    return c ? push_start(c, &file, why) : why->status;
}

static enum status on_pull(struct server *s, const struct agent_frame *f, struct fault *why)
{
    struct str path;
    enum status st = agent_get_pull(f->payload, &path, why);
    if (st != ST_OK)
        return st;
    struct chan *c = chan_new(s, f->channel, why);
    return c ? pull_start(s, c, path, why) : why->status;
}

static enum status on_stats(struct server *s, const struct agent_frame *f)
{
    struct agent_stats stats;
    stats_read(&stats);
    return agent_put_stats(&s->out, f->channel, &stats);
}

static enum status on_power(struct server *s, const struct agent_frame *f, struct fault *why)
{
    enum agent_power what;
    enum status st = agent_get_power(f->payload, &what, why);
    if (st != ST_OK)
        return st;
    s->power = (int)what;
    return agent_put_done(&s->out, f->channel, 0);
}

static enum status on_reseed(struct server *s, const struct agent_frame *f, struct fault *why)
{
    uint8_t seed[AGENT_SEED];
    enum status st = agent_get_reseed(f->payload, seed, why);
    if (st == ST_OK)
        st = ident_reseed(seed, why);
    explicit_bzero(seed, sizeof seed);
    return st == ST_OK ? agent_put_done(&s->out, f->channel, 0) : st;
}

static enum status on_identity(struct server *s, const struct agent_frame *f, struct fault *why)
{
    struct guestcfg c;
    enum status st = guestcfg_decode(f->payload, &c, why);
    if (st == ST_OK)
        st = ident_apply(&c, true, why);
    return st == ST_OK ? agent_put_done(&s->out, f->channel, 0) : st;
}

/* Requests that open a channel, or that are answered at once. */
static enum status on_request(struct server *s, const struct agent_frame *f, struct fault *why)
{
    bool machine = f->type == AGENT_POWER || f->type == AGENT_RESEED || f->type == AGENT_IDENTITY;
    if (f->channel == 0)
        return fault_set(why, ST_INVALID, "%s needs a channel", agent_type_name(f->type));
    if (machine && !s->owner)
        return fault_set(why, ST_UNSUPPORTED, "this agent does not own its machine");
    switch (f->type) {
    case AGENT_EXEC: return on_exec(s, f, why);
    case AGENT_FILE_PUSH: return on_push(s, f, why);
    case AGENT_FILE_PULL: return on_pull(s, f, why);
    case AGENT_STATS_ASK: return on_stats(s, f);
    case AGENT_POWER: return on_power(s, f, why);
    case AGENT_RESEED: return on_reseed(s, f, why);
    case AGENT_IDENTITY: return on_identity(s, f, why);
    default:
        return fault_set(why, ST_UNSUPPORTED, "message type %u is not known", (unsigned)f->type);
    }
}

static enum status on_program_frame(struct server *s, struct chan *c, const struct agent_frame *f,
                                    struct fault *why)
{
    uint16_t rows, cols;
    uint32_t number;
    enum status st = ST_OK;
    switch (f->type) {
    case AGENT_STDIN:
        st = agent_flow_received(&c->flow, f->payload.len, why);
        if (st == ST_OK)
            program_input(s, c, f->payload);
        return st;
    case AGENT_STDIN_EOF: program_input_ends(c); return ST_OK;
    case AGENT_RESIZE:
        st = agent_get_resize(f->payload, &rows, &cols, why);
        if (st == ST_OK)
            program_resize(c, rows, cols);
        return st;
    case AGENT_SIGNAL:
        st = agent_get_signal(f->payload, &number, why);
        if (st == ST_OK)
            program_signal(c, number);
        return st;
    default:
        return fault_set(why, ST_INVALID, "%s makes no sense for a program",
                         agent_type_name(f->type));
    }
}

static enum status on_push_frame(struct server *s, struct chan *c, const struct agent_frame *f,
                                 struct fault *why)
{
    uint32_t id = c->id;
    enum status st;
    switch (f->type) {
    case AGENT_FILE_DATA:
        st = agent_flow_received(&c->flow, f->payload.len, why);
        if (st == ST_OK)
            st = push_data(c, f->payload, why);
        if (st == ST_OK)
            server_eaten(s, c, f->payload.len);
        return st;
    case AGENT_FILE_EOF:
        st = push_finish(c, why);
        if (st == ST_OK) {
            server_sent(agent_put_done(&s->out, id, c->transfer.have));
            transfer_done(c);
        }
        return st;
    default:
        return fault_set(why, ST_INVALID, "%s makes no sense for a file", agent_type_name(f->type));
    }
}

/* Frames for an open channel. An error ends the channel. */
static enum status on_channel(struct server *s, struct chan *c, const struct agent_frame *f,
                              struct fault *why)
{
    enum status st = ST_OK;
    uint32_t credit;
    if (f->type == AGENT_CLOSE) {
        chan_leave(c);
        return ST_OK;
    }
    if (f->type == AGENT_CREDIT) {
        st = agent_get_credit(f->payload, &credit, why);
        if (st == ST_OK)
            st = agent_flow_credit(&c->flow, credit, why);
    } else if (c->kind == CHAN_PROGRAM) {
        st = on_program_frame(s, c, f, why);
    } else if (c->kind == CHAN_PUSH) {
        st = on_push_frame(s, c, f, why);
    } else {
        st = fault_set(why, ST_INVALID, "%s makes no sense for a file", agent_type_name(f->type));
    }
    if (st != ST_OK)
        chan_leave(c);
    return st;
}

/* Frames that belong to an open channel, and mean nothing when it is not (it may just have ended). */
static bool is_channel_frame(enum agent_type t)
{
    return t == AGENT_STDIN || t == AGENT_STDIN_EOF || t == AGENT_RESIZE || t == AGENT_SIGNAL ||
           t == AGENT_CREDIT || t == AGENT_FILE_DATA || t == AGENT_FILE_EOF || t == AGENT_CLOSE;
}

static void on_frame(struct server *s, const struct agent_frame *f)
{
    struct fault why;
    uint64_t token;
    enum status st = ST_OK;
    if (f->type == AGENT_HELLO) {
        on_hello(s, f->payload);
        return;
    }
    if (!s->open) /* we have no version in common */
        return;
    if (f->type == AGENT_PING) {
        if (agent_get_ping(f->payload, &token, NULL) == ST_OK)
            server_sent(agent_put_ping(&s->out, AGENT_PONG, token));
    } else if (is_channel_frame(f->type)) {
        struct chan *c = f->channel ? chan_find(s, f->channel) : NULL;
        if (c)
            st = on_channel(s, c, f, &why);
    } else {
        st = on_request(s, f, &why);
    }
    if (st != ST_OK)
        server_error(s, f->channel, &why);
}

/* ---- the port ---- */

/* Take frames out while there is room for what they lead to; true when all are taken. */
static bool take_frames(struct server *s)
{
    struct agent_frame f;
    while (queued(s) < OUT_LONG) {
        if (!agent_decoder_next(&s->in, &f))
            return true;
        on_frame(s, &f);
    }
    return false;
}

enum port_state { PORT_OK, PORT_AWAY, PORT_GONE };

static enum port_state port_read(struct server *s)
{
    char data[READ_SIZE];
    ssize_t n = read(s->port, data, sizeof data);
    if (n > 0)
        agent_decoder_feed(&s->in, data, (size_t)n);
    if (n == 0) /* that is how a virtio port says that no host is there */
        return PORT_AWAY;
    return n > 0 || errno == EAGAIN || errno == EINTR ? PORT_OK : PORT_GONE;
}

static enum port_state port_write(struct server *s)
{
    while (queued(s) > 0) {
        ssize_t n = write(s->port, s->out.ptr + s->out_at, queued(s));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return PORT_GONE;
        if (n <= 0)
            break;
        s->out_at += (size_t)n;
    }
    buf_eat(&s->out, s->out_at);
    s->out_at = 0;
    return PORT_OK;
}

static bool host_is_there(int port)
{
    struct pollfd p = {.fd = port};
    return poll(&p, 1, 0) >= 0 && !(p.revents & POLLHUP);
}

/*
 * Sleep until a host is there. While none is, poll(2) says at once that the port can be read, and
 * reading gives nothing: only edges tell when that changes.
 */
static enum port_state wait_for_host(int port)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET};
    AUTO(close_fd) int ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, port, &e) != 0)
        return PORT_GONE;
    while (!host_is_there(port)) {
        int n = epoll_wait(ep, &e, 1, -1);
        if (n < 0 && errno != EINTR)
            return PORT_GONE;
        if (n > 0 && (e.events & EPOLLERR))
            return PORT_GONE;
    }
    return PORT_OK;
}

/* ---- the loop ---- */

enum { POLL_MAX = 1 + AGENT_CHANNELS_MAX * PROGRAM_FDS };

/* Wait until something can be done. Returns what the port can do now. */
static short wait_events(struct server *s, bool take_in)
{
    struct pollfd p[POLL_MAX] = {{.fd = s->port}};
    size_t count = 1;
    bool now = false;
    p[0].events = (short)((take_in ? POLLIN : 0) | (queued(s) ? POLLOUT : 0));
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++) {
        struct chan *c = &s->chan[i];
        if (c->kind == CHAN_PROGRAM)
            count += program_wants(s, c, p + count);
        else if (c->kind == CHAN_PULL)
            now |= pull_ready(s, c);
    }
    int n = poll(p, count, now ? 0 : -1);
    return n > 0 ? p[0].revents : 0;
}

static void step_channels(struct server *s)
{
    s->turn++;
    for (size_t i = 0; i < AGENT_CHANNELS_MAX; i++) {
        struct chan *c = &s->chan[(s->turn + i) % AGENT_CHANNELS_MAX];
        if (c->kind == CHAN_PROGRAM)
            program_step(s, c);
        else if (c->kind == CHAN_PULL)
            pull_step(s, c);
    }
}

/* Our keeper does it, when the answer has left (guest/keep.h). */
static void ask_power(struct server *s)
{
    if (s->power < 0 || queued(s) > 0)
        return;
    (void)kill(getppid(), s->power == AGENT_REBOOT ? SIGINT : SIGUSR2);
    s->power = -1;
}

static enum port_state turn(struct server *s)
{
    bool taken;
    enum port_state state;
    do { /* most answers leave at once, without another poll */
        taken = take_frames(s);
        state = port_write(s);
    } while (state == PORT_OK && !taken && queued(s) < OUT_LONG);
    if (state != PORT_OK)
        return state;
    ask_power(s);
    short events = wait_events(s, taken);
    if (events & POLLHUP && !(events & POLLIN))
        return PORT_AWAY;
    if (events & POLLIN)
        state = port_read(s);
    step_channels(s);
    return state;
}

void server_run(int port, bool owner, const char *trouble)
{
    static struct server s; /* large; there is one */
    s = (struct server){.port = port, .owner = owner, .trouble = trouble, .power = -1};
    (void)signal(SIGPIPE, SIG_IGN);
    buf_init(&s.out, OUT_MAX);
    agent_decoder_init(&s.in, NULL);
    for (enum port_state state = PORT_OK; state != PORT_GONE;) {
        state = turn(&s);
        if (state != PORT_AWAY)
            continue;
        /* The host is gone, and with it whoever asked. */
        session_end(&s);
        agent_decoder_done(&s.in);
        agent_decoder_init(&s.in, NULL);
        state = wait_for_host(port);
    }
    session_end(&s);
    agent_decoder_done(&s.in);
    buf_done(&s.out);
}
