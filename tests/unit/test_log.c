#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "support/tap.h"
#include "telemetry/log.h"

static uint64_t now = UINT64_C(1764000000123000000);

static uint64_t fake_now(void)
{
    return now;
}

static struct logger *to_pipe(int fd[2], enum log_format f, enum log_level level, uint32_t rate)
{
    CHECK_EQ(0, pipe(fd));
    return log_new(fd[1], f, level, rate, fake_now);
}

static const char *got(int fd)
{
    static char text[8192];
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n < 0 ? 0 : n] = 0;
    return text;
}

TEST(log_logfmt_quotes_what_needs_it)
{
    int fd[2];
    struct logger *l = to_pipe(fd, LOG_LOGFMT, LOG_INFO, 10);
    LOG(l, LOG_WARN, "vm.lost", F_STR("vm", "web-1"), F_U64("node", 3), F_STR("err", "a \"b\"\n"),
        F_STR("none", NULL), F_BOOL("ok", false), F_I64("d", -1));
    CHECK_STR("time=2025-11-24T16:00:00.123Z level=warn event=vm.lost vm=web-1 node=3 "
              "err=\"a \\\"b\\\"\\n\" ok=false d=-1\n",
              got(fd[0]));
    log_free(l);
}

TEST(log_json_is_one_object_a_line)
{
    int fd[2];
    struct logger *l = to_pipe(fd, LOG_AUTO, LOG_INFO, 10); /* a pipe: JSON */
    LOG(l, LOG_INFO, "node.ready", F_STR("name", "n1\x01\xff"));
    CHECK_STR("{\"time\":\"2025-11-24T16:00:00.123Z\",\"level\":\"info\",\"event\":\"node.ready\","
              "\"name\":\"n1\\u0001?\"}\n",
              got(fd[0]));
    log_free(l);
}

TEST(log_below_its_level_is_silent)
{
    int fd[2];
    struct logger *l = to_pipe(fd, LOG_LOGFMT, LOG_WARN, 10);
    LOG(l, LOG_INFO, "quiet", F_U64("n", 1));
    LOG(l, LOG_ERROR, "loud", F_U64("n", 1));
    CHECK(strstr(got(fd[0]), "event=loud") != NULL);
    log_free(l);
}

TEST(log_floods_are_cut_and_counted)
{
    int fd[2];
    struct logger *l = to_pipe(fd, LOG_LOGFMT, LOG_INFO, 2);
    for (int i = 0; i < 7; i++)
        LOG(l, LOG_INFO, "flood", F_I64("i", i));
    LOG(l, LOG_INFO, "other", F_I64("i", 0));
    const char *text = got(fd[0]);
    CHECK(strstr(text, "i=1") && !strstr(text, "i=2") && strstr(text, "event=other"));
    now += 1000000000;
    LOG(l, LOG_INFO, "flood", F_I64("i", 9));
    CHECK(strstr(got(fd[0]), "i=9 suppressed=5") != NULL);
    log_free(l);
}

TEST(log_flood_that_does_not_come_again_is_told_at_the_end)
{
    int fd[2];
    struct logger *l = to_pipe(fd, LOG_LOGFMT, LOG_INFO, 2);
    for (int i = 0; i < 7; i++)
        LOG(l, LOG_INFO, "flood", F_I64("i", i));
    LOG(l, LOG_INFO, "other", F_I64("i", 0));
    CHECK_EQ(5, log_suppressed(l));
    (void)got(fd[0]);
    log_free(l);
    const char *text = got(fd[0]);
    CHECK(strstr(text, "event=log.suppressed event=flood count=5\n") != NULL);
    CHECK(!strstr(text, "other"));
}

TEST(log_faults_carry_code_and_hint)
{
    int fd[2];
    struct fault why;
    struct logger *l = to_pipe(fd, LOG_LOGFMT, LOG_INFO, 10);
    (void)fault_set(&why, ST_NO_SPACE, "write x");
    fault_hint(&why, "free some");
    log_fault(l, LOG_ERROR, "journal.failed", &why);
    CHECK(strstr(got(fd[0]), "err=\"write x\" code=no_space hint=\"free some\"") != NULL);
    log_free(l);
}

TEST(log_too_long_is_lost_whole)
{
    int fd[2];
    struct logger *l = to_pipe(fd, LOG_LOGFMT, LOG_INFO, 10);
    char *text = mem_new(2 * LOG_LINE_MAX);
    memset(text, 'x', 2 * LOG_LINE_MAX - 1);
    LOG(l, LOG_INFO, "long", F_STR("text", text));
    CHECK_EQ(1, log_lost(l));
    LOG(l, LOG_INFO, "short", F_U64("n", 1));
    CHECK(strstr(got(fd[0]), "event=short") != NULL);
    free(text);
    log_free(l);
}

TEST(log_does_not_wait_for_a_reader_that_sleeps)
{
    int fd[2];
    struct logger *l = to_pipe(fd, LOG_LOGFMT, LOG_INFO, 0);
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (int i = 0; i < 200; i++) /* more than a pipe holds */
        LOG(l, LOG_INFO, "full", F_STR("text", text));
    CHECK(log_lost(l) > 0);
    while (log_lost(l) < 250 && read(fd[0], text, sizeof text) == sizeof text)
        LOG(l, LOG_INFO, "again", F_U64("n", 1)); /* goes on when there is room */
    CHECK(log_lost(l) < 250);
    log_free(l);
}

TEST(log_journal_gets_every_field_by_name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct logger *l = log_new(1, LOG_JOURNALD, LOG_INFO, 10, fake_now);
    char text[2000];
    (void)snprintf(at.sun_path, sizeof at.sun_path, "/tmp/blixard-test-journal-%d", (int)getpid());
    int s = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_EQ(0, bind(s, (struct sockaddr *)&at, sizeof at));
    log_journal_at(l, at.sun_path);
    LOG(l, LOG_WARN, "vm.lost", F_STR("vm", "web-1"), F_U64("node", 3), F_STR("err", "a\nb"),
        F_STR("none", NULL), F_BOOL("ok", true));
    ssize_t n = recv(s, text, sizeof text, MSG_DONTWAIT);
    static const char want[] = "MESSAGE=time=2025-11-24T16:00:00.123Z level=warn event=vm.lost "
                               "vm=web-1 node=3 err=\"a\\nb\" ok=true\n"
                               "PRIORITY=4\nSYSLOG_IDENTIFIER=blixard\nBLIXARD_EVENT=vm.lost\n"
                               "BLIXARD_VM=web-1\nBLIXARD_NODE=3\n"
                               "BLIXARD_ERR\n\3\0\0\0\0\0\0\0a\nb\nBLIXARD_OK=true\n";
    CHECK_EQ(sizeof want - 1, n);
    CHECK(memcmp(want, text, sizeof want - 1) == 0);

    (void)unlink(at.sun_path); /* no journal: the line is lost, and nothing else happens */
    LOG(l, LOG_WARN, "vm.lost", F_U64("node", 3));
    CHECK_EQ(1, log_lost(l));
    log_free(l);
}
