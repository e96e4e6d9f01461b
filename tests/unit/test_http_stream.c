#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http.h"
#include "support/tap.h"
#include "support/web.h"

static void get(struct client *c, const char *path)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 4096);
    buf_fmt(&text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    client_text(c, buf_cstr(&text));
}

static void make_tenant(struct web *w, const char *name)
{
    struct client *c = web_connect(w);
    char body[100];
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    CHECK_EQ(201, client_call(c, "POST", "/v1/tenants", body));
    client_close(c);
}

/* The bytes of a chunked body, as far as they came. */
static void unchunk(const struct client *c, struct buf *out)
{
    const char *p = client_body(c), *end = buf_cstr(&c->in) + c->in.len;
    buf_reset(out);
    while (p < end) {
        char *data;
        size_t n = strtoul(p, &data, 16);
        data += 2;
        if (n == 0 || data + n > end)
            return;
        buf_add(out, data, n);
        p = data + n + 2;
    }
}

static struct vmm_stream *stream_of(struct web *w)
{
    WAIT(w, w->f.stream_count > 0);
    return &w->f.stream[w->f.stream_count - 1];
}

/* --- events --- */

TEST(http_events_come_as_they_happen)
{
    struct web w;
    struct client *c = web_open(&w);
    get(c, "/v1/events?follow");
    WAIT(&w, client_has_head(c));
    CHECK_EQ(200, client_status(c));
    CHECK_STR("text/event-stream", client_header(c, "Content-Type"));
    CHECK_EQ(1, http_view(w.http).feeds);
    uint64_t start = web_now_ms();
    make_tenant(&w, "acme");
    WAIT(&w, strstr(client_body(c), "event: tenant.created\n"));
    make_tenant(&w, "b");
    WAIT(&w, strstr(client_body(c), "\"name\":\"b\""));
    CHECK(web_now_ms() < start + 10000); /* long before a heartbeat */
    client_close(c);
    WAIT(&w, http_view(w.http).feeds == 0);
    web_stop(&w);
}

TEST(http_events_without_follow_end)
{
    struct web w;
    struct client *c = web_open(&w);
    CHECK_EQ(200, client_call(c, "GET", "/v1/events", NULL));
    CHECK(strstr(client_body(c), "event: cluster.created\n"));
    CHECK_EQ(200, client_call(c, "GET", "/v1/version", NULL)); /* the connection goes on */
    CHECK_EQ(400, client_call(c, "GET", "/v1/events?since=x", NULL));
    web_stop(&w);
}

TEST(http_events_resume_after_the_last_id)
{
    struct web w;
    char request[300];
    web_init(&w);
    web_start(&w);
    make_tenant(&w, "a");
    struct client *c = web_connect(&w);
    CHECK_EQ(200, client_call(c, "GET", "/v1/events?kind=tenant", NULL));
    const char *last = NULL;
    for (const char *p = client_body(c); (p = strstr(p, "id: ")); p += 4)
        last = p + 4;
    CHECK(last);
    (void)snprintf(request, sizeof request,
                   "GET /v1/events?follow HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %.*s\r\n\r\n",
                   (int)strcspn(last, "\n"), last);
    make_tenant(&w, "b");
    buf_reset(&c->in);
    client_text(c, request);
    WAIT(&w, strstr(client_body(c), "\"name\":\"b\""));
    CHECK(!strstr(client_body(c), "\"name\":\"a\""));
    client_text(web_connect(&w), "GET /v1/events?follow HTTP/1.1\r\nHost: x\r\n"
                                 "Last-Event-ID: 99999.1\r\n\r\n");
    struct client *lost = w.client[w.client_count - 1];
    WAIT(&w, strstr(client_body(lost), "event: reset\n"));
    web_stop(&w);
}

TEST(http_events_beat_while_nothing_happens)
{
    struct web w;
    web_init(&w);
    w.config.heartbeat_ms = 100;
    web_start(&w);
    struct client *c = web_connect(&w);
    get(c, "/v1/events?follow");
    WAIT(&w, client_has_head(c));
    uint64_t start = web_now_ms();
    WAIT(&w, strstr(client_body(c), ":\n\n"));
    CHECK(web_now_ms() >= start + 90);
    client_close(c);
    WAIT(&w, http_view(w.http).connections == 0);
    /* Without listeners there are no beats. */
    start = web_now_ms();
    while (fake_turn(&w.f))
        ;
    CHECK_EQ(ST_OK, loop_turn(w.loop, 0, NULL));
    CHECK_EQ(ST_OK, loop_turn(w.loop, 250, NULL));
    CHECK(web_now_ms() >= start + 240);
    web_stop(&w);
}

