/*
 * addresses: where other nodes are told to reach this one.
 */
#pragma once

#include "base/ip.h"

enum { ADDRESSES_MAX = 4 };

/*
 * at        where it listens, as bound.
 * advertise of port 0: `at` itself, or if that is all addresses of the machine, those of its network devices; the
 *           loopback one only if there is no other.
 *
 * Returns how many were written to ret.
 */
size_t addresses_find(const struct ip_endpoint *at, const struct ip_endpoint *advertise,
                      struct ip_endpoint ret[ADDRESSES_MAX]);
