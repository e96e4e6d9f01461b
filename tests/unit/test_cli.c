/* The command line against the real server, over a fake node. test_cli_network.c is the same once more, with
 * OVER_NETWORK. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

#include "cli/contexts.h"
#include "crypto/ticket.h"
#include "support/cli_run.h"
#include "support/scratch.h"
#include "support/tap.h"
#include "support/web.h"
#include "wire/json.h"

enum { CLI_OUT_MAX = 1 << 20 };

#ifdef OVER_NETWORK
/* By a context, with a token that may do everything. */
static void start(struct web *w)
{
    AUTO(auto_free) struct contexts *c = NEW(struct contexts);
    struct place *p = &c->at[0].place;
    web_init(w);
    web_start(w);
    web_make_vm(w);
    web_listen(w);
    c->count = 1;
    (void)snprintf(c->at[0].name, sizeof c->at[0].name, "lab");
    (void)snprintf(c->current, sizeof c->current, "lab");
    (void)snprintf(p->host, sizeof p->host, "127.0.0.1");
    p->port = w->port;
    (void)snprintf(p->fingerprint, sizeof p->fingerprint, "%s", w->cert.fingerprint);
    (void)snprintf(p->token, sizeof p->token, "%s", web_token(w, "me", "admin"));
    CHECK_EQ(0, setenv("XDG_CONFIG_HOME", scratch_dir(), 1));
    CHECK_EQ(0, unsetenv("BLIXARD_API_SOCKET"));
    CHECK_EQ(ST_OK, contexts_save(c, NULL));
}

static struct http *asked(struct web *w)
{
    return w->https;
}
#else
static void start(struct web *w)
{
    web_init(w);
    web_start(w);
    web_make_vm(w);
    CHECK_EQ(0, setenv("BLIXARD_API_SOCKET", w->path, 1));
}

static struct http *asked(struct web *w)
{
    return w->http;
}
#endif

/* Run a line to its end; *r is to be done. */
static void run(struct web *w, struct cli_run *r, int want, const char *line)
{
    cli_run_start(r, line, "");
    WAIT(w, cli_run_turn(r));
    if (r->code != want)
        tap_fail(__FILE__, __LINE__, "%s: exit %d, not %d: %s%s", line, r->code, want,
                 buf_cstr(&r->out), buf_cstr(&r->err));
}

/* What it says on stdout; on stderr it must say nothing. */
static const char *said(struct web *w, const char *line)
{
    static struct buf out;
    struct cli_run r;
    if (out.max == 0)
        buf_init(&out, CLI_OUT_MAX);
    run(w, &r, 0, line);
    CHECK_STR("", buf_cstr(&r.err));
    buf_reset(&out);
    buf_str(&out, buf_view(&r.out));
    cli_run_done(&r);
    return buf_cstr(&out);
}

/* What it says on stderr; on stdout it must say nothing. */
static const char *refused(struct web *w, int code, const char *line)
{
    static struct buf out;
    struct cli_run r;
    if (out.max == 0)
        buf_init(&out, CLI_OUT_MAX);
    run(w, &r, code, line);
    CHECK_STR("", buf_cstr(&r.out));
    buf_reset(&out);
    buf_str(&out, buf_view(&r.err));
    cli_run_done(&r);
    return buf_cstr(&out);
}

/* WAIT() while output is taken as it comes. */
#define WAIT_RUN(w, r, condition) WAIT(w, ((void)cli_run_turn(r), (condition)))

static bool begins(const char *text, const char *with)
{
    if (!str_starts(str_from(text), with))
        tap_fail(__FILE__, __LINE__, "\"%s\" does not begin with \"%s\"", text, with);
    return true;
}

static bool holds(const char *text, const char *what)
{
    if (!strstr(text, what))
        tap_fail(__FILE__, __LINE__, "\"%s\" does not hold \"%s\"", text, what);
    return true;
}

/* --- lists and objects --- */