TEST(http_events_reach_many_listeners)
{
    enum { MANY = 300 };
    struct web w;
    web_init(&w);
    w.config.connections_max = MANY + 1;
    web_start(&w);
    for (int i = 0; i < MANY; i++) {
        get(web_connect(&w), "/v1/events?follow");
        web_turn(&w);
    }
    WAIT(&w, http_view(w.http).feeds == MANY);
    make_tenant(&w, "acme");
    for (int i = 0; i < MANY; i++)
        WAIT(&w, strstr(client_body(w.client[i]), "\"name\":\"acme\""));
    for (int i = 0; i < MANY; i++)
        client_close(w.client[i]);
    WAIT(&w, http_view(w.http).connections == 0);
    web_stop(&w);
}

/* A listener that reads nothing costs nothing, and later reads everything in order. */
TEST(http_events_wait_for_a_slow_listener)
{
    struct web w;
    web_init(&w);
    web_start(&w);
    struct client *slow = web_connect(&w), *busy = web_connect(&w);
    get(slow, "/v1/events?follow&kind=tenant");
    WAIT(&w, client_has_head(slow));
    slow->deaf = true;
    enum { TENANTS = 900 };
    for (int i = 0; i < TENANTS; i++) {
        char body[64];
        (void)snprintf(body, sizeof body, "{\"name\":\"t%d\"}", i);
        client_text(busy, "POST /v1/tenants HTTP/1.1\r\nHost: x\r\n");
        char rest[120];
        (void)snprintf(rest, sizeof rest, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
        CHECK_EQ(201, client_ask(busy, rest));
    }
    slow->deaf = false;
    WAIT(&w, strstr(client_body(slow), "\"name\":\"t899\""));
    const char *p = client_body(slow);
    for (int i = 0; i < TENANTS; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "\"name\":\"t%d\"", i);
        p = strstr(p, name);
        CHECK(p);
    }
    web_stop(&w);
}

/* --- logs and files from a VM --- */

TEST(http_logs_stream_until_their_end)
{
    struct web w;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    struct client *c = web_open_vm(&w);
    get(c, "/v1/vms/web-1/logs?follow&tail=100");
    WAIT(&w, client_has_head(c)); /* before anything was written */
    CHECK_EQ(200, client_status(c));
    struct vmm_stream *s = stream_of(&w);
    CHECK(s->kind == VMM_STREAM_LOG && s->follow && s->tail == 100);
    s->events->data(s->events->ctx, VMM_STDOUT, STR("login: "));
    WAIT(&w, strstr(client_body(c), "login: "));
    CHECK_EQ(7, s->granted);
    s->events->data(s->events->ctx, VMM_STDOUT, STR("bye\n"));
    s->open = false;
    s->events->closed(s->events->ctx, ST_OK, NULL, 0);
    WAIT(&w, client_has_answer(c));
    unchunk(c, &text);
    CHECK_STR("login: bye\n", buf_cstr(&text));
    CHECK_EQ(200, client_call(c, "GET", "/v1/version", NULL));
    web_stop(&w);
}

TEST(http_logs_are_closed_when_the_reader_goes)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    get(c, "/v1/vms/web-1/logs?follow");
    struct vmm_stream *s = stream_of(&w);
    WAIT(&w, client_has_head(c));
    client_close(c);
    WAIT(&w, !s->open);
    web_stop(&w);
}

