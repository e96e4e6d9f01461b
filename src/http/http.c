#include "http/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/server.h"
#include "os/net_tcp.h"

enum {
    CONNECTION_MEMORY = 32 << 10, /* of MHD for each: bounds headers, and the pieces of bodies */
    ACCEPTS_AT_ONCE = 16,
    ACCEPT_AGAIN_MS = 1000, /* after we had no descriptors left */
};

void http_config_default(struct http_config *c)
{
    *c = (struct http_config){
        .owner = geteuid(),
        .group = (gid_t)-1,
        .connections_max = 256,
        .per_address_max = 64,
        .header_ms = 10000,
        .idle_ms = 75000,
        .body_ms = 30000,
        .answer_ms = 60000,
        .heartbeat_ms = 15000,
    };
}

uint64_t http_now_ms(const struct http *h)
{
    struct clock *c = node_clock(ops_node(h->ops));
    return c->now_ms(c);
}

/* --- run the daemon --- */

/* MHD: with a loop of the application's a resumed connection is handled only by the next MHD_run(),
 * and nothing becomes readable that would ask for it (its own wake-up channel is off). So whoever
 * resumes kicks. The same goes for connections that it still has to clean up. */
void http_kick(struct http *h)
{
    loop_defer_arm(h->run);
}

static void run(void *ctx)
{
    struct http *h = ctx;
    unsigned long long wait_ms;
    (void)MHD_run(h->mhd);
    /* MHD: we give it no timeouts, so the only answer but "never" is 0, "at once". */
    if (MHD_get_timeout(h->mhd, &wait_ms) == MHD_YES && wait_ms == 0)
        http_kick(h);
}

static void ready(void *ctx, uint32_t events)
{
    (void)events;
    run(ctx);
}

/* Have the deadlines checked by then at the latest. */
static void timer_by(struct http *h, uint64_t at_ms)
{
    if (at_ms >= h->timer_ms)
        return;
    h->timer_ms = at_ms;
    loop_timer_at(h->timer, at_ms);
}

/* --- connections --- */

static void want_accept(struct http *h, bool yes)
{
    h->accepting = yes;
    loop_io_want(h->listen, yes ? EPOLLIN : 0);
}

/* There is room again. */
static void accept_again(struct http *h)
{
    if (!h->accepting && !h->closing)
        want_accept(h, true);
}

static void know_peer(struct http_conn *c)
{
    struct http *h = c->h;
    if (!h->config.cert) {
        peer_of(c->fd, h->config.owner, h->config.group, &h->names, &c->peer);
        return;
    }
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    net_tcp_from((const struct sockaddr_storage *)(const void *)i->client_addr, &c->from);
}

static void notify(void *ctx, struct MHD_Connection *mhd, void **slot,
                   enum MHD_ConnectionNotificationCode code)
{
    struct http *h = ctx;
    struct http_conn *c = *slot;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        c = NEW(struct http_conn);
        c->h = h;
        c->mhd = mhd;
        c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        know_peer(c);
        list_push(&h->conns, &c->item);
        h->view.connections++;
        h->view.accepted++;
        http_deadline(c, h->config.header_ms);
        *slot = c;
        return;
    }
    list_cut(&c->item);
    h->view.connections--;
    free(c);
    *slot = NULL;
    accept_again(h);
}

/* --- clients on the network --- */

static bool is_full(const struct http *h)
{
    size_t count = h->config.cert ? h->link_count : h->view.connections;
    return count >= h->config.connections_max;
}

static void link_free(struct http_link *k)
{
    struct http *h = k->h;
    list_cut(&k->item);
    h->link_count--;
    free(k);
    accept_again(h);
}

static void link_opened(void *ctx, int fd)
{
    struct http_link *k = ctx;
    /* MHD: it closes the descriptor when it fails, and so the link ends too. */
    (void)MHD_add_connection(k->h->mhd, fd, (const struct sockaddr *)&k->address,
                             k->address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                              : sizeof(struct sockaddr_in));
    http_kick(k->h);
}

