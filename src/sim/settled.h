/*
 * settled: is everything that is a node's as it is wanted, with nothing left to do?
 */
#pragma once

#include "node/node.h"
#include "sim/blob.h"
#include "sim/vmm.h"

/* ST_FAILED, and the first thing that is not. */
MUST_USE enum status settled(struct node *n, const struct sim_vmm *vmm, const struct sim_blob *blob,
                             struct fault *why);
