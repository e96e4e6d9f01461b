/* A mesh on a socket and an event loop. */
#include "mesh/state.h"

static uint64_t expiry(void *ctx)
{
    return mesh_expiry(ctx);
}

static void timer(void *ctx, uint64_t now_ns)
{
    mesh_timer(ctx, now_ns);
}

enum status mesh_open(struct loop *l, const struct quic_addr *bind, const struct mesh_config *c,
                      struct mesh **ret, struct fault *why)
{
    struct udp *u;
    struct mesh *m;
    enum status s = udp_open(l, bind, &u, why);
    if (s != ST_OK)
        return s;
    struct endpoint_driver driver = udp_driver(u);
    s = mesh_new(c, &driver, &m, why);
    if (s != ST_OK) {
        udp_close(u);
        return s;
    }
    m->udp = u;
    udp_also(u, &(struct udp_also){expiry, timer, m});
    s = udp_start(u, m->e, why);
    if (s != ST_OK) {
        mesh_free(m);
        return s;
    }
    *ret = m;
    return ST_OK;
}

struct quic_addr mesh_addr(const struct mesh *m)
{
    require(m->udp);
    return udp_addr(m->udp);
}
