/* How calls go: with conditions, again, slowly, dry; and what goes on after its answer. */
#include <stdio.h>
#include <string.h>

#include "ops/event_ops.h"
#include "ops/run.h"
#include "support/ops_bench.h"
#include "support/tap.h"

/* --- preconditions, repetition, waiting --- */

TEST(ops_etags_guard_reads_and_writes)
{
    struct bench b;
    char etag[32];
    bench_init_vm(&b);
    bench_call(&b, "GET", "/v1/vms/web-1", "", 200);
    memcpy(etag, b.last.etag, sizeof etag);
    b.call.if_none_match = str_from(etag);
    bench_call(&b, "GET", "/v1/vms/web-1", "", 304);
    CHECK(!b.last.type && b.body.len == 0);
    b.call.if_none_match = STR("\"70\", W/\"80\"");
    bench_call(&b, "GET", "/v1/vms/web-1", "", 200);
    b.call.if_none_match = STR("");

    b.call.if_match = STR("\"3\"");
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 412);
    CHECK_STR("precondition_failed", bench_at(&b, "code"));
    bench_call(&b, "DELETE", "/v1/vms/web-1", "", 412);
    bench_call(&b, "POST", "/v1/vms/web-1/stop", "", 412);
    b.call.if_match = str_from(etag);
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 200);
    b.call.if_match = STR("12");
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 400);
    bench_done(&b);
}

TEST(ops_repeated_key_is_carried_out_once)
{
    struct bench b;
    bench_init(&b);
    b.call.idempotency_key = STR("order-66");
    bench_call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 201);
    char uid[OBJECT_UID_MAX];
    (void)snprintf(uid, sizeof uid, "%s", bench_at(&b, "meta.uid"));
    bench_call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 201);
    CHECK_STR(uid, bench_at(&b, "meta.uid"));
    bench_call(&b, "POST", "/v1/tenants", "{\"name\":\"other\"}", 409);
    CHECK_STR("conflict", bench_at(&b, "code"));
    bench_call(&b, "GET", "/v1/tenants/other", "", 404);
    b.call.who.actor = "uid:4711";
    bench_call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}",
               409); /* another's key is another key */
    CHECK_STR("exists", bench_at(&b, "code"));
    b.call.idempotency_key = STR("");
    bench_call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 409);
    static char longest[OPS_KEY_MAX + 2];
    memset(longest, 'k', OPS_KEY_MAX + 1);
    b.call.idempotency_key = str_from(longest);
    bench_call(&b, "POST", "/v1/tenants", "{\"name\":\"b\"}", 413);
    bench_done(&b);
}

/* What the first try named is gone, or has another ETag, because of that try. */
TEST(ops_repeated_key_is_answered_as_before_whatever_it_changed)
{
    struct bench b;
    char etag[32];
    bench_init_vm(&b);
    bench_call(&b, "GET", "/v1/vms/web-1", "", 200);
    (void)snprintf(etag, sizeof etag, "%s", b.last.etag);
    b.call.if_match = str_from(etag);
    b.call.idempotency_key = STR("a");
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 200);
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 200);
    b.call.if_match = STR("*");
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"spec\":{\"vcpus\":2}}", 409);
    b.call.if_match = STR("");
    b.call.idempotency_key = STR("b");
    bench_call(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 201);
    b.call.idempotency_key = STR("c");
    bench_call(&b, "DELETE", "/v1/tenants/acme", "", 204);
    bench_call(&b, "DELETE", "/v1/tenants/acme", "", 204);
    b.call.idempotency_key = STR("d");
    bench_call(&b, "DELETE", "/v1/tenants/acme", "", 404);
    bench_done(&b);
}

