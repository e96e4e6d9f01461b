/* What the operations do, list and refuse. */
#include <stdlib.h>
#include <string.h>

#include "crypto/token.h"
#include "support/ops_bench.h"
#include "support/tap.h"

/* --- it works --- */

TEST(ops_vm_is_made_started_and_deleted)
{
    struct bench b;
    bench_init_vm(&b);
    CHECK_STR("vm.create", bench_at(&b, "kind"));
    CHECK_STR("uid:0(root)", bench_at(&b, "actor"));
    char location[80];
    (void)snprintf(location, sizeof location, "/v1/operations/%s", bench_at(&b, "id"));
    CHECK_STR(location, b.last.location);
    CHECK(b.last.index > 0 && b.last.etag[0]);

    bench_call(&b, "GET", location, "", 200);
    CHECK_STR("succeeded", bench_at(&b, "phase"));
    bench_call(&b, "GET", "/v1/vms/web-1", "", 200);
    CHECK_STR("running", bench_at(&b, "status.phase"));
    CHECK_STR("1", bench_at(&b, "spec.vcpus"));
    CHECK_STR("default", bench_at(&b, "meta.project"));

    bench_call(&b, "DELETE", "/v1/vms/web-1", "", 202);
    bench_call(&b, "GET", "/v1/vms/web-1", "", 404);
    CHECK_STR("not_found", bench_at(&b, "code"));
    bench_done(&b);
}

TEST(ops_vm_powers)
{
    struct bench b;
    bench_init_vm(&b);
    static const char *const steps[][2] = {{"pause", "paused"},    {"resume", "running"},
                                           {"stop", "stopped"},    {"start", "running"},
                                           {"restart", "running"}, {"stop", "stopped"}};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/v1/vms/web-1/%s", steps[i][0]);
        bench_call(&b, "POST", path, "", 202);
        bench_call(&b, "GET", "/v1/vms/web-1", "", 200);
        CHECK_STR(steps[i][1], bench_at(&b, "status.phase"));
    }
    bench_call(&b, "POST", "/v1/vms/web-1/stop", "{\"force\":true}",
               200); /* it is: the operation ended */
    CHECK_STR("succeeded", bench_at(&b, "phase"));
    bench_call(&b, "POST", "/v1/vms/web-1/pause", "", 409);
    bench_done(&b);
}

TEST(ops_vm_without_a_name_gets_one)
{
    struct bench b;
    bench_init(&b);
    bench_image(&b);
    bench_call(&b, "POST", "/v1/vms", "{\"spec\":{\"image\":\"debian\"},\"start\":false}", 200);
    const char *name = bench_at(&b, "target_name");
    CHECK(strchr(name, '-'));
    bench_done(&b);
}

TEST(ops_vm_update_is_a_merge_patch)
{
    struct bench b;
    bench_init(&b);
    bench_image(&b);
    bench_call(&b, "POST", "/v1/vms",
               "{\"name\":\"web-1\",\"labels\":[{\"key\":\"env\",\"value\":\"prod\"}],"
               "\"spec\":{\"image\":\"debian\",\"vcpus\":2,\"mem_mib\":\"1GiB\"}}",
               202);
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"mem_mib\":512}}", 200);
    CHECK_STR("512", bench_at(&b, "spec.mem_mib"));
    CHECK_STR("2", bench_at(&b, "spec.vcpus"));
    CHECK_STR("prod", bench_at(&b, "meta.labels.0.value"));
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":null},\"labels\":null}", 200);
    CHECK_STR("1", bench_at(&b, "spec.vcpus"));
    CHECK_STR("", bench_at(&b, "meta.labels.0.value"));

    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"image\":\"other\"}}", 400);
    CHECK_STR("spec.image", bench_at(&b, "field"));
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":99}}", 400);
    CHECK_STR("spec.vcpus", bench_at(&b, "field"));
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"cpus\":1}}", 400);
    bench_done(&b);
}

