#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http/http.h"
#include "http/ws_key.h"
#include "os/net_unix.h"
#include "support/tap.h"
#include "support/web.h"

/* --- requests and answers --- */

TEST(http_answers_json_and_keeps_the_connection)
{
    struct web w;
    struct client *c = web_open(&w);
    CHECK_EQ(200, client_call(c, "GET", "/v1/cluster", NULL));
    CHECK_STR("application/json", client_header(c, "Content-Type"));
    CHECK(atoi(client_header(c, "Blixard-Index")) > 0);
    CHECK_STR("no-cache", client_header(c, "Cache-Control"));
    CHECK(strstr(client_body(c), "\"name\":\"c\""));
    for (int i = 0; i < 20; i++)
        CHECK_EQ(200, client_call(c, "GET", "/v1/nodes?consistency=local", NULL));
    CHECK(!c->eof);
    CHECK_EQ(1, http_view(w.http).accepted);
    CHECK_EQ(21, w.seen);
    CHECK(w.last.op == op_get(OP_NODE_LS) && w.last.status == 200 && !w.last.why);
    CHECK(str_starts(str_from(w.last.actor), "uid:"));
    web_stop(&w);
}

TEST(http_answers_what_comes_in_one_piece)
{
    struct web w;
    struct client *c = web_open(&w);
    client_text(c, "GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
                   "GET /v1/nodes/n1 HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&w, client_has_answer(c));
    CHECK(strstr(client_body(c), "feature_level"));
    client_eat(c);
    WAIT(&w, client_has_answer(c));
    CHECK(strstr(client_body(c), "testhost"));
    web_stop(&w);
}

TEST(http_takes_bodies_by_length_and_in_chunks)
{
    struct web w;
    struct client *c = web_open(&w);
    CHECK_EQ(201, client_call(c, "POST", "/v1/tenants", "{\"name\":\"acme\"}"));
    CHECK(str_starts(str_from(client_header(c, "Location")), "/v1/tenants/"));
    CHECK(client_header(c, "ETag")[0] == '"');
    CHECK_EQ(201, client_ask(c, "POST /v1/tenants HTTP/1.1\r\nHost: x\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n"
                                "8\r\n{\"name\":\r\n4\r\n\"b\"}\r\n0\r\n\r\n"));
    client_text(c, "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n"
                   "Expect: 100-continue\r\n\r\n");
    buf_reset(&c->in);
    WAIT(&w, client_has_head(c));
    CHECK_EQ(100, client_status(c));
    CHECK_EQ(201, client_ask(c, "{\"name\":\"c\"}"));
    web_stop(&w);
}

TEST(http_head_304_and_204_have_no_body)
{
    struct web w;
    char request[200];
    struct client *c = web_open(&w);
    CHECK_EQ(200, client_call(c, "GET", "/v1/nodes/n1", NULL));
    int len = atoi(client_header(c, "Content-Length"));
    (void)snprintf(request, sizeof request,
                   "GET /v1/nodes/n1 HTTP/1.1\r\nHost: x\r\nIf-None-Match: %s\r\n\r\n",
                   client_header(c, "ETag"));

    buf_reset(&c->in);
    client_text(c, "HEAD /v1/nodes/n1 HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&w, client_has_head(c));
    CHECK_EQ(200, client_status(c));
    CHECK_EQ(len, atoi(client_header(c, "Content-Length")));
    CHECK_STR("", client_body(c));

    CHECK_EQ(304, client_ask(c, request));
    CHECK_STR("", client_body(c));
    CHECK_EQ(201, client_call(c, "POST", "/v1/tenants", "{\"name\":\"acme\"}"));
    CHECK_EQ(204, client_call(c, "DELETE", "/v1/tenants/acme", NULL));
    CHECK_STR("", client_body(c));
    CHECK_EQ(200, client_call(c, "GET", "/v1/version", NULL)); /* all in step */

    /* Of a stream only the headers come, and nothing is opened. */
    buf_reset(&c->in);
    client_text(c, "HEAD /v1/events?follow HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&w, client_has_head(c));
    CHECK_STR("text/event-stream", client_header(c, "Content-Type"));
    CHECK_EQ(0, http_view(w.http).feeds);
    web_stop(&w);
}

TEST(http_problems_say_what_is_wrong)
{
    struct web w;
    struct client *c = web_open(&w);
    CHECK_EQ(404, client_call(c, "GET", "/v2/vms", NULL));
    CHECK_STR("application/problem+json", client_header(c, "Content-Type"));
    CHECK(strstr(client_body(c), "\"code\":\"not_found\""));
    CHECK_EQ(404, client_call(c, "GET", "/v1/vms/web-9", NULL));
    CHECK_EQ(405, client_call(c, "PUT", "/v1/vms/web-1", NULL));
    CHECK_STR("GET, PATCH, DELETE", client_header(c, "Allow"));
    CHECK(w.last.why && w.last.why->status == ST_UNSUPPORTED);
    CHECK_EQ(405, client_call(c, "BREW", "/v1/vms", NULL));
    CHECK_EQ(406, client_ask(c, "GET /v1/vms HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n"));
    CHECK_EQ(200, client_ask(c, "GET /v1/vms HTTP/1.1\r\nHost: x\r\nAccept: text/html;q=0.9, "
                                "application/*;q=0.1\r\n\r\n"));
    CHECK_EQ(406, client_ask(c, "GET /v1/vms HTTP/1.1\r\nHost: x\r\n"
                                "Accept: application/json;q=0\r\n\r\n"));
    CHECK_EQ(415, client_ask(c, "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                                "Content-Type: application/x-www-form-urlencoded\r\n\r\n{}"));
    c = web_connect(&w); /* an answer before the body closes the connection */
    CHECK_EQ(411, client_ask(c, "PUT /v1/vms/x/files?path=/a HTTP/1.1\r\nHost: x\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
    c = web_connect(&w);
    CHECK_EQ(411, client_ask(c, "PUT /v1/vms/x/files?path=/a HTTP/1.1\r\nHost: x\r\n"
                                "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "2\r\nab\r\n0\r\n\r\n"));
    c = web_connect(&w);
    CHECK_EQ(413, client_ask(c, "POST /v1/tenants HTTP/1.1\r\nHost: x\r\n"
                                "Content-Length: 99999999\r\n\r\n"));
    CHECK(strstr(client_body(c), "\"code\":\"too_big\""));
    web_stop(&w);
}

TEST(http_body_in_chunks_has_a_limit_too)
{
    struct web w;
    static char chunk[4096];
    struct client *c = web_open(&w);
    memset(chunk, ' ', sizeof chunk);
    memcpy(chunk, "ff9\r\n", 5); /* 5 + 0xff9 + 2 is the whole */
    memcpy(chunk + sizeof chunk - 2, "\r\n", 2);
    client_text(c, "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < OPS_BODY_MAX / 4096 + 2; i++)
        client_send(c, chunk, sizeof chunk);
    CHECK_EQ(413, client_ask(c, "0\r\n\r\n"));
    web_stop(&w);
}

/* What is no HTTP gets an answer of the library's, or none; others are served on. */
TEST(http_survives_what_is_no_request)
{
    static const char *const bad[] = {
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / FTP/1.0\r\n\r\n",
        "GET /v1/vms HTTP/1.1\r\n\r\n",
        "GET /v1/vms HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET /v1/vms HTTP/1.1\r\nHost x\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v1/vms HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/vms HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST /v1/vms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "POST /v1/vms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nxyz\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/vms/%2e%2e%2f HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/vms?%%%===&&& HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /v1/vms HTTP/1.1\r\nHost: x\r\nIf-Match: \x01\x02\xff\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "TRACE /v1/vms HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    struct web w;
    web_init(&w);
    w.config.header_ms = w.config.idle_ms = w.config.body_ms = 100;
    web_start(&w);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct client *c = web_connect(&w);
        client_text(c, bad[i]);
        WAIT(&w, c->eof); /* by then at the latest a deadline has passed */
        printf("# %zu: %u\n", i, client_status(c));
        CHECK(client_status(c) == 0 || client_status(c) == 200 || client_status(c) >= 400);
    }
    struct client *c = web_connect(&w);
    CHECK_EQ(200, client_call(c, "GET", "/v1/version", NULL));
    WAIT(&w, http_view(w.http).connections == 0);
    web_stop(&w);
}

TEST(http_headers_have_a_limit)
{
    struct web w;
    static char big[200000];
    web_init(&w);
    web_start(&w);
    memset(big, 'a', sizeof big - 1);
    struct client *c = web_connect(&w);
    client_text(c, "GET /");
    client_text(c, big);
    WAIT(&w, c->eof || client_has_head(c));
    CHECK(c->eof || client_status(c) == 414);
    c = web_connect(&w);
    client_text(c, "GET /v1/vms HTTP/1.1\r\nHost: x\r\nX-Big: ");
    client_text(c, big);
    WAIT(&w, c->eof || client_has_head(c));
    CHECK(c->eof || client_status(c) == 431);
    web_stop(&w);
}

TEST(http_metrics_come_in_both_forms)
{
    struct web w;
    struct client *c = web_open(&w);
    CHECK_EQ(200, client_call(c, "GET", "/metrics", NULL));
    CHECK(strstr(client_header(c, "Content-Type"), "version=0.0.4"));
    CHECK_STR("up 1\n", client_body(c));
    CHECK_EQ(200, client_ask(c, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: "
                                "application/openmetrics-text;version=1.0.0\r\n\r\n"));
    CHECK(strstr(client_header(c, "Content-Type"), "application/openmetrics-text"));
    CHECK_EQ(200, client_ask(c, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain, "
                                "application/openmetrics-text;q=0\r\n\r\n"));
    CHECK(strstr(client_header(c, "Content-Type"), "version=0.0.4"));
    CHECK_EQ(200, client_ask(c, "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"));
    CHECK(strstr(client_header(c, "Content-Type"), "version=0.0.4"));
    CHECK_EQ(200, client_call(c, "GET", "/readyz?verbose", NULL));
    CHECK(strstr(client_body(c), "[+] leader\n"));
    CHECK_EQ(200, client_call(c, "GET", "/v1/openapi.json", NULL));
    CHECK(strstr(client_body(c), "\"openapi\":\"3.1.0\""));
    web_stop(&w);
}

/* --- waiting --- */

/* Ask for a tenant; the log takes it and is not done. */
static void ask_held(struct web *w, struct client *c)
{
    w->f.log_held = true;
    client_text(c, "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n"
                   "{\"name\":\"acme\"}");
    WAIT(w, w->f.token_count > 0);
}

TEST(http_write_waits_without_holding_up_others)
{
    struct web w;
    web_init(&w);
    web_start(&w);
    struct client *slow = web_connect(&w), *quick = web_connect(&w);
    ask_held(&w, slow);
    CHECK_EQ(200, client_call(quick, "GET", "/v1/version", NULL));
    CHECK_EQ(0, slow->in.len);
    w.f.log_held = false;
    WAIT(&w, client_has_answer(slow));
    CHECK_EQ(201, client_status(slow));
    web_stop(&w);
}

TEST(http_client_that_hangs_up_is_noticed_while_it_waits)
{
    struct web w;
    struct client *c = web_open(&w);
    ask_held(&w, c);
    client_close(c);
    WAIT(&w, http_view(w.http).connections == 0);
    CHECK_EQ(499, w.last.status);
    w.f.log_held = false;
    fake_run(&w.f);
    c = web_connect(&w);
    CHECK_EQ(200, client_call(c, "GET", "/v1/tenants/acme", NULL)); /* it was done all the same */
    web_stop(&w);
}

TEST(http_client_that_only_stops_sending_gets_its_answer)
{
    struct web w;
    struct client *c = web_open(&w);
    ask_held(&w, c);
    CHECK_EQ(0, shutdown(c->fd, SHUT_WR));
    for (int i = 0; i < 20; i++)
        web_turn(&w);
    w.f.log_held = false;
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(201, client_status(c));
    web_stop(&w);
}

TEST(http_prefer_wait_holds_the_answer_until_the_end)
{
    struct web w;
    struct client *c = web_open(&w);
    w.f.images_held = true;
    client_text(c, "POST /v1/images HTTP/1.1\r\nHost: x\r\nPrefer: respond-async, wait=20\r\n"
                   "Content-Length: 12\r\n\r\n{\"name\":\"i\"}");
    WAIT(&w, w.f.image[0]);
    for (int i = 0; i < 20; i++)
        web_turn(&w);
    CHECK_EQ(0, c->in.len);
    w.f.images_held = false;
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(200, client_status(c));
    CHECK(strstr(client_body(c), "\"phase\":\"succeeded\""));
    web_stop(&w);
}

/* --- slow and greedy clients --- */

TEST(http_slow_headers_are_cut_off)
{
    struct web w;
    web_init(&w);
    w.config.header_ms = 300;
    web_start(&w);
    struct client *c = web_connect(&w);
    uint64_t start = web_now_ms(), next = start;
    client_text(c, "GET /v1/vms HTTP/1.1\r\nHost: x\r\n");
    /* A byte every now and then keeps a mere idle timeout away. */
    while (!c->eof) {
        if (web_now_ms() >= next) {
            next += 20;
            (void)!send(c->fd, "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        web_turn(&w);
        CHECK(web_now_ms() < start + 5000);
    }
    CHECK(web_now_ms() >= start + 290);
    CHECK(web_now_ms() < start + 2500);
    WAIT(&w, http_view(w.http).connections == 0);
    web_stop(&w);
}

TEST(http_slow_bodies_are_cut_off)
{
    struct web w;
    web_init(&w);
    w.config.body_ms = 200;
    web_start(&w);
    struct client *c = web_connect(&w);
    client_text(c, "POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n{");
    WAIT(&w, c->eof);
    WAIT(&w, http_view(w.http).connections == 0);
    CHECK_EQ(499, w.last.status);
    web_stop(&w);
}

/* Each at its own time; a stream may be quiet for as long as it likes. */
TEST(http_idle_connections_are_cut_off)
{
    struct web w;
    web_init(&w);
    w.config.header_ms = 300;
    w.config.idle_ms = 900;
    web_start(&w);
    struct client *half = web_connect(&w), *idle = web_connect(&w), *stream = web_connect(&w);
    CHECK_EQ(200, client_call(idle, "GET", "/v1/version", NULL));
    client_text(half, "GET");
    client_text(stream, "GET /v1/events?follow HTTP/1.1\r\nHost: x\r\n\r\n");
    uint64_t start = web_now_ms();
    WAIT(&w, half->eof);
    CHECK(!idle->eof);
    WAIT(&w, idle->eof);
    CHECK(web_now_ms() >= start + 800 && web_now_ms() < start + 5000);
    WAIT(&w, http_view(w.http).connections == 1);
    CHECK(!stream->eof);
    web_stop(&w);
}

TEST(http_client_that_does_not_take_its_answer_is_cut_off)
{
    struct web w;
    web_init(&w);
    w.config.answer_ms = 200;
    web_start(&w);
    struct client *c = web_connect(&w);
    int small = 4096;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    c->deaf = true;
    for (int i = 0; i < 40; i++)
        client_text(c, "GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&w, http_view(w.http).connections == 1);
    WAIT(&w, http_view(w.http).connections == 0);
    web_stop(&w);
}

TEST(http_further_connections_wait_for_a_place)
{
    struct web w;
    web_init(&w);
    w.config.connections_max = 2;
    web_start(&w);
    struct client *a = web_connect(&w), *b = web_connect(&w);
    CHECK_EQ(200, client_call(a, "GET", "/v1/version", NULL));
    CHECK_EQ(200, client_call(b, "GET", "/v1/version", NULL));
    struct client *c = web_connect(&w);
    client_text(c, "GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 20; i++)
        web_turn(&w);
    CHECK_EQ(0, c->in.len);
    CHECK_EQ(2, http_view(w.http).connections);
    uint64_t start = web_now_ms();
    client_close(a);
    WAIT(&w, client_has_answer(c));
    CHECK_EQ(200, client_status(c));
    CHECK(web_now_ms() < start + 5000); /* at once, not when some deadline is checked */
    web_stop(&w);
}

/* Idle connections cost nothing but memory: no timer comes before the earliest deadline. */
TEST(http_sleeps_while_connections_are_idle)
{
    struct web w;
    web_init(&w);
    web_start(&w);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(200, client_call(web_connect(&w), "GET", "/v1/version", NULL));
    while (fake_turn(&w.f))
        ;
    for (int i = 0; i < 10; i++)
        CHECK_EQ(ST_OK, loop_turn(w.loop, 0, NULL));
    uint64_t start = web_now_ms();
    CHECK_EQ(ST_OK, loop_turn(w.loop, 300, NULL)); /* would return early if anything happened */
    CHECK(web_now_ms() >= start + 290);
    web_stop(&w);
}

/* --- who connects --- */

/* In a child: become that user and group, ask for `path`, and exit with the status / 10. */
static int ask_as(struct web *w, uid_t uid, gid_t gid, gid_t extra, const char *path)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        char answer[64] = "";
        int fd, status = 0;
        if (setgroups(1, &extra) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid) ||
            net_unix_connect(w->path, 1000, &fd, NULL) != ST_OK)
            _exit(255);
        (void)!dprintf(fd, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
        for (size_t n = 0; n < 13 && read(fd, answer + n, 1) == 1; n++)
            status = n >= 9 && n < 12 ? status * 10 + answer[n] - '0' : status;
        _exit(status / 10);
    }
    int ws = 0;
    WAIT(w, waitpid(pid, &ws, WNOHANG) == pid);
    return WEXITSTATUS(ws) * 10;
}

TEST(http_only_root_owner_and_group_may)
{
    struct web w;
    if (geteuid() != 0)
        tap_skip("only root can become others");
    web_init(&w);
    w.config.group = 4242;
    w.config.owner = 1234;
    web_start(&w);
    CHECK_EQ(400, ask_as(&w, 65534, 65534, 65534, "/v1/vms")); /* 403 */
    CHECK_EQ(403, w.last.status);
    CHECK(str_starts(str_from(w.last.actor), "uid:65534"));
    CHECK_EQ(200, ask_as(&w, 65534, 65534, 65534, "/livez"));
    CHECK_EQ(200, ask_as(&w, 65534, 65534, 4242, "/v1/vms")); /* a further group */
    CHECK_EQ(200, ask_as(&w, 65534, 4242, 65534, "/v1/vms")); /* its first group */
    CHECK_EQ(200, ask_as(&w, 1234, 65534, 65534, "/v1/vms")); /* the owner */
    CHECK_EQ(200, ask_as(&w, 0, 0, 0, "/v1/vms"));
    CHECK_STR("uid:0(root)", w.last.actor);
    web_stop(&w);
}

TEST(http_ws_key_is_answered_as_the_rfc_says)
{
    char out[WS_ACCEPT_MAX];
    CHECK_EQ(ST_OK, ws_key_accept(STR("dGhlIHNhbXBsZSBub25jZQ=="), out, NULL));
    CHECK_STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", out);
    static const char *const bad[] = {"", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZ===",
                                      "dGhlIHNhbXBsZSBub25j*Q==", "dGhlIHNhbXBsZSBub25jZQ==="};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        CHECK_EQ(ST_INVALID, ws_key_accept(str_from(bad[i]), out, NULL));
}
