/* Nodes that come with a ticket, and nodes that are removed. */
#include <string.h>

#include "core/state.h"
#include "support/state_check.h"
#include "support/tap.h"
#include "support/world.h"
#include "wire/proto.h"

enum { TOKEN = WORLD_FREE + 50, NEW = WORLD_FREE };

static void add_token(struct world *w, uint64_t uid, const char *name)
{
    struct kit_token k;
    kit_join(w, &k, uid, name);
    CHECK_EQ(ST_OK, world_token(w, &k));
}

/* A cluster of node 1 and one token. */
static void start(struct world *w, struct kit_enroll *k)
{
    world_start(w);
    add_token(w, TOKEN, "ticket");
    kit_enroll(k, NEW, "n2", TOKEN);
}

TEST(enroll_makes_the_node_and_uses_up_the_token_in_one)
{
    struct world w;
    struct kit_enroll k;
    start(&w, &k);
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    CHECK_STR("node.enrolled: number 2, with token ticket", world_event(&w, 0));
    CHECK_EQ(1, w.r.event_count);
    CHECK_STR(world_uid(NEW), w.r.uid);
    CHECK_EQ(2, w.r.change_count);
    const struct object *o = cluster_node(w.c, 2);
    CHECK(o && o == cluster_node_by_key(w.c, k.node.key));
    CHECK_STR("n2", object_name(o));
    CHECK_EQ(8192, object_node(o)->facts->mem_mib);
    CHECK(cluster_token_by_id(w.c, k.id) == NULL);
    CHECK_EQ(0, cluster_count(w.c, OBJECT_TOKEN));
    CHECK_EQ(2, w.c->node_number_last);
    state_check(w.c);
    kit_node(&k.node, NEW, "n2"); /* and then it says hello, as all do */
    CHECK_EQ(ST_OK, world_node(&w, &k.node));
    world_done(&w);
}

TEST(enroll_again_is_answered_as_before_though_the_token_is_gone)
{
    struct world w;
    struct kit_enroll k;
    start(&w, &k);
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    uint64_t objects = cluster_objects_hash(w.c);
    k.m.uid = world_uid(NEW + 9); /* the proposer draws another */
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    CHECK_STR(world_uid(NEW), w.r.uid);
    CHECK_EQ(0, w.r.change_count);
    CHECK_EQ(0, w.r.event_count);
    k.m.token_id = NULL;
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    CHECK(objects == cluster_objects_hash(w.c));
    k.m.name = world_text("n3");
    CHECK_EQ(ST_EXISTS, world_enroll(&w, &k));
    CHECK_STR("this machine is in the cluster already, as node n2", w.r.why.text);
    world_done(&w);
}

/* Nor is a second token used up by it. */
TEST(enroll_of_a_known_key_leaves_the_token)
{
    struct world w;
    struct kit_enroll k;
    start(&w, &k);
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    add_token(&w, TOKEN + 1, "second");
    kit_enroll(&k, NEW, "n2", TOKEN + 1);
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    CHECK_EQ(1, cluster_count(w.c, OBJECT_TOKEN));
    world_done(&w);
}

/* Used, expired, unknown, of the API: the same words for all. */
TEST(enroll_refuses_a_bad_token_and_does_not_say_why)
{
    struct world w;
    struct kit_enroll k;
    struct kit_token t;
    start(&w, &k);
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    kit_token(&w, &t, TOKEN + 1, "ci");
    CHECK_EQ(ST_OK, world_token(&w, &t));
    kit_join(&w, &t, TOKEN + 2, "short");
    t.token.expires_ns = w.time_ns + 1000;
    CHECK_EQ(ST_OK, world_token(&w, &t));
    for (uint64_t i = 0; i < 5; i++) {
        kit_enroll(&k, NEW + 1, "n3", TOKEN + i);
        if (i == 2)
            w.time_ns = t.token.expires_ns; /* to the nanosecond */
        if (i == 4)
            k.m.token_id = NULL;
        CHECK_EQ(ST_DENIED, world_enroll(&w, &k));
        CHECK_STR("the ticket is not good: it was used, has expired, or was never made",
                  w.r.why.text);
        CHECK_STR("", w.r.why.field);
    }
    CHECK_EQ(2, cluster_count(w.c, OBJECT_NODE));
    CHECK_EQ(2, cluster_count(w.c, OBJECT_TOKEN));
    CHECK_EQ(2, w.c->node_number_last);
    world_done(&w);
}