TEST(ops_tenants_and_projects)
{
    struct bench b;
    bench_init(&b);
    bench_call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\",\"title\":\"Acme\"}", 201);
    CHECK_STR("acme", bench_at(&b, "meta.name"));
    CHECK(str_starts(str_from(b.last.location), "/v1/tenants/"));
    bench_call(&b, "POST", "/v1/projects", "{\"name\":\"shop\",\"tenant\":\"acme\"}", 201);
    bench_call(&b, "GET", "/v1/projects?filter=tenant==acme", "", 200);
    CHECK_STR("shop", bench_at(&b, "items.0.meta.name"));
    bench_call(&b, "DELETE", "/v1/tenants/acme", "", 409);
    CHECK_STR("in_use", bench_at(&b, "code"));
    bench_call(&b, "DELETE", "/v1/projects/shop", "", 204);
    bench_call(&b, "DELETE", "/v1/tenants/acme", "", 204);
    bench_call(&b, "GET", "/v1/tenants/acme", "", 404);
    bench_done(&b);
}

TEST(ops_shows_nodes_cluster_and_version)
{
    struct bench b;
    bench_init(&b);
    bench_call(&b, "GET", "/v1/nodes/-", "", 200);
    CHECK_STR("n1", bench_at(&b, "meta.name"));
    bench_call(&b, "GET", "/v1/nodes", "", 200);
    CHECK_STR("testhost", bench_at(&b, "items.0.facts.hostname"));
    bench_call(&b, "GET", "/v1/cluster", "", 200);
    CHECK_STR("c", bench_at(&b, "meta.name"));
    bench_call(&b, "GET", "/v1/version", "", 200);
    CHECK_STR("0.1.0", bench_at(&b, "version"));
    CHECK_STR("n1", bench_at(&b, "node"));
    bench_done(&b);
}

TEST(ops_members_of_a_node_alone)
{
    struct bench b;
    bench_init(&b);
    bench_call(&b, "GET", "/v1/cluster/members", "", 200);
    CHECK_EQ(1, json_array_size(json_object_get(b.json, "items")));
    CHECK_STR("1", bench_at(&b, "items.0.number"));
    CHECK_STR("n1", bench_at(&b, "items.0.node"));
    CHECK_STR("voter", bench_at(&b, "items.0.role"));
    CHECK_STR("0", bench_at(&b, "items.0.lag"));
    CHECK(strstr(buf_cstr(&b.body), "\"leads\":true,\"active\":true"));
    bench_call(&b, "GET", "/v1/cluster/members?filter=lag>0", "", 200);
    CHECK_EQ(0, json_array_size(json_object_get(b.json, "items")));
    static const char *const bad[][2] = {{"filter=phase==running", "filter"},
                                         {"fields=meta.name", "fields"},
                                         {"project=default", "project"},
                                         {"cursor=n1", "cursor"}};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char path[80];
        (void)snprintf(path, sizeof path, "/v1/cluster/members?%s", bad[i][0]);
        bench_call(&b, "GET", path, "", 400);
        CHECK_STR(bad[i][1], bench_at(&b, "field"));
    }
    bench_done(&b);
}

TEST(ops_node_alone_can_hand_over_to_nobody)
{
    struct bench b;
    bench_init(&b);
    bench_call(&b, "POST", "/v1/cluster/transfer-leader", "", 412);
    CHECK_STR("there is no other voter that could lead", bench_at(&b, "detail"));
    bench_call(&b, "POST", "/v1/cluster/transfer-leader", "{\"to\":\"n1\"}", 200); /* it leads */
    CHECK_STR("n1", bench_at(&b, "node"));
    bench_call(&b, "POST", "/v1/cluster/transfer-leader", "{\"to\":\"n2\"}", 404);
    CHECK_STR("to", bench_at(&b, "field"));
    fake_hello(&b.f, 2, "10.0.0.2:7001", NULL);
    bench_call(&b, "POST", "/v1/cluster/transfer-leader", "{\"to\":\"n2\"}", 412);
    CHECK_STR("node n2 takes no part in consensus yet", bench_at(&b, "detail"));
    bench_done(&b);
}

TEST(ops_stats_leave_out_what_is_unknown)
{
    struct bench b;
    bench_init_vm(&b);
    memset(&b.f.stats, 0xff, sizeof b.f.stats);
    b.f.stats.rss_bytes = 4096;
    bench_call(&b, "GET", "/v1/vms/web-1/stats", "", 200);
    CHECK_STR("{\"rss_bytes\":4096}", buf_cstr(&b.body));
    bench_call(&b, "POST", "/v1/vms/web-1/stop", "", 202);
    bench_call(&b, "GET", "/v1/vms/web-1/stats", "", 409);
    bench_done(&b);
}

