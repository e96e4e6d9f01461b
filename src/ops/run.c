#include "ops/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/problem.h"
#include "ops/remote.h"
#include "wire/json.h"
#include "wire/proto.h"
#include "wire/schema.h"

const struct cluster *run_cluster(const struct op_run *r)
{
    return node_cluster(r->ops->node);
}

uint64_t run_now_ms(const struct op_run *r)
{
    struct clock *c = node_clock(r->ops->node);
    return c->now_ms(c);
}

void run_uid(struct op_run *r, char out[OBJECT_UID_MAX])
{
    uint8_t bytes[16];
    struct entropy *e = node_entropy(r->ops->node);
    e->fill(e, bytes, sizeof bytes);
    str_hex(bytes, sizeof bytes, out);
}

bool run_kind(const struct op *op, enum object_kind *ret)
{
    struct str verb = str_from(op->name), noun;
    (void)str_cut(&verb, '.', &noun);
    if (str_is(noun, "op"))
        noun = STR("operation");
    if (op->id == OP_NODE_TOKEN) /* what it makes */
        noun = STR("token");
    return object_kind_from(noun, ret);
}

/* --- targets --- */

static uint64_t index_of(const struct object *o)
{
    const Pb__Meta *meta = object_meta(o);
    return meta ? meta->index : object_operation(o)->index;
}

static enum status check_if(struct op_run *r, const struct object *o, struct fault *why)
{
    if (!r->has_if || r->if_index == index_of(o))
        return ST_OK;
    (void)fault_set(why, ST_PRECONDITION, "%s %s was changed: its ETag is \"%" PRIu64 "\" now",
                    object_kind_name(o->kind), r->name, index_of(o));
    fault_hint(why, "read it again, then decide");
    return ST_PRECONDITION;
}

enum status run_target(struct op_run *r, enum object_kind kind, struct object **ret,
                       struct fault *why)
{
    const char *project = r->op->flags & OP_PROJECT ? r->project : NULL;
    enum status s = cluster_resolve(run_cluster(r), kind, project, r->name, ret, why);
    return s == ST_OK ? check_if(r, *ret, why) : s;
}

/* --- the end --- */

static void run_free(struct op_run *r)
{
    if (r->asks)
        node_forget(r->ops->node, r);
    if (r->handed)
        r->ops->config.remote->forget(r->ops->config.remote, r);
    list_cut(&r->item);
    r->ops->run_count--;
    proto_free(r->request);
    json_decref(r->patch);
    secret_done(&r->secret);
    query_done(&r->query);
    buf_done(&r->answer.body);
    free(r);
}

static void end(struct op_run *r, struct vmm_stream *s)
{
    if (r->answer.index == 0)
        r->answer.index = cluster_index(run_cluster(r));
    if (r->opened)
        r->opened(r->ctx, s, &r->answer);
    else
        r->done(r->ctx, &r->answer);
    run_free(r);
}

void ops_forget(struct ops *o, void *ctx)
{
    LIST_EACH(it, &o->runs) {
        struct op_run *r = CONTAINER_OF(it, struct op_run, item);
        if (r->ctx == ctx)
            run_free(r);
    }
}

void run_fail(struct op_run *r, const struct fault *why)
{
    struct op_answer *a = &r->answer;
    a->status = why->status;
    a->why = *why;
    a->http = status_http(why->status);
    a->type = PROBLEM_TYPE;
    buf_reset(&a->body);
    problem_json(why, a->http, a->trace_id, &a->body);
    a->etag[0] = a->location[0] = 0;
    end(r, NULL);
}

void run_told(struct op_run *r, struct op_answer *a)
{
    r->handed = false;
    r->done(r->ctx, a);
    run_free(r);
}

void run_empty(struct op_run *r)
{
    r->answer.http = 204;
    end(r, NULL);
}

void run_body(struct op_run *r, unsigned http, const char *type)
{
    struct fault why;
    if (buf_status(&r->answer.body, &why) != ST_OK) {
        run_fail(r, &why);
        return;
    }
    r->answer.http = http;
    r->answer.type = type;
    end(r, NULL);
}

void run_json(struct op_run *r, unsigned http, json_t *v)
{
    json_dump(v, false, &r->answer.body);
    json_decref(v);
    run_body(r, http, "application/json");
}

/* Is our ETag among those of If-None-Match? Compared weakly, as it asks for. */
static bool caller_has(const struct op_run *r)
{
    struct str rest = str_from(r->if_none_match), part;
    bool more = rest.len > 0;
    while (more) {
        more = str_cut(&rest, ',', &part);
        part = str_trim(part);
        if (str_starts(part, "W/"))
            part = (struct str){part.ptr + 2, part.len - 2};
        if (str_is(part, r->answer.etag) || str_is(part, "*"))
            return true;
    }
    return false;
}

static void set_etag(struct op_run *r, const struct object *o)
{
    (void)snprintf(r->answer.etag, sizeof r->answer.etag, "\"%" PRIu64 "\"", index_of(o));
}

