#include <stdlib.h>

#include "support/prop.h"
#include "support/tap.h"
#include "wire/agent.h"

static const uint8_t nonce[AGENT_NONCE] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint8_t other_nonce[AGENT_NONCE] = {9};

enum { QUEUE_MAX = 1 << 20 };

static struct buf queue_new(void)
{
    struct buf b;
    buf_init(&b, QUEUE_MAX);
    return b;
}

static void put_hello(struct buf *out, const uint8_t n[AGENT_NONCE])
{
    struct agent_hello h = {.version_min = 1, .version_max = 1, .software = STR("test")};
    memcpy(h.nonce, n, AGENT_NONCE);
    CHECK_EQ(ST_OK, agent_put_hello(out, &h, NULL));
}

/* The mark, as the first bytes of a HELLO tell it. */
static struct str mark(void)
{
    static char bytes[AGENT_MARK];
    struct buf b = queue_new();
    put_hello(&b, nonce);
    memcpy(bytes, b.ptr, AGENT_MARK);
    buf_done(&b);
    return (struct str){bytes, AGENT_MARK};
}

static void feed(struct agent_decoder *d, const struct buf *b)
{
    agent_decoder_feed(d, b->ptr, b->len);
}

static struct agent_frame next(struct agent_decoder *d)
{
    struct agent_frame f = {0};
    CHECK(agent_decoder_next(d, &f));
    return f;
}

/* One message through a fresh session: what comes out of the decoder. */
static struct agent_frame through(struct agent_decoder *d, struct buf *message)
{
    struct buf b = queue_new();
    put_hello(&b, nonce);
    buf_str(&b, buf_view(message));
    agent_decoder_init(d, NULL);
    feed(d, &b);
    buf_done(&b);
    buf_done(message);
    CHECK_EQ(AGENT_HELLO, next(d).type);
    return next(d);
}

TEST(agent_hello_opens_a_session)
{
    struct buf b = queue_new();
    struct agent_hello h = {.version_min = 1,
                            .version_max = 7,
                            .boot_id = {0xab},
                            .software = STR("blixard 0.1.0"),
                            .trouble = STR("no root")};
    memcpy(h.nonce, nonce, sizeof nonce);
    CHECK_EQ(ST_OK, agent_put_hello(&b, &h, NULL));
    CHECK_EQ(ST_OK, agent_put_ping(&b, AGENT_PONG, 42));

    struct agent_decoder d;
    agent_decoder_init(&d, nonce);
    feed(&d, &b);
    struct agent_frame f = next(&d);
    struct agent_hello back;
    CHECK_EQ(AGENT_HELLO, f.type);
    CHECK_EQ(ST_OK, agent_get_hello(f.payload, &back, NULL));
    CHECK_EQ(1, agent_hello_common(&back));
    CHECK_EQ(0xab, back.boot_id[0]);
    CHECK(str_is(back.software, "blixard 0.1.0") && str_is(back.trouble, "no root"));

    uint64_t token;
    CHECK_EQ(ST_OK, agent_get_ping(next(&d).payload, &token, NULL));
    CHECK_EQ(42, token);
    CHECK_EQ(AGENT_OPEN, d.sync);
    CHECK_EQ(0, d.dropped);
    agent_decoder_done(&d);
    buf_done(&b);
}

TEST(agent_versions_that_do_not_meet_have_none_in_common)
{
    CHECK_EQ(0, agent_hello_common(&(struct agent_hello){.version_min = 2, .version_max = 9}));
    CHECK_EQ(0, agent_hello_common(&(struct agent_hello){.version_min = 0, .version_max = 0}));
}

/* What a dead daemon left in the pipe: garbage, a whole frame, half a frame. */
TEST(agent_new_session_drops_what_was_before)
{
    struct buf b = queue_new();
    buf_text(&b, "garbage BXA1 and more");
    size_t garbage = b.len;
    put_hello(&b, other_nonce);
    CHECK_EQ(ST_OK, agent_put_ping(&b, AGENT_PING, 1));
    size_t whole = b.len;
    CHECK_EQ(5, agent_put_data(&b, AGENT_STDIN, 3, STR("12345")));
    b.len = whole + AGENT_HEADER + 2;
    put_hello(&b, nonce);

    struct agent_decoder d;
    agent_decoder_init(&d, NULL);
    feed(&d, &b);
    CHECK_EQ(AGENT_HELLO, next(&d).type);
    CHECK_EQ(AGENT_PING, next(&d).type);
    struct agent_hello h;
    CHECK_EQ(ST_OK, agent_get_hello(next(&d).payload, &h, NULL));
    CHECK(memcmp(h.nonce, nonce, sizeof nonce) == 0);
    CHECK_EQ(garbage + AGENT_HEADER + 2, d.dropped);
    agent_decoder_done(&d);
    buf_done(&b);
}

