/* events */
#include <string.h>

#include "cli/commands_by_hand.h"
#include "cli/now.h"
#include "cli/request.h"
#include "cli/run.h"
#include "cli/sse.h"
#include "pb/event.pb-c.h"
#include "wire/json.h"

struct feed {
    struct cli *c;
    bool follow;
    struct http_client http;
    struct sse sse;
    json_t *items; /* without follow: all of them, for one table */
};

static void feed_done(struct feed *f)
{
    http_client_close(&f->http);
    sse_done(&f->sse);
    json_decref(f->items);
}

static enum status take(struct feed *f, const struct sse_event *e, struct fault *why)
{
    json_t *v;
    AUTO(buf_done) struct buf out;
    buf_init(&out, 2 * SSE_LINE_MAX);
    if (str_is(e->type, "reset")) {
        cli_note("note: older events are not kept any more; going on with %s", f->sse.id);
        return ST_OK;
    }
    enum status s = json_parse(e->data, SSE_LINE_MAX, &v, why);
    if (s != ST_OK)
        return fault_wrap(why, ST_CORRUPT, "an event is not as expected");
    if (f->follow) {
        s = output_stream(&f->c->output, &pb__event__descriptor, v, &out, why);
        json_decref(v);
        return s == ST_OK && cli_write(f->c, buf_view(&out)) != 0
                   ? fault_set(why, ST_IO, "write the output")
                   : s;
    }
    int failed = json_array_append_new(f->items, v);
    ensure(!failed);
    return ST_OK;
}

/* All that comes, until the node ends it. */
static enum status take_all(struct feed *f, struct fault *why)
{
    for (;;) {
        struct str data;
        struct sse_event e;
        enum status s = http_client_read(&f->http, NEVER, &data, why);
        if (s != ST_OK || data.len == 0)
            return s;
        s = sse_feed(&f->sse, data, why);
        while (s == ST_OK && sse_next(&f->sse, &e))
            s = take(f, &e, why);
        if (s != ST_OK)
            return s;
    }
}

static enum status begin(struct feed *f, struct fault *why)
{
    json_t *request;
    AUTO(buf_done) struct buf target, head;
    buf_init(&target, 4096);
    buf_init(&head, 4096);
    struct cli *c = f->c;
    enum status s = request_make(c->command, &c->flags, &c->given, NULL, &request, why);
    if (s != ST_OK)
        return s;
    request_target(c->command->op, "", request, &target);
    json_decref(request);
    struct http_request r = {.method = "GET", .target = buf_cstr(&target)};
    s = cli_open(c, &f->http, &r, why);
    if (s == ST_OK && f->follow)
        s = output_stream_head(&c->output, &pb__event__descriptor, &head, why);
    return s == ST_OK && cli_write(c, buf_view(&head)) != 0
               ? fault_set(why, ST_IO, "write the output")
               : s;
}

int events_run(struct cli *c)
{
    struct fault why;
    const char *follow = given_field(&c->given, "follow");
    AUTO(feed_done) struct feed f = {.c = c, .follow = follow && strcmp(follow, "true") == 0};
    AUTO(buf_done) struct buf out;
    buf_init(&out, OUTPUT_MAX);
    f.items = json_array();
    sse_init(&f.sse);
    c->output.noun = "event";
    enum status s = begin(&f, &why);
    if (s == ST_OK)
        s = take_all(&f, &why);
    if (s == ST_OK && f.follow)
        s = fault_set(&why, ST_UNAVAILABLE, "the node ended the events");
    if (s != ST_OK && f.follow && f.sse.id[0])
        fault_hint(&why, "go on with: blixard events --follow --since %s", f.sse.id);
    if (s == ST_OK)
        s = output_list(&c->output, &pb__event__descriptor, f.items, &out, &why);
    return cli_end(c, s, &out, &why);
}
