/*
 * agent_link: the host's end of the talk with a guest's agent (wire/agent.h), on one loop.
 *
 * It begins a session as soon as it is opened, and again, with a new nonce, until the guest answers;
 * and whenever the guest stops answering while something is open. All requests wait for no more than
 * the session: when that is lost, they are told.
 */
#pragma once

#include "os/loop.h"
#include "port/entropy.h"
#include "wire/agent.h"

struct agent_link;
struct agent_channel;

struct agent_link_events {
    /* A session began: HELLO came and a PING was answered. The views live until the call returns. */
    void (*ready)(void *ctx, const struct agent_hello *h);
    /* The connection ended. All channels were told before; nothing more comes. */
    void (*closed)(void *ctx, const struct fault *why);
    void *ctx;
};

/* fd: a connected stream socket, not blocking; taken, even on failure. */
MUST_USE enum status agent_link_open(struct loop *l, struct entropy *e, int fd,
                                     const struct agent_link_events *ev, struct agent_link **ret,
                                     struct fault *why);
/* Channels are not told any more. NULL is fine. May be called in a callback. */
void agent_link_close(struct agent_link *a);
bool agent_link_ready(const struct agent_link *a);
/* While a guest's CPUs stand still it is not expected to answer. */
void agent_link_hold(struct agent_link *a, bool held);

/* How a channel tells its owner what happens. Never from within a call of the owner's. */
struct agent_channel_events {
    /* STDOUT, STDERR or FILE_DATA; give room back by agent_channel_eaten(). */
    void (*data)(void *ctx, enum agent_type type, struct str bytes);
    /* There is room again after a short agent_channel_send(). */
    void (*writable)(void *ctx);
    /* The end; the channel is gone after this. s: ST_OK, the guest's refusal, ST_TIMEOUT or
     * ST_UNAVAILABLE when the session was lost. last is the guest's last word: EXIT, DONE, FILE_EOF or
     * STATS; NULL unless s is ST_OK. */
    void (*end)(void *ctx, enum status s, const struct fault *why, const struct agent_frame *last);
};

/*
 * Requests. Each opens a channel, whose owner hears by `ev` and ctx; ev is kept.
 *
 * Returns  ST_UNAVAILABLE   there is no session.
 *          ST_LIMIT         AGENT_CHANNELS_MAX are open, or too much is unsent.
 *          ST_INVALID, ST_TOO_BIG   see wire/agent.h.
 */
MUST_USE enum status agent_link_exec(struct agent_link *a, const struct agent_exec *x,
                                     const struct agent_channel_events *ev, void *ctx,
                                     struct agent_channel **ret, struct fault *why);
MUST_USE enum status agent_link_push(struct agent_link *a, const struct agent_file *f,
                                     const struct agent_channel_events *ev, void *ctx,
                                     struct agent_channel **ret, struct fault *why);
MUST_USE enum status agent_link_pull(struct agent_link *a, struct str path,
                                     const struct agent_channel_events *ev, void *ctx,
                                     struct agent_channel **ret, struct fault *why);
MUST_USE enum status agent_link_stats(struct agent_link *a, const struct agent_channel_events *ev,
                                      void *ctx, struct agent_channel **ret, struct fault *why);

/* Send STDIN or FILE_DATA; how many bytes were taken. After a short count wait for `writable`. */
size_t agent_channel_send(struct agent_channel *c, enum agent_type type, struct str bytes);
/* STDIN_EOF or FILE_EOF, after all that was taken. */
void agent_channel_send_end(struct agent_channel *c, enum agent_type type);
void agent_channel_resize(struct agent_channel *c, uint16_t rows, uint16_t cols);
void agent_channel_eaten(struct agent_channel *c, size_t bytes);
/* Abandon it: its program is killed, its half-written file removed. Its owner hears nothing more. */
void agent_channel_close(struct agent_channel *c);
