/*
 * tsc: the rate of this machine's time stamp counter.
 *
 * Under emulation a guest reads the host's counter. Told its rate on the kernel command line
 * (tsc_early_khz), the guest need not measure it against an emulated timer, which fails and hangs
 * the boot when the host is busy.
 */
#pragma once

#include "base/fault.h"

/* Measured over some 20 ms, during which the thread sleeps. ST_UNSUPPORTED where there is none. */
MUST_USE enum status tsc_measure_khz(uint32_t *ret_khz, struct fault *why);
