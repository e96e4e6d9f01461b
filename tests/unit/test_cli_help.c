#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "os/child.h"
#include "support/cli_run.h"
#include "support/golden.h"
#include "support/scratch.h"
#include "support/tap.h"

enum { OUT_MAX = 1 << 20, WORDS_MAX = 32 };

TEST(help_of_every_command_is_as_it_was)
{
    static struct commands all;
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_MAX);
    commands_init(&all);
    buf_text(&out, "$ blixard help\n");
    help_all(&all, &out);
    buf_text(&out, "\n$ blixard help vm\n");
    help_noun(&all, STR("vm"), &out);
    for (size_t i = 0; i < all.count; i++) {
        char words[COMMAND_WORDS_MAX];
        command_words(&all.at[i], words);
        buf_fmt(&out, "\n$ blixard help %s\n", words);
        help_command(&all.at[i], &out);
    }
    golden_check("tests/golden/cli/help.txt", buf_view(&out));
}

TEST(help_begins_with_two_examples_and_fits_a_terminal)
{
    static struct commands all;
    commands_init(&all);
    for (size_t i = 0; i < all.count; i++) {
        AUTO(buf_done) struct buf out;
        struct str rest, line;
        buf_init(&out, OUT_MAX);
        help_command(&all.at[i], &out);
        rest = buf_view(&out);
        for (int n = 0; str_cut(&rest, '\n', &line); n++) {
            CHECK(n > 1 || (str_starts(line, "    ") && memmem(line.ptr, line.len, "blixard", 7)));
            CHECK(line.len <= 100);
        }
    }
}

TEST(docs_are_those_in_the_tree)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUT_MAX);
    cli_docs(&out);
    golden_check("docs/reference/cli.md", buf_view(&out));
}

/* --- examples --- */

/* Words of a shell's line, quotes undone; it ends at what is the shell's own. */
static size_t words_of(char *line, const char *word[WORDS_MAX])
{
    size_t n = 0;
    for (char *p = line; *p;) {
        while (*p == ' ')
            *p++ = 0;
        char end = *p == '\'' ? '\'' : ' ';
        p += end == '\'';
        if (!*p || *p == '|' || *p == '>')
            break;
        word[n++] = p;
        while (*p && *p != end && !(end == ' ' && *p == ')'))
            p++;
        if (*p)
            *p++ = 0;
    }
    return n;
}

