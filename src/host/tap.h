/*
 * tap: a VM's network device on this machine, with a routed address.
 *
 * There is no bridge: the host answers for the gateway's address on every tap, and has one route to
 * the guest's address through its tap. The device vanishes when its last descriptor is closed, and
 * the route with it, so that nothing is left of a monitor that died.
 */
#pragma once

#include "port/host.h"

enum { TAP_NAME_MAX = HOST_TAP_MAX };

/* "bx<tag>-", and with the slot behind it. */
void tap_prefix(const char *tag, char out[TAP_NAME_MAX]);
void tap_name(const char *tag, uint32_t slot, char out[TAP_NAME_MAX]);

/*
 * Make it, up and routed.
 *
 * address, gateway   IPv4 in host order.
 * ret_fd             for QEMU; the caller's.
 *
 * Returns  ST_IN_USE   another process holds it: an older monitor still runs.
 *          ST_DENIED, ST_IO
 */
MUST_USE enum status tap_open(const char *name, uint32_t address, uint32_t gateway, int *ret_fd,
                              struct fault *why);
