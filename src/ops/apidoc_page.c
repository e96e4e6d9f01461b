#include <string.h>

#include "base/units.h"
#include "ops/apidoc.h"
#include "ops/problem.h"
#include "ops/table.h"
#include "wire/schema.h"

/* --- what all operations share --- */

static const char intro[] =
    "# REST API\n"
    "\n"
    "Every node serves this API on its unix socket; any node will do. The routes below, `/v1/openapi.json`,\n"
    "the command line and this page all come from one table, `src/ops/table.c`. The objects are told in\n"
    "[nouns](nouns.md).\n"
    "\n"
    "    curl --unix-socket /run/blixard/api.sock http://localhost/v1/vms\n"
    "\n"
    "Who connects there is known from the kernel: root, the user that runs the daemon and members of the socket's group\n"
    "may do everything, others nothing but ask for `/livez` and `/readyz`.\n"
    "\n"
    "## Over the network\n"
    "\n"
    "With [`api.listen`](config.md#apilisten) a node serves the same API over HTTPS (TLS 1.3), to those who have a token:\n"
    "`Authorization: Bearer blx_svc_...`, on every request but for `/livez` and `/readyz`. A token is made with\n"
    "`blixard token create`, has a role and an end, and is good on every node. How to set it up is told in\n"
    "[reach the API from another machine](../how-to/reach-the-api-from-another-machine.md).\n"
    "\n"
    "| role | may |\n"
    "| --- | --- |\n"
    "| `viewer` | read everything but tokens, and watch events |\n"
    "| `operator` | also do everything with VMs and images, exec and consoles included |\n"
    "| `admin` | also tokens, tenants, projects, the node itself, and `image.import`, which reads files of the node |\n"
    "\n"
    "Each operation below names the least role that may. Without a good token the answer is 401, with one of too small a role\n"
    "403; both name in `WWW-Authenticate` what is lacking. After ten failures an address is answered 429 for some seconds, with\n"
    "`Retry-After`, whatever it sends. Tokens in addresses are refused: addresses end in logs. A token that is revoked, or\n"
    "whose time is over, loses what it has open as well: events, logs, consoles.\n"
    "\n"
    "## Requests\n"
    "\n"
    "Address and headers have at most 30 KB together, bodies are JSON objects of at most 256 KiB. A field or parameter\n"
    "that is not known is refused, with the name that was likely meant. `{name}` is a name, a uid, or the first 4 or\n"
    "more digits of a uid; names of VMs and images are looked up in the project that `project` in the query says, or in\n"
    "`default`. `-` is the node that answers.\n"
    "\n"
    "| in the request | means |\n"
    "| --- | --- |\n"
    "| `consistency=linear` | The default: everything that was answered before is seen |\n"
    "| `consistency=local` | What this node has applied, without asking others |\n"
    "| `If-None-Match: \"12\"` | Answer 304 if the object is still that version |\n"
    "| `If-Match: \"12\"` | Do it only if the object is still that version, else 412 |\n"
    "| `Idempotency-Key: text` | A repeated request is carried out once, and answered alike; 409 if it differs from the first; at most 128 bytes; known until some 10,000 later keys were used in the cluster, however long that takes |\n"
    "| `Prefer: wait=30` | Wait up to so many seconds (at most 600) for a slow operation to end |\n"
    "| `traceparent` | W3C trace context; its trace id comes back in problems |\n"
    "\n"
    "A change with `dry_run` is checked in full and not done. The answer is the object as it would be; the header\n"
    "`Blixard-Dry-Run` tells what only a real run finds out.\n"
    "\n"
    "## Answers\n"
    "\n"
    "Objects stand by themselves, without an envelope. `ETag` is the object's version, `Blixard-Index` the log index of\n"
    "the state that answered.\n"
    "\n"
    "**Lists** answer `{\"items\": [...], \"next\": \"...\", \"index\": 12}`, sorted by name, members by number. While there is\n"
    "`next`, give it as `cursor` for the page after. `filter` has terms such as `phase==running && node!=1`; `fields=meta.name,status`\n"
    "leaves the rest out.\n"
    "\n"
    "**Slow operations** answer 202, an [Operation](nouns.md#operation) and its `Location`. It can be waited for with\n"
    "`GET /v1/operations/{name}/wait` and given up with `DELETE`. When it has ended already, because there was nothing\n"
    "to do or within the time of `Prefer: wait`, they answer 200. A retry of a request whose operation is not kept any\n"
    "more is answered with the object.\n"
    "\n"
    "**Problems** are `application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail`, and where they\n"
    "help `hint`, `field` and `trace_id`. After `not_leader` nothing was done: ask again later. The code\n"
    "decides the HTTP status and the exit code of the command line:\n"
    "\n"
    "| code | HTTP | exit | |\n"
    "| --- | --- | --- | --- |\n";

