/* Calls that another node carries out: a group of nodes, each with operations, that hand calls to each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/remote.h"
#include "support/group_kit.h"
#include "support/prop.h"
#include "support/tap.h"

enum { VM = WORLD_FREE };

struct place {
    struct ops_remote remote; /* as the first field */
    struct ops *ops;
    unsigned handed, forgotten;
};

static struct node_group g;
static struct place place[GROUP_MAX + 1];

static struct op_answer last;
static struct buf body;
static unsigned answers;

static void answered(void *ctx, struct op_answer *a)
{
    (void)ctx;
    last = *a;
    buf_reset(&body);
    buf_str(&body, buf_view(&a->body));
    answers++;
}

/* The wire, without a network. */
struct way {
    op_done *done;
    void *ctx;
};

static void came_back(void *ctx, struct op_answer *a)
{
    struct way *w = ctx;
    struct remote_answer decoded;
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, REMOTE_ANSWER_MAX);
    CHECK_EQ(ST_OK, remote_answer_encode(a, &bytes, NULL));
    CHECK_EQ(ST_OK, remote_answer_decode(buf_view(&bytes), &decoded, NULL));
    w->done(w->ctx, &decoded.answer);
    remote_answer_done(&decoded);
    free(w);
}

static void call(struct ops_remote *r, uint32_t number, const struct op_call *c, op_done *done,
                 void *ctx)
{
    struct place *from = (struct place *)r;
    struct remote_call decoded;
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, REMOTE_CALL_MAX);
    from->handed++;
    CHECK_EQ(ST_OK, remote_call_encode(c, &bytes, NULL));
    CHECK_EQ(ST_OK, remote_call_decode(buf_view(&bytes), &decoded, NULL));
    struct way *w = NEW(struct way);
    *w = (struct way){done, ctx};
    ops_call(place[number].ops, &decoded.call, came_back, w);
    remote_call_done(&decoded);
}

static void forget(struct ops_remote *r, void *ctx)
{
    (void)ctx;
    ((struct place *)r)->forgotten++;
}

static enum status no_stats(struct vmm *v, const char *uid, struct vmm_stats *ret)
{
    (void)v, (void)uid, (void)ret;
    return ST_NOT_FOUND;
}

static void begin(void)
{
    node_group_start(&g, 3, 0);
    for (uint32_t i = 1; i <= 3; i++)
        g.member[i].vmm.stats = no_stats;
    CHECK(node_group_wait(&g, node_group_level));
    buf_init(&body, OPS_ANSWER_MAX);
    for (uint32_t i = 1; i <= 3; i++) {
        place[i] = (struct place){.remote = {call, forget}};
        struct ops_config c = {.version = "1", .timeout_ms = 5000, .remote = &place[i].remote};
        place[i].ops = ops_new(node_group_node(&g, i), &c);
    }
}

static void finish(void)
{
    for (uint32_t i = 1; i <= 3; i++)
        ops_free(place[i].ops);
    node_group_finish(&g);
    buf_done(&body);
}

static uint32_t other(uint32_t than, uint32_t and)
{
    uint32_t i = 1;
    while (i == than || i == and)
        i++;
    return i;
}

static void ask_as(uint32_t at, const char *actor, Pb__Role role, const char *method,
                   const char *path, const char *text)
{
    char allowed[64];
    struct op_call c = {.who = {actor, role}, .body = str_from(text)};
    struct str full = str_from(path), address;
    (void)str_cut(&full, '?', &address);
    c.query = full;
    c.op = op_route(str_from(method), address, &c.name, allowed);
    CHECK(c.op != NULL);
    unsigned before = answers;
    ops_call(place[at].ops, &c, answered, NULL);
    for (unsigned i = 0; i < 300 && answers == before; i++)
        node_group_run(&g, 10);
    CHECK_EQ(before + 1, answers);
}

