/* The API on the network: TLS, tokens, and what those get who have none. */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/server.h"
#include "os/file.h"
#include "os/net_tcp.h"
#include "support/tap.h"
#include "support/web.h"

/* A client that never blocks: it and the server are one thread. */
struct remote {
    struct web *w;
    int fd;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    char in[65536];
    size_t len;
    bool eof;
};

static void connect_to(struct remote *r, struct web *w)
{
    memset(r, 0, sizeof *r);
    r->w = w;
    CHECK_EQ(ST_OK, net_tcp_connect("127.0.0.1", w->port, 1000, &r->fd, NULL));
}

static void begin_tls(struct remote *r, const char *priority)
{
    CHECK_EQ(0, gnutls_init(&r->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL));
    CHECK_EQ(0, gnutls_certificate_allocate_credentials(&r->credentials));
    CHECK_EQ(0, gnutls_credentials_set(r->session, GNUTLS_CRD_CERTIFICATE, r->credentials));
    CHECK_EQ(0, gnutls_priority_set_direct(r->session, priority, NULL));
    gnutls_transport_set_int(r->session, r->fd);
}

static int shake(struct remote *r)
{
    int code;
    uint64_t until = web_now_ms() + WEB_PATIENCE_MS;
    while ((code = gnutls_handshake(r->session)) < 0 && !gnutls_error_is_fatal(code)) {
        web_turn(r->w);
        CHECK(web_now_ms() < until);
    }
    return code;
}

static void open_remote(struct remote *r, struct web *w)
{
    connect_to(r, w);
    begin_tls(r, "NORMAL");
    CHECK_EQ(0, shake(r));
}

static void close_remote(struct remote *r)
{
    if (r->session)
        gnutls_deinit(r->session);
    if (r->credentials)
        gnutls_certificate_free_credentials(r->credentials);
    close_fd(&r->fd);
}

static bool hear(struct remote *r)
{
    web_turn(r->w);
    for (;;) {
        size_t room = sizeof r->in - 1 - r->len;
        if (room == 0)
            return false;
        ssize_t n = r->session ? gnutls_record_recv(r->session, r->in + r->len, room)
                               : recv(r->fd, r->in + r->len, room, MSG_DONTWAIT);
        bool later = r->session ? n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED
                                : n < 0 && errno == EAGAIN;
        if (later)
            return r->eof;
        if (n <= 0) {
            r->eof = true;
            return true;
        }
        r->len += (size_t)n;
        r->in[r->len] = 0;
    }
}

static void say(struct remote *r, const char *text)
{
    size_t at = 0, len = strlen(text);
    while (at < len) {
        ssize_t n = gnutls_record_send(r->session, text + at, len - at);
        CHECK(n > 0 || n == GNUTLS_E_AGAIN);
        at += n > 0 ? (size_t)n : 0;
        web_turn(r->w);
    }
}

/* Ask with a token, or NULL, and wait for the head of the answer. Returns its status. */
static unsigned ask(struct remote *r, const char *method, const char *path, const char *token,
                    const char *more)
{
    static char text[4096];
    unsigned status = 0;
    (void)snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n%s%s%s%s\r\n", method, path,
                   token ? "Authorization: Bearer " : "", token ? token : "", token ? "\r\n" : "",
                   more);
    r->len = 0;
    r->in[0] = 0;
    say(r, text);
    WAIT(r->w, hear(r) || strstr(r->in, "\r\n\r\n"));
    CHECK_EQ(1, sscanf(r->in, "HTTP/1.1 %u", &status));
    return status;
}

static unsigned get(struct remote *r, const char *path, const char *token)
{
    return ask(r, "GET", path, token, "");
}

/* The same on a connection of its own. */
static unsigned get_once(struct web *w, const char *path, const char *token, char in[4096])
{
    struct remote r;
    open_remote(&r, w);
    unsigned status = get(&r, path, token);
    (void)snprintf(in, 4096, "%.4095s", r.in);
    close_remote(&r);
    return status;
}

static void open_web(struct web *w)
{
    web_init(w);
    web_start(w);
    web_listen(w);
}

TEST(https_serves_who_has_a_token_and_says_who_came)
{
    struct web w;
    struct remote r;
    open_web(&w);
    const char *token = web_token(&w, "ci", "viewer");
    open_remote(&r, &w);
    CHECK_EQ(GNUTLS_TLS1_3, gnutls_protocol_get_version(r.session));
    CHECK_EQ(200, get(&r, "/v1/vms", token));
    WAIT(&w, strcmp(w.last_actor, "token:ci") == 0);
    CHECK_EQ(4, w.last.from.family);
    CHECK_EQ(200, get(&r, "/v1/cluster", token)); /* on the same connection */
    close_remote(&r);
    WAIT(&w, http_view(w.https).connections == 0);
    web_stop(&w);
}

