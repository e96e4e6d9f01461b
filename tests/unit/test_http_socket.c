#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http.h"
#include "support/tap.h"
#include "support/web.h"

#define UPGRADE                                                 \
    "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

enum { OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

/* A masked frame, as clients send them. */
static void frame(struct buf *out, int op, const void *data, size_t len)
{
    static const uint8_t mask[4] = {0x11, 0x22, 0x33, 0x44};
    const uint8_t *p = data;
    buf_char(out, (char)(0x80 | op));
    if (len < 126) {
        buf_char(out, (char)(0x80 | len));
    } else if (len < 65536) {
        buf_char(out, (char)(0x80 | 126));
        buf_char(out, (char)(len >> 8));
        buf_char(out, (char)len);
    } else {
        buf_char(out, (char)(0x80 | 127));
        for (int shift = 56; shift >= 0; shift -= 8)
            buf_char(out, (char)((uint64_t)len >> shift));
    }
    buf_add(out, mask, 4);
    for (size_t i = 0; i < len; i++)
        buf_char(out, (char)(p[i] ^ mask[i % 4]));
}

static void say(struct client *c, int op, const void *data, size_t len)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, 1 << 20);
    frame(&out, op, data, len);
    client_send(c, out.ptr, out.len);
}

/* The next frame of c->in, if it is whole: op and payload; the bytes are eaten by eat(). */
struct heard {
    int op;
    struct str data;
    size_t size;
};

static bool hear_frame(const struct client *c, struct heard *ret)
{
    const uint8_t *p = (const uint8_t *)buf_cstr(&c->in);
    size_t len = c->in.len, head = 2;
    if (len < 2)
        return false;
    size_t n = p[1];
    if (n == 126 && len >= 4) {
        n = (size_t)p[2] << 8 | p[3];
        head = 4;
    } else if (n >= 126) {
        return false;
    }
    if (len < head + n)
        return false;
    *ret = (struct heard){p[0] & 15, {(const char *)p + head, n}, head + n};
    return true;
}

static struct heard next_frame(struct client *c)
{
    struct heard h;
    WAIT(c->web, hear_frame(c, &h));
    return h;
}

static void eat(struct client *c, const struct heard *h)
{
    buf_eat(&c->in, h->size);
}

static void ask_upgrade(struct client *c, const char *path)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 4096);
    buf_fmt(&text, "GET %s HTTP/1.1\r\nHost: x\r\n" UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n",
            path);
    client_text(c, buf_cstr(&text));
}

/* A socket to a process in web-1, open on both sides. */
static struct vmm_stream *open_socket(struct web *w, struct client *c, const char *path)
{
    ask_upgrade(c, path);
    WAIT(w, client_has_head(c));
    CHECK_EQ(101, client_status(c));
    CHECK_STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", client_header(c, "Sec-WebSocket-Accept"));
    buf_eat(&c->in, (size_t)(client_body(c) - buf_cstr(&c->in)));
    WAIT(w, http_view(w->http).sockets > 0);
    return &w->f.stream[w->f.stream_count - 1];
}

static void closed(struct vmm_stream *s, int exit_status)
{
    s->open = false;
    s->events->closed(s->events->ctx, ST_OK, NULL, exit_status);
}

