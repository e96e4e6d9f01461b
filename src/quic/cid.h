/*
 * cid: which connection a datagram is for, by its connection id (RFC 9000 section 5.1); and, in a
 * second table, whose end a stateless reset tells, by its token (section 10.3.1).
 *
 * Keyed SipHash, so that nobody can choose ids that fall together. Entries also form a list for each
 * owner, who leaves with all of them at once.
 */
#pragma once

#include "base/list.h"

enum { CID_MAX = 20, CID_BUCKETS = 1024 };

struct cid {
    uint8_t len;
    uint8_t byte[CID_MAX];
};

struct cid_map {
    uint8_t key[16];
    struct list bucket[CID_BUCKETS];
    size_t count;
};

void cid_map_init(struct cid_map *m, const uint8_t key[16]);

/* owner's list is initialised by it. An id that is there already goes to the new owner. */
void cid_put(struct cid_map *m, const struct cid *id, struct list *owner);
struct list *cid_find(const struct cid_map *m, const struct cid *id); /* the owner, or NULL */
void cid_take(struct cid_map *m, const struct cid *id);               /* absent: fine */
void cid_take_all(struct cid_map *m, struct list *owner);

/* len <= CID_MAX */
struct cid cid_from(const void *data, size_t len);
