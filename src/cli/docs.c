#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"

static const char intro[] =
    "# Command line\n"
    "\n"
    "This page is generated from the table of commands; `blixard help NOUN VERB` tells the same.\n"
    "\n"
    "    blixard NOUN VERB [ARGUMENTS] [FLAGS]\n"
    "\n"
    "Names may be uids, or the first 4 or more digits of one, or `vm/web-1`. Flags may stand anywhere; `--` ends them. A\n"
    "value follows its flag or stands beside it: `--memory 1GiB`, `--memory=1GiB`, `-o json`, `-ojson`. A switch is turned\n"
    "off by `--no-` before its name. Sizes have a binary unit (`512MiB`), times one of `ms`, `s`, `m`, `h`, `d`.\n"
    "\n"
    "Data go to stdout; errors, questions and progress go to stderr. Colour and progress are for terminals, and not for\n"
    "those who set `NO_COLOR`. What destroys asks on a terminal and needs `--yes` elsewhere.\n"
    "\n"
    "## Which node\n"
    "\n"
    "`--socket PATH`, else `BLIXARD_API_SOCKET`, else `/run/blixard/api.sock`.\n"
    "\n"
    "## Output\n"
    "\n"
    "| `-o` | lists | one object |\n"
    "| --- | --- | --- |\n"
    "| `table` | aligned columns, for people | a line for each field that is set |\n"
    "| `wide` | all columns | the same |\n"
    "| `json` | an array | the object |\n"
    "| `jsonl` | an object a line | one line |\n"
    "| `yaml` | a sequence | a mapping |\n"
    "| `csv` | a heading, then a record a line | the same |\n"
    "| `name` | `vm/web-1` a line | the same |\n"
    "\n"
    "In tables sizes are rounded and times are ages; all else has whole values. Commands that change something print a\n"
    "line such as `vm/web-1 running  10.83.0.2  1.42s`; with `-o json` and the like, the object as it is then; with `-q`\n"
    "its uid. Of what was deleted, the operation is all that is left to show.\n"
    "\n"
    "## Waiting\n"
    "\n"
    "What takes time is an operation, and its command waits for the end. `--no-wait` prints the operation's id instead.\n"
    "After `--timeout`, or Ctrl-C, the operation goes on: `blixard op wait ID` waits again.\n"
    "\n"
    "## Exit codes\n"
    "\n"
    "| code | means |\n"
    "| --- | --- |\n"
    "| 0 | done |\n"
    "| 1 | it failed at the node |\n"
    "| 2 | wrong usage or invalid input; nothing was changed |\n"
    "| 3 | not found |\n"
    "| 4 | conflict: it exists, is in use, is not that version, or there is no room for it |\n"
    "| 5 | denied |\n"
    "| 6 | no node answers, or it has no quorum |\n"
    "| 7 | the time is over; the operation goes on |\n"
    "| 8 | only part was done |\n"
    "| 130 | interrupted |\n"
    "\n"
    "A node that answers `not_leader` has done nothing. While the nodes elect a leader it is asked again, for up to ten\n"
    "seconds and within `--timeout`; then the exit is 6.\n"
    "\n"
    "`vm exec` exits as the command in the VM does. An error is told in up to four lines, or with `-o json` as an object\n"
    "with the same names:\n"
    "\n"
    "    error: there is no vm web-9\n"
    "    hint: did you mean web-1?\n"
    "    code: not_found  trace: 4bf92f3577b34da6a3ce929d0e0e4736\n"
    "\n"
    "## Completion\n"
    "\n"
    "`source <(blixard completion bash)`; zsh and fish likewise.\n";

/* Text in a cell of a table: a bar would end it. */
static void add_cell(struct str text, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++)
        buf_fmt(out, "%s%c", text.ptr[i] == '|' ? "\\" : "", text.ptr[i]);
}

static void add_flag(const struct flag *f, struct buf *out)
{
    AUTO(buf_done) struct buf shown, limits;
    buf_init(&shown, 200);
    buf_init(&limits, 2048);
    help_flag(f, &shown);
    help_limits(f, &limits);
    buf_text(out, "| ");
    if (f->letter)
        buf_fmt(out, "`-%c`, ", f->letter);
    buf_char(out, '`');
    add_cell(buf_view(&shown), out);
    buf_text(out, "` | ");
    add_cell(str_from(f->doc), out);
    if (limits.len > 0) {
        buf_text(out, " (");
        add_cell(buf_view(&limits), out);
        buf_char(out, ')');
    }
    buf_text(out, " |\n");
}

/* The flags of a command itself, and the names of the common ones. */
static void add_flags(const struct flags *all, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < all->count; i++) {
        if (all->at[i].common)
            continue;
        if (!any)
            buf_text(out, "\n| flag | |\n| --- | --- |\n");
        any = true;
        add_flag(&all->at[i], out);
    }
    any = false;
    for (size_t i = 0; i < all->count; i++) {
        const struct flag *f = &all->at[i];
        if (!f->common || f->id == FLAG_HELP)
            continue;
        buf_text(out, any ? ", " : "\nAnd ");
        any = true;
        buf_fmt(out, "[`--%s`](#common-flags)", f->name);
    }
    if (any)
        buf_text(out, ".\n");
}

static void add_command(const struct command *c, struct buf *out)
{
    char words[COMMAND_WORDS_MAX], second[COMMAND_EXAMPLE_MAX];
    AUTO(auto_free) struct flags *all = NEW(struct flags);
    command_words(c, words);
    command_example(c, second);
    command_flags(c, all);
    buf_fmt(out, "\n## %s\n\n%s.\n\n    %s\n    %s\n\n`", words, c->doc, c->examples[0], second);
    command_usage(c, words, out);
    buf_char(out, '`');
    for (const struct command_short *s = command_shorts; s->word; s++)
        if (strcmp(s->stands_for, words) == 0)
            buf_fmt(out, ", or `blixard %s`", s->word);
    buf_char(out, '\n');
    if (c->more)
        buf_fmt(out, "\n%s", c->more);
    add_flags(all, out);
}

void cli_docs(struct buf *out)
{
    AUTO(auto_free) struct commands *all = NEW(struct commands);
    AUTO(auto_free) struct flags *front = NEW(struct flags);
    commands_init(all);
    command_front_flags(front);
    buf_text(out, intro);
    buf_text(out, "\n## Common flags\n\nEach command takes those that mean something to it.\n"
                  "\n| flag | |\n| --- | --- |\n");
    for (size_t i = 0; i < front->count; i++)
        add_flag(&front->at[i], out);
    for (size_t i = 0; i < all->count; i++)
        add_command(&all->at[i], out);
}
