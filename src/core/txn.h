/*
 * txn: what one command wants to change, gathered first and done at once.
 *
 * A command's code reads the state, stages objects and events, and returns. Only when it returned
 * ST_OK and every staged object is fit to be stored does anything change: what is refused late
 * changes as little as what is refused early.
 */
#pragma once

#include "core/state.h"
#include "wire/proto.h"

struct txn {
    const struct cluster *c;
    uint64_t index;
    uint64_t time_ns;
    const char *actor; /* borrowed; never NULL */
    uint32_t node_number_last;
    char uid[OBJECT_UID_MAX], operation_id[OBJECT_UID_MAX]; /* for the result */
    struct change changes[CHANGES_MAX];                     /* before is borrowed, after is ours */
    size_t change_count;
    struct object *events[EVENTS_PER_COMMAND_MAX]; /* ours */
    size_t event_count;
};

void txn_init(struct txn *t, const struct cluster *c, uint64_t index, const Pb__Command *cmd);
void txn_done(struct txn *t); /* drops what was staged and not committed */

/* Stage a new or changed object, each at most once. msg is taken. Its time and index of change, and for a new one its
 * time of creation, are set here. Returns the object as staged, borrowed. */
struct object *txn_put(struct txn *t, enum object_kind kind, ProtobufCMessage *msg);
/* Stage the end of an object of the state. */
void txn_remove(struct txn *t, struct object *o);

/* Stage an event about an object, which may be one staged just now. The text is cut at the end if
 * it is too long. */
void txn_event(struct txn *t, const char *type, const struct object *about, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Name the object, or the operation, that the result tells of. */
void txn_result(struct txn *t, const char *uid);
void txn_result_operation(struct txn *t, const char *id);

/* ST_LIMIT when the state as a whole may not grow by what users ask for. */
MUST_USE enum status txn_room_to_grow(const struct txn *t, struct fault *why);
/* ST_LIMIT when one more of a kind would not fit (of operations: one more under way), or, but for
 * operations, the state may not grow. */
MUST_USE enum status txn_room(const struct txn *t, enum object_kind kind, struct fault *why);

/* Is all that was staged fit to be stored? */
MUST_USE enum status txn_check(const struct txn *t, struct fault *why);
/* txn_check() said ST_OK. What was staged moves into the state and, as references, into out. */
void txn_commit(struct txn *t, struct cluster *c, struct apply_result *out);
