/* Contexts of the command line: noted, used, and what is said when they do not fit. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/file.h"
#include "os/net_tcp.h"
#include "support/cli_run.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "support/web.h"

static void start(struct web *w)
{
    web_init(w);
    web_start(w);
    web_listen(w);
    CHECK_EQ(ST_OK, file_remove_tree(AT_FDCWD, scratch_file("blixard"), NULL));
    CHECK_EQ(0, setenv("XDG_CONFIG_HOME", scratch_dir(), 1));
    CHECK_EQ(0, unsetenv("BLIXARD_CONTEXT"));
    CHECK_EQ(0, setenv("BLIXARD_API_SOCKET", w->path, 1));
}

/* All that it says. */
static const char *run(struct web *w, int want, const char *line, const char *input)
{
    static struct buf out;
    struct cli_run r;
    if (out.max == 0)
        buf_init(&out, 1 << 20);
    cli_run_start(&r, line, input);
    WAIT(w, cli_run_turn(&r));
    buf_reset(&out);
    buf_str(&out, buf_view(&r.out));
    buf_str(&out, buf_view(&r.err));
    if (r.code != want)
        tap_fail(__FILE__, __LINE__, "%s: exit %d, not %d: %s", line, r.code, want, buf_cstr(&out));
    cli_run_done(&r);
    return buf_cstr(&out);
}

static bool holds(const char *text, const char *what)
{
    if (!strstr(text, what))
        tap_fail(__FILE__, __LINE__, "\"%s\" does not hold \"%s\"", text, what);
    return true;
}

/* Note the node as `name`, with a token. */
static void add(struct web *w, const char *name, uint16_t port, const char *token)
{
    char line[400];
    (void)snprintf(line, sizeof line,
                   "context add %s --server https://localhost:%u --fingerprint %s", name, port,
                   w->cert.fingerprint);
    CHECK_STR("", strstr(run(w, 0, line, token), "added") + strlen("added\n"));
}

TEST(context_is_noted_used_shown_and_forgotten)
{
    struct web w;
    char token[80];
    start(&w);
    (void)snprintf(token, sizeof token, "%s\n", web_token(&w, "ci", "viewer"));
    CHECK_STR("NAME  CURRENT  SERVER  TOKEN\n", run(&w, 0, "context ls", ""));
    add(&w, "lab", w.port, token);
    holds(run(&w, 0, "context ls -o csv --no-header --columns name,current,server", ""),
          "lab,no,https://localhost:");
    CHECK_STR("context/lab\n", run(&w, 0, "context ls -o name", ""));
    holds(run(&w, 3, "context show", ""), "no context is in use: the unix socket is");
    CHECK_STR("context/lab in use\n", run(&w, 0, "context use lab", ""));
    const char *shown = run(&w, 0, "context show -o json", "");
    holds(shown, w.cert.fingerprint);
    holds(shown, "\"current\": true");
    CHECK(!strstr(shown, "blx_svc_"));
    char line[400];
    (void)snprintf(line, sizeof line, "context add lab --server https://x --fingerprint %s",
                   w.cert.fingerprint);
    holds(run(&w, 4, line, token), "context lab exists already");
    CHECK_STR("context/local in use\n", run(&w, 0, "context use local", ""));
    CHECK_STR("context/lab removed\n", run(&w, 0, "context rm context/lab", ""));
    holds(run(&w, 3, "context use lab", ""), "there is no context lab");
    web_stop(&w);
}

/* The line beats the environment, which beats what is in use. */
TEST(context_is_chosen_by_line_environment_or_use)
{
    struct web w;
    start(&w);
    add(&w, "lab", w.port, web_token(&w, "ci", "viewer"));
    CHECK_STR("token/ci\n", run(&w, 0, "token ls -o name", "")); /* the socket: an admin */
    holds(run(&w, 5, "token ls --context lab", ""), "token:ci may not token.ls");
    CHECK_EQ(0, setenv("BLIXARD_CONTEXT", "lab", 1));
    holds(run(&w, 5, "token ls", ""), "code: denied");
    CHECK_STR("token/ci\n", run(&w, 0, "token ls -o name --context local", ""));
    char line[400];
    (void)snprintf(line, sizeof line, "token ls -o name --socket %s", w.path);
    CHECK_STR("token/ci\n", run(&w, 0, line, ""));
    holds(run(&w, 3, "vm ls --context lap", ""), "did you mean lab?");
    holds(run(&w, 2, "vm ls --context lab --socket /x", ""), "exclude each other");
    CHECK_EQ(0, unsetenv("BLIXARD_CONTEXT"));
    (void)run(&w, 0, "context use lab", "");
    CHECK_STR("token/ci\n", run(&w, 0, "token ls -o name", "")); /* the environment says a socket */
    CHECK_EQ(0, unsetenv("BLIXARD_API_SOCKET"));
    holds(run(&w, 5, "token ls", ""), "code: denied");
    holds(run(&w, 0, "__complete vm ls --context l", ""), "lab");
    web_stop(&w);
}

