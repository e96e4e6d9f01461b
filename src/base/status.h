/*
 * status: how a call ended, for machines. One table gives the name that the API and logs show, the
 * HTTP status and the exit code of the command line. `struct fault` (base/fault.h) is for people.
 */
#pragma once

#include "base/defs.h"

/*        name             code in JSON and logs  HTTP  exit */
#define STATUS_TABLE(X)                               \
    X(ST_OK, "ok", 200, 0)                            \
    X(ST_INTERNAL, "internal", 500, 1)                \
    X(ST_FAILED, "failed", 500, 1)                    \
    X(ST_IO, "io", 500, 1)                            \
    X(ST_CORRUPT, "corrupt", 500, 1)                  \
    X(ST_NO_SPACE, "no_space", 507, 1)                \
    X(ST_UNSUPPORTED, "unsupported", 501, 1)          \
    X(ST_INVALID, "invalid", 400, 2)                  \
    X(ST_TOO_BIG, "too_big", 413, 2)                  \
    X(ST_NOT_FOUND, "not_found", 404, 3)              \
    X(ST_EXISTS, "exists", 409, 4)                    \
    X(ST_CONFLICT, "conflict", 409, 4)                \
    X(ST_PRECONDITION, "precondition_failed", 412, 4) \
    X(ST_IN_USE, "in_use", 409, 4)                    \
    X(ST_QUOTA, "quota_exceeded", 409, 4)             \
    X(ST_CAPACITY, "insufficient_capacity", 409, 4)   \
    X(ST_LIMIT, "limit_reached", 429, 4)              \
    X(ST_DENIED, "denied", 403, 5)                    \
    X(ST_UNAUTHENTICATED, "unauthenticated", 401, 5)  \
    X(ST_UNAVAILABLE, "unavailable", 503, 6)          \
    X(ST_NOT_LEADER, "not_leader", 503, 6)            \
    X(ST_TIMEOUT, "timeout", 504, 7)                  \
    X(ST_PARTIAL, "partial", 207, 8)                  \
    X(ST_CANCELLED, "cancelled", 499, 130)

enum status {
#define X(name, code, http, exit) name,
    STATUS_TABLE(X)
#undef X
        ST_COUNT
};

/* The code shown to machines, such as "not_found". Never NULL. */
const char *status_code(enum status s);
unsigned status_http(enum status s);
int status_exit(enum status s);
/* The status of a code as a peer sent it; ST_INTERNAL for a word we do not know. */
enum status status_from_code(const char *code);
/* The status that an errno value of the system means. */
enum status status_from_errno(int err);
