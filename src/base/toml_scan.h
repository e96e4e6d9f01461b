/*
 * toml_scan: the words of TOML: blanks, comments, names and scalar values. For toml.c only.
 *
 * A scan keeps its place and its first failure: functions that can fail return false then, and the
 * caller leaves at once.
 */
#pragma once

#include "base/toml.h"

struct scan {
    struct str rest; /* not read yet */
    struct toml_place at;
    char *text;     /* where decoded text goes, each with a NUL; never longer than as written */
    char *text_end; /* text <= text_end */
    enum status status;
    struct fault *why; /* may be NULL */
};

struct scan_name {
    struct str text;
    struct toml_place at;
};

/* text has room for source.len + 1 bytes and is kept as long as the names and strings are used. */
bool scan_init(struct scan *s, struct str source, char *text, struct fault *why);

/* Record a failure at a place and return false. */
bool scan_fail(struct scan *s, enum status status, struct toml_place at, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* "expected WHAT, found ..." at the current place. */
bool scan_expected(struct scan *s, const char *what);

bool scan_end(const struct scan *s);
bool scan_sees(const struct scan *s, const char *word);
bool scan_skip(struct scan *s, const char *word); /* false, and not a failure, if it is not there */

void scan_blanks(struct scan *s); /* spaces and tabs */
bool scan_lines(struct scan *s);  /* and ends of lines and comments */
bool scan_line_end(
    struct scan *s); /* the rest of this line, which must be empty but for a comment */

bool scan_name(struct scan *s, struct scan_name *ret);     /* bare or quoted, one part of a key */
bool scan_scalar(struct scan *s, struct toml *ret_scalar); /* sets its type and value */