TEST(ops_prefer_waits_for_the_end)
{
    struct bench b;
    bench_init(&b);
    bench_image(&b);
    b.f.vms_held = true;
    b.call.wait_ms = 10000;
    bench_send(&b, "POST", "/v1/vms", "{\"name\":\"web-1\",\"spec\":{\"image\":\"debian\"}}");
    unsigned before = b.answers;
    fake_run(&b.f);
    CHECK_EQ(before, b.answers);
    CHECK_EQ(b.f.now_ms + 10000, ops_deadline_ms(b.ops));
    b.f.vms_held = false;
    fake_run(&b.f);
    CHECK_EQ(before + 1, b.answers);
    CHECK_EQ(200, b.last.http);
    CHECK_STR("succeeded", bench_at(&b, "phase"));
    CHECK(ops_deadline_ms(b.ops) == UINT64_MAX);
    bench_done(&b);
}

/* The node gets the state of a peer: the operation has an end there, of which nobody tells. */
TEST(ops_prefer_sees_the_end_in_a_state_that_was_restored)
{
    struct bench b;
    bench_init(&b);
    bench_image(&b);
    b.f.vms_held = true;
    b.call.wait_ms = 10000;
    bench_send(&b, "POST", "/v1/vms", "{\"name\":\"web-1\",\"spec\":{\"image\":\"debian\"}}");
    fake_run(&b.f);
    unsigned before = b.answers;
    b.ops->watch.restored(&b.ops->watch);
    CHECK_EQ(before, b.answers); /* it goes on there too */
    node_watch_cut(&b.ops->watch);
    b.f.vms_held = false;
    fake_run(&b.f);
    CHECK_EQ(before, b.answers);
    b.ops->watch.restored(&b.ops->watch);
    CHECK_EQ(before + 1, b.answers);
    CHECK_EQ(200, b.last.http);
    CHECK_STR("succeeded", bench_at(&b, "phase"));
    bench_done(&b);
}

TEST(ops_prefer_ends_with_its_time)
{
    struct bench b;
    bench_init(&b);
    bench_image(&b);
    b.f.vms_held = true;
    b.call.wait_ms = 10000;
    bench_send(&b, "POST", "/v1/vms", "{\"name\":\"web-1\",\"spec\":{\"image\":\"debian\"}}");
    fake_run(&b.f);
    b.f.now_ms += 9999;
    ops_step(b.ops);
    unsigned before = b.answers;
    b.f.now_ms += 1;
    ops_step(b.ops);
    CHECK_EQ(before + 1, b.answers);
    CHECK_EQ(202, b.last.http);
    CHECK_STR("running", bench_at(&b, "phase"));
    char address[128];
    (void)snprintf(address, sizeof address, "/v1/operations/%.8s/wait?timeout_ms=1s",
                   bench_at(&b, "id"));
    bench_send(&b, "GET", address, "");
    fake_run(&b.f);
    CHECK_EQ(before + 1, b.answers);
    b.f.now_ms += 1000;
    ops_step(b.ops);
    CHECK_EQ(before + 2, b.answers);
    CHECK_EQ(200, b.last.http);
    CHECK_STR("running", bench_at(&b, "phase"));
    bench_done(&b);
}

TEST(ops_operation_is_cancelled)
{
    struct bench b;
    bench_init(&b);
    b.f.images_held = true;
    bench_call(&b, "POST", "/v1/images", "{\"name\":\"debian\"}", 202);
    char address[80];
    (void)snprintf(address, sizeof address, "/v1/operations/%s", bench_at(&b, "id"));
    bench_call(&b, "DELETE", address, "", 200);
    bench_call(&b, "GET", address, "", 200);
    CHECK_STR("cancelled", bench_at(&b, "phase"));
    bench_done(&b);
}

TEST(ops_forgotten_call_is_not_answered)
{
    struct bench b;
    bench_init(&b);
    b.f.log_held = true;
    bench_send(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}");
    ops_forget(b.ops, &b);
    b.f.log_held = false;
    fake_run(&b.f);
    CHECK_EQ(0, b.answers);
    bench_call(&b, "GET", "/v1/tenants/acme", "", 200); /* what was proposed went on */
    bench_done(&b);
}

