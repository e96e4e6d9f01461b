/*
 * What a connection promises of its streams, whatever both applications and the network do: bytes come
 * in order and unchanged, an end comes after all that was written, and nothing hangs.
 */
#include "base/units.h"
#include "support/prop.h"
#include "support/quic_net.h"
#include "support/tap.h"

enum { STREAMS = 40, STEPS = 50, PIECE_MAX = 30000 };

static struct quic_net net;

/* What one side did with a stream. */
struct sent {
    uint64_t id, written;
    bool fin, cut; /* cut: by either side, in either direction */
};
static struct sent sent[2][STREAMS];
static size_t sent_count[2];
static uint64_t moved_ns;

static uint8_t byte_at(size_t side, uint64_t id, uint64_t offset)
{
    return (uint8_t)(side * 101 + id * 7 + offset * 3 + (offset >> 9));
}

static struct sent *sent_of(size_t side, uint64_t id)
{
    for (size_t i = 0; i < sent_count[side]; i++)
        if (sent[side][i].id == id)
            return &sent[side][i];
    CHECK(sent_count[side] < STREAMS);
    struct sent *s = &sent[side][sent_count[side]++];
    *s = (struct sent){.id = id};
    return s;
}

static void write_some(struct tape *t, size_t side, struct net_stream *r)
{
    static uint8_t piece[PIECE_MAX];
    struct sent *s = sent_of(side, r->id);
    size_t len = draw_below(t, PIECE_MAX);
    bool fin = draw_below(t, 3) == 0;
    for (size_t i = 0; i < len; i++)
        piece[i] = byte_at(side, r->id, s->written + i);
    if (quic_stream_write(r->s, (struct str){(char *)piece, len}, fin, NULL) != ST_OK)
        return;
    s->written += len;
    s->fin = fin;
}

static void cut(struct tape *t, struct net_stream *r)
{
    sent_of(0, r->id)->cut = sent_of(1, r->id)->cut = true;
    if (draw_below(t, 2))
        quic_stream_abort(r->s, 1);
    else
        quic_stream_stop(r->s, 2);
}

/* Reads what it has kept back. */
static void consume(struct net_stream *r)
{
    quic_stream_consume(r->s, r->unread);
    r->unread = 0;
}

static void run_ms(uint64_t ms)
{
    IGNORE(quic_net_run(&net, ms, NULL, NULL)); /* there is nothing that it waits for */
}

/* A router gives the client another port. Not twice in a moment: a path that is lost while it is still being
 * checked ends the connection (RFC 9000 section 8.2.1: it must be shown to carry datagrams of full size). */
static void move(struct tape *t)
{
    if (draw_below(t, 6) > 0 || net.now_ns - moved_ns < 3 * UNITS_NS_PER_S)
        return;
    net.node[0].addr.port++;
    moved_ns = net.now_ns;
}

static void check_open(void)
{
    const struct net_node *a = &net.node[0], *b = &net.node[1];
    if (!a->c || !b->c)
        tap_fail(__FILE__, __LINE__, "it ended: \"%s\", \"%s\"", a->end_text, b->end_text);
}

static void step(struct tape *t)
{
    check_open();
    size_t side = draw_below(t, 2);
    struct net_node *v = &net.node[side];
    struct quic_stream *s;
    struct net_stream *r = v->stream_count ? &v->stream[draw_below(t, v->stream_count)] : NULL;
    switch (draw_below(t, 8)) {
    case 0:
    case 1:
        if (net.node[0].stream_count + net.node[1].stream_count < STREAMS &&
            quic_stream_open(v->c, NULL, &s, NULL) == ST_OK)
            write_some(t, side, quic_net_stream(s));
        break;
    case 2:
    case 3:
        if (r && r->s)
            write_some(t, side, r);
        break;
    case 4:
        if (r && r->s && draw_below(t, 3) == 0)
            cut(t, r);
        break;
    case 5:
        if (r && r->s)
            consume(r);
        break;
    case 6: v->lazy = !v->lazy; break;
    default: move(t); break;
    }
    run_ms(draw_below(t, 200));
}

static void check_side(size_t side)
{
    struct net_node *v = &net.node[side];
    for (size_t i = 0; i < v->stream_count; i++) {
        struct net_stream *r = &v->stream[i];
        struct sent *s = sent_of(1 - side, r->id);
        CHECK(r->got.len <= s->written);
        for (size_t k = 0; k < r->got.len; k++)
            CHECK_EQ(byte_at(1 - side, r->id, k), (uint8_t)r->got.ptr[k]);
        CHECK(!r->fin || (s->fin && r->got.len == s->written));
        CHECK(s->cut || (r->got.len == s->written && r->fin == s->fin));
        CHECK(s->cut || r->closed == (s->fin && sent_of(side, r->id)->fin));
    }
}

static void promises(struct tape *t)
{
    quic_net_init(&net, draw_below(t, 1000));
    sent_count[0] = sent_count[1] = 0;
    moved_ns = net.now_ns;
    net.loss_per_mille = (uint32_t)draw_below(t, 4) * 50;
    net.twice_per_mille = (uint32_t)draw_below(t, 2) * 50;
    net.jitter_ns = draw_below(t, 10) * UNITS_NS_PER_MS;
    struct net_node *a = quic_net_add(&net, NULL), *b = quic_net_add(&net, NULL);
    a->grant.keep_alive_ms = 1000;
    b->grant.window = a->grant.window = 100000;
    IGNORE(quic_net_join(a, b));
    for (int i = 0; i < STEPS; i++)
        step(t);
    net.loss_per_mille = 0;
    for (size_t side = 0; side < 2; side++) {
        net.node[side].lazy = false;
        for (size_t i = 0; i < net.node[side].stream_count; i++)
            if (net.node[side].stream[i].s)
                consume(&net.node[side].stream[i]);
    }
    run_ms(30000);
    check_open();
    check_side(0);
    check_side(1);
    quic_net_done(&net);
}

TEST(streams_keep_their_promises)
{
    prop_run(promises, 1, 25);
}
