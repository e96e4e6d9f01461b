#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/accept.h"
#include "http/server.h"
#include "ops/problem.h"
#include "os/clock_os.h"

/* --- sleep --- */

/* MHD: it does not watch a suspended connection, so a client that hangs up would be noticed only when
 * the answer is ready. Only a full hang-up counts: a client may close its writing side early. */
static void hung_up(void *ctx, uint32_t events)
{
    (void)events;
    struct request *q = ctx;
    loop_source_close(q->hangup);
    q->hangup = NULL;
    q->gone = true;
    request_wake(q);
}

void request_sleep(struct request *q)
{
    if (q->asleep || q->gone)
        return;
    if (!q->hangup &&
        loop_io_open(q->conn->h->loop, q->conn->fd, 0, hung_up, q, &q->hangup, NULL) != ST_OK)
        q->hangup = NULL; /* then a client that goes is noticed late */
    q->asleep = true;
    MHD_suspend_connection(q->conn->mhd);
}

void request_wake(struct request *q)
{
    if (!q->asleep)
        return;
    q->asleep = false;
    MHD_resume_connection(q->conn->mhd);
    http_kick(q->conn->h);
}

/* --- headers of the request --- */

struct str request_header(const struct request *q, const char *name)
{
    return str_from(MHD_lookup_connection_value(q->conn->mhd, MHD_HEADER_KIND, name));
}

static bool same_word(struct str a, const char *b)
{
    return a.len == strlen(b) && strncasecmp(a.ptr, b, a.len) == 0;
}

bool request_has_token(const struct request *q, const char *header, const char *token)
{
    struct str rest = request_header(q, header), part;
    for (bool more = rest.len > 0; more;) {
        more = str_cut(&rest, ',', &part);
        if (same_word(str_trim(part), token))
            return true;
    }
    return false;
}

static unsigned wants(const struct request *q, const char *type)
{
    return accept_quality(request_header(q, "Accept"), type);
}

/* Prefer: wait=30 (RFC 7240), in seconds. */
static uint64_t preferred_wait_ms(const struct request *q)
{
    struct str rest = request_header(q, "Prefer"), part;
    uint64_t seconds;
    for (bool more = rest.len > 0; more;) {
        more = str_cut(&rest, ',', &part);
        part = str_trim(part);
        if (!str_starts(part, "wait="))
            continue;
        part = (struct str){part.ptr + 5, part.len - 5};
        if (str_u64(part, 0, OPS_WAIT_MAX_MS / 1000, &seconds, NULL) == ST_OK)
            return seconds * 1000;
        return str_u64(part, 0, UINT64_MAX, &seconds, NULL) == ST_OK ? OPS_WAIT_MAX_MS : 0;
    }
    return 0;
}

struct op_call request_call(const struct request *q)
{
    return (struct op_call){
        .op = q->op,
        .who = {q->who.actor, q->who.role},
        .name = q->name,
        .query = q->query,
        .body = buf_view(&q->body),
        .idempotency_key = request_header(q, "Idempotency-Key"),
        .if_match = request_header(q, "If-Match"),
        .if_none_match = request_header(q, "If-None-Match"),
        .traceparent = request_header(q, "traceparent"),
        .last_event_id = request_header(q, "Last-Event-ID"),
        .open_metrics =
            q->op->id == OP_METRICS && wants(q, OPS_OPEN_METRICS) > wants(q, "text/plain"),
        .wait_ms = preferred_wait_ms(q),
    };
}

/* --- answers --- */

enum { STREAM_BLOCK = 1 << 10 };

static void add_header(struct MHD_Response *r, const char *name, const char *value)
{
    enum MHD_Result ok = MHD_add_response_header(r, name, value);
    ensure(ok == MHD_YES);
}

void request_response(struct request *q, unsigned http, struct MHD_Response *r)
{
    require(q->status == 0 && r);
    add_header(r, "X-Content-Type-Options", "nosniff");
    add_header(r, "Cache-Control", "no-cache");
    q->status = http;
    q->answer = r;
    request_wake(q);
}