TEST(socket_carries_a_process)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    struct vmm_stream *s = open_socket(&w, c, "/v1/vms/web-1/exec?argv=cat&argv=-n&tty");
    CHECK(s->kind == VMM_STREAM_EXEC && s->tty);
    CHECK_STR("cat -n", s->text);

    say(c, OP_BINARY, "\0hello", 6);
    WAIT(&w, s->input.len == 5);
    CHECK_STR("hello", buf_cstr(&s->input));
    say(c, OP_BINARY, "\4{\"rows\":50,\"cols\":132}", 23);
    WAIT(&w, s->rows == 50 && s->cols == 132);

    s->events->data(s->events->ctx, VMM_STDOUT, STR("1 hello"));
    struct heard h = next_frame(c);
    CHECK(h.op == OP_BINARY && h.data.len == 8 &&
          memcmp(h.data.ptr,
                 "\1"
                 "1 hello",
                 8) == 0);
    eat(c, &h);
    WAIT(&w, s->granted == 7);
    s->events->data(s->events->ctx, VMM_STDERR, STR("oops"));
    h = next_frame(c);
    CHECK(h.data.len == 5 && memcmp(h.data.ptr, "\2oops", 5) == 0);
    eat(c, &h);

    say(c, OP_BINARY, "\0", 1); /* the end of input */
    WAIT(&w, s->input_ended);
    closed(s, 3);
    h = next_frame(c);
    CHECK(h.data.len == 18 && memcmp(h.data.ptr, "\3{\"exit_status\":3}", 18) == 0);
    eat(c, &h);
    h = next_frame(c);
    CHECK(h.op == OP_CLOSE && memcmp(h.data.ptr, "\x03\xe8", 2) == 0);
    say(c, OP_CLOSE, "\x03\xe8", 2);
    WAIT(&w, c->eof);
    WAIT(&w, http_view(w.http).connections == 0);
    CHECK_EQ(101, w.last.status);
    web_stop(&w);
}

TEST(socket_client_closes_and_the_vm_is_told)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    struct vmm_stream *s = open_socket(&w, c, "/v1/vms/web-1/console");
    CHECK(s->kind == VMM_STREAM_CONSOLE && s->tail > 0);
    say(c, OP_CLOSE, "\x03\xe8", 2);
    struct heard h = next_frame(c);
    CHECK_EQ(OP_CLOSE, h.op);
    WAIT(&w, c->eof && !s->open);

    c = web_connect(&w); /* or it just goes */
    s = open_socket(&w, c, "/v1/vms/web-1/console");
    client_close(c);
    WAIT(&w, !s->open && http_view(w.http).sockets == 0);
    web_stop(&w);
}

TEST(socket_failure_of_the_vm_is_told_as_a_problem)
{
    struct web w;
    struct fault why;
    struct client *c = web_open_vm(&w);
    struct vmm_stream *s = open_socket(&w, c, "/v1/vms/web-1/exec?argv=nope");
    s->open = false;
    (void)fault_set(&why, ST_NOT_FOUND, "nope: No such file or directory");
    s->events->closed(s->events->ctx, ST_NOT_FOUND, &why, 0);
    struct heard h = next_frame(c);
    CHECK(h.data.ptr[0] == 3);
    AUTO(buf_done) struct buf text;
    buf_init(&text, 1000);
    buf_str(&text, h.data);
    CHECK(strstr(buf_cstr(&text), "\"code\":\"not_found\""));
    WAIT(&w, c->in.len > h.size);
    web_stop(&w);
}

TEST(socket_takes_frames_that_come_with_the_request)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    AUTO(buf_done) struct buf all;
    buf_init(&all, 4096);
    buf_text(&all, "GET /v1/vms/web-1/exec?argv=cat HTTP/1.1\r\nHost: x\r\n" UPGRADE
                   "Sec-WebSocket-Version: 13\r\n\r\n");
    frame(&all, OP_BINARY, "\0early", 6);
    frame(&all, OP_BINARY, "\0", 1);
    client_send(c, all.ptr, all.len);
    WAIT(&w, w.f.stream_count == 1 && w.f.stream[0].input_ended);
    CHECK_STR("early", buf_cstr(&w.f.stream[0].input));
    web_stop(&w);
}

