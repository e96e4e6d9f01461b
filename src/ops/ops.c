#include "ops/ops.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/digest.h"
#include "ops/problem.h"
#include "ops/remote.h"
#include "ops/run.h"
#include "wire/check.h"
#include "wire/json.h"
#include "wire/proto.h"
#include "wire/schema.h"

/* The code of each row. */
static run_handler *const handlers[OP_COUNT] = {
    [OP_VM_CREATE] = vm_op_create,
    [OP_VM_LS] = object_op_list,
    [OP_VM_SHOW] = object_op_show,
    [OP_VM_UPDATE] = vm_op_update,
    [OP_VM_DELETE] = object_op_delete,
    [OP_VM_START] = vm_op_power,
    [OP_VM_STOP] = vm_op_power,
    [OP_VM_RESTART] = vm_op_power,
    [OP_VM_PAUSE] = vm_op_power,
    [OP_VM_RESUME] = vm_op_power,
    [OP_VM_LOGS] = vm_op_stream,
    [OP_VM_CONSOLE] = vm_op_stream,
    [OP_VM_EXEC] = vm_op_stream,
    [OP_VM_PUSH] = vm_op_stream,
    [OP_VM_PULL] = vm_op_stream,
    [OP_VM_STATS] = vm_op_stats,
    [OP_IMAGE_BUILD] = image_op_create,
    [OP_IMAGE_IMPORT] = image_op_create,
    [OP_IMAGE_LS] = object_op_list,
    [OP_IMAGE_SHOW] = object_op_show,
    [OP_IMAGE_DELETE] = object_op_delete,
    [OP_NODE_LS] = object_op_list,
    [OP_NODE_SHOW] = node_op_show,
    [OP_NODE_SHUTDOWN] = node_op_shutdown,
    [OP_NODE_TOKEN] = node_op_token,
    [OP_NODE_REMOVE] = object_op_delete,
    [OP_CLUSTER_SHOW] = cluster_op_show,
    [OP_CLUSTER_MEMBERS] = member_op_list,
    [OP_CLUSTER_TRANSFER_LEADER] = member_op_transfer,
    [OP_TENANT_CREATE] = tenant_op_create,
    [OP_TENANT_LS] = object_op_list,
    [OP_TENANT_SHOW] = object_op_show,
    [OP_TENANT_DELETE] = object_op_delete,
    [OP_PROJECT_CREATE] = project_op_create,
    [OP_PROJECT_LS] = object_op_list,
    [OP_PROJECT_SHOW] = object_op_show,
    [OP_PROJECT_DELETE] = object_op_delete,
    [OP_TOKEN_CREATE] = token_op_create,
    [OP_TOKEN_LS] = object_op_list,
    [OP_TOKEN_SHOW] = object_op_show,
    [OP_TOKEN_REVOKE] = object_op_delete,
    [OP_OP_LS] = object_op_list,
    [OP_OP_SHOW] = operation_op_show,
    [OP_OP_WAIT] = operation_op_wait,
    [OP_OP_CANCEL] = operation_op_cancel,
    [OP_EVENTS] = event_op_watch,
    [OP_VERSION] = cluster_op_version,
    [OP_OPENAPI] = openapi_op_show,
    [OP_LIVEZ] = health_op_live,
    [OP_READYZ] = health_op_ready,
    [OP_METRICS] = health_op_metrics,
};

struct ops *ops_new(struct node *n, const struct ops_config *c)
{
    struct ops *o = NEW(struct ops);
    o->node = n;
    o->config = *c;
    list_init(&o->runs);
    o->watch.applied = run_applied;
    o->watch.restored = run_restored;
    node_watch_add(n, &o->watch);
    return o;
}

void ops_free(struct ops *o)
{
    struct fault why;
    (void)fault_set(&why, ST_UNAVAILABLE, "the daemon stops");
    while (!list_empty(&o->runs))
        run_fail(CONTAINER_OF(o->runs.next, struct op_run, item), &why);
    node_watch_cut(&o->watch);
    free(o);
}

struct node *ops_node(struct ops *o)
{
    return o->node;
}

