#include <stdlib.h>

#include "ops/event_ops.h"
#include "ops/ops.h"
#include "support/fake.h"
#include "support/tap.h"
#include "wire/json.h"

/* A node and its operations, and what the last call was answered. */
struct bench {
    struct fake f;
    struct ops *ops;
    unsigned answers; /* how often anything was answered */
    struct op_answer last;
    struct buf body;
    json_t *json;
    struct op_call call; /* what the next call has beyond its arguments */
};

static void bench_init(struct bench *b)
{
    json_setup();
    fake_start(&b->f);
    struct ops_config c = {.version = "0.1.0", .feature_level = 1, .timeout_ms = 5000};
    b->ops = ops_new(b->f.node, &c);
    b->call = (struct op_call){.who = {"uid:0(root)", true}};
}

static void bench_done(struct bench *b)
{
    ops_free(b->ops);
    fake_stop(&b->f);
    buf_done(&b->body);
    json_decref(b->json);
}

static void answered(void *ctx, struct op_answer *a)
{
    struct bench *b = ctx;
    b->answers++;
    buf_done(&b->body);
    json_decref(b->json);
    b->json = NULL;
    b->last = *a;
    buf_init(&b->body, OPS_ANSWER_MAX);
    buf_str(&b->body, buf_view(&a->body));
    if (a->type && strstr(a->type, "json")) {
        CHECK_EQ(ST_OK, json_parse(buf_view(&b->body), OPS_ANSWER_MAX, &b->json, NULL));
    }
}

/* Send it; it may be answered later. */
static void send_call(struct bench *b, const char *method, const char *address, const char *body)
{
    char allowed[64];
    struct str path, query = str_from(address);
    struct op_call c = b->call;
    (void)str_cut(&query, '?', &path);
    c.op = op_route(str_from(method), path, &c.name, allowed);
    CHECK(c.op);
    c.query = query;
    c.body = str_from(body);
    ops_call(b->ops, &c, answered, b);
}

/* Send it, let everything work, and expect that status. */
static void call(struct bench *b, const char *method, const char *address, const char *body,
                 unsigned http)
{
    unsigned before = b->answers;
    printf("# %s %s %.200s\n", method, address, body);
    send_call(b, method, address, body);
    fake_run(&b->f);
    CHECK_EQ(before + 1, b->answers);
    if (http != b->last.http)
        printf("# %s\n", buf_cstr(&b->body));
    CHECK_EQ(http, b->last.http);
}

/* The text or number at "spec.vcpus" of the last answer. */
static const char *at(struct bench *b, const char *path)
{
    static char number[32];
    json_t *v = b->json;
    struct str rest = str_from(path), part;
    for (bool more = true; more;) {
        more = str_cut(&rest, '.', &part);
        bool digits = part.len > 0 && part.ptr[0] >= '0' && part.ptr[0] <= '9';
        v = digits ? json_array_get(v, (size_t)(part.ptr[0] - '0'))
                   : json_object_getn(v, part.ptr, part.len);
    }
    if (json_is_integer(v))
        (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
    else if (json_is_boolean(v))
        (void)snprintf(number, sizeof number, "%s", json_is_true(v) ? "true" : "false");
    if (json_is_integer(v) || json_is_boolean(v))
        return number;
    return json_is_string(v) ? json_string_value(v) : "";
}

static void make_image(struct bench *b)
{
    call(b, "POST", "/v1/images", "{\"name\":\"debian\"}", 202);
    CHECK_STR("image.build", at(b, "kind"));
    call(b, "GET", "/v1/images/debian", "", 200);
    CHECK_STR("ready", at(b, "phase"));
}

static void make_vm(struct bench *b, const char *name)
{
    char body[200];
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"spec\":{\"image\":\"debian\"}}", name);
    call(b, "POST", "/v1/vms", body, 202);
}

/* --- it works --- */

TEST(ops_vm_is_made_started_and_deleted)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    CHECK_STR("vm.create", at(&b, "kind"));
    CHECK_STR("uid:0(root)", at(&b, "actor"));
    char location[80];
    (void)snprintf(location, sizeof location, "/v1/operations/%s", at(&b, "id"));
    CHECK_STR(location, b.last.location);
    CHECK(b.last.index > 0 && b.last.etag[0]);

    call(&b, "GET", location, "", 200);
    CHECK_STR("succeeded", at(&b, "phase"));
    call(&b, "GET", "/v1/vms/web-1", "", 200);
    CHECK_STR("running", at(&b, "status.phase"));
    CHECK_STR("1", at(&b, "spec.vcpus"));
    CHECK_STR("default", at(&b, "meta.project"));

    call(&b, "DELETE", "/v1/vms/web-1", "", 202);
    call(&b, "GET", "/v1/vms/web-1", "", 404);
    CHECK_STR("not_found", at(&b, "code"));
    bench_done(&b);
}

