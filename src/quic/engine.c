#include "quic/engine.h"

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

enum {
    DIAL_DCID_SIZE = 16,
    PACKET_VECS = 4, /* of SENDQ_CHUNK each: more than a packet */
    TOKEN_LIFE_S = 10,
    INITIAL_RTT_MS = 50, /* until it is measured */
    RETIRED_CIDS_MAX = 64,
    ALERT_NO_ALPN = 120,  /* RFC 7301 */
    CRYPTO_ERROR = 0x100, /* RFC 9001 section 4.8 */
};

_Static_assert(CID_MAX == NGTCP2_MAX_CIDLEN, "");
_Static_assert(KEY_PUBLIC_SIZE == 32 && STATE_SECRET_SIZE == 32, "");

struct engine {
    ngtcp2_crypto_conn_ref ref; /* GnuTLS points here */
    ngtcp2_conn *q;
    gnutls_session_t tls;
};

static struct cid cid_of(const ngtcp2_cid *c)
{
    return cid_from(c->data, c->datalen);
}

static ngtcp2_cid cid_to(const struct cid *c)
{
    ngtcp2_cid r;
    ngtcp2_cid_init(&r, c->byte, c->len);
    return r;
}

static void fill(struct endpoint *e, void *out, size_t len)
{
    e->config.entropy->fill(e->config.entropy, out, len);
}

static ngtcp2_cid cid_random(struct endpoint *e, size_t len)
{
    uint8_t byte[NGTCP2_MAX_CIDLEN];
    ngtcp2_cid r;
    fill(e, byte, len);
    ngtcp2_cid_init(&r, byte, len);
    return r;
}

static bool reset_token(struct endpoint *e, const ngtcp2_cid *id, uint8_t *out)
{
    return ngtcp2_crypto_generate_stateless_reset_token(out, e->reset_secret, STATE_SECRET_SIZE,
                                                        id) == 0;
}

/* --- paths --- */

struct path {
    struct sockaddr_storage local, remote;
    ngtcp2_path path;
};

/* Where the system chooses our address ngtcp2 is always told the same one, the unspecified. */
static void path_init(struct path *p, const struct quic_conn *c, const struct quic_addr *local,
                      const struct quic_addr *remote)
{
    static const struct quic_addr any;
    bool known = !c->any_local || (c->moving && quic_addr_eq(local, &c->move_to));
    bool fits = known && local->ip.family == remote->ip.family;
    socklen_t l = quic_addr_to_sys(fits ? local : &any, remote->ip.family, &p->local);
    socklen_t r = quic_addr_to_sys(remote, remote->ip.family, &p->remote);
    p->path = (ngtcp2_path){.local = {(ngtcp2_sockaddr *)&p->local, l},
                            .remote = {(ngtcp2_sockaddr *)&p->remote, r}};
}

static void path_read(const ngtcp2_path *p, struct quic_batch *b)
{
    static const uint8_t none[16];
    ensure(quic_addr_from_sys(p->local.addr, p->local.addrlen, &b->local));
    ensure(quic_addr_from_sys(p->remote.addr, p->remote.addrlen, &b->remote));
    if (memcmp(b->local.ip.byte, none, sizeof none) == 0)
        b->local = (struct quic_addr){0};
}

/* --- datagrams without a connection --- */

struct engine_head engine_peek(struct str d)
{
    struct engine_head h = {ENGINE_GARBAGE, STR(""), STR("")};
    const uint8_t *data = (const uint8_t *)d.ptr;
    ngtcp2_version_cid v = {0};
    if (d.len == 0)
        return h;
    int r = ngtcp2_pkt_decode_version_cid(&v, data, d.len, STATE_CID_SIZE);
    bool is_long = data[0] & 0x80;
    if (r != 0 && r != NGTCP2_ERR_VERSION_NEGOTIATION)
        return h;
    h.dcid = (struct str){(const char *)v.dcid, v.dcidlen};
    h.scid = (struct str){(const char *)v.scid, v.scidlen};
    /* ngtcp2 also knows drafts; version 0 is an offer of versions, for whoever dialled. */
    bool ours = r == 0 && (v.version == NGTCP2_PROTO_VER_V1 || v.version == 0);
    if (is_long && !ours)
        h.kind = d.len >= NGTCP2_MAX_UDP_PAYLOAD_SIZE ? ENGINE_OTHER_VERSION : ENGINE_GARBAGE;
    else if (h.dcid.len <= CID_MAX && h.scid.len <= CID_MAX)
        h.kind = is_long ? ENGINE_LONG : ENGINE_SHORT;
    return h;
}