enum status ops_may(const struct op_caller *who, const struct op *op, struct fault *why)
{
    if (op->flags & OP_OPEN)
        return ST_OK;
    if (who->actor[0] == 0)
        return fault_set(why, ST_UNAUTHENTICATED, "it is not known who asks");
    if (who->role >= op->role)
        return ST_OK;
    const char *need = schema_word(&pb__role__descriptor, (int)op->role);
    if (who->role == PB__ROLE__ROLE_NONE) {
        (void)fault_set(why, ST_DENIED, "%s may not %s", who->actor, op->name);
        fault_hint(why, "only root and members of the group of the socket may");
    } else {
        (void)fault_set(why, ST_DENIED, "%s may not %s: it needs the role %s, and has %s",
                        who->actor, op->name, need,
                        schema_word(&pb__role__descriptor, (int)who->role));
        fault_hint(why, "an admin can make such a token: blixard token create NAME --role %s",
                   need);
    }
    return ST_DENIED;
}

/* --- take a call apart --- */

static const char *const query_common[] = {"consistency", NULL};
static const char *const query_project[] = {"consistency", "project", NULL};
/* /livez?verbose, as others have it. */
static const char *const query_health[] = {"consistency", "verbose", NULL};

static bool has_body(const struct op *op)
{
    static const char *const methods[] = {"POST", "PATCH"};
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++)
        if (strcmp(op->method, methods[i]) == 0)
            return true;
    return false;
}

static enum status parse_common(struct op_run *r, struct fault *why)
{
    const char *consistency = query_get(&r->query, "consistency");
    r->local = consistency && strcmp(consistency, "local") == 0;
    if (consistency && !r->local && strcmp(consistency, "linear") != 0) {
        (void)fault_set(why, ST_INVALID, "consistency is linear or local");
        fault_field(why, "consistency");
        return ST_INVALID;
    }
    const char *project = r->op->flags & OP_PROJECT ? query_get(&r->query, "project") : NULL;
    (void)snprintf(r->project, sizeof r->project, "%s", project ? project : "default");
    if (project && !check_is_name(project)) {
        (void)fault_set(why, ST_INVALID, "that is no name of a project");
        fault_field(why, "project");
        return ST_INVALID;
    }
    return ST_OK;
}

static enum status parse_query(struct op_run *r, struct str text, struct fault *why)
{
    enum status s = query_parse(&r->query, text, why);
    if (s == ST_OK)
        s = parse_common(r, why);
    if (s != ST_OK)
        return s;
    const char *const *also = query_common;
    if (r->op->flags & OP_PROJECT)
        also = query_project;
    else if (r->op->flags & OP_RAW)
        also = query_health;
    if (!has_body(r->op))
        return query_message(&r->query, r->op->request, also, &r->request, why);

    ProtobufCMessage *none = NULL;
    s = query_message(&r->query, &pb__empty__descriptor, also, &none, why);
    proto_free(none);
    return s;
}

static enum status parse_body(struct op_run *r, struct str text, struct fault *why)
{
    if (!has_body(r->op))
        return text.len == 0 || r->op->flags & OP_UPLOAD
                   ? ST_OK
                   : fault_set(why, ST_INVALID, "%s takes no body", r->op->name);
    json_t *v = NULL;
    if (text.len == 0)
        text = STR("{}");
    enum status s = json_parse(text, OPS_BODY_MAX, &v, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "body");
    s = json_to_message(r->op->request, v, JSON_WHOLE, &r->request, why);
    r->patch = v;
    return s;
}

/* {name}: what no name or uid can be is not looked for. */
static enum status parse_name(struct op_run *r, struct str encoded, struct fault *why)
{
    char text[3 * RUN_NAME_MAX];
    if (encoded.len >= RUN_NAME_MAX)
        return fault_set(why, ST_INVALID, "a name has at most 63 characters");
    enum status s = query_unescape(encoded, false, text, why);
    if (s == ST_OK)
        s = str_copy(str_from(text), r->name, sizeof r->name, why);
    return s;
}

