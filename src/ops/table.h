/*
 * table: every operation that Blixard offers, once.
 *
 * From these rows come REST routes, OpenAPI, the command line's verbs and flags, completion and the
 * reference page. A row says what is sent and answered by message descriptors; docs, units and
 * limits of the fields come from wire/schema.h.
 *
 * Beyond what a row names, every request may carry `consistency` (linear or local) in its query.
 */
#pragma once

#include "base/str.h"
#include "pb/api.pb-c.h"
#include "pb/token.pb-c.h"

enum op_flag {
    OP_MUTATES = 1 << 0, /* proposes a command: Idempotency-Key, If-Match */
    OP_SLOW = 1 << 1, /* answers an Operation, 202 while it runs and 200 when it ended already; the
                         command line waits for it. A dry run answers the object, with 200 */
    OP_LIST = 1 << 2, /* answers {"items": [...], "next", "index"} of `response` */
    OP_STREAM = 1 << 3,   /* answers bytes as they come: logs, files, server-sent events */
    OP_SOCKET = 1 << 4,   /* upgrades to WebSocket: console, exec */
    OP_UPLOAD = 1 << 5,   /* the request's body is the content of a file, `request` is the query */
    OP_DESTROYS = 1 << 6, /* the command line asks first on a terminal, needs --yes elsewhere */
    OP_OPEN = 1 << 7,     /* needs no credential (health) */
    OP_BY_HAND = 1 << 8,  /* the command line has its own code for it */
    OP_PROJECT = 1 << 9,  /* {name} is looked up in a project: `project` in the query, or default */
    OP_RAW = 1 << 10,     /* no verb of the command line's: `blixard api` reaches it */
    OP_PLACED = 1 << 11,  /* for the node that {name} is, or is on */
};

/* In the order of docs. */
enum op_id {
    OP_VM_CREATE,
    OP_VM_LS,
    OP_VM_SHOW,
    OP_VM_UPDATE,
    OP_VM_DELETE,
    OP_VM_START,
    OP_VM_STOP,
    OP_VM_RESTART,
    OP_VM_PAUSE,
    OP_VM_RESUME,
    OP_VM_LOGS,
    OP_VM_CONSOLE,
    OP_VM_EXEC,
    OP_VM_PUSH,
    OP_VM_PULL,
    OP_VM_STATS,
    OP_IMAGE_BUILD,
    OP_IMAGE_IMPORT,
    OP_IMAGE_LS,
    OP_IMAGE_SHOW,
    OP_IMAGE_DELETE,
    OP_NODE_LS,
    OP_NODE_SHOW,
    OP_NODE_SHUTDOWN,
    OP_NODE_TOKEN,
    OP_NODE_REMOVE,
    OP_CLUSTER_SHOW,
    OP_CLUSTER_MEMBERS,
    OP_CLUSTER_TRANSFER_LEADER,
    OP_TENANT_CREATE,
    OP_TENANT_LS,
    OP_TENANT_SHOW,
    OP_TENANT_DELETE,
    OP_PROJECT_CREATE,
    OP_PROJECT_LS,
    OP_PROJECT_SHOW,
    OP_PROJECT_DELETE,
    OP_TOKEN_CREATE,
    OP_TOKEN_LS,
    OP_TOKEN_SHOW,
    OP_TOKEN_REVOKE,
    OP_OP_LS,
    OP_OP_SHOW,
    OP_OP_WAIT,
    OP_OP_CANCEL,
    OP_EVENTS,
    OP_VERSION,
    OP_OPENAPI,
    OP_LIVEZ,
    OP_READYZ,
    OP_METRICS,
    OP_COUNT
};

struct op {
    const char *name;   /* "vm.create": noun and verb of the command line */
    const char *method; /* "POST" */
    const char *path;   /* "/v1/vms/{name}/start"; {name} is a name, a uid or the start of one; of
                           nodes, "-" is the one that answers */
    const char *doc;    /* one sentence, no full stop */
    /* Positional arguments of the command line: "NAME", "[NAME]", "NAME COMMAND..." or "". The
     * first stands for {name}, or for the field `name` of the body. A [NAME] left out is "-" in the
     * path, and no field in the body. */
    const char *args;
    Pb__Role role;           /* the least that may; of OP_OPEN none is needed */
    const char *examples[2]; /* whole command lines; the second may be NULL */
    unsigned flags;
    const ProtobufCMessageDescriptor *request;  /* body for POST, PUT, PATCH; query otherwise */
    const ProtobufCMessageDescriptor *response; /* NULL: no body, or bytes */
    enum op_id id;
};

/* All rows, in the order of docs; *ret_count of them. */
const struct op *op_table(size_t *ret_count);
const struct op *op_get(enum op_id id);
const struct op *op_find(const char *name); /* NULL when there is none */
/* The row of a request. ret_param: what stood for {name}, still percent-encoded, or empty.
 * NULL: *ret_allowed lists the methods of that path ("GET, DELETE"), or is "" for an unknown path. */
const struct op *op_route(struct str method, struct str path, struct str *ret_param,
                          char ret_allowed[64]);
