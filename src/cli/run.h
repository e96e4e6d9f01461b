/*
 * run: one command under way, for the files of cli/ alone.
 *
 * Data go to stdout; all talk, errors and progress go to stderr.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/command.h"
#include "cli/http_client.h"
#include "cli/output.h"
#include "cli/term.h"

#define CLI_SOCKET "/run/blixard/api.sock"

enum {
    CLI_ANSWER_MAX = 64 << 20, /* of a node, that we keep in memory */
    CLI_ANSWER_MS = 60000,     /* for a node to answer what it need not wait for */
    CLI_WAIT_MS = 1800000,     /* for what it does wait for, unless --timeout says */
};

struct cli {
    struct commands commands;
    const struct command *command;
    cli_up *up;         /* or NULL */
    struct flags flags; /* of the command */
    struct given given;
    struct term term;
    struct output output;
    struct place place; /* of the node that is asked, once place_known */
    bool place_known;
    int stop_fd;         /* readable: the user wants to stop; -1: signals do what they always do */
    uint64_t timeout_ms; /* how long to wait for what takes time */
    uint64_t until_ms;   /* when that is over, for what began with the command; on now_ms() */
    char trace_id[33];
    bool told_node; /* a request was sent: errors tell the trace */
};

/* --- talk --- */

/* Show a fault as error, hint and code; returns the exit code of its status. */
int cli_fail(const struct cli *c, const struct fault *why);
/* The same for a line that makes no sense: the usage of the command is shown too. */
int cli_misused(const struct cli *c, const struct fault *why);
void cli_note(const char *fmt, ...) PRINTF_LIKE(1, 2); /* a line of talk */

/* Write data to stdout; returns 0, or the exit code of a failure that was shown. */
int cli_write(const struct cli *c, struct str data);
/* Write what a function made, or show why it could not. */
int cli_end(const struct cli *c, enum status s, const struct buf *out, const struct fault *why);

/* --- a node --- */

/* Which node is meant: of --socket or --context, else of the environment, else of the context in use,
 * else of this machine. c->place then tells. */
MUST_USE enum status cli_find_place(struct cli *c, struct fault *why);
/* The socket of this machine's node, whatever context is in use. */
const char *cli_socket(const struct cli *c);

struct answer {
    unsigned http;
    json_t *json;       /* the body, if it is JSON; NULL: it is none, or there is none */
    char location[128]; /* or "" */
    char dry_run[256];  /* what a dry run could not check, or "" */
    bool dry;           /* it was one */
};
void answer_done(struct answer *a);

struct ask {
    const char *method, *target;
    struct str body;            /* JSON; without bytes: there is none */
    const char *if_match, *key; /* or NULL */
    uint64_t timeout_ms;        /* 0: CLI_ANSWER_MS */
};

/* Send a request and read all of its answer. A problem that the node tells is the fault; but while it says that no
 * node leads, it is asked again for some seconds, within the command's time. */
MUST_USE enum status cli_ask(struct cli *c, const struct ask *a, struct answer *ret,
                             struct fault *why);
/* GET a path. */
MUST_USE enum status cli_get(struct cli *c, struct answer *ret, struct fault *why, const char *fmt,
                             ...) PRINTF_LIKE(4, 5);

/* Send a request and wait for the head of its answer, whatever that says. http is to be closed, also
 * when this failed. */
MUST_USE enum status cli_exchange(struct cli *c, struct http_client *http, struct http_request *r,
                                  uint64_t deadline_ms, struct fault *why);
/* What an HTTP status means where nothing says it better. */
enum status cli_status_of(unsigned http);

/* Send a request whose answer the caller reads, or upgrades. http is to be closed, also when this
 * failed. An answer that is a problem is the fault. */
MUST_USE enum status cli_open(struct cli *c, struct http_client *http, struct http_request *r,
                              struct fault *why);

/* --- operations --- */

/* ST_CANCELLED when the user wants to stop. */
MUST_USE enum status cli_pause(const struct cli *c, uint64_t ms, struct fault *why);

/* Wait for the end of an operation. Shows how it goes, and how it ended if not well. Returns the exit
 * code; 0: *ret_ended is the operation, to json_decref(). */
int cli_wait(struct cli *c, const json_t *operation, json_t **ret_ended);

/* The object that an operation made or changed, or NULL when there is none any more. */
MUST_USE enum status cli_target(struct cli *c, const json_t *operation, json_t **ret,
                                struct fault *why);

/* The row that shows objects of a noun such as "vm", or NULL. */
const struct op *cli_show_row(const char *noun);

/* "vm/web-1" and "web-1" are "web-1" to commands of vm. */
const char *cli_name(const struct cli *c, const char *arg);
/* The same for the first argument; "-" when it was left out. */
const char *cli_first_name(const struct cli *c);

/* Query parameters that name no field of the request: {"project": ...}. To json_decref(). */
void cli_add_project(const struct cli *c, json_t *query);