bool engine_first(struct str d, struct engine_first *ret)
{
    ngtcp2_pkt_hd hd;
    if (ngtcp2_accept(&hd, (const uint8_t *)d.ptr, d.len) != 0 || hd.version != NGTCP2_PROTO_VER_V1)
        return false;
    *ret = (struct engine_first){.dcid = cid_of(&hd.dcid),
                                 .scid = cid_of(&hd.scid),
                                 .original = cid_of(&hd.dcid),
                                 .token = {(const char *)hd.token.base, hd.token.len}};
    return true;
}

bool engine_token(struct endpoint *e, struct engine_first *f, const struct quic_addr *remote,
                  uint64_t now_ns)
{
    struct sockaddr_storage sa;
    socklen_t len = quic_addr_to_sys(remote, remote->ip.family, &sa);
    ngtcp2_cid original, dcid = cid_to(&f->dcid);
    if (ngtcp2_crypto_verify_retry_token(&original, (const uint8_t *)f->token.ptr, f->token.len,
                                         e->token_secret, STATE_SECRET_SIZE, NGTCP2_PROTO_VER_V1,
                                         (struct sockaddr *)&sa, len, &dcid,
                                         TOKEN_LIFE_S * NGTCP2_SECONDS, now_ns) != 0)
        return false;
    f->original = cid_of(&original);
    f->validated = true;
    return true;
}

size_t engine_retry(struct endpoint *e, const struct engine_first *f,
                    const struct quic_addr *remote, uint64_t now_ns, uint8_t *out, size_t size)
{
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
    struct sockaddr_storage sa;
    socklen_t len = quic_addr_to_sys(remote, remote->ip.family, &sa);
    ngtcp2_cid dcid = cid_to(&f->dcid), scid = cid_to(&f->scid),
               fresh = cid_random(e, STATE_CID_SIZE);
    ngtcp2_ssize n = ngtcp2_crypto_generate_retry_token(token, e->token_secret, STATE_SECRET_SIZE,
                                                        NGTCP2_PROTO_VER_V1, (struct sockaddr *)&sa,
                                                        len, &fresh, &dcid, now_ns);
    if (n < 0)
        return 0;
    n = ngtcp2_crypto_write_retry(out, size, NGTCP2_PROTO_VER_V1, &scid, &fresh, &dcid, token,
                                  (size_t)n);
    return n > 0 ? (size_t)n : 0;
}

size_t engine_versions(struct endpoint *e, const struct engine_head *h, uint8_t *out, size_t size)
{
    static const uint32_t ours[] = {NGTCP2_PROTO_VER_V1};
    uint8_t unused;
    fill(e, &unused, 1);
    ngtcp2_ssize n = ngtcp2_pkt_write_version_negotiation(
        out, size, unused, (const uint8_t *)h->scid.ptr, h->scid.len, (const uint8_t *)h->dcid.ptr,
        h->dcid.len, ours, ARRAY_COUNT(ours));
    return n > 0 ? (size_t)n : 0;
}

size_t engine_reset(struct endpoint *e, const struct engine_head *h, size_t datagram_len,
                    uint8_t *out, size_t size)
{
    enum { NOISE_MAX = 26 };
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN], noise[NOISE_MAX];
    if (datagram_len <= NGTCP2_MIN_STATELESS_RESET_RANDLEN + sizeof token)
        return 0;
    ngtcp2_cid id;
    ngtcp2_cid_init(&id, (const uint8_t *)h->dcid.ptr, h->dcid.len);
    size_t noise_len = MIN(datagram_len - 1 - sizeof token, NOISE_MAX);
    fill(e, noise, noise_len);
    if (!reset_token(e, &id, token))
        return 0;
    ngtcp2_ssize n = ngtcp2_pkt_write_stateless_reset(out, size, token, noise, noise_len);
    return n > 0 ? (size_t)n : 0;
}

