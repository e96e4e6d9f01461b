#include "support/quic_evil.h"

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "quic/tls.h"

enum { INBOX = 64, PACKET_MAX = 1500, CID_SIZE = 8, FRAMES_MAX = 1100 };

struct evil {
    struct quic_net *net;
    struct net_node *to;
    struct quic_addr addr;
    struct sockaddr_storage sa_local, sa_remote;
    ngtcp2_path path;
    ngtcp2_crypto_conn_ref ref;
    ngtcp2_conn *q;
    struct tls *tls;
    gnutls_session_t session;
    evil_fn *fn;
    void *ctx;
    int64_t stream; /* its own, by which it gets packets out of ngtcp2; -1: none yet */
    bool confirmed, dead;
    uint8_t inbox[INBOX][PACKET_MAX];
    size_t inbox_len[INBOX], inbox_count;
};

static struct evil *the_evil;

static int encrypt(uint8_t *dest, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *ctx,
                   const uint8_t *plain, size_t plain_len, const uint8_t *nonce, size_t nonce_len,
                   const uint8_t *aad, size_t aad_len)
{
    enum { LONG = 0x80, TYPE = 0x30, HANDSHAKE = 0x20 };
    uint8_t frames[PACKET_MAX];
    enum evil_level level = !(aad[0] & LONG)               ? EVIL_DATA
                            : (aad[0] & TYPE) == HANDSHAKE ? EVIL_HANDSHAKE
                                                           : EVIL_INITIAL;
    if (!the_evil || plain_len > sizeof frames)
        return ngtcp2_crypto_encrypt_cb(dest, aead, ctx, plain, plain_len, nonce, nonce_len, aad,
                                        aad_len);
    memcpy(frames, plain, plain_len);
    the_evil->fn(the_evil->ctx, level, frames, plain_len);
    return ngtcp2_crypto_encrypt_cb(dest, aead, ctx, frames, plain_len, nonce, nonce_len, aad,
                                    aad_len);
}

static ngtcp2_conn *conn_of(ngtcp2_crypto_conn_ref *ref)
{
    return ((struct evil *)ref->user_data)->q;
}

static void on_rand(uint8_t *out, size_t len, const ngtcp2_rand_ctx *ctx)
{
    struct entropy *e = ctx->native_handle;
    e->fill(e, out, len);
}

static int on_new_id(ngtcp2_conn *q, ngtcp2_cid *id, uint8_t *token, size_t len, void *ctx)
{
    struct evil *v = ctx;
    uint8_t byte[NGTCP2_MAX_CIDLEN];
    (void)q;
    v->net->entropy.fill(&v->net->entropy, byte, len);
    v->net->entropy.fill(&v->net->entropy, token, NGTCP2_STATELESS_RESET_TOKENLEN);
    ngtcp2_cid_init(id, byte, len);
    return 0;
}

static int on_confirmed(ngtcp2_conn *q, void *ctx)
{
    (void)q;
    ((struct evil *)ctx)->confirmed = true;
    return 0;
}

static int anybody(gnutls_session_t s)
{
    (void)s;
    return 0;
}

static const ngtcp2_callbacks callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .encrypt = encrypt,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .rand = on_rand,
    .get_new_connection_id = on_new_id,
    .update_key = ngtcp2_crypto_update_key_cb,
    .handshake_confirmed = on_confirmed,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

static void catch (struct quic_net *n, const struct net_packet *p, void *ctx)
{
    struct evil *v = ctx;
    (void)n;
    if (!quic_addr_eq(&p->to, &v->addr) || v->inbox_count == INBOX)
        return;
    memcpy(v->inbox[v->inbox_count], p->data, p->len);
    v->inbox_len[v->inbox_count++] = p->len;
}

static void begin_quic(struct evil *v)
{
    ngtcp2_settings s;
    ngtcp2_transport_params p;
    ngtcp2_cid dcid, scid;
    uint8_t byte[2 * CID_SIZE];
    v->net->entropy.fill(&v->net->entropy, byte, sizeof byte);
    ngtcp2_cid_init(&dcid, byte, CID_SIZE);
    ngtcp2_cid_init(&scid, byte + CID_SIZE, CID_SIZE);
    ngtcp2_settings_default(&s);
    ngtcp2_transport_params_default(&p);
    s.initial_ts = v->net->now_ns;
    s.rand_ctx.native_handle = &v->net->entropy;
    p.initial_max_data = p.initial_max_stream_data_bidi_local =
        p.initial_max_stream_data_bidi_remote = 1 << 20;
    p.initial_max_streams_bidi = p.initial_max_streams_uni = 100;
    require(ngtcp2_conn_client_new(&v->q, &dcid, &scid, &v->path, NGTCP2_PROTO_VER_V1, &callbacks,
                                   &s, &p, NULL, v) == 0);
}