TEST(https_answers_nothing_without_a_token_but_health)
{
    struct web w;
    char in[4096];
    open_web(&w);
    CHECK_EQ(200, get_once(&w, "/livez", NULL, in));
    CHECK_EQ(200, get_once(&w, "/readyz", NULL, in));
    static const char *const paths[] = {"/v1/vms", "/metrics", "/v1/openapi.json", "/nowhere", "/"};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        CHECK_EQ(401, get_once(&w, paths[i], NULL, in));
        CHECK(strstr(in, "WWW-Authenticate: Bearer realm=\"blixard\"\r\n"));
        CHECK(strstr(in, "application/problem+json"));
    }
    CHECK_EQ(5, http_view(w.https).unknown);
    web_stop(&w);
}

TEST(https_refuses_tokens_that_are_not_good)
{
    struct web w;
    char in[4096], typo[128], target[256];
    open_web(&w);
    const char *token = web_token(&w, "ci", "viewer");
    CHECK_EQ(401, get_once(&w, "/v1/vms", "hello", in));
    CHECK(strstr(in, "error=\"invalid_token\""));
    (void)snprintf(typo, sizeof typo, "%s", token);
    typo[40] = typo[40] == 'x' ? 'y' : 'x';
    CHECK_EQ(401, get_once(&w, "/v1/vms", typo, in));
    CHECK(strstr(in, "mistyped"));

    /* In an address it is refused even if it is good, and with a good one beside it. */
    (void)snprintf(target, sizeof target, "/v1/vms?access_token=%s", token);
    CHECK_EQ(400, get_once(&w, target, NULL, in));
    CHECK(strstr(in, "a token in an address is not taken"));
    CHECK_EQ(400, get_once(&w, target, token, in));
    (void)snprintf(target, sizeof target, "/v1/vms?filter=%s", token);
    CHECK_EQ(400, get_once(&w, target, NULL, in));
    web_stop(&w);
}

TEST(https_lets_roles_do_what_they_may)
{
    struct web w;
    struct remote r;
    open_web(&w);
    const char *viewer = web_token(&w, "v", "viewer"), *admin = web_token(&w, "a", "admin");
    open_remote(&r, &w);
    CHECK_EQ(403, ask(&r, "DELETE", "/v1/vms/web-1", viewer, ""));
    CHECK(strstr(r.in, "error=\"insufficient_scope\", scope=\"operator\""));
    CHECK_EQ(403, get(&r, "/v1/tokens", viewer));
    CHECK_EQ(200, get(&r, "/v1/tokens", admin));
    CHECK(!strstr(r.in, "secret"));
    close_remote(&r);
    web_stop(&w);
}

TEST(https_revoked_token_loses_what_it_has_open)
{
    struct web w;
    struct remote feed, r;
    open_web(&w);
    const char *viewer = web_token(&w, "v", "viewer"), *admin = web_token(&w, "a", "admin");
    open_remote(&feed, &w);
    open_remote(&r, &w);
    CHECK_EQ(200, get(&feed, "/v1/events?follow", viewer));
    WAIT(&w, http_view(w.https).feeds == 1);
    CHECK_EQ(204, ask(&r, "DELETE", "/v1/tokens/v", admin, ""));
    WAIT(&w, hear(&feed));
    CHECK_EQ(401, get(&r, "/v1/vms", viewer));
    CHECK_EQ(204, ask(&r, "DELETE", "/v1/tokens/a", admin, "")); /* its own: it is still told */
    CHECK_EQ(401, get(&r, "/v1/vms", admin));
    close_remote(&feed);
    close_remote(&r);
    web_stop(&w);
}

