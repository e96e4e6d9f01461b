#include "node/inflight.h"

#include <stdlib.h>
#include <string.h>

void inflight_init(struct inflight *x)
{
    *x = (struct inflight){0};
    list_init(&x->all);
    map_init(&x->by_id);
}

void inflight_done(struct inflight *x)
{
    inflight_passed(x, UINT64_MAX);
    map_done(&x->by_id);
}

void inflight_add(struct inflight *x, struct str id, uint64_t index, uint64_t term)
{
    if (inflight_find(x, id))
        return;
    struct inflight_command *c = mem_new(sizeof *c + id.len);
    *c = (struct inflight_command){
        .index = index, .term = term, .id = {memcpy(c + 1, id.ptr, id.len), id.len}};
    list_push(&x->all, &c->item);
    ensure(map_put(&x->by_id, c->id, c) == NULL);
    x->count++;
}

const struct inflight_command *inflight_find(const struct inflight *x, struct str id)
{
    return map_find(&x->by_id, id);
}

void inflight_passed(struct inflight *x, uint64_t index)
{
    while (!list_empty(&x->all)) {
        struct inflight_command *c = CONTAINER_OF(x->all.next, struct inflight_command, item);
        if (c->index > index)
            return;
        list_cut(&c->item);
        ensure(map_take(&x->by_id, c->id) == c);
        x->count--;
        free(c);
    }
}
