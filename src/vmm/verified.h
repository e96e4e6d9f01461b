/*
 * verified: is a file what its digest says? Remembers files that were, until they change. Blocks.
 */
#pragma once

#include "base/fault.h"

struct verified;

struct verified *verified_new(void);
void verified_free(struct verified *v); /* NULL is fine */

/*
 * digest   "sha256:" and 64 hex digits.
 * size     bytes it must have.
 *
 * Returns  ST_CORRUPT   it is something else.
 *          ST_IO
 */
MUST_USE enum status verified_check(struct verified *v, int fd, const char *digest, uint64_t size,
                                    struct fault *why);
