#include "support/ops_bench.h"

#include <stdio.h>
#include <string.h>

#include "support/tap.h"
#include "wire/json.h"

void bench_init(struct bench *b)
{
    json_setup();
    *b = (struct bench){0};
    fake_start(&b->f);
    struct ops_config c = {.version = "0.1.0", .feature_level = 1, .timeout_ms = 5000};
    b->ops = ops_new(b->f.node, &c);
    b->call = (struct op_call){.who = {"uid:0(root)", PB__ROLE__ROLE_ADMIN}};
}

void bench_done(struct bench *b)
{
    ops_free(b->ops);
    fake_stop(&b->f);
    buf_done(&b->body);
    json_decref(b->json);
}

void bench_answered(void *ctx, struct op_answer *a)
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

void bench_send(struct bench *b, const char *method, const char *address, const char *body)
{
    char allowed[64];
    struct str path, query = str_from(address);
    struct op_call c = b->call;
    (void)str_cut(&query, '?', &path);
    c.op = op_route(str_from(method), path, &c.name, allowed);
    CHECK(c.op);
    c.query = query;
    c.body = str_from(body);
    ops_call(b->ops, &c, bench_answered, b);
}

void bench_call(struct bench *b, const char *method, const char *address, const char *body,
                unsigned http)
{
    unsigned before = b->answers;
    printf("# %s %s %.200s\n", method, address, body);
    bench_send(b, method, address, body);
    fake_run(&b->f);
    CHECK_EQ(before + 1, b->answers);
    if (http != b->last.http)
        printf("# %s\n", buf_cstr(&b->body));
    CHECK_EQ(http, b->last.http);
}

const char *bench_at(struct bench *b, const char *path)
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

void bench_image(struct bench *b)
{
    bench_call(b, "POST", "/v1/images", "{\"name\":\"debian\"}", 202);
    CHECK_STR("image.build", bench_at(b, "kind"));
    bench_call(b, "GET", "/v1/images/debian", "", 200);
    CHECK_STR("ready", bench_at(b, "phase"));
}

void bench_vm(struct bench *b, const char *name)
{
    char body[200];
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"spec\":{\"image\":\"debian\"}}", name);
    bench_call(b, "POST", "/v1/vms", body, 202);
}

void bench_init_vm(struct bench *b)
{
    bench_init(b);
    bench_image(b);
    bench_vm(b, "web-1");
}
