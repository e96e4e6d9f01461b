#include <stdarg.h>
#include <string.h>

#include "cli/now.h"
#include "cli/run.h"
#include "os/entropy_os.h"
#include "wire/json.h"

enum {
    FIELDS_MAX = 8,
    LEADER_MS = 10000, /* for a cluster to elect a leader */
    PAUSE_FIRST_MS = 50,
    PAUSE_MAX_MS = 800,
};

/* --- what an answer says --- */

void answer_done(struct answer *a)
{
    json_decref(a->json);
    a->json = NULL;
}

enum status cli_status_of(unsigned http)
{
    if (http == 409)
        return ST_CONFLICT;
    for (unsigned s = ST_OK + 1; s < ST_COUNT; s++)
        if (status_http((enum status)s) == http)
            return (enum status)s;
    return http < 500 ? ST_INVALID : ST_INTERNAL;
}

static const char *text_at(const json_t *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v, key));
    return text ? text : "";
}

static enum status problem_fault(const struct http_head *h, const json_t *problem,
                                 struct fault *why)
{
    enum status s = cli_status_of(h->status);
    const char *code = text_at(problem, "code"), *detail = text_at(problem, "detail");
    if (code[0])
        s = status_from_code(code);
    if (s == ST_OK)
        s = ST_INTERNAL;
    if (detail[0])
        (void)fault_set(why, s, "%s", detail);
    else
        (void)fault_set(why, s, "the node answered %u " STR_FMT, h->status, STR_ARG(h->reason));
    fault_hint(why, "%s", text_at(problem, "hint"));
    fault_field(why, "%s", text_at(problem, "field"));
    return s;
}

static bool is_of_type(const struct http_head *h, const char *want)
{
    struct str type = http_head_get(h, "Content-Type"), kind;
    (void)str_cut(&type, ';', &kind);
    return str_is(str_trim(kind), want);
}

/* A problem may come with a status that is no failure: part of what was asked for was done. */
static bool is_problem(const struct http_head *h)
{
    return h->status >= 400 || is_of_type(h, "application/problem+json");
}

static bool is_json(const struct http_head *h)
{
    return is_of_type(h, "application/json") || is_of_type(h, "application/problem+json");
}

static void copy_header(const struct http_head *h, const char *name, char *out, size_t size)
{
    struct str v = http_head_get(h, name);
    v.len = MIN(v.len, size - 1);
    memcpy(out, v.ptr, v.len);
    out[v.len] = 0;
}

/* --- sending --- */

static enum status connect_to(struct cli *c, struct http_client *http, uint64_t deadline_ms,
                              struct fault *why)
{
    *http = (struct http_client){0};
    http_parser_init(&http->parser, false);
    enum status s = cli_find_place(c, why);
    if (s != ST_OK)
        return s;
    s = http_client_open(http, &c->place, deadline_ms, c->stop_fd, why);
    if (!c->place.socket) {
        if (s == ST_UNAVAILABLE && !why->hint[0])
            fault_hint(why, "is the node up, and does its `api.listen` say that port?");
        return s;
    }
    if (s == ST_UNAVAILABLE) {
        (void)fault_wrap(why, s, "no node answers");
        fault_hint(why, "start it with `blixard up`, or say where its socket is: --socket");
    }
    if (s == ST_DENIED)
        fault_hint(why, "be root, or a member of the socket's group");
    return s;
}

/* Our part of a trace: the root span. */
static void make_trace(struct cli *c, char out[56])
{
    uint8_t random[24];
    struct entropy e;
    entropy_os_init(&e);
    e.fill(&e, random, sizeof random);
    random[0] |= 1; /* neither id may be all zero */
    random[16] |= 1;
    char span[17];
    if (!c->trace_id[0])
        str_hex(random, 16, c->trace_id);
    str_hex(random + 16, 8, span);
    (void)snprintf(out, 56, "00-%s-%s-01", c->trace_id, span);
}

static enum status send_request(struct cli *c, struct http_client *http, struct http_request *r,
                                uint64_t deadline_ms, struct fault *why)
{
    char trace[56];
    struct http_field field[FIELDS_MAX + 1];
    require(r->field_count <= FIELDS_MAX);
    make_trace(c, trace);
    for (size_t i = 0; i < r->field_count; i++)
        field[i] = r->field[i];
    field[r->field_count] = (struct http_field){"traceparent", trace};
    struct http_request whole = *r;
    whole.field = field;
    whole.field_count++;
    c->told_node = true;
    enum status s = http_client_send(http, &whole, deadline_ms, why);
    return s == ST_OK ? http_client_head(http, deadline_ms, why) : s;
}

/* The body of an answer, if it is JSON. */
static enum status read_json(struct http_client *http, uint64_t deadline_ms, json_t **ret,
                             struct fault *why)
{
    AUTO(buf_done) struct buf b;
    buf_init(&b, CLI_ANSWER_MAX);
    enum status s = http_client_read_all(http, deadline_ms, &b, why);
    if (s != ST_OK || b.len == 0 || !is_json(&http->parser.head))
        return s;
    s = json_parse(buf_view(&b), CLI_ANSWER_MAX, ret, why);
    return s == ST_OK ? s : fault_wrap(why, ST_CORRUPT, "the node's answer is no JSON");
}

static enum status refused(struct http_client *http, uint64_t deadline_ms, struct fault *why)
{
    json_t *problem = NULL;
    enum status s = read_json(http, deadline_ms, &problem, why);
    if (s != ST_OK)
        return s;
    s = problem_fault(&http->parser.head, problem, why);
    json_decref(problem);
    return s;
}

enum status cli_exchange(struct cli *c, struct http_client *http, struct http_request *r,
                         uint64_t deadline_ms, struct fault *why)
{
    enum status s = connect_to(c, http, deadline_ms, why);
    return s == ST_OK ? send_request(c, http, r, deadline_ms, why) : s;
}

