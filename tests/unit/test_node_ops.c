/* Tickets that a node makes, and nodes that are removed. */
#include <string.h>

#include "crypto/ticket.h"
#include "support/ops_bench.h"
#include "support/tap.h"

static void address_of(const struct ticket *t, size_t i, char out[IP_ENDPOINT_TEXT_MAX])
{
    CHECK(i < t->address_count);
    ip_endpoint_format(&t->address[i].at, out);
}

static const Pb__Token *token_of(struct bench *b, const struct ticket *t)
{
    struct object *o = cluster_token_by_id(node_cluster(b->f.node), t->token_id);
    CHECK(o != NULL);
    return object_token(o);
}

/* Make one of this request; it is shown in the last answer. */
static void make(struct bench *b, const char *body, struct ticket *ret)
{
    struct fault why;
    bench_call(b, "POST", "/v1/nodes/token", body, 201);
    CHECK_EQ(ST_OK, ticket_decode(str_from(bench_at(b, "ticket")), ret, &why));
}

TEST(ticket_is_shown_once_and_the_state_has_its_public_key)
{
    struct bench b;
    AUTO(ticket_done) struct ticket t = {0};
    AUTO(key_done) struct key key;
    bench_init(&b);
    fake_hello(&b.f, 1, "10.0.0.1:7001", NULL);
    make(&b, "{\"name\":\"n7\"}", &t);
    CHECK_STR("join", bench_at(&b, "kind"));
    CHECK_STR("n7", bench_at(&b, "node_name"));
    CHECK(str_starts(str_from(b.last.location), "/v1/tokens/"));
    key_init(&key, t.seed.ptr);
    const Pb__Token *token = token_of(&b, &t);
    CHECK_EQ(KEY_PUBLIC_SIZE, token->join_key.len);
    CHECK(memcmp(key.public, token->join_key.data, KEY_PUBLIC_SIZE) == 0);
    CHECK(token->ticket == NULL);
    CHECK(token->expires_ns >= b.f.wall_ns + UINT64_C(900) * 1000000000 - 1000000000);
    CHECK(token->expires_ns <= b.f.wall_ns + UINT64_C(901) * 1000000000);

    CHECK_EQ(1, t.address_count);
    char at[IP_ENDPOINT_TEXT_MAX], cluster[33];
    address_of(&t, 0, at);
    CHECK_STR("10.0.0.1:7001", at);
    CHECK_EQ(0x00, t.address[0].key[0]);
    CHECK_EQ(0x11, t.address[0].key[1]);
    str_hex(t.cluster, sizeof t.cluster, cluster);
    bench_call(&b, "GET", "/v1/cluster", "", 200);
    CHECK_STR(bench_at(&b, "meta.uid"), cluster);

    bench_call(&b, "GET", "/v1/tokens?filter=kind==join", "", 200);
    CHECK_STR("n7", bench_at(&b, "items.0.node_name"));
    CHECK_STR("", bench_at(&b, "items.0.ticket"));
    char path[100];
    (void)snprintf(path, sizeof path, "/v1/tokens/%s", bench_at(&b, "items.0.meta.name"));
    CHECK(str_starts(str_from(path), "/v1/tokens/join-"));
    bench_call(&b, "DELETE", path, "", 204);
    bench_done(&b);
}

TEST(ticket_of_two_requests_shares_nothing)
{
    struct bench b;
    AUTO(ticket_done) struct ticket t = {0}, u = {0};
    bench_init(&b);
    fake_hello(&b.f, 1, "10.0.0.1:7001", NULL);
    make(&b, "", &t);
    CHECK_STR("", bench_at(&b, "node_name"));
    make(&b, "", &u);
    CHECK(strcmp(t.token_id, u.token_id) != 0);
    CHECK(!str_eq(secret_view(&t.seed), secret_view(&u.seed)));
    bench_done(&b);
}

TEST(ticket_names_this_node_first_and_two_others)
{
    struct bench b;
    AUTO(ticket_done) struct ticket t = {0};
    char at[IP_ENDPOINT_TEXT_MAX], first[IP_ENDPOINT_TEXT_MAX];
    bench_init(&b);
    fake_hello(&b.f, 4, "[::]:7001", NULL); /* where nobody can dial */
    fake_hello(&b.f, 1, "0.0.0.0:7001", "10.0.0.1:7001");
    for (uint32_t i = 2; i <= 3; i++) {
        char own[32], again[32];
        (void)snprintf(own, sizeof own, "10.0.0.%" PRIu32 ":7001", i);
        (void)snprintf(again, sizeof again, "[fd00::%" PRIu32 "]:7001", i);
        fake_hello(&b.f, i, own, again);
    }
    make(&b, "", &t);
    CHECK_EQ(3, t.address_count);
    address_of(&t, 0, first);
    CHECK_STR("10.0.0.1:7001", first);
    for (size_t i = 1; i < 3; i++) {
        address_of(&t, i, at);
        (void)snprintf(first, sizeof first, "10.0.0.%d:7001", t.address[i].key[31]);
        CHECK_STR(first, at);
    }
    CHECK(t.address[1].key[31] != t.address[2].key[31]);
    bench_done(&b);
}

