#include "quic/engine_own.h"

enum {
    ALERT_NO_ALPN = 120,  /* RFC 7301 */
    CRYPTO_ERROR = 0x100, /* RFC 9001 section 4.8 */
};

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

struct conn_over engine_over(struct quic_conn *c, int error)
{
    struct conn_over o = {0};
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
    engine_path_read(&ps.path, ret);
    return true;
}
