#include "sim/lists.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct lists *lists_new(void)
{
    struct lists *l = NEW(struct lists);
    l->hash = HASH_FNV_START;
    return l;
}

struct lists *lists_copy(const struct lists *l)
{
    struct lists *copy = NEW(struct lists);
    *copy = *l;
    for (size_t i = 0; i < LISTS_COUNT; i++) {
        copy->list[i].room = l->list[i].count;
        copy->list[i].value = l->list[i].count
                                  ? mem_dup(l->list[i].value, l->list[i].count * sizeof(uint64_t))
                                  : NULL;
    }
    return copy;
}

void lists_free(struct lists *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < LISTS_COUNT; i++)
        free(l->list[i].value);
    free(l);
}

bool lists_eq(const struct lists *a, const struct lists *b)
{
    if (!a || !b)
        return a == b;
    bool same = a->hash == b->hash && memcmp(a->last, b->last, sizeof a->last) == 0;
    for (size_t i = 0; same && i < LISTS_COUNT; i++) {
        size_t count = a->list[i].count;
        same = count == b->list[i].count &&
               (count == 0 ||
                memcmp(a->list[i].value, b->list[i].value, count * sizeof(uint64_t)) == 0);
    }
    return same;
}

void lists_pack(const struct lists *l, struct buf *out)
{
    cursor_put_u64(out, l->hash);
    for (size_t i = 0; i < LISTS_CLIENTS_MAX; i++)
        cursor_put_u32(out, l->last[i]);
    for (size_t i = 0; i < LISTS_COUNT; i++) {
        cursor_put_u32(out, (uint32_t)l->list[i].count);
        for (size_t k = 0; k < l->list[i].count; k++)
            cursor_put_u64(out, l->list[i].value[k]);
    }
}

static void unpack_list(struct lists *l, size_t i, struct cursor *c)
{
    size_t count = cursor_u32(c);
    if (count > cursor_left(c) / sizeof(uint64_t)) {
        cursor_fail(c, "the list is longer than its bytes");
        return;
    }
    l->list[i].room = count;
    l->list[i].value = count ? NEW_ARRAY(uint64_t, count) : NULL;
    while (l->list[i].count < count)
        l->list[i].value[l->list[i].count++] = cursor_u64(c);
}

struct lists *lists_unpack(struct cursor *c)
{
    struct lists *l = NEW(struct lists);
    l->hash = cursor_u64(c);
    for (size_t i = 0; i < LISTS_CLIENTS_MAX; i++)
        l->last[i] = cursor_u32(c);
    for (size_t i = 0; i < LISTS_COUNT; i++)
        unpack_list(l, i, c);
    if (cursor_ok(c))
        return l;
    lists_free(l);
    return NULL;
}

void list_command_pack(const struct list_command *c, size_t padding, struct buf *out)
{
    cursor_put_u32(out, c->client);
    cursor_put_u32(out, c->number);
    cursor_put_u32(out, c->list);
    cursor_put_u64(out, c->value);
    while (padding--)
        cursor_put_u8(out, 0);
}

bool list_command_unpack(struct str bytes, struct list_command *out)
{
    struct cursor c;
    cursor_init(&c, bytes);
    out->client = cursor_u32(&c);
    out->number = cursor_u32(&c);
    out->list = cursor_u32(&c);
    out->value = cursor_u64(&c);
    return cursor_ok(&c) && out->client < LISTS_CLIENTS_MAX && out->list < LISTS_COUNT;
}

bool lists_apply(struct lists *l, const struct list_command *c)
{
    if (c->number <= l->last[c->client])
        return false;
    l->last[c->client] = c->number;
    if (l->list[c->list].count == l->list[c->list].room) {
        l->list[c->list].room = MAX(2 * l->list[c->list].room, (size_t)64);
        l->list[c->list].value =
            mem_grow(l->list[c->list].value, l->list[c->list].room, sizeof(uint64_t));
    }
    l->list[c->list].value[l->list[c->list].count++] = c->value;
    l->hash = hash_fnv(l->hash, &c->value, sizeof c->value);
    return true;
}
