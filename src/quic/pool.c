#include "quic/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/rng.h"
#include "base/units.h"

enum {
    PAUSE_MIN_MS = 100,
    PAUSE_MAX_MS = 10000,
    LINKS_MAX = 1024,
    SPARES = 2,
    SETTLE_MS = 10000, /* connections that open within it were dialled at the same time, by both */
    SPARE_MS =
        1000, /* so long a connection stays that is used no more, and while it has streams: */
    SPARE_MAX_MS = 10000,
    TEXT_MAX = 160,
};

struct spare {
    struct quic_conn *c; /* NULL: none */
    uint64_t look_ns, end_ns;
};

struct quic_link {
    struct list item;
    struct quic_pool *p;
    struct quic_want want; /* its addrs are those here */
    struct quic_addr addr[QUIC_POOL_ADDRS_MAX];
    struct quic_conn *conn;   /* open, and used */
    struct quic_conn *dialed; /* not open yet */
    struct spare spare[SPARES];
    uint64_t since_ns; /* when conn was opened */
    bool asked;        /* by wake, and not told of yet */
    uint32_t failures; /* in a row */
    uint64_t next_ns;  /* no dial before */
    char text[TEXT_MAX];
};

struct quic_pool {
    struct quic_pool_config config;
    uint8_t self[KEY_PUBLIC_SIZE];
    const struct quic_pool_events *events;
    struct rng rng;
    struct list links;
    uint32_t link_count;
};

void quic_pool_config_init(struct quic_pool_config *c)
{
    *c = (struct quic_pool_config){
        .pause_min_ms = PAUSE_MIN_MS, .pause_max_ms = PAUSE_MAX_MS, .links_max = LINKS_MAX};
}

struct quic_pool *quic_pool_new(const struct quic_pool_config *c,
                                const struct quic_pool_events *events)
{
    require(c->pause_min_ms > 0 && c->pause_min_ms <= c->pause_max_ms);
    struct quic_pool *p = NEW(struct quic_pool);
    p->config = *c;
    memcpy(p->self, c->self, KEY_PUBLIC_SIZE);
    p->events = events;
    p->rng = (struct rng){c->seed};
    list_init(&p->links);
    return p;
}

void quic_pool_free(struct quic_pool *p)
{
    if (!p)
        return;
    LIST_EACH(it, &p->links)
        free(CONTAINER_OF(it, struct quic_link, item));
    free(p);
}

/* --- dialling --- */

/* So long after the last failure; the first time only so long that two nodes that lost each other do not dial
 * at the same instant. */
static uint64_t pause_ns(struct quic_link *l)
{
    const struct quic_pool_config *c = &l->p->config;
    uint64_t longest = l->failures < 32 ? c->pause_min_ms << l->failures : c->pause_max_ms;
    uint64_t ns = MIN(longest, c->pause_max_ms) * UNITS_NS_PER_MS, half = ns / 2;
    uint64_t jitter = rng_below(&l->p->rng, half + 1);
    return l->failures == 0 ? jitter : half + jitter;
}

static bool wants_dial(const struct quic_link *l)
{
    return !l->conn && !l->dialed && l->want.addr_count > 0 && (l->want.keep || l->asked);
}

static void set_text(struct quic_link *l, const char *text)
{
    (void)snprintf(l->text, sizeof l->text, "%.*s", TEXT_MAX - 1, text);
}

static void dial(struct quic_link *l, uint64_t now_ns)
{
    static const struct quic_addr any;
    struct fault why;
    const struct quic_addr *to = &l->addr[l->failures % l->want.addr_count];
    if (endpoint_dial(l->p->config.e, l->want.peer, &l->want.alpn, 1, &any, to, &l->want.grant,
                      NULL, now_ns, &l->dialed, &why) == ST_OK)
        return;
    set_text(l, why.text);
    l->failures++;
    l->next_ns = now_ns + pause_ns(l);
}

static void dial_failed(struct quic_link *l, const struct quic_end *end, uint64_t now_ns)
{
    l->dialed = NULL;
    if (l->conn)
        return; /* the peer was quicker */
    set_text(l, end->text);
    l->failures++;
    l->next_ns = now_ns + pause_ns(l);
    bool all_tried = l->failures % MAX(l->want.addr_count, 1) == 0;
    if (!l->asked || !all_tried)
        return;
    l->asked = false;
    l->p->events->down(l->p->events->ctx, l, end);
}

/* --- which of two --- */

