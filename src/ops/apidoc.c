#include "ops/apidoc.h"

#include <string.h>

#include "ops/run.h"
#include "wire/openapi.h"
#include "wire/schema.h"

static void set(json_t *object, const char *key, json_t *value) /* value is taken */
{
    int failed = json_object_set_new(object, key, value);
    ensure(!failed);
}

static void append(json_t *list, json_t *value) /* value is taken */
{
    int failed = json_array_append_new(list, value);
    ensure(!failed);
}

static json_t *object_of(const char *key, json_t *value) /* value is taken */
{
    json_t *o = json_object();
    set(o, key, value);
    return o;
}

static json_t *shared(const char *where, const char *name)
{
    return object_of("$ref", json_sprintf("#/components/%s/%s", where, name));
}

static json_t *typed(const char *type)
{
    return object_of("type", json_string(type));
}

/* --- parameters --- */

static json_t *parameter(const char *name, const char *where, const char *doc, bool required,
                         json_t *schema) /* schema is taken */
{
    json_t *p = json_object();
    set(p, "name", json_string(name));
    set(p, "in", json_string(where));
    set(p, "description", json_string(doc));
    if (required)
        set(p, "required", json_true());
    set(p, "schema", schema);
    return p;
}

/* Those that many operations have, once. */
static json_t *shared_parameters(void)
{
    json_t *all = json_object(), *consistency = typed("string");
    set(consistency, "enum", json_pack("[ss]", "linear", "local"));
    set(consistency, "default", json_string("linear"));
    set(all, "Name",
        parameter("name", "path", "A name, a uid, or the first 4 or more digits of a uid", true,
                  typed("string")));
    set(all, "Consistency",
        parameter("consistency", "query",
                  "linear: all that was answered before is seen; local: what this node has applied",
                  false, consistency));
    set(all, "Project",
        parameter("project", "query", "Project in which the name is looked up; default if left out",
                  false, typed("string")));
    set(all, "IdempotencyKey",
        parameter(
            "Idempotency-Key", "header",
            "At most 128 bytes; the same request with the same key is carried out once, and answered alike, until some 10,000 later keys were used in the cluster",
            false, typed("string")));
    set(all, "IfMatch",
        parameter("If-Match", "header", "An ETag: done only if the object is still that version",
                  false, typed("string")));
    set(all, "IfNoneMatch",
        parameter("If-None-Match", "header", "An ETag: 304 if the object is still that version",
                  false, typed("string")));
    set(all, "Prefer",
        parameter("Prefer", "header",
                  "wait=N: wait up to N seconds (600 at most) for the operation to end", false,
                  typed("string")));
    set(all, "LastEventId",
        parameter("Last-Event-ID", "header", "Go on after this event; goes before `since`", false,
                  typed("string")));
    return all;
}

static void add_query(json_t *list, const ProtobufCMessageDescriptor *desc)
{
    json_t *schema = openapi_schema(desc, OPENAPI_OBJECT);
    json_t *properties = json_object_get(schema, "properties");
    for (unsigned i = 0; i < desc->n_fields; i++) {
        const struct schema_field *about = schema_field(desc, &desc->fields[i]);
        json_t *field = json_object_get(properties, desc->fields[i].name);
        append(list, parameter(desc->fields[i].name, "query", about->doc, about->required,
                               json_deep_copy(field)));
    }
    json_decref(schema);
}

static bool sends_body(const struct op *op)
{
    return strcmp(op->method, "POST") == 0 || strcmp(op->method, "PATCH") == 0;
}

static bool shows_object(const struct op *op)
{
    return strcmp(op->method, "GET") == 0 && op->response && !(op->flags & (OP_LIST | OP_STREAM));
}

static json_t *parameters(const struct op *op)
{
    json_t *list = json_array();
    if (strchr(op->path, '{'))
        append(list, shared("parameters", "Name"));
    if (op->flags & OP_PROJECT)
        append(list, shared("parameters", "Project"));
    if (!sends_body(op))
        add_query(list, op->request);
    if (op->id == OP_LIVEZ || op->id == OP_READYZ)
        append(list,
               parameter("verbose", "query", "One line for each check", false, typed("boolean")));
    if (!(op->flags & (OP_RAW | OP_OPEN)))
        append(list, shared("parameters", "Consistency"));
    if (op->flags & OP_MUTATES) {
        append(list, shared("parameters", "IdempotencyKey"));
        append(list, shared("parameters", "IfMatch"));
    }
    if (op->flags & OP_SLOW)
        append(list, shared("parameters", "Prefer"));
    if (shows_object(op))
        append(list, shared("parameters", "IfNoneMatch"));
    if (op->id == OP_EVENTS)
        append(list, shared("parameters", "LastEventId"));
    return list;
}

/* --- bodies --- */

static json_t *content(const char *type, json_t *schema) /* schema is taken */
{
    return object_of(type, object_of("schema", schema));
}

static json_t *bytes(const char *type)
{
    return content(type, json_object());
}

