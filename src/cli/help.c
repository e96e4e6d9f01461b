#include "cli/help.h"

#include <string.h>

#include "base/units.h"
#include "wire/field.h"

enum { INDENT = 2, WIDTH_MAX = 100, DOC_COLUMN = 32 };

/* --- flags --- */

/* Is it worth telling how to turn the switch off? */
static bool may_be_on(const struct flag *f)
{
    const void *at;
    if (f->word || f->id != FLAG_FIELD)
        return false;
    return strcmp(f->name, "tty") == 0 ||
           (field_default(flag_field(f), &at) && field_number(flag_field(f), at) != 0);
}

void help_flag(const struct flag *f, struct buf *out)
{
    bool both = may_be_on(f);
    buf_fmt(out, "--%s%s", both ? "[no-]" : "", f->name);
    if (f->word)
        buf_fmt(out, " %s", f->word);
}

static void number_text(const struct schema_field *about, uint64_t v, struct buf *out)
{
    char text[UNITS_TEXT_MAX];
    switch (about->format) {
    case SCHEMA_MEBIBYTES:
        units_size_exact(v << 20, text);
        buf_text(out, text);
        return;
    case SCHEMA_BYTES:
        units_size_exact(v, text);
        buf_text(out, text);
        return;
    case SCHEMA_DURATION_MS:
        units_duration_exact(v, text);
        buf_text(out, text);
        return;
    default: buf_fmt(out, "%" PRIu64, v);
    }
}

static void add_part(struct buf *out, const char *text)
{
    buf_fmt(out, "%s%s", out->len > 0 ? "; " : "", text);
}

static void add_range(const struct schema_field *about, struct buf *out)
{
    bool has_min = about->has_min && about->min > 0;
    if (!has_min && !about->has_max)
        return;
    AUTO(buf_done) struct buf range;
    buf_init(&range, 200);
    if (!has_min)
        buf_text(&range, "at most ");
    else if (!about->has_max)
        buf_text(&range, "at least ");
    if (has_min)
        number_text(about, about->min, &range);
    if (has_min && about->has_max)
        buf_text(&range, " to ");
    if (about->has_max)
        number_text(about, about->max, &range);
    add_part(out, buf_cstr(&range));
}

static void add_words(const ProtobufCEnumDescriptor *desc, struct buf *out)
{
    const struct schema_enum *e = schema_enum(desc);
    AUTO(buf_done) struct buf words;
    buf_init(&words, 1000);
    for (unsigned i = 0; i < desc->n_values; i++)
        buf_fmt(&words, "%s%s",
                i == 0                   ? ""
                : i + 1 < desc->n_values ? ", "
                                         : " or ",
                e->word[i].word);
    add_part(out, buf_cstr(&words));
}

static void add_default(const struct flag *f, struct buf *out)
{
    const ProtobufCFieldDescriptor *field = flag_field(f);
    const void *at;
    AUTO(buf_done) struct buf text;
    buf_init(&text, 200);
    if (field_is_repeated(field) || !field_default(field, &at))
        return;
    buf_text(&text, "default ");
    if (field->type == PROTOBUF_C_TYPE_BOOL)
        buf_text(&text, field_number(field, at) ? "yes" : "no");
    else if (field_is_number(field))
        number_text(f->about, field_number(field, at), &text);
    else
        return;
    add_part(out, buf_cstr(&text));
}

/* The fields of an item that are told as FIELD=VALUE,... */
static void add_fields(const ProtobufCMessageDescriptor *desc, struct buf *out)
{
    AUTO(buf_done) struct buf text;
    buf_init(&text, 1000);
    buf_text(&text, "fields ");
    for (unsigned i = 0; i < desc->n_fields; i++)
        buf_fmt(&text, "%s%s", i > 0 ? ", " : "", desc->fields[i].name);
    add_part(out, buf_cstr(&text));
}

void help_limits(const struct flag *f, struct buf *out)
{
    if (f->id != FLAG_FIELD)
        return;
    const ProtobufCFieldDescriptor *field = flag_field(f);
    if (f->about->required && !field_is_repeated(field))
        add_part(out, "required");
    if (flag_takes_file(f))
        add_part(out, "@FILE reads a file");
    if (field->type == PROTOBUF_C_TYPE_ENUM)
        add_words(field->descriptor, out);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && strcmp(f->word, "FIELD=VALUE,...") == 0)
        add_fields(field->descriptor, out);
    add_range(f->about, out);
    add_default(f, out);
    if (field_is_repeated(field))
        add_part(out, "may be repeated");
}

