#include "cli/call.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/commands_by_hand.h"
#include "cli/request.h"
#include "pb/cluster.pb-c.h"
#include "pb/operation.pb-c.h"
#include "wire/json.h"
#include "wire/proto.h"
#include "wire/schema.h"

enum { PAGE = 1000, NOUN_MAX = 32 };

static const char *text_at(const json_t *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v, key));
    return text ? text : "";
}

static void noun_of(const struct cli *c, char out[NOUN_MAX])
{
    struct str noun = command_noun(c->command);
    if (strcmp(c->command->name, "run") == 0)
        noun = STR("vm");
    if (c->command->op->response == &pb__member__descriptor) /* known by their nodes */
        noun = STR("node");
    (void)snprintf(out, NOUN_MAX, STR_FMT, STR_ARG(noun));
}

/* --- asking --- */

static bool said_yes(void)
{
    char line[16] = "";
    ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
    return n > 0 && (line[0] == 'y' || line[0] == 'Y');
}

int call_confirm(struct cli *c)
{
    const char *dry = given_field(&c->given, "dry_run");
    if (!(c->command->uses & USE_ASK) || given_has(&c->given, FLAG_YES) ||
        (dry && strcmp(dry, "true") == 0))
        return 0;
    char words[COMMAND_WORDS_MAX];
    struct fault why;
    command_words(c->command, words);
    const char *name = c->given.arg_count > 0 ? c->given.arg[0] : "";
    if (!c->term.in || !c->term.err) {
        (void)fault_set(&why, ST_INVALID, "%s %s needs --yes: there is no terminal to ask on",
                        words, name);
        return cli_fail(c, &why);
    }
    dprintf(STDERR_FILENO, "%s %s? [y/N] ", words, name);
    if (said_yes())
        return 0;
    (void)fault_set(&why, ST_CANCELLED, "nothing was done");
    return cli_fail(c, &why);
}

/* --- sending --- */

static bool has_body(const struct op *op)
{
    return strcmp(op->method, "POST") == 0 || strcmp(op->method, "PATCH") == 0;
}

/* How long the node itself may wait, for requests that say so. */
static uint64_t patience_ms(const struct op *op, const json_t *request)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(op->request, "timeout_ms");
    if (!f)
        return 0;
    uint64_t ms = 0;
    const json_t *given = json_object_get(request, "timeout_ms");
    uint32_t usual;
    memcpy(&usual, f->default_value, sizeof usual);
    ms = json_is_integer(given) ? (uint64_t)json_integer_value(given) : usual;
    return ms + CLI_ANSWER_MS;
}

enum status call_send(struct cli *c, json_t *known, struct answer *ret, struct fault *why)
{
    const struct op *op = c->command->op;
    json_t *request, *query = NULL;
    enum status s = request_make(c->command, &c->flags, &c->given, known, &request, why);
    if (s != ST_OK)
        return s;
    AUTO(buf_done) struct buf body, target;
    buf_init(&body, REQUEST_BODY_MAX);
    buf_init(&target, 128 << 10);
    if (has_body(op)) {
        json_dump(request, false, &body);
        query = json_object();
    } else {
        query = json_incref(request);
    }
    if (op->flags & OP_PROJECT)
        cli_add_project(c, query);
    request_target(op, cli_first_name(c), query, &target);
    s = buf_status(&body, why);
    if (s == ST_OK)
        s = buf_status(&target, why);
    if (s == ST_OK)
        s = cli_ask(c,
                    &(struct ask){.method = op->method,
                                  .target = buf_cstr(&target),
                                  .body = buf_view(&body),
                                  .if_match = given_get(&c->given, FLAG_IF_MATCH),
                                  .key = given_get(&c->given, FLAG_KEY),
                                  .timeout_ms = patience_ms(op, request)},
                    ret, why);
    if (s == ST_OK && json_object_get(request, "dry_run"))
        ret->dry = json_is_true(json_object_get(request, "dry_run"));
    json_decref(query);
    json_decref(request);
    return s;
}

