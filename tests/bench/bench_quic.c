/*
 * bench_quic: QUIC between two processes on the loopback interface, beside plain TCP in the same run.
 *
 * usage: bench_quic [ROUNDS [MIB]]
 *
 * Prints the median time of a handshake, the median round trip of 256 bytes (a new stream for each call),
 * and what one stream carries.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/units.h"
#include "os/entropy_os.h"
#include "quic/udp.h"

enum {
    HANDSHAKES = 300,
    CALLS = 10000,
    CALL_BYTES = 256,
    PIECE = 128 << 10,
    ROUNDS = 3,
    SAMPLES_MAX = 20000,
};
static uint64_t bulk_bytes = 400 << 20;
static const char *const alpns[] = {"bench-echo", "bench-sink"};

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench_quic: %s\n", what);
    exit(1);
}

/* --- what is measured --- */

static double sample[SAMPLES_MAX];
static size_t sample_count;

static void add_sample(uint64_t from_ns)
{
    if (sample_count < SAMPLES_MAX)
        sample[sample_count++] = (double)(udp_now_ns() - from_ns) / 1000;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median in microseconds; begins a new series. */
static double median_us(void)
{
    qsort(sample, sample_count, sizeof *sample, by_value);
    double m = sample_count ? sample[sample_count / 2] : 0;
    sample_count = 0;
    return m;
}

static double mb_per_s(uint64_t from_ns)
{
    return (double)bulk_bytes / 1e6 / ((double)(udp_now_ns() - from_ns) / (double)UNITS_NS_PER_S);
}

/* --- both ends --- */

static uint8_t piece[PIECE];

struct bench {
    struct loop *loop;
    struct udp *u;
    struct endpoint *e;
    struct quic_addr server;
    uint8_t server_key[KEY_PUBLIC_SIZE];
    struct quic_conn *c;
    size_t left; /* handshakes or calls of the series */
    uint64_t from_ns;
    uint64_t bulk_sent;
    size_t got;
    bool handshakes; /* each connection is closed when it is open */
};

static void dial(struct bench *b, const char *alpn)
{
    static const struct quic_addr any;
    struct quic_grant grant = {.window = 8 << 20};
    struct quic_conn *c;
    b->from_ns = udp_now_ns();
    check(endpoint_dial(b->e, b->server_key, &alpn, 1, &any, &b->server, &grant, NULL, b->from_ns,
                        &c, NULL) == ST_OK,
          "dial");
}

static void call(struct bench *b)
{
    struct quic_stream *s;
    b->got = 0;
    b->from_ns = udp_now_ns();
    check(quic_stream_open(b->c, NULL, &s, NULL) == ST_OK, "open a stream");
    check(quic_stream_write(s, (struct str){(char *)piece, CALL_BYTES}, true, NULL) == ST_OK,
          "write");
}

static void fill(void *ctx, struct quic_stream *s)
{
    struct bench *b = ctx;
    while (b->bulk_sent < bulk_bytes &&
           quic_stream_write(s, (struct str){(char *)piece, PIECE},
                             b->bulk_sent + PIECE == bulk_bytes, NULL) == ST_OK)
        b->bulk_sent += PIECE;
}

static bool on_admit(void *ctx, struct quic_conn *c, struct quic_grant *ret)
{
    (void)ctx, (void)c;
    *ret = (struct quic_grant){.window = 8 << 20};
    return true;
}

static void on_opened(void *ctx, struct quic_conn *c)
{
    struct bench *b = ctx;
    if (!quic_conn_dialed(c))
        return;
    b->c = c;
    if (!b->handshakes) {
        loop_stop(b->loop);
        return;
    }
    add_sample(b->from_ns);
    quic_conn_close(c, 0);
    if (--b->left > 0)
        dial(b, alpns[0]);
    else
        loop_stop(b->loop);
}

static void on_closed(void *ctx, struct quic_conn *c, const struct quic_end *e)
{
    (void)ctx, (void)c;
    check(e->status == ST_OK, e->text);
}

static void on_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    struct bench *b = ctx;
    struct quic_conn *c = quic_stream_conn(s);
    quic_stream_consume(s, bytes.len);
    if (!quic_conn_dialed(c)) { /* the server: echo, or an empty answer at the end */
        bool echo = strcmp(quic_conn_alpn(c), alpns[0]) == 0;
        if (echo || fin)
            check(quic_stream_write(s, echo ? bytes : STR(""), fin, NULL) == ST_OK, "answer");
        return;
    }
    b->got += bytes.len;
    if (!fin)
        return;
    add_sample(b->from_ns);
    if (b->left > 0 && --b->left > 0)
        call(b);
    else
        loop_stop(b->loop);
}

static void open_end(struct bench *b, uint8_t seed_byte, uint8_t public[KEY_PUBLIC_SIZE])
{
    static struct endpoint_events ev;
    static struct entropy entropy;
    struct endpoint_config c;
    struct fault why = {0};
    uint8_t seed[KEY_SEED_SIZE] = {seed_byte};
    struct key key;
    struct quic_addr bind = {.ip = {4, {127, 0, 0, 1}}};
    endpoint_events_init(&ev);
    ev.admit = on_admit;
    ev.opened = on_opened;
    ev.closed = on_closed;
    ev.stream_data = on_data;
    ev.stream_room = fill;
    ev.ctx = b;
    entropy_os_init(&entropy);
    key_init(&key, seed);
    endpoint_config_init(&c);
    c.key = &key;
    c.entropy = &entropy;
    c.alpns = alpns;
    c.alpn_count = ARRAY_COUNT(alpns);
    c.handshakes_per_s = 1000000;
    check(loop_open(&b->loop, &why) == ST_OK && udp_open(b->loop, &bind, &b->u, &why) == ST_OK,
          why.text);
    struct endpoint_driver d = udp_driver(b->u);
    check(endpoint_new(&c, &ev, &d, &b->e, &why) == ST_OK && udp_start(b->u, b->e, &why) == ST_OK,
          why.text);
    memcpy(public, key.public, KEY_PUBLIC_SIZE);
    key_done(&key);
}

