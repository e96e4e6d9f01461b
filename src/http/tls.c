#include "http/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/file.h"

enum {
    PIECE = 16 << 10, /* a record of TLS has no more */
    ROUNDS = 16,      /* then others have their turn */
    HANDSHAKE_BYTE = 0x16,
};

static const char plain_answer[] =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    "Content-Length: 35\r\n\r\nThis port speaks HTTPS (TLS 1.3).\r\n";

enum phase {
    PHASE_FIRST, /* nothing came yet */
    PHASE_HANDSHAKE,
    PHASE_OPEN,
    PHASE_GOODBYE, /* all was sent: the client closes, or its time is over */
};

/* Bytes on their way: read all at once, passed on as it goes. */
struct piece {
    size_t at, len;
    uint8_t bytes[PIECE];
};

struct tls {
    struct loop *loop;
    struct tls_events events;
    gnutls_session_t session;
    enum phase phase;
    int net, app; /* app: our end of the pair; -1 until it is made */
    struct loop_source *net_io, *app_io, *timer;
    struct piece *in, *out; /* from the client, to it; NULL until it is open */
    bool net_ended, app_ended;
    bool broken; /* nothing more can be done for it */
};

/* --- the server --- */

enum status tls_server_open(struct tls_server *s, const struct cert *c, struct fault *why)
{
    *s = (struct tls_server){.credentials = c->credentials};
    int code = gnutls_priority_init(&s->priority, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
    if (code != 0)
        return fault_set(why, ST_INTERNAL, "TLS 1.3: %s", gnutls_strerror(code));
    return ST_OK;
}

void tls_server_close(struct tls_server *s)
{
    if (s->priority)
        gnutls_priority_deinit(s->priority);
    *s = (struct tls_server){0};
}

/* --- the end --- */

void tls_close(struct tls *t)
{
    if (!t)
        return;
    loop_source_close(t->net_io);
    loop_source_close(t->app_io);
    loop_source_close(t->timer);
    if (t->session)
        gnutls_deinit(t->session);
    close_fd(&t->net);
    close_fd(&t->app);
    free(t->in);
    free(t->out);
    free(t);
}

static void end(struct tls *t)
{
    struct tls_events e = t->events;
    bool handshake = t->phase == PHASE_FIRST || t->phase == PHASE_HANDSHAKE;
    tls_close(t);
    e.closed(e.ctx, handshake);
}

/* Say that there is no more, and wait until the client has taken it: closing a socket that holds
 * unread bytes would tear down what was sent last. */
static void say_goodbye(struct tls *t)
{
    t->phase = PHASE_GOODBYE;
    loop_source_close(t->app_io);
    t->app_io = NULL;
    close_fd(&t->app);
    (void)shutdown(t->net, SHUT_WR);
    loop_timer_after(t->timer, TLS_GOODBYE_MS);
    loop_io_want(t->net_io, EPOLLIN);
}

static void drain(struct tls *t)
{
    ssize_t n = 1;
    char bytes[4096];
    for (int i = 0; i < ROUNDS && n > 0; i++)
        n = recv(t->net, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        end(t);
}

/* --- bytes --- */

static bool later(int code)
{
    return code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
}

static bool read_net(struct tls *t)
{
    if (t->in->len > 0 || t->net_ended)
        return false;
    ssize_t n = gnutls_record_recv(t->session, t->in->bytes, PIECE);
    if (n > 0) {
        t->in->at = 0;
        t->in->len = (size_t)n;
        return true;
    }
    if (n < 0 && (later((int)n) || n == GNUTLS_E_WARNING_ALERT_RECEIVED))
        return false;
    t->net_ended = true; /* whether it said goodbye or not: nobody reads the answer */
    return true;
}

static bool write_app(struct tls *t)
{
    if (t->in->len == 0)
        return false;
    ssize_t n = send(t->app, t->in->bytes + t->in->at, t->in->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0) { /* it reads no more, but may have answered */
        t->in->len = 0;
        return true;
    }
    t->in->at += (size_t)n;
    t->in->len -= (size_t)n;
    return true;
}

static bool read_app(struct tls *t)
{
    if (t->out->len > 0 || t->app_ended)
        return false;
    ssize_t n = recv(t->app, t->out->bytes, PIECE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    t->app_ended = n <= 0;
    if (n > 0) {
        t->out->at = 0;
        t->out->len = (size_t)n;
    }
    return true;
}

/* GnuTLS: a record that could not be sent at once is sent when it is asked again for the same. */
static bool write_net(struct tls *t)
{
    if (t->out->len == 0)
        return false;
    ssize_t n = gnutls_record_send(t->session, t->out->bytes + t->out->at, t->out->len);
    if (n < 0 && later((int)n))
        return false;
    if (n < 0) {
        t->broken = true;
        return false;
    }
    t->out->at += (size_t)n;
    t->out->len -= (size_t)n;
    return true;
}

static bool step(struct tls *t)
{
    bool moved = read_net(t);
    moved |= write_app(t);
    moved |= read_app(t);
    moved |= write_net(t);
    return moved && !t->broken;
}

static void want(struct tls *t)
{
    /* What GnuTLS holds already makes nothing readable: but the socket can be written to. */
    bool again = t->in->len == 0 && gnutls_record_check_pending(t->session) > 0;
    bool in = t->in->len == 0 && !t->net_ended, out = t->out->len > 0 || again;
    loop_io_want(t->net_io, (in ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U));
    in = t->out->len == 0 && !t->app_ended;
    out = t->in->len > 0;
    if (t->app_io)
        loop_io_want(t->app_io, (in ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U));
}

static void pump(struct tls *t)
{
    for (int i = 0; i < ROUNDS && step(t); i++)
        ;
    if (t->broken || (t->net_ended && t->in->len == 0)) {
        end(t);
    } else if (t->app_ended && t->out->len == 0) {
        (void)gnutls_bye(t->session, GNUTLS_SHUT_WR);
        say_goodbye(t);
    } else {
        want(t);
    }
}

/* The HTTP library has hung up. What it sent is still to be read, but the loop would tell us of the
 * hang-up again and again. */
static void app_ready(void *ctx, uint32_t events)
{
    struct tls *t = ctx;
    if (events & (EPOLLHUP | EPOLLERR)) {
        loop_source_close(t->app_io);
        t->app_io = NULL;
    }
    pump(t);
}

/* --- handshake --- */

static enum status open_app(struct tls *t, int *ret_fd, struct fault *why)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        return fault_errno(why, errno, "make a socket pair");
    t->app = pair[0];
    enum status s = loop_io_open(t->loop, t->app, EPOLLIN, app_ready, t, &t->app_io, why);
    if (s != ST_OK)
        (void)close(pair[1]);
    else
        *ret_fd = pair[1];
    return s;
}

static void open_all(struct tls *t)
{
    int fd;
    if (open_app(t, &fd, NULL) != ST_OK) {
        end(t);
        return;
    }
    loop_timer_at(t->timer, UINT64_MAX);
    t->phase = PHASE_OPEN;
    t->in = NEW(struct piece);
    t->out = NEW(struct piece);
    t->events.opened(t->events.ctx, fd);
    pump(t);
}

static void handshake(struct tls *t)
{
    int code = gnutls_handshake(t->session);
    if (code == 0) {
        open_all(t);
    } else if (gnutls_error_is_fatal(code)) {
        (void)gnutls_alert_send_appropriate(t->session, code); /* so that the client knows why */
        end(t);
    } else {
        bool out = gnutls_record_get_direction(t->session) == 1;
        loop_io_want(t->net_io, out ? EPOLLOUT : EPOLLIN);
    }
}

/* TLS begins with one byte; the methods of HTTP with a letter. */
static void look_at_first(struct tls *t)
{
    uint8_t first;
    ssize_t n = recv(t->net, &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n == 1 && first == HANDSHAKE_BYTE) {
        t->phase = PHASE_HANDSHAKE;
        handshake(t);
        return;
    }
    if (n != 1 || first < 'A' || first > 'Z') {
        end(t);
        return;
    }
    (void)!send(t->net, plain_answer, sizeof plain_answer - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    say_goodbye(t);
}

static void net_ready(void *ctx, uint32_t events)
{
    struct tls *t = ctx;
    if (events & (EPOLLHUP | EPOLLERR)) {
        end(t);
        return;
    }
    switch (t->phase) {
    case PHASE_FIRST: look_at_first(t); return;
    case PHASE_HANDSHAKE: handshake(t); return;
    case PHASE_OPEN: pump(t); return;
    case PHASE_GOODBYE: drain(t); return;
    }
    defs_unreachable("phase of a TLS connection");
}

static void too_late(void *ctx)
{
    end(ctx);
}

/* --- open --- */

static int open_session(struct tls *t, const struct tls_server *s)
{
    static uint8_t name[] = "http/1.1";
    const gnutls_datum_t alpn = {name, sizeof name - 1};
    int code = gnutls_init(&t->session,
                           GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL);
    if (code == 0)
        code = gnutls_priority_set(t->session, s->priority);
    if (code == 0)
        code = gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, s->credentials);
    if (code == 0)
        code = gnutls_alpn_set_protocols(t->session, &alpn, 1, 0);
    if (code != 0)
        return code;
    gnutls_certificate_server_set_request(t->session, GNUTLS_CERT_IGNORE);
    gnutls_handshake_set_timeout(t->session, GNUTLS_INDEFINITE_TIMEOUT); /* ours counts */
    gnutls_transport_set_int(t->session, t->net);
    return 0;
}

enum status tls_open(struct loop *l, const struct tls_server *s, int fd, uint64_t handshake_ms,
                     const struct tls_events *e, struct tls **ret, struct fault *why)
{
    struct tls *t = NEW(struct tls);
    *t = (struct tls){.loop = l, .events = *e, .net = fd, .app = -1};
    int code = open_session(t, s);
    enum status st = code == 0 ? loop_io_open(l, fd, EPOLLIN, net_ready, t, &t->net_io, why)
                               : fault_set(why, ST_INTERNAL, "TLS: %s", gnutls_strerror(code));
    if (st == ST_OK)
        st = loop_timer_open(l, LOOP_MONOTONIC, 250, too_late, t, &t->timer, why);
    if (st != ST_OK) {
        tls_close(t);
        return st;
    }
    loop_timer_after(t->timer, handshake_ms);
    *ret = t;
    return ST_OK;
}
