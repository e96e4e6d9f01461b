/*
 * gate: who may begin a handshake, and how often we answer strangers at all.
 *
 * A handshake costs us a key exchange and some memory, so it is given to a source only so often, and
 * under load only to one that has shown that its address is true (Retry, RFC 9000 section 8.1.2).
 * Answers that need no connection are limited too, or we would be somebody's amplifier.
 *
 * Pure. Its memory is fixed: sources share buckets, by a keyed hash of their prefix (/32 of IPv4, /64 of IPv6).
 */
#pragma once

#include "quic/addr.h"

enum { GATE_BUCKETS = 1024, GATE_ANSWERS_PER_S = 200 };

enum gate_says { GATE_TAKE, GATE_RETRY, GATE_DROP };

struct gate {
    uint8_t key[16];
    uint32_t half_open_max; /* handshakes under way; beyond it all are dropped */
    uint32_t retry_above;   /* so many under way: addresses must be shown to be true */
    uint32_t per_source_s;  /* handshakes of one source in a second, and as many at once */
    uint64_t answers;       /* each a time in ns at which the bucket is full again */
    uint64_t source[GATE_BUCKETS];
};

/* The numbers of *g are set by the caller, all > 0; this sets the rest. */
void gate_init(struct gate *g, const uint8_t key[16]);

/* half_open: how many handshakes are under way. validated: its token shows that the address is true. */
enum gate_says gate_ask(struct gate *g, const struct quic_addr *from, uint32_t half_open,
                        bool validated, uint64_t now_ns);
/* May a datagram that belongs to no connection be answered? */
bool gate_answer(struct gate *g, uint64_t now_ns);