TEST(cli_lists_and_shows)
{
    struct web w;
    char line[200], uid[33];
    start(&w);
    begins(said(&w, "vm ls"), "NAME   AGE");
    CHECK_STR("web-1,running\r\n", said(&w, "vm ls -o csv --columns name,phase --no-header"));
    CHECK_STR("vm/web-1\n", said(&w, "ps -o name"));
    CHECK_STR("", said(&w, "ls -q --filter phase==stopped"));
    (void)snprintf(uid, sizeof uid, "%.32s", said(&w, "vm ls -q"));
    (void)snprintf(line, sizeof line, "vm show %.8s -o name", uid);
    CHECK_STR("vm/web-1\n", said(&w, line));
    CHECK_STR("vm/web-1\n", said(&w, "-o name vm show vm/web-1"));
    holds(said(&w, "vm show web-1 -o yaml"), "\n  name: web-1\n");
    holds(said(&w, "vm show web-1"), "\nstatus.phase  ");
    begins(said(&w, "vm stats web-1"), "cpu_ns");
    CHECK_STR("node/n1\n", said(&w, "node ls -o name"));
    CHECK_STR("node/n1\n", said(&w, "node show -o name"));
    begins(said(&w, "cluster members"),
           "NUMBER  NODE  ROLE   LEADS  ACTIVE  LAG  SNAPSHOT\n1       n1    voter  "
           "yes    yes     0    no\n");
    CHECK(str_starts(str_from(said(&w, "cluster members -o name")), "node/"));
    holds(said(&w, "cluster transfer-leader --to n1"), "\nleads ");
    holds(said(&w, "image ls"), "debian");
    holds(said(&w, "version"), "\nnode    0.1.0  n1\n");
    web_stop(&w);
}

TEST(cli_reads_all_pages_of_a_list)
{
    struct web w;
    start(&w);
    for (int i = 2; i < 6; i++) {
        char line[100];
        (void)snprintf(line, sizeof line, "vm create web-%d --image debian --no-start", i);
        (void)said(&w, line);
    }
    CHECK_STR("vm/web-1\nvm/web-2\nvm/web-3\nvm/web-4\nvm/web-5\n", said(&w, "vm ls -o name"));
    CHECK_STR("vm/web-1\nvm/web-2\nvm/web-3\n", said(&w, "vm ls -o name --limit 3"));
    CHECK_STR("vm/web-5\nvm/web-4\nvm/web-3\nvm/web-2\nvm/web-1\n",
              said(&w, "vm ls -o name --sort -name"));
    web_stop(&w);
}

/* --- changes --- */

TEST(cli_waits_for_what_takes_time_and_says_how_it_ended)
{
    struct web w;
    start(&w);
    begins(said(&w, "vm create web-2 --image debian --memory 128MiB"), "vm/web-2 running  0.");
    begins(said(&w, "vm stop web-2"), "vm/web-2 stopped  0.");
    begins(said(&w, "vm start web-2 --force=false"), "vm/web-2 running  0.");
    begins(said(&w, "vm update web-2 --memory 256MiB"), "vm/web-2 running\n");
    holds(said(&w, "vm show web-2 -o json"), "\"mem_mib\": 256");
    begins(said(&w, "vm delete web-2 --yes"), "vm/web-2 deleted  0.");
    begins(said(&w, "image build tiny"), "image/tiny ready");
    CHECK_STR("tenant/acme\n", said(&w, "tenant create acme"));
    CHECK_STR("project/shop\n", said(&w, "project create shop --tenant acme"));
    begins(said(&w, "image build tiny -p shop"), "image/tiny ready");
    begins(said(&w, "run tiny -p shop --name a"), "vm/a running");
    CHECK_STR("vm/a\n", said(&w, "vm ls -p shop -o name"));
    holds(said(&w, "vm show a -p shop"), "shop");
    holds(refused(&w, 3, "vm show a"), "code: not_found  trace: ");
    begins(said(&w, "vm rm a -p shop --force -y"), "vm/a deleted");
    begins(said(&w, "image rm tiny -p shop -y"), "image/tiny deleted");
    CHECK_STR("project/shop deleted\n", said(&w, "project delete shop --yes"));
    web_stop(&w);
}

TEST(cli_gives_programs_the_object_or_its_id)
{
    struct web w;
    start(&w);
    const char *uid = said(&w, "vm create web-2 --image debian -q");
    CHECK_EQ(33, strlen(uid));
    holds(said(&w, "vm stop web-2 -o json"), "\"phase\": \"stopped\"");
    CHECK_STR("vm/web-2\n", said(&w, "vm start web-2 -o name"));
    holds(said(&w, "vm delete web-2 --yes -o jsonl"), "\"phase\":\"succeeded\"");
    web_stop(&w);
}

