#include "quic/cid.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

struct entry {
    struct list in_bucket, in_owner;
    struct list *owner;
    struct cid id;
};

struct cid cid_from(const void *data, size_t len)
{
    struct cid id = {.len = (uint8_t)len};
    require(len <= CID_MAX);
    if (len > 0)
        memcpy(id.byte, data, len);
    return id;
}

void cid_map_init(struct cid_map *m, const uint8_t key[16])
{
    memcpy(m->key, key, sizeof m->key);
    for (size_t i = 0; i < CID_BUCKETS; i++)
        list_init(&m->bucket[i]);
    m->count = 0;
}

static size_t place(const struct cid_map *m, const struct cid *id)
{
    return hash_sip(m->key, id->byte, id->len) % CID_BUCKETS;
}

static struct entry *find(const struct cid_map *m, const struct cid *id)
{
    const struct list *head = &m->bucket[place(m, id)];
    LIST_EACH(it, head) {
        struct entry *e = CONTAINER_OF(it, struct entry, in_bucket);
        if (e->id.len == id->len && memcmp(e->id.byte, id->byte, id->len) == 0)
            return e;
    }
    return NULL;
}

static void drop(struct cid_map *m, struct entry *e)
{
    list_cut(&e->in_bucket);
    list_cut(&e->in_owner);
    free(e);
    m->count--;
}

void cid_put(struct cid_map *m, const struct cid *id, struct list *owner)
{
    cid_take(m, id);
    struct entry *e = NEW(struct entry);
    e->owner = owner;
    e->id = *id;
    list_push(&m->bucket[place(m, id)], &e->in_bucket);
    list_push(owner, &e->in_owner);
    m->count++;
}

struct list *cid_find(const struct cid_map *m, const struct cid *id)
{
    struct entry *e = find(m, id);
    return e ? e->owner : NULL;
}

void cid_take(struct cid_map *m, const struct cid *id)
{
    struct entry *e = find(m, id);
    if (e)
        drop(m, e);
}

void cid_take_all(struct cid_map *m, struct list *owner)
{
    LIST_EACH(it, owner)
        drop(m, CONTAINER_OF(it, struct entry, in_owner));
}
