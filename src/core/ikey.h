/*
 * ikey: the keys of indexes, put together from texts and numbers so that they sort by their parts.
 *
 * Texts end with a zero byte, which none of them holds; numbers are big-endian. A key of texts that
 * are too long for any object to have them is `full`: nothing is found under it.
 */
#pragma once

#include "base/map.h"

struct ikey {
    size_t len;
    bool full;
    char bytes[MAP_KEY_MAX];
};

static inline void ikey_init(struct ikey *k)
{
    k->len = 0;
    k->full = false;
}

void ikey_text(struct ikey *k, const char *text); /* NULL as "" */
void ikey_u64(struct ikey *k, uint64_t v);
void ikey_u32(struct ikey *k, uint32_t v);

static inline struct str ikey_view(const struct ikey *k)
{
    return (struct str){k->bytes, k->full ? 0 : k->len};
}

static inline void *ikey_find(const struct map *m, const struct ikey *k)
{
    return map_find(m, ikey_view(k));
}

/* The first entry that begins with `prefix` (or the next such one after `at`, a key of the same
 * map); false when there is none. */
bool ikey_first(const struct map *m, const struct ikey *prefix, struct str *ret_key,
                void **ret_value);
bool ikey_next(const struct map *m, const struct ikey *prefix, struct str *at, void **ret_value);
