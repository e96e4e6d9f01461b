/* The command line and a server that says what a test wants, the odd and the broken included. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/status.h"
#include "os/net_unix.h"
#include "support/cli_run.h"
#include "support/scratch.h"
#include "support/tap.h"

enum { PATIENCE_TURNS = 20000, PATIENCE_MS = 20000 };

struct scene {
    const char *want; /* how the request begins */
    const char
        *answer; /* then the connection is closed. "" says nothing at all; NULL: it is kept open */
};

#define OK(body)     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" body
#define HEAD(status) "HTTP/1.1 " status "\r\n"
#define OPERATION(phase)                                                                        \
    "{\"id\":\"0123456789abcdef0123456789abcdef\",\"kind\":\"vm.stop\",\"target_kind\":\"vm\"," \
    "\"target_uid\":\"aa\",\"target_name\":\"web-1\",\"phase\":\"" phase "\"}"
#define ACCEPTED         \
    HEAD("202 Accepted") \
    "Content-Type: application/json\r\nLocation: /v1/operations/0123\r\n\r\n" OPERATION("running")

static int listen_at(void)
{
    int fd;
    struct fault why;
    const char *path = scratch_file("s");
    CHECK_EQ(ST_OK, net_unix_listen(path, 0600, (gid_t)-1, &fd, &why));
    CHECK_EQ(0, setenv("BLIXARD_API_SOCKET", path, 1));
    return fd;
}