/* What the reader has not taken is not granted, so the VM's side stops sending. */
TEST(http_logs_hold_back_for_a_slow_reader)
{
    enum { ALL = 8 << 20 };
    struct web w;
    struct client *c = web_open_vm(&w);
    get(c, "/v1/vms/web-1/logs?follow");
    struct vmm_stream *s = stream_of(&w);
    size_t sent = 0;
    c->deaf = true;
    for (int i = 0; i < 300; i++)
        web_send_granted(&w, s, &sent, ALL);
    CHECK(sent < 2 * WEB_WINDOW + (1 << 20)); /* socket buffers included */
    c->deaf = false;
    for (int i = 0; i < 4000 && sent < ALL; i++)
        web_send_granted(&w, s, &sent, ALL);
    CHECK_EQ(ALL, sent);
    s->open = false;
    s->events->closed(s->events->ctx, ST_OK, NULL, 0);
    WAIT(&w, client_has_answer(c));
    AUTO(buf_done) struct buf all;
    buf_init(&all, ALL + 1);
    unchunk(c, &all);
    CHECK_EQ(ALL, all.len);
    web_stop(&w);
}

TEST(http_stream_that_sends_too_much_is_ended)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    get(c, "/v1/vms/web-1/logs?follow");
    struct vmm_stream *s = stream_of(&w);
    c->deaf = true;
    static char block[1 << 20];
    for (int i = 0; i < 6; i++)
        s->events->data(s->events->ctx, VMM_STDOUT, (struct str){block, sizeof block});
    c->deaf = false;
    WAIT(&w, c->eof && !s->open);
    CHECK(!client_has_answer(c)); /* cut short, and it shows */
    web_stop(&w);
}

TEST(http_pull_answers_with_the_file_or_a_problem)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    struct fault why;
    get(c, "/v1/vms/web-1/files?path=/etc/motd");
    struct vmm_stream *s = stream_of(&w);
    CHECK(s->kind == VMM_STREAM_PULL);
    CHECK_EQ(0, c->in.len);
    s->events->data(s->events->ctx, VMM_STDOUT, STR("hello"));
    s->open = false;
    s->events->closed(s->events->ctx, ST_OK, NULL, 0);
    WAIT(&w, client_has_answer(c));
    CHECK(strstr(client_body(c), "5\r\nhello\r\n0\r\n"));

    buf_reset(&c->in);
    w.f.stream_count = 0;
    get(c, "/v1/vms/web-1/files?path=/nowhere");
    s = stream_of(&w);
    s->open = false;
    (void)fault_set(&why, ST_NOT_FOUND, "/nowhere: No such file or directory");
    s->events->closed(s->events->ctx, ST_NOT_FOUND, &why, 0);
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(404, client_status(c));
    CHECK(strstr(client_body(c), "No such file"));

    buf_reset(&c->in); /* an empty file */
    w.f.stream_count = 0;
    get(c, "/v1/vms/web-1/files?path=/empty");
    s = stream_of(&w);
    s->open = false;
    s->events->closed(s->events->ctx, ST_OK, NULL, 0);
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(200, client_status(c));

    buf_reset(&c->in); /* it breaks off */
    w.f.stream_count = 0;
    get(c, "/v1/vms/web-1/files?path=/big");
    s = stream_of(&w);
    s->events->data(s->events->ctx, VMM_STDOUT, STR("part"));
    WAIT(&w, strstr(client_body(c), "part"));
    s->open = false;
    (void)fault_set(&why, ST_UNAVAILABLE, "the VM has stopped");
    s->events->closed(s->events->ctx, ST_UNAVAILABLE, &why, 0);
    WAIT(&w, c->eof);
    CHECK(!client_has_answer(c));
    CHECK_EQ(404, client_call(web_connect(&w), "GET", "/v1/vms/x/files?path=/a", NULL));
    web_stop(&w);
}

/* --- files to a VM --- */

static void put(struct client *c, size_t size)
{
    char head[200];
    (void)snprintf(head, sizeof head,
                   "PUT /v1/vms/web-1/files?path=/tmp/f&mode=384 HTTP/1.1\r\nHost: x\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   size);
    client_text(c, head);
}

TEST(http_push_writes_a_file)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    put(c, 11);
    struct vmm_stream *s = stream_of(&w);
    CHECK(s->kind == VMM_STREAM_PUSH && s->size == 11);
    client_text(c, "hello ");
    client_text(c, "world");
    WAIT(&w, s->input_ended);
    CHECK_STR("hello world", buf_cstr(&s->input));
    CHECK_EQ(0, c->in.len); /* not before the guest says so */
    s->open = false;
    s->events->closed(s->events->ctx, ST_OK, NULL, 0);
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(204, client_status(c));

    buf_reset(&c->in); /* an empty file, on the same connection */
    w.f.stream_count = 0;
    put(c, 0);
    s = stream_of(&w);
    WAIT(&w, s->input_ended);
    s->open = false;
    s->events->closed(s->events->ctx, ST_OK, NULL, 0);
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(204, client_status(c));
    web_stop(&w);
}

