#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/commands_by_hand.h"
#include "cli/help.h"
#include "cli/now.h"
#include "cli/run.h"

enum { HELP_MAX = 64 << 10 };

/* A line taken apart as far as its command: what stood before and between its words are flags. */
struct opening {
    size_t word_count, flag_count, rest;
    const char *word[2];
    const char *flag[ARGS_MAX];
};

/* Is the word a flag of those that may stand before the command, and does it want the next word? */
static enum status take_front(const struct flags *front, const char *word, bool *ret_wants,
                              struct fault *why)
{
    struct given g;
    bool is_long = word[1] == '-';
    const struct flag *f = is_long && !strchr(word, '=') ? flag_find(front, str_from(word + 2))
                           : !is_long && !word[2]        ? flag_find_letter(front, word[1])
                                                         : NULL;
    *ret_wants = f && f->word;
    if (*ret_wants)
        return ST_OK;
    return given_parse(&g, front, "", 1, &word, why);
}

/* Find the words of the command in a line, and the command. */
static enum status open_line(const struct commands *all, size_t count, const char *const *word,
                             struct opening *o, const struct command **ret, struct str *ret_noun,
                             struct fault *why)
{
    AUTO(auto_free) struct flags *front = NEW(struct flags);
    enum status s = fault_set(why, ST_INVALID, "a command is missing");
    command_front_flags(front);
    *ret = NULL;
    *ret_noun = (struct str){"", 0};
    for (size_t i = 0; i < count && o->word_count < 2; i++) {
        size_t used;
        bool wants = false;
        if (word[i][0] == '-' && word[i][1]) {
            s = take_front(front, word[i], &wants, why);
            if (s != ST_OK)
                return s;
            o->flag[o->flag_count++] = word[i];
            if (wants && i + 1 < count)
                o->flag[o->flag_count++] = word[++i];
            s = ST_INVALID;
            continue;
        }
        o->word[o->word_count++] = word[i];
        o->rest = i + 1;
        s = command_match(all, o->word_count, o->word, ret, &used, ret_noun, why);
        if (s == ST_OK || ret_noun->len == 0)
            return s;
    }
    if (o->word_count == 0)
        (void)fault_set(why, ST_INVALID, "a command is missing");
    return ST_INVALID;
}

/* Flags before the command, then what stands after it. */
static enum status parse_rest(struct cli *c, const struct opening *o, size_t count,
                              const char *const *word, struct fault *why)
{
    AUTO(auto_free) const char **all = NEW_ARRAY(const char *, o->flag_count + count + 1);
    size_t n = 0;
    for (size_t i = 0; i < o->flag_count; i++)
        all[n++] = o->flag[i];
    for (size_t i = o->rest; i < count; i++)
        all[n++] = word[i];
    command_flags(c->command, &c->flags);
    return given_parse(&c->given, &c->flags, c->command->args, n, all, why);
}

/* The word of "NAME [FILE]" at a place. */
static struct str argument_word(const char *args, size_t index)
{
    struct str rest = str_from(args), word;
    while (str_cut(&rest, ' ', &word) && index-- > 0)
        ;
    return word;
}

static enum status check_arguments(const struct cli *c, struct fault *why)
{
    struct arity a = arity_of(c->command->args);
    size_t count = c->given.arg_count;
    if (count < a.min) {
        struct str word = argument_word(c->command->args, count);
        while (str_ends(word, "."))
            word.len--;
        return fault_set(why, ST_INVALID, STR_FMT " is missing", STR_ARG(word));
    }
    if (count > a.max)
        return fault_set(why, ST_INVALID, "\"%.60s\" is one word too many", c->given.arg[a.max]);
    return ST_OK;
}

