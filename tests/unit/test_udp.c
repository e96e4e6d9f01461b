/* Endpoints on real sockets of the loopback interface, driven by one event loop. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/units.h"
#include "os/entropy_os.h"
#include "quic/udp.h"
#include "support/tap.h"

static const char *const alpns[] = {"blixard-rpc/1"};

enum { WAIT_MS = 20000, BULK = 8 << 20, PIECE = 1 << 16 };

/* One end: an echo, or who listens to it. */
struct end {
    struct udp *u;
    struct endpoint *e;
    struct key key;
    struct quic_conn *c;
    struct quic_stream *s;
    bool closed;
    enum status status;
    uint64_t sent, got;
    bool fin;
};

/* The system's call, in the place of libc's, which can be told to fail. */
static struct {
    unsigned every; /* each so many calls; 0: none */
    unsigned calls;
    int err;
    bool segments; /* calls with several datagrams in one */
} failing;

static void fail_every(unsigned calls, int err)
{
    failing.every = calls;
    failing.err = err;
}

int sendmmsg(int fd, struct mmsghdr *m, unsigned count, int flags)
{
    bool fails = failing.every > 0 && ++failing.calls % failing.every == 0;
    if (failing.segments && m->msg_hdr.msg_iov->iov_len > ENDPOINT_DATAGRAM_MAX) {
        errno = EIO;
        return -1;
    }
    if (fails) {
        errno = failing.err;
        return -1;
    }
    return (int)syscall(SYS_sendmmsg, fd, m, count, flags);
}

static struct loop *loop;
static struct entropy entropy;

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 13 + (offset >> 11));
}

static bool on_admit(void *ctx, struct quic_conn *c, struct quic_grant *ret)
{
    (void)ctx, (void)c;
    *ret = (struct quic_grant){.window = 8 << 20};
    return true;
}

static void on_opened(void *ctx, struct quic_conn *c)
{
    ((struct end *)ctx)->c = c;
}

static void on_closed(void *ctx, struct quic_conn *c, const struct quic_end *e)
{
    struct end *end = ctx;
    (void)c;
    end->c = NULL;
    end->closed = true;
    end->status = e->status;
}

/* Write on until the queue is full or all is written. */
static void fill(void *ctx, struct quic_stream *s)
{
    struct end *end = ctx;
    static uint8_t piece[PIECE];
    while (end->sent < BULK) {
        for (size_t i = 0; i < PIECE; i++)
            piece[i] = byte_at(end->sent + i);
        if (quic_stream_write(s, (struct str){(char *)piece, PIECE}, end->sent + PIECE == BULK,
                              NULL) != ST_OK)
            return;
        end->sent += PIECE;
    }
}

static void on_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    struct end *end = ctx;
    for (size_t i = 0; i < bytes.len; i++)
        CHECK_EQ(byte_at(end->got + i), (uint8_t)bytes.ptr[i]);
    end->got += bytes.len;
    end->fin = fin;
    quic_stream_consume(s, bytes.len);
    if (!quic_stream_ours(s))
        CHECK_EQ(ST_OK, quic_stream_write(s, bytes, fin, NULL));
}

static struct quic_addr addr_of(const char *text)
{
    struct quic_addr a;
    CHECK(quic_addr_parse(str_from(text), &a));
    a.port = 0;
    return a;
}

static void end_open(struct end *end, const char *addr, uint8_t seed_byte)
{
    static struct endpoint_events events[2];
    struct endpoint_events *ev = &events[seed_byte & 1];
    struct endpoint_config c;
    struct fault why = {0};
    uint8_t seed[KEY_SEED_SIZE] = {seed_byte};
    struct quic_addr bind = addr_of(addr);
    endpoint_events_init(ev);
    ev->admit = on_admit;
    ev->opened = on_opened;
    ev->closed = on_closed;
    ev->stream_data = on_data;
    ev->stream_room = fill;
    ev->ctx = end;
    key_init(&end->key, seed);
    entropy_os_init(&entropy);
    endpoint_config_init(&c);
    c.key = &end->key;
    c.entropy = &entropy;
    c.alpns = alpns;
    c.alpn_count = 1;
    c.handshake_ms = 300;
    c.stream_send_max = c.conn_send_max = 16 << 20;
    if (udp_open(loop, &bind, &end->u, &why) != ST_OK)
        tap_skip(why.text);
    struct endpoint_driver d = udp_driver(end->u);
    CHECK_EQ(ST_OK, endpoint_new(&c, ev, &d, &end->e, &why));
    CHECK_EQ(ST_OK, udp_start(end->u, end->e, &why));
}

static void end_close(struct end *end)
{
    udp_close(end->u);
    endpoint_free(end->e);
    key_done(&end->key);
}

static void dial(struct end *from, const struct end *to, const char *addr)
{
    static const struct quic_addr any;
    struct quic_grant grant = {.window = 8 << 20};
    struct quic_addr remote = addr_of(addr);
    struct quic_conn *c;
    remote.port = udp_addr(to->u).port;
    CHECK_EQ(ST_OK, endpoint_dial(from->e, to->key.public, alpns, 1, &any, &remote, &grant, NULL,
                                  udp_now_ns(), &c, NULL));
}