TEST(agent_host_takes_only_the_answer_to_its_own_hello)
{
    struct buf b = queue_new();
    put_hello(&b, other_nonce);
    CHECK_EQ(ST_OK, agent_put_ping(&b, AGENT_PONG, 1));
    put_hello(&b, nonce);
    CHECK_EQ(ST_OK, agent_put_ping(&b, AGENT_PONG, 2));

    struct agent_decoder d;
    agent_decoder_init(&d, nonce);
    feed(&d, &b);
    CHECK_EQ(AGENT_HELLO, next(&d).type);
    uint64_t token;
    CHECK_EQ(ST_OK, agent_get_ping(next(&d).payload, &token, NULL));
    CHECK_EQ(2, token);
    agent_decoder_done(&d);
    buf_done(&b);
}

TEST(agent_broken_frame_loses_the_session_until_the_next_mark)
{
    struct buf b = queue_new();
    put_hello(&b, nonce);
    buf_text(&b, "this is no header at all");
    CHECK_EQ(ST_OK, agent_put_ping(&b, AGENT_PING, 1));

    struct agent_decoder d;
    struct agent_frame f;
    agent_decoder_init(&d, NULL);
    feed(&d, &b);
    CHECK_EQ(AGENT_HELLO, next(&d).type);
    CHECK(!agent_decoder_next(&d, &f));
    CHECK_EQ(AGENT_LOST, d.sync);
    b.len = 0;
    put_hello(&b, nonce);
    feed(&d, &b);
    CHECK_EQ(AGENT_HELLO, next(&d).type);
    agent_decoder_done(&d);
    buf_done(&b);
}

TEST(agent_length_beyond_the_limit_is_not_waited_for)
{
    struct buf b = queue_new();
    put_hello(&b, nonce);
    size_t at = b.len;
    CHECK_EQ(ST_OK, agent_put_plain(&b, AGENT_CLOSE, 1));
    b.ptr[at + 12] = 1;
    b.ptr[at + 14] = 1; /* 65537 */
    struct agent_decoder d;
    struct agent_frame f;
    agent_decoder_init(&d, NULL);
    feed(&d, &b);
    CHECK_EQ(AGENT_HELLO, next(&d).type);
    CHECK(!agent_decoder_next(&d, &f));
    CHECK_EQ(AGENT_LOST, d.sync);
    agent_decoder_done(&d);
    buf_done(&b);
}

/* A program in the guest that prints the mark and a forged frame cannot speak for the agent. */
TEST(agent_data_cannot_pose_as_the_protocol)
{
    struct buf forged = queue_new(), b = queue_new();
    put_hello(&forged, nonce);
    CHECK_EQ(ST_OK, agent_put_exit(&forged, 7, (struct agent_exit){.value = 0}));
    put_hello(&b, nonce);
    for (struct str left = buf_view(&forged); left.len > 0;) {
        size_t n = agent_put_data(&b, AGENT_STDOUT, 5, left);
        CHECK(n > 0);
        left = (struct str){left.ptr + n, left.len - n};
    }

    struct agent_decoder d;
    struct agent_frame f;
    struct buf got = queue_new();
    agent_decoder_init(&d, nonce);
    feed(&d, &b);
    CHECK_EQ(AGENT_HELLO, next(&d).type);
    while (agent_decoder_next(&d, &f)) {
        CHECK_EQ(AGENT_STDOUT, f.type);
        buf_str(&got, f.payload);
    }
    CHECK(str_eq(buf_view(&got), buf_view(&forged)));
    agent_decoder_done(&d);
    buf_done(&got);
    buf_done(&b);
    buf_done(&forged);
}