TEST(context_of_another_key_is_sent_nothing)
{
    struct web w;
    char line[400];
    start(&w);
    (void)snprintf(line, sizeof line,
                   "context add lab --server https://127.0.0.1:%u --fingerprint sha256:%064d",
                   w.port, 7);
    (void)run(&w, 0, line, web_token(&w, "ci", "viewer"));
    unsigned seen = w.seen;
    const char *said = run(&w, 5, "vm ls --context lab", "");
    holds(said, "shows the fingerprint sha256:");
    holds(said, "somebody stands in between");
    holds(said, "code: unauthenticated");
    CHECK_EQ(seen, w.seen);
    WAIT(&w, http_view(w.https).strange == 1);
    web_stop(&w);
}

TEST(context_says_what_is_wrong_with_the_token)
{
    struct web w;
    start(&w);
    add(&w, "lab", w.port, web_token(&w, "ci", "viewer"));
    holds(run(&w, 5, "tenant create acme --context lab", ""),
          "it needs the role admin, and has viewer");
    (void)run(&w, 0, "token revoke ci --yes", "");
    const char *said = run(&w, 5, "vm ls --context lab", "");
    holds(said, "the token is not known: it was revoked, or never made here");
    holds(said, "blixard token create NAME --role ROLE");
    web_stop(&w);
}

TEST(context_says_why_no_node_answers)
{
    struct web w;
    start(&w);
    const char *token = web_token(&w, "ci", "viewer");
    static const struct ip_endpoint loopback = {.ip = {4, {127, 0, 0, 1}}};
    AUTO(close_fd) int fd = -1;
    CHECK_EQ(ST_OK, net_tcp_listen(&loopback, &fd, NULL));
    uint16_t port = net_tcp_port(fd);
    close_fd(&fd); /* nobody listens there */
    add(&w, "gone", port, token);
    const char *said = run(&w, 6, "vm ls --context gone", "");
    holds(said, "nobody listens on port ");
    holds(said, "is the node up, and does its `api.listen` say that port?");
    char line[400];
    (void)snprintf(line, sizeof line,
                   "context add nowhere --server https://nowhere.invalid --fingerprint %s",
                   w.cert.fingerprint);
    (void)run(&w, 0, line, token);
    holds(run(&w, 6, "vm ls --context nowhere", ""), "look up nowhere.invalid");
    web_stop(&w);
}

/* Whoever presses Tab waits for no node that is silent. */
TEST(context_that_is_silent_holds_up_no_completion)
{
    struct web w;
    start(&w);
    static const struct ip_endpoint loopback = {.ip = {4, {127, 0, 0, 1}}};
    AUTO(close_fd) int fd = -1;
    CHECK_EQ(ST_OK, net_tcp_listen(&loopback, &fd, NULL));
    add(&w, "mute", net_tcp_port(fd), web_token(&w, "ci", "viewer"));
    CHECK_EQ(0, setenv("BLIXARD_CONTEXT", "mute", 1));
    uint64_t before_ms = web_now_ms();
    (void)run(&w, 0, "__complete vm show w", "");
    CHECK(web_now_ms() - before_ms < 5000);
    CHECK_EQ(0, unsetenv("BLIXARD_CONTEXT"));
    web_stop(&w);
}

TEST(context_add_refuses_what_is_not_right)
{
    struct web w;
    start(&w);
    char line[400], token[80];
    (void)snprintf(token, sizeof token, "%s", web_token(&w, "ci", "viewer"));
    holds(run(&w, 2, "context add a --fingerprint x", token), "--server is missing");
    holds(run(&w, 2, "context add a --server https://n1", token), "--fingerprint is missing");
    holds(run(&w, 2, "context add a --server http://n1 --fingerprint x", token),
          "https://HOST:7003");
    (void)snprintf(line, sizeof line, "context add %s --server https://n1 --fingerprint %s", "a",
                   w.cert.fingerprint);
    holds(run(&w, 2, line, "hello"), "token: it does not look like a token");
    holds(run(&w, 2, line, ""), "token: it does not look like a token");
    token[30] = token[30] == 'x' ? 'y' : 'x';
    holds(run(&w, 2, line, token), "token: the token is mistyped");
    (void)snprintf(line, sizeof line, "context add %s --server https://n1 --fingerprint %s",
                   "local", w.cert.fingerprint);
    holds(run(&w, 2, line, web_token(&w, "c2", "viewer")), "error: name: 1 to 63 of a-z");
    (void)snprintf(line, sizeof line, "context add %064d --server https://n1 --fingerprint %s", 1,
                   w.cert.fingerprint);
    holds(run(&w, 2, line, web_token(&w, "c3", "viewer")), "error: name: 1 to 63 of a-z");
    (void)snprintf(line, sizeof line,
                   "context add a --server https://n1 --fingerprint %s --token-file /nonexistent",
                   w.cert.fingerprint);
    holds(run(&w, 3, line, ""), "--token-file /nonexistent");
    web_stop(&w);
}