TEST(ops_vm_powers)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    static const char *const steps[][2] = {{"pause", "paused"},    {"resume", "running"},
                                           {"stop", "stopped"},    {"start", "running"},
                                           {"restart", "running"}, {"stop", "stopped"}};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "/v1/vms/web-1/%s", steps[i][0]);
        call(&b, "POST", path, "", 202);
        call(&b, "GET", "/v1/vms/web-1", "", 200);
        CHECK_STR(steps[i][1], at(&b, "status.phase"));
    }
    call(&b, "POST", "/v1/vms/web-1/stop", "{\"force\":true}",
         200); /* it is: the operation ended */
    CHECK_STR("succeeded", at(&b, "phase"));
    call(&b, "POST", "/v1/vms/web-1/pause", "", 409);
    bench_done(&b);
}

TEST(ops_vm_without_a_name_gets_one)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    call(&b, "POST", "/v1/vms", "{\"spec\":{\"image\":\"debian\"},\"start\":false}", 200);
    const char *name = at(&b, "target_name");
    CHECK(strchr(name, '-'));
    bench_done(&b);
}

TEST(ops_vm_update_is_a_merge_patch)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    call(&b, "POST", "/v1/vms",
         "{\"name\":\"web-1\",\"labels\":[{\"key\":\"env\",\"value\":\"prod\"}],"
         "\"spec\":{\"image\":\"debian\",\"vcpus\":2,\"mem_mib\":\"1GiB\"}}",
         202);
    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"mem_mib\":512}}", 200);
    CHECK_STR("512", at(&b, "spec.mem_mib"));
    CHECK_STR("2", at(&b, "spec.vcpus"));
    CHECK_STR("prod", at(&b, "meta.labels.0.value"));
    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":null},\"labels\":null}", 200);
    CHECK_STR("1", at(&b, "spec.vcpus"));
    CHECK_STR("", at(&b, "meta.labels.0.value"));

    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"image\":\"other\"}}", 400);
    CHECK_STR("spec.image", at(&b, "field"));
    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":99}}", 400);
    CHECK_STR("spec.vcpus", at(&b, "field"));
    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"cpus\":1}}", 400);
    bench_done(&b);
}

TEST(ops_tenants_and_projects)
{
    struct bench b = {0};
    bench_init(&b);
    call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\",\"title\":\"Acme\"}", 201);
    CHECK_STR("acme", at(&b, "meta.name"));
    CHECK(str_starts(str_from(b.last.location), "/v1/tenants/"));
    call(&b, "POST", "/v1/projects", "{\"name\":\"shop\",\"tenant\":\"acme\"}", 201);
    call(&b, "GET", "/v1/projects?filter=tenant==acme", "", 200);
    CHECK_STR("shop", at(&b, "items.0.meta.name"));
    call(&b, "DELETE", "/v1/tenants/acme", "", 409);
    CHECK_STR("in_use", at(&b, "code"));
    call(&b, "DELETE", "/v1/projects/shop", "", 204);
    call(&b, "DELETE", "/v1/tenants/acme", "", 204);
    call(&b, "GET", "/v1/tenants/acme", "", 404);
    bench_done(&b);
}

TEST(ops_shows_nodes_cluster_and_version)
{
    struct bench b = {0};
    bench_init(&b);
    call(&b, "GET", "/v1/nodes/-", "", 200);
    CHECK_STR("n1", at(&b, "meta.name"));
    call(&b, "GET", "/v1/nodes", "", 200);
    CHECK_STR("testhost", at(&b, "items.0.facts.hostname"));
    call(&b, "GET", "/v1/cluster", "", 200);
    CHECK_STR("c", at(&b, "meta.name"));
    call(&b, "GET", "/v1/version", "", 200);
    CHECK_STR("0.1.0", at(&b, "version"));
    CHECK_STR("n1", at(&b, "node"));
    bench_done(&b);
}