static void check_example(const struct commands *all, const struct command *c, const char *example)
{
    char line[COMMAND_EXAMPLE_MAX + 1];
    const char *word[WORDS_MAX], *begin = strstr(example, "blixard ");
    static struct flags flags;
    static struct given given;
    const struct command *found;
    struct str noun;
    struct fault why;
    size_t used;
    printf("# %s\n", example);
    CHECK(begin != NULL);
    (void)snprintf(line, sizeof line, "%s", begin + strlen("blixard "));
    size_t n = words_of(line, word);
    CHECK_EQ(ST_OK, command_match(all, n, word, &found, &used, &noun, &why));
    CHECK(found == c);
    command_flags(c, &flags);
    if (given_parse(&given, &flags, c->args, n - used, word + used, &why) != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s", why.text);
    CHECK(given.arg_count >= arity_of(c->args).min && given.arg_count <= arity_of(c->args).max);
}

TEST(examples_are_lines_that_we_understand)
{
    static struct commands all;
    commands_init(&all);
    for (size_t i = 0; i < all.count; i++) {
        char second[COMMAND_EXAMPLE_MAX];
        command_example(&all.at[i], second);
        check_example(&all, &all.at[i], all.at[i].examples[0]);
        check_example(&all, &all.at[i], second);
    }
}

/* --- what needs no node --- */

static const char *run(const char *line, int want)
{
    static struct buf out;
    struct cli_run r;
    if (out.max == 0)
        buf_init(&out, OUT_MAX);
    buf_reset(&out);
    CHECK_EQ(0, setenv("BLIXARD_API_SOCKET", "/nonexistent/s", 1));
    cli_run_start(&r, line, "");
    cli_run_wait(&r);
    buf_str(&out, buf_view(&r.out));
    if (r.err.len > 0)
        buf_fmt(&out, "--\n%s", buf_cstr(&r.err));
    CHECK_EQ(want, r.code);
    cli_run_done(&r);
    return buf_cstr(&out);
}

TEST(help_is_asked_for_in_many_ways)
{
    CHECK(str_starts(str_from(run("help", 0)), "    blixard run\n"));
    CHECK(str_starts(str_from(run("--help", 0)), "    blixard run\n"));
    CHECK(str_starts(str_from(run("-h", 0)), "    blixard run\n"));
    CHECK(strstr(run("vm -h", 0), "\n  vm exec NAME COMMAND...  ") != NULL);
    CHECK(strstr(run("help vm", 0), "Usage: blixard vm VERB\n") != NULL);
    CHECK(strstr(run("vm show --help", 0), "Usage: blixard vm show NAME [FLAGS]\n") != NULL);
    CHECK(strstr(run("help ps", 0), "Usage: blixard vm ls [FLAGS]\n") != NULL);
    CHECK(strstr(run("help up", 0), "Usage: blixard up [FLAGS]\n") != NULL);
    CHECK_STR("--\nerror: there is no command fly\nhint: blixard help lists all\ncode: invalid\n",
              run("help fly", 2));
    CHECK_STR("--\nerror: vm has no verb fly\nhint: blixard help vm lists them\ncode: invalid\n",
              run("help vm fly", 2));
}

TEST(version_is_known_without_a_node)
{
    CHECK_STR("blixard " BLIXARD_VERSION "\n", run("--version", 0));
    CHECK(
        str_starts(str_from(run("version", 6)), "client  " BLIXARD_VERSION "\n--\nerror: no node"));
    CHECK(str_starts(str_from(run("version -o jsonl", 6)),
                     "{\"client\":{\"version\":\"" BLIXARD_VERSION "\"}}\n--\n{\"error\":"));
}

TEST(wrong_lines_are_refused_before_anything_is_sent)
{
    static const struct {
        const char *line, *want;
    } bad[] = {
        {"",
         "error: a command is missing\nhint: blixard help tells what there is\ncode: invalid\n"},
        {"vm",
         "error: vm needs a verb\nhint: blixard help vm tells what there is\ncode: invalid\n"},
        {"vm shwo", "error: vm has no verb shwo\nhint: did you mean vm show?\ncode: invalid\n"},
        {"vm show", "error: NAME is missing\nusage: blixard vm show NAME [FLAGS]\ncode: invalid\n"},
        {"vm exec web-1",
         "error: COMMAND is missing\nusage: blixard vm exec [FLAGS] NAME COMMAND...\n"
         "code: invalid\n"},
        {"vm ls a",
         "error: \"a\" is one word too many\nusage: blixard vm ls [FLAGS]\ncode: invalid\n"},
        {"-o jsn vm ls", "error: -o jsn: it is table, wide, json, jsonl, yaml, csv or name\n"
                         "usage: blixard vm ls [FLAGS]\nhint: did you mean json?\ncode: invalid\n"},
        {"vm ls --fliter x", "error: there is no flag --fliter here\nusage: blixard vm ls [FLAGS]\n"
                             "hint: did you mean --filter?\ncode: invalid\n"},
        {"--zzzz vm ls",
         "error: there is no flag --zzzz here\nhint: blixard help tells what there is\n"
         "code: invalid\n"},
        {"vm wait web-1", "error: --for is missing\nusage: blixard vm wait NAME [FLAGS]\n"
                          "code: invalid\n"},
        {"vm wait web-1 --for phase=x",
         "error: --for: ==, !=, <, <=, > or >= must follow phase\ncode: invalid\n"},
        {"vm delete a", "error: vm delete a needs --yes: there is no terminal to ask on\n"
                        "code: invalid\n"},
        {"vm start a --timeout soon",
         "error: --timeout: \"soon\" is not a duration such as 250ms, 30s, 5m or 2h\n"
         "usage: blixard vm start NAME [FLAGS]\ncode: invalid\n"},
        {"vm start a --if-match x",
         "error: --if-match: \"x\" is not a number from 0 to 18446744073709551615\ncode: invalid\n"},
        {"vm console a",
         "error: vm console needs a terminal\nhint: blixard vm logs and blixard vm exec "
         "do not\ncode: invalid\n"},
        {"vm cp a b", "error: one of the two must be NAME:/PATH, as in web-1:/etc/motd\n"
                      "usage: blixard vm cp FROM TO [FLAGS]\ncode: invalid\n"},
        {"vm cp a:/b c:/d", "error: one of the two must be NAME:/PATH, and the other a file here\n"
                            "usage: blixard vm cp FROM TO [FLAGS]\ncode: invalid\n"},
        {"vm push a /nonexistent /x --mode 0888",
         "error: --mode: \"0888\" is not permissions such as 0644\ncode: invalid\n"},
        {"api GET v1", "error: a path begins with /, as in /v1/vms\n"
                       "usage: blixard api METHOD PATH [BODY] [FLAGS]\ncode: invalid\n"},
        {"api GE/T /v1", "error: GE/T is no method, such as GET\n"
                         "usage: blixard api METHOD PATH [BODY] [FLAGS]\ncode: invalid\n"},
        {"completion tcsh",
         "error: there is no completion for tcsh, but for bash, zsh and fish\ncode: invalid\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char want[600];
        (void)snprintf(want, sizeof want, "--\n%s", bad[i].want);
        CHECK_STR(want, run(bad[i].line, 2));
    }
}

TEST(errors_are_json_where_output_is)
{
    CHECK_STR("--\n{\"error\":\"NAME is missing\",\"code\":\"invalid\"}\n",
              run("vm show -o jsonl", 2));
    CHECK_STR("--\n{\n  \"error\": \"there is no flag --x here\",\n  \"code\": \"invalid\"\n}\n",
              run("-o json vm ls --x", 2));
}

TEST(node_that_is_not_there_is_told)
{
    CHECK_STR(
        "--\nerror: no node answers: nobody listens on /nonexistent/s\nhint: start it with `blixard "
        "up`, or say where its socket is: --socket\ncode: unavailable\n",
        run("vm ls", 6));
    CHECK(strstr(run("vm ls --socket /else/s", 6), "nobody listens on /else/s") != NULL);
    CHECK_STR("", run("__complete vm show ''", 0));
}

TEST(up_is_not_ours)
{
    CHECK_STR("--\nerror: this program is the command line alone\ncode: unsupported\n",
              run("up", 1));
}

/* --- configuration --- */

TEST(config_is_checked_and_shown_without_a_node)
{
    char path[256], line[400];
    struct fault why;
    (void)snprintf(path, sizeof path, "%s", scratch_file("node.toml"));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, STR("[log]\nlevel = \"debug\"\n"), 0644, &why));
    (void)snprintf(line, sizeof line, "config check --config %s", path);
    CHECK(str_ends(str_from(run(line, 0)), "node.toml is well\n"));
    (void)snprintf(line, sizeof line, "config show --config %s", path);
    CHECK(strstr(run(line, 0), "level = \"debug\"") != NULL);
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, STR("[log]\nlevle = \"debug\"\n"), 0644, &why));
    (void)snprintf(line, sizeof line, "config check --config %s", path);
    const char *said = run(line, 2);
    CHECK(strstr(said, "node.toml: line 2, column 1: log.levle: unknown key\n"
                       "hint: did you mean log.level?\ncode: invalid\n") != NULL);
    CHECK(strstr(run("config check --config /nonexistent", 3), "code: not_found") != NULL);
    CHECK(strstr(run("config docs", 0), "log.level") != NULL);
}

