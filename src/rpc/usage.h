/*
 * usage: how much of us each peer uses. Nobody outside of rpc/ includes it.
 *
 * A table of fixed size. A peer that has no calls is forgotten after a while, or when another needs its
 * place; one that has calls is never.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "crypto/key.h"
#include "rpc/rpc.h"

enum { USAGE_FORGET_MS = 60000 };

/* Of one method. */
struct usage_method {
    uint32_t calls;              /* now */
    uint64_t calls_ns, bytes_ns; /* times at which the buckets are full again */
};

struct usage_peer {
    uint8_t key[KEY_PUBLIC_SIZE];
    struct list idle; /* in usage.idle while it has no calls */
    uint64_t idle_ms; /* since when */
    uint32_t calls;
    struct usage_method use[];
};

struct usage {
    struct map by_key;
    struct list idle; /* longest first */
    size_t method_count;
    uint32_t max;
};

void usage_init(struct usage *p, size_t method_count, uint32_t max);
void usage_done(struct usage *p);

/*
 * May this peer make one more call of methods[m] with so many bytes? Then it is counted until usage_leave().
 *
 * Returns  ST_LIMIT   *ret_wait_ms tells after how long it may be worth a try; > 0.
 */
MUST_USE enum status usage_enter(struct usage *p, const uint8_t key[KEY_PUBLIC_SIZE],
                                 const struct rpc_method *m, size_t index, uint32_t bytes,
                                 uint64_t now_ms, struct usage_peer **ret, uint32_t *ret_wait_ms,
                                 struct fault *why);
void usage_leave(struct usage *p, struct usage_peer *v, size_t index, uint64_t now_ms);
/* Bytes that came after the body: later calls wait for them. */
void usage_charge(struct usage_peer *v, const struct rpc_method *m, size_t index, size_t bytes,
                  uint64_t now_ms);

void usage_step(struct usage *p, uint64_t now_ms);
uint64_t usage_deadline_ms(const struct usage *p);