TEST(cli_need_not_wait)
{
    struct web w;
    char id[33], line[100];
    start(&w);
    w.f.vms_held = true;
    (void)snprintf(id, sizeof id, "%.32s", said(&w, "vm stop web-1 --no-wait"));
    CHECK_EQ(32, strlen(id));
    (void)snprintf(line, sizeof line, "op wait %s --timeout 100ms", id);
    const char *why = refused(&w, 7, line);
    begins(why, "error: the time is over; vm.stop of web-1 goes on\nhint: blixard op wait ");
    holds(why, id);
    holds(why, "\ncode: timeout");
    holds(said(&w, "op ls"), "vm.stop");
    w.f.vms_held = false;
    (void)snprintf(line, sizeof line, "op wait %.6s", id);
    begins(said(&w, line), "vm/web-1 stopped");
    begins(said(&w, line), "vm/web-1 stopped"); /* also when it has ended long ago */
    web_stop(&w);
}

TEST(cli_interrupted_says_that_it_goes_on)
{
    struct web w;
    struct cli_run r;
    start(&w);
    w.f.vms_held = true;
    uint64_t accepted = http_view(asked(&w)).accepted;
    cli_run_start(&r, "vm stop web-1", "");
    WAIT(&w, http_view(asked(&w)).accepted == accepted + 2); /* it was begun, and is waited for */
    CHECK_EQ(0, kill(r.pid, SIGINT));
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(130, r.code);
    begins(buf_cstr(&r.err),
           "error: interrupted; vm.stop of web-1 goes on\nhint: blixard op wait ");
    holds(buf_cstr(&r.err), "\ncode: cancelled");
    cli_run_done(&r);
    web_stop(&w);
}

TEST(cli_tells_what_failed_and_how_to_go_on)
{
    struct web w;
    start(&w);
    w.f.image_fails = true;
    holds(refused(&w, 1, "image build bad"), "error: build image bad: ");
    begins(refused(&w, 3, "vm start web-9"), "error: ");
    holds(refused(&w, 4, "vm create web-1 --image debian"), "\ncode: exists  trace: ");
    holds(refused(&w, 2, "vm create Web --image debian"), "error: NAME: \"Web\" is not a name");
    holds(refused(&w, 2, "vm ls --filter phse==x"), "hint: did you mean phase?\ncode: invalid");
    holds(refused(&w, 4, "vm stop web-1 --if-match 1"), "code: precondition_failed");
    holds(refused(&w, 4, "image delete debian --yes"), "code: in_use");
    holds(refused(&w, 3, "vm stats web-9 -o json"), "\"code\": \"not_found\"");
    web_stop(&w);
}

/* The ticket alone is on stdout, and what is to be done with it beside it. */
TEST(cli_node_token_prints_the_ticket_once)
{
    struct web w;
    struct cli_run r;
    start(&w);
    run(&w, &r, 4, "node token");
    holds(buf_cstr(&r.err), "this node listens on no address for nodes; set cluster.listen");
    cli_run_done(&r);
    fake_hello(&w.f, 1, "10.0.0.1:7001", NULL);
    run(&w, &r, 0, "node token --name n2 --ttl 1h --idempotency-key k");
    AUTO(ticket_done) struct ticket t = {0};
    CHECK_EQ(ST_OK, ticket_decode(str_trim(buf_view(&r.out)), &t, NULL));
    holds(buf_cstr(&r.err), "on one other machine, until ");
    holds(buf_cstr(&r.err), ": blixard join TICKET\n");
    CHECK(strstr(buf_cstr(&r.err), "blxjoin_") == NULL);
    cli_run_done(&r);
    run(&w, &r, 4, "node token --name n2 --ttl 1h --idempotency-key k");
    holds(buf_cstr(&r.err), "its ticket was shown then");
    cli_run_done(&r);
    holds(said(&w, "node token -o json"), "\"ticket\": \"blxjoin_");
    holds(said(&w, "token ls"), "join");
    run(&w, &r, 2, "node token --ttl 25h");
    cli_run_done(&r);
    web_stop(&w);
}

TEST(cli_node_remove_asks_for_yes)
{
    struct web w;
    struct cli_run r;
    start(&w);
    fake_hello(&w.f, 2, "10.0.0.2:7001", NULL);
    run(&w, &r, 2, "node remove n2");
    cli_run_done(&r);
    holds(said(&w, "node ls"), "n2");
    (void)said(&w, "node remove n2 --yes");
    CHECK(strstr(said(&w, "node ls"), "n2") == NULL);
    web_stop(&w);
}

