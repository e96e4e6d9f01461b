#include "quic/engine.h"

#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "quic/engine_own.h"

enum {
    DIAL_DCID_SIZE = 16,
    PACKET_VECS = 4,     /* of SENDQ_CHUNK each: more than a packet */
    INITIAL_RTT_MS = 50, /* until it is measured */
};

_Static_assert(CID_MAX == NGTCP2_MAX_CIDLEN, "");

struct cid engine_cid_of(const ngtcp2_cid *c)
{
    return cid_from(c->data, c->datalen);
}

ngtcp2_cid engine_cid_to(const struct cid *c)
{
    ngtcp2_cid r;
    ngtcp2_cid_init(&r, c->byte, c->len);
    return r;
}

ngtcp2_cid engine_cid_random(struct endpoint *e, size_t len)
{
    uint8_t byte[NGTCP2_MAX_CIDLEN];
    ngtcp2_cid r;
    state_random(e, byte, len);
    ngtcp2_cid_init(&r, byte, len);
    return r;
}

bool engine_reset_token(struct endpoint *e, const ngtcp2_cid *id, uint8_t *out)
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

void engine_path_read(const ngtcp2_path *p, struct quic_batch *b)
{
    static const uint8_t none[16];
    ensure(quic_addr_from_sys(p->local.addr, p->local.addrlen, &b->local));
    ensure(quic_addr_from_sys(p->remote.addr, p->remote.addrlen, &b->remote));
    if (memcmp(b->local.ip.byte, none, sizeof none) == 0)
        b->local = (struct quic_addr){0};
}

/* --- birth --- */

static ngtcp2_conn *conn_of(ngtcp2_crypto_conn_ref *ref)
{
    struct quic_conn *c = ref->user_data;
    return c->engine->q;
}

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
    ngtcp2_cid dcid = engine_cid_random(c->e, DIAL_DCID_SIZE),
               scid = engine_cid_random(c->e, STATE_CID_SIZE);
    settings(c->e, now_ns, &set, &params);
    path_init(&p, c, local, &c->remote);
    if (ngtcp2_conn_client_new(&g->q, &dcid, &scid, &p.path, NGTCP2_PROTO_VER_V1, &engine_callbacks,
                               &set, &params, NULL, c) != 0) {
        free(g);
        return fault_set(why, ST_INTERNAL, "QUIC cannot begin a connection");
    }
    enum status s = born(c, g, alpns, alpn_count, why);
    if (s != ST_OK)
        return s;
    struct cid ours = engine_cid_of(&scid);
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
    ngtcp2_cid dcid = engine_cid_to(&f->scid), scid = engine_cid_random(c->e, STATE_CID_SIZE);
    settings(c->e, now_ns, &set, &params);
    path_init(&p, c, local, &c->remote);
    params.original_dcid = engine_cid_to(&f->original);
    if (f->validated) {
        params.retry_scid = engine_cid_to(&f->dcid);
        params.retry_scid_present = 1;
        set.token = (ngtcp2_vec){(uint8_t *)(uintptr_t)f->token.ptr, f->token.len};
    }
    params.stateless_reset_token_present =
        engine_reset_token(c->e, &scid, params.stateless_reset_token) ? 1 : 0;
    if (ngtcp2_conn_server_new(&g->q, &dcid, &scid, &p.path, NGTCP2_PROTO_VER_V1, &engine_callbacks,
                               &set, &params, NULL, c) != 0) {
        free(g);
        return fault_set(why, ST_INTERNAL, "QUIC cannot take a connection");
    }
    enum status s = born(c, g, c->e->config.alpns, c->e->config.alpn_count, why);
    if (s != ST_OK)
        return s;
    /* Until it hears from us the client goes on with the id that it made up. */
    struct cid ours = engine_cid_of(&scid);
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
    *ret = engine_over(c, r);
    return false;
}

bool engine_timer(struct quic_conn *c, uint64_t now_ns, struct conn_over *ret)
{
    int r = ngtcp2_conn_handle_expiry(c->engine->q, now_ns);
    if (r == 0)
        return true;
    *ret = engine_over(c, r);
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
        if (list_empty(&c->ready))
            return ngtcp2_conn_writev_stream(c->engine->q, path, info, out, size, NULL,
                                             NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, now_ns);
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

static bool batch_send(struct endpoint *e, struct quic_batch *b)
{
    bool more = b->len == 0 || e->driver.send(e->driver.ctx, b);
    b->len = 0;
    return more;
}

/* A packet was written to e->tx, behind *b: it joins the batch, or begins the next. false: send had enough. */
static bool batch_add(struct endpoint *e, struct quic_batch *b, const struct quic_batch *packet)
{
    bool more = true;
    bool joins = b->len > 0 && packet->len <= b->size && packet->ecn == b->ecn &&
                 quic_addr_eq(&packet->remote, &b->remote) &&
                 quic_addr_eq(&packet->local, &b->local);
    e->count.datagrams_out++;
    if (joins) {
        b->len += packet->len;
    } else {
        const uint8_t *at = e->tx + b->len;
        more = batch_send(e, b);
        memmove(e->tx, at, packet->len);
        *b = *packet;
    }
    bool full = packet->len < b->size || b->len / b->size >= ENDPOINT_BATCH_MAX ||
                b->len + ENDPOINT_DATAGRAM_MAX >= STATE_TX_SIZE;
    return full ? batch_send(e, b) && more : more;
}

enum engine_wrote engine_write(struct quic_conn *c, uint64_t now_ns, struct conn_over *ret)
{
    struct endpoint *e = c->e;
    ngtcp2_conn *q = c->engine->q;
    size_t packet_max = MIN(ngtcp2_conn_get_max_tx_udp_payload_size(q), ENDPOINT_DATAGRAM_MAX);
    size_t quantum = ngtcp2_conn_get_send_quantum(q), total = 0;
    struct quic_batch b = {0};
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
        struct quic_batch packet = {
            .ecn = info.ecn & 3, .data = e->tx, .len = (size_t)n, .size = (size_t)n};
        engine_path_read(&ps.path, &packet);
        more = batch_add(e, &b, &packet);
        total += packet.len;
    }
    LIST_EACH(it, &blocked) {
        list_cut(it);
        list_push(&c->ready, it);
    }
    more = batch_send(e, &b) && more;
    if (n < 0) {
        *ret = engine_over(c, (int)n);
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
    /* It fails when the peer has ended the stream, and needs no credit for it. */
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
