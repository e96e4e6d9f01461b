#include <string.h>

#include "quic/engine_own.h"

static void on_rand(uint8_t *out, size_t len, const ngtcp2_rand_ctx *ctx)
{
    state_random(ctx->native_handle, out, len);
}

static int on_new_id(ngtcp2_conn *q, ngtcp2_cid *id, uint8_t *token, size_t len, void *ctx)
{
    struct quic_conn *c = ctx;
    (void)q;
    *id = engine_cid_random(c->e, len);
    if (!engine_reset_token(c->e, id, token))
        return NGTCP2_ERR_CALLBACK_FAILURE;
    struct cid ours = engine_cid_of(id);
    cid_put(&c->e->ids, &ours, &c->ids);
    return 0;
}

static int on_retired_id(ngtcp2_conn *q, const ngtcp2_cid *id, void *ctx)
{
    struct quic_conn *c = ctx;
    struct cid ours = engine_cid_of(id);
    (void)q;
    cid_take(&c->e->ids, &ours);
    return 0;
}

/* Ids of the peer come with the token by which it would tell that it has forgotten them. */
static int on_peer_id(ngtcp2_conn *q, int type, uint64_t seq, const ngtcp2_cid *id,
                      const uint8_t *token, void *ctx)
{
    struct quic_conn *c = ctx;
    (void)q, (void)seq, (void)id;
    if (!token)
        return 0;
    struct cid key = cid_from(token, NGTCP2_STATELESS_RESET_TOKENLEN);
    if (type == NGTCP2_CONNECTION_ID_STATUS_TYPE_ACTIVATE)
        cid_put(&c->e->tokens, &key, &c->tokens);
    else if (cid_find(&c->e->tokens, &key) == &c->tokens)
        cid_take(&c->e->tokens, &key);
    return 0;
}

static int on_stateless_reset(ngtcp2_conn *q, const ngtcp2_pkt_stateless_reset *sr, void *ctx)
{
    struct quic_conn *c = ctx;
    (void)q, (void)sr;
    c->reset = true;
    return 0;
}

/* GnuTLS asks this once the other side has proved to hold its key. */
int engine_on_key(gnutls_session_t tls)
{
    ngtcp2_crypto_conn_ref *ref = gnutls_session_get_ptr(tls);
    struct quic_conn *c = ref->user_data;
    uint8_t key[KEY_PUBLIC_SIZE];
    c->refused = true;
    if (!tls_peer_key(tls, key))
        return GNUTLS_E_CERTIFICATE_ERROR;
    if (c->dialed) {
        if (memcmp(key, c->peer, sizeof key) != 0)
            return GNUTLS_E_CERTIFICATE_ERROR;
    } else {
        memcpy(c->peer, key, sizeof key);
        if (!tls_alpn(tls, c->alpn) || !c->e->events->admit(c->e->events->ctx, c, &c->grant))
            return GNUTLS_E_CERTIFICATE_ERROR;
    }
    c->refused = false;
    c->verified = true;
    return 0;
}

static void opened(struct quic_conn *c)
{
    ngtcp2_conn *q = c->engine->q;
    if (c->close_wanted)
        return;
    if (c->grant.window > QUIC_FIRST_WINDOW)
        ngtcp2_conn_extend_max_offset(q, c->grant.window - QUIC_FIRST_WINDOW);
    if (c->grant.keep_alive_ms > 0)
        ngtcp2_conn_set_keep_alive_timeout(q, c->grant.keep_alive_ms * NGTCP2_MILLISECONDS);
    conn_opened(c);
}

static int on_handshake(ngtcp2_conn *q, void *ctx)
{
    struct quic_conn *c = ctx;
    (void)q;
    if (!c->verified || !tls_alpn(c->engine->tls, c->alpn))
        return NGTCP2_ERR_CALLBACK_FAILURE;
    if (!c->dialed)
        opened(c);
    return 0;
}

