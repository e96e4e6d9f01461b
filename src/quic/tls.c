#include "quic/tls.h"

#include <stdlib.h>
#include <string.h>

/* AES first: with the instructions of today's processors it is far faster than ChaCha20, which is for
 * those without. */
#define PRIORITY                                               \
    "NONE:+VERS-TLS1.3:+AES-128-GCM:+CHACHA20-POLY1305:+AEAD:" \
    "+ECDHE-ECDSA:+GROUP-X25519:+SIGN-EDDSA-ED25519:"          \
    "%DISABLE_TLS13_COMPAT_MODE:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK"

/* What stands before the 32 bytes in SubjectPublicKeyInfo and in PrivateKeyInfo (RFC 8410). */
static const uint8_t public_head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                      0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
static const uint8_t private_head[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                       0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

struct tls {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
};

static enum status refused(struct fault *why, int r, const char *what)
{
    return fault_set(why, ST_INTERNAL, "%s: %s", what, gnutls_strerror(r));
}

static int give_key(struct tls *t, const struct key *k)
{
    uint8_t public[sizeof public_head + KEY_PUBLIC_SIZE];
    uint8_t private[sizeof private_head + KEY_SEED_SIZE];
    require(k->seed.len == KEY_SEED_SIZE);
    memcpy(public, public_head, sizeof public_head);
    memcpy(public + sizeof public_head, k->public, KEY_PUBLIC_SIZE);
    memcpy(private, private_head, sizeof private_head);
    memcpy(private + sizeof private_head, k->seed.ptr, KEY_SEED_SIZE);
    gnutls_datum_t p = {public, sizeof public}, s = {private, sizeof private};
    int r = gnutls_certificate_set_rawpk_key_mem(t->credentials, &p, &s, GNUTLS_X509_FMT_DER, NULL,
                                                 0, NULL, 0, 0);
    secret_wipe(private, sizeof private);
    return r;
}

enum status tls_new(const struct key *k, gnutls_certificate_verify_function *verify,
                    struct tls **ret, struct fault *why)
{
    struct tls *t = NEW(struct tls);
    const char *at = NULL;
    int r = gnutls_certificate_allocate_credentials(&t->credentials);
    if (r == 0)
        r = give_key(t, k);
    if (r >= 0)
        r = gnutls_priority_init(&t->priority, PRIORITY, &at);
    if (r < 0) {
        tls_free(t);
        return refused(why, r, "TLS with raw public keys");
    }
    gnutls_certificate_set_verify_function(t->credentials, verify);
    *ret = t;
    return ST_OK;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    if (t->credentials)
        gnutls_certificate_free_credentials(t->credentials);
    if (t->priority)
        gnutls_priority_deinit(t->priority);
    free(t);
}

static int set_alpns(gnutls_session_t s, const char *const *alpns, size_t count)
{
    gnutls_datum_t name[TLS_ALPNS_MAX];
    require(count > 0 && count <= TLS_ALPNS_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(alpns[i]);
        require(len > 0 && len < TLS_ALPN_MAX);
        name[i] = (gnutls_datum_t){(uint8_t *)(uintptr_t)alpns[i], (unsigned)len};
    }
    return gnutls_alpn_set_protocols(s, name, (unsigned)count,
                                     GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
}

/* GnuTLS by itself writes the secrets of every session to the file that SSLKEYLOGFILE names. */
static int log_no_secret(gnutls_session_t s, const char *label, const gnutls_datum_t *secret)
{
    (void)s, (void)label, (void)secret;
    return 0;
}

enum status tls_session_new(struct tls *t, bool server, const char *const *alpns, size_t alpn_count,
                            gnutls_session_t *ret, struct fault *why)
{
    gnutls_session_t s = NULL;
    int r = gnutls_init(&s, (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_ENABLE_RAWPK |
                                GNUTLS_NO_TICKETS | GNUTLS_NO_AUTO_SEND_TICKET);
    if (r == 0)
        r = gnutls_priority_set(s, t->priority);
    if (r == 0)
        r = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, t->credentials);
    if (r == 0)
        r = set_alpns(s, alpns, alpn_count);
    if (r != 0) {
        if (s)
            gnutls_deinit(s);
        return refused(why, r, "TLS session");
    }
    gnutls_session_set_keylog_function(s, log_no_secret);
    if (server)
        gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUIRE);
    *ret = s;
    return ST_OK;
}

bool tls_peer_key(gnutls_session_t s, uint8_t ret[KEY_PUBLIC_SIZE])
{
    unsigned count = 0;
    const gnutls_datum_t *d = gnutls_certificate_get_peers(s, &count);
    if (!d || count != 1 ||
        gnutls_certificate_type_get2(s, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_RAWPK ||
        d->size != sizeof public_head + KEY_PUBLIC_SIZE ||
        memcmp(d->data, public_head, sizeof public_head) != 0)
        return false;
    memcpy(ret, d->data + sizeof public_head, KEY_PUBLIC_SIZE);
    return true;
}

bool tls_alpn(gnutls_session_t s, char out[TLS_ALPN_MAX])
{
    gnutls_datum_t d;
    return gnutls_alpn_get_selected_protocol(s, &d) == 0 &&
           str_copy((struct str){(const char *)d.data, d.size}, out, TLS_ALPN_MAX, NULL) == ST_OK;
}

bool tls_export(gnutls_session_t s, struct str label, void *out, size_t len)
{
    return gnutls_prf_rfc5705(s, label.len, label.ptr, 0, NULL, len, out) == 0;
}