TEST(cli_repeats_with_a_key_and_does_it_once)
{
    struct web w;
    char uid[40];
    start(&w);
    const char *line = "vm create --image debian -q --idempotency-key abc";
    (void)snprintf(uid, sizeof uid, "%s", said(&w, line));
    CHECK_STR(uid, said(&w, line));
    web_stop(&w);
}

TEST(cli_dry_runs_change_nothing)
{
    struct web w;
    struct cli_run r;
    start(&w);
    run(&w, &r, 0, "vm create web-2 --image debian --dry-run -o name");
    CHECK_STR("vm/web-2\n", buf_cstr(&r.out));
    begins(buf_cstr(&r.err), "nothing was changed: this is what would be\n");
    cli_run_done(&r);
    run(&w, &r, 0, "vm delete web-1 --dry-run");
    holds(buf_cstr(&r.out), "meta.name ");
    cli_run_done(&r);
    CHECK_STR("vm/web-1\n", said(&w, "vm ls -o name"));
    web_stop(&w);
}

TEST(cli_asks_on_a_terminal_before_it_destroys)
{
    struct web w;
    struct cli_run r;
    start(&w);
    cli_run_start_tty(&r, "vm delete web-1");
    WAIT_RUN(&w, &r, strstr(buf_cstr(&r.out), "vm delete web-1? [y/N] "));
    cli_run_type(&r, "n\n");
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(130, r.code);
    holds(buf_cstr(&r.out), "nothing was done");
    cli_run_done(&r);
    cli_run_start_tty(&r, "vm delete web-1");
    WAIT_RUN(&w, &r, strstr(buf_cstr(&r.out), "? [y/N] "));
    cli_run_type(&r, "yes\n");
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    holds(buf_cstr(&r.out), "vm/web-1 deleted");
    cli_run_done(&r);
    web_stop(&w);
}

TEST(cli_shows_progress_on_a_terminal_alone)
{
    struct web w;
    struct cli_run r;
    start(&w);
    w.f.vms_held = true;
    CHECK_EQ(0, setenv("TERM", "xterm", 1));
    cli_run_start_tty(&r, "vm stop web-1");
    WAIT_RUN(&w, &r, strstr(buf_cstr(&r.out), "\r\033[Kvm.stop web-1: "));
    w.f.vms_held = false;
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    holds(buf_cstr(&r.out), "\r\033[Kvm/web-1 stopped");
    cli_run_done(&r);
    CHECK_EQ(0, setenv("NO_COLOR", "1", 1));
    cli_run_start_tty(&r, "vm start web-1");
    WAIT(&w, cli_run_turn(&r));
    CHECK(!strchr(buf_cstr(&r.out), '\033'));
    cli_run_done(&r);
    web_stop(&w);
}

/* --- processes and consoles --- */

static struct vmm_stream *last_stream(struct web *w)
{
    return &w->f.stream[w->f.stream_count - 1];
}

static void give(struct vmm_stream *s, enum vmm_channel kind, const char *text)
{
    s->events->data(s->events->ctx, kind, str_from(text));
}

static void close_stream(struct vmm_stream *s, int exit_status)
{
    s->open = false;
    s->events->closed(s->events->ctx, ST_OK, NULL, exit_status);
}

TEST(cli_exec_joins_streams_and_exits_alike)
{
    struct web w;
    struct cli_run r;
    start(&w);
    cli_run_start(&r, "exec web-1 cat -n", "hello\n");
    WAIT(&w, w.f.stream_count == 1 && last_stream(&w)->input_ended);
    struct vmm_stream *s = last_stream(&w);
    CHECK(s->kind == VMM_STREAM_EXEC && !s->tty);
    CHECK_STR("cat -n", s->text);
    CHECK_STR("hello\n", buf_cstr(&s->input));
    give(s, VMM_STDOUT, "1 hello\n");
    give(s, VMM_STDERR, "oops\n");
    close_stream(s, 3);
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(3, r.code);
    CHECK_STR("1 hello\n", buf_cstr(&r.out));
    CHECK_STR("oops\n", buf_cstr(&r.err));
    cli_run_done(&r);
    web_stop(&w);
}