/* Whoever dialled knows only by this that it was let in. */
static int on_confirmed(ngtcp2_conn *q, void *ctx)
{
    struct quic_conn *c = ctx;
    (void)q;
    if (c->dialed && c->phase == CONN_HANDSHAKE)
        opened(c);
    return 0;
}

static int on_path(ngtcp2_conn *q, uint32_t flags, const ngtcp2_path *path,
                   ngtcp2_path_validation_result result, void *ctx)
{
    struct quic_conn *c = ctx;
    struct quic_batch b;
    (void)q, (void)flags;
    bool ok = result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS;
    if (ok) {
        engine_path_read(path, &b);
        c->remote = b.remote;
        if (c->moving && quic_addr_eq(&b.local, &c->move_to))
            c->any_local = false;
    }
    c->moving = false;
    if (ok && c->phase == CONN_OPEN && !c->close_wanted)
        c->e->events->moved(c->e->events->ctx, c);
    return 0;
}

static int on_stream_open(ngtcp2_conn *q, int64_t id, void *ctx)
{
    struct quic_conn *c = ctx;
    /* The packet that confirms the handshake may come after this one. */
    int error = on_confirmed(q, ctx);
    if (error != 0 || c->close_wanted)
        return error;
    struct quic_stream *s = conn_stream_new(c, id, false, NULL);
    engine_stream_bind(s);
    c->e->events->stream_opened(c->e->events->ctx, s);
    return 0;
}

static int on_stream_data(ngtcp2_conn *q, uint32_t flags, int64_t id, uint64_t offset,
                          const uint8_t *data, size_t len, void *ctx, void *stream_ctx)
{
    struct quic_conn *c = ctx;
    struct quic_stream *s = stream_ctx;
    (void)q, (void)id, (void)offset;
    if (!s || s->in_over || c->close_wanted)
        return 0;
    s->held += len;
    c->e->events->stream_data(c->e->events->ctx, s, (struct str){(const char *)data, len},
                              flags & NGTCP2_STREAM_DATA_FLAG_FIN);
    return 0;
}

static int on_acked(ngtcp2_conn *q, int64_t id, uint64_t offset, uint64_t len, void *ctx,
                    void *stream_ctx)
{
    struct quic_conn *c = ctx;
    struct quic_stream *s = stream_ctx;
    (void)q, (void)id;
    if (!s)
        return 0;
    size_t before = sendq_held(&s->out);
    sendq_acked(&s->out, &c->e->pool, offset + len);
    c->queued -= before - sendq_held(&s->out);
    return 0;
}

static int on_stream_reset(ngtcp2_conn *q, int64_t id, uint64_t final_size, uint64_t code,
                           void *ctx, void *stream_ctx)
{
    struct quic_conn *c = ctx;
    struct quic_stream *s = stream_ctx;
    (void)q, (void)id, (void)final_size;
    if (s && !s->in_over && !c->close_wanted)
        c->e->events->stream_reset(c->e->events->ctx, s, code);
    return 0;
}

static int on_stream_close(ngtcp2_conn *q, uint32_t flags, int64_t id, uint64_t code, void *ctx,
                           void *stream_ctx)
{
    struct quic_conn *c = ctx;
    (void)flags, (void)code;
    if (!ngtcp2_conn_is_local_stream(q, id))
        ngtcp2_conn_extend_max_streams_bidi(q, 1);
    if (stream_ctx)
        conn_stream_free(stream_ctx);
    conn_dirty(c);
    return 0;
}

const ngtcp2_callbacks engine_callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .handshake_completed = on_handshake,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_stream_data = on_stream_data,
    .acked_stream_data_offset = on_acked,
    .stream_open = on_stream_open,
    .stream_close = on_stream_close,
    .recv_stateless_reset = on_stateless_reset,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .rand = on_rand,
    .get_new_connection_id = on_new_id,
    .remove_connection_id = on_retired_id,
    .update_key = ngtcp2_crypto_update_key_cb,
    .path_validation = on_path,
    .stream_reset = on_stream_reset,
    .dcid_status = on_peer_id,
    .handshake_confirmed = on_confirmed,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};
