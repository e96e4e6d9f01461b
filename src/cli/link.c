#include "cli/link.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/ip.h"
#include "cli/now.h"
#include "crypto/cert.h"
#include "os/file.h"
#include "os/net_tcp.h"
#include "os/net_unix.h"

enum { CONNECT_MS = 5000, HANDSHAKE_MS = 10000, AHEAD_MAX = 16 << 10 };

struct link {
    int fd;
    gnutls_session_t session; /* NULL: there is no TLS */
    gnutls_certificate_credentials_t credentials;
    const struct place *place; /* while it is opened */
    struct fault why;          /* the same: what the node's certificate is not */
    bool resend;               /* GnuTLS holds what it could not send */
    bool ended;
    size_t at, len; /* of what was deciphered ahead */
    char ahead[AHEAD_MAX];
};

/* --- what the node shows --- */

static int refuse_other_key(struct link *l, const char *shown)
{
    (void)fault_set(
        &l->why, ST_UNAUTHENTICATED,
        "%s shows the fingerprint %s, but %s is pinned: it is another node, or somebody "
        "stands in between",
        l->place->host, shown, l->place->fingerprint);
    fault_hint(&l->why, "compare with `blixard node show` there; if it is right, add the context "
                        "anew");
    return GNUTLS_E_CERTIFICATE_ERROR;
}

static int check_key(gnutls_session_t session)
{
    struct link *l = gnutls_session_get_ptr(session);
    char shown[DIGEST_TEXT_MAX];
    unsigned count = 0;
    const gnutls_datum_t *certs = gnutls_certificate_get_peers(session, &count);
    if (!certs || count == 0) {
        (void)fault_set(&l->why, ST_UNAUTHENTICATED, "%s shows no certificate", l->place->host);
        return GNUTLS_E_CERTIFICATE_ERROR;
    }
    if (cert_fingerprint(certs[0].data, certs[0].size, shown, &l->why) != ST_OK)
        return GNUTLS_E_CERTIFICATE_ERROR;
    return strcmp(shown, l->place->fingerprint) == 0 ? 0 : refuse_other_key(l, shown);
}

/* --- handshake --- */

static int prepare(struct link *l)
{
    const char *host = l->place->host;
    struct ip address;
    int code = gnutls_init(&l->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (code == 0)
        code = gnutls_priority_set_direct(l->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
    if (code == 0)
        code = gnutls_certificate_allocate_credentials(&l->credentials);
    if (code == 0)
        code = gnutls_credentials_set(l->session, GNUTLS_CRD_CERTIFICATE, l->credentials);
    if (code == 0 && !ip_parse(str_from(host), &address))
        code = gnutls_server_name_set(l->session, GNUTLS_NAME_DNS, host, strlen(host));
    if (code != 0)
        return code;
    gnutls_session_set_ptr(l->session, l);
    gnutls_session_set_verify_function(l->session, check_key);
    gnutls_transport_set_int(l->session, l->fd);
    return 0;
}

static enum status wait_for(const struct link *l, int stop_fd, uint64_t deadline_ms,
                            struct fault *why)
{
    short events = gnutls_record_get_direction(l->session) == 1 ? POLLOUT : POLLIN;
    struct pollfd p[] = {{.fd = l->fd, .events = events}, {.fd = stop_fd, .events = POLLIN}};
    int n;
    while ((n = poll(p, ARRAY_COUNT(p), now_until(deadline_ms))) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return fault_errno(why, errno, "wait for the node");
    if (p[1].revents)
        return fault_set(why, ST_CANCELLED, "interrupted");
    return n > 0 ? ST_OK : fault_set(why, ST_TIMEOUT, "the node did not answer in time");
}

static enum status shake(struct link *l, uint64_t deadline_ms, int stop_fd, struct fault *why)
{
    deadline_ms = MIN(deadline_ms, now_plus(HANDSHAKE_MS));
    int code = prepare(l);
    while (code == 0 && (code = gnutls_handshake(l->session)) != 0 &&
           !gnutls_error_is_fatal(code)) {
        enum status s = wait_for(l, stop_fd, deadline_ms, why);
        if (s != ST_OK)
            return s;
        code = 0;
    }
    if (code == 0)
        return ST_OK;
    if (l->why.status != ST_OK) {
        *why = l->why;
        return why->status;
    }
    (void)fault_set(why, ST_UNAVAILABLE, "port %u of %s does not speak TLS 1.3 as a node does: %s",
                    l->place->port, l->place->host, gnutls_strerror(code));
    fault_hint(why, "is it the port of `api.listen`?");
    return ST_UNAVAILABLE;
}

enum status link_open(const struct place *p, uint64_t deadline_ms, int stop_fd, struct link **ret,
                      struct fault *why)
{
    struct link *l = NEW(struct link);
    uint32_t connect_ms = (uint32_t)MAX(1, now_until(MIN(deadline_ms, now_plus(CONNECT_MS))));
    l->fd = -1;
    l->place = p;
    enum status s = p->socket ? net_unix_connect(p->socket, connect_ms, &l->fd, why)
                              : net_tcp_connect(p->host, p->port, connect_ms, &l->fd, why);
    if (s == ST_OK && !p->socket)
        s = shake(l, deadline_ms, stop_fd, why);
    l->place = NULL;
    if (s != ST_OK) {
        link_close(l);
        return s;
    }
    *ret = l;
    return ST_OK;
}

void link_close(struct link *l)
{
    if (!l)
        return;
    if (l->session) {
        (void)gnutls_bye(l->session, GNUTLS_SHUT_WR); /* if it does not go at once, so be it */
        gnutls_deinit(l->session);
    }
    if (l->credentials)
        gnutls_certificate_free_credentials(l->credentials);
    close_fd(&l->fd);
    free(l);
}

int link_fd(const struct link *l)
{
    return l->fd;
}

/* --- bytes --- */

static ssize_t failed(ssize_t code)
{
    errno = code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED ? EAGAIN : ECONNRESET;
    return -1;
}

/* Decipher what has come, if nothing is left of what came before. Returns as link_read(). */
static ssize_t fill(struct link *l)
{
    if (l->at < l->len || l->ended)
        return l->at < l->len ? 1 : 0;
    ssize_t n = gnutls_record_recv(l->session, l->ahead, sizeof l->ahead);
    if (n == GNUTLS_E_PREMATURE_TERMINATION)
        n = 0; /* the lengths of HTTP tell whether something is missing */
    if (n < 0)
        return failed(n);
    l->ended = n == 0;
    l->at = 0;
    l->len = (size_t)n;
    return n;
}

bool link_has_early(const struct link *l)
{
    return l->at < l->len || (l->session && gnutls_record_check_pending(l->session) > 0);
}

ssize_t link_read(struct link *l, void *out, size_t len)
{
    if (!l->session)
        return recv(l->fd, out, len, MSG_DONTWAIT);
    ssize_t n = fill(l);
    if (n <= 0)
        return n;
    size_t take = MIN(len, l->len - l->at);
    memcpy(out, l->ahead + l->at, take);
    l->at += take;
    return (ssize_t)take;
}

ssize_t link_write(struct link *l, const void *data, size_t len)
{
    if (!l->session)
        return send(l->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    ssize_t n = gnutls_record_send(l->session, l->resend ? NULL : data, l->resend ? 0 : len);
    l->resend = n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED;
    return n < 0 ? failed(n) : n;
}

bool link_heard(struct link *l)
{
    if (!l->session)
        return true;
    return fill(l) >= 0 || errno != EAGAIN;
}