TEST(ops_health_says_what_is_wrong)
{
    struct bench b;
    bench_init(&b);
    b.call.who = (struct op_caller){"", PB__ROLE__ROLE_NONE}; /* health is for everybody */
    bench_call(&b, "GET", "/livez", "", 200);
    CHECK_STR("ok\n", buf_cstr(&b.body));
    bench_call(&b, "GET", "/readyz?verbose", "", 200);
    CHECK_STR("[+] node\n[+] leader\n[+] member\n[+] vms\nok\n", buf_cstr(&b.body));
    struct fault why;
    (void)fault_set(&why, ST_IO, "the disk is gone");
    b.f.log.events->failed(b.f.log.events->ctx, &why);
    fake_run(&b.f);
    bench_call(&b, "GET", "/livez", "", 503);
    CHECK(strstr(buf_cstr(&b.body), "the disk is gone"));
    b.call.who = (struct op_caller){"uid:0(root)", PB__ROLE__ROLE_ADMIN};
    bench_call(&b, "GET", "/v1/vms", "", 503);
    bench_done(&b);
}

TEST(ops_node_shutdown_answers_when_no_vm_runs)
{
    struct bench b;
    bench_init_vm(&b);
    b.f.vms_held = true;
    unsigned before = b.answers;
    bench_send(&b, "POST", "/v1/nodes/-/shutdown", "");
    fake_run(&b.f);
    CHECK_EQ(before, b.answers);
    b.f.vms_held = false;
    fake_run(&b.f);
    CHECK_EQ(before + 1, b.answers);
    CHECK_EQ(204, b.last.http);
    bench_done(&b);
}

/* --- lists --- */

TEST(ops_list_comes_in_pages_sorted_by_name)
{
    struct bench b;
    bench_init(&b);
    bench_image(&b);
    static const char *const names[] = {"d", "a", "e", "b", "c"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        bench_vm(&b, names[i]);
    char address[300] = "/v1/vms?limit=2&fields=meta.name", all[16] = "";
    for (int page = 0; page < 3; page++) {
        bench_call(&b, "GET", address, "", 200);
        CHECK(json_array_size(json_object_get(b.json, "items")) == (page < 2 ? 2 : 1));
        (void)strcat(all, bench_at(&b, "items.0.meta.name"));
        (void)strcat(all, bench_at(&b, "items.1.meta.name"));
        CHECK_STR("", bench_at(&b, "items.0.meta.uid"));
        (void)snprintf(address, sizeof address, "/v1/vms?limit=2&fields=meta.name&cursor=%s",
                       bench_at(&b, "next"));
    }
    CHECK_STR("abcde", all);
    CHECK_STR("", bench_at(&b, "next"));

    bench_call(&b, "GET",
               "/v1/vms?filter=name!=a%20%26%26%20phase==running&fields=meta,status.phase", "",
               200);
    CHECK_EQ(4, json_array_size(json_object_get(b.json, "items")));
    CHECK_STR("running", bench_at(&b, "items.0.status.phase"));
    CHECK_STR("", bench_at(&b, "items.0.spec.image"));
    bench_call(&b, "GET", "/v1/vms?project=nowhere", "", 200);
    CHECK_EQ(0, json_array_size(json_object_get(b.json, "items")));
    bench_done(&b);
}

TEST(ops_list_refuses_what_it_cannot_mean)
{
    static const char *const bad[][2] = {
        {"/v1/vms?filter=phase==runing", "filter"},
        {"/v1/vms?fields=spec.cpus", "fields"},
        {"/v1/vms?cursor=x", "cursor"},
        {"/v1/vms?limit=0", "limit"},
        {"/v1/vms?limit=1001", "limit"},
        {"/v1/nodes?project=default", "project"},
        {"/v1/vms?sort=name", "sort"},
        {"/v1/vms?consistency=maybe", "consistency"},
        {"/v1/vms?project=No", "project"},
    };
    struct bench b;
    bench_init(&b);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        bench_call(&b, "GET", bad[i][0], "", 400);
        CHECK_STR("invalid", bench_at(&b, "code"));
        CHECK_STR(bad[i][1], bench_at(&b, "field"));
    }
    bench_done(&b);
}

TEST(ops_operations_are_listed_by_age)
{
    struct bench b;
    bench_init(&b);
    bench_image(&b);
    bench_vm(&b, "z");
    b.f.now_ms += 1000;
    bench_vm(&b, "a");
    bench_call(&b, "GET", "/v1/operations?limit=2", "", 200);
    CHECK_STR("image.build", bench_at(&b, "items.0.kind"));
    CHECK_STR("z", bench_at(&b, "items.1.target_name"));
    char address[300];
    (void)snprintf(address, sizeof address, "/v1/operations?cursor=%s", bench_at(&b, "next"));
    bench_call(&b, "GET", address, "", 200);
    CHECK_STR("a", bench_at(&b, "items.0.target_name"));
    bench_done(&b);
}

