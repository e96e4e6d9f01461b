#include "crypto/digest.h"

#include <nettle/sha2.h>
#include <string.h>

#define PREFIX "sha256:"
enum { PREFIX_LEN = sizeof PREFIX - 1 };

_Static_assert(SHA256_DIGEST_SIZE == DIGEST_SIZE, "nettle computes what we call a digest");
_Static_assert(sizeof(struct sha256_ctx) <= DIGEST_STATE_SIZE, "a digest has room for its state");
_Static_assert(_Alignof(struct sha256_ctx) <= 16, "and is aligned for it");

static struct sha256_ctx *state(struct digest *d)
{
    return (struct sha256_ctx *)(void *)d->state;
}

void digest_init(struct digest *d)
{
    sha256_init(state(d));
}

void digest_add(struct digest *d, const void *data, size_t len)
{
    if (len > 0)
        sha256_update(state(d), len, data);
}

void digest_end(struct digest *d, uint8_t out[DIGEST_SIZE])
{
    sha256_digest(state(d), DIGEST_SIZE, out);
}

void digest_of(const void *data, size_t len, uint8_t out[DIGEST_SIZE])
{
    struct digest d;
    digest_init(&d);
    digest_add(&d, data, len);
    digest_end(&d, out);
}

void digest_text(const uint8_t digest[DIGEST_SIZE], char out[DIGEST_TEXT_MAX])
{
    memcpy(out, PREFIX, PREFIX_LEN);
    str_hex(digest, DIGEST_SIZE, out + PREFIX_LEN);
}

enum status digest_from_text(struct str text, uint8_t ret[DIGEST_SIZE], struct fault *why)
{
    uint8_t bytes[DIGEST_SIZE];
    char again[DIGEST_TEXT_MAX];
    bool ok = str_starts(text, PREFIX) &&
              str_unhex((struct str){text.ptr + PREFIX_LEN, text.len - PREFIX_LEN}, bytes,
                        DIGEST_SIZE, NULL) == ST_OK;
    if (ok) { /* one digest has one spelling */
        digest_text(bytes, again);
        ok = str_is(text, again);
    }
    if (!ok)
        return fault_set(why, ST_INVALID,
                         "a digest is \"" PREFIX "\" and 64 lower-case hex digits");
    memcpy(ret, bytes, DIGEST_SIZE);
    return ST_OK;
}
