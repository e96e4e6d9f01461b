/*
 * filter: the rules of nftables that guard the machine's VMs. One table for all VMs of a daemon; a
 * VM's start or end changes nothing in it.
 */
#pragma once

#include "base/fault.h"

/*
 * Put the table "blixard_<tag>" in force, in place of an older one, in one transaction.
 *
 * It drops what a VM's tap sends under an address to which no route leads through that tap, and all
 * IPv6.
 *
 * nft      path of the program. Blocks until it ended.
 *
 * Returns  ST_NOT_FOUND    there is no such program.
 *          ST_IO, ST_TIMEOUT
 */
MUST_USE enum status filter_install(const char *nft, const char *tag, struct fault *why);
/* Take the table out. One that is not there is fine. */
MUST_USE enum status filter_remove(const char *nft, const char *tag, struct fault *why);
