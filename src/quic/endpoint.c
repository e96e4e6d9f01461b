#include "quic/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "crypto/digest.h"
#include "quic/engine.h"

enum {
    IDLE_MS = 30000,
    HANDSHAKE_MS = 5000,
    CONNS_MAX = 1024,
    HALF_OPEN_MAX = 256,
    RETRY_ABOVE = 64,
    HANDSHAKES_PER_S = 100,
    STREAMS_MAX = 256,
    STREAM_WINDOW = 4 << 20,
    STREAM_SEND_MAX = 4 << 20,
    CONN_SEND_MAX = 16 << 20,
    LINGER_PTOS = 3, /* RFC 9000 section 10.2 */
    AMPLIFY_MAX = 3, /* section 8.1 */
    RESET_TOKEN_SIZE = 16,
    ANSWER_MAX = 600, /* an offer of versions to the longest ids that there are */
};

void endpoint_config_init(struct endpoint_config *c)
{
    *c = (struct endpoint_config){
        .idle_ms = IDLE_MS,
        .handshake_ms = HANDSHAKE_MS,
        .conns_max = CONNS_MAX,
        .half_open_max = HALF_OPEN_MAX,
        .retry_above = RETRY_ABOVE,
        .handshakes_per_s = HANDSHAKES_PER_S,
        .streams_max = STREAMS_MAX,
        .stream_window = STREAM_WINDOW,
        .stream_send_max = STREAM_SEND_MAX,
        .conn_send_max = CONN_SEND_MAX,
    };
}

static bool no_admit(void *ctx, struct quic_conn *c, struct quic_grant *ret)
{
    (void)ctx, (void)c, (void)ret;
    return false;
}

static void no_conn(void *ctx, struct quic_conn *c)
{
    (void)ctx, (void)c;
}

static void no_end(void *ctx, struct quic_conn *c, const struct quic_end *end)
{
    (void)ctx, (void)c, (void)end;
}

static void no_stream(void *ctx, struct quic_stream *s)
{
    (void)ctx, (void)s;
}

static void no_data(void *ctx, struct quic_stream *s, struct str bytes, bool fin)
{
    (void)ctx, (void)s, (void)bytes, (void)fin;
}

static void no_code(void *ctx, struct quic_stream *s, uint64_t code)
{
    (void)ctx, (void)s, (void)code;
}

void endpoint_events_init(struct endpoint_events *ev)
{
    *ev = (struct endpoint_events){.admit = no_admit,
                                   .opened = no_conn,
                                   .closed = no_end,
                                   .moved = no_conn,
                                   .stream_opened = no_stream,
                                   .stream_data = no_data,
                                   .stream_room = no_stream,
                                   .stream_reset = no_code,
                                   .stream_stopped = no_stream,
                                   .stream_closed = no_stream};
}

/* The secret of stateless resets must be the same after a restart: what a restarted node has forgotten
 * it can then tell at once. */
static void reset_secret(const struct key *k, uint8_t out[STATE_SECRET_SIZE])
{
    static const char label[] = "blixard quic stateless reset 1";
    struct digest d;
    _Static_assert((int)DIGEST_SIZE == (int)STATE_SECRET_SIZE, "");
    digest_init(&d);
    digest_add(&d, label, sizeof label);
    digest_add(&d, k->seed.ptr, k->seed.len);
    digest_end(&d, out);
}

enum status endpoint_new(const struct endpoint_config *c, const struct endpoint_events *events,
                         const struct endpoint_driver *driver, struct endpoint **ret,
                         struct fault *why)
{
    require(c->key && c->entropy && c->alpn_count <= ENDPOINT_ALPNS_MAX);
    require(c->conn_send_max >= c->stream_send_max);
    struct tls *tls;
    enum status s = tls_new(c->key, engine_on_key, &tls, why);
    if (s != ST_OK)
        return s;
    struct endpoint *e = NEW(struct endpoint);
    uint8_t key[16];
    e->config = *c;
    e->config.key = NULL;
    e->events = events;
    e->driver = *driver;
    e->tls = tls;
    reset_secret(c->key, e->reset_secret);
    state_random(e, e->token_secret, sizeof e->token_secret);
    state_random(e, key, sizeof key);
    cid_map_init(&e->ids, key);
    state_random(e, key, sizeof key);
    cid_map_init(&e->tokens, key);
    state_random(e, key, sizeof key);
    e->gate.half_open_max = c->half_open_max;
    e->gate.retry_above = c->retry_above;
    e->gate.per_source_s = c->handshakes_per_s;
    gate_init(&e->gate, key);
    heap_init(&e->due);
    list_init(&e->conns);
    list_init(&e->dirty);
    *ret = e;
    return ST_OK;
}