TEST(cli_exec_carries_much_both_ways)
{
    enum { MUCH = 1 << 20, STEP = 4096 };
    struct web w;
    struct cli_run r;
    static char step[STEP + 1];
    start(&w);
    memset(step, 'x', STEP);
    cli_run_start(&r, "vm exec web-1 -- cat", NULL);
    WAIT(&w, w.f.stream_count == 1);
    struct vmm_stream *s = last_stream(&w);
    for (int i = 0; i < 10; i++) { /* what a pipe holds, and then more */
        cli_run_type(&r, step);
        WAIT(&w, s->input.len == (size_t)(i + 1) * STEP);
    }
    size_t told = 0;
    while (told < MUCH) {
        WAIT_RUN(&w, &r, told - s->granted < 60000);
        give(s, VMM_STDOUT, step);
        told += STEP;
    }
    close_stream(s, 0);
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    CHECK_EQ(MUCH, r.out.len);
    cli_run_done(&r);
    web_stop(&w);
}

TEST(cli_exec_tells_what_could_not_be_run)
{
    struct web w;
    struct cli_run r;
    struct fault why;
    start(&w);
    cli_run_start(&r, "vm exec web-1 nope", "");
    WAIT(&w, w.f.stream_count == 1);
    struct vmm_stream *s = last_stream(&w);
    s->open = false;
    (void)fault_set(&why, ST_NOT_FOUND, "nope: No such file or directory");
    s->events->closed(s->events->ctx, ST_NOT_FOUND, &why, 0);
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(3, r.code);
    begins(buf_cstr(&r.err), "error: nope: No such file or directory\ncode: not_found");
    cli_run_done(&r);
    holds(refused(&w, 3, "vm exec web-9 ls"), "code: not_found");
    w.f.open_status = ST_UNAVAILABLE;
    holds(refused(&w, 6, "vm exec web-1 ls"), "it cannot be opened");
    web_stop(&w);
}

static bool is_raw(const struct cli_run *r)
{
    struct termios t;
    return tcgetattr(r->in, &t) == 0 && !(t.c_lflag & ISIG);
}

TEST(cli_exec_on_a_terminal_has_one)
{
    struct web w;
    struct cli_run r;
    start(&w);
    cli_run_start_tty(&r, "vm exec web-1 -e A=b --cwd /tmp sh");
    WAIT(&w, w.f.stream_count == 1 && is_raw(&r));
    struct vmm_stream *s = last_stream(&w);
    CHECK(s->tty && s->rows == 30 && s->cols == 90);
    cli_run_type(&r, "\x03");
    WAIT(&w, s->input.len == 1); /* Ctrl-C is the command's, not ours */
    give(s, VMM_STDOUT, "bye\r\n");
    close_stream(s, 0);
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    CHECK_STR("bye\r\n", buf_cstr(&r.out));
    cli_run_done(&r);
    web_stop(&w);
}

TEST(cli_exec_interrupted_lets_go)
{
    struct web w;
    struct cli_run r;
    start(&w);
    cli_run_start(&r, "vm exec web-1 sleep 9", NULL);
    WAIT(&w, w.f.stream_count == 1);
    struct vmm_stream *s = last_stream(&w);
    WAIT(&w, http_view(asked(&w)).sockets == 1);
    CHECK_EQ(0, kill(r.pid, SIGTERM));
    WAIT(&w, cli_run_turn(&r) && !s->open);
    CHECK(r.code == 130 || r.code == 1000 + SIGTERM); /* the latter before it was open */
    cli_run_done(&r);
    web_stop(&w);
}

TEST(cli_console_is_left_by_its_escape)
{
    struct web w;
    struct cli_run r;
    start(&w);
    cli_run_start_tty(&r, "console web-1");
    WAIT(&w, w.f.stream_count == 1 && last_stream(&w)->rows == 30 && is_raw(&r));
    struct vmm_stream *s = last_stream(&w);
    CHECK_EQ(VMM_STREAM_CONSOLE, s->kind);
    cli_run_type(&r, "root\r");
    WAIT(&w, s->input.len == 5);
    give(s, VMM_STDOUT, "login: ");
    WAIT_RUN(&w, &r, strstr(buf_cstr(&r.out), "login: "));
    cli_run_type(&r, "x\x1d");
    WAIT(&w, cli_run_turn(&r) && !s->open);
    CHECK_EQ(0, r.code);
    CHECK_STR("root\rx", buf_cstr(&s->input));
    holds(buf_cstr(&r.out), "This is the console; Ctrl-] leaves it.");
    cli_run_done(&r);
    web_stop(&w);
}

