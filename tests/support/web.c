#include "support/web.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/net_tcp.h"
#include "os/net_unix.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "wire/json.h"

uint64_t web_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void seen(void *ctx, const struct http_seen *s)
{
    struct web *w = ctx;
    w->seen++;
    w->last = *s;
    w->last_why = s->why ? *s->why : (struct fault){0};
    w->last.why = s->why ? &w->last_why : NULL;
    (void)snprintf(w->last_actor, sizeof w->last_actor, "%s", s->actor);
    w->last.actor = w->last_actor;
}

void web_init(struct web *w)
{
    json_setup();
    memset(w, 0, sizeof *w);
    http_config_default(&w->config);
    w->config.seen = seen;
    w->config.seen_ctx = w;
    w->f.real = true;
    (void)snprintf(w->path, sizeof w->path, "%s", scratch_file("s"));
    CHECK_EQ(0, chmod(scratch_dir(), 0755)); /* for tests that connect as others */
}

static void metrics(void *ctx, bool open_metrics, struct buf *out)
{
    (void)ctx;
    buf_text(out, open_metrics ? "# EOF\n" : "up 1\n");
}

void web_start(struct web *w)
{
    struct ops_config c = {
        .version = "0.1.0", .feature_level = 1, .timeout_ms = 5000, .metrics = metrics};
    struct fault why;
    int fd;
    fake_start(&w->f);
    w->ops = ops_new(w->f.node, &c);
    CHECK_EQ(ST_OK, loop_open(&w->loop, &why));
    CHECK_EQ(ST_OK, net_unix_listen(w->path, 0666, (gid_t)-1, &fd, &why));
    CHECK_EQ(ST_OK, http_open(w->loop, fd, w->ops, &w->config, &w->http, &why));
}

void web_listen(struct web *w)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    static const struct ip_endpoint loopback = {.ip = {4, {127, 0, 0, 1}}};
    AUTO(secret_done) struct secret pem = {0};
    struct fault why;
    int fd;
    CHECK_EQ(ST_OK, cert_make("n1", names, ARRAY_COUNT(names), &pem, &why));
    CHECK_EQ(ST_OK, cert_open(secret_view(&pem), &w->cert, &why));
    CHECK_EQ(ST_OK, net_tcp_listen(&loopback, &fd, &why));
    w->port = net_tcp_port(fd);
    struct http_config c = w->config;
    c.cert = &w->cert;
    CHECK_EQ(ST_OK, http_open(w->loop, fd, w->ops, &c, &w->https, &why));
}

const char *web_token(struct web *w, const char *name, const char *role)
{
    char body[200];
    struct client *c = web_connect(w);
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"role\":\"%s\"}", name, role);
    CHECK_EQ(201, client_call(c, "POST", "/v1/tokens", body));
    const char *text = strstr(client_body(c), "blx_svc_");
    CHECK(text != NULL);
    char *end = strchr(text, '"');
    *end = 0; /* the client is of no further use */
    return text;
}

void web_stop(struct web *w)
{
    http_close(w->https);
    cert_close(&w->cert);
    http_close(w->http);
    ops_free(w->ops);
    fake_stop(&w->f);
    loop_close(w->loop);
    for (size_t i = 0; i < w->client_count; i++) {
        client_close(w->client[i]);
        buf_done(&w->client[i]->in);
        free(w->client[i]);
    }
}

static void hear(struct client *c)
{
    char bytes[65536];
    while (c->fd >= 0 && !c->eof && !c->deaf) {
        ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        c->eof = n <= 0;
        if (n > 0)
            buf_add(&c->in, bytes, (size_t)n);
        CHECK(!c->in.full);
    }
}

void web_turn(struct web *w)
{
    bool some = fake_turn(&w->f);
    if (ops_deadline_ms(w->ops) <= web_now_ms())
        ops_step(w->ops);
    CHECK_EQ(ST_OK, loop_turn(w->loop, some ? 0 : 2, NULL));
    for (size_t i = 0; i < w->client_count; i++)
        hear(w->client[i]);
}

struct client *web_connect(struct web *w)
{
    struct client *c = NEW(struct client);
    struct fault why;
    require(w->client_count < WEB_CLIENTS_MAX);
    c->web = w;
    buf_init(&c->in, 64 << 20);
    CHECK_EQ(ST_OK, net_unix_connect(w->path, 1000, &c->fd, &why));
    w->client[w->client_count++] = c;
    return c;
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
}