TEST(socket_tells_what_happened_before_it_was_open)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    ask_upgrade(c, "/v1/vms/web-1/exec?argv=true");
    while (w.f.stream_count == 0)
        CHECK_EQ(ST_OK, loop_turn(w.loop, 10, NULL));
    struct vmm_stream *s = &w.f.stream[0];
    s->events->data(s->events->ctx, VMM_STDOUT, STR("x"));
    closed(s, 0);
    WAIT(&w, client_has_head(c));
    CHECK_EQ(101, client_status(c));
    buf_eat(&c->in, (size_t)(client_body(c) - buf_cstr(&c->in)));
    struct heard h = next_frame(c);
    CHECK(memcmp(h.data.ptr, "\1x", 2) == 0);
    eat(c, &h);
    h = next_frame(c);
    CHECK(h.data.ptr[0] == 3);
    web_stop(&w);
}

TEST(socket_answers_pings_and_takes_fragments)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    struct vmm_stream *s = open_socket(&w, c, "/v1/vms/web-1/exec?argv=cat");
    say(c, OP_PING, "abc", 3);
    struct heard h = next_frame(c);
    CHECK(h.op == OP_PONG && h.data.len == 3);
    eat(c, &h);
    AUTO(buf_done) struct buf part;
    buf_init(&part, 100);
    frame(&part, OP_BINARY, "\0he", 3);
    part.ptr[0] = OP_BINARY; /* not the last */
    size_t first = part.len;
    frame(&part, 0, "llo", 3);
    client_send(c, part.ptr, first);
    client_send(c, part.ptr + first, part.len - first);
    WAIT(&w, s->input.len == 5);
    CHECK_STR("hello", buf_cstr(&s->input));
    web_stop(&w);
}

TEST(socket_closes_on_what_it_does_not_understand)
{
    static char big[70000];
    static const struct {
        int op;
        const char *data;
        size_t len;
        unsigned code;
    } bad[] = {
        {OP_TEXT, "hello", 5, 1003},
        {OP_BINARY, "", 0, 1002},
        {OP_BINARY, "\1x", 2, 1002},
        {OP_BINARY, "\7x", 2, 1002},
        {OP_BINARY, "\4{}", 3, 1002},
        {OP_BINARY, "\4{\"rows\":0,\"cols\":9}", 20, 1002},
        {OP_BINARY, "\4nonsense", 9, 1002},
        {OP_BINARY, big, sizeof big, 1009},
        {3, "x", 1, 1002},
    };
    struct web w;
    web_init(&w);
    web_start(&w);
    web_make_vm(&w);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct client *c = web_connect(&w);
        struct vmm_stream *s = open_socket(&w, c, "/v1/vms/web-1/exec?argv=cat");
        say(c, bad[i].op, bad[i].data, bad[i].len);
        struct heard h = next_frame(c);
        printf("# %zu: op %d\n", i, h.op);
        CHECK_EQ(OP_CLOSE, h.op);
        CHECK_EQ(bad[i].code, (unsigned)(uint8_t)h.data.ptr[0] << 8 | (uint8_t)h.data.ptr[1]);
        say(c, OP_CLOSE, "\x03\xe8", 2);
        WAIT(&w, c->eof && !s->open);
    }
    struct client *c = web_connect(&w); /* not masked */
    (void)open_socket(&w, c, "/v1/vms/web-1/exec?argv=cat");
    client_send(c, "\x82\x02\0x", 4);
    WAIT(&w, c->eof || c->in.len > 0);
    web_stop(&w);
}

TEST(socket_refuses_a_bad_handshake)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    CHECK_EQ(426, client_call(c, "GET", "/v1/vms/web-1/console", NULL));
    CHECK_STR("websocket", client_header(c, "Upgrade"));
    CHECK_EQ(426, client_ask(c, "GET /v1/vms/web-1/console HTTP/1.1\r\nHost: x\r\n" UPGRADE
                                "Sec-WebSocket-Version: 8\r\n\r\n"));
    CHECK_STR("13", client_header(c, "Sec-WebSocket-Version"));
    CHECK_EQ(400, client_ask(c, "GET /v1/vms/web-1/console HTTP/1.1\r\nHost: x\r\n"
                                "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n"));
    ask_upgrade(c, "/v1/vms/web-9/console");
    buf_reset(&c->in);
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(404, client_status(c));
    buf_reset(&c->in);
    ask_upgrade(c, "/v1/vms/web-1/exec"); /* nothing to run */
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(400, client_status(c));
    CHECK_EQ(0, w.f.stream_count);
    web_stop(&w);
}

