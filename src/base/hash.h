/*
 * hash: checksums and table hashes. None of these resists an attacker who knows the key.
 */
#pragma once

#include "base/defs.h"

/* CRC32C (Castagnoli, RFC 3720 appendix B.4), continued from `crc`; start with 0. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t len);

/* SipHash-2-4 (Aumasson, Bernstein 2012). */
uint64_t hash_sip(const uint8_t key[16], const void *data, size_t len);

/* FNV-1a, 64 bits, continued from h; start with HASH_FNV_START. For traces and state hashes. */
#define HASH_FNV_START UINT64_C(0xcbf29ce484222325)
uint64_t hash_fnv(uint64_t h, const void *data, size_t len);
uint64_t hash_mix(uint64_t h); /* finish: spread all bits (MurmurHash3's fmix64) */