void client_send(struct client *c, const void *data, size_t len)
{
    const char *p = data;
    uint64_t until = web_now_ms() + WEB_PATIENCE_MS;
    while (len > 0) {
        ssize_t n = send(c->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* the server has closed it: the test sees that */
        if (n > 0)
            p += n, len -= (size_t)n;
        else
            web_turn(c->web);
        CHECK(web_now_ms() < until);
    }
}

void client_text(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
}

bool client_has_head(const struct client *c)
{
    return strstr(buf_cstr(&c->in), "\r\n\r\n") != NULL;
}

unsigned client_status(const struct client *c)
{
    const char *text = buf_cstr(&c->in);
    return strncmp(text, "HTTP/1.1 ", 9) == 0 ? (unsigned)atoi(text + 9) : 0;
}

const char *client_header(const struct client *c, const char *name)
{
    static char value[300];
    const char *text = buf_cstr(&c->in), *end = strstr(text, "\r\n\r\n");
    value[0] = 0;
    for (const char *line = strstr(text, "\r\n"); line && line < end; line = strstr(line, "\r\n")) {
        line += 2;
        size_t len = strlen(name);
        if (strncasecmp(line, name, len) == 0 && strncmp(line + len, ": ", 2) == 0)
            (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(line + len + 2, "\r"),
                           line + len + 2);
    }
    return value;
}

const char *client_body(const struct client *c)
{
    const char *end = strstr(buf_cstr(&c->in), "\r\n\r\n");
    return end ? end + 4 : "";
}

static size_t body_len(const struct client *c)
{
    return c->in.len - (size_t)(client_body(c) - buf_cstr(&c->in));
}

bool client_has_answer(const struct client *c)
{
    if (!client_has_head(c))
        return false;
    unsigned status = client_status(c);
    if (status == 204 || status == 304)
        return true;
    if (strcmp(client_header(c, "Transfer-Encoding"), "chunked") == 0)
        return str_ends(buf_view(&c->in), "0\r\n\r\n");
    return body_len(c) >= (size_t)atol(client_header(c, "Content-Length"));
}

void client_eat(struct client *c)
{
    size_t len = 0;
    unsigned status = client_status(c);
    if (status != 204 && status != 304)
        len = (size_t)atol(client_header(c, "Content-Length"));
    if (strcmp(client_header(c, "Transfer-Encoding"), "chunked") == 0)
        len = body_len(c);
    buf_eat(&c->in, (size_t)(client_body(c) - buf_cstr(&c->in)) + len);
}

unsigned client_ask(struct client *c, const char *request)
{
    buf_reset(&c->in);
    client_text(c, request);
    WAIT(c->web, client_has_answer(c) || c->eof);
    return client_status(c);
}

unsigned client_call(struct client *c, const char *method, const char *path, const char *body)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 1 << 20);
    buf_fmt(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path);
    if (body)
        buf_fmt(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    buf_fmt(&text, "\r\n%s", body ? body : "");
    unsigned status = client_ask(c, buf_cstr(&text));
    printf("# %s %s: %u\n", method, path, status);
    return status;
}

void web_make_vm(struct web *w)
{
    struct client *c = web_connect(w);
    CHECK_EQ(202, client_call(c, "POST", "/v1/images", "{\"name\":\"debian\"}"));
    fake_run(&w->f);
    CHECK_EQ(202, client_call(c, "POST", "/v1/vms",
                              "{\"name\":\"web-1\",\"spec\":{\"image\":\"debian\"}}"));
    fake_run(&w->f);
    client_close(c);
}

struct client *web_open(struct web *w)
{
    web_init(w);
    web_start(w);
    return web_connect(w);
}

struct client *web_open_vm(struct web *w)
{
    web_init(w);
    web_start(w);
    web_make_vm(w);
    return web_connect(w);
}

void web_send_granted(struct web *w, struct vmm_stream *s, size_t *sent, size_t all)
{
    static char block[16384];
    for (; *sent < all && *sent + sizeof block <= s->granted + WEB_WINDOW; *sent += sizeof block)
        s->events->data(s->events->ctx, VMM_STDOUT, (struct str){block, sizeof block});
    web_turn(w);
}
