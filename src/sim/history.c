#include "sim/history.h"

#include <stdio.h>
#include <stdlib.h>

/* --- record --- */

void history_init(struct history *h, uint32_t key_count, uint64_t op_max)
{
    require(key_count > 0 && op_max > 0 && op_max < SIZE_MAX / sizeof(struct history_op));
    *h = (struct history){.key_count = key_count, .op_max = op_max};
    h->key = NEW_ARRAY(struct history_key, key_count);
    for (uint32_t i = 0; i < key_count; i++)
        h->key[i] = (struct history_key){0};
}

void history_done(struct history *h)
{
    for (uint32_t i = 0; i < h->key_count; i++)
        free(h->key[i].list);
    free(h->key);
    free(h->op);
    free(h->event);
    *h = (struct history){0};
}

static void pass_time(struct history *h, uint64_t now_ms)
{
    require(now_ms >= h->now_ms);
    h->now_ms = now_ms;
}

/* Room for one more of an array that doubles; it has room for a power of two, or nothing. */
static bool must_grow(uint64_t count)
{
    return (count & (count - 1)) == 0;
}

static void add_event(struct history *h, uint64_t event)
{
    if (must_grow(h->event_count))
        h->event = mem_grow(h->event, MAX(2 * h->event_count, 1), sizeof *h->event);
    h->event[h->event_count++] = event;
}

static uint64_t call(struct history *h, enum history_kind kind, uint32_t client, uint32_t key,
                     uint64_t now_ms)
{
    require(key < h->key_count);
    pass_time(h, now_ms);
    if (h->op_count == h->op_max) {
        h->full = true;
        return UINT64_MAX;
    }
    if (must_grow(h->op_count))
        h->op = mem_grow(h->op, MAX(2 * h->op_count, 1), sizeof *h->op);
    h->op[h->op_count] =
        (struct history_op){.kind = kind, .client = client, .key = key, .call_ms = now_ms};
    add_event(h, 2 * h->op_count);
    return h->op_count++;
}

uint64_t history_append(struct history *h, uint32_t client, uint32_t key, uint64_t now_ms)
{
    return call(h, HISTORY_APPEND, client, key, now_ms);
}

uint64_t history_read(struct history *h, uint32_t client, uint32_t key, uint64_t now_ms)
{
    return call(h, HISTORY_READ, client, key, now_ms);
}

/* NULL for one that was not recorded. */
static struct history_op *end(struct history *h, uint64_t op, enum history_end how, uint64_t now_ms)
{
    pass_time(h, now_ms);
    if (op == UINT64_MAX)
        return NULL;
    require(op < h->op_count && h->op[op].end == HISTORY_UNKNOWN);
    h->op[op].end = how;
    h->op[op].end_ms = now_ms;
    add_event(h, 2 * op + 1);
    return &h->op[op];
}

void history_appended(struct history *h, uint64_t op, uint64_t now_ms)
{
    struct history_op *o = end(h, op, HISTORY_DONE, now_ms);
    require(!o || o->kind == HISTORY_APPEND);
}

void history_refused(struct history *h, uint64_t op, uint64_t now_ms)
{
    (void)end(h, op, HISTORY_REFUSED, now_ms);
}

/* --- what a read shows --- */

/* "client 2's read of 3 values (op 17, from 100 to 105 ms)" */
struct told {
    char text[160];
};

static struct told tell(const struct history *h, uint64_t op)
{
    const struct history_op *o = &h->op[op];
    char what[40] = "append", until[40] = "";
    struct told t;
    if (o->kind == HISTORY_READ)
        (void)snprintf(what, sizeof what, "read of %zu values", o->count);
    if (o->end != HISTORY_UNKNOWN)
        (void)snprintf(until, sizeof until, " to %" PRIu64, o->end_ms);
    (void)snprintf(t.text, sizeof t.text,
                   "client %" PRIu32 "'s %s (op %" PRIu64 ", from %" PRIu64 "%s ms)", o->client,
                   what, op, o->call_ms, until);
    return t;
}

/* Only the first is kept. */
static struct fault *bad(struct history *h)
{
    return h->bad.status == ST_OK ? &h->bad : NULL;
}

