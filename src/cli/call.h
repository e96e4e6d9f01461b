/*
 * call: a command that is one request and one answer. Shared with those that begin that way.
 */
#pragma once

#include "cli/run.h"

/* Ask the user, if the command destroys something. 0: go on; else the exit code. */
int call_confirm(struct cli *c);

/*
 * Send the command's request and take its answer.
 *
 * known    what the request holds besides flags; taken. NULL: nothing.
 */
MUST_USE enum status call_send(struct cli *c, json_t *known, struct answer *ret, struct fault *why);

/* Show an object that the answer, or the end of an operation, is. Returns the exit code. */
int call_show(struct cli *c, const ProtobufCMessageDescriptor *desc, const char *noun,
              const json_t *object);

/* Print a text that is shown this once alone, for a file or a pipe, and a note beside it; or, in a form for programs, the whole
 * object. Returns the exit code. */
int call_show_once(struct cli *c, const ProtobufCMessageDescriptor *desc, const char *noun,
                   const json_t *object, const char *text, const char *note);

/* One line on what became of an object: "vm/web-1 running  10.83.0.2  1.42s". Or, in a form for
 * programs, the object. elapsed_ms: UINT64_MAX is not shown. Returns the exit code. */
int call_result(struct cli *c, const ProtobufCMessageDescriptor *desc, const char *noun,
                const json_t *object, uint64_t elapsed_ms);

/* What follows an operation that was begun: wait, unless told not to, and show. Returns the exit code. */
int call_follow(struct cli *c, const json_t *operation);
