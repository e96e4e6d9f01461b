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

/* As whoever drives a node does. */
static void step_all(void)
{
    node_group_run(&g, 10);
    for (uint32_t i = 1; i <= 3; i++)
        if (ops_deadline_ms(place[i].ops) <= g.now_ms)
            ops_step(place[i].ops);
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
    for (unsigned i = 0; i < 600 && answers == before; i++)
        step_all();
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

/* What stands there with that member's number put in. */
static bool said_of(const char *before, uint32_t number, const char *after)
{
    char word[120];
    (void)snprintf(word, sizeof word, "%s%" PRIu32 "%s", before, number, after);
    return said(word);
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

/* --- members --- */

TEST(remote_members_are_as_the_leader_sees_them)
{
    begin();
    uint32_t leader = node_group_leader(&g), away = other(leader, 0), asked = other(leader, away);
    ask(asked, "GET", "/v1/cluster/members", "", 200);
    CHECK_EQ(1, place[asked].handed);
    for (uint32_t i = 1; i <= 3; i++)
        CHECK(said_of("\"node\":\"node-", i, "\",\"role\":\"voter\",\"leads\":"));
    CHECK(said_of("\"node\":\"node-", leader,
                  "\",\"role\":\"voter\",\"leads\":true,\"active\":true"));
    CHECK(!said("\"active\":false"));
    group_cut_off(&g, away, true);
    node_group_put_many(&g, 1, 5);
    node_group_run(&g, 3000);
    ask(asked, "GET", "/v1/cluster/members?filter=active==false", "", 200);
    CHECK(said_of("\"number\":", away, ","));
    CHECK(!said_of("\"number\":", asked, ",") && !said_of("\"number\":", leader, ","));
    CHECK(said("\"lag\":") && !said("\"lag\":0"));
    finish();
}

/* A follower that is asked for what it knows itself tells no more than that. */
TEST(remote_members_told_locally_lack_what_only_the_leader_knows)
{
    begin();
    uint32_t leader = node_group_leader(&g), follower = other(leader, 0);
    ask(follower, "GET", "/v1/cluster/members?consistency=local&filter=leads==true", "", 200);
    CHECK_EQ(0, place[follower].handed);
    CHECK(said_of("\"number\":", leader, ","));
    CHECK(!said("active") && !said("lag") && !said("match"));
    finish();
}

TEST(remote_members_come_in_pages)
{
    begin();
    uint32_t leader = node_group_leader(&g);
    ask(leader, "GET", "/v1/cluster/members?limit=2&fields=number", "", 200);
    CHECK(said("{\"items\":[{\"number\":1},{\"number\":2}],\"next\":\"2\","));
    ask(leader, "GET", "/v1/cluster/members?limit=2&fields=number&cursor=2", "", 200);
    CHECK(said("{\"items\":[{\"number\":3}],\"index\""));
    finish();
}

static void transfer(uint32_t at, uint32_t to, unsigned http)
{
    char text[64] = "";
    if (to)
        (void)snprintf(text, sizeof text, "{\"to\": \"node-%" PRIu32 "\"}", to);
    ask(at, "POST", "/v1/cluster/transfer-leader", text, http);
}

TEST(remote_transfer_is_answered_once_the_other_leads)
{
    begin();
    uint32_t leader = node_group_leader(&g), to = other(leader, 0), asked = other(leader, to);
    transfer(asked, to, 200);
    CHECK_EQ(1, place[asked].handed);
    CHECK(said_of("\"number\":", to, ",\"node\""));
    CHECK(said("\"leads\":true"));
    CHECK_EQ(to, node_group_leader(&g));
    unsigned terms = (unsigned)node_view(node_group_node(&g, to)).raft.term;
    transfer(asked, to, 200); /* it does already */
    CHECK(said("\"leads\":true"));
    CHECK_EQ(terms, node_view(node_group_node(&g, to)).raft.term);
    finish();
}

TEST(remote_transfer_goes_to_who_lacks_least)
{
    begin();
    uint32_t leader = node_group_leader(&g), away = other(leader, 0), near = other(leader, away);
    group_cut_off(&g, away, true);
    node_group_put_many(&g, 1, 5);
    group_cut_off(&g, away, false); /* heard from again, but behind, whatever its number is */
    transfer(leader, 0, 200);
    CHECK(said_of("\"number\":", near, ","));
    finish();
}

TEST(remote_transfer_to_one_that_is_away_is_refused_at_once)
{
    begin();
    uint32_t leader = node_group_leader(&g), away = other(leader, 0);
    group_cut_off(&g, away, true);
    node_group_run(&g, 3000);
    transfer(leader, away, 503);
    CHECK(said("was not heard from lately"));
    CHECK_EQ(0, node_view(node_group_node(&g, leader)).raft.transfer);
    finish();
}

TEST(remote_transfer_that_fails_says_who_leads)
{
    begin();
    uint32_t leader = node_group_leader(&g), away = other(leader, 0);
    group_cut_off(&g, away, true);
    transfer(leader, away, 500); /* it was heard from just before */
    CHECK(said_of("node node-", away, " did not take over in time"));
    CHECK(said_of("node node-", leader, " leads"));
    CHECK_EQ(leader, node_group_leader(&g));
    finish();
}

static void make_learner(uint32_t leader, uint32_t number)
{
    struct raft_members wanted = *node_members(node_group_node(&g, leader));
    uint64_t index;
    CHECK(raft_members_put(&wanted, number, 0));
    CHECK_EQ(ST_OK, node_change_members(node_group_node(&g, leader), &wanted, &index, NULL));
    node_group_run(&g, 500);
}

TEST(remote_transfer_to_one_that_does_not_vote_is_refused)
{
    begin();
    uint32_t leader = node_group_leader(&g), learner = other(leader, 0);
    make_learner(leader, learner);
    ask(leader, "GET", "/v1/cluster/members?filter=role==learner&fields=number", "", 200);
    CHECK(said_of("[{\"number\":", learner, "}]"));
    transfer(leader, learner, 412);
    CHECK(said("is a learner, and only a voter can lead"));
    transfer(leader, 9, 404);
    CHECK(said("\"field\":\"to\""));
    transfer(leader, 0, 200); /* the learner has all of the log as well, and is passed over */
    CHECK(said_of("\"number\":", other(leader, learner), ","));
    finish();
}

TEST(remote_transfer_is_refused_by_who_does_not_lead)
{
    begin();
    uint32_t follower = other(node_group_leader(&g), 0);
    ask(follower, "POST", "/v1/cluster/transfer-leader?consistency=local", "", 503);
    CHECK_EQ(ST_NOT_LEADER, last.status);
    finish();
}

static bool leads(uint32_t number)
{
    return node_view(node_group_node(&g, number)).raft.role == RAFT_LEADER;
}

/* The leader is lost in the middle of it, and one that was not asked for comes to lead. */
TEST(remote_transfer_that_another_one_won_says_so)
{
    begin();
    uint32_t leader = node_group_leader(&g), heir = other(leader, 0), third = other(leader, heir);
    char text[64];
    (void)snprintf(text, sizeof text, "{\"to\": \"node-%" PRIu32 "\"}", heir);
    struct op_call c = {.op = op_find("cluster.transfer-leader"),
                        .who = {"uid:0(root)", PB__ROLE__ROLE_ADMIN},
                        .body = str_from(text)};
    unsigned before = answers;
    group_cut_off(&g, heir, true);
    node_group_put_many(&g, 1, 2); /* without them it cannot be elected */
    ops_call(place[leader].ops, &c, answered, NULL);
    node_group_run(&g, 50);
    CHECK(ops_deadline_ms(place[leader].ops) > g.now_ms); /* nothing is decided yet */
    group_cut_off(&g, heir, false);
    group_cut_off(&g, leader, true);
    for (unsigned i = 0; i < 20000 && (leads(leader) || !leads(third)); i++)
        node_group_run(&g, 1);
    group_cut_off(&g, leader, false);
    for (unsigned i = 0; i < 600 && answers == before; i++)
        step_all();
    CHECK_EQ(before + 1, answers);
    CHECK_EQ(500, last.http);
    CHECK(said_of("node node-", heir, " did not take over in time"));
    CHECK(said_of("node node-", third, " leads"));
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
    prop_run(any_bytes, 7, 200);
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
