/* api: any request, as it is. */
#include <ctype.h>
#include <string.h>

#include "cli/commands_by_hand.h"
#include "cli/now.h"
#include "cli/request.h"
#include "cli/run.h"
#include "wire/json.h"

enum { METHOD_MAX = 16 };

static void http_done(struct http_client *http)
{
    http_client_close(http);
}

static enum status parse(const struct cli *c, char method[METHOD_MAX], struct buf *body,
                         struct fault *why)
{
    const char *path = c->given.arg[1];
    size_t n = 0;
    for (const char *p = c->given.arg[0]; *p && n + 1 < METHOD_MAX; p++)
        method[n++] = (char)toupper((unsigned char)*p);
    method[n] = 0;
    if (strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != n || n == 0)
        return fault_set(why, ST_INVALID, "%.40s is no method, such as GET", c->given.arg[0]);
    if (path[0] != '/')
        return fault_set(why, ST_INVALID, "a path begins with /, as in /v1/vms");
    for (const char *p = path; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
            return fault_set(why, ST_INVALID,
                             "a path has no spaces or special characters: write %%20 and the like");
    return c->given.arg_count > 2 ? request_read(c->given.arg[2], body, why) : ST_OK;
}

static enum status copy_body(struct cli *c, struct http_client *http, struct fault *why)
{
    for (;;) {
        struct str data;
        enum status s = http_client_read(http, NEVER, &data, why);
        if (s != ST_OK || data.len == 0)
            return s;
        if (cli_write(c, data) != 0)
            return fault_set(why, ST_IO, "write the output");
    }
}

int api_run(struct cli *c)
{
    char method[METHOD_MAX];
    struct fault why;
    AUTO(buf_done) struct buf body;
    buf_init(&body, CLI_ANSWER_MAX);
    enum status s = parse(c, method, &body, &why);
    if (s != ST_OK)
        return cli_misused(c, &why);
    AUTO(http_done) struct http_client http;
    struct http_request r = {
        .method = method,
        .target = c->given.arg[1],
        .body = buf_view(&body),
        .type = body.len > 0 ? "application/json" : NULL,
    };
    s = cli_exchange(c, &http, &r, NEVER, &why);
    if (s == ST_OK && http.parser.head.status == 101)
        s = fault_set(&why, ST_UNSUPPORTED, "that path is a WebSocket: use vm console or vm exec");
    if (s == ST_OK)
        s = copy_body(c, &http, &why);
    /* Whatever the node said is on stdout by now. */
    if (s == ST_OK && http.parser.head.status >= 400) {
        const struct http_head *h = &http.parser.head;
        s = fault_set(&why, cli_status_of(h->status), "%s %s: %u " STR_FMT, method, c->given.arg[1],
                      h->status, STR_ARG(h->reason));
    }
    return s == ST_OK ? 0 : cli_fail(c, &why);
}