/* --- who may, what is well-formed --- */

TEST(ops_refuses_strangers)
{
    struct bench b;
    bench_init(&b);
    b.call.who = (struct op_caller){"uid:1000(eve)", PB__ROLE__ROLE_NONE};
    bench_call(&b, "GET", "/v1/vms", "", 403);
    CHECK_STR("denied", bench_at(&b, "code"));
    bench_call(&b, "POST", "/v1/vms", "{\"this\": is not even looked at", 403);
    bench_call(&b, "GET", "/metrics", "", 403);
    b.call.who = (struct op_caller){"", PB__ROLE__ROLE_ADMIN};
    bench_call(&b, "GET", "/v1/vms", "", 401);
    bench_done(&b);
}

TEST(ops_lets_each_role_do_what_its_rows_say)
{
    struct bench b;
    bench_init(&b);
    b.call.who = (struct op_caller){"token:board", PB__ROLE__ROLE_VIEWER};
    bench_call(&b, "GET", "/v1/vms", "", 200);
    bench_call(&b, "POST", "/v1/images", "{\"name\":\"a\"}", 403);
    CHECK_STR("token:board may not image.build: it needs the role operator, and has viewer",
              bench_at(&b, "detail"));
    CHECK_STR("an admin can make such a token: blixard token create NAME --role operator",
              bench_at(&b, "hint"));
    bench_call(&b, "GET", "/v1/tokens", "", 403);
    b.call.who.role = PB__ROLE__ROLE_OPERATOR;
    bench_call(&b, "POST", "/v1/images", "{\"name\":\"a\"}", 202);
    bench_call(&b, "POST", "/v1/images/import", "{\"name\":\"b\"}", 403);
    bench_call(&b, "POST", "/v1/tenants", "{\"name\":\"t\"}", 403);
    b.call.who.role = PB__ROLE__ROLE_ADMIN;
    bench_call(&b, "POST", "/v1/tenants", "{\"name\":\"t\"}", 201);
    bench_done(&b);
}

/* --- tokens --- */

static void make_token(struct bench *b, const char *body, char text[128])
{
    bench_call(b, "POST", "/v1/tokens", body, 201);
    (void)snprintf(text, 128, "%s", bench_at(b, "token"));
}

TEST(ops_token_is_shown_once_and_says_who_comes)
{
    struct bench b;
    struct op_bearer who;
    char text[128];
    bench_init(&b);
    make_token(&b, "{\"name\":\"ci\",\"role\":\"operator\"}", text);
    CHECK(str_starts(str_from(text), "blx_svc_"));
    CHECK_STR("operator", bench_at(&b, "role"));
    bench_call(&b, "GET", "/v1/tokens/ci", "", 200);
    CHECK_STR("", bench_at(&b, "token"));
    CHECK_STR("", bench_at(&b, "secret_hash"));
    bench_call(&b, "GET", "/v1/tokens?fields=secret_hash", "", 400);

    CHECK_EQ(ST_OK, ops_authenticate(b.ops, str_from(text), &who, NULL));
    CHECK_STR("token:ci", who.actor);
    CHECK_EQ(PB__ROLE__ROLE_OPERATOR, who.role);
    bench_call(&b, "GET", "/v1/tokens/ci", "", 200);
    CHECK_STR(bench_at(&b, "meta.uid"), who.uid);
    bench_done(&b);
}

