/*
 * clock_os: the clocks of this machine as port/clock.h. Any thread may ask.
 */
#pragma once

#include <time.h>

#include "port/clock.h"

void clock_os_init(struct clock *c);

/* For adapters, which have no port to ask. */
uint64_t clock_os_ns(clockid_t clock);
uint64_t clock_os_now_ms(void); /* CLOCK_MONOTONIC */
