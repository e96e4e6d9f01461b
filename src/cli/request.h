/*
 * request: what a line says, as what the API takes.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "cli/command.h"

enum { REQUEST_BODY_MAX = 256 << 10 }; /* as the API takes */

/*
 * The request of a command, as a JSON object.
 *
 * known    what is known without flags: taken. NULL: nothing. Not for commands with -f.
 * ret      the caller's, to json_decref(). Fields have the values of the line, numbers with their units
 *          undone; it has passed all limits of proto/, but for a PATCH, which is only part of one.
 *
 * Returns  ST_OK, or ST_INVALID or ST_TOO_BIG with the flag that is wrong; what reading the file
 *          of -f may return.
 */
MUST_USE enum status request_make(const struct command *c, const struct flags *all,
                                  const struct given *g, json_t *known, json_t **ret,
                                  struct fault *why);

/* Set what the line left out. `path` is as in "spec.image"; value is taken. */
void request_default(json_t *request, const char *path, json_t *value);

/*
 * Append the path of an operation: its {name} is `name`, percent-encoded.
 *
 * query    an object of texts, numbers, booleans and lists of them, or NULL.
 */
void request_target(const struct op *op, const char *name, const json_t *query, struct buf *out);

/* Append percent-encoded: all but letters, digits, '-', '.', '_' and '~' is. */
void request_escape(struct str text, struct buf *out);

/* A JSON object of a word of the line: JSON itself, @FILE, or - for stdin. Appended as text. */
MUST_USE enum status request_read(const char *word, struct buf *out, struct fault *why);
