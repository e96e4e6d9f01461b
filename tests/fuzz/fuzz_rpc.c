/*
 * fuzz_rpc: whatever a peer sends in a stream, both who is asked and who asks are told how it ended, once; what goes
 * out is well formed; and nothing is left.
 *
 * The bytes are a list of steps: what the peer does with the stream, what the application does, time that passes.
 * The stream is played by hand, below; the rest is the real code.
 */
#include <string.h>

#include "rpc/rpc.h"
#include "wire/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PLAIN = 1, STREAM = 2, SIZE_MAX_HERE = 3000, OUT_MAX = 1 << 20, STEPS_MAX = 200 };

/* --- a stream, as src/quic would have it --- */

struct quic_conn {
    bool open;
};
struct quic_stream {
    void *ctx;
    bool ours, in_over, out_over, hungry;
    size_t held, room;
    struct buf out;
};

static struct quic_conn conn;
static struct quic_stream stream;

enum status quic_stream_open(struct quic_conn *c, void *ctx, struct quic_stream **ret,
                             struct fault *why)
{
    (void)why;
    require(c->open);
    stream.ctx = ctx;
    *ret = &stream;
    return ST_OK;
}

enum status quic_stream_write(struct quic_stream *s, struct str bytes, bool fin, struct fault *why)
{
    if (s->out_over || !conn.open)
        return fault_set(why, ST_PRECONDITION, "over");
    if (bytes.len > s->room) {
        s->hungry = true;
        return fault_set(why, ST_LIMIT, "full");
    }
    s->room -= bytes.len;
    buf_str(&s->out, bytes);
    s->out_over = fin;
    return ST_OK;
}

void quic_stream_consume(struct quic_stream *s, size_t len)
{
    require(len <= s->held);
    s->held -= len;
}

void quic_stream_abort(struct quic_stream *s, uint64_t code)
{
    (void)code;
    s->in_over = s->out_over = true;
}

void quic_stream_stop(struct quic_stream *s, uint64_t code)
{
    (void)code;
    s->in_over = true;
}

struct quic_conn *quic_stream_conn(const struct quic_stream *s)
{
    (void)s;
    return &conn;
}

void *quic_stream_ctx(const struct quic_stream *s)
{
    return s->ctx;
}

void quic_stream_set_ctx(struct quic_stream *s, void *ctx)
{
    s->ctx = ctx;
}

bool quic_conn_open(const struct quic_conn *c)
{
    return c->open;
}

const uint8_t *quic_conn_peer(const struct quic_conn *c)
{
    static const uint8_t key[KEY_PUBLIC_SIZE] = {1};
    (void)c;
    return key;
}

const struct quic_addr *quic_conn_remote(const struct quic_conn *c)
{
    static const struct quic_addr addr = {.ip = {4, {10, 0, 0, 1}}, .port = 7001};
    (void)c;
    return &addr;
}

void endpoint_events_init(struct endpoint_events *ev)
{
    *ev = (struct endpoint_events){0};
}

/* --- both applications --- */

static struct rpc_call *call;
static struct rpc_ask *ask;
static size_t unread;
static bool data_ended;
static unsigned told;
static struct rpc *rpc;
static uint64_t now_ms;

/* From within an event: the first byte says what. */
static void in_event(struct str bytes)
{
    switch (bytes.len > 0 ? bytes.ptr[0] : 0) {
    case 'a':
        if (call) {
            struct rpc_call *c = call;
            call = NULL;
            rpc_answer(c, ST_OK, NULL, bytes);
        }
        break;
    case 'c':
        if (ask) {
            struct rpc_ask *a = ask;
            ask = NULL;
            told++;
            rpc_cancel(a);
        }
        break;
    case 't':
        now_ms += 20000;
        rpc_step(rpc, now_ms);
        break;
    default: break;
    }
}

static void on_called(void *ctx, struct rpc_call *c)
{
    (void)ctx;
    require(!call && rpc_call_body(c).len <= SIZE_MAX_HERE);
    call = c;
    in_event(rpc_call_body(c));
}

static void on_gone(void *ctx, struct rpc_call *c, enum status why)
{
    (void)ctx;
    require(call == c && why != ST_OK);
    call = NULL;
}

static void on_data(void *ctx, struct rpc_call *c, struct str bytes, bool fin)
{
    (void)ctx;
    require(call == c && !data_ended);
    data_ended = fin;
    unread += bytes.len;
    in_event(bytes);
}

static void on_answered(void *ctx, struct rpc_ask *a, const struct rpc_answer *r)
{
    (void)ctx;
    require(ask == a && told++ == 0);
    require(r->bytes.len <= SIZE_MAX_HERE && (r->status == ST_OK) == (r->fault == NULL));
    ask = NULL;
}

static void on_more(void *ctx, struct rpc_ask *a, struct str bytes)
{
    (void)ctx;
    require(ask == a && bytes.len > 0);
    unread += bytes.len;
    in_event(bytes);
}

