/* Tokens in the state: made, revoked, bounded. */
#include <string.h>

#include "core/state.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/json.h"
#include "wire/proto.h"

TEST(token_is_found_by_its_id_and_its_name)
{
    struct world w;
    struct kit_token k;
    world_start(&w);
    kit_token(&w, &k, WORLD_FREE, "ci");
    CHECK_EQ(ST_OK, world_token(&w, &k));
    CHECK_STR(world_uid(WORLD_FREE), w.r.uid);
    CHECK(strstr(world_event(&w, 0), "token.created: good until ") != NULL);
    struct object *o = cluster_token_by_id(w.c, k.id);
    CHECK(o && o == cluster_find_name(w.c, OBJECT_TOKEN, NULL, "ci"));
    CHECK_EQ(PB__ROLE__ROLE_VIEWER, object_token(o)->role);
    CHECK(object_token(o)->created_by != NULL);
    CHECK(cluster_token_by_id(w.c, "0000000000") == NULL);
    world_done(&w);
}

TEST(token_hash_of_the_secret_is_shown_to_nobody)
{
    struct world w;
    struct kit_token k;
    json_setup();
    world_start(&w);
    kit_token(&w, &k, WORLD_FREE, "ci");
    CHECK_EQ(ST_OK, world_token(&w, &k));
    json_t *v = json_from_message(cluster_token_by_id(w.c, k.id)->msg, JSON_WHOLE);
    CHECK(json_object_get(v, "id") != NULL);
    CHECK(json_object_get(v, "secret_hash") == NULL && json_object_get(v, "token") == NULL);
    json_decref(v);
    world_done(&w);
}

TEST(token_revoked_is_gone_at_once_and_frees_its_name)
{
    struct world w;
    struct kit_token k;
    world_start(&w);
    kit_token(&w, &k, WORLD_FREE, "ci");
    CHECK_EQ(ST_OK, world_token(&w, &k));
    CHECK_EQ(ST_OK, world_delete(&w, "token", WORLD_FREE, 0));
    CHECK_STR("token.revoked: ", world_event(&w, 0));
    CHECK(cluster_token_by_id(w.c, k.id) == NULL);
    CHECK_EQ(ST_NOT_FOUND, world_delete(&w, "token", WORLD_FREE, 0));
    kit_token(&w, &k, WORLD_FREE + 1, "ci");
    CHECK_EQ(ST_OK, world_token(&w, &k));
    world_done(&w);
}

TEST(token_refuses_what_is_not_right)
{
    static const struct {
        const char *field;
        enum status status;
    } want[] = {
        {"token.id", ST_INVALID},
        {"token.id", ST_INVALID},
        {"token.role", ST_INVALID},
        {"token.secret_hash", ST_INVALID},
        {"token.expires_ns", ST_INVALID},
        {"token.expires_ns", ST_INVALID},
        {"token.token", ST_INVALID},
        {"meta.name", ST_INVALID},
        {"meta.uid", ST_INVALID},
        {"name", ST_EXISTS},
        {"", ST_CONFLICT},
        {"token", ST_INVALID},
    };
    struct world w;
    struct kit_token k;
    world_start(&w);
    kit_token(&w, &k, WORLD_FREE, "taken");
    CHECK_EQ(ST_OK, world_token(&w, &k));
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        kit_token(&w, &k, WORLD_FREE + 1, "ci");
        switch (i) {
        case 0: k.token.id = NULL; break;
        case 1: k.id[3] = '-'; break;
        case 2: k.token.has_role = false, k.token.role = PB__ROLE__ROLE_NONE; break;
        case 3: k.token.secret_hash.len = 31; break;
        case 4: k.token.expires_ns = w.time_ns; break;
        case 5: k.token.expires_ns = w.time_ns + UINT64_C(367) * 86400 * 1000000000; break;
        case 6: k.token.token = world_text("blx"); break;
        case 7: k.meta.name = NULL; break;
        case 8: k.meta.uid = NULL; break;
        case 9: k.meta.name = world_text("taken"); break;
        case 10: (void)snprintf(k.id, sizeof k.id, "%010d", WORLD_FREE); break;
        case 11: k.m.token = NULL; break;
        }
        CHECK_EQ(want[i].status, world_token(&w, &k));
        CHECK_STR(want[i].field, w.r.why.field);
    }
    CHECK_EQ(1, cluster_count(w.c, OBJECT_TOKEN));
    world_done(&w);
}

