#include "core/ikey.h"

#include <string.h>

static void add(struct ikey *k, const void *data, size_t len)
{
    if (k->full || len > sizeof k->bytes - k->len) {
        k->full = true;
        return;
    }
    memcpy(k->bytes + k->len, data, len);
    k->len += len;
}

void ikey_text(struct ikey *k, const char *text)
{
    add(k, text ? text : "", text ? strlen(text) + 1 : 1);
}

void ikey_u64(struct ikey *k, uint64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (56 - 8 * i));
    add(k, b, sizeof b);
}

void ikey_u32(struct ikey *k, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    add(k, b, sizeof b);
}

static bool seek(const struct map *m, struct str key, bool after, const struct ikey *prefix,
                 struct str *ret_key, void **ret_value)
{
    struct str found;
    void *value;
    if (prefix->full || !map_seek(m, key, after, &found, &value))
        return false;
    if (found.len < prefix->len || memcmp(found.ptr, prefix->bytes, prefix->len) != 0)
        return false;
    *ret_key = found;
    *ret_value = value;
    return true;
}

bool ikey_first(const struct map *m, const struct ikey *prefix, struct str *ret_key,
                void **ret_value)
{
    return seek(m, ikey_view(prefix), false, prefix, ret_key, ret_value);
}

bool ikey_next(const struct map *m, const struct ikey *prefix, struct str *at, void **ret_value)
{
    return seek(m, *at, true, prefix, at, ret_value);
}
