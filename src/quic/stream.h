/*
 * stream: a two-way stream of bytes in a connection. One-way streams there are none.
 *
 * It lives until the event stream_closed has returned: that comes when both directions are over, and
 * all that we wrote is acknowledged.
 */
#pragma once

#include "quic/conn.h"

/*
 * Open one. The peer sees it when something is written.
 *
 * Returns  ST_LIMIT          as many are open as the peer or we allow.
 *          ST_PRECONDITION   the connection is not open.
 */
MUST_USE enum status quic_stream_open(struct quic_conn *c, void *ctx, struct quic_stream **ret,
                                      struct fault *why);

/*
 * Queue bytes; all or none. They are copied.
 *
 * fin      these are the last ones.
 *
 * Returns  ST_LIMIT          there is no room for them now: nothing was taken, and stream_room will be told.
 *          ST_TOO_BIG        there will never be: more than stream_send_max.
 *          ST_PRECONDITION   it was ended, or cut off, in this direction.
 */
MUST_USE enum status quic_stream_write(struct quic_stream *s, struct str bytes, bool fin,
                                       struct fault *why);
size_t quic_stream_room(const struct quic_stream *s); /* how many could be written now */

/* The application is done with so many of the bytes that it was given: the peer may send more. */
void quic_stream_consume(struct quic_stream *s, size_t len);

/* Cut it off in both directions, with a code for the peer; what is queued may be lost. */
void quic_stream_abort(struct quic_stream *s, uint64_t code);
/* Tell the peer to send no more. stream_data and stream_reset are not told any more. */
void quic_stream_stop(struct quic_stream *s, uint64_t code);

struct quic_conn *quic_stream_conn(const struct quic_stream *s);
bool quic_stream_ours(const struct quic_stream *s); /* opened by us */
uint64_t quic_stream_id(const struct quic_stream *s);
void *quic_stream_ctx(const struct quic_stream *s);
void quic_stream_set_ctx(struct quic_stream *s, void *ctx);
