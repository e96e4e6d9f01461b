/*
 * clock_os: the clocks of this machine as port/clock.h. Any thread may ask.
 */
#pragma once

#include "port/clock.h"

void clock_os_init(struct clock *c);
