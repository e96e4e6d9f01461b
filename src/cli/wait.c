#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/now.h"
#include "cli/request.h"
#include "cli/run.h"
#include "pb/operation.pb-c.h"

enum {
    SHOWN_MS = 200,     /* between two looks at an operation that is shown */
    ASKED_MS = 10000,   /* and at one that is not */
    LOST_MS = 15000,    /* for a node that restarts to be back */
    LOST_STEP_MS = 100, /* between two tries to reach it */
};

static const char *text_at(const json_t *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v, key));
    return text ? text : "";
}

static bool runs(const json_t *operation)
{
    return strcmp(text_at(operation, "phase"), "running") == 0;
}

/* --- progress --- */

static void show(const struct cli *c, const json_t *operation, uint64_t begun_ms)
{
    if (!c->term.colour)
        return;
    char line[256], elapsed[UNITS_TEXT_MAX];
    const json_t *progress = json_object_get(operation, "progress");
    const char *step = text_at(operation, "step");
    uint64_t ms = now_ms() - begun_ms;
    (void)snprintf(elapsed, sizeof elapsed, "%" PRIu64 ".%" PRIu64 "s", ms / 1000, ms % 1000 / 100);
    (void)snprintf(line, sizeof line, "%s %s: %.80s", text_at(operation, "kind"),
                   text_at(operation, "target_name"), step[0] ? step : "waiting");
    str_tidy(line);
    if (json_is_integer(progress))
        dprintf(STDERR_FILENO, "\r\033[K%s  %" JSON_INTEGER_FORMAT "%%  %s", line,
                json_integer_value(progress), elapsed);
    else
        dprintf(STDERR_FILENO, "\r\033[K%s  %s", line, elapsed);
}

static void unshow(const struct cli *c)
{
    if (c->term.colour)
        dprintf(STDERR_FILENO, "\r\033[K");
}

/* --- how it ends --- */

/* We stop waiting, and it goes on. */
static int leave(const struct cli *c, const json_t *operation, const struct fault *because)
{
    struct fault why = *because;
    if (why.status == ST_TIMEOUT || why.status == ST_CANCELLED)
        (void)fault_set(&why, because->status, "%s; %s of %s goes on", because->text,
                        text_at(operation, "kind"), text_at(operation, "target_name"));
    fault_hint(&why, "blixard op wait %.32s", text_at(operation, "id"));
    return cli_fail(c, &why);
}

/* "start vm web-1: ..." of an operation "vm.start" */
static int failed(const struct cli *c, const json_t *operation)
{
    struct fault why;
    const json_t *problem = json_object_get(operation, "problem");
    const char *kind = text_at(operation, "kind"), *dot = strchr(kind, '.');
    bool cancelled = strcmp(text_at(operation, "phase"), "cancelled") == 0;
    enum status s = cancelled ? ST_CANCELLED : ST_INTERNAL;
    if (problem && !cancelled)
        s = status_from_code(text_at(problem, "code"));
    const char *text = text_at(problem, "text");
    (void)fault_set(&why, s == ST_OK ? ST_INTERNAL : s, "%s",
                    text[0]     ? text
                    : cancelled ? "it was cancelled"
                                : "it failed, and nobody said why");
    (void)fault_wrap(&why, why.status, "%s %.*s %s", dot ? dot + 1 : kind,
                     dot ? (int)(dot - kind) : 0, kind, text_at(operation, "target_name"));
    fault_hint(&why, "%s", text_at(problem, "hint"));
    return cli_fail(c, &why);
}

/* --- waiting --- */

enum status cli_pause(const struct cli *c, uint64_t ms, struct fault *why)
{
    struct pollfd p = {.fd = c->stop_fd, .events = POLLIN};
    if (poll(&p, 1, (int)ms) > 0)
        return fault_set(why, ST_CANCELLED, "interrupted");
    return ST_OK;
}

static enum status look(struct cli *c, const char *id, uint64_t ms, json_t **ret, struct fault *why)
{
    struct answer a = {0};
    AUTO(buf_done) struct buf path;
    buf_init(&path, 256);
    json_t *query = json_pack("{s:I}", "timeout_ms", (json_int_t)ms);
    request_target(op_get(OP_OP_WAIT), id, query, &path);
    json_decref(query);
    enum status s = cli_ask(
        c,
        &(struct ask){.method = "GET", .target = buf_cstr(&path), .timeout_ms = ms + CLI_ANSWER_MS},
        &a, why);
    if (s == ST_OK && !json_is_object(a.json))
        s = fault_set(why, ST_CORRUPT, "the node's answer is no operation");
    if (s == ST_OK)
        *ret = json_incref(a.json);
    answer_done(&a);
    return s;
}

/* Wait until it has ended: ST_OK. Replaces *operation by how it is now. */
static enum status wait_end(struct cli *c, json_t **operation, uint64_t deadline_ms,
                            struct fault *why)
{
    uint64_t begun_ms = now_ms(), lost_ms = 0;
    char id[64];
    (void)snprintf(id, sizeof id, "%s", text_at(*operation, "id"));
    while (runs(*operation)) {
        json_t *now;
        show(c, *operation, begun_ms);
        uint64_t at_ms = now_ms(), left_ms = deadline_ms > at_ms ? deadline_ms - at_ms : 0;
        if (left_ms == 0)
            return fault_set(why, ST_TIMEOUT, "the time is over");
        uint64_t step_ms = c->term.colour ? SHOWN_MS : ASKED_MS;
        enum status s = look(c, id, MIN(step_ms, left_ms), &now, why);
        if (s == ST_OK) {
            json_decref(*operation);
            *operation = now;
            lost_ms = 0;
            continue;
        }
        lost_ms = lost_ms > 0 ? lost_ms : at_ms;
        if (s != ST_UNAVAILABLE || at_ms - lost_ms > LOST_MS)
            return s;
        s = cli_pause(c, MIN((uint64_t)LOST_STEP_MS, left_ms), why);
        if (s != ST_OK)
            return s;
    }
    return ST_OK;
}

int cli_wait(struct cli *c, const json_t *operation, json_t **ret_ended)
{
    struct fault why;
    json_t *now = json_deep_copy(operation);
    enum status s = wait_end(c, &now, now_plus(c->timeout_ms), &why);
    unshow(c);
    int code = 0;
    if (s != ST_OK)
        code = leave(c, now, &why);
    else if (strcmp(text_at(now, "phase"), "succeeded") != 0)
        code = failed(c, now);
    if (code == 0)
        *ret_ended = now;
    else
        json_decref(now);
    return code;
}

enum status cli_target(struct cli *c, const json_t *operation, json_t **ret, struct fault *why)
{
    const struct op *row = cli_show_row(text_at(operation, "target_kind"));
    const char *uid = text_at(operation, "target_uid");
    *ret = NULL;
    if (!row || !uid[0])
        return ST_OK;
    struct answer a = {0};
    AUTO(buf_done) struct buf path;
    buf_init(&path, 1024);
    json_t *query = json_object();
    const char *project = text_at(operation, "project");
    int failed = row->flags & OP_PROJECT && project[0]
                     ? json_object_set_new(query, "project", json_string(project))
                     : 0;
    ensure(!failed);
    request_target(row, uid, query, &path);
    json_decref(query);
    enum status s = cli_get(c, &a, why, "%s", buf_cstr(&path));
    if (s == ST_NOT_FOUND)
        return ST_OK;
    if (s == ST_OK)
        *ret = json_incref(a.json);
    answer_done(&a);
    return s;
}