static void ask(uint32_t at, const char *method, const char *path, const char *text, unsigned http)
{
    ask_as(at, "uid:0(root)", PB__ROLE__ROLE_ADMIN, method, path, text);
    if (last.http != http)
        printf("# %.*s\n", (int)body.len, body.ptr);
    CHECK_EQ(http, last.http);
}

static bool said(const char *word)
{
    return strstr(buf_cstr(&body), word) != NULL;
}

TEST(remote_writes_and_reads_through_a_follower_are_the_leaders)
{
    begin();
    uint32_t leader = node_group_leader(&g), follower = other(leader, 0);
    ask(follower, "POST", "/v1/tenants", "{\"name\": \"acme\"}", 201);
    CHECK_EQ(1, place[follower].handed);
    CHECK(strstr(last.location, "/v1/tenants/") != NULL);
    CHECK(last.etag[0] == '"');
    ask(other(leader, follower), "GET", "/v1/tenants/acme", "", 200);
    CHECK(said("\"acme\""));
    ask(leader, "GET", "/v1/tenants/acme", "", 200);
    CHECK_EQ(0, place[leader].handed);
    finish();
}

TEST(remote_refusals_come_back_whole)
{
    begin();
    uint32_t follower = other(node_group_leader(&g), 0);
    ask(follower, "GET", "/v1/tenants/nobody", "", 404);
    CHECK_EQ(ST_NOT_FOUND, last.status);
    CHECK(said("urn:blixard:problem:not_found"));
    ask(follower, "POST", "/v1/tenants", "{\"name\": \"default\"}", 409);
    ask_as(follower, "token:ci", PB__ROLE__ROLE_VIEWER, "POST", "/v1/tenants",
           "{\"name\": \"acme\"}");
    CHECK_EQ(ST_DENIED, last.status); /* refused where it was asked */
    CHECK_EQ(2, place[follower].handed);
    finish();
}

/* The one that is asked says who asks, and that is kept. */
TEST(remote_calls_are_made_in_the_name_of_who_asked)
{
    begin();
    uint32_t follower = other(node_group_leader(&g), 0);
    ask_as(follower, "token:ci", PB__ROLE__ROLE_ADMIN, "POST", "/v1/tokens",
           "{\"name\": \"sub\", \"role\": \"viewer\"}");
    CHECK_EQ(201, last.http);
    ask(follower, "GET", "/v1/tokens/sub", "", 200);
    CHECK(said("token:ci"));
    finish();
}

TEST(remote_local_reads_stay_and_the_node_that_answers_is_the_one_asked)
{
    begin();
    uint32_t follower = other(node_group_leader(&g), 0);
    char number[32];
    (void)snprintf(number, sizeof number, "\"number\":%" PRIu32, follower);
    ask(follower, "GET", "/v1/nodes?consistency=local", "", 200);
    CHECK_EQ(0, place[follower].handed);
    ask(follower, "GET", "/v1/version", "", 200);
    CHECK_EQ(0, place[follower].handed);
    ask(follower, "GET", "/v1/nodes/-", "", 200);
    CHECK_EQ(1, place[follower].handed);
    CHECK(said(number));
    finish();
}

TEST(remote_what_a_vm_measures_is_asked_where_it_is)
{
    begin();
    uint32_t leader = node_group_leader(&g), on = other(leader, 0), asked = other(leader, on);
    group_create_image(&g, on);
    group_create_vm(&g, VM, on, false);
    node_group_run(&g, 500);
    char path[64];
    (void)snprintf(path, sizeof path, "/v1/vms/vm-%d/stats", (int)VM);
    ask(asked, "GET", path, "", 409); /* it does not run, says the node that it is on */
    CHECK(said("does not run"));
    CHECK_EQ(1, place[asked].handed);
    ask(leader, "GET", path, "", 409);
    CHECK_EQ(1, place[leader].handed);
    ask(on, "GET", path, "", 409);
    CHECK_EQ(0, place[on].handed);
    finish();
}

