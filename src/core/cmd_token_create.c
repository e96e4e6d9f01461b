/*
 * token_create: a new credential, whose secret only its owner has: for the API, or for one machine to
 * join.
 */
#include <string.h>

#include "base/units.h"
#include "core/cmd.h"

enum {
    ID_LEN = 10,
    LIFE_DAYS_MAX = 366,
    DROP_MAX = 8, /* expired ones that make room for a new one, at most */
};
#define LIFE_NS_MAX (LIFE_DAYS_MAX * UINT64_C(86400000) * UNITS_NS_PER_MS)

static bool is_id(const char *id)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return id && strlen(id) == ID_LEN && strspn(id, digits) == ID_LEN;
}

static enum status refuse(const char *field, const char *text, struct fault *why)
{
    enum status s = fault_set(why, ST_INVALID, "token.%s: %s", field, text);
    fault_field(why, "token.%s", field);
    return s;
}

static enum status check_api(const Pb__Token *want, struct fault *why)
{
    if (want->role == PB__ROLE__ROLE_NONE)
        return refuse("role", "viewer, operator or admin must be given", why);
    if (want->secret_hash.len != TOKEN_HASH_SIZE)
        return refuse("secret_hash", "it has 32 bytes", why);
    if (want->join_key.len > 0 || want->node_name)
        return refuse(want->node_name ? "node_name" : "join_key", "it is for tokens to join with",
                      why);
    return ST_OK;
}

static enum status check_join(const Pb__Token *want, struct fault *why)
{
    if (want->role != PB__ROLE__ROLE_NONE)
        return refuse("role", "a token to join with has none", why);
    if (want->secret_hash.len > 0)
        return refuse("secret_hash", "a token to join with has none", why);
    if (want->join_key.len != TOKEN_KEY_SIZE)
        return refuse("join_key", "it has 32 bytes", why);
    return ST_OK;
}

static enum status check(const struct txn *t, const Pb__Token *want, struct fault *why)
{
    if (!is_id(want->id))
        return refuse("id", "it is 10 letters and digits", why);
    enum status s =
        want->kind == PB__TOKEN_KIND__TOKEN_JOIN ? check_join(want, why) : check_api(want, why);
    if (s != ST_OK)
        return s;
    if (want->token || want->ticket)
        return refuse(want->token ? "token" : "ticket", "its secret is not for the state", why);
    if (want->expires_ns <= t->time_ns)
        return refuse("expires_ns", "that time is over", why);
    if (want->expires_ns - t->time_ns > LIFE_NS_MAX)
        return refuse("expires_ns", "a token is good for 366 days at most", why);
    return ST_OK;
}

static bool is_over(const struct txn *t, const struct object *token)
{
    return object_token(token)->expires_ns <= t->time_ns;
}

/* A name is free again when its token was revoked, not when its time is over: say so. */
static enum status check_name(const struct txn *t, const char *name, struct fault *why)
{
    const struct object *old = cluster_find_name(t->c, OBJECT_TOKEN, NULL, name);
    if (!old)
        return ST_OK;
    enum status s = fault_set(why, ST_EXISTS, "token %s exists already%s", name,
                              is_over(t, old) ? ", and has expired" : "");
    fault_field(why, "name");
    fault_hint(why, "choose another name, or revoke it first: blixard token revoke %s", name);
    return s;
}

/* A full table loses some whose time is over. Returns ST_LIMIT when there are none. */
static enum status make_room(struct txn *t, struct fault *why)
{
    enum status s = txn_room(t, OBJECT_TOKEN, why);
    size_t dropped = 0;
    if (s == ST_OK || cluster_count(t->c, OBJECT_TOKEN) < t->c->limits.objects[OBJECT_TOKEN])
        return s;
    MAP_EACH(cluster_table(t->c, OBJECT_TOKEN), uid, value) {
        struct object *o = value;
        if (dropped == DROP_MAX || !is_over(t, o))
            continue;
        txn_remove(t, o);
        txn_event(t, "token.dropped", o, "it had expired, and room was needed");
        dropped++;
    }
    return dropped > 0 ? txn_room_to_grow(t, why) : s;
}

enum status cmd_token_create(struct txn *t, const Pb__CmdTokenCreate *m, struct fault *why)
{
    const Pb__Token *want = m->token;
    enum status s = cmd_need(want != NULL, "token", why);
    if (s == ST_OK)
        s = cmd_new_meta(t, want->meta, false, why);
    if (s == ST_OK)
        s = check(t, want, why);
    if (s == ST_OK)
        s = check_name(t, want->meta->name, why);
    if (s == ST_OK)
        s = make_room(t, why);
    if (s != ST_OK)
        return s;
    char until[UNITS_TEXT_MAX];
    Pb__Token *token = (Pb__Token *)(void *)proto_copy(&want->base);
    proto_free(&token->meta->base);
    token->meta = cmd_copy_meta(want->meta);
    proto_set(&token->meta->project, NULL);
    proto_set(&token->created_by, t->actor);
    PROTO_SET(token, kind, want->kind);
    struct object *o = txn_put(t, OBJECT_TOKEN, &token->base);
    units_time(token->expires_ns, until);
    txn_event(t, "token.created", o, "good until %s", until);
    txn_result(t, token->meta->uid);
    return ST_OK;
}
