#include "raft/log.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 64 };

void raft_log_init(struct raft_log *l, uint64_t first, uint64_t base_term)
{
    require(first > 0);
    *l = (struct raft_log){.first = first, .base_term = base_term};
}

void raft_log_done(struct raft_log *l)
{
    for (size_t i = 0; i < l->count; i++)
        raft_data_unref(l->room[l->head + i].data);
    free(l->room);
    *l = (struct raft_log){.first = 1};
}

/* Entries move to the front when half of the room before them is free: amortized O(1) a push. */
static void make_room(struct raft_log *l)
{
    if (l->head + l->count < l->size)
        return;
    if (l->head > 0 && l->head >= l->size / 2) {
        memmove(l->room, l->room + l->head, l->count * sizeof *l->room);
        l->head = 0;
        return;
    }
    l->size = MAX(2 * l->size, (size_t)ROOM_MIN);
    l->room = mem_grow(l->room, l->size, sizeof *l->room);
}

void raft_log_push(struct raft_log *l, struct raft_entry e)
{
    require(e.index == raft_log_last(l) + 1);
    require(e.term >= raft_log_last_term(l));
    make_room(l);
    l->room[l->head + l->count++] = e;
}

void raft_log_cut(struct raft_log *l, uint64_t last)
{
    require(last + 1 >= l->first && last <= raft_log_last(l));
    while (raft_log_last(l) > last)
        raft_data_unref(l->room[l->head + --l->count].data);
}

void raft_log_compact(struct raft_log *l, uint64_t first_kept)
{
    require(first_kept <= raft_log_last(l) + 1);
    while (l->first < first_kept) {
        struct raft_entry *e = &l->room[l->head];
        l->base_term = e->term;
        raft_data_unref(e->data);
        l->head++;
        l->count--;
        l->first++;
    }
    if (l->count == 0)
        l->head = 0;
}
