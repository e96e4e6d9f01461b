#include "quic/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/units.h"
#include "os/clock_os.h"
#include "os/file.h"

enum {
    READ_BATCH = 4, /* buffers of one recvmmsg; with GRO each holds many datagrams */
    READ_SIZE = 64 << 10,
    READ_ROUNDS = 4, /* then others have their turn */
    SOCKET_BUFFER = 4 << 20,
    ECN_MASK = 3,
    CONTROL_SIZE = 128,
};

struct udp {
    struct loop *loop;
    struct endpoint *e;
    struct udp_also also; /* expiry NULL: nothing */
    int fd, timer_fd;
    struct loop_source *io, *timer, *soon;
    struct quic_addr bound;
    uint8_t family; /* of the socket */
    uint64_t armed_ns;
    struct udp_view view;
    struct quic_batch kept; /* waits for room in the socket; len 0: none */
    uint8_t kept_data[READ_SIZE];
    uint8_t read_data[READ_BATCH][READ_SIZE];
};

static void set(int fd, int level, int option, int value)
{
    /* What this kernel cannot do, it does without. */
    IGNORE(setsockopt(fd, level, option, &value, sizeof value));
}

static bool has(int fd, int level, int option)
{
    int value;
    socklen_t len = sizeof value;
    return getsockopt(fd, level, option, &value, &len) == 0;
}

uint64_t udp_now_ns(void)
{
    return clock_os_ns(CLOCK_MONOTONIC);
}

struct quic_addr udp_addr(const struct udp *u)
{
    return u->bound;
}

struct udp_view udp_view(const struct udp *u)
{
    return u->view;
}

void udp_use_segments(struct udp *u, bool use)
{
    u->view.segments = use && has(u->fd, IPPROTO_UDP, UDP_SEGMENT);
}

/* --- out --- */

/* An address as a socket of that family wants it: IPv4 is mapped into IPv6. */
static socklen_t to_sys(uint8_t family, const struct quic_addr *a, struct sockaddr_storage *out)
{
    static const uint8_t mapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct quic_addr as = *a;
    if (family == 6 && a->ip.family == 4) {
        as.ip.family = 6;
        memcpy(as.ip.byte, mapped, sizeof mapped);
        memcpy(as.ip.byte + sizeof mapped, a->ip.byte, 4);
    }
    return quic_addr_to_sys(&as, family, out);
}

static void control_add(struct msghdr *m, int level, int type, const void *data, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)(void *)((char *)m->msg_control + m->msg_controllen);
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    m->msg_controllen += CMSG_SPACE(len);
}

static void control_from(struct msghdr *m, const struct quic_addr *local)
{
    if (local->ip.family == 4) {
        struct in_pktinfo p = {0};
        memcpy(&p.ipi_spec_dst, local->ip.byte, 4);
        control_add(m, IPPROTO_IP, IP_PKTINFO, &p, sizeof p);
    } else if (local->ip.family == 6) {
        struct in6_pktinfo p = {.ipi6_ifindex = local->scope};
        memcpy(&p.ipi6_addr, local->ip.byte, 16);
        control_add(m, IPPROTO_IPV6, IPV6_PKTINFO, &p, sizeof p);
    }
}

static void control_ecn(struct msghdr *m, uint8_t family, uint8_t ecn)
{
    int bits = ecn;
    if (ecn == 0)
        return;
    if (family == 4)
        control_add(m, IPPROTO_IP, IP_TOS, &bits, sizeof bits);
    else
        control_add(m, IPPROTO_IPV6, IPV6_TCLASS, &bits, sizeof bits);
}

/* One call of the system for up to ENDPOINT_BATCH_MAX datagrams of *b; how many bytes went, or -1 and
 * errno. */