/* Put it aside: nobody uses it from now on, but what runs on it may end. */
static void put_aside(struct quic_link *l, struct quic_conn *c, uint64_t now_ns)
{
    struct spare *s = &l->spare[0];
    for (size_t i = 1; i < SPARES && s->c; i++)
        if (!l->spare[i].c || l->spare[i].look_ns < s->look_ns)
            s = &l->spare[i];
    if (s->c)
        quic_conn_close(s->c, QUIC_POOL_DOUBLE);
    *s = (struct spare){.c = c,
                        .look_ns = now_ns + SPARE_MS * UNITS_NS_PER_MS,
                        .end_ns = now_ns + SPARE_MAX_MS * UNITS_NS_PER_MS};
}

static bool we_are_lower(const struct quic_link *l)
{
    return memcmp(l->p->self, l->want.peer, KEY_PUBLIC_SIZE) < 0;
}

/* Did both nodes dial at the same time? Otherwise one of them has lost the connection that the other
 * still has. */
static bool together(const struct quic_link *l, const struct quic_conn *c, uint64_t now_ns)
{
    return now_ns - l->since_ns < SETTLE_MS * UNITS_NS_PER_MS &&
           quic_conn_dialed(c) != quic_conn_dialed(l->conn);
}

/* A dial of ours that is still under way goes on: the peer may use it already, and would lose it a moment
 * before it knows of this one. */
static void use(struct quic_link *l, struct quic_conn *c, uint64_t now_ns)
{
    l->conn = c;
    l->since_ns = now_ns;
    l->failures = 0;
    l->asked = false;
    l->text[0] = 0;
    l->p->events->up(l->p->events->ctx, l);
}

bool quic_pool_opened(struct quic_pool *p, struct quic_conn *c, uint64_t now_ns)
{
    struct quic_link *l = quic_pool_find(p, quic_conn_peer(c), quic_conn_alpn(c));
    if (!l)
        return false;
    if (c == l->dialed)
        l->dialed = NULL;
    if (!l->conn) {
        use(l, c, now_ns);
    } else if (!together(l, c, now_ns)) {
        quic_conn_close(l->conn, QUIC_POOL_DOUBLE);
        use(l, c, now_ns);
    } else if (quic_conn_dialed(c) == we_are_lower(l)) {
        put_aside(l, l->conn, now_ns);
        use(l, c, now_ns);
    } else {
        put_aside(l, c, now_ns);
    }
    return true;
}

/* --- ends --- */

/* One that was put aside, when the one that was kept instead of it is lost. */
static struct quic_conn *take_spare(struct quic_link *l)
{
    for (size_t i = 0; i < SPARES; i++) {
        struct quic_conn *c = l->spare[i].c;
        if (c && quic_conn_open(c)) {
            l->spare[i].c = NULL;
            return c;
        }
    }
    return NULL;
}

static void conn_lost(struct quic_link *l, const struct quic_end *end, uint64_t now_ns)
{
    l->conn = NULL;
    set_text(l, end->text);
    l->next_ns = now_ns + pause_ns(l);
    struct quic_conn *other = take_spare(l);
    if (other)
        use(l, other, now_ns);
    else
        l->p->events->down(l->p->events->ctx, l, end);
}

static bool is_spare(struct quic_link *l, const struct quic_conn *c)
{
    for (size_t i = 0; i < SPARES; i++)
        if (l->spare[i].c == c) {
            l->spare[i].c = NULL;
            return true;
        }
    return false;
}

bool quic_pool_closed(struct quic_pool *p, const struct quic_conn *c, const struct quic_end *end,
                      uint64_t now_ns)
{
    LIST_EACH(it, &p->links) {
        struct quic_link *l = CONTAINER_OF(it, struct quic_link, item);
        if (c == l->dialed)
            dial_failed(l, end, now_ns);
        else if (c == l->conn)
            conn_lost(l, end, now_ns);
        else if (!is_spare(l, c))
            continue;
        return true;
    }
    return false;
}

/* --- time --- */

static void look_at_spares(struct quic_link *l, uint64_t now_ns)
{
    for (size_t i = 0; i < SPARES; i++) {
        struct spare *s = &l->spare[i];
        if (!s->c || s->look_ns > now_ns)
            continue;
        if (quic_conn_streams(s->c) == 0 || s->end_ns <= now_ns) {
            quic_conn_close(s->c, QUIC_POOL_DOUBLE);
            s->look_ns = UINT64_MAX; /* `closed` takes it away */
        } else {
            s->look_ns = now_ns + SPARE_MS * UNITS_NS_PER_MS;
        }
    }
}

