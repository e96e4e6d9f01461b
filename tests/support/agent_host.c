#include "support/agent_host.h"

#include <errno.h>
#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

#include "support/tap.h"

enum { QUEUE_MAX = 4 << 20, OUTPUT_MAX = 16 << 20 };

void agent_host_open(struct agent_host *h, int fd, int wait_ms)
{
    *h = (struct agent_host){.fd = fd, .wait_ms = wait_ms};
    buf_init(&h->out, QUEUE_MAX);
    agent_decoder_init(&h->in, h->nonce);
    agent_host_hello(h);
}

void agent_host_close(struct agent_host *h)
{
    (void)close(h->fd);
    agent_decoder_done(&h->in);
    buf_done(&h->out);
}

void agent_host_hello(struct agent_host *h)
{
    struct agent_hello hello = {.version_min = AGENT_VERSION_MIN,
                                .version_max = AGENT_VERSION_MAX,
                                .software = STR("test")};
    CHECK_EQ(AGENT_NONCE, getrandom(h->nonce, AGENT_NONCE, 0));
    memcpy(hello.nonce, h->nonce, AGENT_NONCE);
    agent_decoder_done(&h->in);
    agent_decoder_init(&h->in, h->nonce);
    buf_reset(&h->out);
    CHECK_EQ(ST_OK, agent_put_hello(&h->out, &hello, NULL));
    agent_host_flush(h);
    struct agent_frame f = agent_host_want(h, AGENT_HELLO, 0);
    CHECK_EQ(ST_OK, agent_get_hello(f.payload, &hello, NULL));
    CHECK_EQ(AGENT_VERSION_MAX, agent_hello_common(&hello));
    memcpy(h->boot_id, hello.boot_id, sizeof h->boot_id);
    CHECK_EQ(ST_OK, str_copy(hello.trouble, h->trouble, sizeof h->trouble, NULL));
}

/* Read once; false at the deadline. */
static bool fill(struct agent_host *h)
{
    char data[16 * 1024];
    struct pollfd p = {.fd = h->fd, .events = POLLIN};
    if (poll(&p, 1, h->wait_ms) <= 0)
        return false;
    ssize_t n = read(h->fd, data, sizeof data);
    if (n <= 0)
        tap_fail(__FILE__, __LINE__, "the agent's stream ended: %s", n ? strerror(errno) : "EOF");
    agent_decoder_feed(&h->in, data, (size_t)n);
    return true;
}

void agent_host_flush(struct agent_host *h)
{
    for (size_t at = 0; at < h->out.len;) {
        struct pollfd p = {.fd = h->fd, .events = POLLOUT};
        if (poll(&p, 1, h->wait_ms) <= 0)
            tap_fail(__FILE__, __LINE__, "the agent takes nothing for %d ms", h->wait_ms);
        ssize_t n = write(h->fd, h->out.ptr + at, h->out.len - at);
        if (n < 0 && errno != EAGAIN)
            tap_fail(__FILE__, __LINE__, "write to the agent: %s", strerror(errno));
        at += n > 0 ? (size_t)n : 0;
    }
    buf_reset(&h->out);
}

struct agent_frame agent_host_next(struct agent_host *h)
{
    struct agent_frame f = {0};
    while (!agent_decoder_next(&h->in, &f))
        if (!fill(h))
            tap_fail(__FILE__, __LINE__, "no frame from the agent in %d ms", h->wait_ms);
    return f;
}

struct agent_frame agent_host_want(struct agent_host *h, enum agent_type type, uint32_t channel)
{
    struct agent_frame f = agent_host_next(h);
    if (f.type != type || f.channel != channel) {
        struct fault e = {.text = ""};
        if (f.type == AGENT_ERROR && agent_get_error(f.payload, &e, NULL) != ST_OK)
            e.text[0] = 0;
        tap_fail(__FILE__, __LINE__, "want %s on %u, got %s on %u %s", agent_type_name(type),
                 channel, agent_type_name(f.type), f.channel, e.text);
    }
    return f;
}

void agent_host_ping(struct agent_host *h)
{
    uint64_t sent = 0x1234567890abcdef, got;
    CHECK_EQ(ST_OK, agent_put_ping(&h->out, AGENT_PING, sent));
    agent_host_flush(h);
    CHECK_EQ(ST_OK, agent_get_ping(agent_host_want(h, AGENT_PONG, 0).payload, &got, NULL));
    CHECK_EQ(sent, got);
}

void agent_output_done(struct agent_output *o)
{
    buf_done(&o->out);
    buf_done(&o->err);
}

