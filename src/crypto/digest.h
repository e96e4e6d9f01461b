/*
 * digest: SHA-256 (FIPS 180-4), as blobs are named by it.
 */
#pragma once

#include "base/str.h"

enum {
    DIGEST_SIZE = 32,
    DIGEST_TEXT_MAX = 72,    /* "sha256:", 64 hex digits, the terminator */
    DIGEST_STATE_SIZE = 128, /* what the library needs, and some more */
};

struct digest {
    _Alignas(16) uint8_t state[DIGEST_STATE_SIZE];
};

/* init, then add any number of times, then end; there is nothing to free. */
void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t len);
void digest_end(struct digest *d, uint8_t out[DIGEST_SIZE]); /* d is as after init */

/* Of bytes that are all at hand. */
void digest_of(const void *data, size_t len, uint8_t out[DIGEST_SIZE]);

/* "sha256:" and lower-case hex, and back: ST_INVALID for anything else. */
void digest_text(const uint8_t digest[DIGEST_SIZE], char out[DIGEST_TEXT_MAX]);
MUST_USE enum status digest_from_text(struct str text, uint8_t ret[DIGEST_SIZE], struct fault *why);