/* --- showing --- */

int call_show(struct cli *c, const ProtobufCMessageDescriptor *desc, const char *noun,
              const json_t *object)
{
    struct fault why;
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUTPUT_MAX);
    c->output.noun = noun;
    return cli_end(c, output_object(&c->output, desc, object, &out, &why), &out, &why);
}

int call_show_once(struct cli *c, const ProtobufCMessageDescriptor *desc, const char *noun,
                   const json_t *object, const char *text, const char *note)
{
    struct fault why;
    if (c->output.ids || (c->output.form != OUTPUT_TABLE && c->output.form != OUTPUT_WIDE))
        return call_show(c, desc, noun, object);
    AUTO(buf_done) struct buf out;
    buf_init(&out, 1024);
    buf_fmt(&out, "%s\n", text);
    cli_note("%s", note);
    return cli_end(c, buf_status(&out, &why), &out, &why);
}

static void add_cell(const ProtobufCMessage *m, const char *before, const char *heading,
                     uint64_t now_ns, struct buf *out)
{
    AUTO(buf_done) struct buf cell;
    buf_init(&cell, 1024);
    output_cell(m, heading, now_ns, &cell);
    if (cell.len > 0)
        buf_fmt(out, "%s%s", before, buf_cstr(&cell));
}

static void add_elapsed(uint64_t ms, struct buf *out)
{
    if (ms != UINT64_MAX)
        buf_fmt(out, "  %" PRIu64 ".%02" PRIu64 "s", ms / 1000, ms % 1000 / 10);
}

static bool wants_object(const struct cli *c)
{
    return c->output.ids || (c->output.form != OUTPUT_TABLE && c->output.form != OUTPUT_WIDE);
}

int call_result(struct cli *c, const ProtobufCMessageDescriptor *desc, const char *noun,
                const json_t *object, uint64_t elapsed_ms)
{
    if (wants_object(c))
        return call_show(c, desc, noun, object);
    struct fault why;
    AUTO(auto_proto_free) ProtobufCMessage *m = NULL;
    AUTO(buf_done) struct buf out;
    buf_init(&out, 4096);
    enum status s = output_message(desc, object, &m, &why);
    if (s != ST_OK)
        return cli_fail(c, &why);
    const char *name = text_at(json_object_get(object, "meta"), "name");
    buf_fmt(&out, "%s/%s", noun, name[0] ? name : text_at(object, "id"));
    add_cell(m, " ", "PHASE", c->output.now_ns, &out);
    add_cell(m, "  ", "ADDRESS", c->output.now_ns, &out);
    add_cell(m, "  ", "SIZE", c->output.now_ns, &out);
    add_elapsed(elapsed_ms, &out);
    buf_char(&out, '\n');
    return cli_end(c, buf_status(&out, &why), &out, &why);
}

/* "vm/web-1 deleted  0.20s". What was not deleted by this is gone all the same. */
static int show_gone(struct cli *c, const json_t *operation, uint64_t elapsed_ms)
{
    if (wants_object(c))
        return call_show(c, &pb__operation__descriptor, "op", operation);
    struct fault why;
    AUTO(buf_done) struct buf out;
    buf_init(&out, 4096);
    bool deleted = str_ends(str_from(text_at(operation, "kind")), ".delete");
    buf_fmt(&out, "%s/%s %s", text_at(operation, "target_kind"), text_at(operation, "target_name"),
            deleted ? "deleted" : "gone");
    add_elapsed(elapsed_ms, &out);
    buf_char(&out, '\n');
    return cli_end(c, buf_status(&out, &why), &out, &why);
}

/* From the order to the end, by the node's clock. */
static uint64_t elapsed_ms(const json_t *operation)
{
    uint64_t from, to;
    if (units_parse_time(str_from(text_at(operation, "created_ns")), &from, NULL) != ST_OK ||
        units_parse_time(str_from(text_at(operation, "ended_ns")), &to, NULL) != ST_OK || to < from)
        return UINT64_MAX;
    return (to - from) / UNITS_NS_PER_MS;
}