static ssize_t send_some(struct udp *u, const struct quic_batch *b, bool segments)
{
    _Alignas(struct cmsghdr) char control[CONTROL_SIZE] = {0};
    struct sockaddr_storage to;
    struct msghdr m = {
        .msg_name = &to, .msg_namelen = to_sys(u->family, &b->remote, &to), .msg_control = control};
    control_from(&m, &b->local);
    control_ecn(&m, b->remote.ip.family, b->ecn);
    size_t each = b->size;
    if (segments && b->len > b->size) {
        uint16_t size = (uint16_t)b->size;
        control_add(&m, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
        each = b->len;
    }
    if (m.msg_controllen == 0)
        m.msg_control = NULL;
    struct mmsghdr mm[ENDPOINT_BATCH_MAX];
    struct iovec vec[ENDPOINT_BATCH_MAX];
    unsigned count = 0;
    for (size_t at = 0; at < b->len && count < ENDPOINT_BATCH_MAX; at += each, count++) {
        vec[count] = (struct iovec){(uint8_t *)(uintptr_t)b->data + at, MIN(each, b->len - at)};
        mm[count] = (struct mmsghdr){.msg_hdr = m};
        mm[count].msg_hdr.msg_iov = &vec[count];
        mm[count].msg_hdr.msg_iovlen = 1;
    }
    u->view.send_calls++;
    int sent = sendmmsg(u->fd, mm, count, MSG_DONTWAIT);
    return sent < 0 ? -1 : (ssize_t)MIN((size_t)sent * each, b->len);
}

/* Send *b. false: the socket is full, and *b is what is left. */
static bool push(struct udp *u, struct quic_batch *b)
{
    while (b->len > 0) {
        ssize_t n = send_some(u, b, u->view.segments);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
            return false;
        if (n < 0 && u->view.segments && b->len > b->size && (errno == EIO || errno == EINVAL)) {
            u->view.segments = false; /* this kernel, or this network device, cannot do it */
            continue;
        }
        if (n <
            0) { /* too large for this path, no way there: a lost datagram, which QUIC knows to handle */
            n = (ssize_t)(u->view.segments ? b->len : MIN(b->size, b->len));
            u->view.lost += ((size_t)n + b->size - 1) / b->size;
        }
        b->data += n;
        b->len -= (size_t)n;
    }
    return true;
}

static bool send_batch(void *ctx, const struct quic_batch *b)
{
    struct udp *u = ctx;
    if (u->kept.len > 0) {
        u->view.lost += (b->len + b->size - 1) / b->size;
        return false;
    }
    struct quic_batch rest = *b;
    if (push(u, &rest))
        return true;
    u->view.full++;
    memcpy(u->kept_data, rest.data, rest.len);
    u->kept = rest;
    u->kept.data = u->kept_data;
    if (u->io)
        loop_io_want(u->io, EPOLLIN | EPOLLOUT);
    return false;
}

/* --- time --- */

static uint64_t expiry(const struct udp *u)
{
    uint64_t at_ns = endpoint_expiry(u->e);
    return u->also.expiry ? MIN(at_ns, u->also.expiry(u->also.ctx)) : at_ns;
}

/* One that comes too early costs a look; to set it again costs a call of the system, with every datagram. */
static void arm(struct udp *u, uint64_t now_ns)
{
    uint64_t at_ns = u->kept.len > 0 ? UINT64_MAX : MAX(expiry(u), 1);
    bool early = u->armed_ns > now_ns && u->armed_ns <= at_ns;
    if (early)
        return;
    struct itimerspec t = {0}; /* all zero: off */
    if (at_ns != UINT64_MAX) {
        t.it_value.tv_sec = (time_t)(at_ns / UNITS_NS_PER_S);
        t.it_value.tv_nsec = (long)(at_ns % UNITS_NS_PER_S);
    }
    ensure(timerfd_settime(u->timer_fd, TFD_TIMER_ABSTIME, &t, NULL) == 0);
    u->armed_ns = at_ns;
}

static void go_on(struct udp *u)
{
    uint64_t now_ns = udp_now_ns();
    endpoint_timer(u->e, now_ns);
    if (u->also.timer)
        u->also.timer(u->also.ctx, now_ns);
    if (u->kept.len == 0)
        endpoint_flush(u->e, now_ns);
    arm(u, now_ns);
}

static void on_timer(void *ctx, uint32_t events)
{
    struct udp *u = ctx;
    (void)events;
    u->armed_ns = 0; /* setting it again also takes back that it has fired */
    go_on(u);
}

static void on_soon(void *ctx)
{
    go_on(ctx);
}

/* Something was asked of the endpoint in an event of somebody else's: what else that event asks for goes
 * out with it. */
static void wake(void *ctx)
{
    struct udp *u = ctx;
    if (u->soon)
        loop_defer_arm(u->soon);
}

struct endpoint_driver udp_driver(struct udp *u)
{
    return (struct endpoint_driver){send_batch, wake, u};
}

/* --- in --- */

struct arrived {
    struct quic_addr local;
    uint8_t ecn;
    size_t size; /* of each datagram; 0: there is one */
};

static void read_control(struct udp *u, struct msghdr *m, struct arrived *a)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        int number;
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            memcpy(&number, CMSG_DATA(c), sizeof number);
            a->size = number > 0 ? (size_t)number : 0;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
            a->ecn = *CMSG_DATA(c) & ECN_MASK;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
            memcpy(&number, CMSG_DATA(c), sizeof number);
            a->ecn = (uint8_t)number & ECN_MASK;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo p;
            memcpy(&p, CMSG_DATA(c), sizeof p);
            a->local = (struct quic_addr){.ip.family = 4, .port = u->bound.port};
            memcpy(a->local.ip.byte, &p.ipi_spec_dst, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo p;
            memcpy(&p, CMSG_DATA(c), sizeof p);
            struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                                       .sin6_port = htons(u->bound.port),
                                       .sin6_addr = p.ipi6_addr};
            if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr))
                in6.sin6_scope_id = p.ipi6_ifindex;
            ensure(quic_addr_from_sys((struct sockaddr *)&in6, sizeof in6, &a->local));
        }
    }
}

