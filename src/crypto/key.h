/*
 * key: the Ed25519 key pair of a node (RFC 8032), and its file.
 *
 * The file is PKCS#8 in PEM (RFC 8410, RFC 7468), as `openssl genpkey -algorithm ed25519` writes it.
 * Files are read and written elsewhere; here are only their bytes.
 */
#pragma once

#include "crypto/secret.h"

enum {
    KEY_SEED_SIZE = 32,
    KEY_PUBLIC_SIZE = 32,
    KEY_SIGNATURE_SIZE = 64,
    KEY_HEX_MAX = 65, /* the public key in hex */
    KEY_FILE_MAX = 1024,
};

struct key {
    uint8_t public[KEY_PUBLIC_SIZE];
    struct secret seed;
};

/* The pair that follows from 32 unpredictable bytes, which the caller then wipes. */
void key_init(struct key *k, const uint8_t seed[KEY_SEED_SIZE]);
void key_done(struct key *k); /* also for AUTO(key_done) */

void key_sign(const struct key *k, const void *data, size_t len, uint8_t out[KEY_SIGNATURE_SIZE]);
bool key_verify(const uint8_t public[KEY_PUBLIC_SIZE], const void *data, size_t len,
                const uint8_t signature[KEY_SIGNATURE_SIZE]);

void key_public_hex(const struct key *k, char out[KEY_HEX_MAX]);

/* The content of the file; ret is the caller's to secret_done(). */
void key_encode(const struct key *k, struct secret *ret);
/* And back. ST_INVALID if it is not such a file: text around the key, other kinds of keys and encrypted
 * ones are refused. The text is not quoted in `why`. */
MUST_USE enum status key_decode(struct str text, struct key *ret, struct fault *why);
