/*
 * qmp: commands to one QEMU monitor, and its events.
 *
 * Speaks the QEMU Machine Protocol over a connected stream socket, on one loop. Greeting and
 * capability negotiation happen by themselves; commands given before that wait. Answers come in the
 * order in which QEMU gives them, found by id. A line that is too long, is not JSON or answers
 * nothing that was asked ends the connection: a monitor that does that is not to be trusted.
 */
#pragma once

#include <jansson.h>

#include "base/str.h"
#include "os/loop.h"

enum {
    QMP_LINE_MAX = 1 << 20, /* one message of QEMU's */
    QMP_WAITING_MAX = 64,   /* commands under way */
    QMP_UNSENT_MAX = 256 * 1024,
};

struct qmp;

struct qmp_events {
    void (*ready)(void *ctx);
    /* data is borrowed, and may be NULL. */
    void (*event)(void *ctx, const char *name, const json_t *data);
    /* The connection is gone; every command under way was told so before. q is still the owner's. */
    void (*closed)(void *ctx, const struct fault *why);
    void *ctx;
};

/* fd is taken, even on failure. */
MUST_USE enum status qmp_open(struct loop *l, int fd, const struct qmp_events *ev, struct qmp **ret,
                              struct fault *why);
/* Tells nobody: callers that wait are forgotten. NULL is fine. May be called in a callback. */
void qmp_close(struct qmp *q);

/*
 * s        ST_OK            result is what QEMU returned, borrowed.
 *          ST_CONFLICT      QEMU refused; the text is its own.
 *          ST_TIMEOUT       no answer came in time; one that comes later is dropped.
 *          ST_UNAVAILABLE   the connection ended.
 */
typedef void qmp_answer(void *ctx, enum status s, const struct fault *why, const json_t *result);

/*
 * Ask. `answer` is called once, later; it may be NULL.
 *
 * arguments   taken, even on failure; NULL for none.
 *
 * Returns  ST_LIMIT         QMP_WAITING_MAX are under way, or too much is unsent.
 *          ST_UNAVAILABLE   the connection has ended.
 */
MUST_USE enum status qmp_run(struct qmp *q, const char *command, json_t *arguments,
                             uint32_t timeout_ms, qmp_answer *answer, void *ctx, struct fault *why);

/* --- the pure part --- */

enum qmp_kind { QMP_GREETING, QMP_RETURN, QMP_ERROR, QMP_EVENT };

struct qmp_message {
    enum qmp_kind kind;
    json_t *whole;      /* the caller's, json_decref() */
    uint64_t id;        /* RETURN, ERROR; 0 without one */
    const json_t *data; /* RETURN: value, EVENT: data or NULL; within whole */
    const char *text;   /* ERROR: description, EVENT: name; within whole */
};
/* ST_INVALID for what is no message. */
MUST_USE enum status qmp_parse(struct str line, struct qmp_message *ret, struct fault *why);
