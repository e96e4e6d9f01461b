/*
 * json: messages of proto/ as JSON, both ways, and JSON text within bounds.
 *
 * Fields have their names of proto/ and stand in its order; what is not set is left out, and null is
 * taken as not set. Enums are words ("restart-elsewhere"), bytes are lower-case hex, times are RFC
 * 3339 strings, booleans and texts are what one expects. Numbers are JSON integers, but for those
 * above 2^63-1, which are strings of digits. Numbers are also taken as strings: of digits, or of a
 * size or duration with its unit ("512MiB", "30s") where the field has one.
 *
 * A field that is not known is refused, with the name that was likely meant.
 */
#pragma once

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"

/* Levels of arrays and objects in a text. */
enum { JSON_DEPTH_MAX = 32 };

/* Call once, before the first JSON value is made: the seed of jansson's hash is fixed, so that all
 * runs are alike, and memory that cannot be had ends the process. */
void json_setup(void);

/*
 * Parse a text that is an object or an array.
 *
 * max      largest text taken, in bytes. The value takes up to 100 times as much memory.
 * ret      the caller's, to json_decref().
 *
 * Returns  ST_OK
 *          ST_TOO_BIG   longer than max, or more than JSON_DEPTH_MAX levels deep.
 *          ST_INVALID   not JSON, or a key given twice; the fault tells line and column.
 */
MUST_USE enum status json_parse(struct str text, size_t max, json_t **ret, struct fault *why);

/* Append a value as text: on one line, or indented by 2. Without a line end after it. */
void json_dump(const json_t *v, bool indent, struct buf *b);

enum json_flags {
    JSON_WHOLE = 0,
    JSON_SKIP_OUTPUT = 1, /* leave out, or read over, the fields that are set by the system */
};

/* The JSON object of a message that has passed check_message(), without its hidden fields. The caller
 * owns it. Never NULL. */
MUST_USE json_t *json_from_message(const ProtobufCMessage *m, enum json_flags flags);

/*
 * The message of a JSON object. Only the shape is checked: the limits are check_message()'s.
 *
 * ret      the caller's, to proto_free().
 *
 * Returns  ST_OK
 *          ST_INVALID   a field that is not known, or a value that is not of its type; the fault
 *                       tells which and what is expected.
 */
MUST_USE enum status json_to_message(const ProtobufCMessageDescriptor *desc, const json_t *v,
                                     enum json_flags flags, ProtobufCMessage **ret,
                                     struct fault *why);

/* JSON merge patch (RFC 7396). `target` is taken, and may be NULL; `patch` is borrowed. The result
 * is the caller's. Both came from json_parse() or json_from_message(), so depth is bounded. */
MUST_USE json_t *json_merge(json_t *target, const json_t *patch);