static const char streams[] =
    "\n"
    "What is no valid HTTP at all, or has too long an address or headers (414, 431), is answered by the HTTP library, in HTML,\n"
    "and the connection is closed.\n"
    "\n"
    "## Events\n"
    "\n"
    "`GET /v1/events` answers server-sent events. `id` is the place of the event, `event` its type, `data` the\n"
    "[Event](nouns.md#event) as JSON. Send the last id as `Last-Event-ID`, or as `since`, to go on after it without a gap;\n"
    "`since=0` begins with the oldest that is kept. Without either a request that follows begins with what is new, another with\n"
    "the oldest. With `follow` the answer goes on, with a comment every 15 seconds when nothing happens; without it the\n"
    "answer ends after what is there.\n"
    "\n"
    "The event `reset` tells that events after the given id are not kept any more: read the lists again, then go on from\n"
    "its own id.\n"
    "\n"
    "## Consoles and processes\n"
    "\n"
    "`GET .../console` and `GET .../exec` upgrade to a WebSocket. Messages are binary; the first byte is the channel:\n"
    "\n"
    "| byte | direction | then |\n"
    "| --- | --- | --- |\n"
    "| 0 | to the VM | input; no bytes at all: the end of input |\n"
    "| 1 | from the VM | output |\n"
    "| 2 | from the VM | error output |\n"
    "| 3 | from the VM | how it ended, as JSON: `{\"exit_status\": 0}` or a problem; then the socket is closed |\n"
    "| 4 | to the VM | size of the terminal, as JSON: `{\"rows\": 24, \"cols\": 80}` |\n"
    "\n"
    "Messages to the VM have at most 64 KiB. A side that does not read is waited for.\n";

static void add_codes(struct buf *out)
{
    for (int s = ST_OK + 1; s < ST_COUNT; s++)
        buf_fmt(out, "| `%s` | %u | %d | %s |\n", status_code((enum status)s),
                status_http((enum status)s), status_exit((enum status)s),
                problem_title((enum status)s));
}

/* --- fields --- */

static const char *type_word(const ProtobufCFieldDescriptor *f, enum schema_format format)
{
    switch (format) {
    case SCHEMA_NAME: return "name";
    case SCHEMA_UID: return "uid";
    case SCHEMA_DIGEST: return "digest";
    case SCHEMA_TIME_NS: return "RFC 3339 time";
    case SCHEMA_MEBIBYTES: return "MiB";
    case SCHEMA_BYTES: return "bytes";
    case SCHEMA_DURATION_MS: return "milliseconds";
    case SCHEMA_PATH: return "path";
    case SCHEMA_IPV4: return "IPv4 address";
    case SCHEMA_MAC: return "hardware address";
    default: break;
    }
    if (f->type == PROTOBUF_C_TYPE_BOOL)
        return "true or false";
    return f->type == PROTOBUF_C_TYPE_STRING ? "text" : "number";
}

/* A link to where nouns.md tells of it: its anchor is the name in lower case. */
static void add_link(struct buf *out, const char *name)
{
    buf_fmt(out, "[%s](nouns.md#", name);
    for (const char *p = name; *p; p++)
        buf_char(out, (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p));
    buf_char(out, ')');
}

static void add_type(struct buf *out, const ProtobufCFieldDescriptor *f,
                     const struct schema_field *about)
{
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        buf_text(out, "list of ");
    if (f->type == PROTOBUF_C_TYPE_MESSAGE)
        add_link(out, ((const ProtobufCMessageDescriptor *)f->descriptor)->short_name);
    else if (f->type == PROTOBUF_C_TYPE_ENUM)
        add_link(out, ((const ProtobufCEnumDescriptor *)f->descriptor)->short_name);
    else
        buf_text(out, type_word(f, about->format));
}

