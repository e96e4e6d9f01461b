#include "node/entries.h"

#include <stdlib.h>
#include <string.h>

/* What has passed is used again once it is half of the room, so that each entry is moved once on
 * average; the room grows only when more than half of it is in the queue. */
static void make_room(struct node_entries *x)
{
    if (x->head > 0 && x->head >= x->room / 2) {
        memmove(x->e, x->e + x->head, (x->count - x->head) * sizeof *x->e);
        x->count -= x->head;
        x->head = 0;
        return;
    }
    x->room = MAX(2 * x->room, (size_t)64);
    x->e = mem_grow(x->e, x->room, sizeof *x->e);
}

void node_entries_push(struct node_entries *x, const struct raft_entry *e)
{
    if (x->head == x->count)
        x->head = x->count = 0;
    if (x->count == x->room)
        make_room(x);
    x->e[x->count] = *e;
    if (e->data)
        (void)raft_data_ref(e->data);
    x->count++;
}

struct raft_entry node_entries_take(struct node_entries *x)
{
    require(x->head < x->count);
    return x->e[x->head++];
}

size_t node_entries_count(const struct node_entries *x)
{
    return x->count - x->head;
}

void node_entries_reset(struct node_entries *x)
{
    for (; x->head < x->count; x->head++)
        raft_data_unref(x->e[x->head].data);
    x->head = x->count = 0;
}

void node_entries_done(struct node_entries *x)
{
    node_entries_reset(x);
    free(x->e);
    *x = (struct node_entries){0};
}