static void take(struct udp *u, struct msghdr *m, size_t len, uint64_t now_ns)
{
    struct arrived a = {0};
    struct quic_addr from;
    if (len == 0 || (m->msg_flags & MSG_TRUNC) ||
        !quic_addr_from_sys(m->msg_name, m->msg_namelen, &from))
        return;
    read_control(u, m, &a);
    const char *data = m->msg_iov->iov_base;
    size_t size = a.size > 0 ? a.size : len;
    for (size_t at = 0; at < len; at += size)
        endpoint_input(u->e, &a.local, &from, a.ecn, (struct str){data + at, MIN(size, len - at)},
                       now_ns);
}

/* false: nothing more is there now. */
static bool read_some(struct udp *u)
{
    struct mmsghdr mm[READ_BATCH];
    struct iovec vec[READ_BATCH];
    struct sockaddr_storage from[READ_BATCH];
    _Alignas(struct cmsghdr) char control[READ_BATCH][CONTROL_SIZE];
    for (size_t i = 0; i < READ_BATCH; i++) {
        vec[i] = (struct iovec){u->read_data[i], READ_SIZE};
        mm[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &from[i],
                                             .msg_namelen = sizeof from[i],
                                             .msg_iov = &vec[i],
                                             .msg_iovlen = 1,
                                             .msg_control = control[i],
                                             .msg_controllen = CONTROL_SIZE}};
    }
    u->view.receive_calls++;
    int count = recvmmsg(u->fd, mm, READ_BATCH, MSG_DONTWAIT, NULL);
    uint64_t now_ns = udp_now_ns();
    for (int i = 0; i < count; i++)
        take(u, &mm[i].msg_hdr, mm[i].msg_len, now_ns);
    /* An error that an earlier datagram left at the socket is not one of reading. */
    return count == READ_BATCH || (count < 0 && errno != EAGAIN);
}

static void on_io(void *ctx, uint32_t events)
{
    struct udp *u = ctx;
    if (events & EPOLLOUT && u->kept.len > 0 && push(u, &u->kept)) {
        u->kept.len = 0;
        loop_io_want(u->io, EPOLLIN);
    }
    for (int i = 0; i < READ_ROUNDS && read_some(u); i++)
        ;
    go_on(u);
}

