/*
 * journal_log: a member's log that is the real journal, on a simulated disk of its own.
 *
 * What goes wrong with the disk, and how often, is in the simulation's `faults`; its choices come from there too.
 *
 * Beside the journal stands a platter as its model: it is told of the same requests, and makes durable what the
 * journal says is. At each start, what the journal finds must be something that the model may become.
 *
 * A snapshot's bytes are of the simulator's own: u64 index, u64 term, the members (u32 length, and
 * raft_members_encode() unless there are none), u8 whether there is a state, and lists_pack() of it.
 */
#pragma once

#include "sim/disk.h"
#include "sim/member_log.h"

struct member_log *journal_log_new(struct sim *s);
/* What would be found, of one that is closed and is not to be opened again. *ret is to be given to platter_done(), even
 * on failure; fails as log_open() does, but does not compare. */
MUST_USE enum status journal_log_look(struct member_log *l, struct platter *ret, struct fault *why);
