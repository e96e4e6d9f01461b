/*
 * auth: who asks. On the unix socket that is known since the connection came; on the network each
 * request tells it by its token.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/units.h"
#include "crypto/token.h"
#include "http/server.h"
#include "wire/schema.h"

/* --- what stands in the request --- */

/* The token of "Authorization: Bearer TOKEN", or the empty view. */
static struct str bearer(const struct request *q)
{
    struct str token = request_header(q, "Authorization"), scheme;
    (void)str_cut(&token, ' ', &scheme);
    if (scheme.len != 6 || strncasecmp(scheme.ptr, "Bearer", 6) != 0)
        return STR("");
    return str_trim(token);
}

/* Addresses end in logs and histories: what is secret must not stand there (RFC 6750, 5.3). */
static bool token_in_address(const struct request *q)
{
    struct str rest = q->query, part, name;
    for (bool more = rest.len > 0; more;) {
        more = str_cut(&rest, '&', &part);
        (void)str_cut(&part, '=', &name);
        if (str_is(name, "access_token") || str_is(name, "token"))
            return true;
    }
    return request_header(q, "Authorization").len == 0 && strstr(q->uri, TOKEN_PREFIX);
}

/* --- refusing --- */

void auth_add_header(const struct request *q, unsigned http, struct MHD_Response *r)
{
    char text[128];
    if (!q->conn->h->config.cert || (http != 401 && http != 403))
        return;
    if (http == 403)
        (void)snprintf(text, sizeof text,
                       "Bearer realm=\"blixard\", error=\"insufficient_scope\", scope=\"%s\"",
                       schema_word(&pb__role__descriptor, (int)q->op->role));
    else
        (void)snprintf(text, sizeof text, "Bearer realm=\"blixard\"%s",
                       request_header(q, "Authorization").len ? ", error=\"invalid_token\"" : "");
    enum MHD_Result ok = MHD_add_response_header(r, "WWW-Authenticate", text);
    ensure(ok == MHD_YES);
}

static void refuse_for_now(struct request *q, uint64_t wait_ms)
{
    struct fault why;
    (void)fault_set(&why, ST_LIMIT, "too many requests from here had no good token");
    fault_hint(&why, "wait %" PRIu64 " s, then send a good one", (wait_ms + 999) / 1000);
    request_refuse(q, 429, &why);
    char seconds[24];
    (void)snprintf(seconds, sizeof seconds, "%" PRIu64, (wait_ms + 999) / 1000);
    enum MHD_Result ok = MHD_add_response_header(q->answer, "Retry-After", seconds);
    ensure(ok == MHD_YES);
}

static bool refuse_unknown(struct request *q)
{
    struct http *h = q->conn->h;
    struct fault why;
    (void)fault_set(&why, ST_UNAUTHENTICATED, "it is not known who asks");
    fault_hint(&why, "send Authorization: Bearer TOKEN; blixard token create makes one");
    h->view.unknown++;
    request_refuse(q, 401, &why);
    return false;
}

/* --- who asks --- */

static bool by_token(struct request *q)
{
    struct http *h = q->conn->h;
    struct fault why;
    uint64_t wait_ms = guard_wait_ms(h->guard, &q->conn->from, http_now_ms(h));
    if (wait_ms > 0) {
        refuse_for_now(q, wait_ms);
        return false;
    }
    if (token_in_address(q)) {
        (void)fault_set(&why, ST_INVALID, "a token in an address is not taken");
        fault_hint(&why, "addresses end in logs: revoke it, and send another as Authorization: "
                         "Bearer TOKEN");
        h->view.unknown++;
        request_refuse(q, 400, &why);
        return false;
    }
    if (request_header(q, "Authorization").len == 0)
        return refuse_unknown(q);
    if (ops_authenticate(h->ops, bearer(q), &q->who, &why) == ST_OK)
        return true;
    guard_failed(h->guard, &q->conn->from, http_now_ms(h));
    h->view.unknown++;
    request_refuse(q, 401, &why);
    return false;
}

bool auth_request(struct request *q)
{
    if (q->conn->h->config.cert)
        return (q->op && q->op->flags & OP_OPEN) || by_token(q);
    (void)snprintf(q->who.actor, sizeof q->who.actor, "%s", q->conn->peer.actor);
    q->who.role = q->conn->peer.admin ? PB__ROLE__ROLE_ADMIN : PB__ROLE__ROLE_NONE;
    return true;
}

/* --- its end --- */

uint64_t auth_left_ms(const struct request *q)
{
    struct clock *c = node_clock(ops_node(q->conn->h->ops));
    uint64_t now_ns = c->wall_ns(c);
    if (!q->who.uid[0])
        return UINT64_MAX;
    return q->who.expires_ns > now_ns ? (q->who.expires_ns - now_ns) / UNITS_NS_PER_MS : 0;
}

void auth_check(struct http *h)
{
    const struct cluster *c = node_cluster(ops_node(h->ops));
    LIST_EACH(it, &h->conns) {
        struct http_conn *conn = CONTAINER_OF(it, struct http_conn, item);
        const struct request *q = conn->request;
        if (!q || !q->who.uid[0] || cluster_find(c, OBJECT_TOKEN, q->who.uid))
            continue;
        if (q->op && q->op->id == OP_TOKEN_REVOKE) /* perhaps of its own: it is still answered */
            continue;
        (void)shutdown(conn->fd, SHUT_RDWR);
    }
}

void auth_applied(struct http *h, const struct apply_result *r)
{
    for (size_t i = 0; i < r->change_count; i++)
        if (r->changes[i].kind == OBJECT_TOKEN && !r->changes[i].after) {
            auth_check(h);
            return;
        }
}