static void link_closed(void *ctx, bool handshake)
{
    struct http_link *k = ctx;
    if (handshake)
        k->h->view.strange++;
    link_free(k);
}

static bool is_crowded(const struct http *h, const struct ip *from)
{
    unsigned count = 0;
    struct ip party = guard_party(from);
    for (const struct list *it = h->links.next; it != &h->links; it = it->next) {
        const struct http_link *k = (const struct http_link *)it; /* item is its first field */
        struct ip other = guard_party(&k->from);
        count += memcmp(&party, &other, sizeof party) == 0;
    }
    return count >= h->config.per_address_max;
}

static void link_open(struct http *h, int fd, const struct sockaddr_storage *address)
{
    struct ip from;
    net_tcp_from(address, &from);
    if (is_crowded(h, &from)) {
        h->view.crowded++;
        (void)close(fd);
        return;
    }
    struct http_link *k = NEW(struct http_link);
    *k = (struct http_link){.h = h, .from = from, .address = *address};
    list_push(&h->links, &k->item);
    h->link_count++;
    net_tcp_tune(fd);
    const struct tls_events e = {link_opened, link_closed, k};
    if (tls_open(h->loop, &h->tls, fd, h->config.header_ms, &e, &k->tls, NULL) != ST_OK)
        link_free(k); /* it is as if it had gone */
}

/* --- accept --- */

static void accept_some(void *ctx, uint32_t events)
{
    (void)events;
    struct http *h = ctx;
    static const struct sockaddr_un nobody = {.sun_family = AF_UNIX};
    for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
        if (is_full(h)) {
            want_accept(h, false); /* until one of them ends */
            return;
        }
        struct sockaddr_storage address = {0};
        socklen_t len = sizeof address;
        int fd =
            accept4(h->listen_fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
            want_accept(h, false);
            timer_by(h, http_now_ms(h) + ACCEPT_AGAIN_MS);
            return;
        }
        if (fd < 0)
            return;
        if (h->config.cert) {
            link_open(h, fd, &address);
            continue;
        }
        /* MHD: it closes the descriptor when it fails. */
        (void)MHD_add_connection(h->mhd, fd, (const struct sockaddr *)&nobody, sizeof nobody);
    }
}

/* --- deadlines --- */

void http_deadline(struct http_conn *c, uint64_t ms)
{
    struct http *h = c->h;
    c->deadline_ms = ms == UINT64_MAX ? UINT64_MAX : http_now_ms(h) + ms;
    timer_by(h, c->deadline_ms);
}

/* MHD: its own timeout counts from the last byte, so that a client which sends one byte a minute is
 * never too slow; and it offers no way to close a connection. A socket that is shut down it closes. */
static void expire(struct http_conn *c)
{
    c->deadline_ms = UINT64_MAX;
    (void)shutdown(c->fd, SHUT_RDWR);
}

static void check_deadlines(void *ctx)
{
    struct http *h = ctx;
    uint64_t now_ms = http_now_ms(h), next_ms = UINT64_MAX;
    h->timer_ms = UINT64_MAX;
    LIST_EACH(it, &h->conns) {
        struct http_conn *c = CONTAINER_OF(it, struct http_conn, item);
        if (c->deadline_ms <= now_ms)
            expire(c);
        next_ms = MIN(next_ms, c->deadline_ms);
    }
    timer_by(h, next_ms);
    if (!h->accepting && !is_full(h))
        want_accept(h, true);
}

static void beat(void *ctx)
{
    feed_beat(ctx);
}

static void applied(struct node_watch *w, const struct apply_result *r)
{
    struct http *h = CONTAINER_OF(w, struct http, watch);
    if (r->event_count > 0)
        feed_applied(h);
    auth_applied(h, r);
}

/* Each feed finds out whether it missed some. */
static void restored(struct node_watch *w)
{
    struct http *h = CONTAINER_OF(w, struct http, watch);
    feed_applied(h);
    auth_check(h);
}

/* --- open and close --- */