/* A response with this body, which is taken. */
static struct MHD_Response *response_of(struct buf *body, const char *type)
{
    size_t len;
    char *bytes = buf_take(body, &len);
    struct MHD_Response *r = MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE);
    ensure(r);
    if (type)
        add_header(r, "Content-Type", type);
    return r;
}

void request_answer(struct request *q, struct op_answer *a)
{
    struct MHD_Response *r = response_of(&a->body, a->type);
    char index[24];
    (void)snprintf(index, sizeof index, "%" PRIu64, a->index);
    if (a->index > 0)
        add_header(r, "Blixard-Index", index);
    if (a->etag[0])
        add_header(r, "ETag", a->etag);
    if (a->location[0])
        add_header(r, "Location", a->location);
    if (a->dry_run[0])
        add_header(r, "Blixard-Dry-Run", a->dry_run);
    if (a->http == 429 || a->http == 503)
        add_header(r, "Retry-After", "1");
    if (a->status != ST_OK)
        q->why = a->why;
    request_response(q, a->http, r);
}

static struct MHD_Response *problem_of(unsigned http, const struct fault *why)
{
    AUTO(buf_done) struct buf body;
    buf_init(&body, OPS_ANSWER_MAX);
    problem_json(why, http, "", &body);
    return response_of(&body, PROBLEM_TYPE);
}

void request_refuse(struct request *q, unsigned http, const struct fault *why)
{
    struct MHD_Response *r = problem_of(http, why);
    auth_add_header(q, http, r);
    q->why = *why;
    request_response(q, http, r);
}

void request_stream(struct request *q, const char *type, uint64_t index,
                    MHD_ContentReaderCallback read, void *ctx)
{
    char number[24];
    struct MHD_Response *r =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read, ctx, NULL);
    ensure(r);
    (void)snprintf(number, sizeof number, "%" PRIu64, index);
    add_header(r, "Content-Type", type);
    if (index > 0)
        add_header(r, "Blixard-Index", number);
    q->endless = true;
    request_response(q, 200, r);
}

/* Hand the answer to MHD, which is calling us for it. */
static enum MHD_Result queue(struct request *q)
{
    struct MHD_Response *r = q->answer;
    q->answer = NULL;
    q->phase = REQUEST_QUEUED;
    http_deadline(q->conn, q->endless ? auth_left_ms(q) : q->conn->h->config.answer_ms);
    enum MHD_Result ok = MHD_queue_response(q->conn->mhd, q->status, r);
    MHD_destroy_response(r);
    return ok;
}

/* --- what is refused before its body is read --- */

static bool has_body(const struct request *q)
{
    struct str length = request_header(q, "Content-Length");
    return (length.len > 0 && !str_is(length, "0")) ||
           request_header(q, "Transfer-Encoding").len > 0;
}

static void refuse_route(struct request *q, const char *allowed)
{
    struct fault why;
    if (!allowed[0]) {
        (void)fault_set(&why, ST_NOT_FOUND, "there is no such path");
        fault_hint(&why, "GET /v1/openapi.json lists all");
        request_refuse(q, 404, &why);
        return;
    }
    (void)fault_set(&why, ST_UNSUPPORTED, "that path has %s only", allowed);
    struct MHD_Response *r = problem_of(405, &why);
    add_header(r, "Allow", allowed);
    q->why = why;
    request_response(q, 405, r);
}

static const char *answer_type(const struct op *op)
{
    switch (op->id) {
    case OP_EVENTS: return "text/event-stream";
    case OP_LIVEZ:
    case OP_READYZ:
    case OP_METRICS: return "text/plain";
    default: return op->flags & OP_STREAM ? "application/octet-stream" : "application/json";
    }
}

static bool acceptable(const struct request *q)
{
    return q->op->flags & OP_SOCKET || wants(q, answer_type(q->op)) > 0 ||
           (q->op->id == OP_METRICS && wants(q, OPS_OPEN_METRICS) > 0);
}

