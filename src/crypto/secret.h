/*
 * secret: bytes that nobody shall see. Wiped when done, never formatted.
 */
#pragma once

#include "base/str.h"

struct secret {
    uint8_t *ptr;
    size_t len;
};

void secret_init(struct secret *s, size_t len);                   /* zeros; len may be 0 */
void secret_copy(struct secret *s, const void *data, size_t len); /* init with these */
void secret_done(struct secret *s); /* also for AUTO(secret_done), and of one that is all zero */

struct str secret_view(const struct secret *s); /* for a sink that needs them */

/* Overwrite memory that held a secret; the compiler does not leave it out. */
void secret_wipe(void *data, size_t len);