TEST(token_to_join_with_has_a_key_and_neither_role_nor_secret)
{
    static const struct {
        const char *field;
        enum status status;
    } want[] = {
        {"token.role", ST_INVALID},
        {"token.secret_hash", ST_INVALID},
        {"token.join_key", ST_INVALID},
        {"token.join_key", ST_INVALID},
        {"token.ticket", ST_INVALID},
        {"token.expires_ns", ST_INVALID},
        {"token.join_key", ST_INVALID},
        {"token.node_name", ST_INVALID},
        {"", ST_OK},
    };
    struct world w;
    struct kit_token k;
    world_start(&w);
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        kit_join(&w, &k, WORLD_FREE, "j");
        ProtobufCBinaryData bytes = k.token.join_key;
        if (i == 6 || i == 7)
            kit_token(&w, &k, WORLD_FREE, "j");
        switch (i) {
        case 0: PROTO_SET(&k.token, role, PB__ROLE__ROLE_VIEWER); break;
        case 1: PROTO_SET(&k.token, secret_hash, bytes); break;
        case 2: k.token.join_key.len = 31; break;
        case 3: k.token.has_join_key = false, k.token.join_key.len = 0; break;
        case 4: k.token.ticket = world_text("blxjoin_"); break;
        case 5: k.token.expires_ns = w.time_ns; break;
        case 6: PROTO_SET(&k.token, join_key, bytes); break;
        case 7: k.token.node_name = world_text("n2"); break;
        case 8: k.token.node_name = world_text("n2"); break;
        }
        CHECK_EQ(want[i].status, world_token(&w, &k));
        CHECK_STR(want[i].field, w.r.why.field);
    }
    const Pb__Token *t = object_token(cluster_token_by_id(w.c, k.id));
    CHECK(t->kind == PB__TOKEN_KIND__TOKEN_JOIN && t->role == PB__ROLE__ROLE_NONE);
    CHECK_EQ(TOKEN_KEY_SIZE, t->join_key.len);
    json_t *v = json_from_message(&t->base, JSON_WHOLE);
    CHECK_STR("join", json_string_value(json_object_get(v, "kind")));
    CHECK(json_object_get(v, "join_key") == NULL);
    json_decref(v);
    CHECK_EQ(ST_OK, world_delete(&w, "token", WORLD_FREE, 0));
    kit_token(&w, &k, WORLD_FREE + 1, "ci");
    CHECK_EQ(ST_OK, world_token(&w, &k));
    t = object_token(cluster_token_by_id(w.c, k.id));
    CHECK(t->has_kind && t->kind == PB__TOKEN_KIND__TOKEN_API);
    world_done(&w);
}

/* What a snapshot brings is held to the same. */
TEST(token_of_two_kinds_is_not_fit_to_be_stored)
{
    struct world w;
    struct kit_token k;
    world_start(&w);
    for (unsigned i = 0; i < 5; i++) {
        kit_join(&w, &k, WORLD_FREE, "j");
        ProtobufCBinaryData bytes = k.token.join_key;
        if (i == 3)
            kit_token(&w, &k, WORLD_FREE, "j");
        PROTO_SET(&k.meta, index, 1);
        if (i == 1)
            PROTO_SET(&k.token, role, PB__ROLE__ROLE_ADMIN);
        if (i == 2)
            PROTO_SET(&k.token, secret_hash, bytes);
        if (i == 3)
            PROTO_SET(&k.token, join_key, bytes);
        if (i == 4)
            k.token.join_key.len = 0;
        struct object *o = object_new(OBJECT_TOKEN, proto_copy(&k.token.base));
        CHECK_EQ(i == 0 ? ST_OK : ST_INVALID, object_check(o, NULL));
        object_unref(o);
    }
    world_done(&w);
}

TEST(token_that_has_expired_keeps_its_name_and_says_so)
{
    struct world w;
    struct kit_token k;
    world_start(&w);
    kit_token(&w, &k, WORLD_FREE, "ci");
    CHECK_EQ(ST_OK, world_token(&w, &k));
    w.time_ns = k.token.expires_ns;
    kit_token(&w, &k, WORLD_FREE + 1, "ci");
    CHECK_EQ(ST_EXISTS, world_token(&w, &k));
    CHECK_STR("token ci exists already, and has expired", w.r.why.text);
    CHECK_STR("choose another name, or revoke it first: blixard token revoke ci", w.r.why.hint);
    world_done(&w);
}

TEST(token_full_table_loses_only_what_has_expired)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct world w;
    struct kit_token k;
    world_start(&w);
    w.c->limits.objects[OBJECT_TOKEN] = 3;
    for (unsigned i = 0; i < 3; i++) {
        kit_token(&w, &k, WORLD_FREE + i, names[i]);
        if (i == 1)
            k.token.expires_ns = w.time_ns + 1000;
        CHECK_EQ(ST_OK, world_token(&w, &k));
    }
    kit_token(&w, &k, WORLD_FREE + 3, "d");
    CHECK_EQ(ST_LIMIT, world_token(&w, &k));
    w.time_ns += 1000;
    CHECK_EQ(ST_OK, world_token(&w, &k));
    CHECK_STR("token.dropped: it had expired, and room was needed", world_event(&w, 0));
    CHECK(cluster_find_name(w.c, OBJECT_TOKEN, NULL, "b") == NULL);
    CHECK_EQ(3, cluster_count(w.c, OBJECT_TOKEN));
    world_done(&w);
}
