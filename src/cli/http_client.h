/*
 * http_client: ask a node, one request a connection.
 *
 * Blocks, until a deadline or until somebody wants us to stop. A call that returned ST_TIMEOUT may
 * be made again: it goes on where it was.
 */
#pragma once

#include "cli/http_parser.h"
#include "cli/link.h"

struct http_field {
    const char *name, *value; /* without line ends */
};

/* All of it is borrowed until http_client_send() returns. */
struct http_request {
    const char *method;
    const char *target; /* path and query, percent-encoded */
    const struct http_field *field;
    size_t field_count;
    const char *type; /* of the body; NULL: there is none */
    struct str body;  /* or, if from_fd: */
    bool from_fd;
    int body_fd;
    uint64_t body_size; /* so many bytes of it */
};

struct http_client {
    const struct place *place; /* where it is */
    struct link *link;         /* NULL: closed */
    int stop_fd;               /* readable: give up with ST_CANCELLED. -1: there is none */
    struct http_parser parser; /* after http_client_head() its `head` is the answer's */
};

/*
 * p             kept until it is closed. Its token, if it has one, goes with each request.
 * deadline_ms   as of link_open().
 * stop_fd       borrowed.
 * c             is to be closed, also when this failed.
 *
 * Returns       as link_open().
 */
MUST_USE enum status http_client_open(struct http_client *c, const struct place *p,
                                      uint64_t deadline_ms, int stop_fd, struct fault *why);
void http_client_close(struct http_client *c);

/*
 * deadline_ms   on the clock of now_ms(); NEVER is one.
 *
 * A server that answers before it has read everything is no failure here: its answer tells.
 *
 * Returns       ST_OK, ST_TIMEOUT, ST_CANCELLED; ST_IO when body_fd cannot be read or is shorter
 *               than it was said to be.
 */
MUST_USE enum status http_client_send(struct http_client *c, const struct http_request *r,
                                      uint64_t deadline_ms, struct fault *why);

/* Wait for the head of the answer.
 * ST_UNAVAILABLE when the connection ends before, ST_CORRUPT, ST_TIMEOUT, ST_CANCELLED. */
MUST_USE enum status http_client_head(struct http_client *c, uint64_t deadline_ms,
                                      struct fault *why);

/* Wait for more of the body. ret: a view until the next call; without bytes: the body has ended. */
MUST_USE enum status http_client_read(struct http_client *c, uint64_t deadline_ms, struct str *ret,
                                      struct fault *why);

/* Append what is left of the body; ST_TOO_BIG when it does not fit. */
MUST_USE enum status http_client_read_all(struct http_client *c, uint64_t deadline_ms,
                                          struct buf *out, struct fault *why);
