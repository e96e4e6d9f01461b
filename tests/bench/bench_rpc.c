/*
 * bench_rpc: calls between two processes on the loopback interface.
 *
 * usage: bench_rpc [ROUNDS]
 *
 * Prints, for 1 and for 64 calls outstanding, how many of 256 bytes each way are answered a second, and the median
 * time of one.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/units.h"
#include "os/entropy_os.h"
#include "quic/udp.h"
#include "rpc/rpc.h"

enum { BYTES = 256, AT_ONCE = 64, CALLS_ONE = 20000, CALLS_MANY = 200000, ROUNDS = 3, ECHO = 1 };

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "bench_rpc: %s\n", what);
    exit(1);
}

struct one {
    struct bench *b;
    uint64_t from_ns;
};

struct bench {
    struct loop *loop;
    struct udp *u;
    struct endpoint *e;
    struct rpc *r;
    struct quic_addr server;
    uint8_t server_key[KEY_PUBLIC_SIZE];
    struct quic_conn *c;
    struct one one[AT_ONCE];
    size_t left, under_way;
};

static double sample[CALLS_MANY];
static size_t sample_count;
static char body[BYTES];

/* --- both ends --- */

static void echo(void *ctx, struct rpc_call *c)
{
    (void)ctx;
    rpc_answer(c, ST_OK, NULL, rpc_call_body(c));
}

static void gone(void *ctx, struct rpc_call *c, enum status why)
{
    (void)ctx, (void)c, (void)why;
}

static const struct rpc_method methods[] = {{.number = ECHO,
                                             .name = "echo",
                                             .body_max = BYTES,
                                             .answer_max = BYTES,
                                             .concurrent_max = AT_ONCE,
                                             .called = echo,
                                             .gone = gone}};

static void answered(void *ctx, struct rpc_ask *a, const struct rpc_answer *answer);
static const struct rpc_ask_events ask_events = {.answered = answered};

static void ask(struct one *o)
{
    struct bench *b = o->b;
    struct rpc_ask *a;
    struct fault why;
    struct rpc_request q = {
        .method = ECHO, .timeout_ms = 10000, .answer_max = BYTES, .body = {body, sizeof body}};
    b->left--;
    b->under_way++;
    o->from_ns = udp_now_ns();
    if (rpc_ask(b->r, b->c, &q, &ask_events, o, &a, &why) != ST_OK)
        check(false, why.text);
}

static void answered(void *ctx, struct rpc_ask *a, const struct rpc_answer *answer)
{
    struct one *o = ctx;
    struct bench *b = o->b;
    (void)a;
    check(answer->status == ST_OK && answer->bytes.len == BYTES, "an answer");
    sample[sample_count++] = (double)(udp_now_ns() - o->from_ns) / 1000;
    b->under_way--;
    if (b->left > 0)
        ask(o);
    else if (b->under_way == 0)
        loop_stop(b->loop);
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
    b->c = c;
    if (quic_conn_dialed(c))
        loop_stop(b->loop);
}

static const struct endpoint_events *events_of(void *ctx)
{
    struct bench *b = ctx;
    rpc_step(b->r, udp_now_ns() / UNITS_NS_PER_MS);
    return rpc_events(b->r);
}

static void on_stream(void *ctx, struct quic_stream *s)
{
    const struct endpoint_events *ev = events_of(ctx);
    ev->stream_opened(ev->ctx, s);
}

static void on_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    const struct endpoint_events *ev = events_of(ctx);
    ev->stream_data(ev->ctx, s, bytes, fin);
}

static void on_closed(void *ctx, struct quic_stream *s)
{
    const struct endpoint_events *ev = events_of(ctx);
    ev->stream_closed(ev->ctx, s);
}

static void open_end(struct bench *b, uint8_t seed_byte, uint8_t public[KEY_PUBLIC_SIZE])
{
    static struct endpoint_events ev;
    static struct entropy entropy;
    static const char *const alpns[] = {"blixard-rpc/1"};
    struct endpoint_config c;
    struct rpc_config rc;
    struct fault why = {0};
    uint8_t seed[KEY_SEED_SIZE] = {seed_byte};
    struct key key;
    struct quic_addr bind = {.ip = {4, {127, 0, 0, 1}}};
    endpoint_events_init(&ev);
    ev.admit = on_admit;
    ev.opened = on_opened;
    ev.stream_opened = on_stream;
    ev.stream_data = on_data;
    ev.stream_closed = on_closed;
    ev.ctx = b;
    entropy_os_init(&entropy);
    key_init(&key, seed);
    endpoint_config_init(&c);
    c.key = &key;
    c.entropy = &entropy;
    c.alpns = alpns;
    c.alpn_count = ARRAY_COUNT(alpns);
    rpc_config_init(&rc);
    rc.methods = methods;
    rc.method_count = ARRAY_COUNT(methods);
    b->r = rpc_new(&rc, udp_now_ns() / UNITS_NS_PER_MS);
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

static pid_t start_server(struct bench *b)
{
    int pipe_fd[2];
    struct bench told;
    check(pipe(pipe_fd) == 0, "pipe");
    pid_t pid = fork();
    check(pid >= 0, "fork");
    if (pid == 0) {
        check(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "prctl");
        open_end(b, 1, b->server_key);
        b->server = udp_addr(b->u);
        check(write(pipe_fd[1], b, sizeof *b) == sizeof *b, "tell the address");
        run(b);
        exit(0);
    }
    check(read(pipe_fd[0], &told, sizeof told) == sizeof told, "learn the address");
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    b->server = told.server;
    memcpy(b->server_key, told.server_key, KEY_PUBLIC_SIZE);
    return pid;
}

/* --- what is measured --- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct bench *b, size_t at_once, size_t calls)
{
    uint64_t from_ns = udp_now_ns();
    sample_count = 0;
    b->left = calls;
    for (size_t i = 0; i < at_once; i++) {
        b->one[i].b = b;
        ask(&b->one[i]);
    }
    run(b);
    double seconds = (double)(udp_now_ns() - from_ns) / (double)UNITS_NS_PER_S;
    qsort(sample, sample_count, sizeof *sample, by_value);
    printf("rpc calls, %2zu at once    %.0f /s, median %.0f us\n", at_once, (double)calls / seconds,
           sample[sample_count / 2]);
}

int main(int argc, char **argv)
{
    static const struct quic_addr any;
    static const char *const alpn = "blixard-rpc/1";
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS;
    struct bench b = {0};
    struct quic_grant grant = {.window = 8 << 20};
    uint8_t own[KEY_PUBLIC_SIZE];
    pid_t pid = start_server(&b);
    open_end(&b, 2, own);
    check(endpoint_dial(b.e, b.server_key, &alpn, 1, &any, &b.server, &grant, NULL, udp_now_ns(),
                        &b.c, NULL) == ST_OK,
          "dial");
    run(&b);
    for (int i = 0; i < rounds; i++) {
        measure(&b, 1, CALLS_ONE);
        measure(&b, AT_ONCE, CALLS_MANY);
    }
    check(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid, "end the server");
    rpc_free(b.r);
    udp_close(b.u);
    endpoint_free(b.e);
    loop_close(b.loop);
    return 0;
}
