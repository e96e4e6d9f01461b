/*
 * done: command ids that were applied, and what was answered, so that a retry is answered alike.
 *
 * Only of commands with a `request`, which somebody may repeat: what nodes report has an id that nobody
 * uses again, and comes so often that it would push all others out.
 *
 * Refusals are kept too: of two copies of a command in the log, the second must not succeed after
 * its caller was told that the first was refused. The oldest are dropped, by index.
 */
#pragma once

#include "core/cluster.h"
#include "core/command_key.h"

/* Immutable, counted. */
struct done {
    uint32_t refs;
    uint64_t index;
    uint64_t hash; /* of all but the texts, which only explain */
    enum status status;
    struct command_key key;
    char uid[OBJECT_UID_MAX], operation_id[OBJECT_UID_MAX];
    const char *text, *hint, *field; /* of the refusal; in the same block */
};

/* uid and operation_id are at most 32 bytes. `why` is read unless status is ST_OK. */
struct done *done_new(const struct command_key *key, uint64_t index, enum status status,
                      const struct fault *why, const char *uid, const char *operation_id);
struct done *done_ref(struct done *d);
void done_unref(struct done *d); /* NULL is fine */

/* A hash table of ids, without an order of its own: nothing walks it. An empty slot has no `done`. */
struct done_index {
    struct done_slot {
        uint64_t hash; /* of the id */
        struct done *done;
    } * slot;
    size_t room; /* a power of two, or 0 */
    size_t count;
};

struct done_table {
    struct done_index by_id;
    struct done **items; /* items[first] is the oldest; count of them */
    size_t first, count, room;
    uint64_t hash; /* sum of mixed hashes */
};

void done_table_init(struct done_table *t);
void done_table_done(struct done_table *t);

const struct done *done_find(const struct done_table *t, const uint8_t id[COMMAND_ID_SIZE]);
uint64_t done_last_index(const struct done_table *t); /* 0 when empty */
/* d's reference is taken; its id is new and its index the highest. Then drop the oldest until count_max
 * is kept: which ids are known must not depend on how a program words or stores an answer. */
void done_add(struct done_table *t, struct done *d, size_t count_max);
