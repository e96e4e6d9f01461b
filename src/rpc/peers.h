/*
 * peers: how much of us each peer uses. Nobody outside of rpc/ includes it.
 *
 * A table of fixed size. A peer that has no calls is forgotten after a while, or when another needs its
 * place; one that has calls is never.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "crypto/key.h"
#include "rpc/rpc.h"

enum { PEERS_FORGET_MS = 60000 };

/* Of one method. */
struct peer_use {
    uint32_t calls;              /* now */
    uint64_t calls_ns, bytes_ns; /* times at which the buckets are full again */
};

struct peer {
    uint8_t key[KEY_PUBLIC_SIZE];
    struct list idle; /* in peers.idle while it has no calls */
    uint64_t idle_ms; /* since when */
    uint32_t calls;
    struct peer_use use[];
};

struct peers {
    struct map by_key;
    struct list idle; /* longest first */
    size_t method_count;
    uint32_t max;
};

void peers_init(struct peers *p, size_t method_count, uint32_t max);
void peers_done(struct peers *p);

/*
 * May this peer make one more call of methods[m] with so many bytes? Then it is counted until peers_leave().
 *
 * Returns  ST_LIMIT   *ret_wait_ms tells after how long it may be worth a try; > 0.
 */
MUST_USE enum status peers_enter(struct peers *p, const uint8_t key[KEY_PUBLIC_SIZE],
                                 const struct rpc_method *m, size_t index, uint32_t bytes,
                                 uint64_t now_ms, struct peer **ret, uint32_t *ret_wait_ms,
                                 struct fault *why);
void peers_leave(struct peers *p, struct peer *v, size_t index, uint64_t now_ms);
/* Bytes that came after the body: later calls wait for them. */
void peers_charge(struct peer *v, const struct rpc_method *m, size_t index, size_t bytes,
                  uint64_t now_ms);

void peers_step(struct peers *p, uint64_t now_ms);
uint64_t peers_deadline_ms(const struct peers *p);