TEST(remote_vms_go_to_the_node_that_was_asked_or_where_the_image_is)
{
    begin();
    uint32_t leader = node_group_leader(&g), on = other(leader, 0), asked = other(leader, on);
    char where[32];
    group_create_image(&g, on);
    (void)snprintf(where, sizeof where, "\"node\":%" PRIu32, on);
    ask(asked, "POST", "/v1/vms", "{\"name\": \"a\", \"spec\": {\"image\": \"base\"}}", 202);
    ask(asked, "GET", "/v1/vms/a", "", 200);
    CHECK(said(where));
    ask(asked, "POST", "/v1/vms", "{\"name\": \"b\", \"spec\": {\"image\": \"nothing\"}}", 404);
    finish();
}

TEST(remote_a_call_is_handed_on_once)
{
    begin();
    uint32_t follower = other(node_group_leader(&g), 0);
    struct op_call c = {.op = op_find("tenant.ls"),
                        .who = {"uid:0(root)", PB__ROLE__ROLE_ADMIN},
                        .asked = node_group_leader(&g)};
    ops_call(place[follower].ops, &c, answered, NULL);
    CHECK_EQ(ST_NOT_LEADER, last.status);
    CHECK_EQ(0, place[follower].handed);
    finish();
}

static void call_nowhere(struct ops_remote *r, uint32_t number, const struct op_call *c,
                         op_done *done, void *ctx)
{
    (void)r, (void)number, (void)c, (void)done, (void)ctx;
}

TEST(remote_a_call_whose_caller_is_gone_is_forgotten)
{
    begin();
    uint32_t follower = other(node_group_leader(&g), 0);
    struct op_call c = {.op = op_find("tenant.ls"), .who = {"uid:0(root)", PB__ROLE__ROLE_ADMIN}};
    place[follower].remote.call = call_nowhere;
    ops_call(place[follower].ops, &c, answered, &c);
    ops_forget(place[follower].ops, &c);
    CHECK_EQ(1, place[follower].forgotten);
    finish();
}

/* --- what comes from elsewhere --- */

static void any_bytes(struct tape *t)
{
    uint8_t bytes[200];
    size_t len = draw_below(t, sizeof bytes);
    struct remote_call c;
    struct remote_answer a;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)draw_below(t, 256);
    struct str in = {(const char *)bytes, len};
    if (remote_call_decode(in, &c, NULL) == ST_OK) {
        CHECK(c.call.op && c.call.asked > 0);
        remote_call_done(&c);
    }
    if (remote_answer_decode(in, &a, NULL) == ST_OK)
        remote_answer_done(&a);
}

TEST(remote_any_bytes_are_refused_or_make_sense)
{
    prop_run(any_bytes, 7, 2000);
}

TEST(remote_answers_that_contradict_themselves_are_refused)
{
    struct op_answer a = {.status = ST_OK, .http = 404};
    struct remote_answer decoded;
    struct fault why;
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, REMOTE_ANSWER_MAX);
    CHECK_EQ(ST_OK, remote_answer_encode(&a, &bytes, NULL));
    CHECK_EQ(ST_INVALID, remote_answer_decode(buf_view(&bytes), &decoded, &why));
    a = (struct op_answer){.status = ST_NOT_FOUND, .http = 200};
    buf_reset(&bytes);
    CHECK_EQ(ST_OK, remote_answer_encode(&a, &bytes, NULL));
    CHECK_EQ(ST_INVALID, remote_answer_decode(buf_view(&bytes), &decoded, &why));
}

TEST(remote_calls_that_are_too_big_are_refused)
{
    static char big[OPS_BODY_MAX + 1];
    struct fault why;
    struct op_call c = {.op = op_find("tenant.create"),
                        .who = {"a", PB__ROLE__ROLE_ADMIN},
                        .asked = 1,
                        .body = {big, sizeof big}};
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, REMOTE_CALL_MAX);
    CHECK_EQ(ST_TOO_BIG, remote_call_encode(&c, &bytes, &why));
}