static json_t *request_body(const struct op *op)
{
    json_t *body = json_object();
    if (op->flags & OP_UPLOAD) {
        set(body, "content", bytes("application/octet-stream"));
        set(body, "required", json_true());
        return body;
    }
    bool patch = strcmp(op->method, "PATCH") == 0;
    set(body, "content",
        content(patch ? "application/merge-patch+json" : "application/json",
                openapi_ref(op->request, patch ? OPENAPI_PATCH : OPENAPI_OBJECT)));
    return body;
}

static json_t *answer(const char *doc, json_t *what) /* what is taken, may be NULL */
{
    json_t *a = object_of("description", json_string(doc));
    if (what)
        set(a, "content", what);
    return a;
}

static void add_headers(json_t *a, const char *const *names)
{
    json_t *headers = json_object();
    for (size_t i = 0; names[i]; i++)
        set(headers, names[i], shared("headers", names[i]));
    set(a, "headers", headers);
}

static json_t *list_schema(const struct op *op)
{
    json_t *properties = json_object(), *items = typed("array"), *s = typed("object");
    set(items, "items", openapi_ref(op->response, OPENAPI_OBJECT));
    set(properties, "items", items);
    json_t *next = typed("string"), *index = typed("integer");
    set(next, "description", json_string("`cursor` of the page after this; absent on the last"));
    set(index, "description", json_string("Log index of the state that was listed"));
    set(properties, "next", next);
    set(properties, "index", index);
    set(s, "properties", properties);
    set(s, "required", json_pack("[ss]", "items", "index"));
    return s;
}

/* The object that a slow operation is about, as a dry run answers it. */
static const ProtobufCMessageDescriptor *noun_of(const struct op *op)
{
    enum object_kind kind;
    bool known = run_kind(op, &kind);
    ensure(known);
    return object_descriptor(kind);
}

static void add_slow(json_t *all, const struct op *op)
{
    static const char *const found[] = {"Blixard-Index", "ETag", "Location", NULL};
    json_t *later = answer("It goes on; Location is its operation",
                           content("application/json", openapi_ref(op->response, OPENAPI_OBJECT)));
    add_headers(later, found);
    set(all, "202", later);
    json_t *either = json_array();
    append(either, openapi_ref(op->response, OPENAPI_OBJECT));
    append(either, openapi_ref(noun_of(op), OPENAPI_OBJECT));
    json_t *now =
        answer("The operation, when it has ended; in a dry run, the object as it would be",
               content("application/json", object_of("anyOf", either)));
    static const char *const done[] = {"Blixard-Index", "ETag", "Location", "Blixard-Dry-Run",
                                       NULL};
    add_headers(now, done);
    set(all, "200", now);
}

static void add_stream(json_t *all, const struct op *op)
{
    if (op->id == OP_EVENTS)
        set(all, "200",
            answer("Server-sent events: id is the event's place, event its type, data the event; "
                   "`reset` tells that events in between are lost",
                   content("text/event-stream", openapi_ref(op->response, OPENAPI_OBJECT))));
    else
        set(all, "200", answer("The bytes, as they come", bytes("application/octet-stream")));
}

static void add_plain(json_t *all, const struct op *op)
{
    static const char *const headers[] = {"Blixard-Index", "ETag", NULL};
    bool makes = strcmp(op->method, "POST") == 0 && op->flags & OP_MUTATES;
    if (op->flags & OP_RAW) {
        bool json = op->id == OP_OPENAPI;
        set(all, "200",
            answer("It is so", json ? content("application/json", typed("object"))
                                    : content("text/plain", typed("string"))));
        if (op->flags & OP_OPEN)
            set(all, "503", answer("It is not so", content("text/plain", typed("string"))));
    } else if (op->response) {
        json_t *a = answer(makes ? "It was made" : "It is so",
                           content("application/json", openapi_ref(op->response, OPENAPI_OBJECT)));
        add_headers(a, headers);
        set(all, makes ? "201" : "200", a);
    } else {
        set(all, "204", answer("It was done", NULL));
    }
    if (shows_object(op))
        set(all, "304", answer("The object is still the version of If-None-Match", NULL));
}

static json_t *responses(const struct op *op)
{
    json_t *all = json_object();
    if (op->flags & OP_SLOW)
        add_slow(all, op);
    else if (op->flags & OP_LIST)
        set(all, "200", answer("A page of the list", content("application/json", list_schema(op))));
    else if (op->flags & OP_STREAM)
        add_stream(all, op);
    else if (op->flags & OP_SOCKET)
        set(all, "101", answer("A WebSocket; docs/reference/api.md tells its messages", NULL));
    else
        add_plain(all, op);
    set(all, "default", shared("responses", "Problem"));
    return all;
}

/* --- the document --- */

static void add_schemas(json_t *schemas, const struct op *op)
{
    if (sends_body(op))
        openapi_add(schemas, op->request,
                    strcmp(op->method, "PATCH") == 0 ? OPENAPI_PATCH : OPENAPI_OBJECT);
    if (op->response)
        openapi_add(schemas, op->response, OPENAPI_OBJECT);
    if (op->flags & OP_SLOW)
        openapi_add(schemas, noun_of(op), OPENAPI_OBJECT);
}

