#include "quic/addr.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static size_t ip_size(uint8_t family)
{
    return family == 4 ? 4 : family == 6 ? 16 : 0;
}

bool quic_addr_eq(const struct quic_addr *a, const struct quic_addr *b)
{
    return a->ip.family == b->ip.family && a->port == b->port && a->scope == b->scope &&
           memcmp(a->ip.byte, b->ip.byte, ip_size(a->ip.family)) == 0;
}

bool quic_addr_parse(struct str text, struct quic_addr *ret)
{
    struct ip_endpoint at;
    if (!ip_endpoint_parse(text, &at))
        return false;
    *ret = (struct quic_addr){.ip = at.ip, .port = at.port};
    return true;
}

void quic_addr_format(const struct quic_addr *a, char out[QUIC_ADDR_TEXT_MAX])
{
    char ip[IP_TEXT_MAX];
    ip_format(&a->ip, ip);
    (void)snprintf(out, QUIC_ADDR_TEXT_MAX, a->ip.family == 6 ? "[%s]:%u" : "%s:%u", ip, a->port);
}

socklen_t quic_addr_to_sys(const struct quic_addr *a, uint8_t family, struct sockaddr_storage *out)
{
    require(a->ip.family == 0 || a->ip.family == family);
    memset(out, 0, sizeof *out);
    if (family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip.byte, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(a->port);
    in6->sin6_scope_id = a->scope;
    memcpy(&in6->sin6_addr, a->ip.byte, 16);
    return sizeof *in6;
}

bool quic_addr_from_sys(const struct sockaddr *sa, socklen_t len, struct quic_addr *ret)
{
    struct quic_addr a = {0};
    if (len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        a.ip.family = 4;
        a.port = ntohs(in.sin_port);
        memcpy(a.ip.byte, &in.sin_addr, 4);
    } else if (len >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
        a.ip.family = mapped ? 4 : 6;
        a.port = ntohs(in6.sin6_port);
        a.scope = mapped ? 0 : in6.sin6_scope_id;
        memcpy(a.ip.byte, in6.sin6_addr.s6_addr + (mapped ? 12 : 0), ip_size(a.ip.family));
    } else {
        return false;
    }
    *ret = a;
    return true;
}
