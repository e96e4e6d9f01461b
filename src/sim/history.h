/*
 * history: what clients did and were told, and whether one copy of the data could have told them so.
 *
 * Clients append to lists and read them whole. The history is linearizable if each operation can be
 * thought to happen at one instant between its call and its return, in an order that explains every
 * read. An append that was refused never happens; one whose end is not known happens at any time after its
 * call, or never; a read whose end is not known says nothing.
 *
 * Why one pass decides this, where Wing and Gong have to search: a history is linearizable if that of each
 * key is (Herlihy and Wing), so take one key. Reads must show lists of which each begins the longer ones;
 * the longest gives the order of the appends that were seen. What was acknowledged and not seen comes
 * after them, in the order of the calls; what is unknown and not seen never happened, which forbids least. So
 * each operation has a level: the n-th append 2n - 1, a read of n values 2n.
 *
 *   - An order that explains all reads is one of rising levels. So no operation may return before one
 *     of a lower level is called.
 *   - If none does, the order by level, and within a level by call, explains all reads (those of one level
 *     read the same list) and keeps real time.
 *
 * The pass goes over calls and returns as they came, and holds against each call the highest level that
 * has returned. It takes time in proportion to the operations and the values that reads showed.
 */
#pragma once

#include "base/str.h"

enum history_kind { HISTORY_APPEND, HISTORY_READ };
enum history_end { HISTORY_UNKNOWN, HISTORY_DONE, HISTORY_REFUSED };

struct history_op {
    enum history_kind kind;
    enum history_end end;
    uint32_t client, key;
    uint64_t call_ms, end_ms;
    uint64_t place; /* append: in the longest list that was read, from 1; 0: nobody saw it */
    size_t count;   /* read: values seen */
};

struct history_key {
    uint64_t *list; /* the longest that was read */
    size_t count, room;
    uint64_t seen_by; /* the read that saw it */
};

struct history {
    struct history_op *op; /* by number */
    uint64_t op_count, op_max;
    uint64_t *event; /* in the order of time: 2 * op for a call, 2 * op + 1 for a return */
    uint64_t event_count;
    struct history_key *key;
    uint32_t key_count;
    uint64_t now_ms;
    bool full;        /* there were more operations than op_max */
    struct fault bad; /* the first thing that no order explains; ST_OK: none so far */
};

/* Keys are 0 to key_count - 1; at most op_max operations, > 0. */
void history_init(struct history *h, uint32_t key_count, uint64_t op_max);
void history_done(struct history *h);

/*
 * A client calls. What is recorded first happened first, also within a millisecond; now_ms never goes
 * back, and is only told in faults.
 *
 * Returns the number of the operation. An append's number is the value that it is to append, so that no two
 * values are equal. Past op_max it is UINT64_MAX, which the functions below ignore.
 */
uint64_t history_append(struct history *h, uint32_t client, uint32_t key, uint64_t now_ms);
uint64_t history_read(struct history *h, uint32_t client, uint32_t key, uint64_t now_ms);

/* It ends, once. Without a word about it the end is unknown. */
void history_appended(struct history *h, uint64_t op, uint64_t now_ms);
void history_refused(struct history *h, uint64_t op,
                     uint64_t now_ms); /* it surely did not happen */
/* A read returns these values, which may be anything; borrowed. */
void history_seen(struct history *h, uint64_t op, const uint64_t *value, size_t count,
                  uint64_t now_ms);

/*
 * Is what was recorded linearizable? To have every acknowledged append looked for, end with a read of
 * each key.
 *
 * Returns  ST_CORRUPT  no: why tells of two operations that contradict each other, or of a value that
 *                      cannot be.
 *          ST_LIMIT    there were more operations than op_max: not known.
 */
MUST_USE enum status history_check(const struct history *h, struct fault *why);