TEST(ops_write_that_is_not_committed_in_time_says_so)
{
    struct bench b;
    bench_init(&b);
    b.f.log_held = true;
    bench_send(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}");
    fake_run(&b.f);
    b.f.now_ms += 5001;
    fake_run(&b.f);
    CHECK_EQ(1, b.answers);
    CHECK_EQ(504, b.last.http);
    CHECK_STR("timeout", bench_at(&b, "code"));
    CHECK(strstr(bench_at(&b, "hint"), "Idempotency-Key"));
    bench_done(&b);
}

TEST(ops_calls_under_way_are_told_at_the_end)
{
    struct bench b;
    bench_init(&b);
    b.f.log_held = true;
    bench_send(&b, "POST", "/v1/tenants", "{\"name\":\"acme\"}");
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
    struct bench b;
    bench_init_vm(&b);
    uint64_t index = cluster_index(node_cluster(b.f.node));
    bench_call(&b, "POST", "/v1/vms",
               "{\"name\":\"web-2\",\"dry_run\":true,\"spec\":{\"image\":\"debian\"}}", 200);
    CHECK_STR("web-2", bench_at(&b, "meta.name"));
    CHECK_STR("256", bench_at(&b, "spec.mem_mib"));
    CHECK(b.last.dry_run[0] && !b.last.location[0]);
    bench_call(&b, "POST", "/v1/vms",
               "{\"name\":\"web-1\",\"dry_run\":true,\"spec\":{\"image\":\"debian\"}}", 409);
    bench_call(&b, "POST", "/v1/vms", "{\"dry_run\":true,\"spec\":{\"image\":\"nope\"}}", 404);
    bench_call(&b, "POST", "/v1/vms/web-1/stop", "{\"dry_run\":true}", 200);
    CHECK_STR("stopped", bench_at(&b, "power"));
    bench_call(&b, "PATCH", "/v1/vms/web-1", "{\"dry_run\":true,\"spec\":{\"vcpus\":3}}", 200);
    CHECK_STR("3", bench_at(&b, "spec.vcpus"));
    bench_call(&b, "DELETE", "/v1/vms/web-1?dry_run", "", 200);
    bench_call(&b, "DELETE", "/v1/images/debian?dry_run=true", "", 409);
    CHECK_STR("in_use", bench_at(&b, "code"));
    bench_call(&b, "POST", "/v1/images", "{\"name\":\"other\",\"dry_run\":true}", 200);
    CHECK_EQ(index, cluster_index(node_cluster(b.f.node)));
    bench_call(&b, "GET", "/v1/vms/web-1", "", 200);
    CHECK_STR("running", bench_at(&b, "power"));
    bench_done(&b);
}

/* --- events --- */

/* A node with web-1, who reads its events, and the text that came last. */
struct reader {
    struct bench b;
    struct event_feed f;
    struct buf out;
};

static void reader_init(struct reader *r)
{
    bench_init_vm(&r->b);
    buf_init(&r->out, EVENT_TEXT_MAX);
}

static void reader_done(struct reader *r)
{
    buf_done(&r->out);
    bench_done(&r->b);
}

static void watch(struct reader *r, const char *query)
{
    struct op_call c = r->b.call;
    c.op = op_get(OP_EVENTS);
    c.query = str_from(query);
    ops_watch(r->b.ops, &c, &r->f, bench_answered, &r->b);
}

static enum event_next next(struct reader *r)
{
    buf_reset(&r->out);
    return event_feed_next(&r->f, &r->out);
}

