/*
 * accept: reads an Accept header (RFC 9110, 12.5.1).
 */
#pragma once

#include "base/str.h"

/*
 * How much the sender wants `type`, such as "text/plain": 0 (not at all) to 1000.
 *
 * The range that fits best counts: the type itself, else all of its kind, else everything. Parameters but q are
 * not looked at: of ranges that fit alike the most wanted counts. An empty header takes everything.
 */
unsigned accept_quality(struct str header, const char *type);