TEST(agent_message_with_the_mark_in_it_is_refused)
{
    struct buf b = queue_new();
    struct fault why;
    CHECK_EQ(ST_INVALID, agent_put_identity(&b, 1, mark(), &why));
    struct agent_exec x = {.argc = 1, .argv = {mark()}};
    CHECK_EQ(ST_INVALID, agent_put_exec(&b, 1, &x, &why));
    CHECK_EQ(0, b.len);
    buf_done(&b);
}

TEST(agent_full_queue_takes_whole_frames_or_nothing)
{
    struct buf b;
    buf_init(&b, 2 * AGENT_FRAME + 8); /* a PING and a frame without payload */
    CHECK_EQ(ST_OK, agent_put_ping(&b, AGENT_PING, 1));
    size_t before = b.len;
    CHECK_EQ(ST_LIMIT, agent_put_ping(&b, AGENT_PING, 2));
    CHECK_EQ(0, agent_put_data(&b, AGENT_STDIN, 1, STR("twelve bytes")));
    CHECK_EQ(before, b.len);
    CHECK_EQ(ST_OK, agent_put_plain(&b, AGENT_CLOSE, 1));
    buf_done(&b);
}

TEST(agent_exec_comes_back_as_it_went)
{
    struct agent_exec x = {.tty = true,
                           .rows = 24,
                           .cols = 80,
                           .uid = 1000,
                           .gid = 100,
                           .cwd = STR("/tmp"),
                           .argc = 3,
                           .argv = {STR("sh"), STR("-c"), STR("")},
                           .envc = 1,
                           .env = {STR("A=b=c")}};
    struct buf b = queue_new();
    CHECK_EQ(ST_OK, agent_put_exec(&b, 9, &x, NULL));
    struct agent_decoder d;
    struct agent_frame f = through(&d, &b);
    struct agent_exec y;
    CHECK_EQ(AGENT_EXEC, f.type);
    CHECK_EQ(9, f.channel);
    CHECK_EQ(ST_OK, agent_get_exec(f.payload, &y, NULL));
    CHECK(y.tty && y.rows == 24 && y.cols == 80 && y.uid == 1000 && y.gid == 100);
    CHECK_EQ(3, y.argc);
    CHECK(str_is(y.argv[1], "-c") && y.argv[2].len == 0 && str_is(y.env[0], "A=b=c"));
    CHECK(str_is(y.cwd, "/tmp"));
    agent_decoder_done(&d);
}

TEST(agent_exec_that_breaks_a_rule_is_refused)
{
    struct buf b = queue_new();
    struct agent_exec good = {.argc = 1, .argv = {STR("true")}};
    struct agent_exec bad[] = {good, good, good, good, good, good};
    bad[0].argc = 0;
    bad[1].argc = AGENT_ARGS_MAX + 1;
    bad[2].argv[0] = STR("a\0b");
    bad[3].cwd = STR("tmp");
    bad[4].envc = 1;
    bad[4].env[0] = STR("=x");
    bad[5].argv[0] = STR("");
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        CHECK_EQ(ST_INVALID, agent_put_exec(&b, 1, &bad[i], NULL));

    char *big = mem_new(AGENT_PAYLOAD_MAX);
    memset(big, 'x', AGENT_PAYLOAD_MAX);
    good.argv[0] = (struct str){big, AGENT_PAYLOAD_MAX};
    CHECK_EQ(ST_TOO_BIG, agent_put_exec(&b, 1, &good, NULL));
    free(big);
    CHECK_EQ(0, b.len);
    buf_done(&b);
}

