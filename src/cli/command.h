/*
 * command: everything that can be said to `blixard`.
 *
 * Most commands are rows of the table of operations and follow from it alone. Some have code of
 * their own, for what a request and an answer cannot do, and some need no node at all.
 */
#pragma once

#include "base/buf.h"
#include "cli/flag.h"

struct cli;

/* What of the common flags a command understands. */
enum command_use {
    USE_NODE = 1 << 0,    /* asks a node: --socket, --context */
    USE_OUTPUT = 1 << 1,  /* -o */
    USE_OBJECTS = 1 << 2, /* -q */
    USE_TABLE = 1 << 3,   /* --columns, --no-header, --sort */
    USE_PROJECT = 1 << 4, /* -p, where it is no field of the request */
    USE_BODY = 1 << 5,    /* -f */
    USE_ASK = 1 << 6,     /* --yes */
    USE_WAIT = 1 << 7,    /* --no-wait, --timeout */
    USE_TIMEOUT = 1 << 8, /* --timeout alone */
    USE_CHANGE = 1 << 9,  /* --if-match, --idempotency-key */
    USE_CONFIG = 1 << 10, /* --config */
    USE_LOCAL = 1 << 11,  /* asks the node of this machine: --socket */
};

/* Returns the exit code. */
typedef int command_run(struct cli *c);

struct command {
    const char *name; /* "vm.create", "doctor" */
    const char *args; /* "NAME", "[NAME]", "NAME COMMAND..." or "" */
    const char *doc;  /* a sentence without a full stop */
    const char *examples[2];
    const struct op *op; /* whose request its flags fill; NULL: none */
    unsigned uses;
    const struct flag *own; /* flags besides: ends with one without a name. May be NULL */
    const char *more;       /* further lines of help, each with a line end; or NULL */
    command_run *run;       /* NULL: only the daemon's program has it */
};

enum { COMMANDS_MAX = 96 };

struct commands {
    size_t count;
    struct command at[COMMANDS_MAX];
};

/* All of them, in the order of docs. */
void commands_init(struct commands *all);
const struct command *command_find(const struct commands *all, const char *name);

/* "vm create" */
enum { COMMAND_WORDS_MAX = 64 };
void command_words(const struct command *c, char out[COMMAND_WORDS_MAX]);

/* Append how it is written: "blixard vm show NAME [FLAGS]". words: its own, or a short form. */
void command_usage(const struct command *c, const char *words, struct buf *out);

/* The noun that a name begins with: "vm" of "vm.create", "doctor" of "doctor". */
struct str command_noun(const struct command *c);

/* All flags that it takes. */
void command_flags(const struct command *c, struct flags *out);

/* The second example: its own, or one that follows from what it uses. */
enum { COMMAND_EXAMPLE_MAX = 160 };
void command_example(const struct command *c, char out[COMMAND_EXAMPLE_MAX]);

/*
 * Which command do the first words of a line mean? Short forms and synonyms included.
 *
 * ret_used   how many of the words are its name.
 *
 * Returns    ST_OK; ST_INVALID with what was likely meant. A noun without a verb is ST_INVALID too,
 *            and *ret_noun is it.
 */
MUST_USE enum status command_match(const struct commands *all, size_t count,
                                   const char *const *word, const struct command **ret,
                                   size_t *ret_used, struct str *ret_noun, struct fault *why);

/* Words that stand for others: {"ps", "vm ls"}. Ends with an empty one. */
struct command_short {
    const char *word, *stands_for;
};
extern const struct command_short command_shorts[];

/* Flags that may stand before the command. */
void command_front_flags(struct flags *out);
