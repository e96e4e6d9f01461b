/*
 * flag: what a command takes on its line, and what it was given.
 *
 * Most flags are fields of the command's request, as proto/ describes them: its nested messages are
 * laid flat, so that spec.vcpus is --vcpus. The others have an id.
 */
#pragma once

#include "ops/table.h"
#include "wire/schema.h"

enum {
    FLAGS_MAX = 64, /* of one command */
    ARGS_MAX = 512, /* words on a line */
};

enum flag_id {
    FLAG_FIELD, /* of the request */
    FLAG_OUTPUT,
    FLAG_COLUMNS,
    FLAG_NO_HEADER,
    FLAG_SORT,
    FLAG_QUIET,
    FLAG_PROJECT,
    FLAG_FILE,
    FLAG_YES,
    FLAG_NO_WAIT,
    FLAG_TIMEOUT,
    FLAG_IF_MATCH,
    FLAG_KEY,
    FLAG_SOCKET,
    FLAG_CONTEXT,
    FLAG_SERVER,
    FLAG_FINGERPRINT,
    FLAG_TOKEN_FILE,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_CONFIG,
    FLAG_FOR,
    FLAG_MODE,
};

struct flag {
    enum flag_id id;
    const char *name; /* without dashes */
    char letter;      /* 0: there is none */
    const char *word; /* its value in help, such as "SIZE"; NULL: a switch, without value */
    const char *doc;
    bool common; /* of many commands: help lists it after those of the command itself */

    /* FLAG_FIELD: the way to the field, from the request on. */
    size_t depth;
    const ProtobufCFieldDescriptor *path[SCHEMA_DEPTH_MAX];
    const struct schema_field *about;
};

struct flags {
    size_t count;
    struct flag at[FLAGS_MAX];
};

/* The field that a flag sets. */
const ProtobufCFieldDescriptor *flag_field(const struct flag *f);
/* "spec.mem_mib" */
void flag_path(const struct flag *f, char out[FAULT_FIELD_MAX]);

/* May its text come from a file: --user-data @setup.sh? */
bool flag_takes_file(const struct flag *f);

void flag_add(struct flags *all, const struct flag *f);
/* All fields of a request that a user may set, but those that `skip` says. */
void flag_add_fields(struct flags *all, const ProtobufCMessageDescriptor *request,
                     bool (*skip)(const void *ctx, const ProtobufCFieldDescriptor *field),
                     const void *ctx);

/* By its name without dashes, or by its letter. NULL when there is none. */
const struct flag *flag_find(const struct flags *all, struct str name);
const struct flag *flag_find_letter(const struct flags *all, char letter);

/* --- the line --- */

struct given_flag {
    const struct flag *flag;
    const char *value; /* of the line; "true" or "false" for a switch */
};

/* What a line said. All texts are the line's. */
struct given {
    size_t flag_count, arg_count;
    struct given_flag flag[ARGS_MAX];
    const char *arg[ARGS_MAX];
};

/* How many arguments stand without a flag: from "NAME [FILE]" or "NAME COMMAND...". */
struct arity {
    size_t min, max;
    size_t greedy; /* from this argument on all is taken as it is; SIZE_MAX: nowhere */
};
struct arity arity_of(const char *args);

/*
 * Take words apart. `--` ends the flags; a switch --start is turned off by --no-start or
 * --start=false.
 *
 * ST_INVALID: an unknown flag, one without its value or with one too many.
 */
MUST_USE enum status given_parse(struct given *g, const struct flags *all, const char *args,
                                 size_t count, const char *const *word, struct fault *why);

/* The last value of a flag of that id, or NULL. */
const char *given_get(const struct given *g, enum flag_id id);
bool given_has(const struct given *g, enum flag_id id);
/* The last value given to the top field `name` of the request, or NULL. */
const char *given_field(const struct given *g, const char *name);
