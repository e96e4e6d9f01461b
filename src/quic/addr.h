/*
 * addr: where a datagram comes from or goes to.
 *
 * IPv4 addresses are of family 4 also where a socket of IPv6 tells them (::ffff:10.0.0.1).
 */
#pragma once

#include <sys/socket.h>

#include "base/ip.h"

enum { QUIC_ADDR_TEXT_MAX = IP_TEXT_MAX + 8 }; /* "[ADDRESS]:65535" and NUL */

struct quic_addr {
    struct ip ip;   /* family 0: no address in particular */
    uint16_t port;  /* host order */
    uint32_t scope; /* the interface of a link-local IPv6 address, else 0 */
};

bool quic_addr_eq(const struct quic_addr *a, const struct quic_addr *b);

/* "10.0.0.1:7001", "[fe80::1]:7001"; the port must be there, and not be 0. */
bool quic_addr_parse(struct str text, struct quic_addr *ret);
void quic_addr_format(const struct quic_addr *a, char out[QUIC_ADDR_TEXT_MAX]);

/* As the system writes it: returns the length. An address of family 0 becomes the unspecified one of
 * `family` (4 or 6). */
socklen_t quic_addr_to_sys(const struct quic_addr *a, uint8_t family, struct sockaddr_storage *out);
/* false: of another family than IPv4 and IPv6. */
bool quic_addr_from_sys(const struct sockaddr *sa, socklen_t len, struct quic_addr *ret);
