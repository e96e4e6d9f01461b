/*
 * ws: our side of a WebSocket (RFC 6455), as the API uses it for consoles and processes.
 *
 * Messages are binary. The first byte is the channel, the rest is its data.
 */
#pragma once

#include "cli/link.h"

enum ws_channel {
    WS_INPUT = 0,  /* to the VM; without data: the end of input */
    WS_OUTPUT = 1, /* from the VM */
    WS_ERRORS = 2,
    WS_RESULT = 3, /* JSON: {"exit_status": 0} or a problem; the socket is closed after it */
    WS_SIZE = 4,   /* to the VM: JSON: {"rows": 24, "cols": 80} */
};

enum { WS_KEY_MAX = 25, WS_MESSAGE_MAX = 1 << 20 };

/* A key for a handshake: the base64 of 16 random bytes. */
void ws_key(char out[WS_KEY_MAX]);
/* Is that what a server that speaks WebSocket answers to the key? */
bool ws_accepts(const char *key, struct str accept);

struct ws;

/* One message from the other side; data is borrowed. */
typedef void ws_message(void *ctx, unsigned channel, struct str data);

/*
 * link     upgraded; borrowed until ws_close().
 * early    what came behind the handshake; copied.
 */
struct ws *ws_open(struct link *link, struct str early, ws_message *fn, void *ctx);
void ws_close(struct ws *w); /* says so to the other side, and waits half a second for its word */

/* What to poll(2) link_fd() for; 0 when it is over. */
short ws_events(const struct ws *w);
/* Is there something to handle at once, whatever poll says? */
bool ws_has_early(const struct ws *w);

/*
 * Read and write what can be, without waiting. Calls fn.
 *
 * ST_OK, also when the other side has closed: then ws_events() is 0.
 * ST_UNAVAILABLE when the connection broke, ST_CORRUPT when it is no WebSocket.
 */
MUST_USE enum status ws_step(struct ws *w, struct fault *why);

/* Queue a message. What was queued and not yet sent is ws_backlog() bytes: keep it small. */
void ws_send(struct ws *w, enum ws_channel channel, struct str data);
size_t ws_backlog(const struct ws *w);