static void run(struct bench *b)
{
    struct fault why;
    check(loop_run(b->loop, &why) == ST_OK, "the loop");
}

static pid_t fork_server(void)
{
    IGNORE(fflush(stdout)); /* or the child would print it again */
    pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0)
        check(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "prctl");
    return pid;
}

static void stop(pid_t pid)
{
    check(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "end the server");
}

static pid_t start_quic(struct bench *b)
{
    int pipe_fd[2];
    check(pipe(pipe_fd) == 0, "pipe");
    pid_t pid = fork_server();
    if (pid == 0) {
        open_end(b, 1, b->server_key);
        b->server = udp_addr(b->u);
        check(write(pipe_fd[1], b, sizeof *b) == sizeof *b, "tell the address");
        run(b);
        exit(0);
    }
    struct bench told;
    uint8_t own[KEY_PUBLIC_SIZE];
    check(read(pipe_fd[0], &told, sizeof told) == sizeof told, "learn the address");
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    b->server = told.server;
    memcpy(b->server_key, told.server_key, KEY_PUBLIC_SIZE);
    open_end(b, 2, own);
    return pid;
}

struct result {
    double handshake_ms, call_us, bulk;
};

static struct result measure_quic(void)
{
    struct bench b = {0};
    struct result r;
    pid_t pid = start_quic(&b);
    b.handshakes = true;
    b.left = HANDSHAKES;
    dial(&b, alpns[0]);
    run(&b);
    r.handshake_ms = median_us() / 1000;
    b.handshakes = false;

    dial(&b, alpns[0]);
    run(&b);
    b.left = CALLS;
    call(&b);
    run(&b);
    r.call_us = median_us();

    quic_conn_close(b.c, 0); /* or it would end in silence meanwhile */
    dial(&b, alpns[1]);
    run(&b);
    struct quic_stream *s;
    check(quic_stream_open(b.c, NULL, &s, NULL) == ST_OK, "open a stream");
    uint64_t from_ns = udp_now_ns();
    fill(&b, s);
    run(&b);
    r.bulk = mb_per_s(from_ns);
    sample_count = 0;
    stop(pid);
    udp_close(b.u);
    endpoint_free(b.e);
    loop_close(b.loop);
    return r;
}

/* --- TCP --- */

static bool all(int fd, size_t len, bool out)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = out ? write(fd, piece + at, len - at) : read(fd, piece + at, len - at);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* As many calls as come, then bulk, then one byte back. */
static void serve_tcp(int listen_fd)
{
    int fd = accept(listen_fd, NULL, NULL);
    int one = 1;
    check(fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "accept");
    for (int i = 0; i < CALLS; i++)
        check(all(fd, CALL_BYTES, false) && all(fd, CALL_BYTES, true), "TCP call");
    for (uint64_t at = 0; at < bulk_bytes; at += PIECE)
        check(all(fd, PIECE, false), "TCP bulk");
    check(all(fd, 1, true), "TCP answer");
    exit(0);
}

static struct result measure_tcp(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    struct result r = {0};
    int one = 1, server = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    check(bind(server, (struct sockaddr *)&sa, len) == 0 && listen(server, 1) == 0 &&
              getsockname(server, (struct sockaddr *)&sa, &len) == 0,
          "listen");
    pid_t pid = fork_server();
    if (pid == 0)
        serve_tcp(server);
    check(connect(fd, (struct sockaddr *)&sa, len) == 0 &&
              setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0,
          "connect");
    for (int i = 0; i < CALLS; i++) {
        uint64_t from_ns = udp_now_ns();
        check(all(fd, CALL_BYTES, true) && all(fd, CALL_BYTES, false), "TCP call");
        add_sample(from_ns);
    }
    r.call_us = median_us();
    uint64_t from_ns = udp_now_ns();
    for (uint64_t at = 0; at < bulk_bytes; at += PIECE)
        check(all(fd, PIECE, true), "TCP bulk");
    check(all(fd, 1, false), "TCP answer");
    r.bulk = mb_per_s(from_ns);
    close(fd);
    close(server);
    check(waitpid(pid, NULL, 0) == pid, "end the server");
    return r;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
    if (argc > 2)
        bulk_bytes = strtoull(argv[2], NULL, 10) << 20;
    check(bulk_bytes % PIECE == 0, "whole pieces");
    for (int i = 0; i < rounds; i++) {
        struct result t = measure_tcp(), q = measure_quic();
        printf("quic handshake          %.2f ms\n", q.handshake_ms);
        printf("quic call of 256 bytes  %.0f us, TCP %.0f us, ratio %.2f\n", q.call_us, t.call_us,
               q.call_us / t.call_us);
        printf("quic one stream         %.0f MB/s, TCP %.0f MB/s, ratio %.2f\n", q.bulk, t.bulk,
               q.bulk / t.bulk);
    }
    return 0;
}