/* --- connections come and go --- */

void conn_dirty(struct quic_conn *c)
{
    struct endpoint *e = c->e;
    if (c->phase == CONN_ENDING || !list_empty(&c->dirty))
        return;
    bool first = list_empty(&e->dirty);
    list_push(&e->dirty, &c->dirty);
    if (first && !e->busy && e->driver.wake)
        e->driver.wake(e->driver.ctx);
}

static struct quic_conn *conn_new(struct endpoint *e, bool dialed, const struct quic_addr *local,
                                  const struct quic_addr *remote)
{
    struct quic_conn *c = NEW(struct quic_conn);
    c->e = e;
    c->dialed = dialed;
    c->any_local = local->ip.family == 0;
    c->remote = *remote;
    list_init(&c->dirty);
    list_init(&c->ids);
    list_init(&c->tokens);
    list_init(&c->streams);
    list_init(&c->ready);
    list_init(&c->hungry);
    list_push(&e->conns, &c->item);
    e->conn_count++;
    e->half_open += !dialed;
    return c;
}

static void conn_free(struct quic_conn *c)
{
    struct endpoint *e = c->e;
    cid_take_all(&e->ids, &c->ids);
    cid_take_all(&e->tokens, &c->tokens);
    heap_cut(&e->due, &c->due);
    list_cut(&c->dirty);
    list_cut(&c->item);
    e->conn_count--;
    e->half_open -= !c->dialed && c->phase == CONN_HANDSHAKE;
    e->ending -= c->phase == CONN_ENDING;
    if (c->engine)
        engine_free(c->engine);
    free(c->last);
    free(c);
}

void conn_opened(struct quic_conn *c)
{
    struct endpoint *e = c->e;
    c->phase = CONN_OPEN;
    e->half_open -= !c->dialed;
    e->count.opened++;
    e->events->opened(e->events->ctx, c);
}

/* Tell the peer, and keep the packet: it is said again to a peer that has not heard it. */
static void say_close(struct quic_conn *c, const struct conn_over *o)
{
    struct endpoint *e = c->e;
    uint8_t packet[ENDPOINT_DATAGRAM_MAX];
    struct quic_batch b;
    if (!engine_close(c, o, e->now_ns, packet, sizeof packet, &b))
        return;
    c->last = mem_dup(packet, b.len);
    c->last_len = b.len;
    e->count.datagrams_out++;
    IGNORE(e->driver.send(e->driver.ctx, &b)); /* full: it is lost, as datagrams are */
}

static void tell_closed(struct quic_conn *c, const struct conn_over *o, bool was_open)
{
    struct endpoint *e = c->e;
    char addr[QUIC_ADDR_TEXT_MAX], text[FAULT_TEXT_MAX];
    if (!was_open)
        e->count.failed++;
    if (!was_open && !c->dialed)
        return;
    quic_addr_format(&c->remote, addr);
    (void)snprintf(text, sizeof text, "QUIC with %s: %s", addr, o->text);
    struct quic_end end = {.status = o->status,
                           .by_peer = o->by_peer,
                           .opened = was_open,
                           .code = o->code,
                           .text = text};
    e->events->closed(e->events->ctx, c, &end);
}