TEST(http_push_waits_for_a_slow_vm)
{
    enum { ALL = 4 << 20 };
    struct web w;
    web_init(&w);
    w.config.body_ms = 100;
    web_start(&w);
    web_make_vm(&w);
    struct client *c = web_connect(&w);
    char *all = mem_new(ALL);
    for (size_t i = 0; i < ALL; i++)
        all[i] = (char)(i * 7 >> 3);
    put(c, ALL);
    struct vmm_stream *s = stream_of(&w);
    s->input_max = 10000;
    size_t sent = 0;
    for (int i = 0; i < 100; i++) {
        ssize_t n =
            send(c->fd, all + sent, MIN(ALL - sent, (size_t)65536), MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        web_turn(&w);
    }
    CHECK_EQ(10000, s->input.len);
    CHECK(sent < 2 << 20); /* it was held back */
    uint64_t start = web_now_ms();
    while (web_now_ms() < start + 500)
        web_turn(&w);
    CHECK(!c->eof); /* and not blamed for being slow */
    while (!s->input_ended) {
        ssize_t n = send(c->fd, all + sent, ALL - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        s->input_max += 50000;
        s->events->writable(s->events->ctx);
        web_turn(&w);
    }
    CHECK_EQ(ALL, s->input.len);
    CHECK(memcmp(all, s->input.ptr, ALL) == 0);
    s->open = false;
    s->events->closed(s->events->ctx, ST_OK, NULL, 0);
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(204, client_status(c));
    free(all);
    web_stop(&w);
}

TEST(http_push_that_fails_half_way_says_why)
{
    struct web w;
    static char block[100000];
    struct fault why;
    struct client *c = web_open_vm(&w);
    put(c, 2 * sizeof block);
    struct vmm_stream *s = stream_of(&w);
    s->input_max = 5000;
    client_send(c, block, sizeof block);
    WAIT(&w, s->input.len == 5000);
    s->open = false;
    (void)fault_set(&why, ST_NO_SPACE, "/tmp/f: No space left on device");
    s->events->closed(s->events->ctx, ST_NO_SPACE, &why, 0);
    client_send(c, block, sizeof block);
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(507, client_status(c));
    CHECK(strstr(client_body(c), "\"code\":\"no_space\""));

    c = web_connect(&w); /* refused before a byte was sent */
    w.f.open_status = ST_UNAVAILABLE;
    put(c, 10);
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(503, client_status(c));
    web_stop(&w);
}

TEST(http_push_is_given_up_with_its_client)
{
    struct web w;
    struct client *c = web_open_vm(&w);
    put(c, 1000);
    struct vmm_stream *s = stream_of(&w);
    client_text(c, "half");
    WAIT(&w, s->input.len == 4);
    client_close(c);
    WAIT(&w, !s->open);
    CHECK(!s->input_ended);
    web_stop(&w);
}

/* --- the end of the server --- */

TEST(http_close_ends_whatever_is_under_way)
{
    struct web w;
    web_init(&w);
    web_start(&w);
    web_make_vm(&w);
    get(web_connect(&w), "/v1/events?follow");
    get(web_connect(&w), "/v1/vms/web-1/logs?follow");
    put(web_connect(&w), 1000);
    client_text(web_connect(&w), "GET /v1/vms HTT");
    client_text(web_connect(&w), "GET /v1/vms/web-1/exec?argv=sh HTTP/1.1\r\nHost: x\r\n"
                                 "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                 "Sec-WebSocket-Version: 13\r\n"
                                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    w.f.images_held = true;
    client_text(web_connect(&w), "POST /v1/images HTTP/1.1\r\nHost: x\r\nPrefer: wait=60\r\n"
                                 "Content-Length: 12\r\n\r\n{\"name\":\"i\"}");
    WAIT(&w, w.f.stream_count == 3 && w.f.image[0] && http_view(w.http).sockets == 1);
    for (int i = 0; i < 10; i++)
        web_turn(&w);
    web_stop(&w);
    for (size_t i = 0; i < 3; i++)
        CHECK(!w.f.stream[i].open);
}
