/*
 * quic_evil: a peer that does the handshake of QUIC as it should, and then, or already before that, puts what
 * it likes into its packets before it protects them. For tests and fuzzing of an endpoint.
 *
 * One at a time in a process: ngtcp2 gives no context to what protects packets.
 */
#pragma once

#include "support/quic_net.h"

enum evil_level { EVIL_INITIAL, EVIL_HANDSHAKE, EVIL_DATA };

struct evil;

/* May change the frames of a packet, of which the length stays: zeros are PADDING. */
typedef void evil_fn(void *ctx, enum evil_level level, uint8_t *frames, size_t len);

/* It dials `to`, from 10.0.0.66:6666, as "blixard-rpc/1". */
struct evil *evil_new(struct quic_net *n, struct net_node *to, evil_fn *fn, void *ctx);
void evil_free(struct evil *v);

/* Exchange datagrams for so long. */
void evil_run(struct evil *v, uint64_t for_ms);
/* Send a packet of its own accord, of at least `len` bytes of frames, which evil_fn fills. */
void evil_send(struct evil *v, size_t len);
bool evil_connected(const struct evil *v); /* it is let in */
