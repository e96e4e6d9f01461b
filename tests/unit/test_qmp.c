#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/tap.h"
#include "vmm/qmp.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"

/* A client and the other end of its socket, driven by hand. */
struct rig {
    struct loop *loop;
    struct qmp *qmp;
    struct qmp_events events;
    int far;
    int ready, closed, answers;
    enum status last;
    char text[600], event[64];
};

static void on_ready(void *ctx)
{
    ((struct rig *)ctx)->ready++;
}

static void on_event(void *ctx, const char *name, const json_t *data)
{
    struct rig *r = ctx;
    const char *reason = json_string_value(json_object_get(data, "reason"));
    (void)snprintf(r->event, sizeof r->event, "%s %s", name, reason ? reason : "-");
}

static void on_closed(void *ctx, const struct fault *why)
{
    struct rig *r = ctx;
    r->closed++;
    (void)snprintf(r->text, sizeof r->text, "%s", why->text);
}

static void on_answer(void *ctx, enum status s, const struct fault *why, const json_t *result)
{
    struct rig *r = ctx;
    r->answers++;
    r->last = s;
    char *dump = result ? json_dumps(result, JSON_COMPACT) : NULL;
    (void)snprintf(r->text, sizeof r->text, "%s", dump ? dump : why->text);
    free(dump);
}

static void turn(struct rig *r)
{
    struct fault why;
    CHECK_EQ(ST_OK, loop_turn(r->loop, 20, &why));
}

static void say(struct rig *r, const char *text)
{
    CHECK_EQ(strlen(text), write(r->far, text, strlen(text)));
    for (int i = 0; i < 4; i++)
        turn(r);
}

static void expect_sent(struct rig *r, const char *want)
{
    char got[1000] = "";
    for (int i = 0; i < 4; i++)
        turn(r);
    ssize_t n = recv(r->far, got, sizeof got - 1, MSG_DONTWAIT);
    got[n < 0 ? 0 : n] = 0;
    CHECK_STR(want, got);
}

static void rig_init(struct rig *r)
{
    int fd[2];
    struct fault why;
    *r = (struct rig){0};
    r->events = (struct qmp_events){on_ready, on_event, on_closed, r};
    CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
    r->far = fd[1];
    CHECK_EQ(ST_OK, loop_open(&r->loop, &why));
    CHECK_EQ(ST_OK, qmp_open(r->loop, fd[0], &r->events, &r->qmp, &why));
}

static void rig_ready(struct rig *r)
{
    rig_init(r);
    say(r, GREETING);
    expect_sent(r, "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
    say(r, "{\"return\": {}, \"id\": 1}\r\n");
    CHECK_EQ(1, r->ready);
}

static void rig_done(struct rig *r)
{
    qmp_close(r->qmp);
    loop_close(r->loop);
    (void)close(r->far);
}

static enum status ask(struct rig *r, const char *command, uint32_t timeout_ms)
{
    struct fault why;
    return qmp_run(r->qmp, command, NULL, timeout_ms, on_answer, r, &why);
}

TEST(qmp_answers_find_their_command)
{
    struct rig r;
    rig_ready(&r);
    CHECK_EQ(ST_OK, ask(&r, "query-status", 1000));
    expect_sent(&r, "{\"execute\":\"query-status\",\"id\":2}\n");
    say(&r, "{\"return\": {\"status\": \"running\"}, \"id\": 2}\r\n");
    CHECK_EQ(ST_OK, r.last);
    CHECK_STR("{\"status\":\"running\"}", r.text);
    rig_done(&r);
}

TEST(qmp_refusals_carry_the_monitors_words)
{
    struct rig r;
    rig_ready(&r);
    CHECK_EQ(ST_OK, ask(&r, "cont", 1000));
    say(&r, "{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\r\n");
    CHECK_EQ(ST_CONFLICT, r.last);
    CHECK_STR("not now", r.text);
    rig_done(&r);
}

TEST(qmp_commands_before_the_greeting_wait_for_it)
{
    struct rig r;
    rig_init(&r);
    CHECK_EQ(ST_OK, ask(&r, "stop", 5000));
    expect_sent(&r, "");
    say(&r, GREETING);
    expect_sent(&r,
                "{\"execute\":\"qmp_capabilities\",\"id\":2}\n{\"execute\":\"stop\",\"id\":1}\n");
    rig_done(&r);
}

TEST(qmp_events_come_in_pieces_and_in_bunches)
{
    struct rig r;
    rig_ready(&r);
    say(&r, "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"rea");
    CHECK_STR("", r.event);
    say(&r, "son\": \"guest-shutdown\"}}\r\n{\"event\": \"STOP\"}\r\n");
    CHECK_STR("STOP -", r.event);
    rig_done(&r);
}

TEST(qmp_late_answers_are_a_timeout_and_then_dropped)
{
    struct rig r;
    rig_ready(&r);
    CHECK_EQ(ST_OK, ask(&r, "query-status", 1));
    for (int i = 0; i < 50 && r.answers == 0; i++)
        turn(&r);
    CHECK_EQ(ST_TIMEOUT, r.last);
    say(&r, "{\"return\": {}, \"id\": 2}\r\n");
    CHECK_EQ(1, r.answers);
    CHECK_EQ(0, r.closed);
    rig_done(&r);
}

TEST(qmp_end_of_the_connection_is_told_to_each_and_then_once)
{
    struct rig r;
    rig_ready(&r);
    CHECK_EQ(ST_OK, ask(&r, "a", 1000));
    CHECK_EQ(ST_OK, ask(&r, "b", 1000));
    (void)shutdown(r.far, SHUT_RDWR);
    for (int i = 0; i < 4; i++)
        turn(&r);
    CHECK_EQ(2, r.answers);
    CHECK_EQ(ST_UNAVAILABLE, r.last);
    CHECK_EQ(1, r.closed);
    CHECK_EQ(ST_UNAVAILABLE, ask(&r, "c", 1000));
    rig_done(&r);
}

TEST(qmp_nonsense_ends_the_connection)
{
    const char *bad[] = {"hello\n",
                         "[]\n",
                         "{}\n",
                         "{\"return\": {}, \"id\": 99}\n",
                         GREETING,
                         "{\"return\": {}, \"id\": -1}\n",
                         "{\"event\": 3}\n"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct rig r;
        rig_ready(&r);
        say(&r, bad[i]);
        CHECK_EQ(1, r.closed);
        rig_done(&r);
    }
}

TEST(qmp_takes_no_more_than_its_limit)
{
    struct rig r;
    rig_ready(&r);
    for (int i = 0; i < QMP_WAITING_MAX; i++)
        CHECK_EQ(ST_OK, ask(&r, "x", 1000));
    CHECK_EQ(ST_LIMIT, ask(&r, "x", 1000));
    rig_done(&r);
}

static void close_in_answer(void *ctx, enum status s, const struct fault *why, const json_t *result)
{
    struct rig *r = ctx;
    (void)s, (void)why, (void)result;
    qmp_close(r->qmp);
    r->qmp = NULL;
}

TEST(qmp_may_be_closed_from_its_own_answer)
{
    struct rig r;
    rig_ready(&r);
    struct fault why;
    CHECK_EQ(ST_OK, qmp_run(r.qmp, "x", NULL, 1000, close_in_answer, &r, &why));
    say(&r, "{\"return\": {}, \"id\": 2}\r\n{\"event\": \"STOP\"}\r\n");
    CHECK(r.qmp == NULL);
    CHECK_STR("", r.event);
    rig_done(&r);
}
