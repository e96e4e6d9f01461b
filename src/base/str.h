/*
 * str: a view of bytes that somebody else owns. Not NUL-terminated.
 */
#pragma once

#include "base/fault.h"

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   (int)(s).len, (s).ptr

struct str str_from(const char *text); /* NULL gives the empty view */
bool str_eq(struct str a, struct str b);
bool str_is(struct str a, const char *text);
bool str_starts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);
int str_cmp(struct str a, struct str b); /* by bytes, then by length */
struct str str_trim(struct str s);       /* without spaces, tabs, CR and LF at both ends */

/* Cut the part before the first `sep` off *rest; false, and all of it, when there is none. */
bool str_cut(struct str *rest, char sep, struct str *ret_head);

/* Copy into a C string of `size` bytes; ST_TOO_BIG if it does not fit or holds a NUL. */
MUST_USE enum status str_copy(struct str s, char *out, size_t size, struct fault *why);

/* Whole-string numbers: ST_INVALID for anything but digits, or out of [min, max]. */
MUST_USE enum status str_u64(struct str s, uint64_t min, uint64_t max, uint64_t *ret,
                             struct fault *why);

/* Lower-case hex; out has room for 2 * len + 1. */
void str_hex(const void *data, size_t len, char *out);
/* Exactly so many digits of lower-case hex? */
bool str_is_hex(struct str s, size_t digits);
/* Decode exactly 2 * size hex digits. */
MUST_USE enum status str_unhex(struct str s, void *out, size_t size, struct fault *why);

/* Is this well-formed UTF-8 (no surrogates, no overlong forms)? */
bool str_utf8(struct str s);
/* Make a C string fit to be shown on one line: line ends and tabs become spaces, other control
 * characters (those of Latin-1 too) and what is not UTF-8 become '?'. */
void str_tidy(char *text);

/* The word of `list` that a typing error likely meant for `word`, or NULL: for "did you mean". */
const char *str_nearest(struct str word, const char *const *list, size_t count);