static const struct rpc_method methods[] = {
    {.number = PLAIN,
     .name = "plain",
     .body_max = SIZE_MAX_HERE,
     .answer_max = SIZE_MAX_HERE,
     .concurrent_max = 1,
     .called = on_called,
     .gone = on_gone},
    {.number = STREAM,
     .name = "stream",
     .body_max = SIZE_MAX_HERE,
     .answer_max = SIZE_MAX_HERE,
     .concurrent_max = 1,
     .per_s = 5,
     .bytes_per_s = 100,
     .streams = true,
     .called = on_called,
     .gone = on_gone,
     .data = on_data},
};
static const struct rpc_ask_events ask_events = {.answered = on_answered, .more = on_more};

static void application(uint8_t what)
{
    static char bytes[SIZE_MAX_HERE + 100]; /* an answer may be too long */
    size_t len = 1 + (size_t)what * 12;
    if (call || ask) {
        size_t n = MIN(unread, len);
        unread -= n;
        if (call)
            rpc_call_consume(call, n);
        else
            rpc_ask_consume(ask, n);
    }
    if (call && what % 4 == 0)
        IGNORE(rpc_more(call, (struct str){bytes, len}, NULL));
    else if (call && what % 4 == 1) {
        struct rpc_call *c = call;
        call = NULL;
        rpc_answer(c, what & 4 ? ST_OK : ST_FAILED, NULL, (struct str){bytes, len});
    } else if (ask && what % 8 == 2)
        rpc_ask_end(ask);
    else if (ask && what == 3) {
        struct rpc_ask *a = ask;
        ask = NULL;
        told++;
        rpc_cancel(a);
    }
}

/* What we answered must be what a caller can read, as far as it went. */
static void check_out(void)
{
    struct cursor c;
    struct frame f = {0};
    cursor_init(&c, buf_view(&stream.out));
    while (cursor_left(&c) >= FRAME_FRAME) {
        require(f.kind != FRAME_END);
        require(frame_get(cursor_bytes(&c, FRAME_FRAME), &f, NULL) == ST_OK);
        require(f.kind == FRAME_MORE || f.kind == FRAME_END);
        size_t left = cursor_left(&c);
        struct str bytes = cursor_bytes(&c, MIN(left, f.len));
        struct frame_fault fault;
        if (f.kind == FRAME_END && f.status != ST_OK && bytes.len == f.len)
            require(frame_get_fault(bytes, f.status, &fault, NULL) == ST_OK);
    }
}

static void step(const struct endpoint_events *ev, struct cursor *c)
{
    uint8_t what = cursor_u8(c);
    switch (what % 8) {
    default: {
        size_t len = cursor_u8(c), left = cursor_left(c);
        struct str bytes = cursor_bytes(c, MIN(len, left));
        bool fin = what & 0x80;
        if (stream.in_over)
            break;
        stream.held += bytes.len;
        ev->stream_data(ev->ctx, &stream, bytes, fin);
        stream.in_over |= fin;
        break;
    }
    case 4: application(cursor_u8(c)); break;
    case 5:
        now_ms += cursor_u16(c);
        rpc_step(rpc, now_ms);
        break;
    case 6:
        stream.room += cursor_u16(c);
        if (stream.hungry && !stream.out_over) {
            stream.hungry = false;
            ev->stream_room(ev->ctx, &stream);
        }
        break;
    case 7:
        if (what & 0x80) {
            if (!stream.in_over)
                ev->stream_reset(ev->ctx, &stream, cursor_u8(c));
            stream.in_over = true;
        } else if (!stream.out_over) {
            stream.out_over = true;
            ev->stream_stopped(ev->ctx, &stream);
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c;
    struct rpc_config config;
    cursor_init(&c, (struct str){(const char *)data, size});
    uint8_t mode = cursor_u8(&c);
    rpc_config_init(&config);
    config.methods = methods;
    config.method_count = ARRAY_COUNT(methods);
    now_ms = 1000;
    struct rpc *r = rpc = rpc_new(&config, now_ms);
    const struct endpoint_events *ev = rpc_events(r);
    conn.open = true;
    stream = (struct quic_stream){.room = (size_t)(mode >> 2) * 100};
    buf_init(&stream.out, OUT_MAX);
    call = NULL;
    ask = NULL;
    told = 0;
    unread = 0;
    data_ended = false;
    if (mode & 1) {
        static char body[500];
        struct rpc_request q = {.method = PLAIN,
                                .streams = mode & 2,
                                .timeout_ms = 10000,
                                .answer_max = SIZE_MAX_HERE,
                                .body = {body, sizeof body}};
        require(rpc_ask(r, &conn, &q, &ask_events, NULL, &ask, NULL) == ST_OK);
    } else
        ev->stream_opened(ev->ctx, &stream);
    for (int i = 0; i < STEPS_MAX && cursor_left(&c) > 0; i++)
        step(ev, &c);
    conn.open = false;
    ev->stream_closed(ev->ctx, &stream);
    struct rpc_view v = rpc_view(r);
    require(!call && !ask && v.calls == 0 && v.asks == 0 && v.queued == 0);
    require(told == (mode & 1));
    if (!(mode & 1))
        check_out();
    buf_done(&stream.out);
    rpc_free(r);
    return 0;
}