/* What a request over the network needs; on the unix socket the kernel says who asks. */
static json_t *security(const struct op *op)
{
    json_t *any = json_array();
    if (!(op->flags & OP_OPEN))
        append(any, object_of("token", json_array()));
    return any;
}

static json_t *security_schemes(void)
{
    json_t *token = json_object();
    set(token, "type", json_string("http"));
    set(token, "scheme", json_string("bearer"));
    set(token, "bearerFormat", json_string("blx_svc_..."));
    set(token, "description",
        json_string("A token of `blixard token create`, over HTTPS; the unix socket needs none"));
    return object_of("token", token);
}

static json_t *operation(const struct op *op)
{
    json_t *o = json_object();
    struct str rest = str_from(op->name), noun;
    (void)str_cut(&rest, '.', &noun);
    set(o, "operationId", json_string(op->name));
    set(o, "tags", json_pack("[o]", json_stringn(noun.ptr, noun.len)));
    set(o, "summary", json_string(op->doc));
    set(o, "parameters", parameters(op));
    if (sends_body(op) || op->flags & OP_UPLOAD)
        set(o, "requestBody", request_body(op));
    set(o, "responses", responses(op));
    set(o, "security", security(op));
    if (!(op->flags & OP_OPEN))
        set(o, "x-blixard-role", json_string(schema_word(&pb__role__descriptor, (int)op->role)));
    return o;
}

static void add_path(json_t *paths, const struct op *op)
{
    json_t *path = json_object_get(paths, op->path);
    char method[8] = "";
    for (size_t i = 0; op->method[i] && i + 1 < sizeof method; i++)
        method[i] = (char)(op->method[i] | 0x20); /* to lower case: it is A-Z alone */
    if (!path) {
        path = json_object();
        set(paths, op->path, path);
    }
    set(path, method, operation(op));
}

static json_t *header(const char *doc, const char *type)
{
    json_t *h = object_of("description", json_string(doc));
    set(h, "schema", typed(type));
    return h;
}

static json_t *shared_headers(void)
{
    json_t *all = json_object();
    set(all, "Blixard-Index", header("Log index of the state that answered", "integer"));
    set(all, "ETag", header("The object's version: the log index of its last change", "string"));
    set(all, "Location", header("Where the operation, or what was made, is found", "string"));
    set(all, "Blixard-Dry-Run", header("What only a real run finds out", "string"));
    return all;
}

static json_t *problem_schema(void)
{
    static const char *const text[][2] = {
        {"type", "urn:blixard:problem: and the code"},
        {"title", "The code in words"},
        {"code", "Stable code, such as not_found"},
        {"detail", "What happened"},
        {"hint", "What to do"},
        {"field", "Which field of the request was wrong, such as spec.vcpus"},
        {"trace_id", "Trace id of the request's traceparent"},
    };
    json_t *s = typed("object"), *properties = json_object();
    for (size_t i = 0; i < ARRAY_COUNT(text); i++) {
        json_t *p = typed("string");
        set(p, "description", json_string(text[i][1]));
        set(properties, text[i][0], p);
    }
    set(properties, "status", typed("integer"));
    set(s, "description", json_string("Why a request failed (RFC 9457)"));
    set(s, "properties", properties);
    set(s, "required", json_pack("[ssss]", "type", "title", "status", "code"));
    return s;
}

static json_t *components(const struct op *op, size_t count)
{
    json_t *all = json_object(), *schemas = json_object();
    for (size_t i = 0; i < count; i++)
        add_schemas(schemas, &op[i]);
    set(schemas, "ProblemDetails", problem_schema());
    set(all, "schemas", schemas);
    set(all, "securitySchemes", security_schemes());
    set(all, "parameters", shared_parameters());
    set(all, "headers", shared_headers());
    set(all, "responses",
        object_of("Problem", answer("It failed", content("application/problem+json",
                                                         shared("schemas", "ProblemDetails")))));
    return all;
}

json_t *apidoc_openapi(const char *version)
{
    size_t count;
    const struct op *op = op_table(&count);
    json_t *doc = json_object(), *info = json_object(), *license = json_object();
    set(license, "name", json_string("Apache-2.0"));
    set(license, "identifier", json_string("Apache-2.0"));
    set(info, "title", json_string("Blixard"));
    set(info, "version", json_string(version));
    set(info, "license", license);
    json_t *server = object_of("url", json_string("http://localhost"));
    set(server, "description", json_string("The unix socket of a node"));
    json_t *remote = object_of("url", json_string("https://{node}:7003")), *node = json_object();
    set(remote, "description", json_string("A node that listens on the network: api.listen"));
    set(node, "default", json_string("localhost"));
    set(remote, "variables", object_of("node", node));
    json_t *paths = json_object();
    for (size_t i = 0; i < count; i++)
        add_path(paths, &op[i]);
    set(doc, "openapi", json_string("3.1.0"));
    set(doc, "info", info);
    set(doc, "servers", json_pack("[oo]", server, remote));
    set(doc, "paths", paths);
    set(doc, "components", components(op, count));
    return doc;
}

void openapi_op_show(struct op_run *r)
{
    run_json(r, 200, apidoc_openapi(r->ops->config.version));
}