/* "123" with its quotes, as ETag gives it; * means any. */
static enum status parse_if_match(struct op_run *r, struct str text, struct fault *why)
{
    if (text.len == 0 || str_is(text, "*"))
        return ST_OK;
    enum status s = ST_INVALID;
    if (text.len > 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
        s = str_u64((struct str){text.ptr + 1, text.len - 2}, 1, UINT64_MAX, &r->if_index, why);
    if (s != ST_OK) {
        (void)fault_set(why, ST_INVALID, "If-Match is * or one ETag, such as \"123\"");
        fault_hint(why, "take it from the ETag of an answer");
        return ST_INVALID;
    }
    r->has_if = true;
    return ST_OK;
}

/* The same key, caller and operation give the same id: the command is applied once. */
static void key_to_id(struct op_run *r, struct str key)
{
    uint8_t digest[DIGEST_SIZE];
    AUTO(buf_done) struct buf text;
    buf_init(&text, OPS_KEY_MAX + OPS_ACTOR_MAX + 2 * RUN_NAME_MAX + 64);
    buf_fmt(&text, "%s\n%s\n%s\n%s\n", r->actor, r->op->name, r->project, r->name);
    buf_str(&text, key);
    digest_of(text.ptr, text.len, digest);
    memcpy(r->key.id, digest, sizeof r->key.id);
}

/* What was asked, as it was sent: a retry repeats it byte for byte. */
static void request_digest(const struct op_call *c, uint8_t out[COMMAND_REQUEST_SIZE])
{
    const struct str parts[] = {c->if_match, c->query, c->body};
    uint8_t all[DIGEST_SIZE];
    struct digest d;
    digest_init(&d);
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
        digest_add(&d, &parts[i].len, sizeof parts[i].len);
        digest_add(&d, parts[i].ptr, parts[i].len);
    }
    digest_end(&d, all);
    memcpy(out, all, COMMAND_REQUEST_SIZE);
}

static enum status parse_key(struct op_run *r, const struct op_call *c, struct fault *why)
{
    struct str key = c->idempotency_key;
    if (key.len > OPS_KEY_MAX)
        return fault_set(why, ST_TOO_BIG, "Idempotency-Key: %zu bytes are more than %d", key.len,
                         OPS_KEY_MAX);
    r->has_key = key.len > 0;
    if (r->has_key) {
        key_to_id(r, key);
        request_digest(c, r->key.request);
    }
    return ST_OK;
}

/* 00-<32 hex>-<16 hex>-<2 hex> (W3C Trace Context); anything else is as none. */
static void parse_trace(struct op_run *r, struct str text)
{
    char id[16];
    if (text.len != 55 || !str_starts(text, "00-") ||
        str_unhex((struct str){text.ptr + 3, 32}, id, sizeof id, NULL) != ST_OK)
        return;
    if (str_copy(text, r->traceparent, sizeof r->traceparent, NULL) == ST_OK)
        memcpy(r->answer.trace_id, text.ptr + 3, 32);
}

static void keep(struct str text, char *out, size_t size)
{
    if (str_copy(text, out, size, NULL) != ST_OK)
        out[0] = 0; /* longer than what we ever gave: as if it were not there */
}

static enum status parse(struct op_run *r, const struct op_call *c, struct fault *why)
{
    parse_trace(r, c->traceparent);
    keep(c->if_none_match, r->if_none_match, sizeof r->if_none_match);
    r->open_metrics = c->open_metrics;
    keep(c->last_event_id, r->last_event_id, sizeof r->last_event_id);
    r->wait_ms = MIN(c->wait_ms, OPS_WAIT_MAX_MS);
    enum status s = parse_name(r, c->name, why);
    if (s == ST_OK)
        s = parse_query(r, c->query, why);
    if (s == ST_OK)
        s = parse_body(r, c->body, why);
    if (s == ST_OK)
        s = parse_if_match(r, c->if_match, why);
    if (s == ST_OK)
        s = parse_key(r, c, why);
    /* A merge patch lacks what it does not change: its result is checked. */
    if (s == ST_OK && r->op->id != OP_VM_UPDATE)
        s = check_message(r->request, CHECK_REQUEST, why);
    return s;
}

/* --- run --- */

static void read_done(void *ctx, enum status s, const struct fault *why,
                      const struct apply_result *unused)
{
    (void)unused;
    struct op_run *r = ctx;
    r->asks = false;
    if (s != ST_OK)
        run_fail(r, why);
    else if (!run_answered(r))
        handlers[r->op->id](r);
}

static void told(void *ctx, struct op_answer *a)
{
    run_told(ctx, a);
}

/* Let another node do it: only a call that nobody handed to this one, and that is one answer. "-" means this node
 * there too. */