void agent_host_collect(struct agent_host *h, uint32_t channel, struct agent_output *ret)
{
    struct agent_flow flow;
    agent_flow_init(&flow);
    *ret = (struct agent_output){0};
    buf_init(&ret->out, OUTPUT_MAX);
    buf_init(&ret->err, OUTPUT_MAX);
    for (;;) {
        struct agent_frame f = agent_host_next(h);
        if (f.channel != channel)
            tap_fail(__FILE__, __LINE__, "%s on channel %u", agent_type_name(f.type), f.channel);
        if (f.type == AGENT_CREDIT)
            continue;
        if (f.type == AGENT_EXIT) {
            CHECK_EQ(ST_OK, agent_get_exit(f.payload, &ret->exit, NULL));
            return;
        }
        if (f.type == AGENT_ERROR) {
            ret->failed = true;
            CHECK_EQ(ST_OK, agent_get_error(f.payload, &ret->why, NULL));
            return;
        }
        CHECK(f.type == AGENT_STDOUT || f.type == AGENT_STDERR);
        CHECK_EQ(ST_OK, agent_flow_received(&flow, f.payload.len, NULL));
        buf_str(f.type == AGENT_STDOUT ? &ret->out : &ret->err, f.payload);
        uint32_t grant = agent_flow_eaten(&flow, f.payload.len);
        if (grant) {
            CHECK_EQ(ST_OK, agent_put_credit(&h->out, channel, grant));
            agent_host_flush(h);
        }
    }
}

void agent_host_sh(struct agent_host *h, const char *line, struct str input,
                   struct agent_output *ret)
{
    struct agent_exec x = {.argc = 3, .argv = {STR("sh"), STR("-c"), str_from(line)}};
    uint32_t channel = ++h->channel;
    CHECK(input.len <= AGENT_WINDOW);
    CHECK_EQ(ST_OK, agent_put_exec(&h->out, channel, &x, NULL));
    while (input.len > 0) {
        size_t n = agent_put_data(&h->out, AGENT_STDIN, channel, input);
        input = (struct str){input.ptr + n, input.len - n};
    }
    CHECK_EQ(ST_OK, agent_put_plain(&h->out, AGENT_STDIN_EOF, channel));
    agent_host_flush(h);
    agent_host_collect(h, channel, ret);
}

enum status agent_host_done(struct agent_host *h, uint32_t channel, struct fault *why)
{
    for (;;) {
        struct agent_frame f = agent_host_next(h);
        CHECK_EQ(channel, f.channel);
        if (f.type == AGENT_DONE)
            return ST_OK;
        if (f.type == AGENT_CREDIT)
            continue;
        CHECK_EQ(AGENT_ERROR, f.type);
        struct fault e;
        CHECK_EQ(ST_OK, agent_get_error(f.payload, &e, NULL));
        if (why)
            *why = e;
        return e.status;
    }
}

enum status agent_host_push(struct agent_host *h, const char *path, uint32_t mode,
                            struct str content, struct fault *why)
{
    struct agent_file f = {.path = str_from(path), .mode = mode, .size = content.len};
    struct agent_flow flow;
    uint32_t channel = ++h->channel;
    agent_flow_init(&flow);
    CHECK_EQ(ST_OK, agent_put_file(&h->out, AGENT_FILE_PUSH, channel, &f, NULL));
    while (content.len > 0) {
        struct str part = {content.ptr, MIN(content.len, (size_t)flow.may_send)};
        size_t n = agent_put_data(&h->out, AGENT_FILE_DATA, channel, part);
        if (n > 0) {
            agent_flow_sent(&flow, n);
            content = (struct str){content.ptr + n, content.len - n};
            continue;
        }
        agent_host_flush(h);
        struct agent_frame got = agent_host_next(h);
        struct fault e;
        if (got.type == AGENT_ERROR) {
            CHECK_EQ(ST_OK, agent_get_error(got.payload, &e, NULL));
            if (why)
                *why = e;
            return e.status;
        }
        uint32_t credit;
        CHECK_EQ(AGENT_CREDIT, got.type);
        CHECK_EQ(ST_OK, agent_get_credit(got.payload, &credit, NULL));
        CHECK_EQ(ST_OK, agent_flow_credit(&flow, credit, NULL));
    }
    CHECK_EQ(ST_OK, agent_put_plain(&h->out, AGENT_FILE_EOF, channel));
    agent_host_flush(h);
    return agent_host_done(h, channel, why);
}

enum status agent_host_pull(struct agent_host *h, const char *path, struct buf *out,
                            struct agent_file *info, struct fault *why)
{
    struct agent_flow flow;
    uint32_t channel = ++h->channel;
    agent_flow_init(&flow);
    CHECK_EQ(ST_OK, agent_put_pull(&h->out, channel, str_from(path), NULL));
    agent_host_flush(h);
    for (;;) {
        struct agent_frame f = agent_host_next(h);
        CHECK_EQ(channel, f.channel);
        if (f.type == AGENT_FILE_EOF)
            return ST_OK;
        if (f.type == AGENT_FILE_INFO) {
            struct agent_file got;
            CHECK_EQ(ST_OK, agent_get_file(AGENT_FILE_INFO, f.payload, &got, NULL));
            if (info)
                *info = got;
            continue;
        }
        if (f.type == AGENT_ERROR) {
            struct fault e;
            CHECK_EQ(ST_OK, agent_get_error(f.payload, &e, NULL));
            if (why)
                *why = e;
            return e.status;
        }
        CHECK_EQ(AGENT_FILE_DATA, f.type);
        CHECK_EQ(ST_OK, agent_flow_received(&flow, f.payload.len, NULL));
        buf_str(out, f.payload);
        uint32_t grant = agent_flow_eaten(&flow, f.payload.len);
        if (grant) {
            CHECK_EQ(ST_OK, agent_put_credit(&h->out, channel, grant));
            agent_host_flush(h);
        }
    }
}