/* --- logs and files --- */

TEST(cli_logs_come_as_they_are)
{
    struct web w;
    struct cli_run r;
    start(&w);
    cli_run_start(&r, "logs web-1 -f --tail 4KiB", "");
    WAIT(&w, w.f.stream_count == 1);
    struct vmm_stream *s = last_stream(&w);
    CHECK(s->kind == VMM_STREAM_LOG && s->follow && s->tail == 4096);
    give(s, VMM_STDOUT, "boot\n");
    WAIT_RUN(&w, &r, r.out.len == 5);
    give(s, VMM_STDOUT, "up\n");
    close_stream(s, 0);
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    CHECK_STR("boot\nup\n", buf_cstr(&r.out));
    cli_run_done(&r);
    web_stop(&w);
}

TEST(cli_copies_files_in_and_out)
{
    struct web w;
    struct cli_run r;
    struct fault why;
    char line[400], local[256];
    AUTO(buf_done) struct buf got;
    buf_init(&got, 1000);
    start(&w);
    (void)snprintf(local, sizeof local, "%s", scratch_file("app.conf"));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, local, STR("a = 1\n"), 0640, &why));
    (void)snprintf(line, sizeof line, "vm cp %s web-1:/etc/", local);
    cli_run_start(&r, line, "");
    WAIT(&w, w.f.stream_count == 1 && last_stream(&w)->input_ended);
    struct vmm_stream *s = last_stream(&w);
    CHECK(s->kind == VMM_STREAM_PUSH && s->size == 6);
    CHECK_STR("/etc/app.conf", s->text);
    CHECK_STR("a = 1\n", buf_cstr(&s->input));
    close_stream(s, 0);
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    cli_run_done(&r);

    (void)snprintf(line, sizeof line, "vm cp web-1:/etc/motd %s", scratch_dir());
    cli_run_start(&r, line, "");
    WAIT(&w, w.f.stream_count == 2);
    s = last_stream(&w);
    CHECK(s->kind == VMM_STREAM_PULL);
    CHECK_STR("/etc/motd", s->text);
    give(s, VMM_STDOUT, "welcome\n");
    close_stream(s, 0);
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    CHECK_EQ(ST_OK, file_read(AT_FDCWD, scratch_file("motd"), &got, &why));
    CHECK_STR("welcome\n", buf_cstr(&got));
    cli_run_done(&r);
    web_stop(&w);
}

TEST(cli_pushes_stdin_and_pulls_to_stdout)
{
    struct web w;
    struct cli_run r;
    start(&w);
    cli_run_start(&r, "vm push web-1 - /x --mode 0600", "from a pipe");
    WAIT(&w, w.f.stream_count == 1 && last_stream(&w)->input_ended);
    struct vmm_stream *s = last_stream(&w);
    CHECK_EQ(11, s->size);
    close_stream(s, 0);
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    cli_run_done(&r);
    cli_run_start(&r, "vm pull web-1 /x -", "");
    WAIT(&w, w.f.stream_count == 2);
    s = last_stream(&w);
    give(s, VMM_STDOUT, "to a pipe");
    close_stream(s, 0);
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    CHECK_STR("to a pipe", buf_cstr(&r.out));
    cli_run_done(&r);
    web_stop(&w);
}

TEST(cli_leaves_no_half_of_a_file)
{
    struct web w;
    struct cli_run r;
    struct fault why;
    struct stat st;
    char line[400];
    start(&w);
    (void)snprintf(line, sizeof line, "vm pull web-1 /x %s", scratch_file("half"));
    cli_run_start(&r, line, "");
    WAIT(&w, w.f.stream_count == 1);
    struct vmm_stream *s = last_stream(&w);
    give(s, VMM_STDOUT, "some");
    WAIT(&w, s->granted == 4);
    s->open = false;
    (void)fault_set(&why, ST_IO, "the guest is gone");
    s->events->closed(s->events->ctx, ST_IO, &why, 0);
    WAIT(&w, cli_run_turn(&r));
    CHECK(r.code != 0);
    CHECK(stat(scratch_file("half"), &st) != 0 && stat(scratch_file("half.part"), &st) != 0);
    cli_run_done(&r);
    holds(refused(&w, 3, "vm push web-1 /nonexistent /x"), "open /nonexistent");
    holds(refused(&w, 2, "vm push web-1 /etc /x"), "is a directory");
    holds(refused(&w, 2, "vm push web-1 /etc/passwd x"), "is not an absolute path");
    web_stop(&w);
}