static bool hand_on(struct op_run *r, const struct op_call *c, uint32_t to)
{
    struct ops_remote *remote = r->ops->config.remote;
    const struct object *self = cluster_node(run_cluster(r), node_number(r->ops->node));
    if (!remote || c->asked || r->opened || r->feed || to == 0 || !self)
        return false;
    struct op_call all = *c;
    all.asked = r->asked;
    if (str_is(c->name, "-"))
        all.name = str_from(object_uid(self));
    r->handed = true;
    remote->call(remote, to, &all, told, r);
    return true;
}

/* The node that a placed call is for, as far as this one knows; 0: it does not. */
static uint32_t place_of(const struct op_run *r)
{
    enum object_kind kind;
    struct object *o = NULL;
    const char *project = r->op->flags & OP_PROJECT ? r->project : NULL;
    if (!run_kind(r->op, &kind) || strcmp(r->name, "-") == 0)
        return node_number(r->ops->node);
    if (cluster_resolve(run_cluster(r), kind, project, r->name, &o, NULL) != ST_OK)
        return 0;
    if (kind == OBJECT_NODE)
        return object_node(o)->number;
    return object_vm(o)->status ? object_vm(o)->status->node : 0;
}

/* true: it is under way, or here and now. What a node says of itself and of what runs on it, it knows best. */
static bool run_placed(struct op_run *r, const struct op_call *c)
{
    if (!r->ops->config.remote || !(r->op->flags & OP_PLACED))
        return false;
    uint32_t place = place_of(r);
    if (place == 0 || place != node_number(r->ops->node))
        return hand_on(r, c, place);
    read_done(r, ST_OK, NULL, NULL);
    return true;
}

static void run_read(struct op_run *r, const struct op_call *c)
{
    struct fault why;
    const struct fault *dead = node_dead(r->ops->node);
    bool follows = r->ops->config.remote && r->feed; /* events come as they are applied, anywhere */
    if (r->local || follows || r->op->flags & (OP_OPEN | OP_RAW)) {
        read_done(r, ST_OK, NULL, NULL);
        return;
    }
    if (dead) {
        why = *dead;
        (void)fault_wrap(&why, ST_UNAVAILABLE, "the node has stopped");
        run_fail(r, &why);
        return;
    }
    if (run_placed(r, c))
        return;
    uint64_t deadline_ms = run_now_ms(r) + r->ops->config.timeout_ms;
    r->asks = true;
    enum status s = node_read(r->ops->node, deadline_ms, read_done, r, &why);
    if (s == ST_OK)
        return; /* r may be gone already */
    r->asks = false;
    if (s != ST_NOT_LEADER || !hand_on(r, c, node_view(r->ops->node).raft.leader))
        run_fail(r, &why);
}

static void start(struct ops *o, const struct op_call *c, struct op_run *r)
{
    r->ops = o;
    r->op = c->op;
    r->asked = c->asked ? c->asked : node_number(o->node);
    buf_init(&r->answer.body, OPS_ANSWER_MAX);
    (void)snprintf(r->actor, sizeof r->actor, "%s", c->who.actor);
    list_push(&o->runs, &r->item);
    o->run_count++;

    struct fault why;
    enum status s = ops_may(&c->who, c->op, &why);
    if (s == ST_OK && o->run_count > OPS_RUNNING_MAX)
        s = fault_set(&why, ST_LIMIT, "%d calls are under way already", OPS_RUNNING_MAX);
    if (s == ST_OK)
        s = parse(r, c, &why);
    if (s == ST_OK)
        run_read(r, c);
    else
        run_fail(r, &why);
}

void ops_call(struct ops *o, const struct op_call *c, op_done *done, void *ctx)
{
    require(handlers[c->op->id] != vm_op_stream && handlers[c->op->id] != event_op_watch);
    struct op_run *r = NEW(struct op_run);
    r->done = done;
    r->ctx = ctx;
    start(o, c, r);
}

void ops_watch(struct ops *o, const struct op_call *c, struct event_feed *f, op_done *done,
               void *ctx)
{
    require(handlers[c->op->id] == event_op_watch);
    struct op_run *r = NEW(struct op_run);
    r->feed = f;
    r->done = done;
    r->ctx = ctx;
    start(o, c, r);
}

void ops_open(struct ops *o, const struct op_call *c, const struct vmm_stream_events *events,
              uint64_t size, op_opened *opened, void *ctx)
{
    require(handlers[c->op->id] == vm_op_stream);
    struct op_run *r = NEW(struct op_run);
    r->opened = opened;
    r->events = events;
    r->size = size;
    r->ctx = ctx;
    start(o, c, r);
}
