/*
 * ident: who this guest is: host name, machine id, name servers, time, randomness.
 */
#pragma once

#include "wire/agent.h"
#include "wire/guestcfg.h"

/*
 * Apply those of hostname, machine_id, mac, address, gateway, dns, time_ns and seed that are given. All
 * are tried; the first failure is returned.
 *
 * cloned   we may be the copy of a guest that goes on elsewhere: a machine id other than the present one
 *          brings a new boot id too.
 */
MUST_USE enum status ident_apply(const struct guestcfg *c, bool cloned, struct fault *why);

/* Mix the seed into the kernel's generator, as full entropy, and make it reseed. */
MUST_USE enum status ident_reseed(const uint8_t seed[AGENT_SEED], struct fault *why);

void ident_boot_id(uint8_t out[16]); /* zeros when it is not known */