static void conn_end(struct quic_conn *c, const struct conn_over *o)
{
    struct endpoint *e = c->e;
    bool was_open = c->phase == CONN_OPEN;
    uint64_t until_ns = e->now_ns + LINGER_PTOS * engine_pto_ns(c);
    if (o->say)
        say_close(c, o);
    e->half_open -= !c->dialed && !was_open;
    e->ending++;
    c->phase = CONN_ENDING;
    list_cut(&c->dirty);
    LIST_EACH(it, &c->streams)
        conn_stream_free(CONTAINER_OF(it, struct quic_stream, item));
    tell_closed(c, o, was_open);
    engine_free(c->engine);
    c->engine = NULL;
    cid_take_all(&e->tokens, &c->tokens);
    if (o->linger)
        heap_put(&e->due, &c->due, until_ns);
    else
        conn_free(c);
}

void endpoint_free(struct endpoint *e)
{
    if (!e)
        return;
    struct endpoint_events silent;
    endpoint_events_init(&silent);
    e->events = &silent;
    LIST_EACH(it, &e->conns) {
        struct quic_conn *c = CONTAINER_OF(it, struct quic_conn, item);
        LIST_EACH(s, &c->streams)
            conn_stream_free(CONTAINER_OF(s, struct quic_stream, item));
        conn_free(c);
    }
    ensure(e->ids.count == 0 && e->tokens.count == 0 && e->half_open == 0 && e->ending == 0);
    heap_done(&e->due);
    sendq_pool_done(&e->pool);
    tls_free(e->tls);
    secret_wipe(e->reset_secret, sizeof e->reset_secret);
    secret_wipe(e->token_secret, sizeof e->token_secret);
    free(e);
}

/* --- what arrives --- */

/* An event may look at the clock after we did: then our time is that, and does not go back. */
static void at(struct endpoint *e, uint64_t now_ns)
{
    require(now_ns > 0);
    e->now_ns = MAX(e->now_ns, now_ns);
}

/* What every answer to a stranger ends with. */
static void answer(struct endpoint *e, const struct quic_addr *local,
                   const struct quic_addr *remote, const uint8_t *packet, size_t len)
{
    if (len == 0)
        return;
    struct quic_batch b = {
        .local = *local, .remote = *remote, .data = packet, .len = len, .size = len};
    e->count.datagrams_out++;
    IGNORE(e->driver.send(e->driver.ctx, &b)); /* full: it is lost, as datagrams are */
}

/* Somebody goes on with a connection that has ended: say so again, less and less often. */
static void heard_ending(struct quic_conn *c, const struct quic_addr *local, size_t len)
{
    c->heard_count++;
    bool power_of_two = (c->heard_count & (c->heard_count - 1)) == 0;
    if (c->last && power_of_two && c->last_len <= AMPLIFY_MAX * len)
        answer(c->e, local, &c->remote, c->last, c->last_len);
}

/* Streams that were refused a write and now have room for it, and for some more. Each is taken out before it
 * is told, since the application may then cut off any other. */
static void feed(struct quic_conn *c)
{
    struct endpoint *e = c->e;
    struct list asking;
    list_init(&asking);
    LIST_EACH(it, &c->hungry) {
        list_cut(it);
        list_push(&asking, it);
    }
    while (!list_empty(&asking)) {
        struct quic_stream *s = CONTAINER_OF(asking.next, struct quic_stream, hungry);
        list_cut(&s->hungry);
        bool fed = quic_stream_room(s) >= s->wanted &&
                   sendq_held(&s->out) <= e->config.stream_send_max / 2;
        if (fed)
            e->events->stream_room(e->events->ctx, s);
        else
            list_push(&c->hungry, &s->hungry);
    }
}

static void conn_input(struct quic_conn *c, const struct quic_addr *local,
                       const struct quic_addr *remote, uint8_t ecn, struct str datagram)
{
    struct conn_over o;
    if (c->phase == CONN_ENDING)
        heard_ending(c, local, datagram.len);
    else if (c->close_wanted)
        return;
    else if (!engine_read(c, local, remote, ecn, datagram, c->e->now_ns, &o))
        conn_end(c, &o);
    else {
        feed(c);
        conn_dirty(c);
    }
}

