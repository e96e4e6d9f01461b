#include "ops/page.h"

#include <stdio.h>
#include <string.h>

struct page_place page_place_of(const struct object *o)
{
    struct page_place p = {0, object_name(o), object_project_name(o), object_uid(o)};
    if (o->kind == OBJECT_OPERATION)
        p.time_ns = object_operation(o)->created_ns;
    return p;
}

int page_compare(const struct page_place *a, const struct page_place *b)
{
    if (a->time_ns != b->time_ns)
        return a->time_ns < b->time_ns ? -1 : 1;
    int c = strcmp(a->name, b->name);
    if (c == 0)
        c = strcmp(a->project, b->project);
    return c ? c : strcmp(a->uid, b->uid);
}

void page_cursor(const struct page_place *p, char out[PAGE_CURSOR_MAX])
{
    int n = snprintf(out, PAGE_CURSOR_MAX, "%" PRIu64 ",%s,%s,%s", p->time_ns, p->name, p->project,
                     p->uid);
    ensure(n > 0 && n < PAGE_CURSOR_MAX); /* 20 + 63 + 63 + 32 and commas */
}

enum status page_parse_cursor(const char *cursor, char room[PAGE_CURSOR_MAX],
                              struct page_place *ret, struct fault *why)
{
    struct str rest, part;
    const char *text[3];
    uint64_t time_ns;
    enum status s = str_copy(str_from(cursor), room, PAGE_CURSOR_MAX, why);
    if (s != ST_OK)
        return s;
    rest = str_from(room);
    (void)str_cut(&rest, ',', &part);
    s = str_u64(part, 0, UINT64_MAX, &time_ns, why);
    for (int i = 0; i < 3 && s == ST_OK; i++) {
        bool more = str_cut(&rest, ',', &part);
        if (more != (i < 2))
            s = ST_INVALID;
        room[part.ptr + part.len - room] = 0;
        text[i] = part.ptr;
    }
    if (s != ST_OK) {
        (void)fault_set(why, ST_INVALID, "that is no cursor of a page");
        fault_field(why, "cursor");
        fault_hint(why, "give \"next\" of the page before, unchanged");
        return ST_INVALID;
    }
    *ret = (struct page_place){time_ns, text[0], text[1], text[2]};
    return ST_OK;
}

/* Where `place` belongs among the items. */
static size_t find_slot(const struct page *p, const struct page_place *place)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        struct page_place there = page_place_of(p->item[middle]);
        if (page_compare(&there, place) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void page_add(struct page *p, struct object *o)
{
    require(p->limit > 0 && p->limit <= PAGE_ITEMS_MAX);
    struct page_place place = page_place_of(o);
    if (p->has_after && page_compare(&place, &p->after) <= 0)
        return;
    size_t slot = find_slot(p, &place);
    if (p->count == p->limit) {
        p->more = true;
        if (slot == p->count)
            return;
        p->count--; /* the last falls off */
    }
    memmove(&p->item[slot + 1], &p->item[slot], (p->count - slot) * sizeof p->item[0]);
    p->item[slot] = o;
    p->count++;
}