TEST(ops_stats_leave_out_what_is_unknown)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    memset(&b.f.stats, 0xff, sizeof b.f.stats);
    b.f.stats.rss_bytes = 4096;
    call(&b, "GET", "/v1/vms/web-1/stats", "", 200);
    CHECK_STR("{\"rss_bytes\":4096}", buf_cstr(&b.body));
    call(&b, "POST", "/v1/vms/web-1/stop", "", 202);
    call(&b, "GET", "/v1/vms/web-1/stats", "", 409);
    bench_done(&b);
}

TEST(ops_health_says_what_is_wrong)
{
    struct bench b = {0};
    bench_init(&b);
    b.call.who = (struct op_caller){"", false}; /* health is for everybody */
    call(&b, "GET", "/livez", "", 200);
    CHECK_STR("ok\n", buf_cstr(&b.body));
    call(&b, "GET", "/readyz?verbose", "", 200);
    CHECK_STR("[+] node\n[+] leader\n[+] member\n[+] vms\nok\n", buf_cstr(&b.body));
    struct fault why;
    (void)fault_set(&why, ST_IO, "the disk is gone");
    b.f.log.events->failed(b.f.log.events->ctx, &why);
    fake_run(&b.f);
    call(&b, "GET", "/livez", "", 503);
    CHECK(strstr(buf_cstr(&b.body), "the disk is gone"));
    b.call.who = (struct op_caller){"uid:0(root)", true};
    call(&b, "GET", "/v1/vms", "", 503);
    bench_done(&b);
}

TEST(ops_node_shutdown_answers_when_no_vm_runs)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    b.f.vms_held = true;
    unsigned before = b.answers;
    send_call(&b, "POST", "/v1/nodes/-/shutdown", "");
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
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    static const char *const names[] = {"d", "a", "e", "b", "c"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        make_vm(&b, names[i]);
    char address[300] = "/v1/vms?limit=2&fields=meta.name", all[16] = "";
    for (int page = 0; page < 3; page++) {
        call(&b, "GET", address, "", 200);
        CHECK(json_array_size(json_object_get(b.json, "items")) == (page < 2 ? 2 : 1));
        (void)strcat(all, at(&b, "items.0.meta.name"));
        (void)strcat(all, at(&b, "items.1.meta.name"));
        CHECK_STR("", at(&b, "items.0.meta.uid"));
        (void)snprintf(address, sizeof address, "/v1/vms?limit=2&fields=meta.name&cursor=%s",
                       at(&b, "next"));
    }
    CHECK_STR("abcde", all);
    CHECK_STR("", at(&b, "next"));

    call(&b, "GET", "/v1/vms?filter=name!=a%20%26%26%20phase==running&fields=meta,status.phase", "",
         200);
    CHECK_EQ(4, json_array_size(json_object_get(b.json, "items")));
    CHECK_STR("running", at(&b, "items.0.status.phase"));
    CHECK_STR("", at(&b, "items.0.spec.image"));
    call(&b, "GET", "/v1/vms?project=nowhere", "", 200);
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
    struct bench b = {0};
    bench_init(&b);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        call(&b, "GET", bad[i][0], "", 400);
        CHECK_STR("invalid", at(&b, "code"));
        CHECK_STR(bad[i][1], at(&b, "field"));
    }
    bench_done(&b);
}

TEST(ops_operations_are_listed_by_age)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "z");
    b.f.now_ms += 1000;
    make_vm(&b, "a");
    call(&b, "GET", "/v1/operations?limit=2", "", 200);
    CHECK_STR("image.build", at(&b, "items.0.kind"));
    CHECK_STR("z", at(&b, "items.1.target_name"));
    char address[300];
    (void)snprintf(address, sizeof address, "/v1/operations?cursor=%s", at(&b, "next"));
    call(&b, "GET", address, "", 200);
    CHECK_STR("a", at(&b, "items.0.target_name"));
    bench_done(&b);
}

/* --- who may, what is well-formed --- */

