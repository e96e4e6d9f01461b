/*
 * fuzz_quic: an endpoint must survive whatever datagrams it is given, and be empty again some time after.
 *
 * The bytes are a list of steps: datagrams of anybody's; frames that a peer puts into its packets before it
 * protects them (support/quic_evil.h), in the handshake and after it; time that passes; what the
 * application does meanwhile.
 */
#include <string.h>

#include "base/units.h"
#include "support/quic_evil.h"
#include "wire/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    STEPS_MAX = 40,
    DATAGRAM_MAX = 2000,
    SETTLE_MS = 70000,
    FRAMES_MAX = 1100,
    STREAMS = 8,
};

static struct quic_net net;

/* What goes into the next packet of that level. */
struct pending {
    enum evil_level level;
    size_t at;         /* offset of the frames, in the packet */
    bool alone;        /* nothing else is in it */
    struct str frames; /* empty: none */
};

static void put(void *ctx, enum evil_level level, uint8_t *frames, size_t len)
{
    struct pending *p = ctx;
    if (p->frames.len == 0 || p->level != level || p->at >= len)
        return;
    if (p->alone)
        memset(frames, 0, len);
    memcpy(frames + p->at, p->frames.ptr, MIN(p->frames.len, len - p->at));
    p->frames.len = 0;
}

static void limits(struct endpoint_config *c)
{
    c->streams_max = STREAMS;
    c->stream_window = 20000;
    c->stream_send_max = 20000;
    c->conn_send_max = 50000;
    c->conns_max = 8;
    c->half_open_max = 4;
    c->retry_above = 2;
}

/* So many bytes, or what is left. */
static size_t left_of(const struct cursor *c, size_t len)
{
    size_t left = cursor_left(c);
    return MIN(len, left);
}

static void pending_read(struct pending *p, struct cursor *c)
{
    p->level = cursor_u8(c) % 3;
    p->at = cursor_u8(c) & 0x3f;
    p->alone = p->at & 1;
    p->at >>= 1;
    p->frames = cursor_bytes(c, left_of(c, cursor_u8(c)));
}

/* What an application may do at any time. */
static void application(struct net_node *b, uint8_t what)
{
    struct quic_stream *s;
    static uint8_t bytes[15000];
    if (!b->c)
        return;
    if (what % 8 == 0) {
        quic_conn_close(b->c, what);
        return;
    }
    if (b->stream_count < NET_STREAMS - STREAMS && quic_stream_open(b->c, NULL, &s, NULL) == ST_OK)
        IGNORE(quic_net_stream(s));
    for (size_t i = 0; i < b->stream_count; i++) {
        struct net_stream *r = &b->stream[i];
        if (!r->s)
            continue;
        quic_stream_consume(r->s, r->unread);
        r->unread = 0;
        if (what % 8 == 1)
            quic_stream_abort(r->s, what);
        else if (what % 8 == 2)
            quic_stream_stop(r->s, what);
        else
            IGNORE(
                quic_stream_write(r->s, (struct str){(char *)bytes, sizeof bytes}, what & 8, NULL));
        return;
    }
}

static void step(struct evil *v, struct net_node *b, struct pending *p, struct cursor *c)
{
    struct quic_addr other = quic_net_addr(67, 6666);
    uint8_t what = cursor_u8(c);
    switch (what % 6) {
    case 0: {
        struct str d = cursor_bytes(c, left_of(c, cursor_u16(c) % DATAGRAM_MAX));
        quic_net_inject(&net, &other, &b->addr, d.ptr, d.len);
        break;
    }
    case 1: /* an Initial, or what looks like one, of full size */ {
        uint8_t full[1200] = {0xc0, 0, 0, 0, 1, 8};
        struct str d = cursor_bytes(c, left_of(c, cursor_u8(c)));
        memcpy(full + (what & 8 ? 0 : 6), d.ptr, d.len);
        quic_net_inject(&net, &other, &b->addr, full, sizeof full);
        break;
    }
    case 2: pending_read(p, c); break;
    case 3:
        pending_read(p, c);
        p->level = EVIL_DATA;
        evil_send(v, MIN(p->frames.len + p->at, FRAMES_MAX));
        break;
    case 4: application(b, cursor_u8(c)); break;
    default: evil_run(v, cursor_u8(c) % 100); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c;
    struct pending p = {0};
    cursor_init(&c, (struct str){(const char *)data, size});
    quic_net_init(&net, 1);
    struct net_node *b = quic_net_add(&net, limits);
    uint8_t mode = cursor_u8(&c);
    b->lazy = mode & 1;
    b->echo = mode & 2;
    struct evil *v = evil_new(&net, b, put, &p);
    if (mode & 4) /* the handshake first, as it should be */
        evil_run(v, 10);
    for (int i = 0; i < STEPS_MAX && cursor_left(&c) > 0; i++) {
        step(v, b, &p, &c);
        evil_run(v, 1);
        require(endpoint_view(b->e).conns <= 8 && endpoint_view(b->e).half_open <= 4);
        require(!b->c || quic_conn_streams(b->c) <= 2 * STREAMS);
    }
    evil_free(v);
    IGNORE(quic_net_run(&net, SETTLE_MS, NULL, NULL)); /* nobody is there any more */
    require(endpoint_view(b->e).conns == 0);
    require(b->open_count == b->close_count);
    quic_net_done(&net);
    return 0;
}
