#include "quic/engine_own.h"

enum { TOKEN_LIFE_S = 10 };

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
    *ret = (struct engine_first){.dcid = engine_cid_of(&hd.dcid),
                                 .scid = engine_cid_of(&hd.scid),
                                 .original = engine_cid_of(&hd.dcid),
                                 .token = {(const char *)hd.token.base, hd.token.len}};
    return true;
}

bool engine_token(struct endpoint *e, struct engine_first *f, const struct quic_addr *remote,
                  uint64_t now_ns)
{
    struct sockaddr_storage sa;
    socklen_t len = quic_addr_to_sys(remote, remote->ip.family, &sa);
    ngtcp2_cid original, dcid = engine_cid_to(&f->dcid);
    if (ngtcp2_crypto_verify_retry_token(&original, (const uint8_t *)f->token.ptr, f->token.len,
                                         e->token_secret, STATE_SECRET_SIZE, NGTCP2_PROTO_VER_V1,
                                         (struct sockaddr *)&sa, len, &dcid,
                                         TOKEN_LIFE_S * NGTCP2_SECONDS, now_ns) != 0)
        return false;
    f->original = engine_cid_of(&original);
    f->validated = true;
    return true;
}

size_t engine_retry(struct endpoint *e, const struct engine_first *f,
                    const struct quic_addr *remote, uint64_t now_ns, uint8_t *out, size_t size)
{
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
    struct sockaddr_storage sa;
    socklen_t len = quic_addr_to_sys(remote, remote->ip.family, &sa);
    ngtcp2_cid dcid = engine_cid_to(&f->dcid), scid = engine_cid_to(&f->scid),
               fresh = engine_cid_random(e, STATE_CID_SIZE);
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
    state_random(e, &unused, 1);
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
    state_random(e, noise, noise_len);
    if (!engine_reset_token(e, &id, token))
        return 0;
    ngtcp2_ssize n = ngtcp2_pkt_write_stateless_reset(out, size, token, noise, noise_len);
    return n > 0 ? (size_t)n : 0;
}