TEST(ops_token_that_is_not_good_is_refused_and_says_why)
{
    struct bench b;
    struct op_bearer who;
    struct fault why;
    char text[128], other[128];
    bench_init(&b);
    make_token(&b, "{\"name\":\"ci\",\"role\":\"viewer\",\"ttl_ms\":60000}", text);
    make_token(&b, "{\"name\":\"other\",\"role\":\"viewer\"}", other);

    CHECK_EQ(ST_UNAUTHENTICATED, ops_authenticate(b.ops, STR("hello"), &who, &why));
    char typo[128];
    (void)snprintf(typo, sizeof typo, "%s", text);
    typo[30] = typo[30] == 'x' ? 'y' : 'x';
    CHECK_EQ(ST_UNAUTHENTICATED, ops_authenticate(b.ops, str_from(typo), &who, &why));
    CHECK_STR("the credential: the token is mistyped: its check does not fit", why.text);

    b.f.wall_ns += UINT64_C(61000000000);
    CHECK_EQ(ST_UNAUTHENTICATED, ops_authenticate(b.ops, str_from(text), &who, &why));
    CHECK(strstr(why.text, "token ci has expired, at ") != NULL);
    CHECK_EQ(ST_OK, ops_authenticate(b.ops, str_from(other), &who, &why));
    bench_call(&b, "DELETE", "/v1/tokens/other?dry_run", "", 200);
    CHECK_EQ(ST_OK, ops_authenticate(b.ops, str_from(other), &who, &why));
    bench_call(&b, "DELETE", "/v1/tokens/other?force", "", 400);
    bench_call(&b, "DELETE", "/v1/tokens/other", "", 204);
    CHECK_EQ(ST_UNAUTHENTICATED, ops_authenticate(b.ops, str_from(other), &who, &why));
    CHECK_STR("the token is not known: it was revoked, or never made here", why.text);
    bench_done(&b);
}

/* A token that shows the same id as another, and is whole, but for its secret. */
static void forge(const char *text, struct secret *ret)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t random[TOKEN_RANDOM_SIZE] = {0};
    struct token forged, whole;
    uint64_t id = 0;
    CHECK_EQ(ST_OK, token_parse(str_from(text), &whole, NULL));
    for (const char *p = whole.id; *p; p++)
        id = id * 62 + (uint64_t)(strchr(digits, *p) - digits);
    for (int i = 0; i < 8; i++)
        random[i] = (uint8_t)(id >> (56 - 8 * i));
    token_make(random, &forged, ret);
    CHECK_STR(whole.id, forged.id);
}

/* The id is no secret: without the right one it opens nothing. */
TEST(ops_token_of_another_secret_is_none)
{
    struct bench b;
    struct op_bearer who;
    struct fault why;
    AUTO(secret_done) struct secret forged = {0};
    char text[128];
    bench_init(&b);
    make_token(&b, "{\"name\":\"a\",\"role\":\"admin\"}", text);
    forge(text, &forged);
    CHECK_EQ(ST_UNAUTHENTICATED, ops_authenticate(b.ops, secret_view(&forged), &who, &why));
    CHECK_STR("the token is not known: it was revoked, or never made here", why.text);
    CHECK_EQ(ST_OK, ops_authenticate(b.ops, str_from(text), &who, &why));
    bench_done(&b);
}

TEST(ops_token_retried_is_made_once_and_not_shown_again)
{
    struct bench b;
    bench_init(&b);
    b.call.idempotency_key = STR("k");
    bench_call(&b, "POST", "/v1/tokens", "{\"name\":\"a\",\"role\":\"viewer\"}", 201);
    bench_call(&b, "POST", "/v1/tokens", "{\"name\":\"a\",\"role\":\"viewer\"}", 201);
    CHECK_STR("", bench_at(&b, "token"));
    CHECK_STR("a", bench_at(&b, "meta.name"));
    bench_done(&b);
}

TEST(ops_token_needs_a_role_and_a_life_of_at_most_a_year)
{
    struct bench b;
    bench_init(&b);
    bench_call(&b, "POST", "/v1/tokens", "{\"name\":\"a\"}", 400);
    bench_call(&b, "POST", "/v1/tokens", "{\"name\":\"a\",\"role\":\"none\"}", 400);
    bench_call(&b, "POST", "/v1/tokens", "{\"name\":\"a\",\"role\":\"viewer\",\"ttl_ms\":\"366d\"}",
               400);
    bench_call(&b, "POST", "/v1/tokens", "{\"name\":\"a\",\"role\":\"viewer\",\"ttl_ms\":\"365d\"}",
               201);
    bench_done(&b);
}