static void play(int listener, const struct scene *scene)
{
    char request[4096] = "";
    size_t len = 0;
    struct pollfd p = {.fd = listener, .events = POLLIN};
    require(poll(&p, 1, PATIENCE_MS) == 1);
    int fd = accept(listener, NULL, NULL);
    require(fd >= 0);
    while (!strstr(request, "\r\n\r\n")) {
        ssize_t n = read(fd, request + len, sizeof request - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        request[len] = 0;
    }
    printf("#   %.*s\n", (int)strcspn(request, "\r"), request);
    CHECK(str_starts(str_from(request), scene->want));
    if (!scene->answer)
        return; /* the descriptor is lost, and the connection stays */
    for (size_t left = strlen(scene->answer), done = 0; left > 0;) {
        ssize_t n = send(fd, scene->answer + done, left, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        done += (size_t)n;
        left -= (size_t)n;
    }
    (void)close(fd);
}

/* Run a line; each connection gets the next scene. All must be played. */
static void act(struct cli_run *r, const char *line, int want, const struct scene *scene)
{
    int listener = listen_at();
    size_t n = 0;
    cli_run_start(r, line, "");
    for (int i = 0; !cli_run_turn(r); i++) {
        struct pollfd p = {.fd = listener, .events = POLLIN};
        CHECK(i < PATIENCE_TURNS);
        if (poll(&p, 1, 2) > 0) {
            CHECK(scene[n].want != NULL);
            play(listener, &scene[n++]);
        }
    }
    CHECK(scene[n].want == NULL);
    if (r->code != want)
        tap_fail(__FILE__, __LINE__, "exit %d, not %d: %s", r->code, want, buf_cstr(&r->err));
    (void)close(listener);
}

static const char *errors(const char *line, int want, const struct scene *scene)
{
    static char text[4096];
    struct cli_run r;
    act(&r, line, want, scene);
    CHECK_STR("", buf_cstr(&r.out));
    (void)snprintf(text, sizeof text, "%.4000s", buf_cstr(&r.err));
    cli_run_done(&r);
    char *trace = strstr(text, "  trace: "); /* another one each time */
    if (trace)
        *trace = 0;
    return text;
}

#define SCENES(...) ((const struct scene[]){__VA_ARGS__, {NULL, NULL}})

TEST(odd_exit_codes_follow_the_table_of_statuses)
{
    for (int s = ST_OK + 1; s < ST_COUNT; s++) {
        if (s == ST_NOT_LEADER) /* it is asked again, below */
            continue;
        char answer[400], want[200];
        (void)snprintf(answer, sizeof answer,
                       "HTTP/1.1 %u X\r\nContent-Type: application/problem+json\r\n\r\n"
                       "{\"code\":\"%s\",\"detail\":\"so it is\",\"hint\":\"do so\"}",
                       status_http((enum status)s), status_code((enum status)s));
        (void)snprintf(want, sizeof want, "error: so it is\nhint: do so\ncode: %s",
                       status_code((enum status)s));
        CHECK_STR(want, errors("vm show web-1", status_exit((enum status)s),
                               SCENES({"GET /v1/vms/web-1 ", answer})));
    }
}

/* What stands between us and a node may answer without a problem. */
TEST(odd_statuses_without_a_problem_mean_something_too)
{
    static const struct {
        const char *status, *want;
        int code;
    } cases[] = {
        {"404 Not Found", "error: the node answered 404 Not Found\ncode: not_found", 3},
        {"409 Conflict", "error: the node answered 409 Conflict\ncode: conflict", 4},
        {"418 Teapot", "error: the node answered 418 Teapot\ncode: invalid", 2},
        {"503 Away", "error: the node answered 503 Away\ncode: unavailable", 6},
        {"599 Odd", "error: the node answered 599 Odd\ncode: internal", 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char answer[200];
        (void)snprintf(answer, sizeof answer,
                       "HTTP/1.1 %s\r\nContent-Type: text/html\r\n\r\n<html>", cases[i].status);
        CHECK_STR(cases[i].want,
                  errors("vm show a", cases[i].code, SCENES({"GET /v1/vms/a ", answer})));
    }
}

TEST(odd_answers_are_told_and_nothing_is_made_up)
{
    CHECK_STR("error: the connection ended in the middle of an answer\ncode: unavailable",
              errors("vm show a", 6, SCENES({"GET ", ""})));
    CHECK_STR("error: the answer is not HTTP/1.1: no version that we know\ncode: corrupt",
              errors("vm show a", 1, SCENES({"GET ", "SSH-2.0-OpenSSH\r\n\r\n"})));
    CHECK_STR("error: the node's answer is no JSON: line 1, column 1: string or '}' expected\n"
              "code: corrupt",
              errors("vm show a", 1, SCENES({"GET ", OK("{")})));
    CHECK_STR("error: the answer is not as expected: meta: an object is expected, not an array\n"
              "code: corrupt",
              errors("vm show a", 1, SCENES({"GET ", OK("{\"meta\":[]}")})));
    CHECK_STR("error: the node's answer is no list\ncode: corrupt",
              errors("vm ls", 1, SCENES({"GET /v1/vms?limit=1000 ", OK("{}")})));
}

TEST(odd_lists_come_in_pages)
{
    struct cli_run r;
    act(&r, "vm ls -o name", 0,
        SCENES({"GET /v1/vms?limit=1000 ",
                OK("{\"items\":[{\"meta\":{\"name\":\"a\"}}],\"next\":\"c/1\"}")},
               {"GET /v1/vms?limit=1000&cursor=c%2F1 ",
                OK("{\"items\":[{\"meta\":{\"name\":\"b\"}}]}")}));
    CHECK_STR("vm/a\nvm/b\n", buf_cstr(&r.out));
    cli_run_done(&r);
    act(&r, "vm ls -o name --limit 1", 0,
        SCENES({"GET /v1/vms?limit=1 ",
                OK("{\"items\":[{\"meta\":{\"name\":\"a\"}}],\"next\":\"c/1\"}")}));
    CHECK_STR("vm/a\n", buf_cstr(&r.out));
    cli_run_done(&r);
    CHECK_STR("error: the node's list has an empty page\ncode: corrupt",
              errors("vm ls", 1, SCENES({"GET ", OK("{\"items\":[],\"next\":\"c\"}")})));
}

/* --- no node leads --- */

#define NOT_LEADER                                                            \
    HEAD("503 X")                                                             \
    "Content-Type: application/problem+json\r\n\r\n{\"code\":\"not_leader\"," \
    "\"detail\":\"it is not known who leads\"}"

TEST(odd_node_that_knows_no_leader_is_asked_again)
{
    struct cli_run r;
    act(&r, "vm ls -o name", 0,
        SCENES({"GET /v1/vms?limit=1000 ", NOT_LEADER}, {"GET /v1/vms?limit=1000 ", NOT_LEADER},
               {"GET /v1/vms?limit=1000 ", OK("{\"items\":[{\"meta\":{\"name\":\"a\"}}]}")}));
    CHECK_STR("vm/a\n", buf_cstr(&r.out));
    cli_run_done(&r);
    act(&r, "vm stop web-1 --no-wait", 0,
        SCENES({"POST /v1/vms/web-1/stop ", NOT_LEADER}, {"POST /v1/vms/web-1/stop ", ACCEPTED}));
    CHECK_STR("0123456789abcdef0123456789abcdef\n", buf_cstr(&r.out));
    cli_run_done(&r);
    /* Something else may come of it. */
    CHECK_STR(
        "error: the node answered 404 Gone\ncode: not_found",
        errors("vm show a", 3, SCENES({"GET ", NOT_LEADER}, {"GET ", HEAD("404 Gone") "\r\n"})));
}

TEST(odd_leader_is_looked_for_no_longer_than_the_time_of_the_command)
{
    CHECK_STR(
        "error: it is not known who leads\nhint: nothing was done: ask again once most of the "
        "nodes that vote are up, and reach each other\ncode: not_leader",
        errors("vm stop web-1 --timeout 0", 6, SCENES({"POST ", NOT_LEADER})));
    CHECK_STR(
        "error: so it is\nhint: do so\ncode: not_leader",
        errors("vm stop web-1 --timeout 10ms", 6,
               SCENES({"POST ", HEAD("503 X") "Content-Type: application/problem+json\r\n\r\n"
                                              "{\"code\":\"not_leader\",\"detail\":\"so it is\","
                                              "\"hint\":\"do so\"}"})));
}

/* Without a word of how long, it is some ten seconds. */
TEST(odd_leader_is_looked_for_in_some_seconds_of_pauses)
{
    struct cli_run r;
    int listener = listen_at();
    struct timespec from, to;
    unsigned asked = 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    cli_run_start(&r, "vm show a", "");
    while (!cli_run_turn(&r)) {
        struct pollfd p = {.fd = listener, .events = POLLIN};
        if (poll(&p, 1, 2) > 0) {
            play(listener, &(struct scene){"GET /v1/vms/a ", NOT_LEADER});
            asked++;
        }
        CHECK(asked < 60); /* not without pauses */
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    CHECK_EQ(6, r.code);
    CHECK(asked > 5);
    CHECK(to.tv_sec - from.tv_sec >= 5 && to.tv_sec - from.tv_sec < 15);
    cli_run_done(&r);
    (void)close(listener);
}

TEST(odd_interruption_ends_the_search_for_a_leader)
{
    struct cli_run r;
    int listener = listen_at();
    cli_run_start(&r, "vm stop web-1", "");
    play(listener, &(struct scene){"POST /v1/vms/web-1/stop ", NOT_LEADER});
    CHECK_EQ(0, kill(r.pid, SIGINT));
    cli_run_wait(&r);
    CHECK_EQ(130, r.code);
    cli_run_done(&r);
    (void)close(listener);
}

/* --- waiting --- */

TEST(odd_node_that_restarts_is_waited_for)
{
    struct cli_run r;
    act(&r, "vm stop web-1", 0,
        SCENES({"POST /v1/vms/web-1/stop ", ACCEPTED}, {"GET /v1/operations/0123", ""},
               {"GET /v1/operations/0123", OK(OPERATION("running"))},
               {"GET /v1/operations/0123", OK(OPERATION("succeeded"))},
               {"GET /v1/vms/aa ",
                OK("{\"meta\":{\"name\":\"web-1\"},\"status\":{\"phase\":\"stopped\"}}")}));
    CHECK_STR("vm/web-1 stopped\n", buf_cstr(&r.out));
    cli_run_done(&r);
}

TEST(odd_ends_of_operations_are_told)
{
    CHECK_STR(
        "error: stop vm web-1: the guest does not listen\nhint: use --force\ncode: timeout",
        errors("vm stop web-1", 7,
               SCENES({"POST ", ACCEPTED},
                      {"GET ",
                       OK("{\"id\":\"01\",\"kind\":\"vm.stop\",\"target_name\":\"web-1\","
                          "\"phase\":\"failed\",\"problem\":{\"code\":\"timeout\",\"text\":\"the "
                          "guest does not listen\",\"hint\":\"use --force\"}}")})));
    CHECK_STR("error: stop vm web-1: it was cancelled\ncode: cancelled",
              errors("vm stop web-1", 130,
                     SCENES({"POST ", ACCEPTED}, {"GET ", OK(OPERATION("cancelled"))})));
    CHECK_STR(
        "error: stop vm web-1: it failed, and nobody said why\ncode: internal",
        errors("vm stop web-1", 1, SCENES({"POST ", ACCEPTED}, {"GET ", OK(OPERATION("failed"))})));
    CHECK_STR("error: the node's answer is no operation\nhint: blixard op wait "
              "0123456789abcdef0123456789abcdef\ncode: corrupt",
              errors("vm stop web-1", 1, SCENES({"POST ", ACCEPTED}, {"GET ", OK("[]")})));
}

TEST(odd_time_over_is_told_while_a_node_says_nothing)
{
    CHECK_STR("error: the time is over; vm.stop of web-1 goes on\nhint: blixard op wait "
              "0123456789abcdef0123456789abcdef\ncode: timeout",
              errors("vm stop web-1 --timeout 0", 7, SCENES({"POST ", ACCEPTED})));
}

TEST(odd_interruption_before_an_answer_is_told)
{
    struct cli_run r;
    int listener = listen_at();
    cli_run_start(&r, "vm stop web-1", "");
    play(listener, &(struct scene){"POST /v1/vms/web-1/stop ", NULL});
    CHECK_EQ(0, kill(r.pid, SIGINT));
    cli_run_wait(&r);
    CHECK_EQ(130, r.code);
    CHECK(str_starts(buf_view(&r.err),
                     "error: interrupted before the node answered: it may have begun\n"
                     "hint: blixard op ls\ncode: cancelled"));
    cli_run_done(&r);
}

/* --- streams --- */

TEST(odd_streams_that_break_are_told)
{
    struct cli_run r;
    const char *half = HEAD("200 OK") "Transfer-Encoding: chunked\r\n\r\n4\r\nboot\r\n";
    act(&r, "vm logs web-1", 6, SCENES({"GET /v1/vms/web-1/logs ", half}));
    CHECK_STR("boot", buf_cstr(&r.out));
    CHECK(str_starts(buf_view(&r.err), "error: the connection ended in the middle of an answer\n"));
    cli_run_done(&r);
    const char *feed = HEAD(
        "200 OK") "Content-Type: text/event-stream\r\n\r\n"
                  "id: 7.1\nevent: vm.started\ndata: {\"index\":7,\"type\":\"vm.started\"}\n\n";
    act(&r, "events -f -o jsonl", 6, SCENES({"GET /v1/events?follow=true ", feed}));
    CHECK_STR("{\"index\":7,\"type\":\"vm.started\"}\n", buf_cstr(&r.out));
    CHECK(str_starts(buf_view(&r.err),
                     "{\"error\":\"the node ended the events\",\"hint\":\"go on with: "
                     "blixard events --follow --since 7.1\","));
    cli_run_done(&r);
    const char *reset = HEAD("200 OK") "\r\nid: 9.0\nevent: reset\ndata: {}\n\n";
    act(&r, "events -o name", 0, SCENES({"GET /v1/events ", reset}));
    CHECK_STR("note: older events are not kept any more; going on with 9.0\n", buf_cstr(&r.err));
    cli_run_done(&r);
}

TEST(odd_upgrades_are_refused)
{
    CHECK_STR(
        "error: the node did not open a WebSocket\ncode: corrupt",
        errors(
            "vm exec web-1 ls", 1,
            SCENES(
                {"GET /v1/vms/web-1/exec?argv=ls ",
                 HEAD(
                     "101 Switching Protocols") "Upgrade: websocket\r\n"
                                                "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"})));
    CHECK_STR("error: the node did not open a WebSocket\ncode: corrupt",
              errors("vm exec web-1 ls", 1, SCENES({"GET ", OK("{}")})));
    struct cli_run r;
    act(&r, "api GET /v1/vms/a/console", 1,
        SCENES({"GET /v1/vms/a/console ", HEAD("101 Switching Protocols") "\r\n"}));
    CHECK(strstr(buf_cstr(&r.err), "that path is a WebSocket") != NULL);
    cli_run_done(&r);
}

TEST(odd_upload_that_is_refused_early_is_told)
{
    char line[300];
    struct fault why;
    AUTO(buf_done) struct buf big;
    buf_init(&big, 8 << 20);
    for (int i = 0; i < 4 << 20; i++)
        buf_char(&big, 'x');
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, scratch_file("big"), buf_view(&big), 0600, &why));
    (void)snprintf(line, sizeof line, "vm push web-1 %s /x", scratch_file("big"));
    CHECK_STR(
        "error: no room\ncode: no_space",
        errors(
            line, 1,
            SCENES(
                {"PUT /v1/vms/web-1/files?path=%2Fx&mode=384 ",
                 HEAD(
                     "507 Insufficient Storage") "Content-Type: application/problem+json\r\nContent-Length: 38\r\n\r\n"
                                                 "{\"code\":\"no_space\",\"detail\":\"no room\"}"})));
}