TEST(ops_events_come_in_order_and_resume)
{
    struct reader r;
    reader_init(&r);
    watch(&r, "since=0");
    CHECK_EQ(200, r.b.last.http);
    CHECK_EQ(EVENT_GIVEN, next(&r));
    CHECK(strstr(r.out.ptr, "event: cluster.created\ndata: {"));
    char id[40] = "";
    size_t count = 1;
    while (next(&r) == EVENT_GIVEN) {
        CHECK(str_starts(buf_view(&r.out), "id: ") && str_ends(buf_view(&r.out), "}\n\n"));
        (void)snprintf(id, sizeof id, "%.*s", (int)strcspn(r.out.ptr + 4, "\n"), r.out.ptr + 4);
        count++;
    }
    CHECK(count > 5);
    CHECK_EQ(EVENT_END, next(&r)); /* without follow */

    r.b.call.last_event_id = str_from(id);
    watch(&r, "follow&since=0"); /* the header goes before the parameter */
    CHECK_EQ(EVENT_NONE, next(&r));
    bench_call(&r.b, "POST", "/v1/vms/web-1/stop", "", 202);
    CHECK_EQ(EVENT_GIVEN, next(&r));
    CHECK(strstr(r.out.ptr, "event: vm.asked\n"));
    reader_done(&r);
}

TEST(ops_events_are_chosen_by_kind_and_name)
{
    struct reader r;
    reader_init(&r);
    bench_vm(&r.b, "web-2");
    watch(&r, "since=0&kind=vm&name=web-2");
    CHECK_EQ(EVENT_GIVEN, next(&r));
    CHECK(strstr(r.out.ptr, "event: vm.created\n") && strstr(r.out.ptr, "web-2"));
    while (next(&r) == EVENT_GIVEN)
        CHECK(strstr(r.out.ptr, "\"name\":\"web-2\""));
    watch(&r, "kind=dog");
    CHECK_EQ(400, r.b.last.http);
    CHECK_STR("kind", bench_at(&r.b, "field"));
    watch(&r, "since=x");
    CHECK_STR("since", bench_at(&r.b, "field"));
    reader_done(&r);
}

/* A place of another state: the reader starts anew. */
TEST(ops_events_reset_a_reader_that_is_elsewhere)
{
    struct reader r;
    reader_init(&r);
    watch(&r, "follow&since=999999.0");
    CHECK_EQ(EVENT_GIVEN, next(&r));
    CHECK(strstr(r.out.ptr, "event: reset\ndata: {\"index\":"));
    CHECK_EQ(EVENT_NONE, next(&r));
    bench_call(&r.b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 201);
    CHECK_EQ(EVENT_GIVEN, next(&r));
    CHECK(strstr(r.out.ptr, "event: tenant.created\n"));
    reader_done(&r);
}

TEST(ops_heartbeat_tells_the_place_when_it_moved)
{
    struct reader r;
    reader_init(&r);
    watch(&r, "follow&kind=vm");
    event_feed_beat(&r.f, &r.out);
    CHECK_STR(":\n\n", r.out.ptr);
    bench_call(&r.b, "POST", "/v1/tenants", "{\"name\":\"acme\"}", 201);
    CHECK_EQ(EVENT_NONE, next(&r));
    event_feed_beat(&r.f, &r.out);
    CHECK(str_starts(buf_view(&r.out), ":\nid: "));
    reader_done(&r);
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
    bench_answered(o->b, a);
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
    struct bench b;
    bench_init_vm(&b);
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
    CHECK_STR("argv", bench_at(&b, "field"));
    CHECK(!open_stream(&b, OP_VM_PULL, "web-1", "path=etc"));
    CHECK_STR("path", bench_at(&b, "field"));
    CHECK(!open_stream(&b, OP_VM_CONSOLE, "web-9", ""));
    CHECK_EQ(404, b.last.http);
    bench_call(&b, "POST", "/v1/vms/web-1/stop", "", 202);
    CHECK(!open_stream(&b, OP_VM_CONSOLE, "web-1", ""));
    CHECK_EQ(409, b.last.http);
    bench_done(&b);
}