static void turn_until(const bool *done)
{
    uint64_t end_ns = udp_now_ns() + WAIT_MS * UNITS_NS_PER_MS;
    struct fault why;
    while (!*done) {
        CHECK(udp_now_ns() < end_ns);
        CHECK_EQ(ST_OK, loop_turn(loop, 100, &why));
    }
}

static void wait_open(struct end *end)
{
    uint64_t end_ns = udp_now_ns() + WAIT_MS * UNITS_NS_PER_MS;
    struct fault why;
    while (!end->c) {
        CHECK(udp_now_ns() < end_ns && !end->closed);
        CHECK_EQ(ST_OK, loop_turn(loop, 100, &why));
    }
}

static void echo_over(const char *server, const char *client, const char *to, bool segments)
{
    struct end a = {0}, b = {0};
    struct fault why;
    CHECK_EQ(ST_OK, loop_open(&loop, &why));
    end_open(&a, client, 2);
    end_open(&b, server, 3);
    udp_use_segments(a.u, segments);
    udp_use_segments(b.u, segments);
    dial(&a, &b, to);
    wait_open(&a);
    CHECK_EQ(ST_OK, quic_stream_open(a.c, NULL, &a.s, &why));
    fill(&a, a.s);
    turn_until(&a.fin);
    CHECK_EQ(BULK, a.got);
    CHECK_EQ(BULK, b.got);
    if (failing.every > 0)
        CHECK(failing.err == EAGAIN ? udp_view(a.u).full > 20 : udp_view(a.u).lost > 20);
    else if (segments && udp_view(a.u).segments) /* several datagrams with each call */
        CHECK(udp_view(a.u).send_calls * 2 < endpoint_view(a.e).count.datagrams_out);
    quic_conn_close(a.c, 0);
    turn_until(&b.closed);
    CHECK_EQ(ST_OK, b.status);
    end_close(&a);
    end_close(&b);
    loop_close(loop);
}

static void echo_over_ipv4(bool segments)
{
    echo_over("127.0.0.1:1", "127.0.0.1:1", "127.0.0.1:1", segments);
}

TEST(bytes_go_over_ipv4)
{
    echo_over_ipv4(true);
}

TEST(bytes_go_over_ipv6)
{
    echo_over("[::1]:1", "[::1]:1", "[::1]:1", true);
}

TEST(a_socket_of_ipv6_takes_ipv4)
{
    echo_over("[::]:1", "[::]:1", "127.0.0.1:1", true);
}

TEST(without_segments_it_goes_too)
{
    echo_over_ipv4(false);
}

/* A socket that is full is waited for, and what it did not take is not lost. */
TEST(a_full_socket_is_waited_for)
{
    fail_every(3, EAGAIN);
    echo_over_ipv4(true);
}

TEST(a_full_socket_is_waited_for_without_segments)
{
    fail_every(3, EAGAIN);
    echo_over_ipv4(false);
}

/* A datagram that cannot be sent is a lost one, no more. */
TEST(an_error_of_sending_is_a_loss)
{
    fail_every(20, EPERM);
    echo_over_ipv4(true);
}

/* A network device that cannot cut batches into datagrams says so at the first of them. */
TEST(segments_are_given_up_where_they_fail)
{
    failing.segments = true;
    echo_over_ipv4(true);
}

/* The answer comes from the address that was asked, not from another of this machine. */
TEST(a_server_answers_from_where_it_was_asked)
{
    echo_over("0.0.0.0:1", "127.0.0.1:1", "127.0.0.2:1", true);
}

/* Nobody is there: the deadline passes, and not much later it is told. */
TEST(a_deadline_is_met)
{
    struct end a = {0}, b = {0};
    struct fault why;
    CHECK_EQ(ST_OK, loop_open(&loop, &why));
    end_open(&a, "127.0.0.1:1", 2);
    end_open(&b, "127.0.0.1:1", 3);
    struct quic_addr gone = udp_addr(b.u);
    CHECK(gone.port != 0);
    dial(&a, &b, "127.0.0.1:1");
    end_close(&b);
    uint64_t from_ns = udp_now_ns();
    turn_until(&a.closed);
    uint64_t took_ns = udp_now_ns() - from_ns;
    CHECK_EQ(ST_TIMEOUT, a.status);
    CHECK(took_ns > 290 * UNITS_NS_PER_MS && took_ns < 2000 * UNITS_NS_PER_MS);
    end_close(&a);
    loop_close(loop);
}

TEST(an_address_is_taken_once)
{
    struct udp *u, *v;
    struct fault why;
    struct quic_addr bind = addr_of("127.0.0.1:1");
    CHECK_EQ(ST_OK, loop_open(&loop, &why));
    CHECK_EQ(ST_OK, udp_open(loop, &bind, &u, &why));
    bind = udp_addr(u);
    CHECK_EQ(ST_IN_USE, udp_open(loop, &bind, &v, &why));
    bind = addr_of("192.0.2.1:1");
    CHECK_EQ(ST_INVALID, udp_open(loop, &bind, &v, &why));
    CHECK_STR("UDP at 192.0.2.1:0: no such address here", why.text);
    udp_close(u);
    loop_close(loop);
}
