/*
 * ip: internet addresses and networks as people write them. Text only: nothing is resolved. All
 * parsers take the whole text and return false, with nothing set, if it is not one.
 */
#pragma once

#include "base/str.h"

enum { IP_TEXT_MAX = 46 }; /* an IPv6 address and NUL */

struct ip {
    uint8_t family;   /* 4 or 6; 0: none */
    uint8_t byte[16]; /* network order; the first 4 for IPv4 */
};

/* An IPv4 network: addr (host order) has no bit beyond the first `bits`. */
struct ip_net {
    uint32_t addr;
    uint8_t bits;
};

bool ip_parse(struct str text, struct ip *ret);         /* "10.0.0.1", "fe80::1" */
bool ip_net_parse(struct str text, struct ip_net *ret); /* "10.83.0.0/16" */

uint32_t ip_v4(const struct ip *ip); /* host order; it must be of that family */

/* In the form of RFC 5952; "" for none. */
void ip_format(const struct ip *ip, char out[IP_TEXT_MAX]);
void ip_net_format(const struct ip_net *n, char out[IP_TEXT_MAX]);