TEST(ops_refuses_strangers)
{
    struct bench b = {0};
    bench_init(&b);
    b.call.who = (struct op_caller){"uid:1000(eve)", false};
    call(&b, "GET", "/v1/vms", "", 403);
    CHECK_STR("denied", at(&b, "code"));
    call(&b, "POST", "/v1/vms", "{\"this\": is not even looked at", 403);
    call(&b, "GET", "/metrics", "", 403);
    b.call.who = (struct op_caller){"", true};
    call(&b, "GET", "/v1/vms", "", 401);
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
        {"POST", "/v1/images/import", "{\"name\":\"i\"}", 400, "invalid", "source"},
        {"POST", "/v1/images", "{\"name\":\"i\",\"source\":{\"packages\":[\"vim\"]}}", 400,
         "invalid", "source.packages"},
        {"POST", "/v1/nodes/other/shutdown", "", 404, "not_found", ""},
    };
    struct bench b = {0};
    bench_init(&b);
    uint64_t hash = cluster_objects_hash(node_cluster(b.f.node));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        call(&b, bad[i].method, bad[i].address, bad[i].body, bad[i].http);
        CHECK_STR(bad[i].code, at(&b, "code"));
        CHECK_STR(bad[i].field, at(&b, "field"));
        CHECK_EQ(bad[i].http, atoi(at(&b, "status")));
        CHECK(at(&b, "detail")[0] && at(&b, "title")[0]);
    }
    CHECK(hash == cluster_objects_hash(node_cluster(b.f.node)));
    bench_done(&b);
}

TEST(ops_body_has_a_limit)
{
    struct bench b = {0};
    static char body[OPS_BODY_MAX + 2];
    bench_init(&b);
    memset(body, ' ', sizeof body - 1);
    body[0] = '{';
    body[OPS_BODY_MAX] = '}';
    call(&b, "POST", "/v1/tenants", body, 413);
    CHECK_STR("too_big", at(&b, "code"));
    bench_done(&b);
}

TEST(ops_hints_at_what_was_meant)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    call(&b, "GET", "/v1/vms/web-2", "", 404);
    CHECK_STR("did you mean web-1?", at(&b, "hint"));
    call(&b, "GET", "/v1/vms?filtr=x", "", 400);
    CHECK_STR("did you mean filter?", at(&b, "hint"));
    b.call.traceparent = STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    call(&b, "GET", "/v1/vms/web-2", "", 404);
    CHECK_STR("0af7651916cd43dd8448eb211c80319c", at(&b, "trace_id"));
    bench_done(&b);
}

/* --- preconditions, repetition, waiting --- */

TEST(ops_etags_guard_reads_and_writes)
{
    struct bench b = {0};
    char etag[32];
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    call(&b, "GET", "/v1/vms/web-1", "", 200);
    memcpy(etag, b.last.etag, sizeof etag);
    b.call.if_none_match = str_from(etag);
    call(&b, "GET", "/v1/vms/web-1", "", 304);
    CHECK(!b.last.type && b.body.len == 0);
    b.call.if_none_match = STR("\"70\", W/\"80\"");
    call(&b, "GET", "/v1/vms/web-1", "", 200);
    b.call.if_none_match = STR("");

    b.call.if_match = STR("\"3\"");
    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 412);
    CHECK_STR("precondition_failed", at(&b, "code"));
    call(&b, "DELETE", "/v1/vms/web-1", "", 412);
    call(&b, "POST", "/v1/vms/web-1/stop", "", 412);
    b.call.if_match = str_from(etag);
    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 200);
    b.call.if_match = STR("12");
    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 400);
    bench_done(&b);
}

TEST(ops_repeated_key_is_carried_out_once)
{
    struct bench b = {0};
    bench_init(&b);
    b.call.idempotency_key = STR("order-66");
    call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 201);
    char uid[OBJECT_UID_MAX];
    (void)snprintf(uid, sizeof uid, "%s", at(&b, "meta.uid"));
    call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 201);
    CHECK_STR(uid, at(&b, "meta.uid"));
    call(&b, "POST", "/v1/tenants", "{\"name\":\"other\"}", 409);
    CHECK_STR("conflict", at(&b, "code"));
    call(&b, "GET", "/v1/tenants/other", "", 404);
    b.call.who.actor = "uid:4711";
    call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 409); /* another's key is another key */
    CHECK_STR("exists", at(&b, "code"));
    b.call.idempotency_key = STR("");
    call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 409);
    static char longest[OPS_KEY_MAX + 2];
    memset(longest, 'k', OPS_KEY_MAX + 1);
    b.call.idempotency_key = str_from(longest);
    call(&b, "POST", "/v1/tenants", "{\"name\":\"b\"}", 413);
    bench_done(&b);
}