TEST(enroll_with_a_ticket_for_one_name_takes_no_other)
{
    struct world w;
    struct kit_enroll k;
    struct kit_token t;
    world_start(&w);
    kit_join(&w, &t, TOKEN, "ticket");
    t.token.node_name = world_text("n7");
    CHECK_EQ(ST_OK, world_token(&w, &t));
    kit_enroll(&k, NEW, "n2", TOKEN);
    CHECK_EQ(ST_DENIED, world_enroll(&w, &k));
    CHECK_STR("the ticket is for a node named n7", w.r.why.text);
    k.m.name = world_text("n7");
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    world_done(&w);
}

TEST(enroll_refused_leaves_the_token)
{
    static const enum status want[] = {ST_EXISTS,      ST_EXISTS,  ST_INVALID,
                                       ST_INVALID,     ST_INVALID, ST_INVALID,
                                       ST_UNSUPPORTED, ST_LIMIT,   ST_LIMIT};
    struct world w;
    struct kit_enroll k;
    start(&w, &k);
    size_t nodes_max = w.c->limits.objects[OBJECT_NODE];
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        kit_enroll(&k, NEW, "n2", TOKEN);
        switch (i) {
        case 0: k.m.name = world_text("n1"); break;
        case 1: k.m.uid = world_uid(TOKEN); break;
        case 2: k.m.name = NULL; break;
        case 3: k.m.facts = NULL; break;
        case 4: k.node.key[5] = 'A'; break;
        case 5: k.m.uid = NULL; break;
        case 6: PROTO_SET(&k.node.facts, feature_level_max, 0); break;
        case 7: w.c->limits.objects[OBJECT_NODE] = 1; break;
        case 8: w.c->limits.objects[OBJECT_NODE] = nodes_max, w.c->node_number_last = UINT32_MAX;
        }
        CHECK_EQ(want[i], world_enroll(&w, &k));
    }
    w.c->node_number_last = 1;
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    CHECK(cluster_node(w.c, 2) != NULL);
    world_done(&w);
}

/* --- removal --- */

/* Nodes 1 and 2; the second is of uid NEW, and came with a ticket. */
static void start_two(struct world *w, struct kit_enroll *k)
{
    start(w, k);
    CHECK_EQ(ST_OK, world_enroll(w, k));
}

TEST(remove_takes_a_node_that_is_empty_and_its_number_for_ever)
{
    struct world w;
    struct kit_enroll k;
    start_two(&w, &k);
    CHECK_EQ(ST_OK, world_delete(&w, "node", NEW, 0));
    CHECK_STR("node.removed: number 2", world_event(&w, 0));
    CHECK_STR(world_uid(NEW), w.r.uid);
    CHECK(cluster_node(w.c, 2) == NULL && cluster_node_by_key(w.c, k.node.key) == NULL);
    CHECK_EQ(ST_NOT_FOUND, world_delete(&w, "node", NEW, 0));
    state_check(w.c);

    CHECK_EQ(ST_CONFLICT, world_node(&w, &k.node)); /* the removed one, which did not hear of it */
    CHECK_STR("number 2 was given before, and is given to no other key", w.r.why.text);
    kit_enroll(&k, NEW, "n2", TOKEN);
    CHECK_EQ(ST_DENIED, world_enroll(&w, &k));
    add_token(&w, TOKEN + 1, "again"); /* the same machine may come back, as another number */
    kit_enroll(&k, NEW, "n2", TOKEN + 1);
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    CHECK(cluster_node(w.c, 2) == NULL && cluster_node(w.c, 3) != NULL);
    world_done(&w);
}