enum status cli_open(struct cli *c, struct http_client *http, struct http_request *r,
                     struct fault *why)
{
    /* A file takes as long as it takes. */
    uint64_t deadline_ms = r->from_fd ? NEVER : now_plus(CLI_ANSWER_MS);
    enum status s = cli_exchange(c, http, r, deadline_ms, why);
    if (s == ST_OK && is_problem(&http->parser.head))
        s = refused(http, now_plus(CLI_ANSWER_MS), why);
    return s;
}

/* What stands in a header must be a line. */
static enum status check_line(const char *flag, const char *text, struct fault *why)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return fault_set(why, ST_INVALID, "%s: control characters are not allowed", flag);
    return ST_OK;
}

static enum status ask_fields(const struct ask *a, struct http_request *r,
                              struct http_field field[FIELDS_MAX], char etag[40], struct fault *why)
{
    enum status s = ST_OK;
    uint64_t index;
    r->field = field;
    if (a->key) {
        s = check_line("--idempotency-key", a->key, why);
        field[r->field_count++] = (struct http_field){"Idempotency-Key", a->key};
    }
    if (a->if_match && s == ST_OK) {
        s = str_u64(str_from(a->if_match), 0, UINT64_MAX, &index, why);
        if (s != ST_OK)
            return fault_wrap(why, s, "--if-match");
        (void)snprintf(etag, 40, "\"%" PRIu64 "\"", index);
        field[r->field_count++] = (struct http_field){"If-Match", etag};
    }
    return s;
}

static void http_done(struct http_client *http)
{
    http_client_close(http);
}

static enum status ask_once(struct cli *c, struct http_request *r, uint64_t deadline_ms,
                            struct answer *ret, struct fault *why)
{
    AUTO(http_done) struct http_client http;
    enum status s = cli_exchange(c, &http, r, deadline_ms, why);
    if (s != ST_OK)
        return s;
    const struct http_head *h = &http.parser.head;
    if (is_problem(h))
        return refused(&http, deadline_ms, why);
    *ret = (struct answer){.http = h->status};
    copy_header(h, "Location", ret->location, sizeof ret->location);
    copy_header(h, "Blixard-Dry-Run", ret->dry_run, sizeof ret->dry_run);
    return read_json(&http, deadline_ms, &ret->json, why);
}

/* From half to one and a half of a time that grows: those who ask at once do not come back at once. */
static uint64_t pause_ms(unsigned tries)
{
    uint64_t ms = MIN((uint64_t)PAUSE_FIRST_MS << MIN(tries, 10u), (uint64_t)PAUSE_MAX_MS);
    uint16_t random;
    struct entropy e;
    entropy_os_init(&e);
    e.fill(&e, &random, sizeof random);
    return ms / 2 + random % ms;
}

/* A node that says so has done nothing: it is asked again, as long as an election may take. */
static enum status ask_leader(struct cli *c, struct http_request *r, uint64_t deadline_ms,
                              struct answer *ret, struct fault *why)
{
    uint64_t until_ms = MIN(MIN(now_plus(LEADER_MS), deadline_ms), c->until_ms);
    for (unsigned tries = 0;; tries++) {
        enum status s = ask_once(c, r, deadline_ms, ret, why);
        uint64_t ms = pause_ms(tries);
        if (s != ST_NOT_LEADER)
            return s;
        if (now_plus(ms) >= until_ms) {
            if (!why->hint[0])
                fault_hint(why, "nothing was done: ask again once most of the nodes that vote are "
                                "up, and reach each other");
            return s;
        }
        s = cli_pause(c, ms, why);
        if (s != ST_OK)
            return s;
    }
}

enum status cli_ask(struct cli *c, const struct ask *a, struct answer *ret, struct fault *why)
{
    char etag[40];
    struct http_field field[FIELDS_MAX];
    struct http_request r = {.method = a->method, .target = a->target, .body = a->body};
    if (a->body.len > 0)
        r.type = "application/json";
    enum status s = ask_fields(a, &r, field, etag, why);
    if (s != ST_OK)
        return s;
    uint64_t deadline_ms = now_plus(a->timeout_ms > 0 ? a->timeout_ms : CLI_ANSWER_MS);
    return ask_leader(c, &r, deadline_ms, ret, why);
}

enum status cli_get(struct cli *c, struct answer *ret, struct fault *why, const char *fmt, ...)
{
    char path[1024];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(path, sizeof path, fmt, ap);
    va_end(ap);
    require(len >= 0 && (size_t)len < sizeof path);
    return cli_ask(c, &(struct ask){.method = "GET", .target = path}, ret, why);
}

/* --- names --- */

const char *cli_name(const struct cli *c, const char *arg)
{
    struct str noun = command_noun(c->command);
    bool whole = strncmp(arg, noun.ptr, noun.len) == 0 && arg[noun.len] == '/';
    return whole ? arg + noun.len + 1 : arg;
}

const char *cli_first_name(const struct cli *c)
{
    return c->given.arg_count > 0 ? cli_name(c, c->given.arg[0]) : "-";
}

void cli_add_project(const struct cli *c, json_t *query)
{
    const char *project = given_get(&c->given, FLAG_PROJECT);
    int failed = project ? json_object_set_new(query, "project", json_string(project)) : 0;
    if (failed) /* it is not UTF-8: let the node refuse it as a name */
        failed = json_object_set_new(query, "project", json_string("?"));
    ensure(!failed);
}

const struct op *cli_show_row(const char *noun)
{
    char name[COMMAND_WORDS_MAX];
    (void)snprintf(name, sizeof name, "%.40s.show", noun);
    return op_find(name);
}
