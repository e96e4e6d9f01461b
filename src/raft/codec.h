/*
 * raft/codec: a struct raft_message as bytes, and back.
 *
 * Version 1, numbers little-endian (wire/cursor.h), `v` being a varint:
 *
 *     u8 version, u8 type, u8 flags, u8 which of the numbers below are there (those that are not 0)
 *     v from, v to, v term
 *     v index, v log_term, v commit, v read, v matched, v hint, v kept
 *     v count, then of each entry: v term, as what it adds to the one before (the first: to log_term);
 *         u8 type; of all but a no-op: u32 length and that many bytes
 *
 * Which fields a type bears is not said here: the core may give a message any of them without another
 * version. An entry's index is not written, since entries follow `index` in a row.
 *
 * There is one encoding of a message, and only that is decoded. What the message means is not looked at:
 * raft_step() refuses what cannot be.
 */
#pragma once

#include "raft/raft.h"

enum {
    RAFT_MESSAGE_ENTRIES_MAX = 4096,
    RAFT_MESSAGE_DATA_MAX = 4 << 20, /* bytes of the data of all entries */
    /* A message within those two limits always fits. */
    RAFT_MESSAGE_BYTES_MAX = RAFT_MESSAGE_DATA_MAX + (64 << 10),
};

/*
 * Append m to `out`.
 *
 * m        as the core gives it: its entries follow m->index in a row, their terms do not go back, all
 *          but no-ops have data. from, to and the other numbers may be anything.
 *
 * Returns  ST_TOO_BIG  more entries or bytes than a message may have, or than out has room for:
 *                      out is unchanged.
 */
MUST_USE enum status raft_message_encode(const struct raft_message *m, struct buf *out,
                                         struct fault *why);

/* A message that came, and the entries that it borrows. */
struct raft_decoded {
    struct raft_message message;
    struct raft_entry *entries; /* each holds a reference to its data */
};

/*
 * Decode exactly one message. `bytes` is borrowed; data of entries is copied.
 *
 * Returns  ST_OK           ret is to be given to raft_decoded_done().
 *          ST_UNSUPPORTED  it is of another version.
 *          ST_TOO_BIG      longer than RAFT_MESSAGE_BYTES_MAX.
 *          ST_INVALID      raft_message_encode() does not write this.
 */
MUST_USE enum status raft_message_decode(struct str bytes, struct raft_decoded *ret,
                                         struct fault *why);
void raft_decoded_done(struct raft_decoded *d); /* also for AUTO(); all zero is fine */