/* --- events --- */

TEST(cli_events_are_a_table_or_a_stream)
{
    struct web w;
    struct cli_run r;
    start(&w);
    const char *all = said(&w, "events --kind vm --name web-1");
    begins(all, "TIME");
    holds(all, "web-1");
    holds(said(&w, "events -o jsonl --since 0"), "\"kind\":\"image\"");
    begins(said(&w, "events -o json"), "[\n  {\n");
    cli_run_start(&r, "events -f --kind vm -o jsonl", "");
    WAIT(&w, http_view(asked(&w)).feeds == 1);
    (void)said(&w, "vm stop web-1");
    WAIT_RUN(&w, &r, strstr(buf_cstr(&r.out), "\"name\":\"web-1\""));
    CHECK_EQ(0, kill(r.pid, SIGINT));
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(1000 + SIGINT, r.code);
    cli_run_done(&r);
    holds(refused(&w, 2, "events --kind fly"), "kind");
    web_stop(&w);
}

TEST(cli_waits_until_a_vm_is_so)
{
    struct web w;
    struct cli_run r;
    start(&w);
    begins(said(&w, "vm wait web-1 --for phase==running"), "vm/web-1 running  0.");
    cli_run_start(&r, "vm wait web-1 --for phase==stopped", "");
    WAIT(&w, http_view(asked(&w)).feeds == 1);
    (void)said(&w, "vm stop web-1");
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    begins(buf_cstr(&r.out), "vm/web-1 stopped");
    cli_run_done(&r);
    begins(refused(&w, 7, "vm wait web-1 --for 'restarts>=1' --timeout 300ms"),
           "error: the time is over, and not: restarts>=1\n");
    holds(refused(&w, 3, "vm wait web-9 --for phase==running"), "code: not_found");
    web_stop(&w);
}

/* --- the rest --- */

TEST(cli_api_sends_anything)
{
    struct web w;
    struct cli_run r;
    start(&w);
    CHECK_STR("ok\n", said(&w, "api GET /readyz"));
    holds(said(&w, "api get /v1/vms?limit=1"), "{\"items\":[");
    holds(said(&w, "api POST /v1/tenants '{\"name\": \"acme\"}'"), "\"acme\"");
    cli_run_start(&r, "api POST /v1/tenants -", "{\"name\": \"beta\"}");
    WAIT(&w, cli_run_turn(&r));
    CHECK_EQ(0, r.code);
    cli_run_done(&r);
    run(&w, &r, 3, "api GET /v1/vms/web-9");
    holds(buf_cstr(&r.out), "\"code\":\"not_found\"");
    begins(buf_cstr(&r.err), "error: GET /v1/vms/web-9: 404 Not Found\ncode: not_found");
    cli_run_done(&r);
    run(&w, &r, 2, "api POST /v1/tenants '{'");
    cli_run_done(&r);
    web_stop(&w);
}

#ifndef OVER_NETWORK /* the doctor looks at this machine alone */
TEST(cli_doctor_asks_the_node)
{
    struct web w;
    struct cli_run r;
    start(&w);
    cli_run_start(&r, "doctor -o jsonl", "");
    WAIT(&w, cli_run_turn(&r));
    CHECK(r.code == 0 || r.code == 1);
    holds(buf_cstr(&r.out), "{\"name\":\"node\",\"verdict\":\"ok\",\"text\":\"n1 answers at ");
    holds(buf_cstr(&r.out), "{\"name\":\"ready\",\"verdict\":\"ok\"");
    cli_run_done(&r);
    web_stop(&w);
}
#endif

TEST(cli_completes_names)
{
    struct web w;
    start(&w);
    (void)said(&w, "vm create db --image debian --no-start");
    CHECK_STR("web-1\t\n", said(&w, "__complete vm stop we"));
    CHECK_STR("db\t\nweb-1\t\n", said(&w, "__complete exec ''"));
    CHECK_STR("debian\t\n", said(&w, "__complete vm create x --image ''"));
    CHECK_STR("debian\t\n", said(&w, "__complete run d"));
    CHECK_STR("default\t\n", said(&w, "__complete vm ls -p ''"));
    CHECK_STR("", said(&w, "__complete vm create ''"));
    CHECK_STR("", said(&w, "__complete vm ls -p nope --filter ''"));
    web_stop(&w);
}
