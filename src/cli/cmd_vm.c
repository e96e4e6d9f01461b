/* vm: console, exec, logs and wait. */
#include <string.h>
#include <unistd.h>

#include "cli/call.h"
#include "cli/commands_by_hand.h"
#include "cli/now.h"
#include "cli/request.h"
#include "cli/session.h"
#include "ops/filter.h"
#include "pb/vm.pb-c.h"
#include "wire/proto.h"

enum { TARGET_MAX = 200 << 10 };

/* The path and query of the command's operation on its first argument. */
static enum status make_target(const struct cli *c, json_t *known, struct buf *out,
                               struct fault *why)
{
    json_t *request;
    enum status s = request_make(c->command, &c->flags, &c->given, known, &request, why);
    if (s != ST_OK)
        return s;
    cli_add_project(c, request);
    request_target(c->command->op, cli_first_name(c), request, out);
    json_decref(request);
    s = buf_status(out, why);
    return s == ST_OK ? s : fault_wrap(why, s, "the request");
}

/* --- console --- */

int vm_console_run(struct cli *c)
{
    struct fault why;
    AUTO(buf_done) struct buf target;
    buf_init(&target, TARGET_MAX);
    if (!c->term.in || !c->term.out) {
        (void)fault_set(&why, ST_INVALID, "vm console needs a terminal");
        fault_hint(&why, "blixard vm logs and blixard vm exec do not");
        return cli_fail(c, &why);
    }
    enum status s = make_target(c, NULL, &target, &why);
    if (s != ST_OK)
        return cli_fail(c, &why);
    const struct session session = {
        .target = buf_cstr(&target),
        .raw = true,
        .input = true,
        .sizes = true,
        .escape = true,
        .opened = "This is the console; Ctrl-] leaves it.",
    };
    int code = session_run(c, &session);
    cli_note("%s", "");
    return code;
}

/* --- exec --- */

static void set_new(json_t *object, const char *key, json_t *value)
{
    int failed = json_object_set_new(object, key, value);
    ensure(!failed);
}

/* ST_INVALID for a word that is not UTF-8: the API could not carry it. */
static enum status command_json(const struct cli *c, json_t **ret, struct fault *why)
{
    json_t *argv = json_array();
    for (size_t i = 1; i < c->given.arg_count; i++) {
        json_t *word = json_string(c->given.arg[i]);
        if (!word) {
            json_decref(argv);
            return fault_set(why, ST_INVALID, "word %zu of the command is not UTF-8", i);
        }
        int failed = json_array_append_new(argv, word);
        ensure(!failed);
    }
    *ret = argv;
    return ST_OK;
}

int vm_exec_run(struct cli *c)
{
    struct fault why;
    json_t *argv = NULL, *known;
    unsigned rows, cols;
    AUTO(buf_done) struct buf target;
    buf_init(&target, TARGET_MAX);
    enum status s = command_json(c, &argv, &why);
    if (s != ST_OK)
        return cli_fail(c, &why);
    const char *given = given_field(&c->given, "tty");
    bool tty = given ? strcmp(given, "true") == 0 : c->term.in && c->term.out;
    known = json_object();
    set_new(known, "argv", argv);
    if (tty) {
        term_size(STDIN_FILENO, &rows, &cols);
        set_new(known, "tty", json_true());
        set_new(known, "rows", json_integer(MIN(rows, 1000u)));
        set_new(known, "cols", json_integer(MIN(cols, 1000u)));
    }
    s = make_target(c, known, &target, &why);
    if (s != ST_OK)
        return cli_fail(c, &why);
    const struct session session = {
        .target = buf_cstr(&target),
        .raw = tty && c->term.in,
        .input = true,
        .sizes = tty && c->term.in,
    };
    return session_run(c, &session);
}

/* --- logs --- */

static void http_done(struct http_client *http)
{
    http_client_close(http);
}

int vm_logs_run(struct cli *c)
{
    struct fault why;
    AUTO(buf_done) struct buf target;
    buf_init(&target, TARGET_MAX);
    enum status s = make_target(c, NULL, &target, &why);
    if (s != ST_OK)
        return cli_fail(c, &why);
    AUTO(http_done) struct http_client http;
    struct http_request r = {.method = "GET", .target = buf_cstr(&target)};
    s = cli_open(c, &http, &r, &why);
    while (s == ST_OK) {
        struct str data;
        s = http_client_read(&http, NEVER, &data, &why);
        if (s != ST_OK)
            break;
        if (data.len == 0)
            return 0;
        int code = cli_write(c, data);
        if (code != 0)
            return code;
    }
    return cli_fail(c, &why);
}

/* --- wait --- */

/*
 * The VM is looked at, then after each event of its, and once a second: not all that changes is an
 * event.
 */