/* Those that have ended stay only as long as nobody needs their place. */
static bool has_room(struct endpoint *e)
{
    if (e->conn_count < e->config.conns_max)
        return true;
    LIST_EACH(it, &e->conns) {
        struct quic_conn *c = CONTAINER_OF(it, struct quic_conn, item);
        if (c->phase == CONN_ENDING && !c->engine) { /* not while that is being told */
            conn_free(c);
            return true;
        }
    }
    return false;
}

static struct quic_conn *accept_new(struct endpoint *e, const struct engine_first *f,
                                    const struct quic_addr *local, const struct quic_addr *remote)
{
    struct quic_conn *c = conn_new(e, false, local, remote);
    if (engine_accept(c, f, local, e->now_ns, NULL) != ST_OK) {
        e->count.failed++;
        conn_free(c);
        return NULL;
    }
    e->count.accepted++;
    return c;
}

/* Somebody wants to begin a connection, perhaps. */
static void input_first(struct endpoint *e, const struct quic_addr *local,
                        const struct quic_addr *remote, uint8_t ecn, struct str datagram)
{
    struct engine_first f;
    uint8_t packet[ANSWER_MAX];
    if (e->config.alpn_count == 0 || !engine_first(datagram, &f)) {
        e->count.strangers++;
        return;
    }
    if (f.token.len > 0 && !engine_token(e, &f, remote, e->now_ns)) {
        e->count.bad_tokens++;
        return;
    }
    enum gate_says says = gate_ask(&e->gate, remote, e->half_open, f.validated, e->now_ns);
    if (says == GATE_TAKE && !has_room(e))
        says = GATE_DROP;
    switch (says) {
    case GATE_DROP: e->count.crowded++; return;
    case GATE_RETRY:
        e->count.retries++;
        answer(e, local, remote, packet,
               engine_retry(e, &f, remote, e->now_ns, packet, sizeof packet));
        return;
    case GATE_TAKE: {
        struct quic_conn *c = accept_new(e, &f, local, remote);
        if (c)
            conn_input(c, local, remote, ecn, datagram);
        return;
    }
    }
}

/* A packet of a connection that we do not have: either it tells that the peer has none either, or we tell
 * it. */
static void input_lost(struct endpoint *e, const struct engine_head *h,
                       const struct quic_addr *local, const struct quic_addr *remote, uint8_t ecn,
                       struct str datagram)
{
    uint8_t packet[ANSWER_MAX];
    if (datagram.len > RESET_TOKEN_SIZE) {
        struct cid token =
            cid_from(datagram.ptr + datagram.len - RESET_TOKEN_SIZE, RESET_TOKEN_SIZE);
        struct list *owner = cid_find(&e->tokens, &token);
        if (owner) {
            conn_input(CONTAINER_OF(owner, struct quic_conn, tokens), local, remote, ecn, datagram);
            return;
        }
    }
    e->count.strangers++;
    if (!gate_answer(&e->gate, e->now_ns))
        return;
    size_t len = engine_reset(e, h, datagram.len, packet, sizeof packet);
    e->count.resets_out += len > 0;
    answer(e, local, remote, packet, len);
}

static void input(struct endpoint *e, const struct quic_addr *local, const struct quic_addr *remote,
                  uint8_t ecn, struct str datagram)
{
    uint8_t packet[ANSWER_MAX];
    e->count.datagrams_in++;
    struct engine_head h = engine_peek(datagram);
    struct list *owner = NULL;
    if (h.kind == ENGINE_LONG || h.kind == ENGINE_SHORT) {
        struct cid id = cid_from(h.dcid.ptr, h.dcid.len);
        owner = cid_find(&e->ids, &id);
    }
    if (owner) {
        conn_input(CONTAINER_OF(owner, struct quic_conn, ids), local, remote, ecn, datagram);
        return;
    }
    switch (h.kind) {
    case ENGINE_GARBAGE: e->count.garbage++; return;
    case ENGINE_LONG: input_first(e, local, remote, ecn, datagram); return;
    case ENGINE_SHORT: input_lost(e, &h, local, remote, ecn, datagram); return;
    case ENGINE_OTHER_VERSION:
        if (!gate_answer(&e->gate, e->now_ns))
            return;
        e->count.versions++;
        answer(e, local, remote, packet, engine_versions(e, &h, packet, sizeof packet));
        return;
    }
}

