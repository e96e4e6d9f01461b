/* Who the peers are, and the links with them. */
#include <stdlib.h>
#include <string.h>

#include "mesh/state.h"

/* --- looking up --- */

/* Where the peer of that number is, or would be. */
static size_t place_of(const struct mesh *m, uint32_t number)
{
    size_t low = 0, high = m->peer_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->peer[mid]->is.number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct peer *state_peer(const struct mesh *m, uint32_t number)
{
    size_t at = place_of(m, number);
    return at < m->peer_count && m->peer[at]->is.number == number ? m->peer[at] : NULL;
}

struct peer *state_peer_of(const struct mesh *m, const uint8_t key[KEY_PUBLIC_SIZE])
{
    for (size_t i = 0; i < m->peer_count; i++)
        if (memcmp(m->peer[i]->is.key, key, KEY_PUBLIC_SIZE) == 0)
            return m->peer[i];
    return NULL;
}

size_t state_protocol(const struct mesh *m, const char *alpn)
{
    size_t i = 0;
    while (i < m->protocol_count && strcmp(m->alpn[i], alpn) != 0)
        i++;
    return i;
}

uint32_t mesh_number(const struct mesh *m, const uint8_t key[KEY_PUBLIC_SIZE])
{
    const struct peer *p = state_peer_of(m, key);
    return p ? p->is.number : 0;
}

/* --- changing it --- */

static void add_link(struct mesh *m, struct peer *p, size_t protocol, uint64_t now_ns)
{
    struct state_link *k = &p->link[protocol];
    *k = (struct state_link){.peer = p, .protocol = protocol};
    if (m->protocol[protocol]->strangers)
        return;
    struct quic_want w = {.alpn = m->alpn[protocol],
                          .grant = m->protocol[protocol]->grant,
                          .keep = protocol == STATE_RAFT,
                          .addrs = p->is.addrs,
                          .addr_count = p->is.addr_count,
                          .ctx = k};
    memcpy(w.peer, p->is.key, KEY_PUBLIC_SIZE);
    ensure(quic_pool_want(m->pool, &w, now_ns, &k->link, NULL) == ST_OK);
}

static void add(struct mesh *m, const struct mesh_peer *is, uint64_t now_ns)
{
    struct peer *p = NEW(struct peer);
    size_t at = place_of(m, is->number);
    p->is = *is;
    m->peer = mem_grow(m->peer, m->peer_count + 1, sizeof *m->peer);
    memmove(m->peer + at + 1, m->peer + at, (m->peer_count - at) * sizeof *m->peer);
    m->peer[at] = p;
    m->peer_count++;
    for (size_t i = 0; i < m->protocol_count; i++)
        add_link(m, p, i, now_ns);
}

static void cut_conns(struct list *all, const uint8_t key[KEY_PUBLIC_SIZE])
{
    LIST_EACH(it, all) {
        struct quic_conn *c = CONTAINER_OF(it, struct state_conn, item)->c;
        if (memcmp(quic_conn_peer(c), key, KEY_PUBLIC_SIZE) == 0)
            quic_conn_close(c, MESH_CUT);
    }
}

static void cut(struct mesh *m, size_t at)
{
    struct peer *p = m->peer[at];
    cut_conns(&m->conns, p->is.key);
    cut_conns(&m->guests, p->is.key);
    for (size_t i = 0; i < m->protocol_count; i++)
        if (p->link[i].link)
            quic_pool_drop(m->pool, p->link[i].link);
    m->peer_count--;
    memmove(m->peer + at, m->peer + at + 1, (m->peer_count - at) * sizeof *m->peer);
    free(p);
}

static bool same_addrs(const struct mesh_peer *a, const struct mesh_peer *b)
{
    if (a->addr_count != b->addr_count)
        return false;
    for (size_t i = 0; i < a->addr_count; i++)
        if (!quic_addr_eq(&a->addrs[i], &b->addrs[i]))
            return false;
    return true;
}

static void move(struct mesh *m, struct peer *p, const struct mesh_peer *to, uint64_t now_ns)
{
    if (same_addrs(&p->is, to))
        return;
    p->is = *to;
    for (size_t i = 0; i < m->protocol_count; i++)
        if (p->link[i].link)
            quic_link_move(p->link[i].link, to->addrs, to->addr_count, now_ns);
}

static bool is_same(const struct mesh_peer *a, const struct mesh_peer *b)
{
    return a->number == b->number && memcmp(a->key, b->key, KEY_PUBLIC_SIZE) == 0;
}

static bool is_in(const struct mesh_peer *list, size_t count, const struct mesh_peer *p)
{
    for (size_t i = 0; i < count; i++)
        if (is_same(&list[i], p))
            return true;
    return false;
}

static bool may_be_peer(const struct mesh *m, const struct mesh_peer *p)
{
    return p->number > 0 && memcmp(p->key, m->self, KEY_PUBLIC_SIZE) != 0;
}

/* Without addresses that lead nowhere. */
static struct mesh_peer usable_of(const struct mesh_peer *p)
{
    struct mesh_peer u = *p;
    u.addr_count = 0;
    for (size_t i = 0; i < MIN(p->addr_count, (size_t)QUIC_POOL_ADDRS_MAX); i++)
        if (p->addrs[i].ip.family != 0 && p->addrs[i].port != 0)
            u.addrs[u.addr_count++] = p->addrs[i];
    return u;
}

/* Whoever goes makes room for who comes, with its number or its key, so they go first. */
void mesh_set_peers(struct mesh *m, const struct mesh_peer *list, size_t count, uint64_t now_ns)
{
    require(count <= MESH_PEERS_MAX);
    for (size_t i = m->peer_count; i-- > 0;)
        if (!is_in(list, count, &m->peer[i]->is))
            cut(m, i);
    for (size_t i = 0; i < count; i++) {
        struct mesh_peer is = usable_of(&list[i]);
        struct peer *p = state_peer(m, is.number);
        if (p && is_same(&p->is, &is))
            move(m, p, &is, now_ns);
        else if (!p && may_be_peer(m, &is) && !state_peer_of(m, is.key))
            add(m, &is, now_ns);
    }
    mesh_wake(m);
}

void state_table_done(struct mesh *m)
{
    for (size_t i = 0; i < m->peer_count; i++)
        free(m->peer[i]);
    free(m->peer);
}

/* --- using it --- */

enum status mesh_conn(struct mesh *m, uint32_t number, const char *alpn, uint64_t now_ns,
                      struct quic_conn **ret, struct fault *why)
{
    struct peer *p = state_peer(m, number);
    size_t protocol = state_protocol(m, alpn);
    require(protocol < m->protocol_count && !m->protocol[protocol]->strangers);
    if (!p)
        return fault_set(why, ST_NOT_FOUND, "node %" PRIu32 " is no peer", number);
    struct quic_link *l = p->link[protocol].link;
    struct quic_conn *c = quic_link_conn(l);
    if (c && quic_conn_open(c)) {
        *ret = c;
        return ST_OK;
    }
    quic_link_wake(l, now_ns);
    mesh_wake(m);
    const char *text = quic_link_text(l);
    return fault_set(why, ST_UNAVAILABLE, "node %" PRIu32 " is not connected%s%s", number,
                     text[0] ? ": " : "", text);
}

static struct mesh_peer_view view_of(const struct peer *p)
{
    struct mesh_peer_view v = p->count;
    const struct quic_link *l = p->link[STATE_RAFT].link;
    const struct quic_conn *c = quic_link_conn(l);
    v.number = p->is.number;
    v.text = quic_link_text(l);
    v.connected = c && quic_conn_open(c);
    if (v.connected) {
        v.remote = *quic_conn_remote(c);
        v.rtt_ns = quic_conn_rtt_ns(c);
    }
    return v;
}

size_t mesh_peer_views(const struct mesh *m, struct mesh_peer_view *out, size_t max)
{
    for (size_t i = 0; i < MIN(m->peer_count, max); i++)
        out[i] = view_of(m->peer[i]);
    return m->peer_count;
}