static bool sends_json(const struct op *op)
{
    return strcmp(op->method, "POST") == 0 || strcmp(op->method, "PATCH") == 0;
}

static bool is_json(const struct request *q)
{
    struct str rest = request_header(q, "Content-Type"), type;
    (void)str_cut(&rest, ';', &type);
    type = str_trim(type);
    return type.len == 0 || same_word(type, "application/json") ||
           same_word(type, "application/merge-patch+json");
}

/* Returns the HTTP status of a refusal, or 0. */
static unsigned refusal(const struct request *q, struct fault *why)
{
    struct str length = request_header(q, "Content-Length");
    uint64_t size = 0;
    enum status s = ops_may(&(struct op_caller){q->who.actor, q->who.role}, q->op, why);
    if (s != ST_OK)
        return status_http(s);
    if (!acceptable(q)) {
        (void)fault_set(why, ST_INVALID, "%s answers %s, which Accept does not name", q->op->name,
                        answer_type(q->op));
        return 406;
    }
    if (sends_json(q->op) && has_body(q) && !is_json(q)) {
        (void)fault_set(why, ST_INVALID, "the body must be JSON");
        fault_hint(why, "send it with Content-Type: application/json");
        return 415;
    }
    bool upload = q->op->flags & OP_UPLOAD;
    if (upload && (length.len == 0 || request_header(q, "Transfer-Encoding").len > 0)) {
        (void)fault_set(why, ST_INVALID, "an upload comes whole, with its size in Content-Length");
        return 411;
    }
    if (!upload && length.len > 0 &&
        (str_u64(length, 0, UINT64_MAX, &size, NULL) != ST_OK || size > OPS_BODY_MAX)) {
        (void)fault_set(why, ST_TOO_BIG, "a body has at most %d bytes", OPS_BODY_MAX);
        return 413;
    }
    return 0;
}

/* --- a request's life --- */

void *request_begin(void *ctx, const char *uri, struct MHD_Connection *mhd)
{
    (void)ctx;
    struct request *q = NEW(struct request);
    q->conn = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    q->conn->request = q;
    q->uri = mem_strdup(uri);
    q->start_ns = clock_os_ns(CLOCK_MONOTONIC);
    buf_init(&q->body, OPS_BODY_MAX);
    return q;
}

static void route(struct request *q, const char *method)
{
    char allowed[64] = "";
    struct fault why;
    q->query = str_from(q->uri);
    (void)str_cut(&q->query, '?', &q->path);
    q->head = strcmp(method, "HEAD") == 0;
    q->op = op_route(str_from(q->head ? "GET" : method), q->path, &q->name, allowed);
    if (!auth_request(q))
        return;
    if (!q->op) {
        refuse_route(q, allowed);
        return;
    }
    unsigned http = refusal(q, &why);
    if (http)
        request_refuse(q, http, &why);
}

static enum MHD_Result begin(struct request *q, const char *method)
{
    uint64_t size = 0;
    q->phase = REQUEST_BODY;
    http_deadline(q->conn, q->conn->h->config.body_ms);
    route(q, method);
    /* MHD: an answer before the body closes the connection after it. Without a body there is no
     * need for that, so such an answer waits for the last call. */
    if (q->status)
        return has_body(q) ? queue(q) : MHD_YES;
    if (!(q->op->flags & OP_UPLOAD))
        return MHD_YES;

    (void)!str_u64(request_header(q, "Content-Length"), 0, UINT64_MAX, &size, NULL);
    stream_open(q, size);
    if (q->status)
        return has_body(q) ? queue(q) : MHD_YES;
    if (!q->opened) {
        q->phase = REQUEST_OPENING;
        http_deadline(q->conn, UINT64_MAX);
        request_sleep(q);
    }
    return MHD_YES;
}

/* The target of an upload was opened, or not, while the request slept. MHD calls once more as it did
 * first. */
static enum MHD_Result opened(struct request *q)
{
    q->phase = REQUEST_BODY;
    http_deadline(q->conn, q->conn->h->config.body_ms);
    return q->status && has_body(q) ? queue(q) : MHD_YES;
}

