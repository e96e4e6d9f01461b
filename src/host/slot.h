/*
 * slot: who has which slot, so that no two VMs ever share a user id and an address.
 *
 * A slot is held for as long as the process that has it lives: a shim that we started, or a monitor that
 * an earlier helper left.
 */
#pragma once

#include "host/cgroup.h"

enum { SLOTS_HELD_MAX = HOST_LIST_MAX };

struct slots {
    size_t count;
    struct slot_holder {
        uint32_t slot;
        int pidfd;
    } holder[SLOTS_HELD_MAX];
};

/* Those that run already: the slot of a VM that has a group is told by the user its monitor runs as, from
 * id_first on. What runs as another is none of ours, and is left out. */
void slots_init(struct slots *s, const struct cgroups *g, uint32_t id_first, uint32_t id_count);
void slots_done(struct slots *s);

/* ST_IN_USE: the one who has it still lives. ST_LIMIT: too many are held. */
MUST_USE enum status slots_check(struct slots *s, uint32_t slot, struct fault *why);
/* After a check. The pidfd is taken. */
void slots_take(struct slots *s, uint32_t slot, int pidfd);
