#include <string.h>

#include "base/units.h"
#include "crypto/token.h"
#include "ops/run.h"
#include "wire/json.h"
#include "wire/proto.h"

_Static_assert((int)TOKEN_DIGEST_SIZE == (int)TOKEN_HASH_SIZE, "what is kept is the digest");

/* The node's clock, and the state's where that is ahead: a clock set back makes no token good again. */
static uint64_t now_ns(const struct ops *o)
{
    struct clock *c = node_clock(o->node);
    return MAX(c->wall_ns(c), cluster_time_ns(node_cluster(o->node)));
}

/* --- who comes with one --- */

static enum status refuse(struct fault *why, const char *text)
{
    enum status s = fault_set(why, ST_UNAUTHENTICATED, "%s", text);
    fault_hint(why, "an admin can make a new one: blixard token create NAME --role ROLE");
    return s;
}

enum status ops_authenticate(const struct ops *o, struct str text, struct op_bearer *ret,
                             struct fault *why)
{
    static const uint8_t nobodys[TOKEN_DIGEST_SIZE] = {0};
    struct token shown;
    if (token_parse(text, &shown, why) != ST_OK)
        return fault_wrap(why, ST_UNAUTHENTICATED, "the credential");
    const struct object *known = cluster_token_by_id(node_cluster(o->node), shown.id);
    if (known && object_token(known)->kind != PB__TOKEN_KIND__TOKEN_API)
        known = NULL; /* one to join with says nothing of who asks */
    const uint8_t *want = known ? object_token(known)->secret_hash.data : nobodys;
    if (!token_digest_equal(want, shown.digest) || !known)
        return refuse(why, "the token is not known: it was revoked, or never made here");
    const Pb__Token *t = object_token(known);
    if (t->expires_ns <= now_ns(o)) {
        char when[UNITS_TEXT_MAX], said[sizeof when + 120];
        units_time(t->expires_ns, when);
        (void)snprintf(said, sizeof said, "token %s has expired, at %s", t->meta->name, when);
        return refuse(why, said);
    }
    *ret = (struct op_bearer){.role = t->role, .expires_ns = t->expires_ns};
    (void)snprintf(ret->actor, sizeof ret->actor, "token:%s", t->meta->name);
    (void)snprintf(ret->uid, sizeof ret->uid, "%s", t->meta->uid);
    return ST_OK;
}

/* --- making one --- */

/* The object, and for this once what only its owner has. */
static void after_create(struct op_run *r, const struct apply_result *result)
{
    const struct object *o = cluster_find(run_cluster(r), OBJECT_TOKEN, result->uid);
    /* A replay made no token of this secret. */
    if (!o || result->replay) {
        run_after_object(r, result);
        return;
    }
    bool joins = object_token(o)->kind == PB__TOKEN_KIND__TOKEN_JOIN;
    json_t *v = json_from_message(o->msg, JSON_WHOLE);
    struct str text = secret_view(&r->secret);
    int failed =
        json_object_set_new(v, joins ? "ticket" : "token", json_stringn(text.ptr, text.len));
    ensure(!failed);
    run_set_place(r, o);
    run_json(r, 201, v);
}

void token_propose(struct op_run *r, Pb__Token *token, const char *name, uint64_t ttl_ms)
{
    char uid[OBJECT_UID_MAX], copy[RUN_NAME_MAX];
    run_uid(r, uid);
    (void)snprintf(copy, sizeof copy, "%s", name);
    Pb__Meta meta = PB__META__INIT;
    meta.uid = uid;
    meta.name = copy;
    token->meta = &meta;
    PROTO_SET(token, expires_ns, now_ns(r->ops) + ttl_ms * UNITS_NS_PER_MS);
    Pb__CmdTokenCreate create = PB__CMD_TOKEN_CREATE__INIT;
    create.token = token;
    Pb__Command cmd = PB__COMMAND__INIT;
    cmd.body_case = PB__COMMAND__BODY_TOKEN_CREATE;
    cmd.token_create = &create;
    run_propose(r, &cmd, after_create);
}

void token_op_create(struct op_run *r)
{
    const Pb__TokenRequest *q = (const Pb__TokenRequest *)r->request;
    struct entropy *e = node_entropy(r->ops->node);
    uint8_t random[TOKEN_RANDOM_SIZE];
    struct token made;
    e->fill(e, random, sizeof random);
    token_make(random, &made, &r->secret);
    secret_wipe(random, sizeof random);
    Pb__Token token = PB__TOKEN__INIT;
    token.id = made.id;
    PROTO_SET(&token, role, q->role);
    token.has_secret_hash = true;
    token.secret_hash = (ProtobufCBinaryData){sizeof made.digest, made.digest};
    token_propose(r, &token, q->name, q->ttl_ms);
}