/* A console or process is no request of HTTP any more, and has its end all the same. */
static void begin_exec(struct remote *r, struct web *w, const char *token)
{
    open_remote(r, w);
    CHECK_EQ(101, ask(r, "GET", "/v1/vms/web-1/exec?argv=cat", token,
                      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    WAIT(w, http_view(w->https).sockets == 1);
}

TEST(https_revoked_token_loses_its_processes_and_logs)
{
    struct web w;
    struct remote exec, logs, r;
    open_web(&w);
    web_make_vm(&w);
    const char *token = web_token(&w, "o", "operator"), *admin = web_token(&w, "a", "admin");
    begin_exec(&exec, &w, token);
    struct vmm_stream *process = &w.f.stream[w.f.stream_count - 1];
    open_remote(&logs, &w);
    CHECK_EQ(200, get(&logs, "/v1/vms/web-1/logs?follow", token));
    struct vmm_stream *lines = &w.f.stream[w.f.stream_count - 1];
    CHECK(process != lines && process->open && lines->open);
    open_remote(&r, &w);
    CHECK_EQ(204, ask(&r, "DELETE", "/v1/tokens/o", admin, ""));
    WAIT(&w, hear(&exec));
    WAIT(&w, hear(&logs));
    WAIT(&w, !process->open && !lines->open);
    CHECK_EQ(0, http_view(w.https).sockets);
    close_remote(&exec), close_remote(&logs), close_remote(&r);
    web_stop(&w);
}

/* The node gets the state of a peer, where a token is gone: nobody tells of that one command. */
TEST(https_token_that_a_restored_state_lacks_loses_what_it_has_open)
{
    struct web w;
    struct remote gone, kept;
    open_web(&w);
    const char *one = web_token(&w, "one", "viewer"), *other = web_token(&w, "other", "viewer");
    open_remote(&gone, &w);
    open_remote(&kept, &w);
    CHECK_EQ(200, get(&gone, "/v1/events?follow", one));
    CHECK_EQ(200, get(&kept, "/v1/events?follow", other));
    WAIT(&w, http_view(w.https).feeds == 2);
    node_watch_cut(&w.https->watch);
    CHECK_EQ(204, client_call(web_connect(&w), "DELETE", "/v1/tokens/one", NULL));
    CHECK(!hear(&gone));
    CHECK_EQ(2, http_view(w.https).feeds);
    w.https->watch.restored(&w.https->watch);
    WAIT(&w, hear(&gone));
    WAIT(&w, http_view(w.https).feeds == 1);
    CHECK(!hear(&kept));
    close_remote(&gone), close_remote(&kept);
    web_stop(&w);
}

TEST(https_expired_token_loses_what_it_has_open)
{
    struct web w;
    struct remote feed, exec;
    open_web(&w);
    web_make_vm(&w);
    struct client *c = web_connect(&w);
    CHECK_EQ(201, client_call(c, "POST", "/v1/tokens",
                              "{\"name\":\"v\",\"role\":\"operator\",\"ttl_ms\":1500}"));
    char token[80] = "";
    memcpy(token, strstr(client_body(c), "blx_svc_"), 68);
    begin_exec(&exec, &w, token);
    open_remote(&feed, &w);
    CHECK_EQ(200, get(&feed, "/v1/events?follow", token));
    WAIT(&w, hear(&feed));
    WAIT(&w, hear(&exec));
    char in[4096];
    CHECK_EQ(401, get_once(&w, "/v1/vms", token, in));
    CHECK(strstr(in, "token v has expired, at "));
    close_remote(&feed), close_remote(&exec);
    web_stop(&w);
}

TEST(https_who_fails_too_often_is_not_listened_to_for_a_while)
{
    struct web w;
    char in[4096];
    open_web(&w);
    const char *token = web_token(&w, "ci", "viewer");
    for (int i = 0; i < 10; i++)
        CHECK_EQ(401, get_once(&w, "/v1/vms", "hello", in));
    CHECK_EQ(429, get_once(&w, "/v1/vms", "hello", in));
    CHECK(strstr(in, "Retry-After: "));
    CHECK_EQ(429, get_once(&w, "/v1/vms", token, in));
    CHECK_EQ(200, get_once(&w, "/livez", NULL, in));
    web_stop(&w);
}

TEST(https_takes_no_tls_below_1_3)
{
    struct web w;
    struct remote r;
    open_web(&w);
    connect_to(&r, &w);
    begin_tls(&r, "NORMAL:-VERS-ALL:+VERS-TLS1.2");
    CHECK_EQ(GNUTLS_E_FATAL_ALERT_RECEIVED, shake(&r));
    close_remote(&r);
    CHECK_EQ(1, http_view(w.https).strange);
    web_stop(&w);
}

TEST(https_tells_who_speaks_http_and_drops_who_speaks_nothing_known)
{
    struct web w;
    struct remote r;
    open_web(&w);
    connect_to(&r, &w);
    CHECK_EQ(18, send(r.fd, "GET / HTTP/1.1\r\n\r\n", 18, 0));
    WAIT(&w, hear(&r));
    CHECK(strstr(r.in, "HTTP/1.1 400 ") == r.in && strstr(r.in, "This port speaks HTTPS"));
    close_remote(&r);
    connect_to(&r, &w);
    CHECK_EQ(4, send(r.fd, "\x80\0\1\2", 4, 0));
    WAIT(&w, hear(&r));
    CHECK_EQ(0, r.len);
    close_remote(&r);
    web_stop(&w);
}

TEST(https_waits_only_so_long_for_a_handshake_and_for_headers)
{
    struct web w;
    struct remote silent, shy, slow;
    web_init(&w);
    w.config.header_ms = 200;
    web_start(&w);
    web_listen(&w);
    connect_to(&silent, &w);
    connect_to(&shy, &w);
    CHECK_EQ(1, send(shy.fd, "\x16", 1, 0));
    open_remote(&slow, &w);
    say(&slow, "GET /livez HTTP/1.1\r\nHost:");
    WAIT(&w, hear(&silent));
    WAIT(&w, hear(&shy));
    WAIT(&w, hear(&slow));
    CHECK_EQ(0, slow.len);
    CHECK_EQ(2, http_view(w.https).strange);
    close_remote(&silent), close_remote(&shy), close_remote(&slow);
    WAIT(&w, http_view(w.https).connections == 0);
    web_stop(&w);
}

TEST(https_one_address_may_have_so_many_connections)
{
    struct web w;
    struct remote r[4];
    web_init(&w);
    w.config.per_address_max = 3;
    web_start(&w);
    web_listen(&w);
    for (int i = 0; i < 3; i++)
        connect_to(&r[i], &w);
    connect_to(&r[3], &w);
    WAIT(&w, hear(&r[3]));
    CHECK_EQ(1, http_view(w.https).crowded);
    close_remote(&r[0]);
    close_remote(&r[3]);
    WAIT(&w, http_view(w.https).strange == 1);
    open_remote(&r[0], &w); /* there is room again */
    CHECK_EQ(200, get(&r[0], "/livez", NULL));
    for (int i = 0; i < 3; i++)
        close_remote(&r[i]);
    web_stop(&w);
}

/* One that was never more than a connection leaves its place as well. */
TEST(https_full_server_takes_who_waits_when_another_goes)
{
    struct web w;
    struct remote r[2];
    web_init(&w);
    w.config.connections_max = 1;
    web_start(&w);
    web_listen(&w);
    connect_to(&r[0], &w);
    connect_to(&r[1], &w);
    begin_tls(&r[1], "NORMAL");
    for (int i = 0; i < 20; i++)
        web_turn(&w);
    CHECK(gnutls_handshake(r[1].session) == GNUTLS_E_AGAIN);
    close_remote(&r[0]);
    CHECK_EQ(0, shake(&r[1]));
    CHECK_EQ(200, get(&r[1], "/livez", NULL));
    close_remote(&r[1]);
    web_stop(&w);
}

/* A large answer to one who reads slowly waits, and comes whole. */
TEST(https_large_answer_comes_whole)
{
    struct web w;
    struct remote r;
    open_web(&w);
    const char *token = web_token(&w, "ci", "viewer");
    open_remote(&r, &w);
    CHECK_EQ(200, get(&r, "/v1/openapi.json", token));
    const char *length = strstr(r.in, "Content-Length: ");
    CHECK(length != NULL);
    size_t want = strtoul(length + 16, NULL, 10), got = r.len;
    CHECK(want > 50000);
    got -= (size_t)(strstr(r.in, "\r\n\r\n") + 4 - r.in);
    r.len = 0;
    while (got < want) {
        uint64_t until = web_now_ms() + WEB_PATIENCE_MS;
        CHECK(!hear(&r) && web_now_ms() < until);
        got += r.len;
        r.len = 0;
    }
    CHECK_EQ(want, got);
    close_remote(&r);
    web_stop(&w);
}

TEST(https_server_that_ends_closes_all)
{
    struct web w;
    struct remote feed, half;
    open_web(&w);
    const char *token = web_token(&w, "ci", "viewer");
    open_remote(&feed, &w);
    CHECK_EQ(200, get(&feed, "/v1/events?follow", token));
    connect_to(&half, &w);
    web_turn(&w);
    web_stop(&w);
    close_remote(&feed);
    close_remote(&half);
}
