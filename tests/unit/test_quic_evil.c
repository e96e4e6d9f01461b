/* Peers that were let in and then break the protocol: they are cut off, and nobody else notices. */
#include "base/units.h"
#include "support/quic_evil.h"
#include "support/tap.h"

static struct quic_net net;

/* Frames for the next packet that is large enough. */
struct says {
    const void *frames;
    size_t len;
    unsigned times; /* in so many packets */
};

static void say(void *ctx, enum evil_level level, uint8_t *frames, size_t len)
{
    struct says *s = ctx;
    if (level != EVIL_DATA || s->times == 0 || s->len > len)
        return;
    s->times--;
    memset(frames, 0, len);
    memcpy(frames, s->frames, s->len);
}

static void few(struct endpoint_config *c)
{
    c->streams_max = 4;
    c->stream_window = 100000;
}

static void still_works(struct net_node *a, struct quic_conn *c)
{
    struct net_stream *r = quic_net_open(c);
    CHECK_EQ(ST_OK, quic_stream_write(r->s, STR("hello"), true, NULL));
    IGNORE(quic_net_run(&net, 1000, NULL, NULL)); /* the next lines look */
    CHECK(r->closed);
    CHECK_STR("hello", buf_cstr(&r->got));
    CHECK_EQ(0, a->close_count);
}

/* What came of a peer that said this, `times` times. */
static void said(struct says s, void (*look)(struct net_node *b))
{
    quic_net_init(&net, 1);
    struct net_node *a = quic_net_add(&net, few), *b = quic_net_add(&net, few);
    unsigned times = s.times;
    b->echo = true;
    struct quic_conn *good = quic_net_join(a, b);
    s.times = 0;
    struct evil *v = evil_new(&net, b, say, &s);
    evil_run(v, 100);
    CHECK(evil_connected(v));
    CHECK_EQ(2, endpoint_view(b->e).conns);
    s.times = times;
    for (unsigned i = 0; i < times; i++) {
        evil_send(v, s.len);
        evil_run(v, 2);
    }
    evil_run(v, 100);
    CHECK_EQ(0, s.times); /* all of it was said */
    look(b);
    evil_free(v);
    still_works(a, good);
    quic_net_done(&net);
}

static void cut_off(struct net_node *b)
{
    CHECK_EQ(1, b->close_count);
    CHECK_EQ(ST_INVALID, b->end.status);
    CHECK(!b->end.by_peer && b->end.opened);
    CHECK_EQ(1, endpoint_view(b->e).count.ended_wrong);
}

static void goes_on(struct net_node *b)
{
    CHECK_EQ(0, b->close_count);
}

#define SAY(literal) ((struct says){literal, sizeof(literal) - 1, 1})

/* A test: who says this is cut off. */
#define CUT_OFF(id, frames)         \
    TEST(id)                        \
    {                               \
        said(SAY(frames), cut_off); \
    }

/* STREAM with offset and length: the id, the offset as 8 bytes, the length. Byte 100000 of stream 0. */
CUT_OFF(bytes_beyond_the_window_are_refused, "\x0e\x00\xc0\x00\x00\x00\x00\x01\x86\xa0\x01x")

CUT_OFF(bytes_beyond_all_bounds_are_refused, "\x0e\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01x")

/* The fifth of the client: 4 * 4. */
CUT_OFF(a_stream_too_many_is_refused, "\x0a\x10\x01x")

CUT_OFF(a_one_way_stream_is_refused, "\x0a\x02\x01x")

CUT_OFF(a_stream_that_only_we_may_open_is_refused, "\x0a\x01\x01x")

CUT_OFF(a_frame_longer_than_its_packet_is_refused, "\x0a\x00\x7f\xffx")

CUT_OFF(an_unknown_frame_is_refused, "\x7f\xf0")

CUT_OFF(a_client_may_not_say_that_the_handshake_is_done, "\x1e")

CUT_OFF(an_ack_of_what_was_never_sent_is_refused, "\x02\x80\x0f\xff\xff\x00\x00\x00")

CUT_OFF(an_id_that_was_never_given_cannot_be_retired, "\x19\x7f\xff")

TEST(a_path_response_out_of_nowhere_is_ignored)
{
    said(SAY("\x1b"
             "12345678"),
         goes_on);
}

/* The end of a stream is changed afterwards. */
CUT_OFF(a_stream_ends_once, "\x0b\x00\x04text\x0f\x00\x06\x01x")

/* More handshake than was agreed on, after the handshake. */
TEST(a_flood_of_handshake_bytes_is_bounded)
{
    static uint8_t frames[1000] = {0x06, 0x80, 0x01, 0x00, 0x00, 0x43, 0xdc}; /* at 65536 */
    said((struct says){frames, sizeof frames, 1}, cut_off);
}

static void answered_few(struct net_node *b)
{
    goes_on(b);
    CHECK(endpoint_view(b->e).count.datagrams_out < 300);
}

/* Of thousands of questions few are answered, and the others are not kept. */
TEST(a_flood_of_path_challenges_is_bounded)
{
    static uint8_t frames[1080];
    for (size_t i = 0; i + 9 <= sizeof frames; i += 9)
        frames[i] = 0x1a;
    said((struct says){frames, sizeof frames, 50}, answered_few);
}

/* Ids that replace each other, many in a packet: all are to be retired, by a frame each. */
TEST(a_flood_of_ids_is_bounded)
{
    enum { ID = 8, FRAME = 1 + 4 + 4 + 1 + ID + 16, COUNT = 30 };
    static uint8_t frames[COUNT * FRAME];
    for (uint8_t i = 0; i < COUNT; i++) {
        uint8_t *f = frames + i * FRAME, n = (uint8_t)(i + 40);
        memcpy(f, (uint8_t[]){0x18, 0x80, 0, 0, n, 0x80, 0, 0, n, ID}, 10);
        memset(f + 10, n, ID + 16);
    }
    said((struct says){frames, sizeof frames, 1}, cut_off);
}

/* Streams that are opened and reset at once, over and over. */
TEST(a_flood_of_resets_stays_within_the_limit)
{
    said(SAY("\x04\x00\x01\x00\x04\x04\x01\x00\x04\x08\x01\x00\x04\x0c\x01\x00"), goes_on);
}
