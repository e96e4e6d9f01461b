/*
 * web: the HTTP server over a fake node, and clients on real sockets, in one process.
 *
 * Everything is driven by web_turn(); WAIT() turns until a condition holds.
 */
#pragma once

#include "http/http.h"
#include "support/fake.h"

enum { WEB_CLIENTS_MAX = 600, WEB_PATIENCE_MS = 20000 };

struct client {
    struct web *web;
    int fd;
    struct buf in; /* all that came and was not eaten */
    bool eof;      /* the server closed it, in whatever way */
    bool deaf;     /* reads nothing */
};

struct web {
    struct fake f;
    struct ops *ops;
    struct loop *loop;
    struct http *http;
    struct http *https; /* of web_listen() */
    struct cert cert;
    uint16_t port;
    struct http_config config;
    char path[256];
    struct client *client[WEB_CLIENTS_MAX];
    size_t client_count;
    unsigned seen; /* requests that ended */
    struct http_seen last;
    struct fault last_why; /* what `last` points to */
    char last_actor[OPS_ACTOR_MAX];
};

/* Configuration is http_config_default(), but with short times; change it before web_start(). */
void web_init(struct web *w);
void web_start(struct web *w);
/* Both of them as they are, and a client; with web-1, which runs. */
struct client *web_open(struct web *w);
struct client *web_open_vm(struct web *w);
/* Serve HTTPS as well, on a port of 127.0.0.1, with the same configuration. After web_start(). */
void web_listen(struct web *w);
/* Make a token of that role; its text lives until web_stop(). */
const char *web_token(struct web *w, const char *name, const char *role);
void web_stop(struct web *w); /* closes clients as well */
void web_turn(struct web *w); /* waits for up to a few milliseconds if nothing happens */

uint64_t web_now_ms(void);

enum { WEB_WINDOW = 256 << 10 }; /* what a VM's side sends ahead */

/* As a VM: send as much as was granted, up to `all`, and turn. */
void web_send_granted(struct web *w, struct vmm_stream *s, size_t *sent, size_t all);

/* Turn until it holds; the test fails when it takes too long. */
#define WAIT(w, condition)                                              \
    do {                                                                \
        uint64_t until_ = web_now_ms() + WEB_PATIENCE_MS;               \
        while (!(condition)) {                                          \
            web_turn(w);                                                \
            if (web_now_ms() > until_)                                  \
                tap_fail(__FILE__, __LINE__, "waited: %s", #condition); \
        }                                                               \
    } while (0)

struct client *web_connect(struct web *w);
void client_close(struct client *c); /* the struct lives until web_stop() */
void client_send(struct client *c, const void *data, size_t len);
void client_text(struct client *c, const char *text);

/* Send, wait for the whole answer, keep it in c->in. Returns its status. */
unsigned client_ask(struct client *c, const char *request);
/* "GET /path HTTP/1.1" and a Host; with a body if there is one. */
unsigned client_call(struct client *c, const char *method, const char *path, const char *body);

/* Of the answer at the start of c->in. */
bool client_has_head(const struct client *c);
bool client_has_answer(const struct client *c);
unsigned client_status(const struct client *c);
const char *client_header(const struct client *c,
                          const char *name);     /* or ""; until the next call */
const char *client_body(const struct client *c); /* raw, chunks and all */
void client_eat(struct client *c);               /* drop the answer that is whole */

/* An image "debian" and a running VM "web-1". */
void web_make_vm(struct web *w);
