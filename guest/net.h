/*
 * net: addresses and routes by rtnetlink. IPv4; one Ethernet device, eth0.
 */
#pragma once

#include "wire/guestcfg.h"

/* Bring the loopback device up. */
MUST_USE enum status net_loopback(struct fault *why);

/*
 * Give eth0 what the configuration says: hardware address, address, default route. What is not given
 * stays; an address that is given replaces those that were there. A gateway outside of the address's
 * prefix is taken to be on the link.
 *
 * Returns  ST_NOT_FOUND   there is no eth0.
 */
MUST_USE enum status net_apply(const struct guestcfg *c, struct fault *why);
