/*
 * peers: the other members of the cluster, as a node speaks to them.
 *
 * Promise: what was handed over arrives whole or not at all; perhaps late, twice, or after what was handed
 * over later. What comes in is given to node_receive(), with the number of the member that sent it: the
 * adapter knows that for sure.
 */
#pragma once

#include "base/str.h"

enum { PEERS_MESSAGE_MAX = (4 << 20) + (128 << 10) };

struct peers {
    /* Hand a message to member `to`, and forget it. What has no room, or nobody to go to, is lost.
     * `bytes` is borrowed, 1 to PEERS_MESSAGE_MAX of them. */
    void (*send)(struct peers *p, uint32_t to, struct str bytes);
};
