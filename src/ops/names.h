/*
 * names: names for VMs whose makers gave none.
 */
#pragma once

#include "base/defs.h"

enum { NAMES_MAX = 32 };

/* dice     unpredictable bytes that decide.
 * attempt  how many names were taken already: the first few are two words ("quiet-heron"), then come
 *          digits. Always a valid name. */
void names_make(const uint8_t dice[8], unsigned attempt, char out[NAMES_MAX]);
