#include "os/net_tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"

enum { LOST_AFTER_MS = 60000, KEEP_IDLE_S = 60, KEEP_BETWEEN_S = 15, KEEP_COUNT = 4 };

static socklen_t address_of(const struct ip_endpoint *at, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (at->ip.family == 4) {
        struct sockaddr_in *a = (struct sockaddr_in *)out;
        a->sin_family = AF_INET;
        a->sin_port = htons(at->port);
        memcpy(&a->sin_addr, at->ip.byte, sizeof a->sin_addr);
        return sizeof *a;
    }
    struct sockaddr_in6 *a = (struct sockaddr_in6 *)out;
    a->sin6_family = AF_INET6;
    a->sin6_port = htons(at->port);
    memcpy(&a->sin6_addr, at->ip.byte, sizeof a->sin6_addr);
    return sizeof *a;
}

static enum status refuse(struct fault *why, int err, const struct ip_endpoint *at)
{
    char text[IP_ENDPOINT_TEXT_MAX];
    ip_endpoint_format(at, text);
    if (err == EADDRINUSE)
        return fault_set(why, ST_IN_USE, "something listens on %s already", text);
    if (err == EADDRNOTAVAIL || err == EAFNOSUPPORT)
        return fault_set(why, ST_UNAVAILABLE, "this machine has no address for %s", text);
    return fault_errno(why, err, "bind %s", text);
}

enum status net_tcp_listen(const struct ip_endpoint *at, int *ret_fd, struct fault *why)
{
    struct sockaddr_storage a;
    socklen_t len = address_of(at, &a);
    int on = 1, off = 0;
    AUTO(close_fd) int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return refuse(why, errno, at);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (a.ss_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0))
        return fault_errno(why, errno, "set up a socket");
    if (bind(fd, (const struct sockaddr *)&a, len) != 0 || listen(fd, NET_TCP_BACKLOG) != 0)
        return refuse(why, errno, at);
    *ret_fd = fd;
    fd = -1;
    return ST_OK;
}

uint16_t net_tcp_port(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        return 0;
    if (a.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

void net_tcp_from(const struct sockaddr_storage *a, struct ip *ret)
{
    *ret = (struct ip){0};
    if (a->ss_family == AF_INET) {
        ret->family = 4;
        memcpy(ret->byte, &((const struct sockaddr_in *)a)->sin_addr, 4);
    } else if (a->ss_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)a)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(v6);
        ret->family = mapped ? 4 : 6;
        memcpy(ret->byte, v6->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
    }
}

/* These only make things better: a system without one of them does without. */
void net_tcp_tune(int fd)
{
    int on = 1, idle = KEEP_IDLE_S, between = KEEP_BETWEEN_S, count = KEEP_COUNT;
    unsigned lost_ms = LOST_AFTER_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof lost_ms);
}

/* --- connect --- */

static int wait_connected(int fd, uint32_t timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int err = 0, n;
    socklen_t len = sizeof err;
    while ((n = poll(&p, 1, (int)timeout_ms)) < 0 && errno == EINTR)
        ;
    if (n == 0)
        return ETIMEDOUT;
    if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        return errno;
    return err;
}

/* Returns 0 or an errno. */
static int try_one(const struct addrinfo *a, uint32_t timeout_ms, int *ret_fd)
{
    AUTO(close_fd) int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    int err = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
    if (err == EINPROGRESS || err == EINTR)
        err = wait_connected(fd, timeout_ms);
    if (err)
        return err;
    net_tcp_tune(fd);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static enum status look_up(const char *host, uint16_t port, struct addrinfo **ret,
                           struct fault *why)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char service[8];
    (void)snprintf(service, sizeof service, "%u", port);
    int code = getaddrinfo(host, service, &hints, ret);
    if (code == 0)
        return ST_OK;
    return fault_set(why, ST_UNAVAILABLE, "look up %s: %s", host, gai_strerror(code));
}

enum status net_tcp_connect(const char *host, uint16_t port, uint32_t timeout_ms, int *ret_fd,
                            struct fault *why)
{
    require(timeout_ms > 0 && timeout_ms <= INT32_MAX);
    struct addrinfo *all = NULL;
    enum status s = look_up(host, port, &all, why);
    if (s != ST_OK)
        return s;
    int err = EADDRNOTAVAIL;
    for (const struct addrinfo *a = all; a && err; a = a->ai_next)
        err = try_one(a, timeout_ms, ret_fd);
    freeaddrinfo(all);
    if (!err)
        return ST_OK;
    if (err == ETIMEDOUT)
        return fault_set(why, ST_TIMEOUT, "%s does not answer on port %u", host, port);
    if (err == ECONNREFUSED)
        return fault_set(why, ST_UNAVAILABLE, "nobody listens on port %u of %s", port, host);
    return fault_set(why, ST_UNAVAILABLE, "connect to port %u of %s: %s", port, host,
                     strerror(err));
}
