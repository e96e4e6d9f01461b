#include "crypto/key.h"

#include <nettle/base64.h>
#include <nettle/eddsa.h>
#include <string.h>

_Static_assert(ED25519_KEY_SIZE == KEY_SEED_SIZE && ED25519_KEY_SIZE == KEY_PUBLIC_SIZE, "");
_Static_assert(ED25519_SIGNATURE_SIZE == KEY_SIGNATURE_SIZE, "");

#define BEGIN "-----BEGIN PRIVATE KEY-----"
#define END   "-----END PRIVATE KEY-----"

/* PrivateKeyInfo, version 0, algorithm 1.3.101.112 (Ed25519), then an octet string that holds an
 * octet string of 32 bytes: the seed (RFC 8410 section 7). */
static const uint8_t der_head[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                   0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
enum {
    DER_SIZE = sizeof der_head + KEY_SEED_SIZE,
    BASE64_LEN = DER_SIZE / 3 * 4, /* without padding */
};
_Static_assert(DER_SIZE % 3 == 0, "no padding");

void key_init(struct key *k, const uint8_t seed[KEY_SEED_SIZE])
{
    secret_copy(&k->seed, seed, KEY_SEED_SIZE);
    ed25519_sha512_public_key(k->public, seed);
}

void key_done(struct key *k)
{
    secret_done(&k->seed);
}

void key_sign(const struct key *k, const void *data, size_t len, uint8_t out[KEY_SIGNATURE_SIZE])
{
    require(k->seed.len == KEY_SEED_SIZE);
    ed25519_sha512_sign(k->public, k->seed.ptr, len, data, out);
}

bool key_verify(const uint8_t public[KEY_PUBLIC_SIZE], const void *data, size_t len,
                const uint8_t signature[KEY_SIGNATURE_SIZE])
{
    return ed25519_sha512_verify(public, len, data, signature) == 1;
}

void key_public_hex(const struct key *k, char out[KEY_HEX_MAX])
{
    str_hex(k->public, KEY_PUBLIC_SIZE, out);
}

void key_encode(const struct key *k, struct secret *ret)
{
    uint8_t der[DER_SIZE];
    char body[BASE64_LEN];
    require(k->seed.len == KEY_SEED_SIZE);
    memcpy(der, der_head, sizeof der_head);
    memcpy(der + sizeof der_head, k->seed.ptr, KEY_SEED_SIZE);
    base64_encode_raw(body, DER_SIZE, der);
    secret_init(ret, sizeof BEGIN + sizeof body + 1 + sizeof END);
    char *p = (char *)ret->ptr;
    p = mempcpy(p, BEGIN "\n", sizeof BEGIN);
    p = mempcpy(p, body, sizeof body);
    (void)memcpy(p, "\n" END "\n", 1 + sizeof END);
    secret_wipe(der, sizeof der);
    secret_wipe(body, sizeof body);
}

/* The text between the two marks, without the line ends around it; empty if there are none. */
static struct str body_of(struct str text)
{
    text = str_trim(text);
    if (!str_starts(text, BEGIN) || !str_ends(text, END) || text.len < sizeof BEGIN + sizeof END)
        return STR("");
    return str_trim((struct str){text.ptr + sizeof BEGIN - 1,
                                 text.len - (sizeof BEGIN - 1) - (sizeof END - 1)});
}

/* So many characters and no padding: what we write, and openssl too. White space between them would
 * leave too few. */
static bool decode_body(struct str body, uint8_t der[DER_SIZE])
{
    struct base64_decode_ctx c;
    size_t len = DER_SIZE;
    if (body.len != BASE64_LEN)
        return false;
    base64_decode_init(&c);
    return base64_decode_update(&c, &len, der, body.len, body.ptr) == 1 &&
           base64_decode_final(&c) == 1 && len == DER_SIZE;
}

enum status key_decode(struct str text, struct key *ret, struct fault *why)
{
    if (text.len > KEY_FILE_MAX)
        return fault_set(why, ST_INVALID, "a key file has at most %d bytes", KEY_FILE_MAX);
    struct str body = body_of(text);
    if (body.len == 0)
        return fault_set(why, ST_INVALID,
                         "it does not begin with \"" BEGIN "\" and end with \"" END "\"");
    uint8_t der[DER_SIZE];
    bool ok = decode_body(body, der) && memcmp(der, der_head, sizeof der_head) == 0;
    if (ok)
        key_init(ret, der + sizeof der_head);
    secret_wipe(der, sizeof der);
    if (!ok)
        return fault_set(why, ST_INVALID, "it is not an unencrypted Ed25519 key");
    return ST_OK;
}