static void add_default(struct buf *out, const ProtobufCFieldDescriptor *f)
{
    if (!f->default_value)
        return;
    if (f->type == PROTOBUF_C_TYPE_BOOL) {
        protobuf_c_boolean v;
        memcpy(&v, f->default_value, sizeof v);
        buf_fmt(out, "; default %s", v ? "true" : "false");
    } else if (f->type == PROTOBUF_C_TYPE_UINT32) {
        uint32_t v;
        memcpy(&v, f->default_value, sizeof v);
        buf_fmt(out, "; default %" PRIu32, v);
    } else if (f->type == PROTOBUF_C_TYPE_UINT64) {
        uint64_t v;
        memcpy(&v, f->default_value, sizeof v);
        buf_fmt(out, "; default %" PRIu64, v);
    }
}

static void add_fields(struct buf *out, const char *where, const ProtobufCMessageDescriptor *desc)
{
    if (desc->n_fields == 0)
        return;
    buf_fmt(out, "\n| %s | type | |\n| --- | --- | --- |\n", where);
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const struct schema_field *about = schema_field(desc, &desc->fields[i]);
        buf_fmt(out, "| `%s` | ", desc->fields[i].name);
        add_type(out, &desc->fields[i], about);
        buf_fmt(out, " | %s%s", about->doc, about->required ? "; required" : "");
        add_default(out, &desc->fields[i]);
        buf_text(out, " |\n");
    }
}

/* --- operations --- */

static void add_answer(struct buf *out, const struct op *op)
{
    buf_text(out, "\nAnswers ");
    if (op->flags & OP_SOCKET)
        buf_text(out, "101 and a WebSocket, see [above](#consoles-and-processes)");
    else if (op->id == OP_EVENTS)
        buf_text(out, "server-sent events, see [above](#events)");
    else if (op->flags & OP_STREAM)
        buf_text(out, "the bytes, as they come");
    else if (op->flags & OP_RAW)
        buf_text(out, "the text");
    else if (!op->response)
        buf_text(out, "204");
    else if (op->flags & OP_LIST)
        buf_text(out, "a list of ");
    else if (op->flags & OP_SLOW)
        buf_text(out, "202 and an ");
    else
        buf_text(out, "the ");
    bool says_type = op->response && !(op->flags & OP_STREAM);
    if (says_type && schema_message(op->response)->plural)
        add_link(out, op->response->short_name);
    else if (says_type)
        buf_fmt(out, "%s", op->response->short_name);
    buf_text(out, ".\n");
}

static void add_op(struct buf *out, const struct op *op)
{
    buf_fmt(out, "\n### %s\n\n%s.\n\n`%s %s`", op->name, op->doc, op->method, op->path);
    if (op->flags & OP_OPEN)
        buf_text(out, ", for everybody\n");
    else
        buf_fmt(out, ", role `%s`\n", schema_word(&pb__role__descriptor, (int)op->role));
    bool body = strcmp(op->method, "POST") == 0 || strcmp(op->method, "PATCH") == 0;
    add_fields(out, body ? "in the body" : "in the query", op->request);
    if (op->flags & OP_UPLOAD)
        buf_text(out, "\nThe body is the content of the file; `Content-Length` must be there.\n");
    add_answer(out, op);
    if (op->response && !schema_message(op->response)->plural)
        add_fields(out, "in the answer", op->response);
    buf_char(out, '\n');
    for (int i = 0; i < 2 && op->examples[i]; i++)
        buf_fmt(out, "    %s\n", op->examples[i]);
}

void apidoc_page(struct buf *out)
{
    size_t count;
    const struct op *op = op_table(&count);
    struct str last = {"", 0};
    buf_text(out, intro);
    add_codes(out);
    buf_text(out, streams);
    for (size_t i = 0; i < count; i++) {
        struct str rest = str_from(op[i].name), noun;
        bool verb = str_cut(&rest, '.', &noun);
        if (!verb)
            noun = STR("other");
        if (!str_eq(noun, last))
            buf_fmt(out, "\n## %.*s\n", STR_ARG(noun));
        last = noun;
        add_op(out, &op[i]);
    }
}