TEST(ops_refuses_what_is_not_well_formed)
{
    static const struct {
        const char *method, *address, *body;
        unsigned http;
        const char *code, *field;
    } bad[] = {
        {"POST", "/v1/vms", "", 400, "invalid", "spec.image"},
        {"POST", "/v1/vms", "[]", 400, "invalid", ""},
        {"POST", "/v1/vms", "{", 400, "invalid", ""},
        {"POST", "/v1/vms", "{\"spec\":{}}", 400, "invalid", "spec.image"},
        {"POST", "/v1/vms", "{\"spec\":{\"image\":\"x\",\"image\":\"y\"}}", 400, "invalid", ""},
        {"POST", "/v1/vms", "{\"spec\":{\"image\":\"x\",\"vcpu\":1}}", 400, "invalid", "spec.vcpu"},
        {"POST", "/v1/vms", "{\"spec\":{\"image\":\"x\",\"vcpus\":\"two\"}}", 400, "invalid",
         "spec.vcpus"},
        {"POST", "/v1/vms", "{\"spec\":{\"image\":\"x\",\"vcpus\":65}}", 400, "invalid",
         "spec.vcpus"},
        {"POST", "/v1/vms", "{\"name\":\"Web\",\"spec\":{\"image\":\"x\"}}", 400, "invalid",
         "name"},
        {"POST", "/v1/vms", "{\"spec\":{\"image\":\"x\"}}", 404, "not_found", "spec.image"},
        {"POST", "/v1/vms?force=1", "{\"spec\":{\"image\":\"x\"}}", 400, "invalid", "force"},
        {"POST", "/v1/vms", "{\"project\":\"nowhere\",\"spec\":{\"image\":\"x\"}}", 404,
         "not_found", "project"},
        {"GET", "/v1/vms/web-1?x=1", "", 400, "invalid", "x"},
        {"GET", "/v1/vms/web-1?project=a&project=b", "", 404, "not_found", ""},
        {"GET", "/v1/vms/%zz", "", 400, "invalid", ""},
        {"GET", "/v1/vms/%00", "", 400, "invalid", ""},
        {"GET", "/v1/vms", "{}", 400, "invalid", ""},
        {"DELETE", "/v1/vms/x?force=perhaps", "", 400, "invalid", "force"},
        {"POST", "/v1/images", "{\"name\":\"i\",\"source\":{\"root\":\"/x.raw\"}}", 400, "invalid",
         "source.root"},
        {"POST", "/v1/images", "{\"name\":\"i\",\"source\":{\"kernel\":\"/x\"}}", 400, "invalid",
         "source.kernel"},
        {"POST", "/v1/images", "{\"name\":\"i\",\"source\":{\"initrd\":\"/x\"}}", 400, "invalid",
         "source.initrd"},
        {"POST", "/v1/images/import", "{\"name\":\"i\"}", 400, "invalid", "source"},
        {"POST", "/v1/images", "{\"name\":\"i\",\"source\":{\"packages\":[\"vim\"]}}", 400,
         "invalid", "source.packages"},
        {"POST", "/v1/nodes/other/shutdown", "", 404, "not_found", ""},
    };
    struct bench b;
    bench_init(&b);
    uint64_t hash = cluster_objects_hash(node_cluster(b.f.node));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        bench_call(&b, bad[i].method, bad[i].address, bad[i].body, bad[i].http);
        CHECK_STR(bad[i].code, bench_at(&b, "code"));
        CHECK_STR(bad[i].field, bench_at(&b, "field"));
        CHECK_EQ(bad[i].http, atoi(bench_at(&b, "status")));
        CHECK(bench_at(&b, "detail")[0] && bench_at(&b, "title")[0]);
    }
    CHECK(hash == cluster_objects_hash(node_cluster(b.f.node)));
    bench_done(&b);
}

TEST(ops_body_has_a_limit)
{
    struct bench b;
    static char body[OPS_BODY_MAX + 2];
    bench_init(&b);
    memset(body, ' ', sizeof body - 1);
    body[0] = '{';
    body[OPS_BODY_MAX] = '}';
    bench_call(&b, "POST", "/v1/tenants", body, 413);
    CHECK_STR("too_big", bench_at(&b, "code"));
    bench_done(&b);
}

TEST(ops_hints_at_what_was_meant)
{
    struct bench b;
    bench_init_vm(&b);
    bench_call(&b, "GET", "/v1/vms/web-2", "", 404);
    CHECK_STR("did you mean web-1?", bench_at(&b, "hint"));
    bench_call(&b, "GET", "/v1/vms?filtr=x", "", 400);
    CHECK_STR("did you mean filter?", bench_at(&b, "hint"));
    b.call.traceparent = STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    bench_call(&b, "GET", "/v1/vms/web-2", "", 404);
    CHECK_STR("0af7651916cd43dd8448eb211c80319c", bench_at(&b, "trace_id"));
    bench_done(&b);
}