void run_set_place(struct op_run *r, const struct object *o)
{
    const struct schema_message *noun = schema_message(object_descriptor(o->kind));
    (void)snprintf(r->answer.location, sizeof r->answer.location, "/v1/%s/%s", noun->plural,
                   object_uid(o));
    set_etag(r, o);
}

void run_object(struct op_run *r, unsigned http, const struct object *o)
{
    set_etag(r, o);
    if (http == 200 && strcmp(r->op->method, "GET") == 0 && caller_has(r)) {
        r->answer.http = 304;
        end(r, NULL);
        return;
    }
    run_json(r, http, json_from_message(o->msg, JSON_WHOLE));
}

void run_opened(struct op_run *r, struct vmm_stream *s)
{
    require(r->opened);
    r->answer.http = 200;
    end(r, s);
}

/* --- operations --- */

static void answer_operation(struct op_run *r, unsigned http, const struct object *o)
{
    (void)snprintf(r->answer.location, sizeof r->answer.location, "/v1/operations/%s",
                   object_operation(o)->id);
    run_object(r, http, o);
}

static bool runs(const struct object *operation)
{
    return object_operation(operation)->phase == PB__OPERATION_PHASE__OPERATION_RUNNING;
}

void run_wait(struct op_run *r, const struct object *operation, uint64_t wait_ms, unsigned late)
{
    if (!runs(operation) || wait_ms == 0) {
        answer_operation(r, runs(operation) ? late : 200, operation);
        return;
    }
    r->waits = true;
    r->late = late;
    r->wait_until_ms = run_now_ms(r) + wait_ms;
    (void)snprintf(r->wait_id, sizeof r->wait_id, "%s", object_operation(operation)->id);
}

void run_operation(struct op_run *r, const struct object *operation)
{
    run_wait(r, operation, r->wait_ms, 202);
}

void run_applied(struct node_watch *w, const struct apply_result *result)
{
    struct ops *o = CONTAINER_OF(w, struct ops, watch);
    for (size_t i = 0; i < result->change_count; i++) {
        const struct object *now = result->changes[i].after;
        if (result->changes[i].kind != OBJECT_OPERATION || !now || runs(now))
            continue;
        LIST_EACH(it, &o->runs) {
            struct op_run *r = CONTAINER_OF(it, struct op_run, item);
            if (r->waits && !r->awaits_shutdown &&
                strcmp(r->wait_id, object_operation(now)->id) == 0)
                answer_operation(r, 200, now);
        }
    }
}

/* The time to wait is over. */
static void end_wait(struct op_run *r)
{
    struct object *o = cluster_find(run_cluster(r), OBJECT_OPERATION, r->wait_id);
    struct fault why;
    if (r->awaits_shutdown) {
        (void)fault_set(&why, ST_TIMEOUT, "VMs are still being stopped");
        run_fail(r, &why);
        return;
    }
    if (o) {
        answer_operation(r, runs(o) ? r->late : 200, o);
        return;
    }
    (void)fault_set(&why, ST_NOT_FOUND, "operation %s is not kept any more", r->wait_id);
    run_fail(r, &why);
}

void run_restored(struct node_watch *w)
{
    struct ops *o = CONTAINER_OF(w, struct ops, watch);
    LIST_EACH(it, &o->runs) {
        struct op_run *r = CONTAINER_OF(it, struct op_run, item);
        if (!r->waits || r->awaits_shutdown)
            continue;
        struct object *operation = cluster_find(run_cluster(r), OBJECT_OPERATION, r->wait_id);
        if (!operation || !runs(operation))
            end_wait(r);
    }
}

void ops_step(struct ops *o)
{
    LIST_EACH(it, &o->runs) {
        struct op_run *r = CONTAINER_OF(it, struct op_run, item);
        if (r->waits && r->wait_until_ms <= run_now_ms(r))
            end_wait(r);
        else if (r->awaits_leader &&
                 (member_transfer_ended(r) || r->wait_until_ms <= run_now_ms(r)))
            member_transfer_end(r);
    }
}

uint64_t ops_deadline_ms(const struct ops *o)
{
    uint64_t least = UINT64_MAX;
    for (const struct list *it = o->runs.next; it != &o->runs; it = it->next) {
        const struct op_run *r = (const struct op_run *)it; /* item is its first field */
        if (r->waits || r->awaits_leader)
            least = MIN(least, r->wait_until_ms);
        if (r->awaits_leader && member_transfer_ended(r))
            return 0;
    }
    return least;
}

/* --- writes --- */

static void applied(void *ctx, enum status s, const struct fault *why,
                    const struct apply_result *result)
{
    struct op_run *r = ctx;
    r->asks = false;
    if (!result) {
        struct fault said = *why;
        if (s == ST_TIMEOUT)
            fault_hint(&said, "it may still be done; ask again with the same Idempotency-Key");
        run_fail(r, &said);
        return;
    }
    r->answer.index = result->index;
    if (result->status == ST_OK)
        r->after(r, result);
    else if (!r->again || !r->again(r, &result->why))
        run_fail(r, &result->why);
}