/* What the first try named is gone, or has another ETag, because of that try. */
TEST(ops_repeated_key_is_answered_as_before_whatever_it_changed)
{
    struct bench b = {0};
    char etag[32];
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    call(&b, "GET", "/v1/vms/web-1", "", 200);
    (void)snprintf(etag, sizeof etag, "%s", b.last.etag);
    b.call.if_match = str_from(etag);
    b.call.idempotency_key = STR("a");
    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 200);
    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 200);
    b.call.if_match = STR("*");
    call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 409);
    b.call.if_match = STR("");
    b.call.idempotency_key = STR("b");
    call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 201);
    b.call.idempotency_key = STR("c");
    call(&b, "DELETE", "/v1/tenants/acme", "", 204);
    call(&b, "DELETE", "/v1/tenants/acme", "", 204);
    b.call.idempotency_key = STR("d");
    call(&b, "DELETE", "/v1/tenants/acme", "", 404);
    bench_done(&b);
}

TEST(ops_prefer_waits_for_the_end)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    b.f.vms_held = true;
    b.call.wait_ms = 10000;
    send_call(&b, "POST", "/v1/vms", "{\"name\":\"web-1\",\"spec\":{\"image\":\"debian\"}}");
    unsigned before = b.answers;
    fake_run(&b.f);
    CHECK_EQ(before, b.answers);
    CHECK_EQ(b.f.now_ms + 10000, ops_deadline_ms(b.ops));
    b.f.vms_held = false;
    fake_run(&b.f);
    CHECK_EQ(before + 1, b.answers);
    CHECK_EQ(200, b.last.http);
    CHECK_STR("succeeded", at(&b, "phase"));
    CHECK(ops_deadline_ms(b.ops) == UINT64_MAX);
    bench_done(&b);
}

TEST(ops_prefer_ends_with_its_time)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    b.f.vms_held = true;
    b.call.wait_ms = 10000;
    send_call(&b, "POST", "/v1/vms", "{\"name\":\"web-1\",\"spec\":{\"image\":\"debian\"}}");
    fake_run(&b.f);
    b.f.now_ms += 9999;
    ops_step(b.ops);
    unsigned before = b.answers;
    b.f.now_ms += 1;
    ops_step(b.ops);
    CHECK_EQ(before + 1, b.answers);
    CHECK_EQ(202, b.last.http);
    CHECK_STR("running", at(&b, "phase"));
    char address[128];
    (void)snprintf(address, sizeof address, "/v1/operations/%.8s/wait?timeout_ms=1s", at(&b, "id"));
    send_call(&b, "GET", address, "");
    fake_run(&b.f);
    CHECK_EQ(before + 1, b.answers);
    b.f.now_ms += 1000;
    ops_step(b.ops);
    CHECK_EQ(before + 2, b.answers);
    CHECK_EQ(200, b.last.http);
    CHECK_STR("running", at(&b, "phase"));
    bench_done(&b);
}

TEST(ops_operation_is_cancelled)
{
    struct bench b = {0};
    bench_init(&b);
    b.f.images_held = true;
    call(&b, "POST", "/v1/images", "{\"name\":\"debian\"}", 202);
    char address[80];
    (void)snprintf(address, sizeof address, "/v1/operations/%s", at(&b, "id"));
    call(&b, "DELETE", address, "", 200);
    call(&b, "GET", address, "", 200);
    CHECK_STR("cancelled", at(&b, "phase"));
    bench_done(&b);
}

TEST(ops_forgotten_call_is_not_answered)
{
    struct bench b = {0};
    bench_init(&b);
    b.f.log_held = true;
    send_call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}");
    ops_forget(b.ops, &b);
    b.f.log_held = false;
    fake_run(&b.f);
    CHECK_EQ(0, b.answers);
    call(&b, "GET", "/v1/tenants/acme", "", 200); /* what was proposed went on */
    bench_done(&b);
}

TEST(ops_write_that_is_not_committed_in_time_says_so)
{
    struct bench b = {0};
    bench_init(&b);
    b.f.log_held = true;
    send_call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}");
    fake_run(&b.f);
    b.f.now_ms += 5001;
    fake_run(&b.f);
    CHECK_EQ(1, b.answers);
    CHECK_EQ(504, b.last.http);
    CHECK_STR("timeout", at(&b, "code"));
    CHECK(strstr(at(&b, "hint"), "Idempotency-Key"));
    bench_done(&b);
}

