/* The certificate of the API: made, read back, known by its key. */
#include <string.h>

#include "base/buf.h"
#include "crypto/cert.h"
#include "support/tap.h"

static const char *const names[] = {"n1", "localhost", "127.0.0.1", "::1"};

static void make(struct secret *pem)
{
    CHECK_EQ(ST_OK, cert_make("n1", names, ARRAY_COUNT(names), pem, NULL));
}

TEST(cert_is_read_back_and_has_one_fingerprint)
{
    AUTO(secret_done) struct secret pem = {0};
    struct cert a, b;
    make(&pem);
    CHECK(pem.len < CERT_FILE_MAX);
    CHECK_EQ(ST_OK, cert_open(secret_view(&pem), &a, NULL));
    CHECK_EQ(ST_OK, cert_open(secret_view(&pem), &b, NULL));
    CHECK(str_starts(str_from(a.fingerprint), "sha256:"));
    CHECK_STR(a.fingerprint, b.fingerprint);
    cert_close(&a);
    cert_close(&b);
    cert_close(&b);
}

TEST(cert_of_each_key_has_its_own_fingerprint)
{
    AUTO(secret_done) struct secret x = {0}, y = {0};
    struct cert a, b;
    make(&x);
    make(&y);
    CHECK_EQ(ST_OK, cert_open(secret_view(&x), &a, NULL));
    CHECK_EQ(ST_OK, cert_open(secret_view(&y), &b, NULL));
    CHECK(strcmp(a.fingerprint, b.fingerprint) != 0);
    cert_close(&a);
    cert_close(&b);
}

TEST(cert_public_part_holds_no_key)
{
    AUTO(secret_done) struct secret pem = {0};
    make(&pem);
    struct str public_part = cert_public_part(secret_view(&pem));
    CHECK(str_starts(public_part, "-----BEGIN CERTIFICATE-----"));
    CHECK(memmem(public_part.ptr, public_part.len, "PRIVATE", 7) == NULL);
}

TEST(cert_refuses_what_is_no_pair)
{
    AUTO(secret_done) struct secret x = {0}, y = {0};
    AUTO(buf_done) struct buf mixed;
    struct cert c;
    struct fault why;
    make(&x);
    make(&y);
    struct str key = secret_view(&x), crt = cert_public_part(secret_view(&y));
    key.len -= cert_public_part(key).len;
    buf_init(&mixed, CERT_FILE_MAX);
    buf_str(&mixed, key);
    buf_str(&mixed, crt);
    CHECK_EQ(ST_INVALID, cert_open(buf_view(&mixed), &c, &why)); /* of two keys */
    CHECK_EQ(ST_INVALID, cert_open(key, &c, &why));
    CHECK_EQ(ST_INVALID, cert_open(crt, &c, &why));
    CHECK_EQ(ST_INVALID, cert_open(STR(""), &c, &why));
}

TEST(cert_fingerprint_refuses_what_is_no_certificate)
{
    char text[DIGEST_TEXT_MAX];
    struct fault why;
    CHECK_EQ(ST_INVALID, cert_fingerprint("abc", 3, text, &why));
    CHECK_EQ(ST_INVALID, cert_fingerprint("", 0, text, &why));
}
