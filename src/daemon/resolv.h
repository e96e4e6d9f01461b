/*
 * resolv: the name servers of this machine (resolv.conf(5)), for guests.
 */
#pragma once

#include "base/str.h"

/* Those IPv4 ones that a guest can reach too: none on a loopback address. Host order; *ret_count of
 * them, at most max. */
void resolv_servers(uint32_t *out, size_t max, size_t *ret_count);
void resolv_parse(struct str text, uint32_t *out, size_t max, size_t *ret_count);
