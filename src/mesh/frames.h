/*
 * frames: messages in a stream of bytes. Each is a length, u32 little-endian, 1 to PEERS_MESSAGE_MAX, and
 * so many bytes.
 *
 * Memory is taken for bytes that came, not for bytes that were announced; at most one message.
 */
#pragma once

#include "base/buf.h"
#include "port/peers.h"

enum { FRAMES_HEAD_SIZE = 4 };

struct frames {
    uint8_t head[FRAMES_HEAD_SIZE];
    size_t head_len; /* bytes of it that came */
    struct buf body; /* what came of a message that comes in pieces */
    bool told;       /* body is a message that was told: it goes with the next call */
};

enum frames_says {
    FRAMES_NONE, /* all was taken, and there is no whole message yet */
    FRAMES_ONE,  /* *ret is a message, and there may be another */
    FRAMES_BAD,  /* a length that is none; nothing that comes after it means anything */
};

void frames_init(struct frames *f);
void frames_done(struct frames *f);

/* Take from the front of *in, up to the end of a message. *ret is valid until the next call, and points into
 * *in when the message lay there whole. */
enum frames_says frames_next(struct frames *f, struct str *in, struct str *ret);

void frames_head(size_t len, uint8_t out[FRAMES_HEAD_SIZE]); /* of a message */
