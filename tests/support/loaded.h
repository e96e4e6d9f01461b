/*
 * loaded: what a log told when it was opened, checked for its order.
 */
#pragma once

#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "port/log.h"
#include "support/tap.h"

enum { ENTRIES_MAX = 400 };

struct item {
    uint64_t term;
    uint32_t type, len;
    uint64_t seed; /* of its bytes */
};

UNUSED static void fill(uint64_t seed, size_t len, char *out)
{
    struct rng r = {seed};
    for (size_t i = 0; i < len; i++)
        out[i] = (char)rng_next(&r);
}

struct loaded {
    struct log_hard hard;
    uint64_t snapshot, snapshot_term, snapshot_hash;
    bool snapshot_begun, snapshot_ended;
    uint64_t first, last;
    struct item item[ENTRIES_MAX];
    uint64_t hash[ENTRIES_MAX];
    int entries;
};

static void load_hard(void *ctx, const struct log_hard *h)
{
    struct loaded *l = ctx;
    CHECK_EQ(0, l->hard.term);
    l->hard = *h;
}

static enum status load_snapshot(void *ctx, uint64_t index, uint64_t term, struct str chunk,
                                 bool last, struct fault *why)
{
    struct loaded *l = ctx;
    (void)why;
    if (!l->snapshot_begun) {
        CHECK_EQ(0, chunk.len);
        CHECK(!last);
        l->snapshot_hash = HASH_FNV_START;
    }
    CHECK(!l->snapshot_ended && l->entries == 0);
    l->snapshot_begun = true;
    l->snapshot = index;
    l->snapshot_term = term;
    l->snapshot_hash = hash_fnv(l->snapshot_hash, chunk.ptr, chunk.len);
    l->snapshot_ended = last;
    return ST_OK;
}

static enum status load_entry(void *ctx, const struct log_entry *e, struct fault *why)
{
    struct loaded *l = ctx;
    (void)why;
    CHECK(l->entries == 0 ? e->index == l->snapshot + 1 : e->index == l->last + 1);
    CHECK(e->index < ENTRIES_MAX);
    if (l->entries++ == 0)
        l->first = e->index;
    l->last = e->index;
    l->item[e->index] =
        (struct item){.term = e->term, .type = e->type, .len = (uint32_t)e->data.len};
    l->hash[e->index] = hash_fnv(HASH_FNV_START, e->data.ptr, e->data.len);
    return ST_OK;
}

UNUSED static struct log_load loader(struct loaded *l)
{
    memset(l, 0, sizeof *l);
    return (struct log_load){load_hard, load_snapshot, load_entry, l};
}
