/*
 * ip: internet addresses and networks as people write them. Text only: nothing is resolved. All
 * parsers take the whole text and return false, with nothing set, if it is not one.
 */
#pragma once

#include "base/str.h"

enum {
    IP_TEXT_MAX = 46,          /* an IPv6 address and NUL */
    IP_ENDPOINT_TEXT_MAX = 54, /* with brackets and a port */
};

struct ip {
    uint8_t family;   /* 4 or 6; 0: none */
    uint8_t byte[16]; /* network order; the first 4 for IPv4 */
};

/* An IPv4 network: addr (host order) has no bit beyond the first `bits`. */
struct ip_net {
    uint32_t addr;
    uint8_t bits;
};

/* Where something listens; port 0: none. */
struct ip_endpoint {
    struct ip ip;
    uint16_t port;
};

bool ip_parse(struct str text, struct ip *ret);         /* "10.0.0.1", "fe80::1" */
bool ip_net_parse(struct str text, struct ip_net *ret); /* "10.83.0.0/16" */

/* "10.0.0.1:7003", "[::]:7003"; port 0 is refused. */
bool ip_endpoint_parse(struct str text, struct ip_endpoint *ret);

uint32_t ip_v4(const struct ip *ip); /* host order; it must be of that family */

/* In the form of RFC 5952; "" for none. */
void ip_format(const struct ip *ip, char out[IP_TEXT_MAX]);
void ip_endpoint_format(const struct ip_endpoint *e, char out[IP_ENDPOINT_TEXT_MAX]);
void ip_net_format(const struct ip_net *n, char out[IP_TEXT_MAX]);
