/*
 * clock: what time it is. Simulated time stands still unless the simulator moves it.
 */
#pragma once

#include "base/defs.h"

struct clock {
    /* Monotonic while the machine is awake (CLOCK_MONOTONIC), in milliseconds; for deadlines. */
    uint64_t (*now_ms)(struct clock *c);
    /* Monotonic, counting sleep (CLOCK_BOOTTIME), in milliseconds; for leases. */
    uint64_t (*boot_ms)(struct clock *c);
    /* Nanoseconds since 1970 (CLOCK_REALTIME); may jump. */
    uint64_t (*wall_ns)(struct clock *c);
};
