/*
 * platter_log: a member's log that is nothing but a platter.
 */
#pragma once

#include "sim/member_log.h"

struct member_log *platter_log_new(void);