static int show_end(struct cli *c, const json_t *ended)
{
    struct fault why;
    json_t *object;
    const char *kind = text_at(ended, "target_kind");
    enum status s = cli_target(c, ended, &object, &why);
    if (s != ST_OK)
        return cli_fail(c, &why);
    if (!object)
        return show_gone(c, ended, elapsed_ms(ended));
    int code = call_result(c, cli_show_row(kind)->response, kind, object, elapsed_ms(ended));
    json_decref(object);
    return code;
}

/* The operation itself: its id, or in a form for programs all of it. */
static int show_begun(struct cli *c, const json_t *operation)
{
    if (!wants_object(c))
        c->output.ids = true;
    return call_show(c, &pb__operation__descriptor, "op", operation);
}

int call_follow(struct cli *c, const json_t *operation)
{
    if (given_has(&c->given, FLAG_NO_WAIT))
        return show_begun(c, operation);
    json_t *ended;
    int code = cli_wait(c, operation, &ended);
    if (code != 0)
        return code;
    code = show_end(c, ended);
    json_decref(ended);
    return code;
}

/* --- the kinds of answers --- */

static int show_dry(struct cli *c, const struct answer *a)
{
    const ProtobufCMessageDescriptor *desc = c->command->op->response;
    char noun[NOUN_MAX];
    noun_of(c, noun);
    const struct op *row = cli_show_row(noun);
    if (row) /* a slow one answers with the object too, and not with an operation */
        desc = row->response;
    cli_note("nothing was changed: this is what would be");
    if (a->dry_run[0])
        cli_note("%s", a->dry_run);
    return a->json && desc ? call_show(c, desc, noun, a->json) : 0;
}

/* There is no object to show: say that it is done. */
static int show_done(struct cli *c)
{
    struct fault why;
    char words[COMMAND_WORDS_MAX];
    AUTO(buf_done) struct buf out;
    buf_init(&out, 1024);
    command_words(c->command, words);
    const char *verb = strchr(words, ' ');
    bool deleted = verb && strcmp(verb, " delete") == 0;
    bool revoked = verb && strcmp(verb, " revoke") == 0;
    buf_fmt(&out, STR_FMT "/%s %s\n", STR_ARG(command_noun(c->command)), cli_first_name(c),
            deleted   ? "deleted"
            : revoked ? "revoked"
                      : "done");
    return cli_end(c, buf_status(&out, &why), &out, &why);
}

static bool is_operation(const struct cli *c, const struct answer *a)
{
    return c->command->op->flags & OP_SLOW && str_starts(str_from(a->location), "/v1/operations/");
}

static int show_answer(struct cli *c, const struct answer *a)
{
    const struct op *op = c->command->op;
    char noun[NOUN_MAX];
    noun_of(c, noun);
    if (a->dry)
        return show_dry(c, a);
    if (is_operation(c, a))
        return call_follow(c, a->json);
    if (!a->json || !op->response)
        return show_done(c);
    if (op->flags & OP_SLOW) /* there was nothing to wait for */
        return call_result(c, cli_show_row(noun)->response, noun, a->json, UINT64_MAX);
    if (op->flags & OP_MUTATES)
        return call_result(c, op->response, noun, a->json, UINT64_MAX);
    return call_show(c, op->response, noun, a->json);
}

