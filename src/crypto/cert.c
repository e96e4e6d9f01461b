#include "crypto/cert.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>

#include "base/ip.h"

enum { SERIAL_SIZE = 16, SPKI_MAX = 512, DAY_S = 86400 };

#define BEGIN_CERT "-----BEGIN CERTIFICATE-----"

static enum status fail(struct fault *why, const char *what, int code)
{
    return fault_set(why, ST_INTERNAL, "%s: %s", what, gnutls_strerror(code));
}

/* --- fingerprint --- */

static enum status fingerprint_of(gnutls_x509_crt_t crt, char ret[DIGEST_TEXT_MAX],
                                  struct fault *why)
{
    gnutls_pubkey_t key = NULL;
    uint8_t spki[SPKI_MAX], digest[DIGEST_SIZE];
    size_t size = sizeof spki;
    int code = gnutls_pubkey_init(&key);
    if (code == 0)
        code = gnutls_pubkey_import_x509(key, crt, 0);
    if (code == 0)
        code = gnutls_pubkey_export(key, GNUTLS_X509_FMT_DER, spki, &size);
    gnutls_pubkey_deinit(key);
    if (code != 0) /* one too large to fit has a key that we would not take either */
        return fault_set(why, ST_INVALID, "the certificate's key: %s", gnutls_strerror(code));
    digest_of(spki, size, digest);
    digest_text(digest, ret);
    return ST_OK;
}

enum status cert_fingerprint(const void *der, size_t len, char ret[DIGEST_TEXT_MAX],
                             struct fault *why)
{
    gnutls_x509_crt_t crt = NULL;
    AUTO(auto_free) void *copy = len > 0 && len <= CERT_FILE_MAX ? mem_dup(der, len) : NULL;
    if (!copy)
        return fault_set(why, ST_INVALID, "a certificate of %zu bytes", len);
    gnutls_datum_t datum = {copy, (unsigned)len};
    int code = gnutls_x509_crt_init(&crt);
    if (code == 0)
        code = gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_DER);
    enum status s = code == 0
                        ? fingerprint_of(crt, ret, why)
                        : fault_set(why, ST_INVALID, "the certificate: %s", gnutls_strerror(code));
    gnutls_x509_crt_deinit(crt);
    return s;
}

/* --- make --- */

static int add_name(gnutls_x509_crt_t crt, const char *name)
{
    struct ip ip;
    if (ip_parse(str_from(name), &ip))
        return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip.byte,
                                                    ip.family == 4 ? 4 : 16, GNUTLS_FSAN_APPEND);
    return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
                                                (unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

/* What is said of the key. It has no end that would matter: who pins a key need not be told when to
 * ask for another, and one that ends by itself locks people out (RFC 5280, 4.1.2.5). */
static int describe(gnutls_x509_crt_t crt, const char *name, const char *const *names, size_t count)
{
    uint8_t serial[SERIAL_SIZE];
    int code = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);
    serial[0] = (serial[0] & 0x7f) | 1; /* positive, and of full length */
    if (code == 0)
        code = gnutls_x509_crt_set_version(crt, 3);
    if (code == 0)
        code = gnutls_x509_crt_set_serial(crt, serial, sizeof serial);
    if (code == 0)
        code = gnutls_x509_crt_set_activation_time(crt, time(NULL) - DAY_S);
    if (code == 0)
        code = gnutls_x509_crt_set_expiration_time(crt, GNUTLS_X509_NO_WELL_DEFINED_EXPIRATION);
    if (code == 0)
        code = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                             (unsigned)strlen(name));
    if (code == 0)
        code = gnutls_x509_crt_set_basic_constraints(crt, 0, -1);
    if (code == 0)
        code = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (code == 0)
        code = gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
    for (size_t i = 0; i < count && code == 0; i++)
        code = add_name(crt, names[i]);
    return code;
}

