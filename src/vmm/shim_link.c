#include "vmm/shim_link.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "os/file.h"
#include "vmm/sock.h"

struct shim_link {
    int fd;
    uint32_t last_id;
    const struct shim_link_events *ev;
    struct loop_source *io, *defer;
};

static void on_io(void *ctx, uint32_t events)
{
    struct shim_link *s = ctx;
    char data[SHIM_MESSAGE_MAX];
    struct shim_answer a;
    (void)events;
    ssize_t n = recv(s->fd, data, sizeof data, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || shim_get_answer((struct str){data, (size_t)n}, &a, NULL) != ST_OK)
        s->ev->closed(s->ev->ctx);
    else
        s->ev->told(s->ev->ctx, &a);
}

static void on_defer(void *ctx)
{
    struct shim_link *s = ctx;
    s->ev->closed(s->ev->ctx);
}

enum status shim_link_open(struct loop *l, int dir, const char *name,
                           const struct shim_link_events *ev, struct shim_link **ret,
                           struct fault *why)
{
    struct shim_link *s = NEW(struct shim_link);
    *s = (struct shim_link){.fd = -1, .ev = ev};
    enum status st = sock_connect(dir, name, SOCK_SEQPACKET, &s->fd, why);
    if (st == ST_OK)
        st = loop_io_open(l, s->fd, EPOLLIN, on_io, s, &s->io, why);
    if (st == ST_OK)
        st = loop_defer_open(l, on_defer, s, &s->defer, why);
    if (st != ST_OK) {
        shim_link_close(s);
        return st;
    }
    *ret = s;
    return ST_OK;
}

void shim_link_close(struct shim_link *s)
{
    if (!s)
        return;
    loop_source_close(s->io);
    loop_source_close(s->defer);
    close_fd(&s->fd);
    free(s);
}

bool shim_link_ask(struct shim_link *s, enum shim_type type, uint64_t value)
{
    struct shim_request r = {.type = (uint8_t)type, .id = ++s->last_id, .value = value};
    AUTO(buf_done) struct buf b;
    buf_init(&b, SHIM_REQUEST);
    shim_put_request(&b, &r);
    if (send(s->fd, b.ptr, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)b.len)
        return true;
    loop_defer_arm(s->defer);
    return false;
}
