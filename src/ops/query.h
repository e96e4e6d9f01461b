/*
 * query: what stands behind '?' in the address of a request.
 *
 * Names and values are percent-decoded, '+' is a space. A name alone (?follow) has the value "".
 * Everything in it is the user's: bounded, and refused with the name of the parameter.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>

#include "base/str.h"

enum { QUERY_LEN_MAX = 65536, QUERY_PAIRS_MAX = 256 };

struct query_pair {
    const char *name, *value; /* NUL-terminated, without NUL inside */
};

struct query {
    struct query_pair *pair; /* in the order given */
    size_t count;
    char *text; /* what the pairs point into */
};

/*
 * raw      without the '?'; borrowed.
 *
 * Returns  ST_OK        q is the caller's, for query_done().
 *          ST_TOO_BIG   longer than QUERY_LEN_MAX, or more pairs than QUERY_PAIRS_MAX.
 *          ST_INVALID   a bad escape, a zero byte, a parameter without a name.
 */
MUST_USE enum status query_parse(struct query *q, struct str raw, struct fault *why);
void query_done(struct query *q); /* also of one that is all zero */

/* The value, or NULL when it is not there; the first, if there are several. */
const char *query_get(const struct query *q, const char *name);

/*
 * Make a message of the pairs: each names a field of it, a repeated one perhaps several times.
 *
 * also     names that are not of the message but allowed; NULL-terminated.
 * ret      the caller's, to proto_free(). Limits are not yet checked: wire/check.h.
 *
 * Returns  ST_OK, or ST_INVALID for unknown names, values of the wrong type, and names given twice
 *          that may be given once.
 */
MUST_USE enum status query_message(const struct query *q, const ProtobufCMessageDescriptor *desc,
                                   const char *const *also, ProtobufCMessage **ret,
                                   struct fault *why);

/* Undo percent escapes, and "+" for a space if `plus`; out has room for text.len + 1. ST_INVALID as
 * above. */
MUST_USE enum status query_unescape(struct str text, bool plus, char *out, struct fault *why);
