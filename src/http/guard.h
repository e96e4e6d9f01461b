/*
 * guard: how often an address may fail to say who it is.
 *
 * Each address (of IPv6: each network of 64 bits) may fail ten times at once, and then once in six
 * seconds; what it sends in between is not even looked at. None is kept out for good. Its memory is fixed: of
 * too many addresses those that failed longest ago are forgotten.
 *
 * Pure: no clock, no allocation.
 */
#pragma once

#include "base/ip.h"

enum {
    GUARD_BURST = 10,
    GUARD_STEP_MS = 6000,
    GUARD_SETS = 256,
    GUARD_WAYS = 4, /* addresses that share a place */
};

struct guard_slot {
    struct ip from;   /* the part that counts; family 0: free */
    uint64_t even_ms; /* when it will have paid for its failures */
};

struct guard {
    uint8_t seed[16];
    struct guard_slot slot[GUARD_SETS][GUARD_WAYS];
};

/* seed: unpredictable, so that nobody can choose addresses that push out another's failures. */
void guard_init(struct guard *g, const uint8_t seed[16]);

/* The part of an address that one party has: all of IPv4, the first 64 bits of IPv6. */
struct ip guard_party(const struct ip *from);

/* How long the address has to wait until it is listened to; 0: not at all. */
uint64_t guard_wait_ms(const struct guard *g, const struct ip *from, uint64_t now_ms);
/* It has failed. */
void guard_failed(struct guard *g, const struct ip *from, uint64_t now_ms);