void endpoint_input(struct endpoint *e, const struct quic_addr *local,
                    const struct quic_addr *remote, uint8_t ecn, struct str datagram,
                    uint64_t now_ns)
{
    at(e, now_ns);
    e->busy = true;
    input(e, local, remote, ecn, datagram);
    e->busy = false;
}

/* --- time, and what goes out --- */

void endpoint_timer(struct endpoint *e, uint64_t now_ns)
{
    struct conn_over o;
    at(e, now_ns);
    e->busy = true;
    while (heap_first_key(&e->due) <= e->now_ns) {
        struct quic_conn *c = CONTAINER_OF(heap_first(&e->due), struct quic_conn, due);
        heap_cut(&e->due, &c->due);
        if (c->phase == CONN_ENDING)
            conn_free(c);
        else if (c->close_wanted || engine_timer(c, e->now_ns, &o))
            conn_dirty(c); /* the flush sets its next time */
        else
            conn_end(c, &o);
    }
    e->busy = false;
}

void endpoint_flush(struct endpoint *e, uint64_t now_ns)
{
    enum engine_wrote w = ENGINE_WROTE;
    at(e, now_ns);
    e->busy = true;
    while (!list_empty(&e->dirty) && w != ENGINE_FULL) {
        struct quic_conn *c = CONTAINER_OF(e->dirty.next, struct quic_conn, dirty);
        struct conn_over o = {.status = c->close_code == 0 ? ST_OK : ST_CANCELLED,
                              .code = c->close_code,
                              .text = "closed here",
                              .say = true,
                              .linger = true};
        list_cut(&c->dirty);
        w = c->close_wanted ? ENGINE_OVER : engine_write(c, e->now_ns, &o);
        if (w == ENGINE_OVER) {
            conn_end(c, &o);
            continue;
        }
        /* What is due now it may do only once now has passed: with a clock that stands still in between
         * it would be asked for ever. */
        heap_put(&e->due, &c->due, MAX(engine_expiry(c, e->now_ns), e->now_ns + 1));
        if (w == ENGINE_FULL)
            conn_dirty(c);
    }
    e->busy = false;
}

uint64_t endpoint_expiry(const struct endpoint *e)
{
    return list_empty(&e->dirty) ? heap_first_key(&e->due) : 0;
}

uint64_t endpoint_now(const struct endpoint *e)
{
    return e->now_ns;
}

/* --- from our side --- */

enum status endpoint_dial(struct endpoint *e, const uint8_t peer[KEY_PUBLIC_SIZE],
                          const char *const *alpns, size_t alpn_count,
                          const struct quic_addr *local, const struct quic_addr *remote,
                          const struct quic_grant *grant, void *ctx, uint64_t now_ns,
                          struct quic_conn **ret, struct fault *why)
{
    require(remote->ip.family != 0);
    at(e, now_ns);
    if (!has_room(e))
        return fault_set(why, ST_LIMIT, "there are %" PRIu32 " connections already", e->conn_count);
    struct quic_conn *c = conn_new(e, true, local, remote);
    memcpy(c->peer, peer, KEY_PUBLIC_SIZE);
    c->grant = *grant;
    c->ctx = ctx;
    enum status s = engine_dial(c, alpns, alpn_count, local, e->now_ns, why);
    if (s != ST_OK) {
        conn_free(c);
        return s;
    }
    e->count.dialed++;
    conn_dirty(c);
    *ret = c;
    return ST_OK;
}

void endpoint_close_all(struct endpoint *e, uint64_t code)
{
    LIST_EACH(it, &e->conns)
        quic_conn_close(CONTAINER_OF(it, struct quic_conn, item), code);
}

struct endpoint_view endpoint_view(const struct endpoint *e)
{
    return (struct endpoint_view){
        .count = e->count, .conns = e->conn_count, .half_open = e->half_open, .ending = e->ending};
}