/* A number that was left out when members began together is no more free than one that was used. */
TEST(remove_closes_all_numbers_that_were_given)
{
    struct world w;
    struct kit_node k;
    world_start(&w);
    kit_node(&k, NEW, "n3");
    k.m.number = 3;
    CHECK_EQ(ST_OK, world_node(&w, &k));
    CHECK_EQ(ST_OK, world_delete(&w, "node", NEW, 0));
    kit_node(&k, NEW + 1, "n2");
    CHECK_EQ(ST_CONFLICT, world_node(&w, &k));
    kit_node(&k, NEW + 1, "n4");
    k.m.number = 4;
    CHECK_EQ(ST_OK, world_node(&w, &k));
    kit_node(&k, WORLD_NODE, "n1"); /* who is known goes on */
    CHECK_EQ(ST_OK, world_node(&w, &k));
    world_done(&w);
}

TEST(remove_refuses_the_last_node)
{
    struct world w;
    world_start(&w);
    CHECK_EQ(ST_OK, world_delete(&w, "image", WORLD_IMAGE, WORLD_OP(1)));
    CHECK_EQ(ST_PRECONDITION, world_delete(&w, "node", WORLD_NODE, 0));
    CHECK_STR("node n1 is the last one of the cluster", w.r.why.text);
    world_done(&w);
}

TEST(remove_refuses_a_node_that_holds_something_forced_or_not)
{
    struct world w;
    struct kit_enroll k;
    struct kit_image image;
    struct kit_vm vm;
    start_two(&w, &k);
    kit_image(&image, NEW + 1, "far");
    image.m.node = 2;
    CHECK_EQ(ST_OK, world_image(&w, &image));
    CHECK_EQ(ST_PRECONDITION, world_delete(&w, "node", NEW, 0));
    CHECK_STR("node n2 still has image far", w.r.why.text);
    kit_vm(&vm, NEW + 2, "web");
    vm.m.node = 2;
    CHECK_EQ(ST_OK, world_vm(&w, &vm));
    CHECK_EQ(ST_PRECONDITION, world_delete(&w, "node", NEW, 0));
    CHECK_STR("node n2 still has vm web", w.r.why.text);
    CHECK_EQ(ST_PRECONDITION, world_delete_force(&w, "node", NEW));
    CHECK_STR("node n2 still has vm web, which force cannot end from here", w.r.why.text);
    CHECK_STR("delete its VMs and images first, while it runs", w.r.why.hint);
    CHECK(cluster_node(w.c, 2) != NULL);
    world_done(&w);
}

TEST(remove_survives_a_snapshot)
{
    struct world w;
    struct kit_enroll k;
    struct cluster *again = NULL;
    struct apply_result r;
    uint64_t term;
    start_two(&w, &k);
    add_token(&w, TOKEN + 1, "open");
    CHECK_EQ(ST_OK, world_delete(&w, "node", NEW, 0));
    AUTO(buf_done) struct buf bytes;
    buf_init(&bytes, 1 << 20);
    struct cluster_snapshot *s = cluster_snapshot_new(w.c, 1);
    CHECK(!cluster_snapshot_next(s, 1 << 20, &bytes));
    cluster_snapshot_free(s);
    struct cluster_restore *restore = cluster_restore_new();
    CHECK_EQ(ST_OK, cluster_restore_add(restore, buf_view(&bytes), NULL));
    CHECK_EQ(ST_OK, cluster_restore_end(restore, &again, &term, NULL));
    state_check_equal(w.c, again);
    CHECK_EQ(ST_CONFLICT, world_node(&w, &k.node));
    cluster_apply(again, w.index, buf_view(&w.packed), &r);
    CHECK_EQ(ST_CONFLICT, r.status);
    apply_result_done(&r);
    kit_enroll(&k, NEW, "n2", TOKEN + 1);
    CHECK_EQ(ST_OK, world_enroll(&w, &k));
    cluster_apply(again, w.index, buf_view(&w.packed), &r);
    CHECK_EQ(ST_OK, r.status);
    apply_result_done(&r);
    state_check_equal(w.c, again);
    cluster_free(again);
    world_done(&w);
}