/* --- open and close --- */

static void set_options(struct udp *u)
{
    set(u->fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
    set(u->fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
    set(u->fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER); /* beyond net.core.rmem_max, for root */
    set(u->fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER);
    set(u->fd, IPPROTO_UDP, UDP_GRO, 1);
    set(u->fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    set(u->fd, IPPROTO_IP, IP_RECVTOS, 1);
    if (u->family == 4) {
        set(u->fd, IPPROTO_IP, IP_PKTINFO, 1);
        return;
    }
    set(u->fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    set(u->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    set(u->fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    set(u->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

static enum status bind_failed(struct fault *why, int err, const char *addr)
{
    if (err == EADDRNOTAVAIL)
        return fault_set(why, ST_INVALID, "UDP at %s: no such address here", addr);
    if (err == EADDRINUSE)
        return fault_set(why, ST_IN_USE, "UDP at %s: somebody else has it", addr);
    return fault_errno(why, err, "UDP at %s", addr);
}

static enum status open_sockets(struct udp *u, const struct quic_addr *bind_to, struct fault *why)
{
    struct sockaddr_storage sa;
    char text[QUIC_ADDR_TEXT_MAX];
    quic_addr_format(bind_to, text);
    u->family = bind_to->ip.family;
    u->fd =
        socket(u->family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (u->fd < 0 && errno == EAFNOSUPPORT)
        return fault_set(why, ST_UNSUPPORTED, "UDP at %s: this machine has no IPv%d", text,
                         u->family);
    if (u->fd < 0)
        return fault_errno(why, errno, "UDP at %s", text);
    set_options(u);
    udp_use_segments(u, true);
    socklen_t len = quic_addr_to_sys(bind_to, u->family, &sa);
    if (bind(u->fd, (struct sockaddr *)&sa, len) != 0)
        return bind_failed(why, errno, text);
    len = sizeof sa;
    if (getsockname(u->fd, (struct sockaddr *)&sa, &len) != 0)
        return fault_errno(why, errno, "UDP at %s", text);
    ensure(quic_addr_from_sys((struct sockaddr *)&sa, len, &u->bound));
    u->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return u->timer_fd < 0 ? fault_errno(why, errno, "a timer") : ST_OK;
}

enum status udp_open(struct loop *l, const struct quic_addr *bind_to, struct udp **ret,
                     struct fault *why)
{
    require(bind_to->ip.family == 4 || bind_to->ip.family == 6);
    struct udp *u =
        mem_grow(NULL, 1, sizeof *u); /* its buffers need no zeros, nor pages before use */
    memset(u, 0, offsetof(struct udp, kept_data));
    u->loop = l;
    u->fd = u->timer_fd = -1;
    u->armed_ns = UINT64_MAX;
    enum status s = open_sockets(u, bind_to, why);
    if (s != ST_OK) {
        udp_close(u);
        return s;
    }
    *ret = u;
    return ST_OK;
}

void udp_also(struct udp *u, const struct udp_also *also)
{
    require(!u->e);
    u->also = *also;
}

enum status udp_start(struct udp *u, struct endpoint *e, struct fault *why)
{
    require(!u->e);
    u->e = e;
    uint32_t events = EPOLLIN | (u->kept.len > 0 ? EPOLLOUT : 0);
    enum status s = loop_io_open(u->loop, u->fd, events, on_io, u, &u->io, why);
    if (s == ST_OK)
        s = loop_io_open(u->loop, u->timer_fd, EPOLLIN, on_timer, u, &u->timer, why);
    if (s == ST_OK)
        s = loop_defer_open(u->loop, on_soon, u, &u->soon, why);
    if (s == ST_OK)
        loop_defer_arm(u->soon);
    return s;
}

void udp_close(struct udp *u)
{
    if (!u)
        return;
    loop_source_close(u->soon);
    loop_source_close(u->timer);
    loop_source_close(u->io);
    close_fd(&u->timer_fd);
    close_fd(&u->fd);
    free(u);
}
