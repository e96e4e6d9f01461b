#include "cli/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/ws.h"
#include "wire/json.h"

enum { STEP = 16 << 10, BACKLOG_MAX = 64 << 10, RESULT_MAX = 64 << 10, ESCAPE = 0x1d };

enum { SIGNALS_INDEX, SOCKET_INDEX, INPUT_INDEX, POLL_COUNT };

struct run {
    struct cli *c;
    const struct session *s;
    struct ws *ws;
    int fd; /* of ws */
    struct term_signals signals;
    bool input; /* there may be more of it */
    bool left;  /* the user does not want to go on */
    bool lost;  /* our own output cannot be written */
    bool told;  /* how it ended */
    int code;   /* the exit code then */
    struct fault why;
};

/* --- from the VM --- */

static void on_result(struct run *r, struct str data)
{
    json_t *v;
    r->told = true;
    r->code = 1;
    if (json_parse(data, RESULT_MAX, &v, &r->why) != ST_OK) {
        (void)fault_wrap(&r->why, ST_CORRUPT, "how it ended");
        return;
    }
    const json_t *status = json_object_get(v, "exit_status");
    const char *code = json_string_value(json_object_get(v, "code"));
    const char *detail = json_string_value(json_object_get(v, "detail"));
    const char *hint = json_string_value(json_object_get(v, "hint"));
    if (json_is_integer(status)) {
        r->code = (int)(json_integer_value(status) & 255);
    } else {
        enum status s = status_from_code(code ? code : "");
        (void)fault_set(&r->why, s == ST_OK ? ST_INTERNAL : s, "%s",
                        detail ? detail : "the node does not say how it ended");
        fault_hint(&r->why, "%s", hint ? hint : "");
    }
    json_decref(v);
}

static void put(struct run *r, int fd, struct str data)
{
    while (data.len > 0 && !r->lost) {
        ssize_t n = write(fd, data.ptr, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        r->lost = n < 0;
        if (r->lost)
            (void)fault_errno(&r->why, errno, "write the output");
        else
            data = (struct str){data.ptr + n, data.len - (size_t)n};
    }
}

static void on_message(void *ctx, unsigned channel, struct str data)
{
    struct run *r = ctx;
    switch (channel) {
    case WS_OUTPUT: put(r, STDOUT_FILENO, data); return;
    case WS_ERRORS: put(r, STDERR_FILENO, data); return;
    case WS_RESULT: on_result(r, data); return;
    default: return; /* of a later version */
    }
}

/* --- to the VM --- */

static void send_size(struct run *r)
{
    unsigned rows, cols;
    char text[64];
    term_size(STDIN_FILENO, &rows, &cols);
    (void)snprintf(text, sizeof text, "{\"rows\":%u,\"cols\":%u}", rows, cols);
    ws_send(r->ws, WS_SIZE, str_from(text));
}

static void take_input(struct run *r)
{
    char step[STEP];
    ssize_t n = read(STDIN_FILENO, step, sizeof step);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    struct str data = {step, n > 0 ? (size_t)n : 0};
    const char *escape = r->s->escape ? memchr(step, ESCAPE, data.len) : NULL;
    if (escape) {
        r->left = true;
        data.len = (size_t)(escape - step);
    }
    r->input = n > 0 && !escape;
    if (data.len > 0 || !escape) /* nothing at all is the end of input */
        ws_send(r->ws, WS_INPUT, data);
}

static void take_signals(struct run *r)
{
    for (int signal; (signal = term_caught(&r->signals)) != 0;) {
        if (signal != SIGWINCH) {
            r->left = true;
            r->code = 130;
        } else if (r->s->sizes) {
            send_size(r);
        }
    }
}

/* --- the whole --- */

static bool is_over(const struct run *r)
{
    return r->left || r->told || r->lost || ws_events(r->ws) == 0;
}

static enum status step(struct run *r, struct fault *why)
{
    bool may_read = r->input && ws_backlog(r->ws) < BACKLOG_MAX;
    struct pollfd p[POLL_COUNT] = {
        [SIGNALS_INDEX] = {.fd = r->signals.fd, .events = POLLIN},
        [SOCKET_INDEX] = {.fd = r->fd, .events = ws_events(r->ws)},
        [INPUT_INDEX] = {.fd = may_read ? STDIN_FILENO : -1, .events = POLLIN},
    };
    if (poll(p, POLL_COUNT, ws_has_early(r->ws) ? 0 : -1) < 0 && errno != EINTR)
        return fault_errno(why, errno, "wait");
    if (p[SIGNALS_INDEX].revents)
        take_signals(r);
    if (p[INPUT_INDEX].revents)
        take_input(r);
    return ws_step(r->ws, why);
}

static void run_all(struct run *r)
{
    struct fault why;
    enum status s = ST_OK;
    while (s == ST_OK && !is_over(r))
        s = step(r, &why);
    if (s != ST_OK && !r->told && !r->left) {
        r->why = why;
        r->code = 1;
    } else if (!r->told && !r->left && !r->lost) {
        (void)fault_set(&r->why, ST_UNAVAILABLE, "the node ended the connection");
    }
}

static enum status upgrade(struct cli *c, const struct session *s, struct http_client *http,
                           struct fault *why)
{
    char key[WS_KEY_MAX];
    ws_key(key);
    const struct http_field field[] = {
        {"Connection", "Upgrade"},
        {"Upgrade", "websocket"},
        {"Sec-WebSocket-Version", "13"},
        {"Sec-WebSocket-Key", key},
    };
    struct http_request r = {
        .method = "GET", .target = s->target, .field = field, .field_count = ARRAY_COUNT(field)};
    enum status st = cli_open(c, http, &r, why);
    if (st != ST_OK)
        return st;
    const struct http_head *h = &http->parser.head;
    if (h->status != 101 || !ws_accepts(key, http_head_get(h, "Sec-WebSocket-Accept")))
        return fault_set(why, ST_CORRUPT, "the node did not open a WebSocket");
    return ST_OK;
}

int session_run(struct cli *c, const struct session *s)
{
    struct fault why;
    struct http_client http;
    struct run r = {.c = c, .s = s, .input = s->input};
    enum status st = upgrade(c, s, &http, &why);
    if (st != ST_OK) {
        http_client_close(&http);
        return cli_fail(c, &why);
    }
    if (s->opened)
        cli_note("%s", s->opened);
    term_catch(&r.signals, (const int[]){SIGINT, SIGTERM, SIGHUP, SIGWINCH, 0});
    r.fd = link_fd(http.link);
    r.ws = ws_open(http.link, http_parser_rest(&http.parser), on_message, &r);
    struct term_mode mode = {0};
    if (s->raw)
        term_raw(&mode, STDIN_FILENO);
    if (s->sizes)
        send_size(&r);
    run_all(&r);
    term_restore(&mode);
    ws_close(r.ws);
    http_client_close(&http);
    term_catch_end(&r.signals);
    return r.why.status != ST_OK ? cli_fail(c, &r.why) : r.code;
}