/* Break at spaces so that lines are not longer than WIDTH_MAX; each but the first is indented. */
static void add_wrapped(struct str text, size_t indent, struct buf *out)
{
    size_t at = indent;
    struct str word;
    bool more = true, first = true;
    while (more) {
        more = str_cut(&text, ' ', &word);
        if (!first && at + 1 + word.len > WIDTH_MAX) {
            buf_fmt(out, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            buf_char(out, ' ');
            at++;
        }
        buf_str(out, word);
        at += word.len;
        first = false;
    }
    buf_char(out, '\n');
}

static void add_flag(const struct flag *f, struct buf *out)
{
    AUTO(buf_done) struct buf shown, doc, limits;
    buf_init(&shown, 200);
    buf_init(&doc, 4096);
    buf_init(&limits, 2048);
    if (f->letter)
        buf_fmt(&shown, "  -%c, ", f->letter);
    else
        buf_text(&shown, "      ");
    help_flag(f, &shown);
    buf_text(&doc, f->doc);
    help_limits(f, &limits);
    if (limits.len > 0)
        buf_fmt(&doc, " (%s)", buf_cstr(&limits));
    buf_str(out, buf_view(&shown));
    if (shown.len + 2 > DOC_COLUMN)
        buf_fmt(out, "\n%*s", DOC_COLUMN, "");
    else
        buf_fmt(out, "%*s", (int)(DOC_COLUMN - shown.len), "");
    add_wrapped(buf_view(&doc), DOC_COLUMN, out);
}

static void add_flags(const struct flags *all, bool common, const char *heading, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < all->count; i++) {
        if (all->at[i].common != common)
            continue;
        if (!any)
            buf_fmt(out, "\n%s\n", heading);
        any = true;
        add_flag(&all->at[i], out);
    }
}

/* --- one command --- */

void help_command(const struct command *c, struct buf *out)
{
    char words[COMMAND_WORDS_MAX], second[COMMAND_EXAMPLE_MAX];
    AUTO(auto_free) struct flags *flags = NEW(struct flags);
    command_words(c, words);
    command_example(c, second);
    command_flags(c, flags);
    buf_fmt(out, "    %s\n    %s\n\n%s.\n", c->examples[0], second, c->doc);
    if (c->more)
        buf_text(out, c->more);
    buf_text(out, "\nUsage: ");
    command_usage(c, words, out);
    for (const struct command_short *s = command_shorts; s->word; s++)
        if (strcmp(s->stands_for, words) == 0) {
            buf_text(out, "\n       ");
            command_usage(c, s->word, out);
        }
    buf_char(out, '\n');
    add_flags(flags, false, "Flags:", out);
    add_flags(flags, true, "Common flags:", out);
}

/* --- several --- */

static void add_command(const struct command *c, struct buf *out)
{
    char words[COMMAND_WORDS_MAX];
    AUTO(buf_done) struct buf shown;
    buf_init(&shown, 200);
    command_words(c, words);
    buf_fmt(&shown, "  %s%s%s", words, c->args[0] ? " " : "", c->args);
    buf_fmt(out, "%-*s  ", DOC_COLUMN - 2, buf_cstr(&shown));
    add_wrapped(str_from(c->doc), DOC_COLUMN, out);
}

void help_noun(const struct commands *all, struct str noun, struct buf *out)
{
    char second[COMMAND_EXAMPLE_MAX];
    const struct command *first = NULL;
    for (size_t i = 0; i < all->count && !first; i++)
        if (str_eq(command_noun(&all->at[i]), noun))
            first = &all->at[i];
    require(first);
    command_example(first, second);
    buf_fmt(out, "    %s\n    %s\n\nUsage: blixard " STR_FMT " VERB\n\n", first->examples[0],
            second, STR_ARG(noun));
    for (size_t i = 0; i < all->count; i++)
        if (str_eq(command_noun(&all->at[i]), noun))
            add_command(&all->at[i], out);
    buf_fmt(out, "\nblixard " STR_FMT " VERB --help tells more.\n", STR_ARG(noun));
}

void help_all(const struct commands *all, struct buf *out)
{
    struct str noun = {"", 0};
    buf_text(out,
             "    blixard run\n"
             "    blixard vm create web-1 --image default --memory 1GiB\n\n"
             "Blixard " BLIXARD_VERSION ": a handful of machines as one place to run microVMs.\n\n"
             "Usage: blixard NOUN VERB [ARGUMENTS] [FLAGS]\n");
    for (size_t i = 0; i < all->count; i++) {
        bool grouped = strchr(all->at[i].name, '.') != NULL;
        struct str here = grouped ? command_noun(&all->at[i]) : STR("-");
        if (!str_eq(here, noun))
            buf_char(out, '\n');
        noun = here;
        add_command(&all->at[i], out);
    }
    buf_text(out, "\nShort forms:");
    for (const struct command_short *s = command_shorts; s->word; s++)
        buf_fmt(out, "%s %s (%s)", s == command_shorts ? "" : ",", s->word, s->stands_for);
    buf_text(
        out,
        "\n\nblixard help NOUN VERB tells more. Exit codes: 0 done, 1 failed at the node, 2 wrong "
        "usage,\n3 not found, 4 conflict, 5 denied, 6 no node answers, 7 time over, 130 "
        "interrupted.\n");
}
