#include "ops/remote.h"

#include <stdlib.h>
#include <string.h>

#include "ops/problem.h"
#include "pb/call.pb-c.h"
#include "wire/check.h"
#include "wire/proto.h"

static struct str text_of(const char *text)
{
    return text ? str_from(text) : (struct str){"", 0};
}

static struct str bytes_of(bool has, ProtobufCBinaryData b)
{
    return has ? (struct str){(const char *)b.data, b.len} : (struct str){"", 0};
}

/* A copy, or NULL for none. */
static char *copy(struct str s)
{
    if (s.len == 0)
        return NULL;
    char *text = mem_new(s.len + 1);
    memcpy(text, s.ptr, s.len);
    return text;
}

static enum status pack(const ProtobufCMessage *m, struct buf *out, struct fault *why)
{
    enum status s = check_message(m, CHECK_STORED, why);
    if (s == ST_OK) {
        proto_pack(m, out);
        s = buf_status(out, why);
    }
    return s;
}

/* --- calls --- */

enum status remote_call_encode(const struct op_call *c, struct buf *out, struct fault *why)
{
    AUTO(auto_proto_free)
    Pb__HandedCall *m = (Pb__HandedCall *)(void *)proto_new(&pb__handed_call__descriptor);
    proto_set(&m->op, c->op->name);
    PROTO_SET(m, node, c->asked);
    proto_set(&m->actor, c->who.actor);
    PROTO_SET(m, role, c->who.role);
    m->name = copy(c->name);
    m->query = copy(c->query);
    m->has_body = c->body.len > 0;
    if (m->has_body)
        m->body = (ProtobufCBinaryData){c->body.len, mem_dup(c->body.ptr, c->body.len)};
    m->idempotency_key = copy(c->idempotency_key);
    m->if_match = copy(c->if_match);
    m->if_none_match = copy(c->if_none_match);
    m->traceparent = copy(c->traceparent);
    PROTO_SET(m, wait_ms, c->wait_ms);
    return pack(&m->base, out, why);
}

enum status remote_call_decode(struct str bytes, struct remote_call *ret, struct fault *why)
{
    ProtobufCMessage *msg = NULL;
    enum status s = check_unpack(&pb__handed_call__descriptor, bytes, REMOTE_CALL_MAX, &msg, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "a call that was handed on");
    const Pb__HandedCall *m = (const Pb__HandedCall *)msg;
    const struct op *op = m->op ? op_find(m->op) : NULL;
    if (!op || m->node == 0) {
        proto_free(msg);
        return fault_set(why, ST_UNSUPPORTED, "a call of another node that is not known here");
    }
    *ret = (struct remote_call){
        .call = {.op = op,
                 .who = {m->actor ? m->actor : "", m->role},
                 .name = text_of(m->name),
                 .query = text_of(m->query),
                 .body = bytes_of(m->has_body, m->body),
                 .idempotency_key = text_of(m->idempotency_key),
                 .if_match = text_of(m->if_match),
                 .if_none_match = text_of(m->if_none_match),
                 .traceparent = text_of(m->traceparent),
                 .wait_ms = m->wait_ms,
                 .asked = m->node},
        .msg = msg,
    };
    return ST_OK;
}

void remote_call_done(struct remote_call *c)
{
    proto_free(c->msg);
    c->msg = NULL;
}

/* --- answers --- */

static void set_unless_empty(char **field, const char *text)
{
    if (text[0])
        proto_set(field, text);
}

enum status remote_answer_encode(const struct op_answer *a, struct buf *out, struct fault *why)
{
    AUTO(auto_proto_free)
    Pb__HandedAnswer *m = (Pb__HandedAnswer *)(void *)proto_new(&pb__handed_answer__descriptor);
    struct str body = buf_view(&a->body);
    proto_set(&m->status, status_code(a->status));
    PROTO_SET(m, http, a->http);
    proto_set(&m->type, a->type);
    m->has_body = body.len > 0;
    if (m->has_body)
        m->body = (ProtobufCBinaryData){body.len, mem_dup(body.ptr, body.len)};
    if (a->status != ST_OK) {
        set_unless_empty(&m->text, a->why.text);
        set_unless_empty(&m->hint, a->why.hint);
        set_unless_empty(&m->field, a->why.field);
    }
    PROTO_SET(m, index, a->index);
    set_unless_empty(&m->etag, a->etag);
    set_unless_empty(&m->location, a->location);
    set_unless_empty(&m->dry_run, a->dry_run);
    set_unless_empty(&m->trace_id, a->trace_id);
    return pack(&m->base, out, why);
}

static void keep(const char *text, char *out, size_t size)
{
    ensure(str_copy(text_of(text), out, size, NULL) == ST_OK); /* check_message() saw to it */
}

/* Statuses and how HTTP tells them go together; a peer could say otherwise. */
static bool fits(enum status s, uint32_t http)
{
    static const uint32_t good[] = {200, 201, 202, 204, 304, 503 /* of a check of health */};
    if (s != ST_OK)
        return http == status_http(s);
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        if (http == good[i])
            return true;
    return false;
}

static void read_answer(const Pb__HandedAnswer *m, enum status s, struct op_answer *a)
{
    *a = (struct op_answer){.status = s, .http = m->http, .type = m->type, .index = m->index};
    buf_init(&a->body, OPS_ANSWER_MAX);
    if (m->has_body)
        buf_add(&a->body, m->body.data, m->body.len);
    if (s != ST_OK) {
        (void)fault_set(&a->why, s, "%s", m->text ? m->text : "");
        fault_hint(&a->why, "%s", m->hint ? m->hint : "");
        fault_field(&a->why, "%s", m->field ? m->field : "");
    }
    keep(m->etag, a->etag, sizeof a->etag);
    keep(m->location, a->location, sizeof a->location);
    keep(m->dry_run, a->dry_run, sizeof a->dry_run);
    keep(m->trace_id, a->trace_id, sizeof a->trace_id);
}

enum status remote_answer_decode(struct str bytes, struct remote_answer *ret, struct fault *why)
{
    ProtobufCMessage *msg = NULL;
    enum status s =
        check_unpack(&pb__handed_answer__descriptor, bytes, REMOTE_ANSWER_MAX, &msg, why);
    if (s != ST_OK)
        return fault_wrap(why, s, "the answer of another node");
    const Pb__HandedAnswer *m = (const Pb__HandedAnswer *)msg;
    enum status said = m->status ? status_from_code(m->status) : ST_INTERNAL;
    if (!fits(said, m->http)) {
        proto_free(msg);
        return fault_set(why, ST_INVALID, "the answer of another node contradicts itself");
    }
    ret->msg = msg;
    read_answer(m, said, &ret->answer);
    return ST_OK;
}

void remote_answer_done(struct remote_answer *a)
{
    buf_done(&a->answer.body);
    proto_free(a->msg);
    a->msg = NULL;
}

void remote_answer_fail(const struct fault *why, struct remote_answer *ret)
{
    *ret = (struct remote_answer){
        .answer = {.status = why->status,
                   .http = status_http(why->status),
                   .type = PROBLEM_TYPE,
                   .why = *why},
    };
    buf_init(&ret->answer.body, OPS_ANSWER_MAX);
    problem_json(why, ret->answer.http, "", &ret->answer.body);
}
