/*
 * The host's end of the agent protocol, against a guest that the test plays by hand.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "os/entropy_os.h"
#include "support/tap.h"
#include "vmm/agent_link.h"

enum { WAIT_MS = 10000, QUEUE_MAX = 4 << 20 };

struct guest {
    int fd;
    struct agent_decoder decoder;
    struct buf out;
};

/* What the host's side was told. */
struct told {
    int ready, closed, writable, ended;
    enum status status;
    char trouble[64];
    struct buf data;
    uint32_t value;
};

static struct loop *loop;
static struct entropy entropy;
static struct agent_link *host;
static struct guest guest;
static struct told told;

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_ready(void *ctx, const struct agent_hello *h)
{
    (void)ctx;
    told.ready++;
    (void)!str_copy(h->trouble, told.trouble, sizeof told.trouble, NULL);
}

static void on_closed(void *ctx, const struct fault *why)
{
    (void)ctx;
    told.closed++;
    told.status = why->status;
}

static void on_data(void *ctx, enum agent_type type, struct str bytes)
{
    (void)ctx;
    (void)type;
    buf_str(&told.data, bytes);
}

static void on_writable(void *ctx)
{
    (void)ctx;
    told.writable++;
}

static void on_end(void *ctx, enum status s, const struct fault *why,
                   const struct agent_frame *last)
{
    (void)ctx;
    struct agent_exit x = {0};
    CHECK((s == ST_OK) == (why == NULL) && (s == ST_OK) == (last != NULL));
    told.ended++;
    told.status = s;
    if (last && last->type == AGENT_EXIT)
        CHECK_EQ(ST_OK, agent_get_exit(last->payload, &x, NULL));
    told.value = x.value;
}

static const struct agent_channel_events channel_events = {on_data, on_writable, on_end};
static const struct agent_link_events link_events = {on_ready, on_closed, NULL};

/* ---- the guest ---- */

static void guest_flush(void)
{
    CHECK_EQ(guest.out.len, send(guest.fd, guest.out.ptr, guest.out.len, MSG_NOSIGNAL));
    buf_reset(&guest.out);
}

/* The next frame of that type; the loop runs meanwhile. */
static struct agent_frame guest_hear(enum agent_type type)
{
    struct agent_frame f;
    uint64_t until = now_ms() + WAIT_MS;
    for (;;) {
        while (agent_decoder_next(&guest.decoder, &f))
            if (f.type == type)
                return f;
        CHECK(now_ms() < until);
        CHECK_EQ(ST_OK, loop_turn(loop, 1, NULL));
        char data[4096];
        ssize_t n = recv(guest.fd, data, sizeof data, MSG_DONTWAIT);
        if (n > 0)
            agent_decoder_feed(&guest.decoder, data, (size_t)n);
    }
}

static void guest_hello(uint16_t version)
{
    struct agent_hello h, us = {.version_min = version,
                                .version_max = version,
                                .software = STR("guest"),
                                .trouble = STR("no disk")};
    CHECK_EQ(ST_OK, agent_get_hello(guest_hear(AGENT_HELLO).payload, &h, NULL));
    memcpy(us.nonce, h.nonce, sizeof us.nonce);
    CHECK_EQ(ST_OK, agent_put_hello(&guest.out, &us, NULL));
    guest_flush();
}

static void guest_pong(void)
{
    uint64_t token;
    CHECK_EQ(ST_OK, agent_get_ping(guest_hear(AGENT_PING).payload, &token, NULL));
    CHECK_EQ(ST_OK, agent_put_ping(&guest.out, AGENT_PONG, token));
    guest_flush();
}

static void until(const int *count)
{
    uint64_t end = now_ms() + WAIT_MS;
    while (!*count && now_ms() < end)
        CHECK_EQ(ST_OK, loop_turn(loop, 20, NULL));
    CHECK(*count);
}

/* ---- both ---- */

static void meet(void)
{
    int pair[2];
    CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
    CHECK_EQ(ST_OK, loop_open(&loop, NULL));
    entropy_os_init(&entropy);
    told = (struct told){0};
    buf_init(&told.data, QUEUE_MAX);
    guest = (struct guest){.fd = pair[1]};
    buf_init(&guest.out, QUEUE_MAX);
    agent_decoder_init(&guest.decoder, NULL);
    CHECK_EQ(ST_OK, agent_link_open(loop, &entropy, pair[0], &link_events, &host, NULL));
}

static void begin(void)
{
    meet();
    guest_hello(AGENT_VERSION_MAX);
    guest_pong();
    until(&told.ready);
}

static void part(void)
{
    agent_link_close(host);
    loop_close(loop);
    agent_decoder_done(&guest.decoder);
    buf_done(&guest.out);
    buf_done(&told.data);
    (void)close(guest.fd);
}

static struct agent_channel *program(void)
{
    struct agent_exec x = {.argc = 1, .argv = {STR("cat")}};
    struct agent_channel *c = NULL;
    CHECK_EQ(ST_OK, agent_link_exec(host, &x, &channel_events, NULL, &c, NULL));
    return c;
}