/* --- flow --- */

TEST(socket_holds_back_a_vm_whose_client_does_not_read)
{
    enum { ALL = 8 << 20 };
    struct web w;
    struct client *c = web_open_vm(&w);
    struct vmm_stream *s = open_socket(&w, c, "/v1/vms/web-1/exec?argv=yes");
    size_t sent = 0;
    c->deaf = true;
    for (int i = 0; i < 300; i++)
        web_send_granted(&w, s, &sent, ALL);
    int waiting = 0;
    CHECK_EQ(0, ioctl(c->fd, FIONREAD, &waiting));
    CHECK(s->granted <= (size_t)waiting);
    CHECK(sent <= s->granted + WEB_WINDOW);
    c->deaf = false;
    for (int i = 0; i < 4000 && sent < ALL; i++)
        web_send_granted(&w, s, &sent, ALL);
    CHECK_EQ(ALL, sent);
    WAIT(&w, s->granted == ALL);
    web_stop(&w);
}

TEST(socket_holds_back_a_client_whose_vm_does_not_read)
{
    enum { MESSAGE = 50000, COUNT = 40 };
    static char message[MESSAGE + 1];
    struct web w;
    struct client *c = web_open_vm(&w);
    struct vmm_stream *s = open_socket(&w, c, "/v1/vms/web-1/exec?argv=cat");
    s->input_max = 1000;
    AUTO(buf_done) struct buf all;
    buf_init(&all, 8 << 20);
    for (int i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < MESSAGE; k++)
            message[k + 1] = (char)(i + (int)(k >> 8));
        frame(&all, OP_BINARY, message, sizeof message);
    }
    size_t sent = 0;
    while (s->input.len < (size_t)MESSAGE * COUNT) {
        ssize_t n = send(c->fd, all.ptr + sent, all.len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        for (int i = 0; i < 10; i++)
            web_turn(&w);
        CHECK(sent < s->input.len + (1 << 20)); /* socket buffers and one message */
        s->input_max += 30000;
        s->events->writable(s->events->ctx);
    }
    for (size_t i = 0; i < s->input.len; i++)
        CHECK((char)(i / MESSAGE + (i % MESSAGE >> 8)) == s->input.ptr[i]);
    web_stop(&w);
}

/* Pings of a client that reads no pongs do not pile up. */
TEST(socket_answers_are_bounded)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    struct vmm_stream *s = open_socket(&w, c, "/v1/vms/web-1/exec?argv=cat");
    AUTO(buf_done) struct buf pings;
    static char text[125];
    buf_init(&pings, 8 << 20);
    for (int i = 0; i < 20000; i++)
        frame(&pings, OP_PING, text, sizeof text);
    c->deaf = true;
    size_t sent = 0;
    for (int i = 0; i < 300; i++) {
        ssize_t n = send(c->fd, pings.ptr + sent, pings.len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        web_turn(&w);
    }
    CHECK(sent < pings.len);
    CHECK(s->open);
    client_close(c);
    WAIT(&w, !s->open);
    web_stop(&w);
}

TEST(socket_client_that_does_not_agree_to_close_is_cut_off)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    struct vmm_stream *s = open_socket(&w, c, "/v1/vms/web-1/exec?argv=true");
    uint64_t start = web_now_ms();
    closed(s, 0);
    WAIT(&w, c->eof);
    CHECK(web_now_ms() >= start + 4900);
    WAIT(&w, http_view(w.http).connections == 0);
    web_stop(&w);
}
