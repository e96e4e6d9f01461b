#include "cli/ws.h"

#include <errno.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "base/buf.h"
#include "cli/now.h"
#include "os/entropy_os.h"

enum { GOODBYE_MS = 500 };
#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* --- handshake --- */

static void base64(const uint8_t *in, size_t len, char *out)
{
    base64_encode_raw(out, len, in);
    out[BASE64_ENCODE_RAW_LENGTH(len)] = 0;
}

void ws_key(char out[WS_KEY_MAX])
{
    uint8_t random[16];
    struct entropy e;
    _Static_assert(BASE64_ENCODE_RAW_LENGTH(sizeof random) < WS_KEY_MAX, "a key fits");
    entropy_os_init(&e);
    e.fill(&e, random, sizeof random);
    base64(random, sizeof random, out);
}

bool ws_accepts(const char *key, struct str accept)
{
    char want[BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) + 1];
    uint8_t digest[SHA1_DIGEST_SIZE];
    struct sha1_ctx sha1; /* which needs no strength here: it proves that both speak WebSocket */
    sha1_init(&sha1);
    sha1_update(&sha1, strlen(key), (const uint8_t *)key);
    sha1_update(&sha1, strlen(WS_GUID), (const uint8_t *)WS_GUID);
    sha1_digest(&sha1, sizeof digest, digest);
    base64(digest, sizeof digest, want);
    return str_is(accept, want);
}

/* --- messages --- */

struct ws {
    struct link *link;
    struct buf early;
    ws_message *fn;
    void *ctx;
    wslay_event_context_ptr wslay;
    bool broken; /* the connection has ended, without a word */
    bool deaf;   /* messages are not told any more */
};

static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *out, size_t len, int flags,
                       void *ctx)
{
    struct ws *w = ctx;
    (void)flags;
    if (w->early.len > 0) {
        size_t n = MIN(len, w->early.len);
        memcpy(out, w->early.ptr, n);
        buf_eat(&w->early, n);
        return (ssize_t)n;
    }
    ssize_t n;
    while ((n = link_read(w->link, out, len)) < 0 && errno == EINTR)
        ;
    if (n > 0)
        return n;
    if (n < 0 && errno == EAGAIN) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    w->broken = true;
    wslay_event_set_error(wslay, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr wslay, const uint8_t *data, size_t len, int flags,
                       void *ctx)
{
    struct ws *w = ctx;
    (void)flags;
    ssize_t n;
    while ((n = link_write(w->link, data, len)) < 0 && errno == EINTR)
        ;
    if (n >= 0)
        return n;
    if (errno == EAGAIN) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    w->broken = true;
    wslay_event_set_error(wslay, WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int on_mask(wslay_event_context_ptr wslay, uint8_t *out, size_t len, void *ctx)
{
    struct entropy e;
    (void)wslay;
    (void)ctx;
    entropy_os_init(&e);
    e.fill(&e, out, len);
    return 0;
}

static void on_message(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *m,
                       void *ctx)
{
    struct ws *w = ctx;
    (void)wslay;
    if (m->opcode == WSLAY_BINARY_FRAME && m->msg_length > 0 && !w->deaf)
        w->fn(w->ctx, m->msg[0], (struct str){(const char *)m->msg + 1, m->msg_length - 1});
}

struct ws *ws_open(struct link *link, struct str early, ws_message *fn, void *ctx)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_msg_recv_callback = on_message,
    };
    struct ws *w = NEW(struct ws);
    *w = (struct ws){.link = link, .fn = fn, .ctx = ctx};
    buf_init(&w->early, early.len + 1);
    buf_str(&w->early, early);
    int failed = wslay_event_context_client_init(&w->wslay, &callbacks, w);
    ensure(!failed); /* it only allocates */
    wslay_event_config_set_max_recv_msg_length(w->wslay, WS_MESSAGE_MAX);
    return w;
}

short ws_events(const struct ws *w)
{
    bool read = wslay_event_want_read(w->wslay), write = wslay_event_want_write(w->wslay);
    return (short)((read ? POLLIN : 0) | (write ? POLLOUT : 0));
}

bool ws_has_early(const struct ws *w)
{
    return wslay_event_want_read(w->wslay) && (w->early.len > 0 || link_has_early(w->link));
}

enum status ws_step(struct ws *w, struct fault *why)
{
    int failed = 0;
    if (wslay_event_want_read(w->wslay))
        failed = wslay_event_recv(w->wslay);
    if (!failed && wslay_event_want_write(w->wslay))
        failed = wslay_event_send(w->wslay);
    if (w->broken)
        return fault_set(why, ST_UNAVAILABLE, "the connection to the node ended");
    if (failed)
        return fault_set(why, ST_CORRUPT, "the node does not speak WebSocket as it should");
    return ST_OK;
}

/* Until the other side has said that it is closed too: what it has not read it would drop. */
static void say_goodbye(struct ws *w)
{
    uint64_t deadline_ms = now_plus(GOODBYE_MS);
    w->deaf = true;
    (void)wslay_event_send(w->wslay); /* a close goes before what is queued */
    (void)wslay_event_queue_close(w->wslay, WSLAY_CODE_NORMAL_CLOSURE, NULL, 0);
    while (!w->broken && ws_events(w) != 0) {
        struct pollfd p = {.fd = link_fd(w->link), .events = ws_events(w)};
        bool early = ws_has_early(w);
        if ((poll(&p, 1, early ? 0 : now_until(deadline_ms)) <= 0 && !early) ||
            ws_step(w, NULL) != ST_OK)
            return;
    }
}

void ws_close(struct ws *w)
{
    say_goodbye(w);
    wslay_event_context_free(w->wslay);
    buf_done(&w->early);
    free(w);
}

void ws_send(struct ws *w, enum ws_channel channel, struct str data)
{
    AUTO(auto_free) uint8_t *message = mem_new(data.len + 1);
    message[0] = (uint8_t)channel;
    if (data.len > 0)
        memcpy(message + 1, data.ptr, data.len);
    struct wslay_event_msg m = {WSLAY_BINARY_FRAME, message, data.len + 1};
    (void)wslay_event_queue_msg(w->wslay, &m); /* refused only once it is closed */
}

size_t ws_backlog(const struct ws *w)
{
    return wslay_event_get_queued_msg_length(w->wslay);
}
