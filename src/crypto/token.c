#include "crypto/token.h"

#include <nettle/memops.h>
#include <string.h>

#include "base/hash.h"
#include "crypto/digest.h"

enum {
    PREFIX_LEN = sizeof TOKEN_PREFIX - 1,
    SECRET_AT = PREFIX_LEN + TOKEN_ID_LEN + 1,
    CHECK_AT = SECRET_AT + TOKEN_SECRET_LEN,
    SECRET_BYTES = TOKEN_RANDOM_SIZE - TOKEN_ID_RANDOM_SIZE,
    BASE = 62,
};
_Static_assert(CHECK_AT + TOKEN_CHECK_LEN == TOKEN_LEN, "the parts are the whole");
_Static_assert((int)TOKEN_DIGEST_SIZE == (int)DIGEST_SIZE, "");

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
_Static_assert(sizeof digits - 1 == BASE, "");

/* A big-endian number, which is used up, as so many digits: its lowest ones if it has more. */
static void write_digits(uint8_t *number, size_t size, char *out, size_t len)
{
    while (len > 0) {
        unsigned rest = 0;
        for (size_t i = 0; i < size; i++) {
            unsigned v = rest << 8 | number[i];
            number[i] = (uint8_t)(v / BASE);
            rest = v % BASE;
        }
        out[--len] = digits[rest];
    }
}

static void write_check(const char *text, char out[TOKEN_CHECK_LEN])
{
    uint32_t crc = hash_crc32c(0, text, CHECK_AT);
    uint8_t bytes[] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8),
                       (uint8_t)crc};
    write_digits(bytes, sizeof bytes, out, TOKEN_CHECK_LEN);
}

static void know(const char *text, struct token *ret)
{
    memcpy(ret->id, text + PREFIX_LEN, TOKEN_ID_LEN);
    ret->id[TOKEN_ID_LEN] = 0;
    digest_of(text + SECRET_AT, TOKEN_SECRET_LEN, ret->digest);
}

void token_make_id(const uint8_t random[TOKEN_ID_RANDOM_SIZE], char out[TOKEN_ID_LEN + 1])
{
    uint8_t bytes[TOKEN_ID_RANDOM_SIZE];
    memcpy(bytes, random, sizeof bytes);
    write_digits(bytes, sizeof bytes, out, TOKEN_ID_LEN);
    out[TOKEN_ID_LEN] = 0;
}

bool token_is_id(const char *id)
{
    return strlen(id) == TOKEN_ID_LEN && strspn(id, digits) == TOKEN_ID_LEN;
}

void token_make(const uint8_t random[TOKEN_RANDOM_SIZE], struct token *ret, struct secret *ret_text)
{
    uint8_t bytes[TOKEN_RANDOM_SIZE];
    memcpy(bytes, random, sizeof bytes);
    secret_init(ret_text, TOKEN_LEN + 1);
    ret_text->len = TOKEN_LEN; /* the NUL stands behind */
    char *text = (char *)ret_text->ptr;
    memcpy(text, TOKEN_PREFIX, PREFIX_LEN);
    write_digits(bytes, TOKEN_ID_RANDOM_SIZE, text + PREFIX_LEN, TOKEN_ID_LEN);
    text[SECRET_AT - 1] = '_';
    write_digits(bytes + TOKEN_ID_RANDOM_SIZE, SECRET_BYTES, text + SECRET_AT, TOKEN_SECRET_LEN);
    write_check(text, text + CHECK_AT);
    text[TOKEN_LEN] = 0;
    secret_wipe(bytes, sizeof bytes);
    know(text, ret);
}

static bool all_digits(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!text[i] || !strchr(digits, text[i]))
            return false;
    return true;
}

enum status token_parse(struct str text, struct token *ret, struct fault *why)
{
    char check[TOKEN_CHECK_LEN];
    if (text.len != TOKEN_LEN || !str_starts(text, TOKEN_PREFIX) ||
        text.ptr[SECRET_AT - 1] != '_' || !all_digits(text.ptr + PREFIX_LEN, TOKEN_ID_LEN) ||
        !all_digits(text.ptr + SECRET_AT, TOKEN_LEN - SECRET_AT))
        return fault_set(why, ST_INVALID, "it does not look like a token: " TOKEN_PREFIX "...");
    write_check(text.ptr, check);
    if (memcmp(check, text.ptr + CHECK_AT, sizeof check) != 0)
        return fault_set(why, ST_INVALID, "the token is mistyped: its check does not fit");
    know(text.ptr, ret);
    return ST_OK;
}

bool token_digest_equal(const uint8_t a[TOKEN_DIGEST_SIZE], const uint8_t b[TOKEN_DIGEST_SIZE])
{
    return memeql_sec(a, b, TOKEN_DIGEST_SIZE);
}
