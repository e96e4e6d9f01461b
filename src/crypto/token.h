/*
 * token: the text of an API token.
 *
 *     blx_svc_0123456789_<43 of the secret><6 of the check>
 *
 * All parts behind `svc_` are letters and digits (base62). The id names the token and is no secret;
 * the secret is 256 random bits, of which the cluster keeps only the SHA-256; the check is the CRC32C
 * of all before it, so that a typing error, or a scanner of leaked secrets, needs no look-up.
 */
#pragma once

#include "crypto/secret.h"

#define TOKEN_PREFIX "blx_svc_"

enum {
    TOKEN_RANDOM_SIZE = 40, /* unpredictable bytes that make one: 8 for the id, 32 for the secret */
    TOKEN_ID_LEN = 10,
    TOKEN_SECRET_LEN = 43,
    TOKEN_CHECK_LEN = 6,
    TOKEN_LEN = 8 + TOKEN_ID_LEN + 1 + TOKEN_SECRET_LEN + TOKEN_CHECK_LEN,
    TOKEN_DIGEST_SIZE = 32,
};

/* What a token is known by. */
struct token {
    char id[TOKEN_ID_LEN + 1];
    uint8_t digest[TOKEN_DIGEST_SIZE]; /* SHA-256 of the text of the secret */
};

/* The id that follows from random bytes. */
enum { TOKEN_ID_RANDOM_SIZE = 8 };
void token_make_id(const uint8_t random[TOKEN_ID_RANDOM_SIZE], char out[TOKEN_ID_LEN + 1]);
bool token_is_id(const char *id); /* of that length and of those digits */

/* The token that follows from random bytes, which the caller then wipes. ret_text is its whole text
 * with a NUL behind it (len tells without): the caller's, to secret_done(). */
void token_make(const uint8_t random[TOKEN_RANDOM_SIZE], struct token *ret,
                struct secret *ret_text);

/* ST_INVALID if it is not of that form or its check is wrong. The text is not quoted in `why`. */
MUST_USE enum status token_parse(struct str text, struct token *ret, struct fault *why);

/* Are they equal? In a time that does not tell how much of them is. */
bool token_digest_equal(const uint8_t a[TOKEN_DIGEST_SIZE], const uint8_t b[TOKEN_DIGEST_SIZE]);