TEST(agent_small_messages_come_back_as_they_went)
{
    struct agent_decoder d;
    struct buf b = queue_new();
    struct agent_exit x;
    CHECK_EQ(ST_OK, agent_put_exit(&b, 1, (struct agent_exit){.signalled = true, .value = 9}));
    CHECK_EQ(ST_OK, agent_get_exit(through(&d, &b).payload, &x, NULL));
    CHECK(x.signalled && x.value == 9);
    agent_decoder_done(&d);

    uint16_t rows, cols;
    b = queue_new();
    CHECK_EQ(ST_OK, agent_put_resize(&b, 1, 50, 132));
    CHECK_EQ(ST_OK, agent_get_resize(through(&d, &b).payload, &rows, &cols, NULL));
    CHECK(rows == 50 && cols == 132);
    agent_decoder_done(&d);

    uint32_t number;
    b = queue_new();
    CHECK_EQ(ST_OK, agent_put_signal(&b, 1, 15));
    CHECK_EQ(ST_OK, agent_get_signal(through(&d, &b).payload, &number, NULL));
    CHECK_EQ(15, number);
    CHECK_EQ(ST_INVALID, agent_put_signal(&b, 1, 65));
    agent_decoder_done(&d);

    b = queue_new();
    CHECK_EQ(ST_OK, agent_put_credit(&b, 1, AGENT_WINDOW));
    CHECK_EQ(ST_OK, agent_get_credit(through(&d, &b).payload, &number, NULL));
    CHECK_EQ(AGENT_WINDOW, number);
    agent_decoder_done(&d);

    enum agent_power p;
    b = queue_new();
    CHECK_EQ(ST_OK, agent_put_power(&b, 1, AGENT_REBOOT));
    CHECK_EQ(ST_OK, agent_get_power(through(&d, &b).payload, &p, NULL));
    CHECK_EQ(AGENT_REBOOT, p);
    agent_decoder_done(&d);

    uint8_t seed[AGENT_SEED] = {3, 1, 4}, seed_back[AGENT_SEED];
    b = queue_new();
    CHECK_EQ(ST_OK, agent_put_reseed(&b, 1, seed));
    CHECK_EQ(ST_OK, agent_get_reseed(through(&d, &b).payload, seed_back, NULL));
    CHECK(memcmp(seed, seed_back, sizeof seed) == 0);
    agent_decoder_done(&d);

    uint64_t value;
    b = queue_new();
    CHECK_EQ(ST_OK, agent_put_done(&b, 1, 1234567));
    CHECK_EQ(ST_OK, agent_get_done(through(&d, &b).payload, &value, NULL));
    CHECK_EQ(1234567, value);
    agent_decoder_done(&d);
}

TEST(agent_files_come_back_as_they_went)
{
    struct agent_decoder d;
    struct agent_file f = {.path = STR("/etc/motd"), .mode = 0640, .uid = 5, .size = 77}, g;
    struct buf b = queue_new();
    CHECK_EQ(ST_OK, agent_put_file(&b, AGENT_FILE_PUSH, 1, &f, NULL));
    CHECK_EQ(ST_OK, agent_get_file(AGENT_FILE_PUSH, through(&d, &b).payload, &g, NULL));
    CHECK(str_is(g.path, "/etc/motd") && g.mode == 0640 && g.uid == 5 && g.size == 77);
    agent_decoder_done(&d);

    struct str path;
    b = queue_new();
    CHECK_EQ(ST_OK, agent_put_pull(&b, 1, STR("/proc/version"), NULL));
    CHECK_EQ(ST_OK, agent_get_pull(through(&d, &b).payload, &path, NULL));
    CHECK(str_is(path, "/proc/version"));
    agent_decoder_done(&d);

    b = queue_new();
    CHECK_EQ(ST_INVALID, agent_put_pull(&b, 1, STR("relative"), NULL));
    CHECK_EQ(ST_INVALID, agent_put_pull(&b, 1, STR("/with\0nul"), NULL));
    f.mode = 010000;
    CHECK_EQ(ST_INVALID, agent_put_file(&b, AGENT_FILE_PUSH, 1, &f, NULL));
    buf_done(&b);
}

TEST(agent_stats_of_a_later_version_are_read_and_missing_ones_unknown)
{
    struct agent_decoder d;
    struct agent_stats s = {.uptime_ms = 5, .net_tx_packets = 6, .boot_id = {7}}, t;
    struct buf b = queue_new();
    CHECK_EQ(ST_OK, agent_put_stats(&b, 1, &s));
    struct agent_frame f = through(&d, &b);
    CHECK_EQ(ST_OK, agent_get_stats(f.payload, &t, NULL));
    CHECK(t.uptime_ms == 5 && t.net_tx_packets == 6 && t.boot_id[0] == 7);

    char *older = mem_dup(f.payload.ptr, f.payload.len);
    older[16] = 1; /* only one number follows */
    CHECK_EQ(ST_OK, agent_get_stats((struct str){older, 16 + 1 + 8}, &t, NULL));
    CHECK_EQ(5, t.uptime_ms);
    CHECK(t.net_tx_packets == AGENT_UNKNOWN);
    free(older);
    agent_decoder_done(&d);
}