static bool is_dry(const struct op_run *r)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(r->op->request, "dry_run");
    protobuf_c_boolean dry = 0;
    if (f)
        memcpy(&dry, (const char *)r->request + f->offset, sizeof dry);
    return dry;
}

/* The object of the row's noun as it would be, or as it is if it would not change or be gone. */
static const struct object *would_be(const struct op_run *r, const struct apply_result *result)
{
    enum object_kind kind;
    bool known = run_kind(r->op, &kind);
    ensure(known);
    for (size_t i = 0; i < result->change_count; i++)
        if (result->changes[i].kind == kind && result->changes[i].after)
            return result->changes[i].after;
    return cluster_find(run_cluster(r), kind, result->uid);
}

static void answer_try(struct op_run *r, const struct apply_result *result)
{
    const struct object *o = would_be(r, result);
    if (result->status != ST_OK) {
        run_fail(r, &result->why);
        return;
    }
    ensure(o);
    if (r->op->flags & OP_SLOW)
        (void)snprintf(r->answer.dry_run, sizeof r->answer.dry_run,
                       "not checked: what the node finds out when it does it, such as space, "
                       "memory, ports and files");
    run_json(r, 200, json_from_message(o->msg, JSON_WHOLE));
}

/* Everything that apply would check, on the state as it is. */
static void try(struct op_run *r, const Pb__Command *cmd)
{
    struct clock *clock = node_clock(r->ops->node);
    Pb__Command full = *cmd;
    struct apply_result result;
    struct fault why;
    AUTO(buf_done) struct buf packed;
    buf_init(&packed, OPS_BODY_MAX);
    PROTO_SET(&full, time_ns, clock->wall_ns(clock));
    PROTO_SET(&full, level, cluster_level(run_cluster(r)));
    proto_pack(&full.base, &packed);
    if (buf_status(&packed, &why) != ST_OK) {
        run_fail(r, &why);
        return;
    }
    cluster_try(run_cluster(r), buf_view(&packed), &result);
    answer_try(r, &result);
    apply_result_done(&result);
}

bool run_answered(struct op_run *r)
{
    struct apply_result result;
    if (!r->has_key || is_dry(r) || !cluster_answered(run_cluster(r), &r->key, &result))
        return false;
    if (result.status == ST_OK) {
        run_after_operation(r, &result);
        return true;
    }
    /* What was refused may have been tried again, under another id. */
    if (result.replay)
        return false;
    run_fail(r, &result.why);
    return true;
}

void run_propose(struct op_run *r, Pb__Command *cmd, run_after *after)
{
    struct fault why;
    r->after = after;
    cmd->has_id = r->has_key; /* without one, nobody can ask for it again */
    cmd->id = (ProtobufCBinaryData){sizeof r->key.id, r->key.id};
    cmd->has_request = r->has_key;
    cmd->request = (ProtobufCBinaryData){sizeof r->key.request, r->key.request};
    cmd->actor = r->actor;
    cmd->trace = r->traceparent[0] ? r->traceparent : NULL;
    if (is_dry(r)) {
        try(r, cmd);
        return;
    }
    uint64_t deadline_ms = run_now_ms(r) + r->ops->config.timeout_ms;
    r->asks = true;
    if (node_propose(r->ops->node, cmd, deadline_ms, applied, r, &why) == ST_OK)
        return;
    r->asks = false;
    run_fail(r, &why);
}

void run_after_empty(struct op_run *r, const struct apply_result *result)
{
    (void)result;
    run_empty(r);
}

void run_after_object(struct op_run *r, const struct apply_result *result)
{
    enum object_kind kind;
    bool known = run_kind(r->op, &kind);
    ensure(known);
    struct object *o = cluster_find(run_cluster(r), kind, result->uid);
    bool made = strcmp(r->op->method, "POST") == 0 && !strchr(r->op->path, '{');
    struct fault why;
    if (!o && strcmp(r->op->method, "DELETE") == 0) {
        run_empty(r);
    } else if (o) {
        if (made)
            run_set_place(r, o);
        run_object(r, made ? 201 : 200, o);
    } else {
        (void)fault_set(&why, ST_NOT_FOUND, "%s %s was deleted meanwhile", object_kind_name(kind),
                        result->uid);
        run_fail(r, &why);
    }
}

void run_after_operation(struct op_run *r, const struct apply_result *result)
{
    struct object *o = result->operation_id[0]
                           ? cluster_find(run_cluster(r), OBJECT_OPERATION, result->operation_id)
                           : NULL;
    if (o)
        run_operation(r, o);
    else
        run_after_object(r, result); /* nothing to wait for, or it ended long ago */
}
