#include "mesh/mesh.h"

#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "mesh/state.h"

enum {
    HANDSHAKE_MS = 3000, /* and the pauses: so that who is back is found within two seconds */
    PAUSE_MIN_MS = 50,
    PAUSE_MAX_MS = 1000,
    CONNS_MAX = 8192,
};

void mesh_wake(struct mesh *m)
{
    if (m->driver.wake)
        m->driver.wake(m->driver.ctx);
}

void state_notice(struct mesh *m, struct state_notice *n, const struct quic_conn *c,
                  uint32_t number, const char *text)
{
    uint64_t now_ns = endpoint_now(m->e);
    n->count++;
    bool soon = n->told_ns > 0 && now_ns - n->told_ns < MESH_NOTICE_MS * UNITS_NS_PER_MS;
    if (soon || !m->config.notice)
        return;
    struct mesh_notice notice = {.number = number,
                                 .alpn = quic_conn_alpn(c),
                                 .from = *quic_conn_remote(c),
                                 .text = text,
                                 .count = n->count};
    *n = (struct state_notice){.told_ns = now_ns};
    m->config.notice(m->config.ctx, &notice);
}

/* --- connections that a protocol knows of --- */

static struct state_conn *conn_find(struct mesh *m, const struct quic_conn *c)
{
    struct list *all[] = {&m->guests, &m->conns};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        LIST_EACH(it, all[i]) {
            struct state_conn *k = CONTAINER_OF(it, struct state_conn, item);
            if (k->c == c)
                return k;
        }
    return NULL;
}

static struct state_conn *conn_add(struct mesh *m, bool guest, struct quic_conn *c, size_t protocol)
{
    struct state_conn *k = NEW(struct state_conn);
    uint64_t now_ns = endpoint_now(m->e);
    *k = (struct state_conn){.c = c,
                             .protocol = protocol,
                             .guest = guest,
                             .from = *quic_conn_remote(c),
                             .since_ns = now_ns,
                             .heard_ns = now_ns};
    list_push(guest ? &m->guests : &m->conns, &k->item);
    m->guest_count += guest;
    return k;
}

static void conn_take(struct mesh *m, struct state_conn *k)
{
    list_cut(&k->item);
    m->guest_count -= k->guest;
}

static void conns_done(struct list *all)
{
    LIST_EACH(it, all)
        free(CONTAINER_OF(it, struct state_conn, item));
}

/* --- guests --- */

static bool has_place(const struct mesh *m, const struct quic_conn *c)
{
    const struct quic_addr *from = quic_conn_remote(c);
    uint32_t of_one = 0;
    LIST_EACH(it, &m->guests) {
        const struct ip *ip = &CONTAINER_OF(it, struct state_conn, item)->from.ip;
        of_one += ip->family == from->ip.family && memcmp(ip->byte, from->ip.byte, 16) == 0;
    }
    return m->guest_count < MESH_GUESTS_MAX && of_one < MESH_GUESTS_OF_ONE_MAX;
}

static bool crowded(struct mesh *m, const struct quic_conn *c)
{
    if (has_place(m, c))
        return false;
    m->count.crowded++;
    state_notice(m, &m->crowded_notice, c, 0, "a stranger was turned away: there are too many");
    return true;
}

static uint64_t guest_end_ns(const struct state_conn *k)
{
    return MIN(k->heard_ns + MESH_GUEST_IDLE_MS * UNITS_NS_PER_MS,
               k->since_ns + MESH_GUEST_LIFE_MS * UNITS_NS_PER_MS);
}

static void guests_timer(struct mesh *m, uint64_t now_ns)
{
    LIST_EACH(it, &m->guests) {
        struct state_conn *k = CONTAINER_OF(it, struct state_conn, item);
        if (guest_end_ns(k) > now_ns || !quic_conn_open(k->c))
            continue;
        m->count.expired++;
        quic_conn_close(k->c, MESH_EXPIRED);
    }
}

static uint64_t guests_expiry(const struct mesh *m)
{
    uint64_t at_ns = UINT64_MAX;
    LIST_EACH(it, &m->guests) {
        const struct state_conn *k = CONTAINER_OF(it, struct state_conn, item);
        if (quic_conn_open(k->c))
            at_ns = MIN(at_ns, guest_end_ns(k));
    }
    return at_ns;
}

static void guest_heard(struct mesh *m, const struct quic_conn *c)
{
    LIST_EACH(it, &m->guests) {
        struct state_conn *k = CONTAINER_OF(it, struct state_conn, item);
        if (k->c == c)
            k->heard_ns = endpoint_now(m->e);
    }
}

/* --- events of the endpoint --- */

static void tell_time(struct mesh *m, size_t protocol, uint64_t now_ns)
{
    const struct mesh_protocol *p = m->protocol[protocol];
    if (!p->timer || m->timed_ns[protocol] == now_ns)
        return;
    m->timed_ns[protocol] = now_ns;
    p->timer(p->ctx, now_ns);
}

/* Whose event it is, after it was told the time. */
static const struct endpoint_events *events_of(struct mesh *m, size_t protocol)
{
    tell_time(m, protocol, endpoint_now(m->e));
    return m->protocol[protocol]->events;
}