void quic_pool_timer(struct quic_pool *p, uint64_t now_ns)
{
    LIST_EACH(it, &p->links) {
        struct quic_link *l = CONTAINER_OF(it, struct quic_link, item);
        look_at_spares(l, now_ns);
        if (wants_dial(l) && l->next_ns <= now_ns)
            dial(l, now_ns);
    }
}

uint64_t quic_pool_expiry(const struct quic_pool *p)
{
    uint64_t at_ns = UINT64_MAX;
    LIST_EACH(it, &p->links) {
        const struct quic_link *l = CONTAINER_OF(it, struct quic_link, item);
        if (wants_dial(l))
            at_ns = MIN(at_ns, l->next_ns);
        for (size_t i = 0; i < SPARES; i++)
            if (l->spare[i].c)
                at_ns = MIN(at_ns, l->spare[i].look_ns);
    }
    return at_ns;
}

/* --- links --- */

struct quic_link *quic_pool_find(const struct quic_pool *p, const uint8_t peer[KEY_PUBLIC_SIZE],
                                 const char *alpn)
{
    LIST_EACH(it, &p->links) {
        struct quic_link *l = CONTAINER_OF(it, struct quic_link, item);
        if (memcmp(l->want.peer, peer, KEY_PUBLIC_SIZE) == 0 && strcmp(l->want.alpn, alpn) == 0)
            return l;
    }
    return NULL;
}

static void set_addrs(struct quic_link *l, const struct quic_addr *addrs, size_t count)
{
    require(count <= QUIC_POOL_ADDRS_MAX);
    for (size_t i = 0; i < count; i++)
        l->addr[i] = addrs[i];
    l->want.addrs = l->addr;
    l->want.addr_count = count;
}

enum status quic_pool_want(struct quic_pool *p, const struct quic_want *w, uint64_t now_ns,
                           struct quic_link **ret, struct fault *why)
{
    if (quic_pool_find(p, w->peer, w->alpn))
        return fault_set(why, ST_EXISTS, "there is a link with that node in %s", w->alpn);
    if (p->link_count >= p->config.links_max)
        return fault_set(why, ST_LIMIT, "there are %" PRIu32 " links already", p->link_count);
    struct quic_link *l = NEW(struct quic_link);
    l->p = p;
    l->want = *w;
    l->next_ns = now_ns;
    set_addrs(l, w->addrs, w->addr_count);
    list_push(&p->links, &l->item);
    p->link_count++;
    *ret = l;
    return ST_OK;
}

void quic_pool_drop(struct quic_pool *p, struct quic_link *l)
{
    if (l->conn)
        quic_conn_close(l->conn, QUIC_POOL_DROPPED);
    if (l->dialed)
        quic_conn_close(l->dialed, QUIC_POOL_DROPPED);
    for (size_t i = 0; i < SPARES; i++)
        if (l->spare[i].c)
            quic_conn_close(l->spare[i].c, QUIC_POOL_DROPPED);
    list_cut(&l->item);
    p->link_count--;
    free(l);
}

struct quic_conn *quic_link_conn(const struct quic_link *l)
{
    return l->conn;
}

void *quic_link_ctx(const struct quic_link *l)
{
    return l->want.ctx;
}

const char *quic_link_text(const struct quic_link *l)
{
    return l->text;
}

void quic_link_wake(struct quic_link *l, uint64_t now_ns)
{
    if (l->conn)
        return;
    l->asked = true;
    if (wants_dial(l) && l->next_ns <= now_ns)
        dial(l, now_ns);
}

/* A dial to where the node is not any more would be waited for. */
static void drop_dial(struct quic_link *l)
{
    for (size_t i = 0; i < l->want.addr_count; i++)
        if (!l->dialed || quic_addr_eq(&l->addr[i], quic_conn_remote(l->dialed)))
            return;
    if (l->dialed)
        quic_conn_close(l->dialed, QUIC_POOL_DROPPED);
    l->dialed = NULL;
}

void quic_link_move(struct quic_link *l, const struct quic_addr *addrs, size_t addr_count,
                    uint64_t now_ns)
{
    set_addrs(l, addrs, addr_count);
    drop_dial(l);
    l->failures = 0;
    l->next_ns = now_ns;
}