TEST(ops_calls_under_way_are_told_at_the_end)
{
    struct bench b = {0};
    bench_init(&b);
    b.f.log_held = true;
    send_call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}");
    ops_free(b.ops);
    CHECK_EQ(1, b.answers);
    CHECK_EQ(503, b.last.http);
    fake_stop(&b.f);
    buf_done(&b.body);
    json_decref(b.json);
}

/* --- dry runs --- */

TEST(ops_dry_run_checks_all_and_changes_nothing)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    uint64_t index = cluster_index(node_cluster(b.f.node));
    call(&b, "POST", "/v1/vms",
         "{\"name\":\"web-2\",\"dry_run\":true,\"spec\":{\"image\":\"debian\"}}", 200);
    CHECK_STR("web-2", at(&b, "meta.name"));
    CHECK_STR("256", at(&b, "spec.mem_mib"));
    CHECK(b.last.dry_run[0] && !b.last.location[0]);
    call(&b, "POST", "/v1/vms",
         "{\"name\":\"web-1\",\"dry_run\":true,\"spec\":{\"image\":\"debian\"}}", 409);
    call(&b, "POST", "/v1/vms", "{\"dry_run\":true,\"spec\":{\"image\":\"nope\"}}", 404);
    call(&b, "POST", "/v1/vms/web-1/stop", "{\"dry_run\":true}", 200);
    CHECK_STR("stopped", at(&b, "power"));
    call(&b, "PATCH", "/v1/vms/web-1", "{\"dry_run\":true,\"spec\":{\"vcpus\":3}}", 200);
    CHECK_STR("3", at(&b, "spec.vcpus"));
    call(&b, "DELETE", "/v1/vms/web-1?dry_run", "", 200);
    call(&b, "DELETE", "/v1/images/debian?dry_run=true", "", 409);
    CHECK_STR("in_use", at(&b, "code"));
    call(&b, "POST", "/v1/images", "{\"name\":\"other\",\"dry_run\":true}", 200);
    CHECK_EQ(index, cluster_index(node_cluster(b.f.node)));
    call(&b, "GET", "/v1/vms/web-1", "", 200);
    CHECK_STR("running", at(&b, "power"));
    bench_done(&b);
}

/* --- events --- */

static void watch(struct bench *b, struct event_feed *f, const char *query)
{
    struct op_call c = b->call;
    c.op = op_get(OP_EVENTS);
    c.query = str_from(query);
    ops_watch(b->ops, &c, f, answered, b);
}

static enum event_next next(struct event_feed *f, struct buf *out)
{
    buf_reset(out);
    return event_feed_next(f, out);
}

TEST(ops_events_come_in_order_and_resume)
{
    struct bench b = {0};
    struct event_feed f;
    AUTO(buf_done) struct buf out;
    buf_init(&out, EVENT_TEXT_MAX);
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    watch(&b, &f, "since=0");
    CHECK_EQ(200, b.last.http);
    CHECK_EQ(EVENT_GIVEN, next(&f, &out));
    CHECK(strstr(out.ptr, "event: cluster.created\ndata: {"));
    char id[40] = "";
    size_t count = 1;
    while (next(&f, &out) == EVENT_GIVEN) {
        CHECK(str_starts(buf_view(&out), "id: ") && str_ends(buf_view(&out), "}\n\n"));
        (void)snprintf(id, sizeof id, "%.*s", (int)strcspn(out.ptr + 4, "\n"), out.ptr + 4);
        count++;
    }
    CHECK(count > 5);
    CHECK_EQ(EVENT_END, next(&f, &out)); /* without follow */

    b.call.last_event_id = str_from(id);
    watch(&b, &f, "follow&since=0"); /* the header goes before the parameter */
    CHECK_EQ(EVENT_NONE, next(&f, &out));
    call(&b, "POST", "/v1/vms/web-1/stop", "", 202);
    CHECK_EQ(EVENT_GIVEN, next(&f, &out));
    CHECK(strstr(out.ptr, "event: vm.asked\n"));
    bench_done(&b);
}

TEST(ops_events_are_chosen_by_kind_and_name)
{
    struct bench b = {0};
    struct event_feed f;
    AUTO(buf_done) struct buf out;
    buf_init(&out, EVENT_TEXT_MAX);
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    make_vm(&b, "web-2");
    watch(&b, &f, "since=0&kind=vm&name=web-2");
    CHECK_EQ(EVENT_GIVEN, next(&f, &out));
    CHECK(strstr(out.ptr, "event: vm.created\n") && strstr(out.ptr, "web-2"));
    while (next(&f, &out) == EVENT_GIVEN)
        CHECK(strstr(out.ptr, "\"name\":\"web-2\""));
    watch(&b, &f, "kind=dog");
    CHECK_EQ(400, b.last.http);
    CHECK_STR("kind", at(&b, "field"));
    watch(&b, &f, "since=x");
    CHECK_STR("since", at(&b, "field"));
    bench_done(&b);
}

