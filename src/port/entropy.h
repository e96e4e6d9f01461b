/*
 * entropy: unpredictable bytes (getrandom(2)); the simulator's come from its seed.
 */
#pragma once

#include "base/defs.h"

struct entropy {
    void (*fill)(struct entropy *e, void *out, size_t len);
};