static const struct endpoint_events *events_on(struct mesh *m, const struct quic_conn *c)
{
    return events_of(m, state_protocol(m, quic_conn_alpn(c)));
}

static bool on_admit(void *ctx, struct quic_conn *c, struct quic_grant *ret)
{
    struct mesh *m = ctx;
    const struct mesh_protocol *p = m->protocol[state_protocol(m, quic_conn_alpn(c))];
    *ret = p->grant;
    if (p->strangers) {
        ret->keep_alive_ms = 0;
        return !crowded(m, c);
    }
    if (state_peer_of(m, quic_conn_peer(c)))
        return true;
    m->count.strangers++;
    state_notice(m, &m->stranger_notice, c, 0, "a stranger was turned away");
    return false;
}

/* What was let in when the handshake began may be no peer any more, or one too many. */
static struct state_conn *let_in(struct mesh *m, struct quic_conn *c)
{
    size_t protocol = state_protocol(m, quic_conn_alpn(c));
    if (!m->protocol[protocol]->strangers) {
        if (quic_pool_find(m->pool, quic_conn_peer(c), m->alpn[protocol]))
            return conn_add(m, false, c, protocol);
        quic_conn_close(c, MESH_CUT);
    } else if (crowded(m, c)) {
        quic_conn_close(c, MESH_CROWDED);
    } else {
        return conn_add(m, true, c, protocol);
    }
    return NULL;
}

static void on_opened(void *ctx, struct quic_conn *c)
{
    struct mesh *m = ctx;
    struct state_conn *k = conn_find(m, c); /* that is there already: by mesh_dial() */
    if (!k)
        k = let_in(m, c);
    if (!k)
        return;
    const struct endpoint_events *ev = events_of(m, k->protocol);
    ev->opened(ev->ctx, c);
    if (m->protocol[k->protocol]->strangers)
        return;
    IGNORE(quic_pool_opened(m->pool, c, endpoint_now(m->e))); /* what it means is told by on_up */
}

static void on_closed(void *ctx, struct quic_conn *c, const struct quic_end *end)
{
    struct mesh *m = ctx;
    struct state_conn *k = conn_find(m, c);
    if (k) {
        conn_take(m, k);
        const struct endpoint_events *ev = events_of(m, k->protocol);
        ev->closed(ev->ctx, c, end);
        free(k);
    }
    IGNORE(quic_pool_closed(m->pool, c, end, endpoint_now(m->e))); /* likewise on_down */
}

static void on_moved(void *ctx, struct quic_conn *c)
{
    const struct endpoint_events *ev = events_on(ctx, c);
    ev->moved(ev->ctx, c);
}

static void on_stream_opened(void *ctx, struct quic_stream *s)
{
    const struct endpoint_events *ev = events_on(ctx, quic_stream_conn(s));
    ev->stream_opened(ev->ctx, s);
}

static void on_stream_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    struct mesh *m = ctx;
    const struct endpoint_events *ev = events_on(m, quic_stream_conn(s));
    guest_heard(m, quic_stream_conn(s));
    ev->stream_data(ev->ctx, s, bytes, fin);
}

static void on_stream_room(void *ctx, struct quic_stream *s)
{
    const struct endpoint_events *ev = events_on(ctx, quic_stream_conn(s));
    ev->stream_room(ev->ctx, s);
}

static void on_stream_reset(void *ctx, struct quic_stream *s, uint64_t code)
{
    const struct endpoint_events *ev = events_on(ctx, quic_stream_conn(s));
    ev->stream_reset(ev->ctx, s, code);
}

static void on_stream_stopped(void *ctx, struct quic_stream *s)
{
    const struct endpoint_events *ev = events_on(ctx, quic_stream_conn(s));
    ev->stream_stopped(ev->ctx, s);
}

static void on_stream_closed(void *ctx, struct quic_stream *s)
{
    const struct endpoint_events *ev = events_on(ctx, quic_stream_conn(s));
    ev->stream_closed(ev->ctx, s);
}

/* --- events of the pool --- */

static void on_up(void *ctx, struct quic_link *l)
{
    struct mesh *m = ctx;
    const struct state_link *k = quic_link_ctx(l);
    const struct mesh_protocol *p = m->protocol[k->protocol];
    if (p->up)
        p->up(p->ctx, k->peer->is.number, quic_link_conn(l));
}

static void on_down(void *ctx, struct quic_link *l, const struct quic_end *end)
{
    struct mesh *m = ctx;
    const struct state_link *k = quic_link_ctx(l);
    const struct mesh_protocol *p = m->protocol[k->protocol];
    tell_time(m, k->protocol, endpoint_now(m->e));
    if (p->down)
        p->down(p->ctx, k->peer->is.number, end);
}

/* --- time --- */

void mesh_timer(struct mesh *m, uint64_t now_ns)
{
    quic_pool_timer(m->pool, now_ns);
    guests_timer(m, now_ns);
    for (size_t i = 0; i < m->protocol_count; i++)
        if (m->protocol[i]->expiry && m->protocol[i]->expiry(m->protocol[i]->ctx) <= now_ns) {
            m->timed_ns[i] = now_ns;
            m->protocol[i]->timer(m->protocol[i]->ctx, now_ns);
        }
}

