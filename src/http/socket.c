#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <wslay/wslay.h>

#include "http/server.h"
#include "http/ws_key.h"
#include "ops/problem.h"
#include "wire/json.h"

/* The first byte of a message. */
enum channel { CHANNEL_INPUT, CHANNEL_OUTPUT, CHANNEL_ERROR, CHANNEL_END, CHANNEL_SIZE };

enum {
    MESSAGE_MAX = 64 << 10,     /* from a client, without the channel */
    MESSAGE_OUT_MAX = 32 << 10, /* to it */
    QUEUED_MAX = 4 << 20,       /* to a client that does not read: more than a VM may send */
    ANSWERS_MAX = 64,           /* pongs and the like that wait; then we read no more */
    SIZE_TEXT_MAX = 200,
    TERMINAL_MAX = 1000,
    CLOSE_WAIT_MS = 5000, /* for the client to agree that it is closed */
};

struct socket {
    struct list item; /* of http->sockets, once upgraded */
    struct request *q;
    wslay_event_context_ptr ws;
    int fd; /* MHD's; -1 until upgraded */
    struct MHD_UpgradeResponseHandle *handle;
    struct loop_source *io;
    struct buf early; /* what came right behind the request */
    struct vmm *vmm;
    struct vmm_stream *vm; /* NULL before it is open and after its end */
    struct vmm_stream_events events;
    struct buf held;   /* input that the VM has not taken yet */
    bool input_ended;  /* after what is held */
    bool input_closed; /* the VM was told so */
    size_t owed;       /* bytes of the VM's, queued here or sent, that it was not granted again */
    bool ending;       /* close once everything queued was sent */
    bool again;        /* the VM takes input again: another round */
    bool broken;       /* nothing more can be sent or read */
};

/* --- frames out --- */

static void queue_close(struct socket *s, uint16_t code)
{
    if (wslay_event_queue_close(s->ws, code, NULL, 0) != 0)
        s->broken = wslay_event_get_close_sent(s->ws) == 0;
}

static void queue_message(struct socket *s, enum channel channel, struct str bytes)
{
    AUTO(auto_free) uint8_t *text = mem_new(bytes.len + 1);
    text[0] = (uint8_t)channel;
    if (bytes.len > 0)
        memcpy(text + 1, bytes.ptr, bytes.len);
    struct wslay_event_msg m = {WSLAY_BINARY_FRAME, text, bytes.len + 1};
    if (wslay_event_get_queued_msg_length(s->ws) > QUEUED_MAX)
        s->broken = true;
    else if (wslay_event_queue_msg(s->ws, &m) != 0)
        s->broken = wslay_event_get_close_sent(s->ws) == 0;
}

static ssize_t send_bytes(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags,
                          void *ctx)
{
    struct socket *s = ctx;
    int more = flags & WSLAY_MSG_MORE ? MSG_MORE : 0;
    ssize_t n = send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL | more);
    if (n < 0)
        wslay_event_set_error(ws, errno == EAGAIN || errno == EINTR ? WSLAY_ERR_WOULDBLOCK
                                                                    : WSLAY_ERR_CALLBACK_FAILURE);
    return n;
}

/* --- frames in --- */

static bool reads(const struct socket *s)
{
    return s->held.len == 0 && wslay_event_get_queued_msg_count(s->ws) < ANSWERS_MAX;
}