TEST(agent_link_is_ready_after_hello_and_pong)
{
    meet();
    CHECK(!agent_link_ready(host));
    struct agent_exec x = {.argc = 1, .argv = {STR("cat")}};
    struct agent_channel *c;
    CHECK_EQ(ST_UNAVAILABLE, agent_link_exec(host, &x, &channel_events, NULL, &c, NULL));
    buf_text(&guest.out, "what a daemon before us left in the pipe");
    guest_flush();
    guest_hello(AGENT_VERSION_MAX);
    CHECK(!told.ready);
    guest_pong();
    until(&told.ready);
    CHECK(agent_link_ready(host));
    CHECK_STR("no disk", told.trouble);
    part();
}

TEST(agent_link_breaks_off_with_another_version)
{
    meet();
    guest_hello(AGENT_VERSION_MAX + 1);
    until(&told.closed);
    CHECK_EQ(ST_UNSUPPORTED, told.status);
    CHECK(!told.ready);
    part();
}

TEST(agent_link_runs_a_program)
{
    begin();
    struct agent_channel *c = program();
    uint32_t id = guest_hear(AGENT_EXEC).channel;
    CHECK_EQ(4, agent_channel_send(c, AGENT_STDIN, STR("ping")));
    agent_channel_send_end(c, AGENT_STDIN_EOF);
    CHECK(str_is(guest_hear(AGENT_STDIN).payload, "ping"));
    CHECK_EQ(id, guest_hear(AGENT_STDIN_EOF).channel);
    CHECK_EQ(4, agent_put_data(&guest.out, AGENT_STDOUT, id, STR("pong")));
    CHECK_EQ(ST_OK, agent_put_exit(&guest.out, id, (struct agent_exit){.value = 5}));
    CHECK_EQ(4, agent_put_data(&guest.out, AGENT_STDOUT, id, STR("late"))); /* to nobody */
    guest_flush();
    until(&told.ended);
    CHECK_EQ(ST_OK, told.status);
    CHECK_EQ(5, told.value);
    CHECK_STR("pong", buf_cstr(&told.data));
    part();
}

TEST(agent_link_tells_the_guests_refusal)
{
    begin();
    (void)program();
    uint32_t id = guest_hear(AGENT_EXEC).channel;
    CHECK_EQ(ST_OK, agent_put_error(&guest.out, id, ST_NOT_FOUND, "no cat"));
    guest_flush();
    until(&told.ended);
    CHECK_EQ(ST_NOT_FOUND, told.status);
    part();
}

/* No more than a window is under way, and the owner is told when there is room again. */
TEST(agent_link_waits_for_credit)
{
    begin();
    struct agent_channel *c = program();
    uint32_t id = guest_hear(AGENT_EXEC).channel;
    char *much = mem_new(AGENT_WINDOW * 2);
    memset(much, 'x', AGENT_WINDOW * 2);
    size_t sent = 0, heard = 0;
    while (sent < AGENT_WINDOW) {
        told.writable = 0;
        sent += agent_channel_send(c, AGENT_STDIN, (struct str){much, AGENT_WINDOW * 2 - sent});
        while (heard < sent)
            heard += guest_hear(AGENT_STDIN).payload.len;
        if (sent < AGENT_WINDOW)
            until(&told.writable);
    }
    CHECK_EQ(AGENT_WINDOW, sent);
    told.writable = 0;
    CHECK_EQ(0, agent_channel_send(c, AGENT_STDIN, STR("more")));
    CHECK_EQ(ST_OK, agent_put_credit(&guest.out, id, 1000));
    guest_flush();
    until(&told.writable);
    CHECK_EQ(4, agent_channel_send(c, AGENT_STDIN, STR("more")));
    free(much);
    part();
}

/* A guest that sends more than it may is cut off, not believed. */
TEST(agent_link_ends_a_channel_that_breaks_its_window)
{
    begin();
    (void)program();
    uint32_t id = guest_hear(AGENT_EXEC).channel;
    for (int i = 0; i < AGENT_WINDOW / 1000 + 2; i++) {
        char some[1000] = "x";
        CHECK_EQ(sizeof some,
                 agent_put_data(&guest.out, AGENT_STDOUT, id, (struct str){some, sizeof some}));
        guest_flush();
        CHECK_EQ(ST_OK, loop_turn(loop, 1, NULL));
    }
    until(&told.ended);
    CHECK_EQ(ST_CORRUPT, told.status);
    CHECK_EQ(id, guest_hear(AGENT_CLOSE).channel);
    part();
}

TEST(agent_link_tells_all_when_the_session_is_lost)
{
    begin();
    (void)program();
    (void)program();
    (void)close(guest.fd);
    until(&told.closed);
    CHECK_EQ(2, told.ended);
    CHECK_EQ(ST_UNAVAILABLE, told.status);
    guest.fd = -1;
    part();
}

TEST(agent_link_tells_nothing_of_what_was_closed)
{
    begin();
    struct agent_channel *c = program();
    uint32_t id = guest_hear(AGENT_EXEC).channel;
    agent_channel_close(c);
    CHECK_EQ(id, guest_hear(AGENT_CLOSE).channel);
    CHECK_EQ(ST_OK, agent_put_exit(&guest.out, id, (struct agent_exit){.value = 5}));
    guest_flush();
    CHECK_EQ(ST_OK, loop_turn(loop, 20, NULL));
    CHECK_EQ(0, told.ended);
    part();
}