TEST(ticket_needs_a_node_that_can_be_reached)
{
    struct bench b;
    bench_init(&b);
    fake_hello(&b.f, 2, "10.0.0.2:7001", NULL);
    bench_call(&b, "POST", "/v1/nodes/token", "", 412);
    CHECK_STR("this node listens on no address for nodes; set cluster.listen",
              bench_at(&b, "detail"));
    fake_hello(&b.f, 1, "0.0.0.0:7001", NULL);
    bench_call(&b, "POST", "/v1/nodes/token", "", 412);
    bench_call(&b, "GET", "/v1/tokens", "", 200);
    CHECK_EQ(0, json_array_size(json_object_get(b.json, "items")));
    bench_done(&b);
}

TEST(ticket_is_for_admins_and_for_a_day_at_most)
{
    struct bench b;
    AUTO(ticket_done) struct ticket t = {0};
    bench_init(&b);
    fake_hello(&b.f, 1, "10.0.0.1:7001", NULL);
    bench_call(&b, "POST", "/v1/nodes/token", "{\"ttl_ms\":\"25h\"}", 400);
    CHECK_STR("ttl_ms", bench_at(&b, "field"));
    bench_call(&b, "POST", "/v1/nodes/token", "{\"ttl_ms\":0}", 400);
    bench_call(&b, "POST", "/v1/nodes/token", "{\"name\":\"No\"}", 400);
    bench_call(&b, "POST", "/v1/nodes/token", "{\"role\":\"admin\"}", 400);
    make(&b, "{\"ttl_ms\":\"24h\"}", &t);
    CHECK(token_of(&b, &t)->expires_ns > b.f.wall_ns + UINT64_C(86399) * 1000000000);
    b.call.who.role = PB__ROLE__ROLE_OPERATOR;
    bench_call(&b, "POST", "/v1/nodes/token", "", 403);
    bench_call(&b, "DELETE", "/v1/nodes/n2", "", 403);
    bench_done(&b);
}

TEST(ticket_retried_is_made_once_and_not_shown_again)
{
    struct bench b;
    AUTO(ticket_done) struct ticket t = {0};
    bench_init(&b);
    fake_hello(&b.f, 1, "10.0.0.1:7001", NULL);
    b.call.idempotency_key = STR("k");
    make(&b, "{\"name\":\"n7\"}", &t);
    bench_call(&b, "POST", "/v1/nodes/token", "{\"name\":\"n7\"}", 201);
    CHECK_STR("", bench_at(&b, "ticket"));
    CHECK_STR("n7", bench_at(&b, "node_name"));
    bench_call(&b, "POST", "/v1/nodes/token", "{\"name\":\"n8\"}", 409);
    b.call.idempotency_key = STR("");
    bench_call(&b, "GET", "/v1/tokens", "", 200);
    CHECK_EQ(1, json_array_size(json_object_get(b.json, "items")));
    bench_done(&b);
}

/* A token that shows the id of one to join with, whatever its secret, opens nothing. */
TEST(ticket_is_no_credential_of_the_api)
{
    struct bench b;
    AUTO(ticket_done) struct ticket t = {0};
    AUTO(secret_done) struct secret forged = {0};
    struct op_bearer who;
    struct fault why;
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t random[TOKEN_RANDOM_SIZE] = {0};
    struct token shown;
    uint64_t id = 0;
    bench_init(&b);
    fake_hello(&b.f, 1, "10.0.0.1:7001", NULL);
    make(&b, "", &t);
    for (const char *p = t.token_id; *p; p++)
        id = id * 62 + (uint64_t)(strchr(digits, *p) - digits);
    for (int i = 0; i < 8; i++)
        random[i] = (uint8_t)(id >> (56 - 8 * i));
    memcpy(random + 8, t.seed.ptr, KEY_SEED_SIZE);
    token_make(random, &shown, &forged);
    CHECK_STR(t.token_id, shown.id);
    CHECK_EQ(ST_UNAUTHENTICATED, ops_authenticate(b.ops, secret_view(&forged), &who, &why));
    CHECK_STR("the token is not known: it was revoked, or never made here", why.text);
    bench_done(&b);
}

TEST(node_is_removed_when_it_is_empty)
{
    struct bench b;
    bench_init_vm(&b);
    bench_call(&b, "DELETE", "/v1/nodes/n1", "", 412);
    CHECK_STR("node n1 is the last one of the cluster", bench_at(&b, "detail"));
    fake_hello(&b.f, 2, "10.0.0.2:7001", NULL);
    bench_call(&b, "DELETE", "/v1/nodes/n1", "", 412);
    CHECK_STR("node n1 still has vm web-1", bench_at(&b, "detail"));
    bench_call(&b, "DELETE", "/v1/nodes/n1?force=true", "", 400); /* it could end nothing */
    bench_call(&b, "DELETE", "/v1/nodes/n2?dry_run=true", "", 200);
    CHECK_STR("n2", bench_at(&b, "meta.name"));
    bench_call(&b, "DELETE", "/v1/nodes/n2", "", 204);
    bench_call(&b, "GET", "/v1/nodes/n2", "", 404);
    bench_call(&b, "DELETE", "/v1/nodes/n2", "", 404);
    bench_done(&b);
}
