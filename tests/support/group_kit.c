#include "support/group_kit.h"

#include <stdio.h>

#include "support/tap.h"
#include "wire/proto.h"

void group_propose(struct node_group *g, const Pb__Command *cmd)
{
    struct answer a = {0};
    struct node *leader = node_group_node(g, node_group_leader(g));
    CHECK_EQ(ST_OK, node_propose(leader, cmd, UINT64_MAX, answer_told, &a, NULL));
    node_group_run(g, 300);
    CHECK_EQ(ST_OK, a.applied);
}

void group_create_image(struct node_group *g, uint32_t on)
{
    struct kit_image k;
    Pb__Command cmd = PB__COMMAND__INIT;
    kit_image(&k, WORLD_IMAGE, "base");
    PROTO_SET(&k.m, node, node_number(node_group_node(g, on)));
    cmd.body_case = PB__COMMAND__BODY_IMAGE_CREATE;
    cmd.image_create = &k.m;
    group_propose(g, &cmd);
}

void group_create_vm(struct node_group *g, uint64_t uid, uint32_t on, bool starts)
{
    struct kit_vm k;
    char name[40];
    Pb__Command cmd = PB__COMMAND__INIT;
    (void)snprintf(name, sizeof name, "vm-%" PRIu64, uid);
    kit_vm(&k, uid, name);
    PROTO_SET(&k.m, node, node_number(node_group_node(g, on)));
    PROTO_SET(&k.m, start, starts);
    cmd.body_case = PB__COMMAND__BODY_VM_CREATE;
    cmd.vm_create = &k.m;
    group_propose(g, &cmd);
}

void group_check_alike(struct node_group *g)
{
    CHECK(node_group_wait(g, node_group_level));
    uint64_t hash = node_view(node_group_node(g, node_group_leader(g))).applied_hash;
    for (uint32_t i = 1; i <= g->count; i++)
        if (g->member[i].node && !g->member[i].witness)
            CHECK_EQ(hash, node_view(node_group_node(g, i)).applied_hash);
}

void group_cut_off(struct node_group *g, uint32_t who, bool off)
{
    for (uint32_t i = 1; i <= g->count; i++)
        g->cut[who][i] = g->cut[i][who] = off && i != who;
}