/* A place of another state, or one whose events are gone: the reader starts anew. */
TEST(ops_events_reset_a_reader_that_is_elsewhere)
{
    struct bench b = {0};
    struct event_feed f;
    AUTO(buf_done) struct buf out;
    buf_init(&out, EVENT_TEXT_MAX);
    bench_init(&b);
    watch(&b, &f, "follow&since=999999.0");
    CHECK_EQ(EVENT_GIVEN, next(&f, &out));
    CHECK(strstr(out.ptr, "event: reset\ndata: {\"index\":"));
    CHECK_EQ(EVENT_NONE, next(&f, &out));
    call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 201);
    CHECK_EQ(EVENT_GIVEN, next(&f, &out));
    CHECK(strstr(out.ptr, "event: tenant.created\n"));
    bench_done(&b);
}

TEST(ops_heartbeat_tells_the_place_when_it_moved)
{
    struct bench b = {0};
    struct event_feed f;
    AUTO(buf_done) struct buf out;
    buf_init(&out, EVENT_TEXT_MAX);
    bench_init(&b);
    watch(&b, &f, "follow&kind=vm");
    event_feed_beat(&f, &out);
    CHECK_STR(":\n\n", out.ptr);
    call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 201);
    CHECK_EQ(EVENT_NONE, next(&f, &out));
    event_feed_beat(&f, &out);
    CHECK(str_starts(buf_view(&out), ":\nid: "));
    bench_done(&b);
}

/* --- streams --- */

struct opening {
    struct vmm_stream *stream;
    struct bench *b;
};

static void opened(void *ctx, struct vmm_stream *s, struct op_answer *a)
{
    struct opening *o = ctx;
    o->stream = s;
    answered(o->b, a);
}

static void ignore_data(void *ctx, enum vmm_channel from, struct str bytes)
{
    (void)ctx;
    (void)from;
    (void)bytes;
}

static struct vmm_stream *open_stream(struct bench *b, enum op_id id, const char *name,
                                      const char *query)
{
    static const struct vmm_stream_events events = {.data = ignore_data};
    struct opening o = {.b = b};
    struct op_call c = b->call;
    c.op = op_get(id);
    c.name = str_from(name);
    c.query = str_from(query);
    ops_open(b->ops, &c, &events, 77, opened, &o);
    return o.stream;
}

TEST(ops_streams_are_opened_as_asked)
{
    struct bench b = {0};
    bench_init(&b);
    make_image(&b);
    make_vm(&b, "web-1");
    struct vmm_stream *s = open_stream(&b, OP_VM_EXEC, "web-1", "argv=ls&argv=-l&tty=true&rows=50");
    CHECK(s && s->kind == VMM_STREAM_EXEC && s->tty);
    CHECK_STR("ls -l", s->text);
    CHECK_EQ(50, s->rows);
    CHECK_EQ(80, s->cols);
    s = open_stream(&b, OP_VM_LOGS, "web-1", "tail=4KiB&follow");
    CHECK(s && s->kind == VMM_STREAM_LOG && s->follow && s->tail == 4096);
    s = open_stream(&b, OP_VM_PUSH, "web-1", "path=/etc/motd");
    CHECK(s && s->kind == VMM_STREAM_PUSH && s->size == 77);
    CHECK_STR("/etc/motd", s->text);

    CHECK(!open_stream(&b, OP_VM_EXEC, "web-1", ""));
    CHECK_STR("argv", at(&b, "field"));
    CHECK(!open_stream(&b, OP_VM_PULL, "web-1", "path=etc"));
    CHECK_STR("path", at(&b, "field"));
    CHECK(!open_stream(&b, OP_VM_CONSOLE, "web-9", ""));
    CHECK_EQ(404, b.last.http);
    call(&b, "POST", "/v1/vms/web-1/stop", "", 202);
    CHECK(!open_stream(&b, OP_VM_CONSOLE, "web-1", ""));
    CHECK_EQ(409, b.last.http);
    bench_done(&b);
}