static struct MHD_Daemon *start_daemon(struct http *h)
{
    /* MHD: without a listening socket of its own it takes connections that we accept, and so leaves
     * limits to us: its own stop it from listening without telling when it would go on. Queries and
     * escapes it would decode before we see them, so request_begin() keeps the address as it came. */
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE, 0,
        NULL, NULL, request_handle, h, MHD_OPTION_URI_LOG_CALLBACK, request_begin, h,
        MHD_OPTION_NOTIFY_COMPLETED, request_end, h, MHD_OPTION_NOTIFY_CONNECTION, notify, h,
        MHD_OPTION_CONNECTION_LIMIT, h->config.connections_max + 1,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

static enum status open_sources(struct http *h, struct fault *why)
{
    struct loop *l = h->loop;
    int epoll_fd = MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    enum status s = loop_defer_open(l, run, h, &h->run, why);
    if (s == ST_OK)
        s = loop_io_open(l, epoll_fd, EPOLLIN, ready, h, &h->io, why);
    if (s == ST_OK)
        s = loop_timer_open(l, LOOP_MONOTONIC, 250, check_deadlines, h, &h->timer, why);
    if (s == ST_OK)
        s = loop_timer_open(l, LOOP_MONOTONIC, 250, beat, h, &h->beat, why);
    if (s == ST_OK)
        s = loop_io_open(l, h->listen_fd, EPOLLIN, accept_some, h, &h->listen, why);
    return s;
}

static void seed_guard(struct http *h)
{
    uint8_t seed[16];
    struct entropy *e = node_entropy(ops_node(h->ops));
    e->fill(e, seed, sizeof seed);
    h->guard = NEW(struct guard);
    guard_init(h->guard, seed);
}

enum status http_open(struct loop *l, int listen_fd, struct ops *o, const struct http_config *c,
                      struct http **ret, struct fault *why)
{
    struct http *h = NEW(struct http);
    h->loop = l;
    h->ops = o;
    h->config = *c;
    h->listen_fd = listen_fd;
    h->timer_ms = UINT64_MAX;
    h->accepting = true;
    list_init(&h->conns);
    list_init(&h->feeds);
    list_init(&h->sockets);
    list_init(&h->links);
    if (c->cert)
        seed_guard(h);
    h->watch.applied = applied;
    h->watch.restored = restored;
    node_watch_add(ops_node(o), &h->watch);
    enum status s = c->cert ? tls_server_open(&h->tls, c->cert, why) : ST_OK;
    h->mhd = s == ST_OK ? start_daemon(h) : NULL;
    if (s == ST_OK)
        s = h->mhd ? open_sources(h, why)
                   : fault_set(why, ST_INTERNAL, "libmicrohttpd does not start");
    if (s != ST_OK) {
        http_close(h);
        return s;
    }
    *ret = h;
    return ST_OK;
}

/* MHD: it must not be stopped while connections are suspended or upgraded. */
static void end_all(struct http *h)
{
    socket_end_all(h);
    LIST_EACH(it, &h->conns) {
        struct http_conn *c = CONTAINER_OF(it, struct http_conn, item);
        (void)shutdown(c->fd, SHUT_RDWR);
        if (c->request) {
            c->request->gone = true;
            request_wake(c->request);
        }
    }
    (void)MHD_run(h->mhd);
}

void http_close(struct http *h)
{
    if (!h)
        return;
    h->closing = true;
    node_watch_cut(&h->watch);
    if (h->mhd) {
        end_all(h);
        MHD_stop_daemon(h->mhd);
    }
    LIST_EACH(it, &h->links) {
        struct http_link *k = CONTAINER_OF(it, struct http_link, item);
        tls_close(k->tls);
        link_free(k);
    }
    tls_server_close(&h->tls);
    free(h->guard);
    loop_source_close(h->listen);
    loop_source_close(h->io);
    loop_source_close(h->run);
    loop_source_close(h->timer);
    loop_source_close(h->beat);
    (void)close(h->listen_fd);
    free(h);
}

struct http_view http_view(const struct http *h)
{
    return h->view;
}