/* Was it the user who did not want to wait? */
static bool is_stopped(const struct cli *c)
{
    struct pollfd p = {.fd = c->stop_fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

static int run_one(struct cli *c)
{
    struct fault why;
    struct answer a = {0};
    enum status s = call_send(c, NULL, &a, &why);
    if (s == ST_CANCELLED && is_stopped(c)) {
        (void)fault_set(&why, s, "interrupted before the node answered: it may have begun");
        fault_hint(&why, "blixard op ls");
    }
    int code = s == ST_OK ? show_answer(c, &a) : cli_fail(c, &why);
    answer_done(&a);
    return code;
}

/* --- lists --- */

/* Add a page to `items`; *ret_next is the cursor of the one after, or "". */
static enum status read_page(struct cli *c, const json_t *request, json_t *items,
                             char ret_next[256], struct fault *why)
{
    struct answer a = {0};
    AUTO(buf_done) struct buf target;
    buf_init(&target, 16 << 10);
    request_target(c->command->op, "", request, &target);
    enum status s =
        cli_ask(c, &(struct ask){.method = "GET", .target = buf_cstr(&target)}, &a, why);
    const json_t *page = json_object_get(a.json, "items");
    if (s == ST_OK && !json_is_array(page))
        s = fault_set(why, ST_CORRUPT, "the node's answer is no list");
    if (s == ST_OK) {
        json_t *more;
        size_t before = json_array_size(items);
        memcpy(&more, &page, sizeof more); /* it is only counted */
        int failed = json_array_extend(items, more);
        ensure(!failed);
        (void)snprintf(ret_next, 256, "%s", text_at(a.json, "next"));
        if (ret_next[0] && json_array_size(items) == before) /* there would be no end */
            s = fault_set(why, ST_CORRUPT, "the node's list has an empty page");
    }
    answer_done(&a);
    return s;
}

static void set_limit(json_t *request, size_t left)
{
    int failed =
        json_object_set_new(request, "limit", json_integer((json_int_t)MIN(left, (size_t)PAGE)));
    ensure(!failed);
}

/* All pages; with --limit so many objects. */
static enum status read_list(struct cli *c, json_t *items, struct fault *why)
{
    json_t *request;
    char next[256] = "";
    enum status s = request_make(c->command, &c->flags, &c->given, NULL, &request, why);
    if (s != ST_OK)
        return s;
    const json_t *limit = json_object_get(request, "limit");
    size_t most = json_is_integer(limit) ? (size_t)json_integer_value(limit) : SIZE_MAX;
    do {
        set_limit(request, most - json_array_size(items));
        s = read_page(c, request, items, next, why);
        int failed = json_object_set_new(request, "cursor", json_string(next));
        ensure(!failed);
    } while (s == ST_OK && next[0] && json_array_size(items) < most);
    json_decref(request);
    return s;
}

static int run_list(struct cli *c)
{
    struct fault why;
    char noun[NOUN_MAX];
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUTPUT_MAX);
    json_t *items = json_array();
    noun_of(c, noun);
    c->output.noun = noun;
    enum status s = read_list(c, items, &why);
    if (s == ST_OK)
        s = output_list(&c->output, c->command->op->response, items, &out, &why);
    json_decref(items);
    return cli_end(c, s, &out, &why);
}

/* An operation goes on when we stop: then say so, instead of just ending. */
static int with_stop(struct cli *c, int (*run)(struct cli *c))
{
    struct term_signals stop;
    term_catch(&stop, (const int[]){SIGINT, SIGTERM, 0});
    c->stop_fd = stop.fd;
    int code = run(c);
    c->stop_fd = -1;
    term_catch_end(&stop);
    return code;
}

int call_run(struct cli *c)
{
    if (c->command->op->flags & OP_LIST)
        return run_list(c);
    int code = call_confirm(c);
    if (code != 0)
        return code;
    return c->command->op->flags & OP_SLOW ? with_stop(c, run_one) : run_one(c);
}

/* --- op wait --- */

static int wait_one(struct cli *c)
{
    struct fault why;
    struct answer a = {0};
    AUTO(buf_done) struct buf target;
    buf_init(&target, 4096);
    request_target(op_get(OP_OP_SHOW), cli_first_name(c), NULL, &target);
    enum status s =
        cli_ask(c, &(struct ask){.method = "GET", .target = buf_cstr(&target)}, &a, &why);
    int code = s == ST_OK ? call_follow(c, a.json) : cli_fail(c, &why);
    answer_done(&a);
    return code;
}

int op_wait_run(struct cli *c)
{
    return with_stop(c, wait_one);
}