/* --- what ngtcp2 calls --- */

static ngtcp2_conn *conn_of(ngtcp2_crypto_conn_ref *ref)
{
    struct quic_conn *c = ref->user_data;
    return c->engine->q;
}

static void on_rand(uint8_t *out, size_t len, const ngtcp2_rand_ctx *ctx)
{
    fill(ctx->native_handle, out, len);
}

static int on_new_id(ngtcp2_conn *q, ngtcp2_cid *id, uint8_t *token, size_t len, void *ctx)
{
    struct quic_conn *c = ctx;
    (void)q;
    *id = cid_random(c->e, len);
    if (!reset_token(c->e, id, token))
        return NGTCP2_ERR_CALLBACK_FAILURE;
    struct cid ours = cid_of(id);
    cid_put(&c->e->ids, &ours, &c->ids);
    return 0;
}

static int on_retired_id(ngtcp2_conn *q, const ngtcp2_cid *id, void *ctx)
{
    struct quic_conn *c = ctx;
    struct cid ours = cid_of(id);
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
        path_read(path, &b);
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
    (void)q;
    if (c->close_wanted)
        return 0;
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

static const ngtcp2_callbacks callbacks = {
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

/* --- birth --- */

static void settings(struct endpoint *e, uint64_t now_ns, ngtcp2_settings *s,
                     ngtcp2_transport_params *p)
{
    const struct endpoint_config *c = &e->config;
    ngtcp2_settings_default(s);
    s->initial_ts = now_ns;
    s->initial_rtt = INITIAL_RTT_MS * NGTCP2_MILLISECONDS;
    s->handshake_timeout = c->handshake_ms * NGTCP2_MILLISECONDS;
    s->rand_ctx.native_handle = e;

    ngtcp2_transport_params_default(p);
    p->initial_max_stream_data_bidi_local = c->stream_window;
    p->initial_max_stream_data_bidi_remote = c->stream_window;
    p->initial_max_data = QUIC_FIRST_WINDOW;
    p->initial_max_streams_bidi = c->streams_max;
    p->initial_max_streams_uni = 0;
    p->max_idle_timeout = c->idle_ms * NGTCP2_MILLISECONDS;
    p->active_connection_id_limit = NGTCP2_DEFAULT_ACTIVE_CONNECTION_ID_LIMIT + 2;
}

static enum status born(struct quic_conn *c, struct engine *g, const char *const *alpns,
                        size_t alpn_count, struct fault *why)
{
    enum status s = tls_session_new(c->e->tls, !c->dialed, alpns, alpn_count, &g->tls, why);
    if (s != ST_OK) {
        engine_free(g);
        return s;
    }
    int r = c->dialed ? ngtcp2_crypto_gnutls_configure_client_session(g->tls)
                      : ngtcp2_crypto_gnutls_configure_server_session(g->tls);
    if (r != 0) {
        engine_free(g);
        return fault_set(why, ST_INTERNAL, "TLS cannot be used with QUIC");
    }
    g->ref = (ngtcp2_crypto_conn_ref){conn_of, c};
    gnutls_session_set_ptr(g->tls, &g->ref);
    ngtcp2_conn_set_tls_native_handle(g->q, g->tls);
    c->engine = g;
    return ST_OK;
}

enum status engine_dial(struct quic_conn *c, const char *const *alpns, size_t alpn_count,
                        const struct quic_addr *local, uint64_t now_ns, struct fault *why)
{
    struct engine *g = NEW(struct engine);
    struct path p;
    ngtcp2_settings set;
    ngtcp2_transport_params params;
    ngtcp2_cid dcid = cid_random(c->e, DIAL_DCID_SIZE), scid = cid_random(c->e, STATE_CID_SIZE);
    settings(c->e, now_ns, &set, &params);
    path_init(&p, c, local, &c->remote);
    if (ngtcp2_conn_client_new(&g->q, &dcid, &scid, &p.path, NGTCP2_PROTO_VER_V1, &callbacks, &set,
                               &params, NULL, c) != 0) {
        free(g);
        return fault_set(why, ST_INTERNAL, "QUIC cannot begin a connection");
    }
    enum status s = born(c, g, alpns, alpn_count, why);
    if (s != ST_OK)
        return s;
    struct cid ours = cid_of(&scid);
    cid_put(&c->e->ids, &ours, &c->ids);
    return ST_OK;
}

enum status engine_accept(struct quic_conn *c, const struct engine_first *f,
                          const struct quic_addr *local, uint64_t now_ns, struct fault *why)
{
    struct engine *g = NEW(struct engine);
    struct path p;
    ngtcp2_settings set;
    ngtcp2_transport_params params;
    ngtcp2_cid dcid = cid_to(&f->scid), scid = cid_random(c->e, STATE_CID_SIZE);
    settings(c->e, now_ns, &set, &params);
    path_init(&p, c, local, &c->remote);
    params.original_dcid = cid_to(&f->original);
    if (f->validated) {
        params.retry_scid = cid_to(&f->dcid);
        params.retry_scid_present = 1;
        set.token = (ngtcp2_vec){(uint8_t *)(uintptr_t)f->token.ptr, f->token.len};
    }
    params.stateless_reset_token_present =
        reset_token(c->e, &scid, params.stateless_reset_token) ? 1 : 0;
    if (ngtcp2_conn_server_new(&g->q, &dcid, &scid, &p.path, NGTCP2_PROTO_VER_V1, &callbacks, &set,
                               &params, NULL, c) != 0) {
        free(g);
        return fault_set(why, ST_INTERNAL, "QUIC cannot take a connection");
    }
    enum status s = born(c, g, c->e->config.alpns, c->e->config.alpn_count, why);
    if (s != ST_OK)
        return s;
    /* Until it hears from us the client goes on with the id that it made up. */
    struct cid ours = cid_of(&scid);
    cid_put(&c->e->ids, &ours, &c->ids);
    cid_put(&c->e->ids, &f->dcid, &c->ids);
    return ST_OK;
}

void engine_free(struct engine *g)
{
    ngtcp2_conn_del(g->q);
    if (g->tls)
        gnutls_deinit(g->tls);
    free(g);
}

/* --- ends --- */

static struct conn_over over_by_peer(struct quic_conn *c)
{
    struct conn_over o = {.status = ST_UNAVAILABLE, .by_peer = true, .linger = true};
    ngtcp2_connection_close_error e;
    if (c->reset) {
        o.text = "the peer knows nothing of it any more";
        o.linger = false;
        c->e->count.ended_reset++;
        return o;
    }
    ngtcp2_conn_get_connection_close_error(c->engine->q, &e);
    uint64_t alert = e.error_code - CRYPTO_ERROR;
    if (e.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION) {
        o.code = e.error_code;
        o.status = e.error_code == 0 ? ST_OK : ST_UNAVAILABLE;
        o.text = "closed by the peer";
    } else if (e.error_code == CRYPTO_ERROR + ALERT_NO_ALPN) {
        o.status = ST_UNSUPPORTED;
        o.text = "the peer speaks none of our protocols";
    } else if (e.error_code >= CRYPTO_ERROR && alert < 0x100) {
        o.status = ST_DENIED;
        o.text = "the peer does not let us in";
    } else {
        o.text = "ended by the peer, for an error of the transport";
    }
    return o;
}

static struct conn_over over_by_tls(struct quic_conn *c)
{
    struct conn_over o = {
        .status = ST_INVALID, .text = "the handshake failed", .say = true, .linger = true};
    if (c->refused) {
        o.status = ST_DENIED;
        o.text = c->dialed ? "the peer has another key" : "its key is not let in";
        c->e->count.refused_key++;
    } else if (ngtcp2_conn_get_tls_alert(c->engine->q) == ALERT_NO_ALPN) {
        o.status = ST_UNSUPPORTED;
        o.text = "no protocol in common";
        c->e->count.refused_alpn++;
    }
    return o;
}

/* What an error of ngtcp2 means. */
static struct conn_over over(struct quic_conn *c, int error)
{
    struct conn_over o = {.error = error};
    switch (error) {
    case NGTCP2_ERR_DRAINING:
    case NGTCP2_ERR_CLOSING: o = over_by_peer(c); break;
    case NGTCP2_ERR_CRYPTO: o = over_by_tls(c); break;
    case NGTCP2_ERR_IDLE_CLOSE:
        o.status = ST_TIMEOUT;
        o.text = "nothing was heard for too long";
        c->e->count.ended_idle++;
        break;
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
        o.status = ST_TIMEOUT;
        o.text = "the handshake took too long";
        break;
    case NGTCP2_ERR_NO_VIABLE_PATH:
        o.status = ST_TIMEOUT;
        o.text = "no address of the peer answers";
        break;
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
    case NGTCP2_ERR_VERSION_NEGOTIATION_FAILURE:
        o.status = ST_UNSUPPORTED;
        o.text = "the peer does not speak version 1 of QUIC";
        break;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY:
        o.status = ST_INVALID;
        o.text = "it began wrongly";
        break;
    case NGTCP2_ERR_NOMEM:
    case NGTCP2_ERR_INTERNAL:
    case NGTCP2_ERR_CALLBACK_FAILURE:
    case NGTCP2_ERR_AEAD_LIMIT_REACHED:
    case NGTCP2_ERR_PKT_NUM_EXHAUSTED:
    case NGTCP2_ERR_INVALID_ARGUMENT:
    case NGTCP2_ERR_INVALID_STATE:
        o.status = ST_INTERNAL;
        o.text = ngtcp2_strerror(error);
        break;
    default:
        o.status = ST_INVALID;
        o.text = ngtcp2_strerror(error);
        o.say = o.linger = true;
        c->e->count.ended_wrong++;
        break;
    }
    o.error = error;
    return o;
}

bool engine_close(struct quic_conn *c, const struct conn_over *o, uint64_t now_ns, uint8_t *out,
                  size_t size, struct quic_batch *ret)
{
    ngtcp2_connection_close_error e;
    ngtcp2_pkt_info info = {0};
    ngtcp2_path_storage ps;
    ngtcp2_conn *q = c->engine->q;
    ngtcp2_path_storage_zero(&ps);
    ngtcp2_connection_close_error_default(&e);
    uint8_t alert = ngtcp2_conn_get_tls_alert(q);
    if (o->error == 0)
        ngtcp2_connection_close_error_set_application_error(&e, o->code, NULL, 0);
    else if (o->error == NGTCP2_ERR_CRYPTO && alert)
        ngtcp2_connection_close_error_set_transport_error_tls_alert(&e, alert, NULL, 0);
    else
        ngtcp2_connection_close_error_set_transport_error_liberr(&e, o->error, NULL, 0);
    ngtcp2_ssize n = ngtcp2_conn_write_connection_close(q, &ps.path, &info, out, size, &e, now_ns);
    if (n <= 0)
        return false;
    *ret = (struct quic_batch){.data = out, .len = (size_t)n, .size = (size_t)n};
    path_read(&ps.path, ret);
    return true;
}

/* --- datagrams and time --- */

bool engine_read(struct quic_conn *c, const struct quic_addr *local, const struct quic_addr *remote,
                 uint8_t ecn, struct str d, uint64_t now_ns, struct conn_over *ret)
{
    struct path p;
    ngtcp2_pkt_info info = {.ecn = ecn};
    path_init(&p, c, local, remote);
    int r =
        ngtcp2_conn_read_pkt(c->engine->q, &p.path, &info, (const uint8_t *)d.ptr, d.len, now_ns);
    if (r == 0)
        return true;
    *ret = over(c, r);
    return false;
}

bool engine_timer(struct quic_conn *c, uint64_t now_ns, struct conn_over *ret)
{
    int r = ngtcp2_conn_handle_expiry(c->engine->q, now_ns);
    if (r == 0)
        return true;
    *ret = over(c, r);
    return false;
}

/* With nothing to be sent the pacer's next turn is of no interest, and nothing else minds a millisecond: so
 * whoever exchanges small messages is not woken after each. */
uint64_t engine_expiry(const struct quic_conn *c, uint64_t now_ns)
{
    uint64_t at_ns = ngtcp2_conn_get_expiry(c->engine->q);
    return list_empty(&c->ready) ? MAX(at_ns, now_ns + UNITS_NS_PER_MS) : at_ns;
}

uint64_t engine_pto_ns(const struct quic_conn *c)
{
    return ngtcp2_conn_get_pto(c->engine->q);
}

uint64_t engine_rtt_ns(const struct quic_conn *c)
{
    ngtcp2_conn_stat st;
    ngtcp2_conn_get_conn_stat(c->engine->q, &st);
    return st.first_rtt_sample_ts == UINT64_MAX ? 0 : st.smoothed_rtt;
}

static void stream_wrote(struct quic_stream *s, size_t len, bool fin)
{
    sendq_sent(&s->out, len);
    list_cut(&s->ready);
    if (s->out.sent < s->out.end)
        list_push(&s->c->ready, &s->ready); /* others first */
    else if (s->fin_wanted)
        s->fin_sent = fin;
}

/* Offer what the stream has to the packet that is being written. */
static ngtcp2_ssize write_stream(struct quic_conn *c, struct quic_stream *s, ngtcp2_path *path,
                                 ngtcp2_pkt_info *info, uint8_t *out, size_t size, uint64_t now_ns)
{
    struct iovec vec[PACKET_VECS];
    ngtcp2_vec v[PACKET_VECS];
    size_t count = sendq_peek(&s->out, vec, PACKET_VECS), offered = 0;
    for (size_t i = 0; i < count; i++) {
        v[i] = (ngtcp2_vec){vec[i].iov_base, vec[i].iov_len};
        offered += vec[i].iov_len;
    }
    bool fin = s->fin_wanted && offered == s->out.end - s->out.sent;
    uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
    ngtcp2_ssize taken = -1;
    ngtcp2_ssize n = ngtcp2_conn_writev_stream(c->engine->q, path, info, out, size, &taken, flags,
                                               s->id, v, count, now_ns);
    if (taken >= 0)
        stream_wrote(s, (size_t)taken, fin && (size_t)taken == offered);
    return n;
}

/* One packet, with whatever fits into it. Streams that flow control holds back go to `blocked`. */
static ngtcp2_ssize write_packet(struct quic_conn *c, struct list *blocked, ngtcp2_path *path,
                                 ngtcp2_pkt_info *info, uint8_t *out, size_t size, uint64_t now_ns)
{
    for (;;) {
        if (list_empty(&c->ready)) {
            ngtcp2_ssize n =
                ngtcp2_conn_writev_stream(c->engine->q, path, info, out, size, NULL,
                                          NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, now_ns);
            return n;
        }
        struct quic_stream *s = CONTAINER_OF(c->ready.next, struct quic_stream, ready);
        ngtcp2_ssize n = write_stream(c, s, path, info, out, size, now_ns);
        switch (n) {
        case NGTCP2_ERR_WRITE_MORE: continue;
        case NGTCP2_ERR_STREAM_DATA_BLOCKED:
            list_cut(&s->ready);
            list_push(blocked, &s->ready);
            continue;
        case NGTCP2_ERR_STREAM_SHUT_WR:
        case NGTCP2_ERR_STREAM_NOT_FOUND:
            list_cut(&s->ready);
            conn_stream_stopped(s);
            continue;
        default: return n;
        }
    }
}

enum engine_wrote engine_write(struct quic_conn *c, uint64_t now_ns, struct conn_over *ret)
{
    struct endpoint *e = c->e;
    ngtcp2_conn *q = c->engine->q;
    size_t packet_max = MIN(ngtcp2_conn_get_max_tx_udp_payload_size(q), ENDPOINT_DATAGRAM_MAX);
    size_t quantum = ngtcp2_conn_get_send_quantum(q), total = 0;
    struct quic_batch b = {.data = e->tx};
    struct list blocked;
    ngtcp2_ssize n = 0;
    bool more = true;
    list_init(&blocked);
    while (more && total < quantum) {
        ngtcp2_path_storage ps;
        ngtcp2_pkt_info info = {0};
        ngtcp2_path_storage_zero(&ps);
        n = write_packet(c, &blocked, &ps.path, &info, e->tx + b.len, packet_max, now_ns);
        if (n <= 0)
            break;
        size_t len = (size_t)n;
        struct quic_batch one = {.ecn = info.ecn & 3, .data = e->tx, .len = len, .size = len};
        path_read(&ps.path, &one);
        e->count.datagrams_out++;
        total += len;
        bool joins = b.len > 0 && len <= b.size && one.ecn == b.ecn &&
                     quic_addr_eq(&one.remote, &b.remote) && quic_addr_eq(&one.local, &b.local);
        if (joins) {
            b.len += len;
        } else {
            if (b.len > 0) {
                more = e->driver.send(e->driver.ctx, &b);
                memmove(e->tx, e->tx + b.len, len);
            }
            b = one;
        }
        if (b.len > 0 && (len < b.size || b.len + packet_max > STATE_TX_SIZE - 1 ||
                          b.len / b.size >= ENDPOINT_BATCH_MAX)) {
            more = e->driver.send(e->driver.ctx, &b) && more;
            b.len = 0;
        }
    }
    LIST_EACH(it, &blocked) {
        list_cut(it);
        list_push(&c->ready, it);
    }
    if (b.len > 0)
        more = e->driver.send(e->driver.ctx, &b) && more;
    if (n < 0) {
        *ret = over(c, (int)n);
        return ENGINE_OVER;
    }
    /* Pacing goes by the round trip time. That is a guess until the first answer, and would hold the
     * handshake back for milliseconds. */
    if (total > 0 && c->phase == CONN_OPEN)
        ngtcp2_conn_update_pkt_tx_time(q, now_ns);
    return more ? ENGINE_WROTE : ENGINE_FULL;
}

/* --- what the application asks for --- */

enum status engine_move(struct quic_conn *c, const struct quic_addr *local, uint64_t now_ns,
                        struct fault *why)
{
    struct path p;
    c->moving = true;
    c->move_to = *local;
    path_init(&p, c, local, &c->remote);
    if (ngtcp2_conn_initiate_migration(c->engine->q, &p.path, now_ns) == 0)
        return ST_OK;
    c->moving = false;
    return fault_set(why, ST_PRECONDITION, "the connection cannot go on from that address");
}

bool engine_export(const struct quic_conn *c, struct str label, void *out, size_t len)
{
    return tls_export(c->engine->tls, label, out, len);
}

enum status engine_stream_open(struct quic_conn *c, int64_t *ret_id, struct fault *why)
{
    if (ngtcp2_conn_open_bidi_stream(c->engine->q, ret_id, NULL) != 0)
        return fault_set(why, ST_LIMIT, "the peer allows no more streams now");
    return ST_OK;
}

void engine_stream_bind(struct quic_stream *s)
{
    ensure(ngtcp2_conn_set_stream_user_data(s->c->engine->q, s->id, s) == 0);
}

void engine_conn_credit(struct quic_conn *c, size_t len)
{
    if (len > 0)
        ngtcp2_conn_extend_max_offset(c->engine->q, len);
}

void engine_stream_credit(struct quic_stream *s, size_t len)
{
    /* ST_NOT_FOUND and its like: the peer has ended the stream and needs no credit for it. */
    IGNORE(ngtcp2_conn_extend_max_stream_offset(s->c->engine->q, s->id, len));
    engine_conn_credit(s->c, len);
}

void engine_stream_reset(struct quic_stream *s, uint64_t code)
{
    /* It fails for want of memory only, and then the connection does too at the next write. */
    IGNORE(ngtcp2_conn_shutdown_stream_write(s->c->engine->q, s->id, code));
}

void engine_stream_stop(struct quic_stream *s, uint64_t code)
{
    IGNORE(ngtcp2_conn_shutdown_stream_read(s->c->engine->q, s->id, code));
}