uint64_t mesh_expiry(const struct mesh *m)
{
    uint64_t at_ns = MIN(quic_pool_expiry(m->pool), guests_expiry(m));
    for (size_t i = 0; i < m->protocol_count; i++)
        if (m->protocol[i]->expiry)
            at_ns = MIN(at_ns, m->protocol[i]->expiry(m->protocol[i]->ctx));
    return at_ns;
}

/* --- life --- */

static void init_protocols(struct mesh *m)
{
    m->protocol[STATE_RAFT] = &m->raft;
    for (size_t i = 0; i < m->config.protocol_count; i++)
        m->protocol[i + 1] = &m->config.protocols[i];
    m->protocol_count = m->config.protocol_count + 1;
    for (size_t i = 0; i < m->protocol_count; i++) {
        require(!m->protocol[i]->expiry == !m->protocol[i]->timer);
        m->alpn[i] = m->protocol[i]->alpn;
    }
}

static void init_events(struct mesh *m)
{
    m->events = (struct endpoint_events){on_admit,
                                         on_opened,
                                         on_closed,
                                         on_moved,
                                         on_stream_opened,
                                         on_stream_data,
                                         on_stream_room,
                                         on_stream_reset,
                                         on_stream_stopped,
                                         on_stream_closed,
                                         m};
    m->pool_events = (struct quic_pool_events){on_up, on_down, m};
}

static enum status new_endpoint(struct mesh *m, struct fault *why)
{
    struct endpoint_config c;
    endpoint_config_init(&c);
    c.key = m->config.key;
    c.entropy = m->config.entropy;
    c.alpns = m->alpn;
    c.alpn_count = m->protocol_count;
    c.idle_ms = MESH_IDLE_MS;
    c.handshake_ms = HANDSHAKE_MS;
    c.conns_max = CONNS_MAX;
    c.stream_send_max = MESH_QUEUE_MAX;
    return endpoint_new(&c, &m->events, &m->driver, &m->e, why);
}

static void new_pool(struct mesh *m)
{
    struct quic_pool_config c;
    quic_pool_config_init(&c);
    c.e = m->e;
    c.self = m->self;
    c.seed = m->config.seed;
    c.pause_min_ms = PAUSE_MIN_MS;
    c.pause_max_ms = PAUSE_MAX_MS;
    c.links_max = MESH_PEERS_MAX * STATE_PROTOCOLS_MAX;
    m->pool = quic_pool_new(&c, &m->pool_events);
}

enum status mesh_new(const struct mesh_config *c, const struct endpoint_driver *driver,
                     struct mesh **ret, struct fault *why)
{
    require(c->received && c->protocol_count <= MESH_PROTOCOLS_MAX);
    struct mesh *m = NEW(struct mesh);
    m->config = *c;
    m->driver = *driver;
    memcpy(m->self, c->key->public, KEY_PUBLIC_SIZE);
    list_init(&m->conns);
    list_init(&m->guests);
    state_messages_init(m);
    init_protocols(m);
    init_events(m);
    enum status s = new_endpoint(m, why);
    if (s != ST_OK) {
        free(m);
        return s;
    }
    m->config.key = NULL;
    new_pool(m);
    *ret = m;
    return ST_OK;
}

void mesh_free(struct mesh *m)
{
    if (!m)
        return;
    udp_close(m->udp);
    quic_pool_free(m->pool);
    endpoint_free(m->e);
    state_messages_done(m);
    conns_done(&m->conns);
    conns_done(&m->guests);
    state_table_done(m);
    free(m);
}

struct endpoint *mesh_endpoint(struct mesh *m)
{
    return m->e;
}

struct peers *mesh_peers(struct mesh *m)
{
    return &m->port;
}

void mesh_leave(struct mesh *m, uint64_t now_ns)
{
    endpoint_close_all(m->e, 0);
    mesh_set_peers(m, NULL, 0, now_ns);
    endpoint_flush(m->e, now_ns);
}

enum status mesh_dial(struct mesh *m, const char *alpn, const uint8_t key[KEY_PUBLIC_SIZE],
                      const struct quic_addr *remote, void *ctx, uint64_t now_ns,
                      struct quic_conn **ret, struct fault *why)
{
    static const struct quic_addr any;
    size_t protocol = state_protocol(m, alpn);
    require(protocol < m->protocol_count && m->protocol[protocol]->strangers);
    enum status s = endpoint_dial(m->e, key, &m->alpn[protocol], 1, &any, remote,
                                  &m->protocol[protocol]->grant, ctx, now_ns, ret, why);
    if (s == ST_OK)
        IGNORE(conn_add(m, false, *ret, protocol)); /* it is in the list */
    return s;
}

struct mesh_view mesh_view(const struct mesh *m)
{
    struct mesh_view v = m->count;
    v.endpoint = endpoint_view(m->e);
    v.peers = (uint32_t)m->peer_count;
    v.guests = m->guest_count;
    return v;
}