static ssize_t recv_bytes(wslay_event_context_ptr ws, uint8_t *out, size_t len, int flags,
                          void *ctx)
{
    (void)flags;
    struct socket *s = ctx;
    if (!reads(s)) {
        wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (s->early.len > 0) {
        size_t n = MIN(len, s->early.len);
        memcpy(out, s->early.ptr, n);
        buf_eat(&s->early, n);
        return (ssize_t)n;
    }
    ssize_t n = recv(s->fd, out, len, MSG_DONTWAIT);
    if (n > 0)
        return n;
    bool later = n < 0 && (errno == EAGAIN || errno == EINTR);
    wslay_event_set_error(ws, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static bool terminal_side(const json_t *v, const char *key, uint16_t *ret)
{
    json_int_t n = json_integer_value(json_object_get(v, key));
    *ret = (uint16_t)n;
    return n >= 1 && n <= TERMINAL_MAX;
}

/* {"rows": 24, "cols": 80} */
static bool resize(struct socket *s, struct str text)
{
    json_t *v = NULL;
    uint16_t rows, cols;
    if (json_parse(text, SIZE_TEXT_MAX, &v, NULL) != ST_OK)
        return false;
    bool good = terminal_side(v, "rows", &rows) && terminal_side(v, "cols", &cols);
    json_decref(v);
    if (good && s->vm)
        s->vmm->resize(s->vmm, s->vm, rows, cols);
    return good;
}

static bool take_message(struct socket *s, enum channel channel, struct str bytes)
{
    if (channel == CHANNEL_SIZE)
        return resize(s, bytes);
    if (channel != CHANNEL_INPUT)
        return false;
    if (bytes.len == 0)
        s->input_ended = true;
    else if (s->vm && !s->input_ended)
        buf_str(&s->held, bytes);
    return !s->held.full;
}

static void on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m,
                       void *ctx)
{
    (void)ws;
    struct socket *s = ctx;
    if (wslay_is_ctrl_frame(m->opcode))
        return; /* wslay answers pings and closes itself */
    struct str bytes = {(const char *)m->msg + 1, m->msg_length - 1};
    if (m->opcode != WSLAY_BINARY_FRAME)
        queue_close(s, WSLAY_CODE_UNSUPPORTED_DATA);
    else if (m->msg_length == 0 || !take_message(s, m->msg[0], bytes))
        queue_close(s, WSLAY_CODE_PROTOCOL_ERROR);
}

/* --- pump --- */

static void feed_vm(struct socket *s)
{
    if (s->vm && s->held.len > 0)
        buf_eat(&s->held, s->vmm->write(s->vmm, s->vm, buf_view(&s->held)));
    if (s->vm && s->held.len == 0 && s->input_ended && !s->input_closed) {
        s->input_closed = true;
        s->vmm->write_end(s->vmm, s->vm);
    }
}

/* What the client took makes room for as much. wslay counts a message until all of it is sent. */
static void grant(struct socket *s)
{
    size_t queued = wslay_event_get_queued_msg_length(s->ws);
    size_t taken = s->owed > queued ? s->owed - queued : 0;
    s->owed -= taken;
    if (taken > 0 && s->vm)
        s->vmm->grant(s->vmm, s->vm, taken);
}

static bool is_over(const struct socket *s)
{
    return s->broken || (!wslay_event_want_read(s->ws) && !wslay_event_want_write(s->ws));
}

static void send_queued(struct socket *s)
{
    if (!s->broken && wslay_event_want_write(s->ws) && wslay_event_send(s->ws) != 0)
        s->broken = true;
}

static void step(struct socket *s)
{
    feed_vm(s);
    if (!s->broken && wslay_event_want_read(s->ws) && wslay_event_recv(s->ws) != 0)
        s->broken = true;
    feed_vm(s);
    send_queued(s);
    /* A close frame would overtake what is queued, and be the last. */
    if (s->ending && !s->broken && wslay_event_get_queued_msg_count(s->ws) == 0) {
        s->ending = false;
        queue_close(s, WSLAY_CODE_NORMAL_CLOSURE);
        send_queued(s);
    }
    grant(s);
}

static void finish(struct socket *s)
{
    if (s->fd < 0)
        return;
    struct http *h = s->q->conn->h;
    loop_source_close(s->io);
    s->io = NULL;
    s->fd = -1;
    if (s->vm)
        s->vmm->close(s->vmm, s->vm);
    s->vm = NULL;
    list_cut(&s->item);
    h->view.sockets--;
    (void)MHD_upgrade_action(s->handle, MHD_UPGRADE_ACTION_CLOSE);
    http_kick(h); /* MHD: it cleans up, and calls request_end(), in its next run */
}

static void want(struct socket *s)
{
    bool in = wslay_event_want_read(s->ws) && reads(s), out = wslay_event_want_write(s->ws);
    loop_io_want(s->io, (in ? EPOLLIN : 0U) | (out ? EPOLLOUT : 0U));
}

/* Move what can be moved. */
static void pump(struct socket *s)
{
    do {
        s->again = false;
        step(s);
    } while (s->again && !s->broken);
    if (is_over(s))
        finish(s);
    else
        want(s);
}

static void ready(void *ctx, uint32_t events)
{
    struct socket *s = ctx;
    if (events & (EPOLLHUP | EPOLLERR))
        s->broken = true; /* else a client that went while we read nothing would keep us busy */
    pump(s);
}

/* --- the VM --- */

/* What the VM's port tells is only noted here, and pumped when the loop says that the client can be
 * written to: a burst goes out in one go, and the port is not called back from its own call. */
static void poke(struct socket *s)
{
    if (s->fd >= 0)
        loop_io_want(s->io, EPOLLIN | EPOLLOUT);
}

static void vm_data(void *ctx, enum vmm_channel from, struct str bytes)
{
    struct socket *s = ctx;
    enum channel channel = from == VMM_STDERR ? CHANNEL_ERROR : CHANNEL_OUTPUT;
    s->owed += bytes.len;
    while (bytes.len > 0) {
        struct str part = {bytes.ptr, MIN(bytes.len, MESSAGE_OUT_MAX)};
        queue_message(s, channel, part);
        bytes = (struct str){bytes.ptr + part.len, bytes.len - part.len};
    }
    poke(s);
}

static void vm_writable(void *ctx)
{
    struct socket *s = ctx;
    s->again = true;
    poke(s);
}

static void vm_closed(void *ctx, enum status how, const struct fault *why, int exit_status)
{
    struct socket *s = ctx;
    AUTO(buf_done) struct buf text;
    buf_init(&text, OPS_BODY_MAX);
    s->vm = NULL;
    buf_reset(&s->held); /* nobody takes it any more */
    if (how == ST_OK) {
        buf_fmt(&text, "{\"exit_status\":%d}", exit_status);
    } else {
        s->q->why = *why;
        problem_json(why, status_http(how), "", &text);
    }
    queue_message(s, CHANNEL_END, buf_view(&text));
    s->ending = true;
    if (s->fd >= 0)
        http_deadline(s->q->conn, CLOSE_WAIT_MS);
    poke(s);
}

/* --- upgrade --- */

static void upgraded(void *ctx, struct MHD_Connection *mhd, void *slot, const char *early,
                     size_t early_len, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    (void)mhd;
    (void)slot;
    struct socket *s = ctx;
    struct http *h = s->q->conn->h;
    s->fd = fd;
    s->handle = handle;
    list_push(&h->sockets, &s->item);
    h->view.sockets++;
    buf_add(&s->early, early, early_len);
    loop_source_close(s->q->hangup); /* its io tells from here on */
    s->q->hangup = NULL;
    if (s->early.full || loop_io_open(h->loop, fd, EPOLLIN, ready, s, &s->io, NULL) != ST_OK) {
        finish(s);
        return;
    }
    if (!s->vm) /* it ended already; the client is told so */
        http_deadline(s->q->conn, CLOSE_WAIT_MS);
    pump(s);
}

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    enum MHD_Result ok = MHD_add_response_header(r, name, value);
    ensure(ok == MHD_YES);
}

static void opened(void *ctx, struct vmm_stream *vm, struct op_answer *a)
{
    struct request *q = ctx;
    struct socket *s = q->socket;
    char accept[WS_ACCEPT_MAX];
    if (!vm) {
        request_answer(q, a);
        return;
    }
    s->vm = vm;
    enum status good = ws_key_accept(request_header(q, "Sec-WebSocket-Key"), accept, NULL);
    ensure(good == ST_OK); /* it was when the handshake was checked */
    struct MHD_Response *r = MHD_create_response_for_upgrade(upgraded, s);
    ensure(r);
    add_header(r, "Upgrade", "websocket");
    add_header(r, "Sec-WebSocket-Accept", accept);
    q->endless = true;
    request_response(q, 101, r);
}

/* RFC 6455, 4.2.1. */
static bool wants_upgrade(const struct request *q)
{
    return request_has_token(q, "Upgrade", "websocket") &&
           request_has_token(q, "Connection", "upgrade") &&
           str_is(request_header(q, "Sec-WebSocket-Version"), "13");
}

static bool refuse_handshake(struct request *q)
{
    char accept[WS_ACCEPT_MAX];
    struct fault why;
    if (!wants_upgrade(q)) {
        (void)fault_set(&why, ST_INVALID, "%s needs a WebSocket of version 13", q->op->name);
        fault_hint(&why, "send Connection: Upgrade, Upgrade: websocket, Sec-WebSocket-Key and "
                         "Sec-WebSocket-Version: 13");
        request_refuse(q, 426, &why);
        add_header(q->answer, "Upgrade", "websocket");
        add_header(q->answer, "Sec-WebSocket-Version", "13");
        return true;
    }
    if (ws_key_accept(request_header(q, "Sec-WebSocket-Key"), accept, &why) == ST_OK)
        return false;
    request_refuse(q, 400, &why);
    return true;
}

static const struct wslay_event_callbacks callbacks = {
    .recv_callback = recv_bytes,
    .send_callback = send_bytes,
    .on_msg_recv_callback = on_message,
};

void socket_open(struct request *q)
{
    if (refuse_handshake(q))
        return;
    struct http *h = q->conn->h;
    struct socket *s = NEW(struct socket);
    s->q = q;
    s->fd = -1;
    list_init(&s->item);
    buf_init(&s->early, OPS_BODY_MAX);
    buf_init(&s->held, 2 * MESSAGE_MAX);
    s->vmm = node_vmm(ops_node(h->ops));
    s->events = (struct vmm_stream_events){vm_data, vm_writable, vm_closed, s};
    int failed = wslay_event_context_server_init(&s->ws, &callbacks, s);
    require(!failed); /* it fails for lack of memory only */
    wslay_event_config_set_max_recv_msg_length(s->ws, MESSAGE_MAX + 1);
    q->socket = s;
    struct op_call call = request_call(q);
    ops_open(h->ops, &call, &s->events, 0, opened, q);
}

void socket_end_all(struct http *h)
{
    LIST_EACH(it, &h->sockets)
        finish(CONTAINER_OF(it, struct socket, item));
}

void socket_free(struct socket *s)
{
    if (!s)
        return;
    if (s->vm)
        s->vmm->close(s->vmm, s->vm);
    loop_source_close(s->io);
    if (s->fd >= 0) {
        list_cut(&s->item);
        s->q->conn->h->view.sockets--;
    }
    wslay_event_context_free(s->ws);
    buf_done(&s->early);
    buf_done(&s->held);
    free(s);
}
