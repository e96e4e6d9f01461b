/*
 * group_kit: what tests of a group of nodes bring it to do, and see of it; what fails, fails the test.
 */
#pragma once

#include "support/node_group.h"
#include "support/world.h"

/* The leader has it applied. */
void group_propose(struct node_group *g, const Pb__Command *cmd);

/* An image "base" on member `on`, whose uid is that of WORLD_IMAGE. */
void group_create_image(struct node_group *g, uint32_t on);
/* A VM of it there, with world_uid(uid). */
void group_create_vm(struct node_group *g, uint64_t uid, uint32_t on, bool starts);

/* The state of all that are up comes to be the same. */
void group_check_alike(struct node_group *g);

void group_cut_off(struct node_group *g, uint32_t who, bool off);