/* What the common flags say. */
static enum status set_up(struct cli *c, struct fault *why)
{
    const char *form = given_get(&c->given, FLAG_OUTPUT);
    const char *timeout = given_get(&c->given, FLAG_TIMEOUT);
    c->output = (struct output){
        .columns = given_get(&c->given, FLAG_COLUMNS),
        .sort = given_get(&c->given, FLAG_SORT),
        .no_header = given_has(&c->given, FLAG_NO_HEADER),
        .ids = given_has(&c->given, FLAG_QUIET),
        .now_ns = now_wall_ns(),
    };
    c->timeout_ms = CLI_WAIT_MS;
    enum status s = form ? output_parse(form, &c->output.form, why) : ST_OK;
    if (s != ST_OK)
        return s;
    s = timeout ? units_duration(str_from(timeout), &c->timeout_ms, why) : ST_OK;
    c->until_ms = now_plus(c->timeout_ms);
    return s == ST_OK ? s : fault_wrap(why, s, "--timeout");
}

static int show_help(const struct cli *c, struct str noun)
{
    AUTO(buf_done) struct buf out;
    buf_init(&out, HELP_MAX);
    if (c->command)
        help_command(c->command, &out);
    else if (noun.len > 0)
        help_noun(&c->commands, noun, &out);
    else
        help_all(&c->commands, &out);
    return cli_write(c, buf_view(&out));
}

static int show_version(const struct cli *c)
{
    return cli_write(c, STR("blixard " BLIXARD_VERSION "\n"));
}

/* Was one of these given before the command? */
static bool front_has(const struct opening *o, const char *name, const char *letter)
{
    for (size_t i = 0; i < o->flag_count; i++)
        if (strcmp(o->flag[i], name) == 0 || (letter && strcmp(o->flag[i], letter) == 0))
            return true;
    return false;
}

static int run_command(struct cli *c)
{
    struct fault why;
    enum status s = check_arguments(c, &why);
    if (s != ST_OK)
        return cli_misused(c, &why);
    return c->command->run(c);
}

/* __complete WORD...: the words as they are, flags too. */
static int run_complete(struct cli *c, size_t count, const char *const *word)
{
    for (size_t i = 0; i < count && i < ARGS_MAX; i++)
        c->given.arg[c->given.arg_count++] = word[i];
    return complete_run(c);
}

/* Nothing but flags, or a noun without its verb. */
static int run_nothing(struct cli *c, const struct opening *o, struct str noun,
                       const struct fault *why)
{
    if (front_has(o, "--version", NULL))
        return show_version(c);
    if (front_has(o, "--help", "-h"))
        return show_help(c, noun);
    struct fault with_hint = *why;
    if (!with_hint.hint[0])
        fault_hint(&with_hint, "blixard help" STR_FMT STR_FMT " tells what there is",
                   noun.len ? 1 : 0, " ", STR_ARG(noun));
    return cli_fail(c, &with_hint);
}

static int run_line(struct cli *c, size_t count, const char *const *word)
{
    struct fault why;
    struct str noun;
    AUTO(auto_free) struct opening *o = NEW(struct opening);
    if (count > ARGS_MAX) {
        (void)fault_set(&why, ST_TOO_BIG, "more than %d words", ARGS_MAX);
        return cli_fail(c, &why);
    }
    if (count > 0 && strcmp(word[0], "__complete") == 0)
        return run_complete(c, count - 1, word + 1);
    enum status s = open_line(&c->commands, count, word, o, &c->command, &noun, &why);
    if (s != ST_OK)
        return run_nothing(c, o, noun, &why);
    s = parse_rest(c, o, count, word, &why);
    if (s == ST_OK && given_has(&c->given, FLAG_HELP))
        return show_help(c, noun);
    struct fault wrong;
    enum status known = set_up(c, &wrong); /* also tells how to show what is wrong so far */
    if (s != ST_OK)
        return cli_misused(c, &why);
    return known == ST_OK ? run_command(c) : cli_misused(c, &wrong);
}

int cli_main(int argc, char **argv, cli_up *up)
{
    struct cli *c = NEW(struct cli);
    c->up = up;
    c->stop_fd = -1;
    term_init(&c->term);
    commands_init(&c->commands);
    size_t count = argc > 1 ? (size_t)argc - 1 : 0;
    const char **word = NEW_ARRAY(const char *, count + 1);
    for (size_t i = 0; i < count; i++)
        word[i] = argv[i + 1];
    int code = run_line(c, count, word);
    free(word);
    free(c);
    return code;
}
