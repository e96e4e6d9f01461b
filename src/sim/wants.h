/*
 * wants: a random command, such as a user could send in the state as it is.
 */
#pragma once

#include "core/cluster.h"
#include "sim/sim.h"

/* The caller frees it with proto_free(). `name` makes names unique; a new image is made on `node`. */
Pb__Command *want_any(struct sim *s, const struct cluster *state, uint32_t node, uint64_t name);
