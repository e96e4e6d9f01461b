/*
 * cert: the key and the self-signed certificate by which a node's API is known, and its fingerprint.
 *
 * The key is of ECDSA P-256: browsers take no Ed25519. Nobody vouches for the certificate; clients
 * know its *key* by the fingerprint, the SHA-256 of its SubjectPublicKeyInfo (what RFC 7469 pins),
 * so that a certificate may be written anew for other names and keeps its fingerprint.
 *
 * Files are read and written elsewhere; here are only their bytes.
 */
#pragma once

#include <gnutls/gnutls.h>

#include "base/fault.h"
#include "crypto/digest.h"
#include "crypto/secret.h"

enum { CERT_FILE_MAX = 8192, CERT_NAMES_MAX = 8 };

struct cert {
    gnutls_certificate_credentials_t credentials; /* for sessions of a server */
    char fingerprint[DIGEST_TEXT_MAX];            /* "sha256:..." */
};

/*
 * Make a key and a certificate of it for these names and addresses, as PEM: first the key, then the
 * certificate.
 *
 * name     of the node: the certificate's common name.
 * names    DNS names and addresses, in text.
 * ret      the caller's, to secret_done().
 */
MUST_USE enum status cert_make(const char *name, const char *const *names, size_t count,
                               struct secret *ret, struct fault *why);

/* Take such a file. ST_INVALID if it is not one, or the two do not belong together. */
MUST_USE enum status cert_open(struct str pem, struct cert *ret, struct fault *why);
void cert_close(struct cert *c); /* also of one that is all zero */

/* The certificate alone as PEM, which is no secret: what stands in the file behind the key. */
MUST_USE struct str cert_public_part(struct str pem);

/* The fingerprint of the key of a certificate in DER, as a peer has sent it. ST_INVALID. */
MUST_USE enum status cert_fingerprint(const void *der, size_t len, char ret[DIGEST_TEXT_MAX],
                                      struct fault *why);