/* --- completion --- */

static void check_syntax(const char *shell, const char *flag, const char *completion)
{
    char line[100], path[256];
    struct child_result r = {0};
    struct fault why;
    (void)snprintf(line, sizeof line, "completion %s", completion);
    const char *script = run(line, 0);
    (void)snprintf(path, sizeof path, "%s", scratch_file(completion));
    CHECK_EQ(ST_OK, file_write(AT_FDCWD, path, str_from(script), 0644, &why));
    const char *const argv[] = {shell, flag, path, NULL};
    enum status s = child_run(&(struct child_run){.argv = argv, .timeout_ms = 20000}, &r, &why);
    if (s == ST_NOT_FOUND)
        tap_skip("that shell is not there");
    if (s != ST_OK)
        tap_fail(__FILE__, __LINE__, "%s: %s", why.text, r.tail);
}

TEST(completion_for_bash_is_what_bash_reads)
{
    check_syntax("bash", "-n", "bash");
}

TEST(completion_for_zsh_is_what_zsh_reads)
{
    check_syntax("zsh", "-n", "zsh");
}

TEST(completion_for_fish_is_what_fish_reads)
{
    check_syntax("fish", "-n", "fish");
}

TEST(completion_knows_commands_flags_and_words)
{
    CHECK_STR(
        "start\tStart a VM\nstop\tAsk a VM's guest to power off; end it when its deadline passes\n"
        "stats\tShow what a running VM uses\n",
        run("__complete vm st", 0));
    CHECK_STR("image\t\n", run("__complete im", 0));
    CHECK_STR("version\tShow the versions of the command line and of the node that answers\n",
              run("__complete ver", 0));
    CHECK_STR("on-failure\tWhen it ends other than by a clean power-off\n",
              run("__complete vm create web-1 --restart on", 0));
    CHECK_STR("--memory\tMemory\n", run("__complete run --mem", 0));
    CHECK_STR("--no-start\tStart it at once\n", run("__complete vm create --no-st", 0));
    CHECK_STR("json\t\njsonl\t\n", run("__complete ps -o js", 0));
    CHECK_STR("phase\tPhase\n", run("__complete vm ls --columns ph", 0));
    CHECK_STR("zsh\t\n", run("__complete completion z", 0));
    CHECK_STR("", run("__complete vm exec web-1 ls --", 0));
    CHECK_STR("", run("__complete fly st", 0));
}