/* Take the value at the end of the key's list; false if it cannot be there. */
static bool lengthen(struct history *h, struct history_key *k, uint64_t by, uint64_t value)
{
    uint32_t key = h->op[by].key;
    if (value >= h->op_count || h->op[value].kind != HISTORY_APPEND || h->op[value].key != key) {
        fault_set(bad(h), ST_CORRUPT, "key %" PRIu32 ": nobody appended %" PRIu64 ", which %s saw",
                  key, value, tell(h, by).text);
        return false;
    }
    struct history_op *append = &h->op[value];
    if (append->place) {
        fault_set(bad(h), ST_CORRUPT, "key %" PRIu32 ": %" PRIu64 " is there twice in %s", key,
                  value, tell(h, by).text);
        return false;
    }
    append->place = k->count + 1;
    if (must_grow(k->count))
        k->list = mem_grow(k->list, MAX(2 * k->count, 1), sizeof *k->list);
    k->list[k->count++] = value;
    return true;
}

void history_seen(struct history *h, uint64_t op, const uint64_t *value, size_t count,
                  uint64_t now_ms)
{
    struct history_op *o = end(h, op, HISTORY_DONE, now_ms);
    require(!o || o->kind == HISTORY_READ);
    if (!o)
        return;
    struct history_key *k = &h->key[o->key];
    o->count = count;
    for (size_t i = 0; i < count; i++) {
        if (i == k->count) {
            if (!lengthen(h, k, op, value[i]))
                return;
            k->seen_by = op;
        } else if (value[i] != k->list[i]) {
            fault_set(bad(h), ST_CORRUPT,
                      "key %" PRIu32 ": value %zu is %" PRIu64 " in %s and %" PRIu64 " in %s",
                      o->key, i, value[i], tell(h, op).text, k->list[i], tell(h, k->seen_by).text);
            return;
        }
    }
}

/* --- check --- */

/* What has returned of a key: the highest level, and whose it is. */
struct floor {
    uint64_t level, op;
    uint64_t tail; /* appends that nobody saw, so far */
};

/* It has a level: it happened, and says something. */
static bool counts(const struct history_op *o)
{
    return o->end == HISTORY_DONE || (o->end == HISTORY_UNKNOWN && o->place);
}

/* Asked for once of each, in the order of the calls. */
static uint64_t level_of(const struct history *h, const struct history_op *o, struct floor *f)
{
    if (o->kind == HISTORY_READ)
        return 2 * (uint64_t)o->count;
    uint64_t place = o->place ? o->place : h->key[o->key].count + ++f->tail;
    return 2 * place - 1;
}

static enum status check_order(const struct history *h, uint64_t *level, struct floor *floor,
                               struct fault *why)
{
    for (uint64_t i = 0; i < h->event_count; i++) {
        uint64_t op = h->event[i] / 2;
        const struct history_op *o = &h->op[op];
        struct floor *f = &floor[o->key];
        bool returns = h->event[i] % 2;
        if (!counts(o))
            continue;
        if (!returns)
            level[op] = level_of(h, o, f);
        if (!returns && level[op] < f->level)
            return fault_set(why, ST_CORRUPT, "key %" PRIu32 ": %s was before %s", o->key,
                             tell(h, f->op).text, tell(h, op).text);
        if (returns && level[op] > f->level) {
            f->level = level[op];
            f->op = op;
        }
    }
    return ST_OK;
}

static enum status check_refused(const struct history *h, struct fault *why)
{
    for (uint64_t i = 0; i < h->op_count; i++)
        if (h->op[i].end == HISTORY_REFUSED && h->op[i].place)
            return fault_set(why, ST_CORRUPT, "key %" PRIu32 ": %s was refused and is there",
                             h->op[i].key, tell(h, i).text);
    return ST_OK;
}

enum status history_check(const struct history *h, struct fault *why)
{
    if (h->full)
        return fault_set(why, ST_LIMIT, "more than %" PRIu64 " operations", h->op_max);
    if (h->bad.status != ST_OK)
        return fault_set(why, ST_CORRUPT, "%s", h->bad.text);
    uint64_t *level = mem_new(MAX(h->op_count, 1) * sizeof *level);
    struct floor *floor = mem_new(h->key_count * sizeof *floor);
    enum status s = check_refused(h, why);
    if (s == ST_OK)
        s = check_order(h, level, floor, why);
    free(level);
    free(floor);
    return s;
}