struct evil *evil_new(struct quic_net *n, struct net_node *to, evil_fn *fn, void *ctx)
{
    static const char *const alpn[] = {"blixard-rpc/1"};
    struct evil *v = NEW(struct evil);
    struct key key;
    uint8_t seed[KEY_SEED_SIZE] = {66};
    require(!the_evil);
    *v = (struct evil){.net = n, .to = to, .fn = fn, .ctx = ctx, .stream = -1};
    v->addr = quic_net_addr(66, 6666);
    socklen_t l = quic_addr_to_sys(&v->addr, 4, &v->sa_local);
    socklen_t r = quic_addr_to_sys(&to->addr, 4, &v->sa_remote);
    v->path = (ngtcp2_path){.local = {(ngtcp2_sockaddr *)&v->sa_local, l},
                            .remote = {(ngtcp2_sockaddr *)&v->sa_remote, r}};
    key_init(&key, seed);
    require(tls_new(&key, anybody, &v->tls, NULL) == ST_OK);
    require(tls_session_new(v->tls, false, alpn, 1, &v->session, NULL) == ST_OK);
    key_done(&key);
    begin_quic(v);
    require(ngtcp2_crypto_gnutls_configure_client_session(v->session) == 0);
    v->ref = (ngtcp2_crypto_conn_ref){conn_of, v};
    gnutls_session_set_ptr(v->session, &v->ref);
    ngtcp2_conn_set_tls_native_handle(v->q, v->session);
    n->watch = catch;
    n->watch_ctx = v;
    the_evil = v;
    return v;
}

void evil_free(struct evil *v)
{
    if (!v)
        return;
    v->net->watch = NULL;
    the_evil = NULL;
    ngtcp2_conn_del(v->q);
    gnutls_deinit(v->session);
    tls_free(v->tls);
    free(v);
}

bool evil_connected(const struct evil *v)
{
    return v->confirmed;
}

/* Whatever goes wrong at this end: it falls silent. */
static void step(struct evil *v)
{
    ngtcp2_pkt_info info = {0};
    uint8_t packet[PACKET_MAX];
    for (size_t i = 0; i < v->inbox_count && !v->dead; i++)
        v->dead = ngtcp2_conn_read_pkt(v->q, &v->path, &info, v->inbox[i], v->inbox_len[i],
                                       v->net->now_ns) != 0;
    v->inbox_count = 0;
    for (int i = 0; i < 16 && !v->dead; i++) {
        ngtcp2_ssize n =
            ngtcp2_conn_write_pkt(v->q, NULL, &info, packet, sizeof packet, v->net->now_ns);
        if (n <= 0) {
            v->dead = n < 0;
            return;
        }
        quic_net_inject(v->net, &v->addr, &v->to->addr, packet, (size_t)n);
    }
}

void evil_run(struct evil *v, uint64_t for_ms)
{
    for (uint64_t i = 0; i < for_ms; i++) {
        if (!v->dead && ngtcp2_conn_get_expiry(v->q) <= v->net->now_ns)
            v->dead = ngtcp2_conn_handle_expiry(v->q, v->net->now_ns) != 0;
        step(v);
        IGNORE(quic_net_run(v->net, 1, NULL, NULL)); /* there is nothing that it waits for */
    }
}

void evil_send(struct evil *v, size_t len)
{
    static uint8_t zeros[FRAMES_MAX];
    ngtcp2_pkt_info info = {0};
    uint8_t packet[PACKET_MAX];
    ngtcp2_ssize taken;
    if (v->dead || !v->confirmed)
        return;
    if (v->stream < 0 && ngtcp2_conn_open_bidi_stream(v->q, &v->stream, NULL) != 0)
        return;
    ngtcp2_ssize n =
        ngtcp2_conn_write_stream(v->q, NULL, &info, packet, sizeof packet, &taken, 0, v->stream,
                                 zeros, MIN(len, sizeof zeros), v->net->now_ns);
    if (n > 0)
        quic_net_inject(v->net, &v->addr, &v->to->addr, packet, (size_t)n);
    else
        v->dead = n < 0;
}