TEST(agent_error_text_is_made_printable)
{
    struct agent_decoder d;
    struct fault e;
    struct buf b = queue_new();
    CHECK_EQ(ST_OK, agent_put_error(&b, 1, ST_NOT_FOUND, "open \x1b[2J: no"));
    CHECK_EQ(ST_OK, agent_get_error(through(&d, &b).payload, &e, NULL));
    CHECK_EQ(ST_NOT_FOUND, e.status);
    CHECK_STR("open ?[2J: no", e.text);
    agent_decoder_done(&d);
}

TEST(agent_flow_stops_at_the_window_and_goes_on_with_credit)
{
    struct agent_flow sender, reader;
    agent_flow_init(&sender);
    agent_flow_init(&reader);
    agent_flow_sent(&sender, AGENT_WINDOW);
    CHECK_EQ(0, sender.may_send);
    CHECK_EQ(ST_OK, agent_flow_received(&reader, AGENT_WINDOW, NULL));
    CHECK_EQ(ST_CORRUPT, agent_flow_received(&reader, 1, NULL));

    CHECK_EQ(0, agent_flow_eaten(&reader, 10));
    uint32_t grant = agent_flow_eaten(&reader, AGENT_WINDOW - 10);
    CHECK_EQ(AGENT_WINDOW, grant);
    CHECK_EQ(ST_OK, agent_flow_credit(&sender, grant, NULL));
    CHECK_EQ(AGENT_WINDOW, sender.may_send);
    CHECK_EQ(ST_CORRUPT, agent_flow_credit(&sender, 1, NULL));
}

/* A stream of sessions with garbage before, between and cut into them: whatever the chunks in which it
 * comes, after each mark exactly the frames of that session come out, whole and in order. */
static void any_stream_resyncs(struct tape *t)
{
    struct buf b = queue_new();
    uint64_t token = 0, first[8] = {0}, last[8] = {0}; /* tokens of the PINGs of a session */
    unsigned sessions = 1 + (unsigned)draw_below(t, 7);
    bool cut = false;
    for (unsigned i = 0; i < sessions; i++) {
        /* Garbage, likely to look like something; but not what would complete a frame. */
        for (uint64_t n = cut ? 0 : draw_below(t, 40); n > 0; n--)
            buf_char(&b, draw_below(t, 2) ? mark().ptr[n % AGENT_MARK] : "BXA1\0\1"[n % 6]);
        put_hello(&b, nonce);
        first[i] = token;
        for (uint64_t n = draw_below(t, 4); n > 0; n--)
            CHECK_EQ(ST_OK, agent_put_ping(&b, AGENT_PING, token++));
        last[i] = token;
        cut = draw_below(t, 2);
        if (cut) {
            size_t at = b.len;
            CHECK_EQ(21, agent_put_data(&b, AGENT_STDIN, 1, STR("some data that is cut")));
            b.len = at + draw_below(t, AGENT_FRAME + 21);
        }
    }
    struct agent_decoder d;
    agent_decoder_init(&d, NULL);
    unsigned session = 0;
    uint64_t want = 0;
    for (size_t at = 0; at < b.len;) {
        size_t chunk = 1 + (size_t)draw_below(t, 50);
        size_t n = MIN(b.len - at, chunk);
        char *exact = mem_dup(b.ptr + at, n); /* so that a sanitizer sees its end */
        agent_decoder_feed(&d, exact, n);
        free(exact);
        at += n;
        for (struct agent_frame f; agent_decoder_next(&d, &f);) {
            if (f.type == AGENT_HELLO) {
                CHECK(session == 0 || want == last[session - 1]);
                want = first[session++];
                continue;
            }
            uint64_t got;
            CHECK_EQ(AGENT_PING, f.type);
            CHECK_EQ(ST_OK, agent_get_ping(f.payload, &got, NULL));
            CHECK_EQ(want, got);
            want++;
        }
    }
    CHECK_EQ(sessions, session);
    CHECK_EQ(token, want);
    agent_decoder_done(&d);
    buf_done(&b);
}

TEST(agent_any_stream_resyncs)
{
    prop_run(any_stream_resyncs, 1, 300);
}