static void take_body(struct request *q, const char *data, size_t *len)
{
    bool upload = q->op->flags & OP_UPLOAD;
    if (upload) /* it may be large: each piece has its time */
        http_deadline(q->conn, q->conn->h->config.body_ms);
    if (q->status) { /* it failed meanwhile; MHD takes no answer until all was sent */
        *len = 0;
    } else if (upload) {
        *len -= stream_push(q, (struct str){data, *len});
        if (q->asleep) /* the VM is the slow one */
            http_deadline(q->conn, UINT64_MAX);
    } else {
        buf_add(&q->body, data, *len);
        *len = 0;
    }
}

static void op_answered(void *ctx, struct op_answer *a)
{
    request_answer(ctx, a);
}

/* HEAD of a stream: it has no body, and nothing is opened for it. */
static ssize_t read_nothing(void *ctx, uint64_t at, char *out, size_t max)
{
    (void)ctx;
    (void)at;
    (void)out;
    (void)max;
    return MHD_CONTENT_READER_END_OF_STREAM;
}

static void dispatch(struct request *q)
{
    struct fault why;
    q->phase = REQUEST_CALLED;
    http_deadline(q->conn, UINT64_MAX);
    if (q->body.full) {
        (void)fault_set(&why, ST_TOO_BIG, "a body has at most %d bytes", OPS_BODY_MAX);
        request_refuse(q, 413, &why);
    } else if (q->op->flags & OP_UPLOAD) {
        stream_push_end(q);
    } else if (q->head && q->op->flags & OP_STREAM) {
        request_stream(q, answer_type(q->op), 0, read_nothing, NULL);
    } else if (q->op->flags & OP_SOCKET) {
        socket_open(q);
    } else if (q->op->id == OP_EVENTS) {
        feed_open(q);
    } else if (q->op->flags & OP_STREAM) {
        stream_open(q, 0);
    } else {
        struct op_call call = request_call(q);
        ops_call(q->conn->h->ops, &call, op_answered, q);
    }
}

enum MHD_Result request_handle(void *ctx, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *len, void **slot)
{
    (void)ctx;
    (void)mhd;
    (void)url;
    (void)version;
    struct request *q = *slot;
    if (q->gone)
        return MHD_NO;
    if (q->phase == REQUEST_NEW)
        return begin(q, method);
    if (q->phase == REQUEST_OPENING)
        return opened(q);
    if (*len > 0) {
        take_body(q, data, len);
        return MHD_YES;
    }
    if (q->phase == REQUEST_BODY && !q->status)
        dispatch(q);
    if (q->status)
        return queue(q);
    request_sleep(q);
    return MHD_YES;
}

static void tell(const struct request *q)
{
    const struct http_config *c = &q->conn->h->config;
    if (!c->seen)
        return;
    bool failed = q->why.status != ST_OK;
    struct http_seen seen = {
        .op = q->op,
        .actor = q->who.actor,
        .from = q->conn->from,
        .status = q->status ? q->status : 499, /* gone before its answer */
        .ns = clock_os_ns(CLOCK_MONOTONIC) - q->start_ns,
        .why = failed ? &q->why : NULL,
    };
    c->seen(c->seen_ctx, &seen);
}

void request_end(void *ctx, struct MHD_Connection *mhd, void **slot,
                 enum MHD_RequestTerminationCode code)
{
    (void)mhd;
    (void)code;
    struct http *h = ctx;
    struct request *q = *slot;
    if (!q)
        return;
    *slot = NULL;
    tell(q);
    ops_forget(h->ops, q);
    loop_source_close(q->hangup);
    stream_free(q->stream);
    feed_free(q->feed);
    socket_free(q->socket);
    if (q->answer)
        MHD_destroy_response(q->answer);
    http_deadline(q->conn, h->config.idle_ms);
    q->conn->request = NULL;
    buf_done(&q->body);
    free(q->uri);
    free(q);
}