enum { LOOK_MS = 1000, LOST_MS = 15000, LOST_STEP_MS = 200 };

struct watch {
    struct cli *c;
    struct filter filter;
    const char *condition;
    char name[64]; /* for the events; "" until the VM was seen */
    bool open;     /* events come */
    struct http_client http;
};

static enum status look(struct watch *w, json_t **ret, bool *ret_holds, struct fault *why)
{
    struct answer a = {0};
    AUTO(auto_proto_free) ProtobufCMessage *m = NULL;
    AUTO(buf_done) struct buf target;
    buf_init(&target, 4096);
    json_t *query = json_object();
    cli_add_project(w->c, query);
    request_target(op_get(OP_VM_SHOW), cli_first_name(w->c), query, &target);
    json_decref(query);
    enum status s =
        cli_ask(w->c, &(struct ask){.method = "GET", .target = buf_cstr(&target)}, &a, why);
    if (s == ST_OK)
        s = output_message(&pb__vm__descriptor, a.json, &m, why);
    if (s == ST_OK) {
        const Pb__Vm *vm = (const Pb__Vm *)m;
        *ret_holds = filter_passes(&w->filter, m);
        (void)snprintf(w->name, sizeof w->name, "%s",
                       vm->meta && vm->meta->name ? vm->meta->name : "");
        *ret = json_incref(a.json);
    }
    answer_done(&a);
    return s;
}

static void unwatch(struct watch *w)
{
    if (w->open)
        http_client_close(&w->http);
    w->open = false;
}

/* Without events we only look less often than we could. */
static void watch(struct watch *w)
{
    AUTO(buf_done) struct buf target;
    buf_init(&target, 1024);
    json_t *query = json_pack("{s:s,s:s,s:b}", "kind", "vm", "name", w->name, "follow", 1);
    request_target(op_get(OP_EVENTS), "", query, &target);
    json_decref(query);
    struct http_request r = {.method = "GET", .target = buf_cstr(&target)};
    struct fault why;
    w->open = cli_open(w->c, &w->http, &r, &why) == ST_OK;
    if (!w->open)
        http_client_close(&w->http);
}

static void await_change(struct watch *w, uint64_t deadline_ms)
{
    struct str data;
    struct fault why;
    uint64_t until_ms = MIN(now_plus(LOOK_MS), deadline_ms);
    enum status s = ST_OK;
    if (w->open)
        s = http_client_read(&w->http, until_ms, &data, &why);
    else
        (void)usleep(LOST_STEP_MS * 1000);
    if (w->open && s != ST_TIMEOUT && (s != ST_OK || data.len == 0))
        unwatch(w); /* it ended: the node restarts, perhaps */
}

static enum status wait_until(struct watch *w, uint64_t timeout_ms, json_t **ret, struct fault *why)
{
    uint64_t deadline_ms = now_plus(timeout_ms), lost_ms = 0;
    bool seen = false;
    for (;;) {
        bool holds = false;
        json_t *vm = NULL;
        enum status s = look(w, &vm, &holds, why);
        uint64_t at_ms = now_ms();
        if (s == ST_OK && holds) {
            *ret = vm;
            return ST_OK;
        }
        json_decref(vm);
        lost_ms = s == ST_OK ? 0 : lost_ms > 0 ? lost_ms : at_ms;
        if (s != ST_OK && (!seen || s != ST_UNAVAILABLE || at_ms - lost_ms > LOST_MS))
            return s;
        seen = true;
        if (at_ms >= deadline_ms)
            return fault_set(why, ST_TIMEOUT, "the time is over, and not: %s", w->condition);
        bool fresh = !w->open && s == ST_OK;
        if (fresh)
            watch(w);
        if (!fresh || !w->open) /* what changed before the events began must not be missed */
            await_change(w, deadline_ms);
    }
}

int vm_wait_run(struct cli *c)
{
    struct fault why;
    uint64_t begun_ms = now_ms();
    json_t *vm = NULL;
    struct watch w = {.c = c, .condition = given_get(&c->given, FLAG_FOR)};
    if (!w.condition) {
        (void)fault_set(&why, ST_INVALID, "--for is missing");
        return cli_misused(c, &why);
    }
    enum status s = filter_parse(&w.filter, &pb__vm__descriptor, str_from(w.condition), &why);
    if (s != ST_OK)
        (void)fault_wrap(&why, s, "--for");
    if (s == ST_OK)
        s = wait_until(&w, c->timeout_ms, &vm, &why);
    unwatch(&w);
    if (s != ST_OK)
        return cli_fail(c, &why);
    int code = call_result(c, &pb__vm__descriptor, "vm", vm, now_ms() - begun_ms);
    json_decref(vm);
    return code;
}
