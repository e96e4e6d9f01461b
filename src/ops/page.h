/*
 * page: a list in pages, sorted by name.
 *
 * A page holds the objects that come after its cursor: the place (name, project, uid) of the last
 * one before. So a page is right although objects come and go between pages. Operations, which have
 * no name, are sorted by age, the oldest first.
 */
#pragma once

#include "core/object.h"

enum { PAGE_ITEMS_MAX = 1000, PAGE_CURSOR_MAX = 200 };

/* Where an object stands. Texts are borrowed. */
struct page_place {
    uint64_t time_ns; /* of operations */
    const char *name, *project, *uid;
};

struct page_place page_place_of(const struct object *o);
int page_compare(const struct page_place *a, const struct page_place *b);

/* out has room for PAGE_CURSOR_MAX. */
void page_cursor(const struct page_place *p, char out[PAGE_CURSOR_MAX]);
/* room holds the texts of *ret. ST_INVALID for what is no cursor of ours. */
MUST_USE enum status page_parse_cursor(const char *cursor, char room[PAGE_CURSOR_MAX],
                                       struct page_place *ret, struct fault *why);

/* The first `limit` objects after a place, of those that are added in any order. */
struct page {
    struct object *item[PAGE_ITEMS_MAX]; /* sorted; borrowed */
    size_t count, limit;
    bool more;               /* some did not fit */
    struct page_place after; /* only if has_after */
    bool has_after;
};

void page_add(struct page *p, struct object *o);
