#include "node/inflight.h"

#include <stdlib.h>

static struct str id_of(const uint8_t id[COMMAND_ID_SIZE])
{
    return (struct str){(const char *)id, COMMAND_ID_SIZE};
}

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

void inflight_add(struct inflight *x, const struct command_key *key, uint64_t index, uint64_t term)
{
    struct inflight_command *c = NEW(struct inflight_command);
    *c = (struct inflight_command){.index = index, .term = term, .key = *key};
    list_push(&x->all, &c->item);
    ensure(map_put(&x->by_id, id_of(c->key.id), c) == NULL);
    x->count++;
}

const struct inflight_command *inflight_find(const struct inflight *x,
                                             const uint8_t id[COMMAND_ID_SIZE])
{
    return map_find(&x->by_id, id_of(id));
}

static void drop(struct inflight *x, struct inflight_command *c)
{
    list_cut(&c->item);
    ensure(map_take(&x->by_id, id_of(c->key.id)) == c);
    x->count--;
    free(c);
}

const struct inflight_command *inflight_last(const struct inflight *x)
{
    return list_empty(&x->all) ? NULL : CONTAINER_OF(x->all.prev, struct inflight_command, item);
}

void inflight_drop_last(struct inflight *x)
{
    require(!list_empty(&x->all));
    drop(x, CONTAINER_OF(x->all.prev, struct inflight_command, item));
}

void inflight_passed(struct inflight *x, uint64_t index)
{
    while (!list_empty(&x->all)) {
        struct inflight_command *c = CONTAINER_OF(x->all.next, struct inflight_command, item);
        if (c->index > index)
            return;
        drop(x, c);
    }
}
