/* Whole nodes that are one cluster over meshes: the real protocol under them, on virtual time. */
#include "base/units.h"
#include "support/mesh_net.h"
#include "support/node_group.h"
#include "support/tap.h"

enum { WAIT_MS = 20000 };

static struct node_group group;
static struct mesh_net net;

static void carry(struct node_group *g, uint32_t from, uint32_t to, struct str bytes)
{
    struct mesh *m = net.node[from - 1].m;
    (void)g;
    if (m)
        mesh_peers(m)->send(mesh_peers(m), to, bytes);
}

static void on_received(struct mesh_node *to, uint32_t from, struct str bytes)
{
    struct node *n = node_group_node(&group, to->number);
    if (n)
        node_receive(n, from, bytes);
}

static void begin(uint64_t seed)
{
    mesh_net_init(&net, seed, 3, on_received);
    mesh_net_know_all(&net);
    node_group_start(&group, 3, 0);
    group.carry = carry;
}

static void end(void)
{
    node_group_finish(&group);
    mesh_net_done(&net);
}

/* Both clocks go together, a millisecond at a time. */
static void run_ms(uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        node_group_run(&group, 1);
        mesh_net_run(&net, 1);
    }
}

static void wait_until(bool (*is)(struct node_group *g))
{
    for (unsigned i = 0; !is(&group); i++) {
        CHECK(i < WAIT_MS);
        run_ms(1);
    }
}

static struct answer *waited;

static bool answered(struct node_group *g)
{
    (void)g;
    return waited->count > 0;
}

/* One more tenant, through whoever leads. */
static void put(unsigned tenant)
{
    struct answer a;
    waited = &a;
    CHECK_EQ(ST_OK, node_group_put(&group, node_group_leader(&group), tenant, &a));
    wait_until(answered);
    CHECK_EQ(ST_OK, a.s);
}

static void kill_member(uint32_t number)
{
    node_group_stop(&group, number);
    mesh_net_stop(&net.node[number - 1]);
}

static void revive_member(uint32_t number)
{
    mesh_net_restart(&net.node[number - 1]);
    mesh_net_know(&net.node[number - 1], ~0U);
    CHECK_EQ(ST_OK, node_group_restart(&group, number, NULL));
}

static uint64_t applied(uint32_t number)
{
    return node_view(node_group_node(&group, number)).raft.applied;
}

/* All of it went over the meshes. */
static void check_carried(void)
{
    uint32_t leader = node_group_leader(&group);
    for (uint32_t i = 1; i <= 3; i++)
        if (i != leader)
            CHECK(mesh_net_view(&net.node[i - 1], leader).received >= 20 &&
                  mesh_net_view(&net.node[leader - 1], i).received >= 20);
}

TEST(three_nodes_elect_and_commit)
{
    begin(1);
    wait_until(node_group_level);
    for (unsigned i = 0; i < 20; i++)
        put(i);
    wait_until(node_group_level);
    check_carried();
    CHECK(applied(1) >= 20 && applied(1) == applied(2) && applied(2) == applied(3));
    end();
}

TEST(three_nodes_commit_over_a_bad_network)
{
    begin(2);
    net.quic.loss_per_mille = 30;
    net.quic.jitter_ns = 3 * UNITS_NS_PER_MS;
    wait_until(node_group_level);
    for (unsigned i = 0; i < 20; i++)
        put(i);
    net.quic.loss_per_mille = 0;
    wait_until(node_group_level);
    CHECK(applied(1) == applied(2) && applied(2) == applied(3));
    end();
}

static uint32_t killed;

static bool has_other_leader(struct node_group *g)
{
    uint32_t leader = node_group_leader(g);
    return leader && leader != killed && node_group_level(g);
}

/* The leader dies and is back: the others go on without it, and it catches up. */
TEST(a_killed_leader_is_replaced_and_comes_back)
{
    begin(3);
    wait_until(node_group_level);
    put(1);
    killed = node_group_leader(&group);
    kill_member(killed);
    wait_until(has_other_leader);
    put(2);
    revive_member(killed);
    wait_until(node_group_level);
    put(3);
    wait_until(node_group_level);
    CHECK(applied(1) == applied(2) && applied(2) == applied(3));
    end();
}
