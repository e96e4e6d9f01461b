/*
 * now: what time it is, for the command line.
 */
#pragma once

#include "base/defs.h"

#define NEVER UINT64_MAX

uint64_t now_ms(void);      /* monotonic, for deadlines */
uint64_t now_wall_ns(void); /* since 1970 */

/* now_ms() and so much more; NEVER stays that. */
uint64_t now_plus(uint64_t ms);
/* How long until then, for poll(2): -1 is for ever. */
int now_until(uint64_t deadline_ms);