static int write_both(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, struct secret *ret)
{
    gnutls_datum_t key_pem = {0}, crt_pem = {0};
    int code = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                                 &key_pem);
    if (code == 0)
        code = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &crt_pem);
    if (code == 0) {
        secret_init(ret, key_pem.size + crt_pem.size);
        memcpy(ret->ptr, key_pem.data, key_pem.size);
        memcpy(ret->ptr + key_pem.size, crt_pem.data, crt_pem.size);
    }
    if (key_pem.data)
        secret_wipe(key_pem.data, key_pem.size);
    gnutls_free(key_pem.data);
    gnutls_free(crt_pem.data);
    return code;
}

enum status cert_make(const char *name, const char *const *names, size_t count, struct secret *ret,
                      struct fault *why)
{
    gnutls_x509_crt_t crt = NULL;
    gnutls_x509_privkey_t key = NULL;
    require(count <= CERT_NAMES_MAX);
    int code = gnutls_x509_crt_init(&crt);
    if (code == 0)
        code = gnutls_x509_privkey_init(&key);
    if (code == 0)
        code = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                            GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (code == 0)
        code = gnutls_x509_crt_set_key(crt, key);
    if (code == 0)
        code = describe(crt, name, names, count);
    if (code == 0)
        code = gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
    if (code == 0)
        code = write_both(crt, key, ret);
    gnutls_x509_privkey_deinit(key);
    gnutls_x509_crt_deinit(crt);
    return code == 0 ? ST_OK : fail(why, "make a certificate", code);
}

/* --- open --- */

struct str cert_public_part(struct str pem)
{
    const char *at = memmem(pem.ptr, pem.len, BEGIN_CERT, sizeof BEGIN_CERT - 1);
    if (!at)
        return STR("");
    return (struct str){at, pem.len - (size_t)(at - pem.ptr)};
}

static enum status know_fingerprint(struct cert *c, struct str public_part, struct fault *why)
{
    gnutls_x509_crt_t crt = NULL;
    AUTO(auto_free) void *copy = mem_dup(public_part.ptr, public_part.len);
    gnutls_datum_t datum = {copy, (unsigned)public_part.len};
    int code = gnutls_x509_crt_init(&crt);
    if (code == 0)
        code = gnutls_x509_crt_import(crt, &datum, GNUTLS_X509_FMT_PEM);
    enum status s =
        code == 0 ? fingerprint_of(crt, c->fingerprint, why) : fail(why, "the certificate", code);
    gnutls_x509_crt_deinit(crt);
    return s;
}

enum status cert_open(struct str pem, struct cert *ret, struct fault *why)
{
    struct str public_part = cert_public_part(pem);
    struct cert c = {0};
    if (public_part.len == 0 || pem.len > CERT_FILE_MAX)
        return fault_set(why, ST_INVALID, "it is not a key and a certificate in PEM");
    AUTO(secret_done) struct secret copy = {0};
    secret_copy(&copy, pem.ptr, pem.len);
    size_t key_len = pem.len - public_part.len;
    gnutls_datum_t key = {copy.ptr, (unsigned)key_len};
    gnutls_datum_t crt = {copy.ptr + key_len, (unsigned)public_part.len};
    int code = gnutls_certificate_allocate_credentials(&c.credentials);
    if (code == 0) /* which also sees that they belong together */
        code = gnutls_certificate_set_x509_key_mem(c.credentials, &crt, &key, GNUTLS_X509_FMT_PEM);
    enum status s = ST_OK;
    if (code < 0)
        s = fault_set(why, ST_INVALID, "the key and the certificate: %s", gnutls_strerror(code));
    else
        s = know_fingerprint(&c, public_part, why);
    if (s != ST_OK) {
        cert_close(&c);
        return s;
    }
    *ret = c;
    return ST_OK;
}

void cert_close(struct cert *c)
{
    if (c->credentials)
        gnutls_certificate_free_credentials(c->credentials);
    *c = (struct cert){0};
}
